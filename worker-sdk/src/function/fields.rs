//! What may be told of a function: one method for each field that the gateway knows.

use std::time::Duration;

use schemars::JsonSchema;
use serde_json::Value;
use sluice_protocol::function::{ArgOrders, Callback, ChooseNodeMode, Timeout};
use sluice_protocol::permission::Permission;
use sluice_protocol::retry::{Retry, RetryMode};
use sluice_protocol::{FunctionName, ServiceName};

use super::Function;
use crate::args::{self, Arg};

impl Function {
    /// Its version; any text but `0.0.0`. Without one, the service's (if it has one).
    pub fn version(mut self, version: &str) -> Self {
        self.version = Some(version.to_owned());
        self
    }

    /// For people.
    pub fn description(mut self, text: &str) -> Self {
        self.draft.description = Some(text.to_owned());
        self
    }

    /// How long a call may take, 100 ms to 300 s: to the final reply, or of a stream to its first
    /// item and between items. Default 5 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.draft.timeout = Timeout::Millis(millis(timeout));
        self
    }

    /// As long as the gateway allows at most.
    pub fn timeout_infinity(mut self) -> Self {
        self.draft.timeout = Timeout::Infinity;
        self
    }

    /// Most time for one attempt; default: all that is left.
    pub fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.draft.attempt_timeout_ms = Some(millis(timeout));
        self
    }

    /// Most time for a whole stream; default: the gateway's maximum.
    pub fn max_duration(mut self, duration: Duration) -> Self {
        self.draft.max_duration_ms = Some(millis(duration));
        self
    }

    /// Any instance, as the broker picks. The default, and the fastest.
    pub fn random(self) -> Self {
        self.choose(ChooseNodeMode::Random)
    }

    /// One instance after the other.
    pub fn round_robin(self) -> Self {
        self.choose(ChooseNodeMode::RoundRobin)
    }

    /// By rendezvous hashing of the request id.
    pub fn hash(self) -> Self {
        self.choose(ChooseNodeMode::Hash)
    }

    /// By rendezvous hashing of the arg `name`: equal values meet the same instance.
    pub fn hash_arg(self, name: &str) -> Self {
        self.choose(ChooseNodeMode::HashArg(name.to_owned()))
    }

    /// A value of the arg `name` stays with the instance that got it first.
    pub fn sticky(self, name: &str) -> Self {
        self.choose(ChooseNodeMode::Sticky(name.to_owned()))
    }

    /// The less loaded of two random instances.
    pub fn least_loaded(self) -> Self {
        self.choose(ChooseNodeMode::LeastLoaded)
    }

    fn choose(mut self, mode: ChooseNodeMode) -> Self {
        self.draft.choose_node_mode = mode;
        self
    }

    /// The args, in place of what the handler's type tells.
    pub fn args<'a>(mut self, args: impl IntoIterator<Item = (&'a str, Arg)>) -> Self {
        let (types, mistake) = args::types(args);
        if let Some(mistake) = mistake {
            self.mistake("arg_types", mistake);
        }
        self.draft.arg_types = Some(types);
        self
    }

    /// The gateway passes any object; only the handler's own decoding checks.
    pub fn unchecked_args(mut self) -> Self {
        self.draft.arg_types = None;
        self
    }

    /// The order of the args for callers that pass a list; every arg must be named.
    pub fn arg_orders<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Self {
        let names = names.into_iter().map(str::to_owned).collect();
        self.draft.arg_orders = Some(ArgOrders::List(names));
        self
    }

    /// Anyone may call, also without identity. The default.
    pub fn public(self) -> Self {
        self.permission(Permission::Public)
    }

    /// Any user that is known may call.
    pub fn any_authenticated(self) -> Self {
        self.permission(Permission::AnyAuthenticated)
    }

    /// The user whose id equals the arg `name` may call.
    pub fn require_user_arg(self, name: &str) -> Self {
        self.permission(Permission::Arg(name.to_owned()))
    }

    /// Users with this role may call; said again, those with any of the roles.
    pub fn require_role(self, role: &str) -> Self {
        let mut roles = match &self.draft.check_permission {
            Permission::Role(roles) => roles.clone(),
            _ => Vec::new(),
        };
        roles.push(role.to_owned());
        self.permission(Permission::Role(roles))
    }

    fn permission(mut self, permission: Permission) -> Self {
        self.draft.check_permission = permission;
        self
    }

    /// A registered function that decides who may call, in place of the other rules: it answers
    /// `true`, or it denies.
    pub fn permission_callback(mut self, service: &str, function: &str) -> Self {
        self.draft.permission_callback =
            self.callback("permission_callback", service, function, None);
        self
    }

    /// [`Self::permission_callback`] with a value that it is given as `extra`.
    pub fn permission_callback_with(mut self, service: &str, function: &str, extra: Value) -> Self {
        self.draft.permission_callback =
            self.callback("permission_callback", service, function, Some(extra));
        self
    }

    /// So many extra attempts, on any instance.
    pub fn retry(self, attempts: u32) -> Self {
        self.retry_mode(RetryMode::AllNodes, attempts)
    }

    /// So many extra attempts, on the instance that was selected first.
    pub fn retry_same_node(self, attempts: u32) -> Self {
        self.retry_mode(RetryMode::SameNode, attempts)
    }

    fn retry_mode(mut self, mode: RetryMode, attempts: u32) -> Self {
        self.draft.retry = Some(Retry { mode, attempts });
        self
    }

    /// A registered function that may change the args or refuse the call: it answers
    /// `{"allow": true}`, `{"args": {…}}` or an error; anything else refuses.
    pub fn before_execute(self, service: &str, function: &str) -> Self {
        self.hooked("before_execute", service, function, None)
    }

    /// [`Self::before_execute`] with a value that it is given as `extra`.
    pub fn before_execute_with(self, service: &str, function: &str, extra: Value) -> Self {
        self.hooked("before_execute", service, function, Some(extra))
    }

    /// A registered function that hears what came of the call; of a sync call it may change the
    /// result, by answering `{"result": …}`.
    pub fn after_execute(self, service: &str, function: &str) -> Self {
        self.hooked("after_execute", service, function, None)
    }

    /// [`Self::after_execute`] with a value that it is given as `extra`.
    pub fn after_execute_with(self, service: &str, function: &str, extra: Value) -> Self {
        self.hooked("after_execute", service, function, Some(extra))
    }

    fn hooked(
        mut self,
        field: &'static str,
        service: &str,
        function: &str,
        extra: Option<Value>,
    ) -> Self {
        let callback = self.callback(field, service, function, extra);
        match field {
            "before_execute" => self.draft.before_execute = callback,
            _ => self.draft.after_execute = callback,
        }
        self
    }

    /// Most time for a hook, default 5 s.
    pub fn hook_timeout(mut self, timeout: Duration) -> Self {
        self.draft.hook_timeout_ms = millis(timeout);
        self
    }

    /// Says that the handler looks at the caller's identity. It is given it in any case.
    pub fn request_info(mut self) -> Self {
        self.draft.request_info = true;
        self
    }

    /// Registered, but not callable until an operator enables it.
    pub fn disabled(mut self) -> Self {
        self.draft.disabled = true;
        self
    }

    /// Running it twice does no harm: allows GET, and retries after a call that may have run.
    pub fn idempotent(mut self) -> Self {
        self.draft.idempotent = true;
        self
    }

    /// Not callable from outside: a hook, or a function for other workers.
    pub fn internal(mut self) -> Self {
        self.draft.internal = true;
        self
    }

    /// The JSON Schema of the result.
    pub fn result_schema(mut self, schema: Value) -> Self {
        self.draft.result_schema = Some(schema);
        self
    }

    /// The result's schema as a Rust type tells it.
    pub fn result_of<T: JsonSchema>(self) -> Self {
        let settings = schemars::generate::SchemaSettings::draft2020_12().for_serialize();
        let schema = settings.into_generator().into_root_schema_for::<T>();
        self.result_schema(schema.to_value())
    }

    /// An HTTP route, `"GET /users/{id}"`; said again, one more.
    pub fn route(mut self, route: &str) -> Self {
        self.draft.routes.push(route.to_owned());
        self
    }

    /// Most calls at once of one gateway; without [`Self::max_queue`] one more is refused at once.
    pub fn max_in_flight(mut self, calls: u32) -> Self {
        self.draft.max_in_flight = Some(calls);
        self
    }

    /// Most calls that wait in a gateway for [`Self::max_in_flight`].
    pub fn max_queue(mut self, calls: u32) -> Self {
        self.draft.max_queue = Some(calls);
        self
    }

    fn mistake(&mut self, field: &'static str, message: String) {
        self.mistakes.push((field, message));
    }

    fn callback(
        &mut self,
        field: &'static str,
        service: &str,
        function: &str,
        extra: Option<Value>,
    ) -> Option<Callback> {
        let names = (ServiceName::new(service), FunctionName::new(function));
        match names {
            (Ok(service), Ok(request_type)) => Some(Callback {
                service,
                request_type,
                extra,
            }),
            (service, function) => {
                for fault in [service.err(), function.err()].into_iter().flatten() {
                    self.mistake(field, fault.to_string());
                }
                None
            }
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
