//! Every change leaves an entry in the audit.

use std::collections::BTreeSet;

use super::*;
use crate::live::{Socket, Stream};

/// One request for each route that changes something, in an order in which all of them succeed:
/// the route, what stands in its path, its query and its body.
const CHANGES: &[(&str, &str, &str, &str)] = &[
    ("DELETE /v1/refused", "", "", ""),
    (
        "PUT /v1/functions/{service}/{function}/disabled",
        "s/f",
        "",
        r#"{"disabled":true}"#,
    ),
    ("DELETE /v1/functions/{service}/{function}", "s/f", "", ""),
    (
        "POST /v1/functions/{service}/{function}/restore",
        "s/f",
        "",
        "",
    ),
    (
        "PUT /v1/functions/{service}/{function}/latest",
        "s/f",
        "",
        r#"{"version":"1"}"#,
    ),
    (
        "PUT /v1/functions/{service}/{function}/deprecation",
        "s/f",
        "",
        r#"{"at":5}"#,
    ),
    (
        "DELETE /v1/functions/{service}/{function}/deprecation",
        "s/f",
        "",
        "",
    ),
    (
        "PUT /v1/pins",
        "",
        "",
        r#"{"user":"ann","service":"s","version":"1"}"#,
    ),
    ("DELETE /v1/pins", "", "?user=ann&service=s", ""),
    (
        "PUT /v1/instances/{service}/{instance}/drained",
        "s/gone",
        "",
        r#"{"drained":false}"#,
    ),
    (
        "DELETE /v1/functions/{service}/{function}/sticky",
        "s/f",
        "?key=k",
        "",
    ),
    ("POST /v1/breakers/reset", "", "", ""),
    ("DELETE /v1/sockets/{id}", "-1", "", ""),
    ("DELETE /v1/streams/{id}", "-1", "", ""),
    (
        "PUT /v1/limits/{name}",
        "l",
        "",
        r#"{"key":"user_id","max_requests":5,"window_ms":1000}"#,
    ),
    ("POST /v1/limits/{name}/check", "l", "?value=u", ""),
    ("POST /v1/limits/{name}/reset", "l", "?value=u", ""),
    ("DELETE /v1/limits/{name}", "l", "", ""),
    ("POST /v1/revocations", "", "", r#"{"user":"ann"}"#),
    ("DELETE /v1/revocations", "", "", r#"{"user":"ann"}"#),
    ("PUT /v1/log", "", "", r#"{"filter":"debug"}"#),
    ("DELETE /v1/log", "", "", ""),
];

/// A route's path with `parts` in its places, in their order.
fn path_of(route: &str, parts: &str) -> String {
    let mut parts = parts.split('/');
    let fill = |part: &str| match part.starts_with('{') {
        true => parts.next().unwrap_or_default().to_owned(),
        false => part.to_owned(),
    };
    route.split('/').map(fill).collect::<Vec<_>>().join("/")
}

#[tokio::test]
async fn every_route_that_changes_something_leaves_an_entry() {
    let parts = parts(false);
    let live = parts.live.clone();
    let _socket = live.sockets.open(Socket::default());
    let _stream = live.streams.open(Stream {
        service: sluice_protocol::ServiceName::new("s").unwrap(),
        function: sluice_protocol::FunctionName::new("f").unwrap(),
        version: None,
        request_id: sluice_protocol::RequestId::new("r").unwrap(),
        user: None,
        items: Default::default(),
    });
    // An instance that was drained and is gone.
    let drained = crate::overrides::Key::Drained {
        service: sluice_protocol::ServiceName::new("s").unwrap(),
        instance: sluice_protocol::InstanceId::new("gone").unwrap(),
    };
    let decision = crate::overrides::Decision::Flag(drained);
    parts.steering.decide(decision, "ann").await.unwrap();
    let ids = [
        live.sockets.list(0, 1, |_| true)[0].id,
        live.streams.list(0, 1, |_| true)[0].id,
    ];
    assert_eq!(ids, [1, 1]);
    let router = super::router(parts);
    let mut changed = BTreeSet::new();
    for (route, in_path, query, body) in CHANGES {
        let (method, path) = route.split_once(' ').unwrap();
        let path = format!("{}{query}", path_of(path, in_path));
        let method: Method = method.parse().unwrap();
        let (status, answer) = tell(&router, method, &path, body).await;
        assert_eq!(status, 200, "{route} {path}: {answer}");
        changed.insert((*route).to_owned());
        let (_, audit) = tell(&router, Method::GET, "/v1/audit", "").await;
        assert_eq!(audit["total"], changed.len(), "{route}: {audit}");
        let entry = &audit["entries"][0];
        let of_route = |r: &routes::Route| format!("{} {}", r.method, r.path) == *route;
        let action = routes::all().into_iter().find(of_route).unwrap().action;
        assert_eq!(entry["action"], action.to_string(), "{route}: {entry}");
        assert_eq!(entry["operator"], "all", "{route}: {entry}");
    }
    let writes = routes::all().into_iter().filter(|r| r.action.write);
    let writes: BTreeSet<String> = writes.map(|r| format!("{} {}", r.method, r.path)).collect();
    assert_eq!(changed, writes);
}

#[tokio::test]
async fn whoever_knocks_without_a_token_pushes_no_change_out() {
    let router = desk(false);
    let (status, _) = tell(&router, Method::PUT, "/v1/log", r#"{"filter":"debug"}"#).await;
    assert_eq!(status, 200);
    for _ in 0..1200 {
        let refused = ask(&router, &Method::DELETE, "/v1/log", None).await;
        assert_eq!(refused.0, StatusCode::UNAUTHORIZED);
    }
    let (_, audit) = tell(&router, Method::GET, "/v1/audit?allowed=true", "").await;
    assert_eq!(audit["total"], 1, "{audit}");
    assert_eq!(audit["entries"][0]["action"], "log:write", "{audit}");
}
