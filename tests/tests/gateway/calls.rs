//! All four kinds of call, over HTTP, and what the envelope says.

use serde_json::{Value, json};
use sluice_e2e::cluster::Cluster;
use sluice_e2e::eventually;
use sluice_e2e::http::Client;
use sluice_e2e::nats::BrokerKind;

use crate::on_each_broker;

on_each_broker! {
    async fn every_kind_of_call_answers(kind: BrokerKind) {
        let cluster = Cluster::start(kind).await.unwrap();
        let client = cluster.gateway(0).client().unwrap();
        sync(&client).await;
        errors(&client).await;
        none(&client).await;
        asynchronous(&client).await;
        streams(&client).await;
        other_forms(&client).await;
        cancelled(&client).await;
    }
}

async fn sync(client: &Client) {
    let (status, echo) = client
        .call("demo", "echo", json!({"message": "hé"}))
        .await
        .unwrap();
    assert_eq!(
        (status, echo.success, echo.result),
        (200, true, json!({"message": "hé"}))
    );
    let (_, sum) = client
        .call("demo", "add", json!({"a": 1, "b": 2.5}))
        .await
        .unwrap();
    assert_eq!(sum.result, json!({"sum": 3.5}));
    let whole = json!({
        "request_id": "mine", "service": "demo", "request_type": "add", "version": "1.0.0",
        "args": {"a": 1, "b": 2},
    });
    let (status, sum) = client.call_whole(&whole).await.unwrap();
    assert_eq!((status, sum.request_id.as_deref()), (200, Some("mine")));
    // Larger than one read, smaller than the broker's limit.
    let (_, big) = client
        .call("demo", "big", json!({"bytes": 300_000}))
        .await
        .unwrap();
    assert_eq!(big.result.as_str().map(str::len), Some(300_000));
}

async fn errors(client: &Client) {
    let refusals = [
        ("demo", "echo", json!({}), 422, "invalid_arguments"),
        (
            "demo",
            "echo",
            json!({"message": 1, "other": 2}),
            422,
            "invalid_arguments",
        ),
        ("demo", "nope", json!({}), 404, "unknown_function"),
        ("nobody", "echo", json!({}), 404, "unknown_function"),
        (
            "demo",
            "fail",
            json!({"code": "no_such_user", "message": "who?", "can_retry": false}),
            500,
            "no_such_user",
        ),
    ];
    for (service, function, args, status, code) in refusals {
        let (got, envelope) = client.call(service, function, args).await.unwrap();
        assert_eq!(
            (got, envelope.code()),
            (status, code),
            "{service}.{function}: {envelope:?}"
        );
        assert!(!envelope.success);
    }
    // Every fault in one answer, each with its path.
    let (_, faults) = client
        .call("demo", "add", json!({"a": "x", "c": 1}))
        .await
        .unwrap();
    let details = faults.details.unwrap();
    let paths: Vec<&Value> = details["faults"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| &f["path"])
        .collect();
    assert_eq!(paths.len(), 3, "{paths:?}");
    let (status, version) = client
        .call_whole(&json!({"service": "demo", "request_type": "echo", "version": "9"}))
        .await
        .unwrap();
    assert_eq!((status, version.code()), (404, "unknown_version"));
    assert_eq!(version.details.unwrap()["versions"], json!(["1.0.0"]));
}

async fn none(client: &Client) {
    let (status, log) = client
        .call("demo", "log", json!({"message": "x"}))
        .await
        .unwrap();
    assert_eq!((status, log.success, log.result), (202, true, Value::Null));
    let (status, log) = client.call("demo", "log", json!({})).await.unwrap();
    assert_eq!((status, log.code()), (422, "invalid_arguments"));
}

async fn asynchronous(client: &Client) {
    let response = client
        .request("POST".parse().unwrap(), "/api/demo/report")
        .json(&json!({"ms": 300}))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 202);
    let location = response.headers()["location"].to_str().unwrap().to_owned();
    let done = eventually("the report is done", || async {
        let response = client.get(&location).send().await.unwrap();
        let status = response.status().as_u16();
        let body: Value = response.json().await.unwrap();
        Ok::<_, sluice_e2e::Error>(if status == 200 { Some(body) } else { None })
    });
    let done = done.await.unwrap();
    assert_eq!(done["result"], json!({"done": true}));
    assert_eq!(
        client
            .status_of("/api/calls/00000000000000000000000000000000")
            .await
            .unwrap(),
        404
    );
}

async fn streams(client: &Client) {
    let sse = client
        .sse("demo", "count", json!({"to": 500}))
        .await
        .unwrap();
    let events = sse.stream().unwrap().collect().await.unwrap();
    assert_eq!(events.len(), 502, "an ack, the items, an end");
    for (n, event) in events[1..=500].iter().enumerate() {
        assert_eq!(event.envelope().unwrap().result, json!({"n": n + 1}));
        assert!(event.envelope().unwrap().has_more);
    }
    let end = events[501].envelope().unwrap();
    assert!(end.success && !end.has_more && end.result.is_null());
    let lines = client
        .ndjson("demo", "count", json!({"to": 3}))
        .await
        .unwrap();
    assert_eq!(lines.stream().unwrap().collect().await.unwrap().len(), 5);
    let refused = client
        .sse("demo", "count", json!({"to": "x"}))
        .await
        .unwrap();
    assert!(refused.stream().is_err(), "a refusal is a plain status");
}

/// MessagePack both ways, and GET with coerced args.
async fn other_forms(client: &Client) {
    let post = "POST".parse().unwrap();
    let body = rmp_serde::to_vec_named(&json!({"a": 1, "b": 2})).unwrap();
    let response = client
        .request(post, "/api/demo/add")
        .header("content-type", "application/msgpack")
        .body(body)
        .send()
        .await
        .unwrap();
    assert_eq!(response.headers()["content-type"], "application/msgpack");
    let envelope: Value = rmp_serde::from_slice(&response.bytes().await.unwrap()).unwrap();
    assert_eq!(envelope["result"], json!({"sum": 3}), "{envelope}");

    let response = client.get("/api/demo/add?a=1&b=2.5").send().await.unwrap();
    let envelope: Value = response.json().await.unwrap();
    assert_eq!(envelope["result"], json!({"sum": 3.5}), "{envelope}");
    let refused = client.get("/api/demo/sleep?ms=1").send().await.unwrap();
    assert_eq!(refused.status(), 405, "sleep is not idempotent");
}

/// An async call that is cancelled ends as such, and its result says so.
async fn cancelled(client: &Client) {
    let response = client
        .request("POST".parse().unwrap(), "/api/demo/report")
        .json(&json!({"ms": 50_000}))
        .send()
        .await
        .unwrap();
    let location = response.headers()["location"].to_str().unwrap().to_owned();
    let delete = "DELETE".parse().unwrap();
    assert_eq!(
        client
            .request(delete, &location)
            .send()
            .await
            .unwrap()
            .status(),
        202
    );
    let code = eventually("the call is cancelled", || async {
        let response = client.get(&location).send().await.unwrap();
        let done = response.status() != 202;
        let body: Value = response.json().await.unwrap();
        done.then(|| body["error_code"].clone())
    });
    assert_eq!(code.await.unwrap(), "cancelled");
}
