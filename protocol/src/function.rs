//! What a worker registers of a function, and every check of it.

mod config;
mod fields;
mod print;
mod read;
mod route;
mod strict;
mod translation;

use serde_json::Value;

use crate::argument::{ArgTypes, Budget};
use crate::change::Versions;
use crate::id::{FunctionName, ServiceName};
use crate::permission::Permission;
use crate::registry::Reason;
use crate::retry::Retry;
use crate::version::ApiVersion;

pub use config::{MAX_CONFIG_BYTES, MAX_FUNCTIONS, MAX_REASONS};
pub use route::{Route, Segment};
pub use translation::Translated;

/// What the gateway knows of one version of one function.
#[derive(Debug, Clone, PartialEq)]
pub struct FunctionSpec {
    /// Of which service.
    pub service: ServiceName,
    /// Which function.
    pub request_type: FunctionName,
    /// Which version; `None`: the function has no versions.
    pub version: Option<ApiVersion>,
    /// What serves it.
    pub kind: Kind,
    /// How it answers.
    pub response_type: ResponseType,
    /// `timeout`: milliseconds until the final reply (sync, async), or to the first frame and
    /// between frames (stream): 100 to 300000; default 5000.
    pub timeout: Timeout,
    /// Which instance gets a call.
    pub choose_node_mode: ChooseNodeMode,
    /// The args; `None`: not checked, `Some` of nothing: none allowed.
    pub arg_types: Option<ArgTypes>,
    /// Only for the SDK's positional form; `None`: the order of `arg_types`.
    pub arg_orders: Option<ArgOrders>,
    /// Who may call.
    pub check_permission: Permission,
    /// A registered function that decides instead.
    pub permission_callback: Option<Callback>,
    /// Extra attempts.
    pub retry: Option<Retry>,
    /// A registered function that may change args or refuse.
    pub before_execute: Option<Callback>,
    /// A registered function that may change the response.
    pub after_execute: Option<Callback>,
    /// `hook_timeout`: milliseconds for a hook, 1 to 300000; default 5000.
    pub hook_timeout_ms: u64,
    /// Whether handlers are given the identity; kept for the ancestor's clients.
    pub request_info: bool,
    /// Registered, but not callable.
    pub disabled: bool,
    /// For people.
    pub description: Option<String>,
    /// Whether running it twice does no harm: allows GET and more retries.
    pub idempotent: bool,
    /// Never callable from an edge: a hook or a callback.
    pub internal: bool,
    /// JSON Schema of the result.
    pub result_schema: Option<Value>,
    /// HTTP routes, each `"GET /users/{id}"`; see [`Route`].
    pub routes: Vec<String>,
    /// Most calls at once of one gateway.
    pub max_in_flight: Option<u32>,
    /// Most calls that wait for `max_in_flight`.
    pub max_queue: Option<u32>,
    /// `attempt_timeout`: milliseconds for one attempt, 1 to 300000; default: all that is left.
    pub attempt_timeout_ms: Option<u64>,
    /// `max_duration`: milliseconds for a whole stream, 100 to a day; default: the gateway's
    /// maximum.
    pub max_duration_ms: Option<u64>,
}

/// What serves a registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    /// A function: args in, a result out.
    #[default]
    Function,
    /// An HTTP resource: a request in, a response out, at its routes alone. Its args are the
    /// parameters of its path.
    Resource,
}

/// How a function answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ResponseType {
    /// One result.
    #[default]
    Sync,
    /// An acknowledgement at once, the result later.
    Async,
    /// Items, then an end.
    Stream,
    /// Nothing on success.
    None,
}

/// How long a call may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timeout {
    /// So many milliseconds.
    Millis(u64),
    /// `"infinity"`: as long as the gateway allows at most.
    Infinity,
}

/// Which instance gets a call.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ChooseNodeMode {
    /// The broker picks.
    #[default]
    Random,
    /// One after the other, strictly.
    RoundRobin,
    /// Rendezvous hashing of the request id.
    Hash,
    /// Rendezvous hashing of an arg.
    HashArg(String),
    /// An arg's value stays with the instance that got it first.
    Sticky(String),
    /// The better of two random ones, by calls in flight and latency.
    LeastLoaded,
}

/// The order of positional args.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArgOrders {
    /// `"map"`: the handler gets the object.
    Map,
    /// In this order.
    List(Vec<String>),
}

/// A registered function that the gateway calls on behalf of another.
///
/// On the wire `"service.function"`, split at the last dot, or with more to say
/// `{"function": "service.function", "extra": …}`; where the function's own name has a dot,
/// `{"service": "service", "function": "the.function"}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Callback {
    /// `service`.
    pub service: ServiceName,
    /// `request_type`.
    pub request_type: FunctionName,
    /// Passed as `extra`.
    pub extra: Option<Value>,
}

/// One mistake of a function's registration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldFault {
    /// The field.
    pub field: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl FunctionSpec {
    /// A function with the defaults of every field.
    #[must_use]
    pub fn new(service: ServiceName, request_type: FunctionName) -> Self {
        Self {
            service,
            request_type,
            version: None,
            kind: Kind::Function,
            response_type: ResponseType::Sync,
            timeout: Timeout::Millis(5000),
            choose_node_mode: ChooseNodeMode::Random,
            arg_types: None,
            arg_orders: None,
            check_permission: Permission::Public,
            permission_callback: None,
            retry: None,
            before_execute: None,
            after_execute: None,
            hook_timeout_ms: 5000,
            request_info: false,
            disabled: false,
            description: None,
            idempotent: false,
            internal: false,
            result_schema: None,
            routes: Vec::new(),
            max_in_flight: None,
            max_queue: None,
            attempt_timeout_ms: None,
            max_duration_ms: None,
        }
    }

    /// Whether this is an HTTP resource.
    #[must_use]
    pub fn is_resource(&self) -> bool {
        self.kind == Kind::Resource
    }

    /// `service.request_type@version`, for people.
    #[must_use]
    pub fn label(&self) -> String {
        match &self.version {
            Some(v) => format!("{}.{}@{v}", self.service, self.request_type),
            None => format!("{}.{}", self.service, self.request_type),
        }
    }

    /// Reads a function of `service` from JSON.
    ///
    /// # Errors
    /// Every mistake, at once, in the order of the fields; a mistake within a field names the
    /// place in it, `arg_types/age/min`.
    pub fn from_json(service: &ServiceName, value: &Value) -> Result<Self, Vec<FieldFault>> {
        read::function(service, value, &mut Budget::default())
    }

    /// The function as JSON; fields that have their default are left out.
    #[must_use]
    pub fn to_json(&self) -> Value {
        print::function(self)
    }
}

/// All functions of one service, as one worker registers them.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceConfig {
    /// The functions.
    pub functions: Vec<FunctionSpec>,
    /// Older versions of them that are translated; empty: none.
    pub versions: Versions,
}

impl ServiceConfig {
    /// Reads a config's text, `{"functions": […], "versions": […]}`.
    ///
    /// # Errors
    /// Every mistake of every function, at once, up to [`MAX_REASONS`].
    pub fn parse(service: &ServiceName, text: &str) -> Result<Self, Vec<Reason>> {
        config::parse(service, text)
    }

    /// Every version of every function that is listed in `versions` and has no function of its
    /// own, with the function that serves it.
    #[must_use]
    pub fn translated(&self) -> Vec<Translated> {
        translation::translated(&self.functions, &self.versions)
    }

    /// The config's text; the same for equal configs, in whatever order their functions stand, so
    /// that instances of one build share its hash.
    #[must_use]
    pub fn to_text(&self) -> String {
        config::to_text(self)
    }
}
