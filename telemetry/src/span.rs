//! One span: it ends when it is dropped.

use opentelemetry::trace::{
    Span as _, SpanBuilder, SpanContext, SpanId, SpanKind, Status, TraceContextExt as _,
    TraceFlags, TraceId, Tracer as _,
};
use opentelemetry::{Context, KeyValue};
use sluice_protocol::trace::{TraceContext, TraceParent};

use super::Spans;
pub use opentelemetry::Value;

/// What a span stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A request that is served.
    Server,
    /// A request that is sent.
    Client,
    /// Something within.
    Internal,
}

/// Some work that is recorded. It ends when it is dropped.
#[derive(Debug)]
pub struct Span {
    span: opentelemetry_sdk::trace::Span,
    /// What came with its parent; passed on.
    state: Option<String>,
}

impl Spans {
    /// Begins a span; without a parent it begins a trace.
    #[must_use]
    pub fn start(&self, name: &'static str, kind: Kind, parent: Option<&TraceContext>) -> Span {
        let kind = match kind {
            Kind::Server => SpanKind::Server,
            Kind::Client => SpanKind::Client,
            Kind::Internal => SpanKind::Internal,
        };
        let builder = SpanBuilder::from_name(name).with_kind(kind);
        let context = match parent {
            Some(parent) => Context::new().with_remote_span_context(remote(parent)),
            None => Context::new(),
        };
        Span {
            span: self.tracer.build_with_context(builder, &context),
            state: parent.and_then(|p| p.state.clone()),
        }
    }
}

fn remote(parent: &TraceContext) -> SpanContext {
    let state = parent.state.as_deref().and_then(|s| s.parse().ok());
    SpanContext::new(
        TraceId::from(parent.parent.trace_id),
        SpanId::from(parent.parent.span_id),
        TraceFlags::SAMPLED,
        true,
        state.unwrap_or_default(),
    )
}

impl Span {
    /// Says something of it.
    pub fn set(&mut self, key: &'static str, value: impl Into<Value>) {
        self.span.set_attribute(KeyValue::new(key, value));
    }

    /// Something happened now.
    pub fn event(&mut self, name: &'static str) {
        self.span.add_event(name, Vec::new());
    }

    /// It failed.
    pub fn fail(&mut self, reason: impl Into<std::borrow::Cow<'static, str>>) {
        self.span.set_status(Status::error(reason));
    }

    /// What its children name as their parent.
    #[must_use]
    pub fn context(&self) -> TraceContext {
        let context = self.span.span_context();
        TraceContext {
            parent: TraceParent {
                trace_id: u128::from_be_bytes(context.trace_id().to_bytes()),
                span_id: u64::from_be_bytes(context.span_id().to_bytes()),
                flags: 1,
            },
            state: self.state.clone(),
        }
    }
}
