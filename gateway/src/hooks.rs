//! Functions that the gateway asks about a call: permission callbacks, before hooks, after hooks.
//!
//! A function names them as `"service.function"`. Usually a worker serves that; where the gateway
//! is embedded, a Rust function can, and goes before any worker's of the same name:
//!
//! ```
//! use serde_json::json;
//! use sluice_gateway::hooks::{Callbacks, Question};
//!
//! let callbacks = Callbacks::default()
//!     .with("auth", "owner", |question: Question| async move {
//!         Ok(json!(question.identity.user_id.as_deref() == Some("u1")))
//!     })
//!     .unwrap();
//! assert_eq!(callbacks.len(), 1);
//! ```

mod question;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::Value;
use sluice_protocol::id::InvalidId;
use sluice_protocol::{CallError, FunctionName, ServiceName};

pub use self::question::{Phase, Question};

/// A Rust function that the gateway asks, in place of a worker's.
///
/// What it answers means the same as a worker's result: `docs/hooks.md`.
pub trait Callback: Send + Sync + 'static {
    /// Answers. Dropped when the time is up.
    fn ask(&self, question: Question) -> BoxFuture<'static, Result<Value, CallError>>;
}

impl<F, Fut> Callback for F
where
    F: Fn(Question) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Value, CallError>> + Send + 'static,
{
    fn ask(&self, question: Question) -> BoxFuture<'static, Result<Value, CallError>> {
        self(question).boxed()
    }
}

/// The embedded callbacks of a gateway, by name. Empty unless the gateway is embedded.
#[derive(Clone, Default)]
pub struct Callbacks(HashMap<(ServiceName, FunctionName), Arc<dyn Callback>>);

impl Callbacks {
    /// Adds `service.function`; one of the same name is replaced.
    ///
    /// # Errors
    /// When the names are none.
    pub fn with(
        mut self,
        service: &str,
        function: &str,
        callback: impl Callback,
    ) -> Result<Self, InvalidId> {
        let name = (ServiceName::new(service)?, FunctionName::new(function)?);
        self.0.insert(name, Arc::new(callback));
        Ok(self)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn get(
        &self,
        service: &ServiceName,
        function: &FunctionName,
    ) -> Option<&Arc<dyn Callback>> {
        if self.0.is_empty() {
            return None;
        }
        self.0.get(&(service.clone(), function.clone()))
    }
}

impl fmt::Debug for Callbacks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.0.keys().map(|(s, f)| format!("{s}.{f}"));
        f.debug_set().entries(names).finish()
    }
}
