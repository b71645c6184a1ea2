//! What clients see of an operator's word on versions: pins, ranges, deprecations; and what an
//! operator sees of clients.

use reqwest::Method;
use serde_json::{Value, json};
use sluice_e2e::gateway::Gateway;
use sluice_e2e::socket::{Received, Socket};
use sluice_e2e::{Error, eventually};

use crate::{answers, ask, cluster, two_versions};

const OLD: &str = "/v1/functions/demo/echo/deprecation?version=1.0.0";

/// A call of `demo.echo` as some user in some version: status, headers and body.
async fn call(
    gateway: &Gateway,
    user: &str,
    version: Option<&str>,
) -> (reqwest::header::HeaderMap, Value) {
    let client = gateway.client().unwrap().header("x-user-id", user);
    let mut request = client.request(Method::POST, "/api/demo/echo");
    if let Some(version) = version {
        request = request.header("sluice-version", version);
    }
    let response = request.json(&json!({"message": "x"})).send().await.unwrap();
    let headers = response.headers().clone();
    (headers, response.json().await.unwrap())
}

#[tokio::test]
async fn a_deprecated_version_says_so_over_http_and_on_sockets_until_it_is_taken_back() {
    let cluster = two_versions().await;
    let (one, two) = (cluster.gateway(0), cluster.gateway(1));
    let wrong = json!({"at": 5, "sunset": 4});
    assert_eq!(ask(one, Method::PUT, OLD, wrong).await.0, 400);
    let body =
        json!({"at": 1_688_169_599, "sunset": 1_719_792_000, "link": "https://example.com/v2"});
    let (status, told) = ask(one, Method::PUT, OLD, body.clone()).await;
    assert_eq!(status, 200, "{told}");
    eventually("the other gateway says so too", || async {
        let (headers, _) = call(two, "ann", Some("1.0.0")).await;
        headers
            .get("deprecation")
            .map(drop)
            .ok_or_else(|| Error::new("not yet"))
    })
    .await
    .unwrap();
    let (headers, answer) = call(one, "ann", Some("1.0.0")).await;
    assert_eq!(answer["success"], true, "{answer}");
    assert_eq!(answer.get("deprecation"), None, "{answer}");
    assert_eq!(headers["deprecation"], "@1688169599");
    assert_eq!(headers["sunset"], "Mon, 01 Jul 2024 00:00:00 GMT");
    assert!(
        headers["link"]
            .to_str()
            .unwrap()
            .contains("rel=\"deprecation\"")
    );
    let (headers, _) = call(one, "ann", None).await;
    assert!(!headers.contains_key("deprecation"), "{headers:?}");

    let mut socket = Socket::joined(two.address()).await.unwrap();
    let response = socket_call(&mut socket, "1.0.0").await;
    assert_eq!(response["deprecation"], body, "{response}");
    let response = socket_call(&mut socket, "1.1.0").await;
    assert_eq!(response.get("deprecation"), None, "{response}");

    assert_eq!(ask(two, Method::DELETE, OLD, Value::Null).await.0, 200);
    assert_eq!(ask(two, Method::DELETE, OLD, Value::Null).await.0, 404);
    let (headers, _) = call(two, "ann", Some("1.0.0")).await;
    assert!(!headers.contains_key("deprecation"), "{headers:?}");
}

/// A call on a socket, and its response.
async fn socket_call(socket: &mut Socket, version: &str) -> Value {
    let request = json!({
        "request_id": version, "service": "demo", "request_type": "echo", "version": version,
        "args": {"message": "x"},
    });
    socket.push(&request).await.unwrap();
    loop {
        match socket.next().await.unwrap() {
            Received::Frame(frame) if frame.payload["request_id"] == version => {
                return frame.payload;
            }
            Received::Frame(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn ranges_and_pins_decide_which_version_serves_and_callers_are_counted() {
    let cluster = cluster()
        .workers(3)
        .worker(|i, worker| worker.version(["1.0.0", "1.1.0", "2.0.0"][i]))
        .await
        .unwrap();
    let (one, two) = (cluster.gateway(0), cluster.gateway(1));
    for gateway in [one, two] {
        for version in ["1.0.0", "1.1.0", "2.0.0"] {
            answers(gateway, Some(version), "").await;
        }
    }
    let calls = async |gateway: &Gateway, version: &str, user: &str| {
        let path = format!("/v1/functions/demo/echo/callers?version={version}");
        let (_, body) = ask(gateway, Method::GET, &path, Value::Null).await;
        let callers = body["callers"].as_array().unwrap();
        let ours = callers.iter().find(|c| c["user"] == user);
        ours.map_or(0, |c| c["calls"].as_u64().unwrap())
    };
    call(one, "ranger", Some("^1.0")).await;
    call(one, "ranger", Some("1.x")).await;
    call(one, "ranger", Some("~1.0")).await;
    assert_eq!(calls(one, "1.1.0", "ranger").await, 2);
    assert_eq!(calls(one, "1.0.0", "ranger").await, 1);
    let (_, none) = call(one, "ranger", Some("^3")).await;
    assert_eq!(none["error_code"], "unknown_version", "{none}");

    let pin = json!({"user": "ann", "service": "demo", "version": "^1"});
    assert_eq!(ask(one, Method::PUT, "/v1/pins", pin).await.0, 200);
    call(one, "ann", None).await;
    assert_eq!(calls(one, "1.1.0", "ann").await, 1);
    eventually("the other gateway pins it too", || async {
        let before = calls(two, "1.1.0", "ann").await;
        call(two, "ann", None).await;
        match calls(two, "1.1.0", "ann").await - before {
            0 => Err(Error::new("not yet")),
            _ => Ok(()),
        }
    })
    .await
    .unwrap();
    call(one, "bob", None).await;
    assert_eq!(calls(one, "2.0.0", "bob").await, 1);
    call(two, "bob", None).await;
    call(two, "bob", None).await;
    assert_eq!(calls(two, "2.0.0", "bob").await, 3, "of both gateways");
    let (_, listed) = ask(two, Method::GET, "/v1/pins", Value::Null).await;
    assert_eq!(listed["overrides"][0]["to"], "^1", "{listed}");
    let path = "/v1/pins?user=ann&service=demo";
    assert_eq!(ask(one, Method::DELETE, path, Value::Null).await.0, 200);
    let before = calls(one, "2.0.0", "ann").await;
    call(one, "ann", None).await;
    assert_eq!(calls(one, "2.0.0", "ann").await, before + 1);
    let path = "/v1/versions?service=demo&function=echo";
    let (_, versions) = ask(one, Method::GET, path, Value::Null).await;
    let latest: Vec<_> = versions["versions"].as_array().unwrap().iter().collect();
    assert_eq!(latest.len(), 3, "{versions}");
    assert_eq!(latest[2]["latest"], true, "{versions}");
    assert_eq!(latest[0]["latest"], false, "{versions}");
}

#[tokio::test]
async fn a_deleted_version_and_a_chosen_latest_hold_on_both_gateways() {
    let mut cluster = cluster()
        .workers(2)
        .worker(|i, worker| worker.version(["1.0.0", "2.0.0"][i]))
        .await
        .unwrap();
    for gateway in cluster.gateways() {
        answers(gateway, Some("1.0.0"), "").await;
        answers(gateway, Some("2.0.0"), "").await;
    }
    let path = "/v1/functions/demo/echo?version=2.0.0";
    assert_eq!(
        ask(cluster.gateway(0), Method::DELETE, path, Value::Null)
            .await
            .0,
        200
    );
    answers(cluster.gateway(0), Some("2.0.0"), "unknown_version").await;
    answers(cluster.gateway(1), Some("2.0.0"), "unknown_version").await;
    // Its worker announces it anew.
    cluster.workers_mut()[1].restart().unwrap();
    cluster
        .wait_served("demo", "add", &json!({"a": 1, "b": 2}))
        .await
        .unwrap();
    answers(cluster.gateway(1), Some("2.0.0"), "unknown_version").await;
    let path = "/v1/versions?state=deleted";
    let (_, listed) = ask(cluster.gateway(1), Method::GET, path, Value::Null).await;
    assert_eq!(listed["versions"][0]["by"], "ann", "{listed}");
    let path = "/v1/functions/demo/echo/restore?version=2.0.0";
    assert_eq!(
        ask(cluster.gateway(1), Method::POST, path, Value::Null)
            .await
            .0,
        200
    );
    assert_eq!(
        ask(cluster.gateway(1), Method::POST, path, Value::Null)
            .await
            .0,
        404
    );
    answers(cluster.gateway(0), Some("2.0.0"), "").await;
}
