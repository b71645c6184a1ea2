//! A function as a worker registers it: read field by field, and every mistake told.

use serde_json::{Map, Value};

use super::fields::{
    MAX_TIMEOUT_MS, callback, choose_node_mode, cut, description, fits, kind, order, response_type,
    result_schema, shown, timeout, version, whole,
};
use super::{ArgOrders, FieldFault, FunctionSpec, ResponseType, Route};
use crate::argument::{ArgTypes, Budget};
use crate::id::{FunctionName, ServiceName};
use crate::permission::Permission;
use crate::retry::Retry;
use crate::suggest::did_you_mean;

/// All fields, in the order in which mistakes are told.
const FIELDS: [&str; 26] = [
    "request_type",
    "service",
    "kind",
    "choose_node_mode",
    "timeout",
    "arg_types",
    "arg_orders",
    "response_type",
    "check_permission",
    "permission_callback",
    "request_info",
    "version",
    "disabled",
    "retry",
    "before_execute",
    "after_execute",
    "hook_timeout",
    "description",
    "idempotent",
    "internal",
    "result_schema",
    "routes",
    "max_in_flight",
    "max_queue",
    "attempt_timeout",
    "max_duration",
];

const DAY_MS: u64 = 86_400_000;
const MAX_ROUTES: usize = 32;

/// Reads one function of `service`.
pub(super) fn function(
    service: &ServiceName,
    value: &Value,
    budget: &mut Budget,
) -> Result<FunctionSpec, Vec<FieldFault>> {
    let Value::Object(map) = value else {
        return Err(vec![FieldFault {
            field: String::new(),
            message: format!("a function must be an object, got {}", shown(value)),
        }]);
    };
    let mut fields = Fields {
        map,
        faults: Vec::new(),
    };
    let spec = fields.all(service, budget);
    match spec {
        Some(spec) if fields.faults.is_empty() => Ok(spec),
        _ => Err(fields.faults),
    }
}

struct Fields<'v> {
    map: &'v Map<String, Value>,
    faults: Vec<FieldFault>,
}

impl<'v> Fields<'v> {
    fn fault(&mut self, field: &str, message: impl Into<String>) {
        self.faults.push(FieldFault {
            field: field.to_owned(),
            message: message.into(),
        });
    }

    /// Reads a field if it is there.
    fn read<T>(
        &mut self,
        field: &str,
        read: impl FnOnce(&'v Value) -> Result<T, String>,
    ) -> Option<T> {
        let value = self.map.get(field)?;
        read(value)
            .map_err(|rule| self.fault(field, format!("{rule}, got {}", shown(value))))
            .ok()
    }

    /// Reads a field for which null means the default.
    fn nullable<T>(
        &mut self,
        field: &str,
        read: impl FnOnce(&'v Value) -> Result<T, String>,
    ) -> Option<T> {
        if self.map.get(field)?.is_null() {
            return None;
        }
        self.read(field, read)
    }

    fn flag(&mut self, field: &str) -> bool {
        let read = |v: &Value| {
            v.as_bool()
                .ok_or_else(|| "must be true or false".to_owned())
        };
        self.read(field, read).unwrap_or(false)
    }

    fn whole(&mut self, field: &str, min: u64, max: u64) -> Option<u64> {
        self.nullable(field, |v| whole(v, min, max))
    }

    fn count(&mut self, field: &str, min: u64) -> Option<u32> {
        let count = self.whole(field, min, u32::MAX.into())?;
        u32::try_from(count).ok()
    }

    fn all(&mut self, service: &ServiceName, budget: &mut Budget) -> Option<FunctionSpec> {
        let request_type = self.request_type();
        self.service(service);
        let placeholder = || FunctionName::new("request_type").ok();
        // The rest is read also if the name is wrong: all mistakes at once.
        let mut spec = FunctionSpec::new(service.clone(), request_type.or_else(placeholder)?);
        spec.kind = self.read("kind", kind).unwrap_or_default();
        spec.choose_node_mode = self
            .read("choose_node_mode", choose_node_mode)
            .unwrap_or_default();
        spec.timeout = self.read("timeout", timeout).unwrap_or(spec.timeout);
        spec.arg_types = self.arg_types(budget);
        spec.arg_orders = self.arg_orders(spec.arg_types.as_ref());
        spec.response_type = self
            .read("response_type", response_type)
            .unwrap_or_default();
        let as_map = spec.arg_orders == Some(ArgOrders::Map);
        spec.check_permission = self.check_permission(spec.arg_types.as_ref(), as_map);
        spec.permission_callback = self.nullable("permission_callback", callback);
        spec.request_info = self.flag("request_info");
        spec.version = self.nullable("version", version);
        spec.disabled = self.flag("disabled");
        spec.retry = self.nullable("retry", Retry::from_json);
        spec.before_execute = self.nullable("before_execute", callback);
        spec.after_execute = self.nullable("after_execute", callback);
        let hook_timeout = self.read("hook_timeout", |v| whole(v, 1, MAX_TIMEOUT_MS));
        spec.hook_timeout_ms = hook_timeout.unwrap_or(spec.hook_timeout_ms);
        spec.description = self.nullable("description", description);
        spec.idempotent = self.flag("idempotent");
        spec.internal = self.flag("internal");
        spec.result_schema = self.nullable("result_schema", result_schema);
        spec.routes = self.routes(&spec);
        self.resource(&spec);
        spec.max_in_flight = self.count("max_in_flight", 1);
        spec.max_queue = self.count("max_queue", 0);
        spec.attempt_timeout_ms = self.whole("attempt_timeout", 1, MAX_TIMEOUT_MS);
        spec.max_duration_ms = self.whole("max_duration", 100, DAY_MS);
        self.unknown_fields();
        Some(spec)
    }

    fn request_type(&mut self) -> Option<FunctionName> {
        if !self.map.contains_key("request_type") {
            self.fault("request_type", "is missing: the name of the function");
        }
        self.read("request_type", |v| {
            let name = v.as_str().filter(|name| !name.is_empty());
            let name = name.ok_or("must be a non-empty string")?;
            FunctionName::new(name).map_err(|e| e.to_string())
        })
    }

    fn service(&mut self, service: &ServiceName) {
        self.read("service", |v| {
            let same = v.as_str() == Some(service.as_str());
            same.then_some(())
                .ok_or_else(|| format!("must be {:?} or left out", service.as_str()))
        });
    }

    fn arg_types(&mut self, budget: &mut Budget) -> Option<ArgTypes> {
        let value = self.map.get("arg_types").filter(|v| !v.is_null())?;
        let faults = match ArgTypes::read(value, budget) {
            Ok(types) => return Some(types),
            Err(faults) => faults,
        };
        for fault in faults {
            self.fault(&format!("arg_types{}", fault.path), fault.message);
        }
        None
    }

    fn arg_orders(&mut self, types: Option<&ArgTypes>) -> Option<ArgOrders> {
        let given = self.map.get("arg_types").is_some_and(|v| !v.is_null());
        // Then nothing can be said about their order.
        let types_are_wrong = given && types.is_none();
        self.nullable("arg_orders", |v| {
            let declared = types.filter(|types| !types.0.is_empty());
            let undeclared = || match declared {
                None if !types_are_wrong => Err("needs arg_types that it orders".to_owned()),
                _ => Ok(()),
            };
            match v {
                Value::String(word) if word == "map" => undeclared().map(|()| Some(ArgOrders::Map)),
                // Nothing is said about the order.
                Value::Array(names) if names.is_empty() => Ok(None),
                Value::Array(names) => {
                    undeclared()?;
                    order(names, declared).map(|names| Some(ArgOrders::List(names)))
                }
                _ => Err("must be a list of argument names, \"map\" or null".to_owned()),
            }
        })
        .flatten()
    }

    fn check_permission(&mut self, types: Option<&ArgTypes>, as_map: bool) -> Permission {
        let read = |v: &Value| {
            let permission = Permission::from_json(v)?;
            // Such a rule would deny every call.
            if let (Permission::Arg(name), Some(types)) = (&permission, types) {
                // It may stand one level down.
                let nested = as_map && types.0.iter().any(|(_, spec)| spec.kind.takes_objects());
                if nested && types.get(name).is_none() {
                    return Ok(permission);
                }
                let spec = types.get(name).ok_or_else(|| {
                    let hint = did_you_mean(name, types.names());
                    format!("names an argument that arg_types does not declare{hint}")
                })?;
                if !spec.kind.takes_strings() {
                    return Err("names an argument that is no string".to_owned());
                }
            }
            Ok(permission)
        };
        self.read("check_permission", read).unwrap_or_default()
    }

    fn routes(&mut self, spec: &FunctionSpec) -> Vec<String> {
        let list = self.nullable("routes", |v| {
            let list: Option<Vec<&str>> = v.as_array().and_then(|l| {
                (l.len() <= MAX_ROUTES).then(|| l.iter().map(Value::as_str).collect())?
            });
            list.ok_or_else(|| format!("must be a list of at most {MAX_ROUTES} strings"))
        });
        let list = list.unwrap_or_default();
        if spec.internal && !list.is_empty() {
            self.fault("routes", "an internal function is not called from outside");
        }
        let mut shapes: Vec<String> = Vec::new();
        for (index, text) in list.iter().enumerate() {
            let checked = Route::parse(text).and_then(|route| {
                fits(route, spec)?;
                let shape = route.shape();
                if shapes.contains(&shape) {
                    return Err("matches the same requests as another route".to_owned());
                }
                shapes.push(shape);
                Ok(())
            });
            if let Err(message) = checked {
                let message = format!("{message}, got {}", shown(&Value::from(*text)));
                self.fault(&format!("routes/{index}"), message);
            }
        }
        list.into_iter().map(str::to_owned).collect()
    }

    /// What a resource cannot have.
    fn resource(&mut self, spec: &FunctionSpec) {
        if !spec.is_resource() {
            return;
        }
        if spec.routes.is_empty() && !self.map.contains_key("routes") {
            self.fault(
                "routes",
                "is missing: a resource is called at its routes alone",
            );
        }
        if !matches!(
            spec.response_type,
            ResponseType::Sync | ResponseType::Stream
        ) {
            self.fault(
                "response_type",
                "of a resource must be \"sync\" or \"stream\"",
            );
        }
        if spec.internal {
            self.fault("internal", "a resource is called from outside alone");
        }
    }

    fn unknown_fields(&mut self) {
        let map = self.map;
        for name in map.keys().filter(|k| !FIELDS.contains(&k.as_str())) {
            let message = match name.as_str() {
                "mfa" => "is not needed here: the worker that registers a function runs it".into(),
                "nodes" => "is not needed here: instances announce themselves".into(),
                name => format!("is no field of a function{}", did_you_mean(name, FIELDS)),
            };
            self.fault(&cut(name), message);
        }
    }
}
