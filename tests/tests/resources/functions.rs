//! Routes of functions: bare results, problems, methods.

use reqwest::Method;
use serde_json::json;

use crate::library::{JSON, Library};

#[tokio::test]
async fn functions_answer_their_bare_result_at_their_routes() {
    let library = Library::start().await;
    let loan = library.get("/loans/1").await;
    assert_eq!(loan.status, 200, "{loan:?}");
    assert_eq!(loan.header("content-type"), "application/json");
    assert_eq!(
        loan.json(),
        json!({"book": 1, "title": "Emma", "reader": null})
    );

    let lent = library
        .send(Method::POST, "/loans/1", &[JSON], r#"{"reader":"ann"}"#)
        .await;
    assert_eq!(
        (lent.status, lent.json()["reader"].as_str()),
        (200, Some("ann"))
    );
    let again = library
        .send(Method::POST, "/loans/1", &[JSON], r#"{"reader":"bob"}"#)
        .await;
    assert_eq!(again.status, 409);
    assert_eq!(again.header("content-type"), "application/problem+json");
    let problem = again.json();
    assert_eq!(
        (
            &problem["code"],
            &problem["status"],
            &problem["source"],
            &problem["title"]
        ),
        (
            &json!("lent"),
            &json!(409),
            &json!("worker"),
            &json!("Conflict")
        ),
        "{problem}"
    );
    assert_eq!(problem["request_id"], again.header("x-request-id"));
    let back = library.send(Method::DELETE, "/loans/1", &[], "").await;
    assert_eq!(back.status, 200, "{back:?}");
}

#[tokio::test]
async fn paths_bodies_and_queries_are_joined_and_checked() {
    let library = Library::start().await;
    let wrong = library.get("/loans/emma").await;
    assert_eq!(
        (wrong.status, wrong.json()["code"].as_str()),
        (422, Some("invalid_arguments"))
    );
    assert_eq!(wrong.json()["details"]["faults"][0]["path"], "/book");
    for (method, path, body) in [
        // The path and the body do not agree.
        (Method::POST, "/loans/1", r#"{"book":2,"reader":"ann"}"#),
        (Method::GET, "/loans/1?book=1", ""),
        (Method::GET, "/loans/1?unknown=1", ""),
    ] {
        let refused = library.send(method, path, &[JSON], body).await;
        assert_eq!(refused.status, 422, "{path}: {refused:?}");
    }
    let same = r#"{"book":1,"reader":"ann"}"#;
    assert_eq!(
        library
            .send(Method::POST, "/loans/1", &[JSON], same)
            .await
            .status,
        200
    );
    let missing = library.get("/loans/77").await;
    assert_eq!(
        (missing.status, missing.json()["code"].as_str()),
        (404, Some("no_such_book"))
    );
    // An encoded letter is that letter; an encoded slash divides nothing.
    assert_eq!(library.get("/l%6Fans/1").await.status, 200);
    assert_eq!(library.get("/loans%2F1").await.status, 404);
    assert_eq!(library.get("/loans/%zz").await.status, 400);
}

#[tokio::test]
async fn other_methods_hear_which_are_allowed() {
    let library = Library::start().await;
    let put = library.send(Method::PUT, "/loans/1", &[JSON], "{}").await;
    assert_eq!(
        (put.status, put.header("allow")),
        (405, "DELETE, GET, HEAD, OPTIONS, POST")
    );
    assert_eq!(put.json()["code"], "method_not_allowed");
    let options = library.send(Method::OPTIONS, "/loans/1", &[], "").await;
    assert_eq!(
        (options.status, options.header("allow")),
        (204, put.header("allow"))
    );
    let head = library.send(Method::HEAD, "/loans/1", &[], "").await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    let length = library.get("/loans/1").await.body.len().to_string();
    assert_eq!(head.header("content-length"), length);
    assert_eq!(library.get("/nothing").await.status, 404);
}

#[tokio::test]
async fn a_slash_too_many_leads_to_the_path_without() {
    let library = Library::start().await;
    let http = reqwest::Client::builder().no_proxy();
    let http = http
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    let url = format!("{}/loans/1/?a=b", library.cluster.gateway(0).url());
    let response = http.get(url).send().await.unwrap();
    assert_eq!(response.status(), 308);
    assert_eq!(response.headers()["location"], "/loans/1?a=b");
}
