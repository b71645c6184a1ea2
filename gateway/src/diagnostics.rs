//! What operators ask when something is odd: is all well, what would happen to this call, who sees
//! whom, what happens to live calls right now.
//!
//! Each question is a [`Question`]; every gateway answers it for itself ([`Diagnostics::answer`]), and
//! the one that an operator asks collects the answers of all ([`peers`]).
//!
//! ```text
//! operator ── admin API ──► gateway ── <prefix>.gateway.ask ──► the other gateways
//!                              ◄──────────── their answers ─────────┘
//! ```

pub mod change;
pub mod cluster;
pub mod export;
pub mod health;
pub mod peers;
pub mod question;
mod request;
pub mod trace;
pub mod traffic;
pub mod verify;

use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::Value;
use tokio::time::Instant;

use self::peers::Peers;
pub use self::question::{Answer, Question};
use self::trace::Tracer;
use crate::config::Config;
use crate::dispatch::Clock;
use crate::dispatch::guards::Breakers;
use crate::health::Health;
use crate::hooks::Callbacks;
use crate::limiter::Limiter;
use crate::pipeline::explain::Explainer;
use crate::registry::Registry;
use crate::telemetry::Telemetry;
use crate::telemetry::levels::Levels;

/// What diagnostics look at.
#[derive(Debug, Clone)]
pub struct Parts {
    /// Services, functions, instances.
    pub registry: Arc<Registry>,
    /// Alive, ready, draining.
    pub health: Arc<Health>,
    /// As it runs.
    pub config: Arc<Config>,
    /// Rate limits.
    pub limiter: Arc<Limiter>,
    /// Embedded hooks.
    pub callbacks: Arc<Callbacks>,
    /// The dispatchers' clock.
    pub clock: Clock,
    /// Where clients connect.
    pub http: SocketAddr,
    /// Where operators connect.
    pub admin: SocketAddr,
    /// What is counted.
    pub telemetry: Arc<Telemetry>,
    /// The calls that somebody watches.
    pub tracer: Arc<Tracer>,
    /// Those of the log, where it is this gateway's own.
    pub levels: Option<Arc<Levels>>,
}

/// Answers operators' questions for this gateway, and asks the others.
#[derive(Debug)]
pub struct Diagnostics {
    parts: Parts,
    explainer: Explainer,
    breakers: Breakers,
    peers: Peers,
    started: Instant,
}

impl Diagnostics {
    /// Diagnostics of this process; `peers` reach the other gateways.
    #[must_use]
    pub fn new(parts: Parts, peers: Peers) -> Self {
        let explainer = Explainer::new(
            parts.registry.clone(),
            parts.limiter.clone(),
            parts.callbacks.clone(),
            &parts.config,
            parts.clock,
        );
        let breakers = Breakers::new(
            parts.registry.clone(),
            parts.clock,
            parts.config.breaker.clone(),
        );
        Self {
            parts,
            explainer,
            breakers,
            peers,
            started: Instant::now(),
        }
    }

    /// This gateway's id.
    #[must_use]
    pub fn gateway(&self) -> &str {
        &self.parts.config.gateway.id
    }

    /// This gateway's own answer.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn answer(&self, question: &Question) -> Result<Value, String> {
        match question {
            Question::Health => self.health().await.and_then(value),
            Question::Cluster => self.report().await.and_then(value),
            Question::Traffic => self.traffic().await.and_then(value),
            Question::Verify { service, version } => {
                self.verify(service, version).await.and_then(value)
            }
            Question::Flow {
                service,
                function,
                version,
            } => {
                let call = request::any(service, function, version.as_deref())?;
                value(self.explainer.flow(call).await)
            }
            Question::Explain {
                request,
                address,
                api_key,
            } => {
                let keys = &self.parts.config.api_keys;
                let call = request::concrete(request, *address, api_key.as_deref(), keys)?;
                value(self.explainer.explain(call).await)
            }
            Question::Breakers => value(self.breakers.list()),
            Question::ResetBreakers { which, .. } => value(self.reset(which.as_ref())),
            Question::Log => value(self.levels().map_err(|e| e.to_string())?.told()),
            Question::SetLog { filter, for_ms, .. } => {
                let set = self.set_levels(filter.as_deref(), *for_ms);
                value(set.map_err(|e| e.to_string())?)
            }
            Question::TraceOn { id, filter, for_ms } => {
                self.trace_for_another(id, filter.clone(), *for_ms)?;
                Ok(Value::Bool(true))
            }
            Question::TraceOff { id } => {
                self.parts.tracer.stop(id);
                Ok(Value::Bool(true))
            }
        }
    }

    /// The answers of all gateways, this one's first, the others' by id. One that was heard of late
    /// and does not answer in time stands there with an error.
    pub async fn ask_all(&self, question: &Question) -> Vec<Answer> {
        let others = self.parts.registry.other_gateways().await;
        let own = self.answer(question);
        let theirs = self.peers.ask(question, others.unwrap_or_default());
        let (own, theirs) = tokio::join!(own, theirs);
        let mut all = vec![Answer::of(self.gateway(), own)];
        all.extend(theirs);
        all
    }

    /// The answers of the others alone, by id.
    pub async fn ask_others(&self, question: &Question) -> Vec<Answer> {
        let others = self.parts.registry.other_gateways().await;
        self.peers.ask(question, others.unwrap_or_default()).await
    }

    /// The way to the other gateways.
    #[must_use]
    pub fn peers(&self) -> &Peers {
        &self.peers
    }
}

fn value(answer: impl serde::Serialize) -> Result<Value, String> {
    serde_json::to_value(answer).map_err(|e| e.to_string())
}
