//! How the gateways of a run are configured.

use sluice_e2e::collector::Collector;
use sluice_e2e::gateway::{Gateway, GatewayBuilder};
use sluice_e2e::nats::Broker;
use sluice_e2e::redis::Redis;

use serde_json::json;

use super::FIXED;
use crate::floor::SUBJECT;

/// The rules of an echo's args.
const ARGS: &str =
    r#"arg_types = { id = "integer", message = { type = "string", max_bytes = 300000 } }"#;

/// Functions that the floors' own responder answers: what is measured then is the gateway alone.
fn fixed_functions() -> String {
    let permission = r#"check_permission = "any_authenticated""#;
    let nobody = r#"check_permission = { role = ["nobody"] }"#;
    let functions = [
        ("plain", vec![]),
        ("checked", vec![ARGS]),
        ("guarded", vec![ARGS, permission]),
        ("denied", vec![ARGS, nobody]),
        ("limited_1", vec![ARGS]),
        ("limited_3", vec![ARGS]),
        ("everything", vec![ARGS, permission]),
        ("over", vec![ARGS]),
    ];
    let mut lines = String::new();
    for (name, rules) in functions {
        lines += &format!(
            "[[function]]\nservice = \"{FIXED}\"\nsubject = \"{SUBJECT}\"\nheaders = false\nrequest_type = \"{name}\"\n"
        );
        for rule in rules {
            lines += rule;
            lines.push('\n');
        }
    }
    lines
}

/// Limits that nobody reaches, but for `over`, which everybody has reached.
fn limits() -> String {
    let limit = |name: &str, function: &str, key: &str, most: u32, window_ms: u32| {
        format!(
            "[[limit]]\nname = \"{name}\"\nservice = \"{FIXED}\"\nfunction = \"{function}\"\nkey = \"{key}\"\n\
             max_requests = {most}\nwindow_ms = {window_ms}\n"
        )
    };
    let mut lines = limit("one", "limited_1", "user_id", 1_000_000, 1000);
    for function in ["limited_3", "everything"] {
        for key in ["user_id", "ip_address+user_id", "arg:id+user_id"] {
            let name = format!("{function}-{}", key.replace([':', '+'], "-"));
            lines += &limit(&name, function, key, 1_000_000, 1000);
        }
    }
    lines + &limit("over", "over", "all", 1, 86_400_000)
}

/// The gateway that most variants measure.
pub(super) fn plain(broker: &Broker) -> GatewayBuilder {
    let topics = json!(["api:*", "reply:* phoenix_gen_api reply"]);
    Gateway::builder(broker.url())
        .option("phoenix", "topics", topics)
        .option("log", "filter", "warn")
        // Refused calls are measured, too.
        .option("limits", "refused_per_minute", 0)
        .toml(&fixed_functions())
}

/// The same with a collector for its spans.
pub(super) fn traced(broker: &Broker, collector: &Collector) -> GatewayBuilder {
    plain(broker).option("telemetry", "otlp_endpoint", collector.url())
}

/// The same with limits in Redis.
pub(super) fn limited(broker: &Broker, redis: &Redis) -> GatewayBuilder {
    plain(broker)
        .option("redis", "url", redis.url())
        .toml(&limits())
}
