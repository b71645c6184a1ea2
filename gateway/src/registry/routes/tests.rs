use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};
use sluice_protocol::function::ServiceConfig;
use sluice_protocol::{ServiceName, Subjects};

use super::*;
use crate::registry::snapshot::{Function, Snapshot};
use crate::registry::wanted::Wanted;

/// A snapshot of these functions, each `{service, request_type, routes, …}`.
fn snapshot(functions: &[Value]) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for function in functions {
        let mut function = function.clone();
        let service = function["service"].as_str().unwrap_or("s").to_owned();
        let service = ServiceName::new(&service).unwrap();
        function["idempotent"] = json!(true);
        let text = json!({ "functions": [function] }).to_string();
        let spec = ServiceConfig::parse(&service, &text)
            .unwrap()
            .functions
            .remove(0);
        let mut function = Function::of(spec.clone(), Vec::new(), &Subjects::default());
        function.variants[0].fixed_subject = Some("f".to_owned());
        let functions = snapshot.services.entry(service).or_default();
        let versions = functions.entry(spec.request_type).or_default();
        versions.versions.push(Arc::new(function));
    }
    snapshot.routes = Routes::of(&snapshot.services);
    snapshot
}

fn with(name: &str, routes: &[&str]) -> Value {
    json!({ "request_type": name, "routes": routes })
}

/// Where a request goes: `name k=v …`, or what becomes of it.
fn goes(snapshot: &Snapshot, method: &str, path: &str) -> String {
    goes_as(snapshot, method, path, None)
}

fn goes_as(snapshot: &Snapshot, method: &str, path: &str, version: Option<&str>) -> String {
    let wanted = Wanted {
        version,
        ..Wanted::default()
    };
    goes_where(snapshot, method, path, &wanted)
}

fn goes_where(snapshot: &Snapshot, method: &str, path: &str, wanted: &Wanted<'_>) -> String {
    match snapshot.route(method, path, wanted) {
        Lookup::Nothing => "nothing".to_owned(),
        Lookup::Malformed => "malformed".to_owned(),
        Lookup::WithoutSlash => "without slash".to_owned(),
        Lookup::Methods(allow) => allow,
        Lookup::Version { of, known } => format!("{of} has {}", known.join(" ")),
        Lookup::Found(target) => {
            let mut out = target.request_type.to_string();
            if let Some(version) = target.version {
                out.push_str(&format!("@{version}"));
            }
            for (name, value) in target.params {
                out.push_str(&format!(" {name}={value}"));
            }
            out
        }
    }
}

#[test]
fn a_text_wins_over_a_parameter_and_that_over_the_rest() {
    let all = snapshot(&[
        with("root", &["GET /"]),
        with("me", &["GET /users/me"]),
        with("user", &["GET /users/{id}"]),
        with("any", &["GET /users/{*path}"]),
        with("post", &["GET /users/{id}/posts/{post}"]),
        with("mine", &["GET /users/me/posts"]),
    ]);
    for (path, expected) in [
        ("/", "root"),
        ("/users/me", "me"),
        ("/users/you", "user id=you"),
        ("/users/you/cars/1", "any path=you/cars/1"),
        ("/users/you/posts/7", "post id=you post=7"),
        // The better branch leads nowhere: the other is tried.
        ("/users/me/posts/7", "post id=me post=7"),
        ("/users/me/posts", "mine"),
        ("/users/me/cars", "any path=me/cars"),
        ("/users", "nothing"),
        ("/USERS/me", "nothing"),
    ] {
        assert_eq!(goes(&all, "GET", path), expected, "{path}");
    }
}

#[test]
fn segments_are_decoded_one_by_one() {
    let all = snapshot(&[
        with("user", &["GET /users/{id}"]),
        with("files", &["GET /f/{*path}"]),
    ]);
    for (path, expected) in [
        ("/users/a%2Fb", "user id=a/b"),
        ("/%75sers/%C3%A9", "user id=é"),
        ("/users/%2e%2E", "malformed"),
        ("/f/../users/1", "malformed"),
        ("/users/%", "malformed"),
        ("/users/%ff", "malformed"),
        ("/users/a%00", "malformed"),
        ("/users/a+b", "user id=a+b"),
        // An empty part is no value.
        ("/users//", "nothing"),
        ("//users/1", "nothing"),
        ("/f/a//b", "files path=a//b"),
        ("/users/1/", "without slash"),
        ("/f/a/", "files path=a/"),
        ("/f/", "files path="),
        ("/f", "nothing"),
        ("*", "malformed"),
        ("", "malformed"),
    ] {
        assert_eq!(goes(&all, "GET", path), expected, "{path}");
    }
}

#[test]
fn methods_have_owners_of_their_own() {
    let resource = json!({ "request_type": "book", "kind": "resource", "routes": ["/books/{id}"] });
    let all = snapshot(&[
        with("get", &["GET /u/{id}"]),
        with("put", &["PUT /u/{name}"]),
        with("head", &["HEAD /h"]),
        resource,
    ]);
    assert_eq!(goes(&all, "GET", "/u/1"), "get id=1");
    assert_eq!(goes(&all, "HEAD", "/u/1"), "get id=1");
    assert_eq!(goes(&all, "PUT", "/u/1"), "put name=1");
    assert_eq!(goes(&all, "DELETE", "/u/1"), "GET, HEAD, OPTIONS, PUT");
    assert_eq!(goes(&all, "OPTIONS", "/u/1"), "GET, HEAD, OPTIONS, PUT");
    assert_eq!(goes(&all, "GET", "/h"), "HEAD, OPTIONS");
    for method in ["GET", "OPTIONS", "BREW"] {
        assert_eq!(goes(&all, method, "/books/1"), "book id=1");
    }
}

#[test]
fn a_route_serves_the_version_that_has_it() {
    let version = |version: &str, route: &str| json!({ "request_type": "user", "version": version, "routes": [route] });
    let all = snapshot(&[
        version("1", "GET /users/{id}"),
        version("2", "GET /users/{user}"),
        version("3", "GET /people/{id}"),
    ]);
    assert_eq!(goes(&all, "GET", "/people/7"), "user@3 id=7");
    assert_eq!(
        goes(&all, "GET", "/users/7"),
        "user@2 user=7",
        "the newest that has it"
    );
    assert_eq!(goes_as(&all, "GET", "/users/7", Some("1")), "user@1 id=7");
    assert_eq!(
        goes_as(&all, "GET", "/users/7", Some("3")),
        "s.user has 1 2"
    );
}

/// As the pipeline decides, which calls what the route says.
#[test]
fn a_route_serves_the_version_that_its_calls_would_get() {
    let version = |version: &str| json!({ "request_type": "user", "version": version, "routes": ["GET /users/{id}"] });
    let elsewhere =
        json!({ "request_type": "user", "version": "1.9.0", "routes": ["GET /people/{id}"] });
    let all = snapshot(&[
        version("1.0.0"),
        version("1.2.0"),
        elsewhere,
        version("2.0.0"),
    ]);
    let goes = |named, default, unknown_is_latest| {
        let wanted = Wanted {
            version: named,
            default,
            unknown_is_latest,
            ..Wanted::default()
        };
        goes_where(&all, "GET", "/users/7", &wanted)
    };
    assert_eq!(goes(None, None, false), "user@2.0.0 id=7");
    // What is configured.
    assert_eq!(goes(None, Some("1.2.0"), false), "user@1.2.0 id=7");
    assert_eq!(goes(Some("0.0.0"), Some("1.0.0"), false), "user@1.0.0 id=7");
    assert_eq!(goes(Some("2.0.0"), Some("1.2.0"), false), "user@2.0.0 id=7");
    assert_eq!(
        goes(None, Some("7"), false),
        "user@2.0.0 id=7",
        "none of it"
    );
    assert_eq!(
        goes(None, Some("1.9.0"), false),
        "user@2.0.0 id=7",
        "not at this route"
    );
    // Ranges, and what is not there.
    assert_eq!(goes(Some("~1.2"), None, false), "user@1.2.0 id=7");
    let none = "s.user has 1.0.0 1.2.0 2.0.0";
    assert_eq!(
        goes(Some("^1"), None, false),
        none,
        "its newest has no such route"
    );
    assert_eq!(goes(Some("7"), None, false), none);
    assert_eq!(goes(Some("7"), None, true), "user@2.0.0 id=7");
    assert_eq!(goes(Some("1.9.0"), None, true), none, "it is known");
}

#[test]
fn services_cannot_have_the_same_route() {
    let spec = |service: &str, routes: &[&str], kind: &str| {
        let text = json!({ "functions": [
            { "request_type": "f", "kind": kind, "idempotent": true, "routes": routes },
        ] });
        let service = ServiceName::new(service).unwrap();
        ServiceConfig::parse(&service, &text.to_string())
            .unwrap()
            .functions
            .remove(0)
    };
    let a = spec("a", &["GET /x", "GET /users/{id}"], "function");
    let b = spec("b", &["PUT /users/{id}", "GET /users/{name}"], "function");
    let c = spec("c", &["/users/{x}"], "resource");
    assert_eq!(conflict(&b, &a), Some((1, "GET /users/{id}")));
    assert_eq!(conflict(&c, &a), Some((0, "GET /users/{id}")));
    assert_eq!(conflict(&spec("d", &["/users"], "resource"), &a), None);
}

proptest! {
    #[test]
    fn strangers_paths_never_panic(path in "(/[a-z%2F.{}*]{0,6}){0,70}|.{0,40}", method in "[A-Z]{0,7}") {
        let all = snapshot(&[with("a", &["GET /{a}/{b}"]), with("b", &["GET /{a}/x/{*c}"])]);
        let _ = all.route(&method, &path, &Wanted::default());
    }
}

#[test]
fn no_encoded_slash_or_dots_leave_the_place_of_a_route() {
    let snapshot = snapshot(&[
        with("files", &["GET /files/{*path}"]),
        with("one", &["GET /one/{id}"]),
    ]);
    for path in [
        "/files/..%2f..%2fetc/passwd",
        "/files/%2e%2e/x",
        "/files/%2E%2E%5Cx",
        "/files/a%2Fb",
        "/files/a/b%5cc",
        "/files/a/%2f",
        "/one/..%2F..%2Fetc",
        "/one/a%2f.",
        "/one/a%5C..",
    ] {
        assert_eq!(goes(&snapshot, "GET", path), "malformed", "{path}");
    }
    for (path, to) in [
        ("/files/a/b", "files path=a/b"),
        ("/files/..a/b..", "files path=..a/b.."),
        ("/one/a%2Fb", "one id=a/b"),
        ("/one/%252e%252e", "one id=%2e%2e"),
    ] {
        assert_eq!(goes(&snapshot, "GET", path), to, "{path}");
    }
}
