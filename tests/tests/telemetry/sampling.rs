//! Which calls are traced: as the client says, or by the share that is configured.

use serde_json::json;
use sluice_e2e::collector::Collector;
use sluice_e2e::gateway::GatewayBuilder;
use sluice_e2e::http;
use sluice_e2e::{Error, eventually};

use crate::{Client, cluster};

async fn echo(http: http::Client) {
    let args = json!({"message": "x"});
    let (status, answer) = http.call("demo", "echo", args).await.unwrap();
    assert_eq!(status, 200, "{answer:?}");
}

fn telemetry(
    gateway: GatewayBuilder,
    url: &str,
    option: &str,
    value: impl Into<serde_json::Value>,
) -> GatewayBuilder {
    gateway
        .option("telemetry", "otlp_endpoint", url)
        .option("telemetry", "export_delay_ms", 50)
        .option("telemetry", option, value)
}

#[tokio::test]
async fn a_trace_that_the_client_does_not_record_leaves_no_spans() {
    let collector = Collector::start().await.unwrap();
    let cluster = cluster(&collector.url()).await.unwrap();
    let http = || cluster.gateway(0).client().unwrap();
    let (quiet, loud) = (Client::new(), Client::new());
    echo(http().header("traceparent", &quiet.unsampled())).await;
    echo(http().header("traceparent", "00-nonsense")).await;
    echo(http()).await;
    echo(http().header("traceparent", &loud.traceparent())).await;
    // Spans leave in the order in which they end.
    loud.tree(&collector, 1).await;
    assert!(collector.spans_of(&quiet.trace).is_empty());
    assert_eq!(collector.named("pipeline.call").len(), 1);
    assert_eq!(collector.named("worker.call").len(), 1);
}

#[tokio::test]
async fn without_a_word_of_the_client_the_ratio_decides() {
    let collector = Collector::start().await.unwrap();
    let url = collector.url();
    let cluster = cluster(&url)
        .gateway(move |_, gateway| telemetry(gateway, &url, "sample_ratio", 1))
        .await
        .unwrap();
    let http = cluster.gateway(0).client().unwrap();
    echo(http.header("x-request-id", "by-ratio")).await;
    let trace = eventually("the span of the call", || async {
        let calls = collector.named("pipeline.call");
        let call = calls
            .iter()
            .find(|call| call.field("request_id") == "by-ratio");
        match call {
            Some(call) if call.parent.is_empty() => Ok(Some(call.trace.clone())),
            _ => Err(Error::new(format!("{calls:#?}"))),
        }
    })
    .await
    .unwrap();
    let spans = collector.wait(&trace, 3).await.unwrap();
    assert_eq!(spans.len(), 3, "{spans:#?}");
}

#[tokio::test]
async fn clients_decide_nothing_where_they_are_not_trusted_to() {
    let collector = Collector::start().await.unwrap();
    let url = collector.url();
    let cluster = cluster(&url)
        .gateways(2)
        .gateway(move |i, gateway| {
            let gateway = telemetry(gateway, &url, "trust_client_sampling", false);
            gateway.option("telemetry", "sample_ratio", i)
        })
        .await
        .unwrap();
    let (never, always) = (Client::new(), Client::new());
    let first = cluster.gateway(0).client().unwrap();
    echo(first.header("traceparent", &never.traceparent())).await;
    let second = cluster.gateway(1).client().unwrap();
    echo(second.header("traceparent", &always.unsampled())).await;
    always.tree(&collector, 1).await;
    // The worker heard of the first one before, from a gateway that samples nothing.
    assert!(collector.spans_of(&never.trace).is_empty());
}
