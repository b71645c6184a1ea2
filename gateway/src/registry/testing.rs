//! What the registry's tests share: a parser of their own, and a worker's messages.

use serde_json::{Value, json};
use sluice_protocol::function::ServiceConfig;
use sluice_protocol::registry::{
    ConfigText, Instance, InstanceState, Message, Reason, config_hash, feature,
};
use sluice_protocol::{ApiVersion, FunctionName, FunctionSpec, InstanceId, ServiceName};

pub(super) fn service(name: &str) -> ServiceName {
    ServiceName::new(name).unwrap()
}

pub(super) fn instance_id(name: &str) -> InstanceId {
    InstanceId::new(name).unwrap()
}

pub(super) fn function_name(name: &str) -> FunctionName {
    FunctionName::new(name).unwrap()
}

/// Reads `request_type`, `version` and `disabled`; a function with a field `bad` is refused.
pub(super) fn parse(service: &ServiceName, text: &str) -> Result<ServiceConfig, Vec<Reason>> {
    let reason = |function: &str, message: &str| Reason {
        function: function.into(),
        field: String::new(),
        message: message.into(),
    };
    let value: Value = serde_json::from_str(text).map_err(|e| vec![reason("", &e.to_string())])?;
    let mut functions = Vec::new();
    let mut reasons = Vec::new();
    for entry in value["functions"].as_array().into_iter().flatten() {
        let name = entry["request_type"].as_str().unwrap_or_default();
        if entry.get("bad").is_some() {
            reasons.push(reason(name, "is bad"));
            continue;
        }
        let Ok(request_type) = FunctionName::new(name) else {
            reasons.push(reason(name, "has no name"));
            continue;
        };
        functions.push(FunctionSpec {
            version: entry["version"]
                .as_str()
                .map(|v| ApiVersion::new(v).unwrap()),
            disabled: entry["disabled"] == true,
            ..FunctionSpec::new(service.clone(), request_type)
        });
    }
    if reasons.is_empty() {
        Ok(ServiceConfig {
            functions,
            versions: Default::default(),
        })
    } else {
        Err(reasons)
    }
}

/// A config's text: functions as `name` or `name@version`, and a mark that changes its hash.
pub(super) fn config_text(functions: &[&str], mark: &str) -> String {
    let functions: Vec<Value> = functions
        .iter()
        .map(|f| match f.split_once('@') {
            Some((name, version)) => json!({ "request_type": name, "version": version }),
            None => json!({ "request_type": f }),
        })
        .collect();
    json!({ "functions": functions, "mark": mark }).to_string()
}

pub(super) fn heard(service: &str, instance: &str, text: &str, state: InstanceState) -> Instance {
    Instance {
        service: self::service(service),
        instance: instance_id(instance),
        config_hash: config_hash(text),
        state,
        features: vec![feature::BEAT.into(), feature::CANCEL.into()],
        encodings: vec!["json".into()],
        in_flight: 3,
        capacity: 10,
    }
}

pub(super) fn announce(service: &str, instance: &str, text: &str, state: InstanceState) -> Message {
    Message::Announce {
        instance: heard(service, instance, text, state),
        config: label(text),
        force: false,
    }
}

pub(super) fn label(text: &str) -> ConfigText {
    ConfigText {
        config_version: Some("v1".into()),
        text: text.into(),
    }
}

pub(super) fn heartbeat(
    service: &str,
    instance: &str,
    text: &str,
    state: InstanceState,
) -> Message {
    Message::Heartbeat(heard(service, instance, text, state))
}

pub(super) fn leave(service: &str, instance: &str) -> Message {
    Message::Leave {
        service: self::service(service),
        instance: instance_id(instance),
    }
}
