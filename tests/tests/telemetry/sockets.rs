//! The same over Phoenix sockets: the join names a trace, or the request does.

use serde_json::{Value, json};
use sluice_e2e::collector::Collector;
use sluice_e2e::socket::{EVENT, Socket, TOPIC};
use sluice_e2e::{Error, eventually};

use crate::{Client, cluster, outcomes};

/// Pushes a request and reads until its last response.
async fn finish(socket: &mut Socket, request: &Value) -> Value {
    socket.push(request).await.unwrap();
    loop {
        let frame = socket.frame().await.unwrap();
        let ours = frame.event == EVENT && frame.payload["request_id"] == request["request_id"];
        let response = frame.payload;
        let is_ack = response["async"] == true && response["result"].is_null();
        let is_end = is_ack && response["has_more"] == false && request["request_type"] == "count";
        if ours && response["has_more"] == false && (!is_ack || is_end) {
            return response;
        }
    }
}

#[tokio::test]
async fn the_trace_of_the_join_or_of_the_request_for_all_kinds_of_calls() {
    let collector = Collector::start().await.unwrap();
    let cluster = cluster(&collector.url()).await.unwrap();
    let mut socket = Socket::connect(cluster.gateway(0).address()).await.unwrap();
    let joined = Client::new();
    let params = json!({"trace": joined.traceparent()});
    let reference = socket.push_event(TOPIC, "phx_join", &params).await.unwrap();
    let reply = socket.reply(reference).await.unwrap();
    assert_eq!(reply.payload["status"], "ok", "{reply:?}");

    let plain = json!({
        "request_id": "by-join", "service": "demo", "request_type": "flaky",
        "args": {"failures": 1},
    });
    let answer = finish(&mut socket, &plain).await;
    assert_eq!(answer["success"], true, "{answer}");
    let tree = joined.tree(&collector, 2).await;
    assert_eq!(tree.call.field("request_id"), "by-join");
    assert_eq!(outcomes(&tree.attempts), ["worker_error", "ok"]);

    for (function, args) in [
        ("echo", json!({"message": "x"})),
        ("report", json!({"ms": 5})),
        ("count", json!({"to": 2})),
    ] {
        let own = Client::new();
        let request = json!({
            "request_id": function, "service": "demo", "request_type": function, "args": args,
            "trace": own.traceparent(),
        });
        let answer = finish(&mut socket, &request).await;
        assert_eq!(answer["success"], true, "{function} {answer}");
        let tree = own.tree(&collector, 1).await;
        assert_eq!(tree.call.field("function"), function);
        assert_eq!(tree.call.field("outcome"), "ok", "{function}");
        assert_eq!(outcomes(&tree.attempts), ["ok"], "{function}");
        assert_eq!(outcomes(&tree.worked), ["ok"], "{function}");
    }
}

#[tokio::test]
async fn a_socket_has_a_span_of_its_own() {
    let collector = Collector::start().await.unwrap();
    let url = collector.url();
    let cluster = cluster(&url)
        .gateway(move |_, gateway| {
            gateway
                .option("telemetry", "otlp_endpoint", url.clone())
                .option("telemetry", "export_delay_ms", 50)
                .option("telemetry", "sample_ratio", 1)
        })
        .await
        .unwrap();
    let socket = Socket::joined(cluster.gateway(0).address()).await.unwrap();
    socket.close().await.unwrap();
    eventually("the span of the socket", || async {
        match collector.named("edge.socket").as_slice() {
            [span] if !span.field("outcome").is_empty() => Ok(()),
            spans => Err(Error::new(format!("{spans:#?}"))),
        }
    })
    .await
    .unwrap();
}
