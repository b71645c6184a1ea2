//! A stand-in for a collector: takes spans over OTLP (gRPC) and shows them to a test.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use reqwest::header::{HeaderName, HeaderValue};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::transport::Server;
use tonic::{Request, Response, Status};

use crate::{Error, Result, eventually};

/// A collector that takes everything; it ends when it is dropped.
pub struct Collector {
    address: SocketAddr,
    taken: Arc<Taken>,
    _stop: DropGuard,
}

#[derive(Default)]
struct Taken {
    spans: Mutex<Vec<Seen>>,
    headers: Mutex<BTreeMap<String, String>>,
}

/// A span as it was exported.
#[derive(Clone, Debug)]
pub struct Seen {
    /// `service.name` of its process.
    pub process: String,
    /// `pipeline.call` and the like.
    pub name: String,
    /// 32 hex digits.
    pub trace: String,
    /// 16 hex digits.
    pub id: String,
    /// Of its parent; empty where it is a root.
    pub parent: String,
    /// The `tracestate` that it carries on.
    pub state: String,
    /// Its attributes as text.
    pub fields: BTreeMap<String, String>,
    /// The names of its events, in their order.
    pub events: Vec<String>,
    /// Whether its status is an error.
    pub failed: bool,
}

impl Seen {
    /// An attribute; empty where there is none.
    pub fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }
}

impl Collector {
    /// Starts one on a port of its own.
    pub async fn start() -> Result<Self> {
        let failed = |error| Error::because("the stand-in collector", error);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let taken = Arc::new(Taken::default());
        let stop = CancellationToken::new();
        let service = TraceServiceServer::from_arc(taken.clone());
        let serving = Server::builder()
            .add_service(service)
            .serve_with_incoming_shutdown(
                TcpListenerStream::new(listener),
                stop.clone().cancelled_owned(),
            );
        tokio::spawn(serving);
        Ok(Self {
            address,
            taken,
            _stop: stop.drop_guard(),
        })
    }

    /// Its endpoint.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All spans of a trace that have come so far.
    pub fn spans_of(&self, trace: &str) -> Vec<Seen> {
        let all = lock(&self.taken.spans);
        all.iter().filter(|s| s.trace == trace).cloned().collect()
    }

    /// Spans of this name that have come so far, of all traces.
    pub fn named(&self, name: &str) -> Vec<Seen> {
        let all = lock(&self.taken.spans);
        all.iter().filter(|s| s.name == name).cloned().collect()
    }

    /// A header that came with an export.
    pub fn header(&self, name: &str) -> Option<String> {
        lock(&self.taken.headers).get(name).cloned()
    }

    /// Waits until so many spans of a trace have come, and returns them.
    pub async fn wait(&self, trace: &str, count: usize) -> Result<Vec<Seen>> {
        eventually(&format!("{count} spans of the trace {trace}"), || async {
            match self.spans_of(trace) {
                spans if spans.len() >= count => Ok(Some(spans)),
                spans => Err(Error::new(format!("{spans:#?}"))),
            }
        })
        .await
    }
}

#[tonic::async_trait]
impl TraceService for Taken {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> std::result::Result<Response<ExportTraceServiceResponse>, Status> {
        let metadata = request.metadata().clone().into_headers();
        let text = |(name, value): (&HeaderName, &HeaderValue)| {
            Some((name.to_string(), value.to_str().ok()?.to_owned()))
        };
        lock(&self.headers).extend(metadata.iter().filter_map(text));
        for resource in request.into_inner().resource_spans {
            let of_process = resource.resource.unwrap_or_default().attributes;
            let process = fields(of_process).remove("service.name");
            let process = process.unwrap_or_default();
            let spans = resource.scope_spans.into_iter().flat_map(|s| s.spans);
            lock(&self.spans).extend(spans.map(|span| seen(&process, span)));
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

fn seen(process: &str, span: Span) -> Seen {
    let status = span.status.unwrap_or_default();
    Seen {
        process: process.to_owned(),
        name: span.name,
        trace: hex::encode(span.trace_id),
        id: hex::encode(span.span_id),
        parent: hex::encode(span.parent_span_id),
        state: span.trace_state,
        fields: fields(span.attributes),
        events: span.events.into_iter().map(|e| e.name).collect(),
        failed: status.code == StatusCode::Error as i32,
    }
}

fn fields(attributes: Vec<KeyValue>) -> BTreeMap<String, String> {
    let text = |value: Option<AnyValue>| match value.and_then(|v| v.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::BoolValue(truth)) => truth.to_string(),
        other => format!("{other:?}"),
    };
    let pairs = attributes.into_iter();
    pairs.map(|pair| (pair.key, text(pair.value))).collect()
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
