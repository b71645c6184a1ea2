//! What the admin API can do, the command line can too.

use std::collections::BTreeSet;
use std::ffi::OsString;

use super::run;
use super::testing::{Answer, Output, Server};
use crate::config::Environment;

/// A command line for each route.
const LINES: &[&str] = &[
    "services",
    "refused",
    "refused --clear --service s",
    "versions list",
    "versions diff s 1 2",
    "versions callers s f",
    "versions disable s f",
    "versions delete s f",
    "versions restore s f",
    "versions latest s f 1",
    "versions deprecate s f --at 5",
    "versions undeprecate s f",
    "versions pins",
    "versions pin s 1 --user u",
    "versions unpin s --user u",
    "instances list",
    "instances drain s i",
    "sticky get s f k",
    "sticky forget s f k",
    "breakers list",
    "breakers reset",
    "sockets list",
    "sockets close g-1",
    "streams list",
    "streams close g-1",
    "limits list",
    "limits status l",
    "limits set l --key user_id --max-requests 1 --window-ms 1",
    "limits remove l",
    "limits reset l",
    "limits check l",
    "health --parts",
    "cluster",
    "stats",
    "trace --user u",
    "verify s 1",
    "flow s f",
    "explain s f",
    "export --service s",
    "revoke user u",
    "revoke user u --undo",
    "config",
    "audit",
    "log",
    "log debug",
    "log --reset",
];

/// Routes without a command, and why.
const WITHOUT: &[(&str, &str)] = &[
    (
        "GET /v1/overrides",
        "versions list, versions pins and instances list show them",
    ),
    (
        "GET /v1/bulkheads",
        "top shows calls in flight; /metrics counts what bulkheads did",
    ),
    (
        "GET /v1/revocations",
        "revoke names one; the list may be long",
    ),
    ("GET /v1/gateways", "cluster shows more"),
    ("GET /v1/openapi.json", "for programs"),
    ("GET /v1/stats", "stats asks all gateways"),
];

/// Whether a request is one of a route.
fn is_of(route: &str, request: &str) -> bool {
    let parts = |text: &str| {
        text.split(['/', ' '])
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let (route, request) = (parts(route), parts(request));
    let is = |(part, got): (&String, &String)| part.starts_with('{') || part == got;
    route.len() == request.len() && route.iter().zip(&request).all(is)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_route_of_the_admin_api_has_a_command() {
    let mut asked = BTreeSet::new();
    for line in LINES {
        let server = Server::answering(vec![Answer::new(200, "{}")]).await;
        let whole = format!("sluice {line} --admin {}", server.url());
        let ended = tokio::task::spawn_blocking(move || {
            let mut output = Output::default();
            let arguments = whole.split_whitespace().map(OsString::from);
            run(arguments, &Environment::default(), &mut output.terminal());
            output.err()
        });
        let err = ended.await.unwrap();
        let seen = server.seen();
        let request = seen.first().unwrap_or_else(|| panic!("{line}: {err}"));
        let path = request.path.split('?').next().unwrap();
        asked.insert(format!("{} {path}", request.method));
    }
    let mut missing = Vec::new();
    for route in crate::admin::route_names() {
        let has_command = asked.iter().any(|request| is_of(&route, request));
        let exception = WITHOUT.iter().find(|(name, _)| *name == route);
        assert!(
            !(has_command && exception.is_some()),
            "{route} is no exception"
        );
        if !has_command && exception.is_none() {
            missing.push(route);
        }
    }
    assert!(missing.is_empty(), "without a command: {missing:?}");
}
