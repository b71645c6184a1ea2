//! What operators see of breakers and bulkheads, and may reset.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Clock;
use super::breaker::{Breaker, BreakerState};
use crate::config::BreakerOptions;
use crate::registry::Registry;
use crate::registry::snapshot::{Function, Instance};

/// All breakers of a gateway process.
#[derive(Debug, Clone)]
pub struct Breakers {
    registry: Arc<Registry>,
    clock: Clock,
    options: BreakerOptions,
}

/// All bulkheads of a gateway process.
#[derive(Debug, Clone)]
pub struct Bulkheads {
    registry: Arc<Registry>,
}

/// What a breaker guards.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Guarded {
    /// One version of a function.
    Function {
        /// Of which service.
        service: String,
        /// Which function.
        function: String,
        /// Which version.
        version: Option<String>,
    },
    /// One instance of a service.
    Instance {
        /// Of which service.
        service: String,
        /// Which instance.
        instance: String,
    },
}

/// One breaker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BreakerStatus {
    /// Whose.
    #[serde(flatten)]
    pub guarded: Guarded,
    /// `closed`, `open` or `half_open`.
    pub state: &'static str,
    /// Failures that count now, while it is closed.
    pub failures: u64,
    /// Milliseconds until a call may try again; 0: now.
    pub retry_after_ms: u64,
}

/// One bulkhead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BulkheadStatus {
    /// Of which service.
    pub service: String,
    /// Which function.
    pub function: String,
    /// Which version.
    pub version: Option<String>,
    /// Most calls at once.
    pub max_in_flight: u32,
    /// Most calls that wait.
    pub max_queue: u32,
    /// Calls in flight.
    pub in_flight: u32,
    /// Calls that wait.
    pub waiting: usize,
}

impl Breakers {
    /// The breakers of what `registry` knows; `clock` is the dispatchers'.
    #[must_use]
    pub fn new(registry: Arc<Registry>, clock: Clock, options: BreakerOptions) -> Self {
        Self {
            registry,
            clock,
            options,
        }
    }

    /// Those that have anything to say: not closed, or with failures that count.
    #[must_use]
    pub fn list(&self) -> Vec<BreakerStatus> {
        let now = self.clock.now_ms();
        let mut list = Vec::new();
        self.each(|guarded, breaker| {
            let (state, failures, retry_after_ms) = breaker.look(now, &self.options);
            if state != BreakerState::Closed || failures > 0 {
                list.push(BreakerStatus {
                    guarded,
                    state: state.as_str(),
                    failures,
                    retry_after_ms,
                });
            }
        });
        list.sort_by(|a, b| a.guarded.cmp(&b.guarded));
        list.dedup_by(|a, b| a.guarded == b.guarded);
        list
    }

    /// Closes one; whether there is such a breaker.
    pub fn reset(&self, which: &Guarded) -> bool {
        let mut found = false;
        self.each(|guarded, breaker| {
            if guarded == *which {
                breaker.reset();
                found = true;
            }
        });
        found
    }

    /// Closes all.
    pub fn reset_all(&self) {
        self.each(|_, breaker| breaker.reset());
    }

    fn each(&self, mut visit: impl FnMut(Guarded, &Breaker)) {
        let snapshot = self.registry.snapshot();
        for function in snapshot.functions() {
            visit(of_function(function), &function.breaker);
        }
        for instance in snapshot.instances() {
            visit(of_instance(&instance), &instance.breaker);
        }
    }
}

impl Bulkheads {
    /// The bulkheads of what `registry` knows.
    #[must_use]
    pub fn new(registry: Arc<Registry>) -> Self {
        Self { registry }
    }

    /// Those of functions that declare `max_in_flight`.
    #[must_use]
    pub fn list(&self) -> Vec<BulkheadStatus> {
        let snapshot = self.registry.snapshot();
        let status = |function: &Arc<Function>| {
            let spec = function.variants.iter().map(|v| &v.spec);
            let spec = spec.rev().find(|s| s.max_in_flight.is_some())?;
            let (in_flight, _, waiting) = function.bulkhead.look();
            Some(BulkheadStatus {
                service: function.service.to_string(),
                function: function.request_type.to_string(),
                version: function.version.as_ref().map(ToString::to_string),
                max_in_flight: spec.max_in_flight?,
                max_queue: spec.max_queue.unwrap_or(0),
                in_flight,
                waiting,
            })
        };
        let mut list: Vec<_> = snapshot.functions().filter_map(status).collect();
        list.sort_by(|a, b| {
            (&a.service, &a.function, &a.version).cmp(&(&b.service, &b.function, &b.version))
        });
        list
    }
}

fn of_function(function: &Function) -> Guarded {
    Guarded::Function {
        service: function.service.to_string(),
        function: function.request_type.to_string(),
        version: function.version.as_ref().map(ToString::to_string),
    }
}

fn of_instance(instance: &Instance) -> Guarded {
    Guarded::Instance {
        service: instance.service.to_string(),
        instance: instance.id.to_string(),
    }
}
