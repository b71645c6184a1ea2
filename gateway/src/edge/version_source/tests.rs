use super::*;

fn head(uri: &str, headers: &[(&str, &str)]) -> http::request::Parts {
    let mut request = http::Request::builder().uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

fn sources(list: &[&str]) -> VersionSources {
    let list: Vec<String> = list.iter().map(ToString::to_string).collect();
    for source in &list {
        Source::parse(source).unwrap();
    }
    VersionSources::new(&list)
}

fn vary(sources: &VersionSources, head: &http::request::Parts) -> Vec<String> {
    let mut response = HeaderMap::new();
    sources.vary(head, &mut response);
    let all = response.get_all(VARY).iter();
    all.map(|v| v.to_str().unwrap().to_owned()).collect()
}

#[test]
fn the_first_place_that_names_one_counts() {
    let all = sources(&[
        "field",
        "path:/v{version}",
        "header:x-api-version",
        "accept:application/vnd.acme.v{version}+json",
        "query:v",
    ]);
    let everywhere = [
        ("x-api-version", "3"),
        ("accept", "application/vnd.acme.v4+json"),
    ];
    let mut at = head("/v2/api/s/f?v=5", &everywhere);
    all.strip(&mut at);
    assert_eq!(at.uri, "/api/s/f?v=5");
    let field = Some("1".to_owned());
    assert_eq!(all.find(&at, field).unwrap().as_deref(), Some("1"));
    assert_eq!(all.find(&at, None).unwrap().as_deref(), Some("2"));
    let at = head("/api/s/f?v=5", &everywhere);
    assert_eq!(all.find(&at, None).unwrap().as_deref(), Some("3"));
    let at = head("/api/s/f?v=5", &everywhere[1..]);
    assert_eq!(all.find(&at, None).unwrap().as_deref(), Some("4"));
    let at = head("/api/s/f?v=1%2E5", &[]);
    assert_eq!(all.find(&at, None).unwrap().as_deref(), Some("1.5"));
    let none = head("/api/s/f", &[]);
    assert_eq!(all.find(&none, Some(String::new())).unwrap(), None);
}

#[test]
fn a_path_names_a_version_only_by_a_number() {
    let all = sources(&["path:/v{version}"]);
    for (path, left, version) in [
        ("/v2/api/s/f", "/api/s/f", Some("2")),
        ("/v2.1-rc/api", "/api", Some("2.1-rc")),
        ("/vendors/7", "/vendors/7", None),
        ("/v2", "/v2", None),
        ("/api/v2/x", "/api/v2/x", None),
        ("/v/x", "/v/x", None),
    ] {
        let mut at = head(path, &[]);
        all.strip(&mut at);
        assert_eq!(at.uri, left, "{path}");
        assert_eq!(all.find(&at, None).unwrap().as_deref(), version, "{path}");
    }
    let inside = sources(&["path:/api/{version}"]);
    for (path, left, version) in [
        ("/api/v2/s/f?x=/v1", "/api/s/f?x=/v1", Some("v2")),
        ("/api/1.2.0/s/f", "/api/s/f", Some("1.2.0")),
        ("/api/vendors/f", "/api/vendors/f", None),
        ("/api/v2", "/api", Some("v2")),
        ("/api/", "/api/", None),
        ("/apis/v2/f", "/apis/v2/f", None),
        ("/v2/api/f", "/v2/api/f", None),
    ] {
        let mut at = head(path, &[]);
        inside.strip(&mut at);
        assert_eq!(at.uri, left, "{path}");
        assert_eq!(
            inside.find(&at, None).unwrap().as_deref(),
            version,
            "{path}"
        );
    }
    let dates = sources(&["path:/{version}"]);
    let mut at = head("/2024-06-01/api/s/f", &[]);
    dates.strip(&mut at);
    assert_eq!(
        dates.find(&at, None).unwrap().as_deref(),
        Some("2024-06-01")
    );
}

#[test]
fn accept_is_read_as_a_list() {
    let all = sources(&["accept:application/vnd.acme.{version}+json"]);
    for (accept, version) in [
        ("application/vnd.acme.v1+json", Some("v1")),
        ("text/html, application/vnd.acme.v2+json;q=0.8", Some("v2")),
        (
            "application/vnd.acme.v1+json;q=0.1, application/vnd.acme.v2+json; q=0.9",
            Some("v2"),
        ),
        (
            "application/vnd.acme.v1+json;q=0, application/vnd.acme.v2+json",
            Some("v2"),
        ),
        ("Application/VND.acme.v1+JSON", Some("v1")),
        ("application/vnd.acme.v1+json;q=x", None),
        ("application/vnd.acme.+json", None),
        ("application/json", None),
        ("*/*", None),
    ] {
        let at = head("/", &[("accept", accept)]);
        assert_eq!(all.find(&at, None).unwrap().as_deref(), version, "{accept}");
    }
}

#[test]
fn vary_names_what_was_looked_at() {
    let all = sources(&["field", "header:a", "accept:x/{version}", "header:b"]);
    let at = |headers: &[(&str, &str)]| vary(&all, &head("/", headers));
    assert_eq!(at(&[("a", "1")]), ["a"]);
    assert_eq!(at(&[("accept", "x/1")]), ["a", "accept"]);
    assert_eq!(at(&[]), ["a", "accept", "b"]);
    let path = sources(&["path:/v{version}", "header:a"]);
    let mut stripped = head("/v1/api", &[]);
    path.strip(&mut stripped);
    assert!(vary(&path, &stripped).is_empty());
    // No cache keeps what is posted; but where a header was obeyed it is told.
    let mut posted = head("/", &[]);
    posted.method = Method::POST;
    assert!(vary(&all, &posted).is_empty());
    posted.headers.insert("b", HeaderValue::from_static("1"));
    assert_eq!(vary(&all, &posted), ["a", "accept", "b"]);
    let mut once = HeaderMap::new();
    once.insert(VARY, HeaderValue::from_static("Accept, A"));
    all.vary(&head("/", &[]), &mut once);
    let lines: Vec<_> = once.get_all(VARY).iter().collect();
    assert_eq!(lines, ["Accept, A", "b"]);
}

#[test]
fn a_version_in_the_query_is_no_arg() {
    let all = sources(&["query:v"]);
    assert_eq!(all.args_of("a=1&v=2&b=3"), "a=1&b=3");
    assert_eq!(all.args_of("a=1&vv=2"), "a=1&vv=2");
    assert_eq!(all.args_of("v=2"), "");
}

#[test]
fn what_is_no_place_is_refused() {
    for bad in [
        "",
        "fields",
        "field:x",
        "header:",
        "header:a b",
        "query:",
        "path:/v",
        "path:v{version}",
        "path:a/v{version}",
        "path://v{version}",
        "path:/{version}/v{version}",
        "path:/v{version}/x",
        "accept:v{version}",
        "accept:application/json",
        "path:/{version}{version}",
    ] {
        assert!(Source::parse(bad).is_err(), "{bad}");
    }
    let all = sources(&["header:a"]);
    let at = head("/", &[("a", &"x".repeat(200))]);
    assert_eq!(
        all.find(&at, None).unwrap_err().code,
        ErrorCode::InvalidRequest
    );
}
