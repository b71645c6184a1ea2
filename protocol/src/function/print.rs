//! A function as JSON: fields that have their default are left out, the others in one order.

use serde_json::{Map, Value, json};

use super::{ArgOrders, Callback, ChooseNodeMode, FunctionSpec, Kind, ResponseType, Timeout};
use crate::argument::ArgTypes;
use crate::permission::Permission;
use crate::retry::Retry;

/// The function, without its service: the config it stands in says that.
pub(super) fn function(spec: &FunctionSpec) -> Value {
    let default = FunctionSpec::new(spec.service.clone(), spec.request_type.clone());
    let mut out = Out(Map::new());
    out.put("request_type", json!(spec.request_type));
    out.optional("version", spec.version.as_ref().map(|v| json!(v)));
    out.changed("kind", &spec.kind, &default.kind, |k| json!(kind(*k)));
    out.changed(
        "response_type",
        &spec.response_type,
        &default.response_type,
        |r| json!(response_type(*r)),
    );
    out.changed("timeout", &spec.timeout, &default.timeout, |t| timeout(*t));
    out.changed(
        "choose_node_mode",
        &spec.choose_node_mode,
        &default.choose_node_mode,
        choose_node_mode,
    );
    out.optional("arg_types", spec.arg_types.as_ref().map(ArgTypes::to_json));
    out.optional("arg_orders", spec.arg_orders.as_ref().map(arg_orders));
    out.changed(
        "check_permission",
        &spec.check_permission,
        &default.check_permission,
        Permission::to_json,
    );
    out.optional(
        "permission_callback",
        spec.permission_callback.as_ref().map(callback),
    );
    out.optional("retry", spec.retry.map(Retry::to_json));
    out.optional("before_execute", spec.before_execute.as_ref().map(callback));
    out.optional("after_execute", spec.after_execute.as_ref().map(callback));
    out.changed(
        "hook_timeout",
        &spec.hook_timeout_ms,
        &default.hook_timeout_ms,
        |t| json!(t),
    );
    out.flag("request_info", spec.request_info);
    out.flag("disabled", spec.disabled);
    out.optional("description", spec.description.as_ref().map(|d| json!(d)));
    out.flag("idempotent", spec.idempotent);
    out.flag("internal", spec.internal);
    out.optional("result_schema", spec.result_schema.clone());
    out.changed("routes", &spec.routes, &default.routes, |r| json!(r));
    out.optional("max_in_flight", spec.max_in_flight.map(|n| json!(n)));
    out.optional("max_queue", spec.max_queue.map(|n| json!(n)));
    out.optional("attempt_timeout", spec.attempt_timeout_ms.map(|n| json!(n)));
    out.optional("max_duration", spec.max_duration_ms.map(|n| json!(n)));
    Value::Object(out.0)
}

struct Out(Map<String, Value>);

impl Out {
    fn put(&mut self, name: &str, value: Value) {
        self.0.insert(name.to_owned(), value);
    }

    fn optional(&mut self, name: &str, value: Option<Value>) {
        if let Some(value) = value {
            self.put(name, value);
        }
    }

    fn flag(&mut self, name: &str, value: bool) {
        self.optional(name, value.then_some(Value::Bool(true)));
    }

    fn changed<T: PartialEq>(
        &mut self,
        name: &str,
        value: &T,
        default: &T,
        print: impl Fn(&T) -> Value,
    ) {
        self.optional(name, (value != default).then(|| print(value)));
    }
}

fn kind(of: Kind) -> &'static str {
    match of {
        Kind::Function => "function",
        Kind::Resource => "resource",
    }
}

fn response_type(of: ResponseType) -> &'static str {
    match of {
        ResponseType::Sync => "sync",
        ResponseType::Async => "async",
        ResponseType::Stream => "stream",
        ResponseType::None => "none",
    }
}

fn timeout(timeout: Timeout) -> Value {
    match timeout {
        Timeout::Millis(ms) => json!(ms),
        Timeout::Infinity => json!("infinity"),
    }
}

fn choose_node_mode(mode: &ChooseNodeMode) -> Value {
    match mode {
        ChooseNodeMode::Random => json!("random"),
        ChooseNodeMode::RoundRobin => json!("round_robin"),
        ChooseNodeMode::Hash => json!("hash"),
        ChooseNodeMode::HashArg(arg) => json!({ "hash": arg }),
        ChooseNodeMode::Sticky(arg) => json!({ "sticky": arg }),
        ChooseNodeMode::LeastLoaded => json!("least_loaded"),
    }
}

fn arg_orders(orders: &ArgOrders) -> Value {
    match orders {
        ArgOrders::Map => json!("map"),
        ArgOrders::List(names) => json!(names),
    }
}

fn callback(callback: &Callback) -> Value {
    let Callback {
        service,
        request_type,
        extra,
    } = callback;
    let mut out = Out(Map::new());
    if request_type.as_str().contains('.') {
        out.put("service", json!(service));
        out.put("function", json!(request_type));
    } else {
        out.put("function", json!(format!("{service}.{request_type}")));
    }
    match (extra, out.0.len()) {
        (Some(extra), _) => out.put("extra", extra.clone()),
        (None, 1) => return out.0.remove("function").unwrap_or_default(),
        (None, _) => {}
    }
    Value::Object(out.0)
}
