//! Older versions of the library: the same places, in the shapes of their time.

use reqwest::Method;
use serde_json::json;

use crate::library::{JSON, Library};

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
