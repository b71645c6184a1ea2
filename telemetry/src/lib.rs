//! Spans of gateway and workers, exported over OTLP (gRPC).
//!
//! Whoever makes spans decides first whether a call is sampled: what is not costs nothing here.
//! Making a span never waits: what the queue does not take, or the collector, is counted as lost.
//!
//! ```no_run
//! # async fn example() -> Result<(), sluice_telemetry::InvalidOptions> {
//! use sluice_telemetry::{Kind, Options, Spans};
//!
//! let spans = Spans::otlp(&Options::new("http://127.0.0.1:4317", "shop"))?;
//! let mut span = spans.start("work", Kind::Internal, None);
//! span.set("items", 3);
//! drop(span);
//! spans.shutdown(std::time::Duration::from_secs(1)).await;
//! # Ok(())
//! # }
//! ```

mod export;
mod span;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{WithExportConfig, WithTonicConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider};
use tonic::metadata::{MetadataKey, MetadataMap};

pub use self::span::{Kind, Span, Value};

/// How spans leave the process.
#[derive(Debug, Clone)]
pub struct Options {
    /// Of the collector: `http://host:4317`, or `https://…`.
    pub endpoint: String,
    /// Sent with each export: name and value, for tokens of collectors.
    pub headers: Vec<(String, String)>,
    /// `service.name` of all spans.
    pub service_name: String,
    /// More of the process: `service.instance.id` and the like.
    pub attributes: Vec<(&'static str, String)>,
    /// How long one export may take.
    pub timeout: Duration,
    /// How long spans wait for more, to be exported together.
    pub delay: Duration,
    /// Most spans that wait; more are dropped and counted.
    pub queue: usize,
}

impl Options {
    /// What suits most.
    #[must_use]
    pub fn new(endpoint: impl Into<String>, service_name: impl Into<String>) -> Self {
        Self {
            endpoint: endpoint.into(),
            headers: Vec::new(),
            service_name: service_name.into(),
            attributes: Vec::new(),
            timeout: Duration::from_secs(5),
            delay: Duration::from_secs(1),
            queue: 8192,
        }
    }
}

/// Options that can never work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidOptions {
    /// The name or value of a header.
    #[error("the export header {0:?} is none that gRPC can send")]
    Header(String),
    /// The endpoint.
    #[error("the OTLP endpoint {endpoint:?} cannot be used: {reason}")]
    Endpoint {
        /// As it was given.
        endpoint: String,
        /// What is wrong.
        reason: String,
    },
}

/// What became of spans since the start.
#[derive(Debug, Default)]
pub struct Counts {
    exported: AtomicU64,
    dropped: AtomicU64,
    failed: AtomicU64,
    waiting: AtomicU64,
}

impl Counts {
    /// Spans that the collector took.
    #[must_use]
    pub fn exported(&self) -> u64 {
        self.exported.load(Ordering::Relaxed)
    }

    /// Spans that found the queue full.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Spans that the collector did not take.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }
}

/// Makes spans and exports them. Cloning shares it.
#[derive(Debug, Clone)]
pub struct Spans {
    tracer: SdkTracer,
    provider: SdkTracerProvider,
    counts: Arc<Counts>,
}

impl Spans {
    /// Spans that go to a collector, from a thread of their own. To be called within a tokio
    /// runtime, which does the network's work. Whether the collector is there shows later.
    ///
    /// # Errors
    /// When the endpoint or a header is none.
    pub fn otlp(options: &Options) -> Result<Self, InvalidOptions> {
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_tonic()
            .with_endpoint(&options.endpoint)
            .with_timeout(options.timeout)
            .with_metadata(metadata(&options.headers)?);
        let exporter = match options.endpoint.starts_with("https://") {
            true => exporter
                .with_tls_config(tonic::transport::ClientTlsConfig::new().with_native_roots()),
            false => exporter,
        };
        let exporter = exporter.build().map_err(|e| InvalidOptions::Endpoint {
            endpoint: options.endpoint.clone(),
            reason: e.to_string(),
        })?;
        let counts = Arc::new(Counts::default());
        let processor = export::processor(exporter, options, &counts);
        let attributes = options.attributes.iter();
        let attributes = attributes.map(|(key, value)| KeyValue::new(*key, value.clone()));
        let resource = Resource::builder()
            .with_service_name(options.service_name.clone())
            .with_attributes(attributes)
            .build();
        let provider = SdkTracerProvider::builder()
            .with_span_processor(processor)
            // Whoever asks for a span has decided already.
            .with_sampler(Sampler::AlwaysOn)
            .with_resource(resource)
            .build();
        Ok(Self {
            tracer: provider.tracer("sluice"),
            provider,
            counts,
        })
    }

    /// What became of them.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Exports what waits, and ends. Spans that end later are lost.
    pub async fn shutdown(&self, within: Duration) {
        let provider = self.provider.clone();
        // It blocks until the last export is done.
        let ended = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(within));
        // An export that fails is counted.
        let _ = ended.await;
    }
}

fn metadata(headers: &[(String, String)]) -> Result<MetadataMap, InvalidOptions> {
    let mut map = MetadataMap::new();
    for (name, value) in headers {
        let invalid = || InvalidOptions::Header(name.clone());
        let key = MetadataKey::from_bytes(name.as_bytes()).map_err(|_| invalid())?;
        map.insert(key, value.parse().map_err(|_| invalid())?);
    }
    Ok(map)
}
