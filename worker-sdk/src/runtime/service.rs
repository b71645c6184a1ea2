//! One service of the process: its functions, its config, its numbers.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use sluice_protocol::function::ServiceConfig;
use sluice_protocol::registry::{ConfigText, config_hash};
use sluice_protocol::{FunctionSpec, InstanceId, ServiceName, Subjects};
use tokio::sync::{Notify, watch};

use super::messages::Signer;
use crate::change::Finished;
use crate::change::run::{self, Chains};
use crate::function::Body;

/// One function, ready to serve.
pub(crate) struct Entry {
    pub(crate) spec: FunctionSpec,
    pub(crate) body: Body,
    /// Older versions whose requests are translated here.
    pub(crate) chains: Chains,
    /// The call subject that its queue group hears.
    pub(crate) subject: String,
    pub(crate) stats: Stats,
}

/// What ADR-32 counts.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    requests: AtomicU64,
    errors: AtomicU64,
    nanos: AtomicU64,
    last_error: Mutex<String>,
}

/// [`Stats`] at one moment.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) requests: u64,
    pub(crate) errors: u64,
    pub(crate) nanos: u64,
    pub(crate) last_error: String,
}

impl Stats {
    pub(crate) fn record(&self, took: Duration, error: Option<String>) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
        if let Some(error) = error {
            self.errors.fetch_add(1, Ordering::Relaxed);
            *self.last_error.lock() = error;
        }
    }

    pub(crate) fn read(&self) -> Counted {
        Counted {
            requests: self.requests.load(Ordering::Relaxed),
            errors: self.errors.load(Ordering::Relaxed),
            nanos: self.nanos.load(Ordering::Relaxed),
            last_error: self.last_error.lock().clone(),
        }
    }
}

/// What the builder knows of a service after all checks.
pub(crate) struct CheckedService {
    pub(crate) name: ServiceName,
    pub(crate) functions: Vec<(FunctionSpec, Body)>,
    pub(crate) versions: Finished,
    pub(crate) secret: Option<Vec<u8>>,
}

/// One service at work.
pub(crate) struct Service {
    pub(crate) name: ServiceName,
    pub(crate) entries: Vec<Arc<Entry>>,
    /// By what follows the instance in an instance subject: `<version>.<function>`.
    by_token: HashMap<String, Arc<Entry>>,
    pub(crate) config: ConfigText,
    pub(crate) config_hash: String,
    /// The announce subject; also the subject of its signatures.
    pub(crate) announce: String,
    /// The subject before the dot that ends with `<service>.<instance>`.
    instance_base: String,
    pub(crate) signer: Option<Signer>,
    /// Whether it takes calls.
    pub(crate) joined: watch::Sender<bool>,
    /// Announce now: a gateway asks.
    pub(crate) poke: Notify,
}

impl Service {
    pub(crate) fn new(
        checked: CheckedService,
        subjects: &Subjects,
        instance: &InstanceId,
        config_version: Option<String>,
    ) -> Self {
        let specs = checked.functions.iter().map(|(spec, _)| spec.clone());
        let config = ServiceConfig {
            functions: specs.collect(),
            versions: checked.versions.wire.clone(),
        };
        let text = config.to_text();
        let chains = run::chains(&config, &checked.versions);
        let instance_all = subjects.instance_all(&checked.name, instance);
        let instance_base = instance_all.trim_end_matches(".>").to_owned();
        let entries: Vec<Arc<Entry>> = checked
            .functions
            .into_iter()
            .zip(chains)
            .map(|((spec, body), chains)| {
                let version = spec.version.as_ref();
                Arc::new(Entry {
                    subject: subjects.call(&checked.name, version, &spec.request_type),
                    spec,
                    body,
                    chains,
                    stats: Stats::default(),
                })
            })
            .collect();
        let by_token = entries
            .iter()
            .map(|entry| {
                let (version, function) = (entry.spec.version.as_ref(), &entry.spec.request_type);
                let subject = subjects.instance_call(&checked.name, instance, version, function);
                (subject[instance_base.len() + 1..].to_owned(), entry.clone())
            })
            .collect();
        Self {
            announce: subjects.announce(&checked.name, instance),
            config_hash: config_hash(&text),
            config: ConfigText {
                config_version,
                text,
            },
            name: checked.name,
            entries,
            by_token,
            instance_base,
            signer: checked.secret.map(Signer::new),
            joined: watch::Sender::new(false),
            poke: Notify::new(),
        }
    }

    /// What an instance subject says after service and instance.
    pub(crate) fn instance_token<'a>(&self, subject: &'a str) -> Option<&'a str> {
        subject.strip_prefix(&self.instance_base)?.strip_prefix('.')
    }

    pub(crate) fn by_token(&self, token: &str) -> Option<&Arc<Entry>> {
        self.by_token.get(token)
    }
}
