//! `json_export`: functions as requests that can be sent at once.

use serde_json::{Map, Value, json};
use sluice_gateway::diagnostics::export::{Options, example};

use super::{Outcome, Vector, fun_config, same};

pub(super) fn run(vector: &Vector) -> Outcome {
    let spec = fun_config::register(&vector.input["config"]);
    let spec = spec.map_err(|faults| json!({ "refused": format!("{faults:?}") }))?;
    let (key, value) = example(&spec, &options(&vector.input["options"]));
    same(&vector.expect, json!({ "key": key, "value": value }))
}

fn options(of: &Value) -> Options {
    let default = Options::default();
    let text = |name: &str, default: String| of[name].as_str().map_or(default, str::to_owned);
    let map =
        |name: &str| -> Map<String, Value> { of[name].as_object().cloned().unwrap_or_default() };
    Options {
        user_id: text("user_id", default.user_id),
        device_id: text("device_id", default.device_id),
        request_id: text("request_id", default.request_id),
        event: text("event", default.event),
        descriptions: map("descriptions"),
        arg_values: map("arg_values"),
    }
}
