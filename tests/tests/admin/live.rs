//! Sockets and streams are listed, and closed with a reason.

use reqwest::Method;
use serde_json::{Value, json};
use sluice_e2e::gateway::Gateway;
use sluice_e2e::socket::Socket;
use sluice_e2e::{Error, eventually};

use crate::{ask, cluster};

/// Waits until so many are listed, and returns them.
async fn listed(gateway: &Gateway, what: &str, count: usize) -> Vec<Value> {
    let path = format!("/v1/{what}");
    let ask = || ask(gateway, Method::GET, &path, Value::Null);
    eventually(&format!("{count} {what} are listed"), || async {
        let (_, body) = ask().await;
        if body["total"] == count {
            Ok(())
        } else {
            Err(Error::new(body.to_string()))
        }
    })
    .await
    .unwrap();
    ask().await.1[what].as_array().unwrap().clone()
}

#[tokio::test]
async fn one_socket_is_closed_with_a_reason_and_the_others_stay() {
    let cluster = cluster().gateways(1).await.unwrap();
    let gateway = cluster.gateway(0);
    let mut first = Socket::joined(gateway.address()).await.unwrap();
    let mut second = Socket::joined(gateway.address()).await.unwrap();
    let all = listed(gateway, "sockets", 2).await;
    let id = all[0]["id"].as_str().unwrap();
    let path = format!("/v1/sockets/{id}?reason=too%20loud");
    let (status, body) = ask(gateway, Method::DELETE, &path, Value::Null).await;
    assert_eq!(status, 200, "{body}");
    let (closed, _) = first.closed().await.unwrap();
    assert_eq!(closed.code, 1008, "{closed:?}");
    assert!(closed.reason.contains("too loud"), "{closed:?}");
    let answer = second.call("echo", json!({"message": "x"})).await.unwrap();
    assert_eq!(answer["success"], true);
    listed(gateway, "sockets", 1).await;
    assert_eq!(
        ask(gateway, Method::DELETE, &path, Value::Null).await.0,
        404
    );
    let (_, audit) = ask(gateway, Method::GET, "/v1/audit", Value::Null).await;
    assert_eq!(
        audit["entries"][0]["target"],
        format!("socket {id}"),
        "{audit}"
    );
}

#[tokio::test]
async fn a_stream_is_closed_with_an_error_that_says_who_did_it() {
    let cluster = cluster().gateways(1).await.unwrap();
    let gateway = cluster.gateway(0);
    let client = gateway.client().unwrap();
    let args = json!({"to": 100_000, "delay_ms": 20});
    let stream = client
        .ndjson("demo", "count", args)
        .await
        .unwrap()
        .stream()
        .unwrap();
    let all = listed(gateway, "streams", 1).await;
    assert_eq!(all[0]["function"], "count", "{all:?}");
    let id = all[0]["id"].as_str().unwrap();
    let path = format!("/v1/streams/{id}?reason=enough");
    let (status, body) = ask(gateway, Method::DELETE, &path, Value::Null).await;
    assert_eq!(status, 200, "{body}");
    let events = stream.collect().await.unwrap();
    let last = events.last().unwrap().envelope().unwrap();
    assert_eq!(last.code(), "cancelled", "{last:?}");
    assert!(last.error.contains("enough"), "{last:?}");
    listed(gateway, "streams", 0).await;
}
