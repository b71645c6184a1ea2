//! Older versions of the library: the same places, in the shapes of their time.

use reqwest::Method;
use serde_json::{Value, json};
use sluice_e2e::socket::{EVENT, Socket};

use crate::library::{Answer, JSON, Library};

fn of(version: &str) -> (&str, &str) {
    ("sluice-version", version)
}

#[tokio::test]
async fn one_book_has_a_form_in_each_version() {
    let library = Library::start().await;
    for (version, expected) in [
        (
            "1",
            json!({"name": "Emma", "writer": "Jane Austen", "year": 1815}),
        ),
        (
            "2",
            json!({"name": "Emma", "author": "Jane Austen", "year": 1815}),
        ),
        (
            "3",
            json!({"title": "Emma", "author": "Jane Austen", "year": 1815}),
        ),
    ] {
        let got = library
            .send(Method::GET, "/books/1", &[of(version)], "")
            .await;
        assert_eq!((got.status, got.json()), (200, expected), "{got:?}");
        let mut vary = got.headers.get_all("vary").iter();
        assert!(vary.any(|name| name == "sluice-version"), "{got:?}");
    }
    let unknown = library.send(Method::GET, "/books/1", &[of("9")], "").await;
    assert_eq!(unknown.status, 404, "{unknown:?}");
    assert_eq!(
        unknown.json()["details"]["versions"],
        json!(["1", "2", "3"])
    );
}

#[tokio::test]
async fn conditional_requests_hold_within_a_version() {
    let library = Library::start().await;
    let get =
        async |headers: &[(&str, &str)]| library.send(Method::GET, "/books/1", headers, "").await;
    let (old, new) = (get(&[of("1")]).await, get(&[]).await);
    let (old_tag, new_tag) = (old.header("etag"), new.header("etag"));
    assert_ne!(old_tag, new_tag, "two representations");
    assert_eq!(
        get(&[of("1"), ("if-none-match", old_tag)]).await.status,
        304
    );
    assert_eq!(get(&[("if-none-match", new_tag)]).await.status, 304);
    assert_eq!(
        get(&[of("1"), ("if-none-match", new_tag)]).await.status,
        200
    );
    assert_eq!(get(&[("if-none-match", old_tag)]).await.status, 200);
    let part = get(&[of("1"), ("range", "bytes=0-3")]).await;
    assert_eq!(part.json(), old.json(), "no part of today's representation");
    let head = library.send(Method::HEAD, "/books/1", &[of("1")], "").await;
    assert_eq!(
        (head.status, head.header("etag")),
        (200, old_tag),
        "{head:?}"
    );

    // What an old client has seen guards what it changes.
    let book = r#"{"name":"Emma","writer":"Jane Austen","year":1816}"#;
    let put = async |tag: &str| {
        let headers = [of("1"), JSON, ("if-match", tag)];
        library.send(Method::PUT, "/books/1", &headers, book).await
    };
    assert_eq!(put(new_tag).await.status, 412);
    let changed = put(old_tag).await;
    assert_eq!(changed.status, 204, "{changed:?}");
    assert_eq!(put(old_tag).await.status, 412, "it has changed since");
    assert_eq!(put(changed.header("etag")).await.status, 204);
    let expected = json!({"title": "Emma", "author": "Jane Austen", "year": 1816});
    assert_eq!(get(&[]).await.json(), expected);
}

#[tokio::test]
async fn functions_at_routes_have_their_forms_too() {
    let library = Library::start().await;
    let lent = library
        .send(
            Method::POST,
            "/loans/2",
            &[JSON, of("1")],
            r#"{"who":"ann"}"#,
        )
        .await;
    let expected = json!({"book": 2, "name": "Middlemarch", "who": "ann"});
    assert_eq!((lent.status, lent.json()), (200, expected), "{lent:?}");
    let expected = json!({"book": 2, "title": "Middlemarch", "reader": "ann"});
    assert_eq!(library.get("/loans/2").await.json(), expected);
    let wrong = library
        .send(Method::POST, "/loans/2", &[JSON, of("1")], r#"{"who":5}"#)
        .await;
    assert_eq!(
        wrong.json()["details"]["faults"][0]["path"],
        "/who",
        "{wrong:?}"
    );
}

#[tokio::test]
async fn shelves_come_down_line_by_line() {
    let library = Library::start().await;
    for (version, expected) in [
        (
            "1",
            json!({"id": 1, "name": "Emma", "writer": "Jane Austen"}),
        ),
        (
            "2",
            json!({"id": 1, "name": "Emma", "author": "Jane Austen"}),
        ),
        (
            "3",
            json!({"id": 1, "title": "Emma", "author": "Jane Austen"}),
        ),
    ] {
        let got = library
            .send(Method::GET, "/books", &[of(version)], "")
            .await;
        let lines = lines(&got);
        assert_eq!((got.status, lines.len()), (200, 3), "{got:?}");
        assert_eq!(lines[0], expected, "{got:?}");
        // The same books as one list, for who asks for it.
        let accept = [of(version), ("accept", "application/json")];
        let list = library.send(Method::GET, "/books", &accept, "").await;
        assert_eq!(list.header("content-type"), "application/json", "{list:?}");
        assert_eq!(list.json(), Value::Array(lines), "{list:?}");
    }
}

fn lines(answer: &Answer) -> Vec<Value> {
    let lines = answer.body.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {answer:?}")))
        .collect()
}

/// A client of version 1, while the worker knows of version 3 only.
#[tokio::test]
async fn streams_come_down_over_every_edge() {
    let library = Library::start().await;
    let emma = json!({"book": 1, "name": "Emma", "writer": "Jane Austen"});
    let post = async |accept: &'static str, body| {
        let headers = [of("1"), JSON, ("accept", accept)];
        library
            .send(Method::POST, "/api/library/browse", &headers, body)
            .await
    };
    let items = |frames: Vec<Value>| -> Vec<Value> {
        let items = frames.into_iter().filter(|f| !f["result"].is_null());
        items.map(|mut frame| frame["result"].take()).collect()
    };

    let got = post("application/x-ndjson", "{}").await;
    let all = items(lines(&got));
    assert_eq!((got.status, all.len()), (200, 3), "{got:?}");
    assert_eq!(all[0], emma, "{got:?}");

    let got = post("text/event-stream", r#"{"writer":"Jane Austen"}"#).await;
    let data = got.body.lines().filter_map(|l| l.strip_prefix("data:"));
    let frames = data.map(|text| serde_json::from_str(text).unwrap());
    assert_eq!(
        items(frames.collect()),
        std::slice::from_ref(&emma),
        "{got:?}"
    );

    let mut socket = Socket::joined(library.cluster.gateway(0).address())
        .await
        .unwrap();
    let request = json!({
        "request_id": "browse", "service": "library", "request_type": "browse", "version": "1",
        "args": {"writer": "Jane Austen"},
    });
    socket.push(&request).await.unwrap();
    let mut frames = Vec::new();
    while frames.last().is_none_or(|f: &Value| f["has_more"] == true) {
        let frame = socket.frame().await.unwrap();
        if frame.event == EVENT {
            frames.push(frame.payload);
        }
    }
    let told = format!("{frames:?}");
    assert_eq!(frames[0]["async"], true, "{told}");
    assert_eq!(items(frames), [emma], "{told}");

    let wrong = post("application/x-ndjson", r#"{"writer":7}"#).await;
    assert_eq!(wrong.status, 422, "{wrong:?}");
    let told = wrong.json();
    assert_eq!(told["details"]["faults"][0]["path"], "/writer", "{wrong:?}");
    let text = told["error"].as_str().unwrap();
    assert!(
        text.contains("library.browse@1") && !text.contains("author"),
        "{wrong:?}"
    );
}

#[tokio::test]
async fn sentences_about_errors_are_plain_text_in_any_version() {
    const PLAIN: &str = "text/plain;charset=utf-8";
    let library = Library::start().await;
    let taken = r#"{"title":"Emma","author":"Jane Austen","year":1815}"#;
    for (method, path, headers, body, status) in [
        (Method::GET, "/books/99", vec![], "", 404),
        (Method::GET, "/books/99", vec![of("1")], "", 404),
        (Method::POST, "/books", vec![JSON], taken, 409),
        (Method::POST, "/books", vec![JSON], "{}", 422),
        (Method::PUT, "/books/2", vec![JSON], "{}", 422),
    ] {
        let got = library.send(method, path, &headers, body).await;
        assert_eq!(got.status, status, "{got:?}");
        assert_eq!(got.header("content-type"), PLAIN, "{got:?}");
    }
    // What `curl --json` sends.
    let book = r#"{"name":"Ulysses","writer":"James Joyce","year":1922}"#;
    let headers = [of("1"), JSON, ("accept", "application/json")];
    let added = library.send(Method::POST, "/books", &headers, book).await;
    assert_eq!(
        (added.status, added.header("location")),
        (201, "/books/4"),
        "{added:?}"
    );
}
