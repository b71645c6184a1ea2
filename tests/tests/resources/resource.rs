//! Resources behind the gateway: what HTTP promises, end to end.

use reqwest::Method;
use serde_json::json;

use crate::library::{JSON, Library};

#[tokio::test]
async fn a_copy_that_is_current_is_not_sent_again() {
    let library = Library::start().await;
    let first = library.get("/books/1").await;
    assert_eq!(
        (first.status, first.header("etag")),
        (200, "\"1\""),
        "{first:?}"
    );
    assert_eq!(first.json()["title"], "Emma");
    let tag = [("if-none-match", "\"1\"")];
    let again = library.send(Method::GET, "/books/1", &tag, "").await;
    assert_eq!((again.status, again.body.as_str()), (304, ""));
    assert_eq!(again.header("etag"), "\"1\"");
    assert_eq!(again.header("vary"), first.header("vary"));
    assert!(
        again
            .header("sluice-resource-trace")
            .contains("not_modified")
    );
}

#[tokio::test]
async fn changes_are_guarded_by_what_the_client_has_seen() {
    let library = Library::start().await;
    let emma = r#"{"title":"Emma","author":"Jane Austen","year":1816}"#;
    let stale = [JSON, ("if-match", "\"9\"")];
    assert_eq!(
        library
            .send(Method::PUT, "/books/1", &stale, emma)
            .await
            .status,
        412
    );
    let seen = [JSON, ("if-match", "\"1\"")];
    let changed = library.send(Method::PUT, "/books/1", &seen, emma).await;
    assert_eq!(
        (changed.status, changed.header("etag")),
        (204, "\"2\""),
        "{changed:?}"
    );
    assert_eq!(library.get("/books/1").await.json()["year"], 1816);
    let dracula = r#"{"title":"Dracula","author":"Bram Stoker","year":1897}"#;
    let taken = library
        .send(Method::PUT, "/books/1", &[JSON], dracula)
        .await;
    assert_eq!(taken.status, 409, "{taken:?}");
    assert_eq!(
        library
            .send(Method::DELETE, "/books/1", &[], "")
            .await
            .status,
        204
    );
    assert_eq!(library.get("/books/1").await.status, 404);
}

#[tokio::test]
async fn what_cannot_be_served_is_told_by_its_status() {
    let library = Library::start().await;
    let accept = |value| [("accept", value)];
    let picture = library
        .send(Method::GET, "/books/1", &accept("image/png"), "")
        .await;
    assert_eq!(picture.status, 406);
    let plain = library
        .send(Method::GET, "/books/1", &accept("text/plain"), "")
        .await;
    assert_eq!(plain.body, "Emma, Jane Austen (1815)\n");
    let form = [("content-type", "application/x-www-form-urlencoded")];
    assert_eq!(
        library
            .send(Method::PUT, "/books/1", &form, "title=x")
            .await
            .status,
        415
    );
    assert_eq!(
        library
            .send(Method::PUT, "/books/1", &[JSON], "{}")
            .await
            .status,
        422
    );
    let post = library.send(Method::POST, "/books/1", &[JSON], "{}").await;
    assert_eq!(
        (post.status, post.header("allow")),
        (405, "GET, HEAD, OPTIONS, PUT, DELETE")
    );
    let options = library.send(Method::OPTIONS, "/books/1", &[], "").await;
    assert_eq!(options.header("allow"), post.header("allow"), "{options:?}");
    let head = library.send(Method::HEAD, "/books/1", &[], "").await;
    assert_eq!(
        (head.status, head.header("etag"), head.body.as_str()),
        (200, "\"1\"", "")
    );
}

#[tokio::test]
async fn a_new_book_has_a_place() {
    let library = Library::start().await;
    let book = r#"{"title":"Ulysses","author":"James Joyce","year":1922}"#;
    let added = library.send(Method::POST, "/books", &[JSON], book).await;
    assert_eq!(
        (added.status, added.header("location")),
        (201, "/books/4"),
        "{added:?}"
    );
    assert_eq!(library.get("/books/4").await.json()["title"], "Ulysses");
    let again = library.send(Method::POST, "/books", &[JSON], book).await;
    assert_eq!(again.status, 409);
    let shelf = library.get("/books").await;
    assert_eq!(shelf.header("content-type"), "application/x-ndjson");
    assert_eq!(shelf.body.lines().count(), 4, "{shelf:?}");
    let cover = library.get("/covers/english/emma.svg").await;
    assert!(cover.body.contains("emma"), "{cover:?}");
}

#[tokio::test]
async fn resources_are_called_at_their_routes_alone() {
    let library = Library::start().await;
    let (status, envelope) = library
        .client
        .call("library", "book", json!({}))
        .await
        .unwrap();
    assert_eq!(
        (status, envelope.error_code.as_deref()),
        (405, Some("method_not_allowed"))
    );
    assert!(envelope.error.contains("/books/{id}"), "{envelope:?}");
}
