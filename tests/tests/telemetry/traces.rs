//! One trace from a client's header through the gateway's attempts to the workers.

use serde_json::json;
use sluice_e2e::collector::Collector;
use sluice_e2e::eventually;

use crate::{Client, cluster, outcomes};

#[tokio::test]
async fn a_retried_call_is_one_trace_with_a_span_for_each_attempt() {
    let collector = Collector::start().await.unwrap();
    let cluster = cluster(&collector.url()).await.unwrap();
    let traced = Client::new();
    let http = cluster.gateway(0).client().unwrap();
    let http = http
        .header("traceparent", &traced.traceparent())
        .header("tracestate", "vendor=a1")
        .header("x-request-id", "traced-1");
    let (status, answer) = http
        .call("demo", "flaky", json!({"failures": 1}))
        .await
        .unwrap();
    assert_eq!(status, 200, "{answer:?}");
    assert_eq!(answer.result, json!({"attempt": 2}));

    let tree = traced.tree(&collector, 2).await;
    assert_eq!(tree.call.field("function"), "flaky");
    assert_eq!(tree.call.field("request_id"), "traced-1");
    assert_eq!(tree.call.field("outcome"), "ok");
    assert!(!tree.call.failed);
    assert_eq!(tree.call.state, "vendor=a1");
    assert_eq!(tree.worked[1].state, "vendor=a1");
    let stages = [
        "resolved",
        "admitted",
        "hooked",
        "translated",
        "permitted",
        "limited",
        "validated",
    ];
    assert_eq!(tree.call.events, stages);
    assert_eq!(outcomes(&tree.attempts), ["worker_error", "ok"]);
    assert_eq!(outcomes(&tree.worked), ["demo_flaky", "ok"]);
    let failed: Vec<bool> = tree.attempts.iter().map(|a| a.failed).collect();
    assert_eq!(failed, [true, false]);
}

#[tokio::test]
async fn a_call_that_fails_says_so_in_all_its_spans() {
    let collector = Collector::start().await.unwrap();
    let cluster = cluster(&collector.url()).await.unwrap();
    let traced = Client::new();
    let http = cluster.gateway(0).client().unwrap();
    let http = http.header("traceparent", &traced.traceparent());
    let (status, _) = http.call("demo", "fail", json!({})).await.unwrap();
    assert_eq!(status, 500);
    let tree = traced.tree(&collector, 1).await;
    assert_eq!(tree.call.field("outcome"), "worker_error");
    assert!(tree.call.failed && tree.attempts[0].failed && tree.worked[0].failed);
    assert_eq!(outcomes(&tree.worked), ["demo_failed"]);
}

#[tokio::test]
async fn what_is_refused_before_dispatch_is_a_span_alone() {
    let collector = Collector::start().await.unwrap();
    let cluster = cluster(&collector.url()).await.unwrap();
    for (function, code) in [
        ("nothing", "unknown_function"),
        ("add", "invalid_arguments"),
    ] {
        let traced = Client::new();
        let http = cluster.gateway(0).client().unwrap();
        let http = http.header("traceparent", &traced.traceparent());
        let (_, answer) = http.call("demo", function, json!({})).await.unwrap();
        assert_eq!(answer.code(), code, "{answer:?}");
        let spans = collector.wait(&traced.trace, 1).await.unwrap();
        assert_eq!(spans.len(), 1, "{spans:#?}");
        assert_eq!(spans[0].name, "pipeline.call", "{spans:#?}");
        assert_eq!(spans[0].field("outcome"), code, "{spans:#?}");
        assert_eq!(spans[0].parent, traced.span, "{spans:#?}");
    }
}

#[tokio::test]
async fn an_async_call_is_one_trace_up_to_its_late_result() {
    let collector = Collector::start().await.unwrap();
    let cluster = cluster(&collector.url()).await.unwrap();
    let traced = Client::new();
    let http = cluster.gateway(0).client().unwrap();
    let http = http.header("traceparent", &traced.traceparent());
    let (status, answer) = http
        .call("demo", "report", json!({"ms": 10}))
        .await
        .unwrap();
    assert_eq!(status, 202, "{answer:?}");
    let tree = traced.tree(&collector, 1).await;
    assert_eq!(tree.call.field("outcome"), "ok");
    assert_eq!(outcomes(&tree.attempts), ["ok"]);
    assert_eq!(outcomes(&tree.worked), ["ok"]);
}

#[tokio::test]
async fn a_stream_is_one_trace_up_to_its_end() {
    let collector = Collector::start().await.unwrap();
    let cluster = cluster(&collector.url()).await.unwrap();
    let traced = Client::new();
    let http = cluster.gateway(0).client().unwrap();
    let http = http.header("traceparent", &traced.traceparent());
    let opened = http.sse("demo", "count", json!({"to": 3})).await.unwrap();
    let mut stream = opened.stream().unwrap();
    let mut items = 0;
    while let Some(event) = stream.next().await.unwrap() {
        items += usize::from(event.envelope().unwrap().result.is_object());
    }
    assert_eq!(items, 3);
    let tree = traced.tree(&collector, 1).await;
    assert_eq!(tree.call.field("outcome"), "ok");
    assert_eq!(outcomes(&tree.attempts), ["ok"]);
    assert_eq!(outcomes(&tree.worked), ["ok"]);
}

#[tokio::test]
async fn a_client_that_leaves_its_stream_is_told_of_as_cancelled() {
    let collector = Collector::start().await.unwrap();
    let cluster = cluster(&collector.url()).await.unwrap();
    let traced = Client::new();
    let http = cluster.gateway(0).client().unwrap();
    let http = http.header("traceparent", &traced.traceparent());
    let args = json!({"to": 100_000, "delay_ms": 20});
    let opened = http.sse("demo", "count", args).await.unwrap();
    let mut stream = opened.stream().unwrap();
    stream.next().await.unwrap();
    drop(stream);
    let tree = traced.tree(&collector, 1).await;
    assert_eq!(tree.call.field("outcome"), "cancelled");
    assert_eq!(outcomes(&tree.attempts), ["client_gone"]);
    assert_eq!(outcomes(&tree.worked), ["cancelled"]);
}

#[tokio::test]
async fn spans_that_wait_are_exported_when_gateway_and_worker_end() {
    let collector = Collector::start().await.unwrap();
    let cluster = cluster(&collector.url())
        .gateway({
            let url = collector.url();
            move |_, gateway| {
                gateway
                    .option("telemetry", "otlp_endpoint", url.clone())
                    .option("telemetry", "otlp_headers", "x-team=core")
                    .option("telemetry", "export_delay_ms", 60_000)
                    .option("gateway", "drain_delay_ms", 0)
            }
        })
        .await
        .unwrap();
    let traced = Client::new();
    let http = cluster.gateway(0).client().unwrap();
    let http = http.header("traceparent", &traced.traceparent());
    let (status, _) = http
        .call("demo", "echo", json!({"message": "x"}))
        .await
        .unwrap();
    assert_eq!(status, 200);
    cluster.gateway(0).process().drain().await.unwrap();
    cluster.worker(0).process().drain().await.unwrap();
    traced.tree(&collector, 1).await;
    eventually("the header came along", || async {
        collector.header("x-team").as_deref() == Some("core")
    })
    .await
    .unwrap();
}
