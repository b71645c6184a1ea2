//! Spans of a worker's calls (feature `otlp`).
//!
//! The gateway decides which calls are traced; a worker follows. Without the feature, or where
//! nobody takes spans, [`Context::traceparent`](crate::Context::traceparent) still tells a handler
//! which trace its call belongs to.

use sluice_protocol::headers::CallHeaders;

#[cfg(feature = "otlp")]
pub use sluice_telemetry::{Counts, InvalidOptions, Options, Spans as OtlpSpans};

use crate::runtime::service::Entry;

/// The environment variable that names the collector, as all of OpenTelemetry has it.
pub const OTLP_ENDPOINT_ENV: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

/// Makes the spans of calls, if anybody wants them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Spans {
    #[cfg(feature = "otlp")]
    spans: Option<sluice_telemetry::Spans>,
}

/// The span of one call, if it is recorded.
#[derive(Debug, Default)]
pub(crate) struct CallSpan {
    #[cfg(feature = "otlp")]
    span: Option<sluice_telemetry::Span>,
}

#[cfg(feature = "otlp")]
impl Spans {
    pub(crate) fn of(spans: sluice_telemetry::Spans) -> Self {
        Self { spans: Some(spans) }
    }

    /// Begins the span of a call whose trace is recorded; the call's own calls are its children.
    pub(crate) fn begin(
        &self,
        headers: &mut CallHeaders,
        state: Option<&str>,
        entry: &Entry,
    ) -> CallSpan {
        use sluice_protocol::trace::TraceContext;
        let parent = headers.traceparent.as_deref();
        let parent = parent.and_then(|text| TraceContext::parse(text, state));
        let parent = parent.filter(|p| p.parent.is_sampled());
        let (Some(spans), Some(parent)) = (&self.spans, parent) else {
            return CallSpan::default();
        };
        let kind = sluice_telemetry::Kind::Server;
        let mut span = spans.start("worker.call", kind, Some(&parent));
        span.set("service", entry.spec.service.to_string());
        span.set("function", entry.spec.request_type.to_string());
        if let Some(version) = &entry.spec.version {
            span.set("version", version.to_string());
        }
        span.set("request_id", headers.request_id.clone());
        span.set("attempt", i64::from(headers.attempt));
        headers.traceparent = Some(span.context().parent.to_string());
        CallSpan { span: Some(span) }
    }
}

#[cfg(not(feature = "otlp"))]
impl Spans {
    pub(crate) fn begin(&self, _: &mut CallHeaders, _: Option<&str>, _: &Entry) -> CallSpan {
        CallSpan::default()
    }
}

impl CallSpan {
    /// The call has ended: well, or with this code.
    #[cfg(feature = "otlp")]
    pub(crate) fn end(&mut self, failed: Option<&str>) {
        if let Some(mut span) = self.span.take() {
            span.set("outcome", failed.unwrap_or("ok").to_owned());
            if let Some(code) = failed {
                span.fail(code.to_owned());
            }
        }
    }

    #[cfg(not(feature = "otlp"))]
    pub(crate) fn end(&mut self, _: Option<&str>) {}
}

/// Spans that go to the collector that the environment names ([`OTLP_ENDPOINT_ENV`]); `None`: it
/// names none. Needs a tokio runtime.
///
/// # Errors
/// When the endpoint can never work.
#[cfg(feature = "otlp")]
pub fn from_env(service_name: &str) -> Result<Option<OtlpSpans>, InvalidOptions> {
    let endpoint = std::env::var(OTLP_ENDPOINT_ENV).ok();
    let endpoint = endpoint.filter(|endpoint| !endpoint.is_empty());
    let spans = endpoint.map(|endpoint| OtlpSpans::otlp(&Options::new(endpoint, service_name)));
    spans.transpose()
}
