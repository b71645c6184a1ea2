//! Which calls are traced. Decided first, so that a call that is not pays for one comparison.

use std::sync::Arc;
use std::time::Duration;

use sluice_protocol::trace::TraceContext;
use sluice_telemetry::{Counts, InvalidOptions, Kind, Options, Span, Spans};

use crate::config::Config;

/// Makes the spans of a gateway.
#[derive(Debug)]
pub struct Tracing {
    spans: Spans,
    /// Of 2^64.
    threshold: u64,
    trusts_clients: bool,
}

impl Tracing {
    /// As the configuration has it; `None`: nobody takes spans. Needs a tokio runtime.
    ///
    /// # Errors
    /// When the endpoint or a header can never work.
    pub fn start(config: &Config) -> Result<Option<Arc<Self>>, InvalidOptions> {
        let options = &config.telemetry;
        let Some(endpoint) = &options.otlp_endpoint else {
            return Ok(None);
        };
        let spans = Spans::otlp(&Options {
            headers: options.headers(),
            attributes: vec![
                ("service.instance.id", config.gateway.id.clone()),
                ("service.version", env!("CARGO_PKG_VERSION").to_owned()),
            ],
            delay: options.export_delay,
            queue: options.queue,
            ..Options::new(endpoint, &options.service_name)
        })?;
        Ok(Some(Arc::new(Self {
            spans,
            // Saturates: 1.0 is all of them.
            threshold: (options.sample_ratio * u64::MAX as f64) as u64,
            trusts_clients: options.trust_client_sampling,
        })))
    }

    /// Whether to trace what came with `client`.
    fn samples(&self, client: Option<&TraceContext>) -> bool {
        match client {
            Some(client) if self.trusts_clients => client.parent.is_sampled(),
            _ => self.threshold == u64::MAX || rand::random::<u64>() < self.threshold,
        }
    }

    /// Begins the span of something that came in, if it is to be traced. What is left in `trace`
    /// says so to whoever gets the call next.
    pub fn begin(&self, name: &'static str, trace: &mut Option<TraceContext>) -> Option<Span> {
        if !self.samples(trace.as_ref()) {
            if let Some(trace) = trace {
                trace.parent = trace.parent.sampled(false);
            }
            return None;
        }
        let span = self.spans.start(name, Kind::Server, trace.as_ref());
        *trace = Some(span.context());
        Some(span)
    }

    /// Begins a span within a trace, if that is recorded.
    pub fn follow(&self, name: &'static str, parent: Option<&TraceContext>) -> Option<Span> {
        let parent = parent.filter(|p| p.parent.is_sampled())?;
        Some(self.spans.start(name, Kind::Client, Some(parent)))
    }

    /// What became of the spans.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        self.spans.counts()
    }

    /// Exports what waits, and ends.
    pub async fn shutdown(&self, within: Duration) {
        self.spans.shutdown(within).await;
    }
}
