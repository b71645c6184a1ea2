//! What this gateway can serve of what a config may say.
//!
//! A rule that would silently not hold is worse than a function that is missing: a config that asks
//! for more than this gateway does is refused, with every such field named. So is a route that no
//! request would ever come to.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sluice_protocol::ServiceName;
use sluice_protocol::function::{FunctionSpec, Route, Segment, ServiceConfig};
use sluice_protocol::registry::Reason;

/// What is not encoded in the text of a path.
const TEXT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// First parts of paths that the gateway itself answers.
const OWN: [&str; 2] = ["api", "health"];

/// Reads a config and refuses what is not served.
///
/// # Errors
/// Every mistake of every function.
pub(super) fn parse(
    service: &ServiceName,
    text: &str,
    taken: &dyn Fn(&str) -> Option<String>,
) -> Result<ServiceConfig, Vec<Reason>> {
    let config = ServiceConfig::parse(service, text)?;
    let reasons = config
        .functions
        .iter()
        .flat_map(|spec| not_served(spec, taken));
    let reasons: Vec<Reason> = reasons.collect();
    if reasons.is_empty() {
        Ok(config)
    } else {
        Err(reasons)
    }
}

/// What of a function this gateway would pass over: routes at paths that others answer.
pub(super) fn not_served(
    spec: &FunctionSpec,
    taken: &dyn Fn(&str) -> Option<String>,
) -> Vec<Reason> {
    let routes = spec.routes.iter().enumerate();
    let reasons = routes.filter_map(|(index, text)| {
        let route = Route::parse(text).ok()?;
        Some((index, text, own(route).or_else(|| taken(&sample(route)))?))
    });
    reasons
        .map(|(index, text, why)| Reason {
            function: spec.label(),
            field: format!("routes/{index}"),
            message: format!("no request would come to {text:?}: {why}"),
        })
        .collect()
}

fn own(route: Route<'_>) -> Option<String> {
    match route.segments().next() {
        Some(Segment::Text(first)) if OWN.contains(&first) => {
            Some(format!("/{first} is the gateway's own"))
        }
        _ => None,
    }
}

/// A path of the route. What its parameters stand for here nobody else takes, so that a route which
/// only some requests do not come to is served.
fn sample(route: Route<'_>) -> String {
    let segments = route.segments().map(|segment| match segment {
        Segment::Text(text) => utf8_percent_encode(text, TEXT).to_string(),
        Segment::Param(_) | Segment::Rest(_) => "-".to_owned(),
    });
    let path: Vec<String> = segments.collect();
    format!("/{}", path.join("/"))
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
        let reasons = parse(&service, text, &|_| None).unwrap_err();
        let fields: Vec<&str> = reasons.iter().map(|r| r.field.as_str()).collect();
        assert_eq!(fields, ["routes/1", "routes/2"]);
    }

    #[test]
    fn routes_that_nobody_comes_to_are_refused_with_the_reason() {
        let mut config = crate::config::Config::default();
        config.versions.sources = vec!["path:/v{version}".to_owned(), "field".to_owned()];
        let taken = crate::edge::taken_paths(&config);
        let service = ServiceName::new("s").unwrap();
        let of = |route: &str| {
            let text = serde_json::json!({
                "functions": [{"request_type": "f", "idempotent": true, "routes": [route]}]
            });
            let reasons = parse(&service, &text.to_string(), &*taken).err();
            reasons.map(|reasons| reasons[0].message.clone())
        };
        for (route, why) in [
            ("GET /v2/y", "begins with a version"),
            ("GET /v1.5/{id}", "begins with a version"),
            ("GET /socket/websocket", "sockets"),
        ] {
            let message = of(route).unwrap_or_default();
            assert!(message.contains(why), "{route}: {message}");
            assert!(message.contains(route), "{message}");
        }
        for route in [
            "GET /v2",
            "GET /vault/y",
            "GET /{v}/y",
            "GET /socket/{x}",
            "GET /socket",
        ] {
            assert_eq!(of(route), None, "{route}");
        }
    }
}
