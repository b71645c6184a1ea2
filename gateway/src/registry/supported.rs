//! What this gateway can serve of what a config may say.
//!
//! A rule that would silently not hold is worse than a function that is missing: a config that asks
//! for more than this gateway does is refused, with every such field named.

use sluice_protocol::ServiceName;
use sluice_protocol::function::{FunctionSpec, ServiceConfig};
use sluice_protocol::registry::Reason;

/// Reads a config and refuses what is not served yet.
///
/// # Errors
/// Every mistake of every function.
pub(super) fn parse(service: &ServiceName, text: &str) -> Result<ServiceConfig, Vec<Reason>> {
    let config = ServiceConfig::parse(service, text)?;
    let reasons: Vec<Reason> = config.functions.iter().flat_map(not_served).collect();
    if reasons.is_empty() {
        Ok(config)
    } else {
        Err(reasons)
    }
}

/// The fields of a function that this gateway would pass over.
pub(super) fn not_served(spec: &FunctionSpec) -> Vec<Reason> {
    let fields = [("routes", !spec.routes.is_empty())];
    let reason = |(field, _): (&str, bool)| Reason {
        function: spec.label(),
        field: field.to_owned(),
        message: "this version of the gateway does not serve it yet".to_owned(),
    };
    fields
        .into_iter()
        .filter(|(_, set)| *set)
        .map(reason)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_silently_not_hold_is_refused_by_name() {
        let service = ServiceName::new("s").unwrap();
        let text = r#"{"functions": [
            {"request_type": "ok"},
            {"request_type": "g", "before_execute": "auth.check", "max_in_flight": 3},
            {"request_type": "f", "routes": ["POST /f"]}
        ]}"#;
        let fields: Vec<String> = parse(&service, text)
            .unwrap_err()
            .into_iter()
            .map(|r| r.field)
            .collect();
        assert_eq!(fields, ["routes"]);
    }
}
