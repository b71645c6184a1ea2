//! Versions of an API that are translated into each other: what a service says of its older
//! versions, and what becomes of requests and responses in between.
//!
//! A service lists its versions oldest first. The changes of a version lead from it to the next
//! newer one, so the newest usually has none. A request of an old version passes the changes of
//! that version, then those of every newer one, in order; the response passes the same changes in
//! exact reverse. Each change names the functions that it concerns.
//!
//! Declarative changes ([`Operation`]) run in the gateway. Whatever they find in another shape than
//! they expect they leave as it is; nothing that they do not name is parsed or printed anew.
//! Changes in code run in the worker that registered them, and with one of them the whole chain.
//!
//! ```
//! use sluice_protocol::Payload;
//! use sluice_protocol::change::Versions;
//!
//! let versions = Versions::from_json(&serde_json::json!([
//!     {"version": "1", "changes": [{
//!         "name": "name is a full name",
//!         "functions": ["create"],
//!         "request": [{"op": "rename", "from": "name", "to": "full_name"}],
//!         "response": {"reverse": ["/user"]}
//!     }]},
//!     {"version": "2"}
//! ])).unwrap();
//! let chain = versions.chain("1", None, "create").unwrap();
//! let up = chain.request(&Payload::json(r#"{"name":"Ada","n":1.50}"#)).unwrap();
//! assert_eq!(&up.bytes[..], br#"{"full_name":"Ada","n":1.50}"#);
//! let down = chain.response(&Payload::json(r#"{"user":{"full_name":"Ada"}}"#)).unwrap();
//! assert_eq!(&down.bytes[..], br#"{"user":{"name":"Ada"}}"#);
//! assert_eq!(chain.place_before("/full_name"), "/name");
//! ```

mod chain;
mod deeper;
mod node;
mod operation;
mod path;
mod place;
mod pointer;
mod print;
mod read;
mod read_operation;
mod room;
mod told;

use serde_json::Value;

use crate::argument::ArgTypes;
use crate::function::FieldFault;
use crate::id::FunctionName;
use crate::version::ApiVersion;

pub use chain::{Chain, Parts, Step};
pub use operation::{Action, Literal, Operation};
pub use pointer::{MAX_SEGMENTS, Pointer, Segment};
pub use read::{MAX_CHANGES, MAX_OPERATIONS, MAX_VERSIONS};
pub use room::{MAX_ADDED_BYTES, MAX_DEEPER, MAX_OPENED};
pub use told::{Reworded, faults_before, text_before};

/// The versions of a service, oldest first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Versions(pub Vec<Version>);

/// One version of a service, and the way from it to the next newer one.
#[derive(Debug, Clone, PartialEq)]
pub struct Version {
    /// What clients name.
    pub version: ApiVersion,
    /// In the order in which requests pass them.
    pub changes: Vec<Change>,
    /// The args of functions as this version had them, where the service says so: requests are
    /// checked against them before they are translated.
    pub arg_types: Vec<(FunctionName, ArgTypes)>,
}

/// One change of an API: what it does to requests on their way up, and to responses down.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// For people, and for changes in code the name of the code.
    pub name: String,
    /// For people.
    pub description: Option<String>,
    /// Which functions it concerns.
    pub functions: Concerns,
    /// What it does to requests.
    pub request: RequestChange,
    /// What it does to results, stream items and resources' bodies.
    pub response: Vec<Operation>,
    /// Whether the worker has code for it: then nothing of it runs in the gateway.
    pub code: bool,
}

/// Which functions a change concerns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Concerns {
    /// `["*"]`: all of the service.
    All,
    /// These.
    Only(Vec<FunctionName>),
}

/// What a change does to the parts of a request. Where args come as one object, as in all calls
/// but those of resources, the parts act on it one after the other: query, body, path.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RequestChange {
    /// The args, or a resource's body.
    pub body: Vec<Operation>,
    /// The query of a route.
    pub query: Vec<Operation>,
    /// The parameters in the path of a route.
    pub path: Vec<Operation>,
}

/// A value that could not be translated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TranslateError {
    /// It is not one value of its encoding, or has a key twice where changes look.
    #[error("it cannot be translated: {0}")]
    Malformed(String),
    /// Changes would add more than [`MAX_ADDED_BYTES`], look into more than [`MAX_OPENED`] lists
    /// and objects, or nest it deeper than [`crate::payload::MAX_DEPTH`] levels: says which.
    #[error("it is too large to be translated: {0}")]
    TooLarge(&'static str),
    /// A change in code could not make anything of it.
    #[error("{0}")]
    Refused(String),
}

impl Concerns {
    /// Whether it concerns `function`.
    #[must_use]
    pub fn includes(&self, function: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) => names.iter().any(|name| name.as_str() == function),
        }
    }
}

impl Change {
    /// A change that changes nothing yet.
    #[must_use]
    pub fn new(name: &str, functions: Concerns) -> Self {
        Self {
            name: name.to_owned(),
            description: None,
            functions,
            request: RequestChange::default(),
            response: Vec::new(),
            code: false,
        }
    }

    /// The change as JSON, as it stands in the list.
    #[must_use]
    pub fn to_json(&self) -> Value {
        print::change(self)
    }
}

impl Versions {
    /// Reads the list.
    ///
    /// # Errors
    /// Every mistake, at once, each with its place in the list: `0/changes/1/request/0/from`.
    pub fn from_json(value: &Value) -> Result<Self, Vec<FieldFault>> {
        read::versions(value)
    }

    /// The list as JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        print::versions(self)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names, oldest first.
    pub fn names(&self) -> impl Iterator<Item = &ApiVersion> {
        self.0.iter().map(|version| &version.version)
    }

    /// What lies between the version `from` and the version `to` of `function`; without `to`, all
    /// the way to today. `None`: no such version is listed.
    #[must_use]
    pub fn chain(&self, from: &str, to: Option<&str>, function: &str) -> Option<Chain> {
        Chain::between(self, from, to, function)
    }
}
