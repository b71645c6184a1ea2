//! Everything that clients do, over https and wss.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use reqwest::Version;
use serde_json::{Value, json};
use sluice_e2e::http::Client;
use sluice_e2e::process::Process;
use sluice_e2e::socket::{EVENT, Socket};

use super::{Installation, connect};

#[tokio::test]
async fn calls_and_streams_over_both_versions_of_http() {
    let it = Installation::start(&[]).await;
    let client = |h1: bool| {
        Client::tls(it.gateway.url(), &it.certificates, |http| {
            if h1 { http.http1_only() } else { http }
        })
        .unwrap()
    };
    for (client, version) in [
        (client(true), Version::HTTP_11),
        (client(false), Version::HTTP_2),
    ] {
        let response = client.get("/health/ready").send().await.unwrap();
        assert_eq!(
            (response.status().as_u16(), response.version()),
            (200, version)
        );

        let (status, answer) = client
            .call("demo", "echo", json!({"message": "é"}))
            .await
            .unwrap();
        assert_eq!((status, answer.result), (200, json!({"message": "é"})));
        let (status, answer) = client.call("demo", "nothing", json!({})).await.unwrap();
        assert_eq!(
            (status, answer.error_code.as_deref()),
            (404, Some("unknown_function"))
        );

        let args = json!({"to": 300});
        let opened = client.sse("demo", "count", args.clone()).await.unwrap();
        let events = opened.stream().unwrap().collect().await.unwrap();
        let items = events.iter().filter(|e| e.kind == "item").count();
        assert_eq!((items, events.last().unwrap().kind.as_str()), (300, "end"));
        let opened = client.ndjson("demo", "count", args).await.unwrap();
        let lines = opened.stream().unwrap().collect().await.unwrap();
        let items = lines
            .iter()
            .filter(|line| line.data["result"] != Value::Null)
            .count();
        assert_eq!(items, 300);

        // Many at once on few connections.
        let calls = (0..100).map(|n| client.call("demo", "add", json!({"a": n, "b": 1})));
        for (n, answer) in futures_util::future::join_all(calls)
            .await
            .into_iter()
            .enumerate()
        {
            assert_eq!(answer.unwrap().1.result, json!({"sum": n + 1}));
        }
    }
}

#[tokio::test]
async fn a_socket_over_wss() {
    let it = Installation::start(&[]).await;
    let address = it.gateway.address();
    let wire = connect(address, &it.certificates, None).await.unwrap();
    let url = format!("wss://{address}/socket/websocket?vsn=2.0.0");
    let mut socket = Socket::over(wire, url.as_str()).await.unwrap();
    socket.join().await.unwrap();
    let answer = socket.call("add", json!({"a": 1, "b": 2})).await.unwrap();
    assert_eq!(answer["result"], json!({"sum": 3}));
    let request = json!({
        "request_id": "s", "service": "demo", "request_type": "count", "args": {"to": 200},
    });
    socket.push(&request).await.unwrap();
    let mut items = 0;
    loop {
        let frame = socket.frame().await.unwrap();
        if frame.event == EVENT {
            items += usize::from(!frame.payload["result"].is_null());
            if frame.payload["has_more"] == json!(false) {
                break;
            }
        }
    }
    assert_eq!(items, 200);

    // The drain tells sockets over TLS, too, that they shall come back elsewhere.
    it.gateway.process().terminate().unwrap();
    let (closed, _) = socket.closed().await.unwrap();
    assert_eq!(closed.code, 1012, "{closed:?}");
    assert!(it.gateway.process().wait_exit().await.unwrap().success());
}

/// All steps of the check that the other tests run over plain sockets.
#[tokio::test]
async fn the_npm_package_phoenix_over_wss() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("node");
    let packages = folder.join("node_modules/phoenix").is_dir();
    if !packages && std::env::var_os("SLUICE_REQUIRE_ALL").is_none() {
        eprintln!("skipped: no tests/node/node_modules: run scripts/setup");
        return;
    }
    let it = Installation::start(&[]).await;
    let mut node = Command::new("node");
    node.current_dir(folder)
        .arg("demo.mjs")
        .arg(format!(
            "wss://localhost:{}/socket",
            it.gateway.address().port()
        ))
        .env("NODE_EXTRA_CA_CERTS", it.certificates.path("ca.pem"))
        .env("NODE_OPTIONS", "--dns-result-order=ipv4first");
    let script = Process::spawn("node demo.mjs", node).unwrap();
    let status = script
        .wait_exit_within(Duration::from_secs(180))
        .await
        .unwrap();
    assert!(status.success(), "{}", script.failure(&status.to_string()));
}
