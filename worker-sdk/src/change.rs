//! Older versions of a service, served by today's functions.
//!
//! A service lists its versions, oldest first, each with the changes that lead to the next newer
//! one. Clients of an older version then call today's functions: their requests pass the changes
//! up, the answers pass them down in exact reverse. Nothing else is registered for old versions.
//!
//! [`Declared`] changes are operations that run in the gateway. What they cannot say is a
//! [`Change`] in code, which runs in the worker, before it checks permission and args in today's
//! shape. `docs/translation.md` has every operation and its reverse.
//!
//! ```
//! use serde_json::{Value, json};
//! use sluice_worker::change::{Change, Declared, Operation};
//! use sluice_worker::{Error, Worker};
//!
//! /// Version 2 counted in minutes.
//! struct Seconds;
//!
//! impl Change for Seconds {
//!     fn functions(&self) -> Vec<String> {
//!         vec!["remind".into()]
//!     }
//!
//!     fn request(&self, mut args: Value) -> Result<Value, Error> {
//!         if let Some(minutes) = args["minutes"].as_u64() {
//!             args["seconds"] = (minutes * 60).into();
//!             args.as_object_mut().map(|args| args.remove("minutes"));
//!         }
//!         Ok(args)
//!     }
//! }
//!
//! let worker = Worker::builder("calendar")
//!     .version("3")
//!     .function("remind", async |args: Value| json!({ "text": args["text"] }))
//!     .versions(|versions| {
//!         versions
//!             .version("1", |v| {
//!                 v.declare(
//!                     Declared::new("what is text", ["remind"])
//!                         .request([Operation::rename("what", "text")])
//!                         .reverse_at([""]),
//!                 )
//!             })
//!             .version("2", |v| v.change(Seconds))
//!             .version("3", |v| v)
//!     });
//! # let _ = worker;
//! ```

mod operation;
pub(crate) mod run;

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Value, json};
use sluice_protocol::change as wire;
use sluice_protocol::registry::Reason;

pub use self::operation::{Declared, Operation};
use crate::error::Error;

/// A change in code: how a request of the version that lists it becomes one of the next newer
/// version, and the answer the reverse. Only what differs needs to be written.
///
/// Numbers beyond 64 bits lose digits on the way through [`Value`]; declared changes lose none.
pub trait Change: Send + Sync + 'static {
    /// For people; unique within a service. Default: the type's name.
    fn name(&self) -> String {
        let whole = std::any::type_name::<Self>();
        whole.rsplit("::").next().unwrap_or(whole).to_owned()
    }

    /// The functions that it concerns; default: all of the service.
    fn functions(&self) -> Vec<String> {
        vec!["*".to_owned()]
    }

    /// Args of the older version become those of the next newer one.
    ///
    /// # Errors
    /// When they cannot be: the call does not run, and its client hears why.
    fn request(&self, args: Value) -> Result<Value, Error> {
        Ok(args)
    }

    /// A result, or an item of a stream, of the newer version becomes one of the older. What has an
    /// unknown shape is best left as it is.
    ///
    /// # Errors
    /// When it cannot be: the client gets this error in place of the result.
    fn response(&self, result: Value) -> Result<Value, Error> {
        Ok(result)
    }

    /// Where stood in the older version what stands at `place` (a JSON Pointer) in the newer one,
    /// so that errors name a client's own fields. Default: where it stands.
    fn place(&self, place: &str) -> String {
        place.to_owned()
    }
}

/// The versions of a service, oldest first; see [`crate::WorkerBuilder::versions`].
#[derive(Default, Clone)]
#[must_use]
pub struct Versions {
    listed: Vec<Value>,
    code: HashMap<String, Arc<dyn Change>>,
    mistakes: Vec<String>,
}

/// One version, and what leads from it to the next newer one; see [`Versions::version`].
#[derive(Default)]
#[must_use]
pub struct Version {
    changes: Vec<Value>,
    arg_types: serde_json::Map<String, Value>,
    code: Vec<(String, Arc<dyn Change>)>,
}

impl Versions {
    /// The next newer version, with the changes that lead from it to the one after. The newest has
    /// none, and is listed like the others.
    pub fn version(mut self, name: &str, build: impl FnOnce(Version) -> Version) -> Self {
        let built = build(Version::default());
        for (change, code) in built.code {
            if self.code.insert(change.clone(), code).is_some() {
                self.mistakes
                    .push(format!("change {change:?} is declared twice"));
            }
        }
        let mut version = json!({ "version": name, "changes": built.changes });
        if !built.arg_types.is_empty() {
            version["arg_types"] = built.arg_types.into();
        }
        self.listed.push(version);
        self
    }

    /// What gateways are told, and the code that stays here.
    pub(crate) fn finish(self, service: &str, mistakes: &mut Vec<Reason>) -> Finished {
        let mut about = |field: String, message: String| {
            mistakes.push(Reason {
                function: service.to_owned(),
                field,
                message,
            });
        };
        for mistake in self.mistakes {
            about("versions".to_owned(), mistake);
        }
        let wire = wire::Versions::from_json(&Value::Array(self.listed));
        let wire = wire.unwrap_or_else(|faults| {
            for fault in faults {
                about(format!("versions/{}", fault.field), fault.message);
            }
            wire::Versions::default()
        });
        Finished {
            wire,
            code: self.code,
        }
    }
}

/// Versions that passed their checks.
#[derive(Clone, Default)]
pub(crate) struct Finished {
    pub(crate) wire: wire::Versions,
    pub(crate) code: HashMap<String, Arc<dyn Change>>,
}

impl Version {
    /// A change that runs in the gateway.
    pub fn declare(mut self, change: Declared) -> Self {
        self.changes.push(change.into_json());
        self
    }

    /// A change that runs here, and with it all others on the way of a request that passes it.
    pub fn change(mut self, change: impl Change) -> Self {
        let name = change.name();
        self.changes.push(json!({
            "name": name,
            "functions": change.functions(),
            "code": true,
        }));
        self.code.push((name, Arc::new(change)));
        self
    }

    /// What this version took, `{"name": "string"}` in the form of `arg_types`: then requests are
    /// checked against it before they are translated.
    pub fn arg_types(mut self, function: &str, arg_types: Value) -> Self {
        self.arg_types.insert(function.to_owned(), arg_types);
        self
    }
}

impl std::fmt::Debug for Versions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Versions").field(&self.listed).finish()
    }
}

impl std::fmt::Debug for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Version").field(&self.changes).finish()
    }
}
