//! What gateways and workers tell of calls, with a collector that takes it.

#![expect(clippy::unwrap_used, reason = "helpers of tests may do what tests may")]

mod away;
mod log;
mod sampling;
mod sockets;
mod traces;

use std::sync::atomic::{AtomicU64, Ordering};

use sluice_e2e::cluster::{Cluster, ClusterBuilder};
use sluice_e2e::collector::{Collector, Seen};
use sluice_e2e::nats::BrokerKind;
use sluice_gateway::telemetry::spans;

/// A gateway and a worker that send their spans to this endpoint, soon.
fn cluster(endpoint: &str) -> ClusterBuilder {
    let (of_gateway, of_worker) = (endpoint.to_owned(), endpoint.to_owned());
    Cluster::start(BrokerKind::Embedded)
        .gateway(move |_, gateway| {
            gateway
                .option("telemetry", "otlp_endpoint", of_gateway.clone())
                .option("telemetry", "export_delay_ms", 50)
                .option("telemetry", "sample_ratio", 0)
        })
        .worker(move |_, worker| worker.env("OTEL_EXPORTER_OTLP_ENDPOINT", of_worker.clone()))
}

/// A span of a client, which no other test has.
struct Client {
    trace: String,
    span: String,
}

impl Client {
    fn new() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(1);
        let n = LAST.fetch_add(1, Ordering::Relaxed);
        Self {
            trace: format!("4bf92f3577b34da6{n:016x}"),
            span: format!("{n:016x}"),
        }
    }

    /// What it sends of a trace that it records.
    fn traceparent(&self) -> String {
        format!("00-{}-{}-01", self.trace, self.span)
    }

    /// What it sends of a trace that it does not.
    fn unsampled(&self) -> String {
        format!("00-{}-{}-00", self.trace, self.span)
    }

    /// The spans of its trace, once there are so many: the call, its attempts and the worker's,
    /// which hang together as they have to.
    async fn tree(&self, collector: &Collector, attempts: usize) -> Tree {
        let spans = collector.wait(&self.trace, 1 + 2 * attempts).await.unwrap();
        let named = |name: &str| -> Vec<Seen> {
            let mut found: Vec<Seen> = spans.iter().filter(|s| s.name == name).cloned().collect();
            found.sort_by_key(|span| span.field("attempt").to_owned());
            found
        };
        let (calls, attempted) = (named("pipeline.call"), named("dispatch.nats"));
        let worked = named("worker.call");
        let counts = (calls.len(), attempted.len(), worked.len());
        assert_eq!(counts, (1, attempts, attempts), "{spans:#?}");
        let call = calls.into_iter().next().unwrap();
        assert_eq!(call.parent, self.span, "{spans:#?}");
        assert_eq!(call.process, "sluice", "{spans:#?}");
        for (attempt, work) in attempted.iter().zip(&worked) {
            assert_eq!(attempt.parent, call.id, "{spans:#?}");
            assert_eq!(work.parent, attempt.id, "{spans:#?}");
            assert_eq!(work.process, "demo", "{spans:#?}");
            assert_eq!(work.field("attempt"), attempt.field("attempt"));
        }
        for span in &spans {
            as_documented(span);
            assert_eq!(span.field("service"), "demo", "{span:#?}");
            assert_eq!(span.field("function"), call.field("function"), "{span:#?}");
            assert_eq!(span.field("version"), "1.0.0", "{span:#?}");
            let id = call.field("request_id");
            assert_eq!(span.field("request_id"), id, "{span:#?}");
        }
        Tree {
            call,
            attempts: attempted,
            worked,
        }
    }
}

/// A span has no field and no event that the reference does not list.
fn as_documented(span: &Seen) {
    let kind = spans::ALL.iter().find(|kind| kind.name == span.name);
    let kind = kind.unwrap_or_else(|| panic!("not in the reference: {span:#?}"));
    let known = |list: &[&str], name: &String| list.contains(&name.as_str());
    let unknown_field = span.fields.keys().find(|f| !known(kind.fields, f));
    let unknown_event = span.events.iter().find(|e| !known(kind.events, e));
    assert_eq!((unknown_field, unknown_event), (None, None), "{span:#?}");
}

/// The spans of one call.
struct Tree {
    call: Seen,
    attempts: Vec<Seen>,
    worked: Vec<Seen>,
}

/// How spans ended, in their order.
fn outcomes(spans: &[Seen]) -> Vec<&str> {
    spans.iter().map(|span| span.field("outcome")).collect()
}
