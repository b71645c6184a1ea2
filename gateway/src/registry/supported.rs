//! What this gateway can serve of what a config may say.
//!
//! A rule that would silently not hold is worse than a function that is missing: a config that asks
//! for more than this gateway does is refused, with every such field named.

use sluice_protocol::ServiceName;
use sluice_protocol::function::{FunctionSpec, Route, Segment, ServiceConfig};
use sluice_protocol::registry::Reason;

/// First parts of paths that the gateway itself answers.
const OWN: [&str; 2] = ["api", "health"];

/// Reads a config and refuses what is not served.
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

/// What of a function this gateway would pass over: routes at paths that are its own.
pub(super) fn not_served(spec: &FunctionSpec) -> Vec<Reason> {
    let own = |text: &str| {
        let route = Route::parse(text).ok()?;
        match route.segments().next() {
            Some(Segment::Text(first)) => OWN.into_iter().find(|own| *own == first),
            _ => None,
        }
    };
    let routes = spec.routes.iter().enumerate();
    let taken = routes.filter_map(|(index, text)| Some((index, text, own(text)?)));
    taken
        .map(|(index, text, own)| Reason {
            function: spec.label(),
            field: format!("routes/{index}"),
            message: format!("{text:?} is below /{own}, which is the gateway's own"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_silently_not_hold_is_refused_by_name() {
        let service = ServiceName::new("s").unwrap();
        let text = r#"{"functions": [
            {"request_type": "ok", "routes": ["POST /apis", "POST /x/api"]},
            {"request_type": "g", "before_execute": "auth.check", "max_in_flight": 3},
            {"request_type": "f", "routes": ["POST /f", "POST /api/s/f", "DELETE /health"]}
        ]}"#;
        let reasons = parse(&service, text).unwrap_err();
        let fields: Vec<&str> = reasons.iter().map(|r| r.field.as_str()).collect();
        assert_eq!(fields, ["routes/1", "routes/2"]);
    }
}
