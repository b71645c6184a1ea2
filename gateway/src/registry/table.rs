//! The registry's rules as a state machine: messages and the clock come in, effects go out. It
//! does no I/O and reads no clock, so every rule is tested without either.

mod expire;
mod hear;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use sluice_protocol::registry::Message;
use sluice_protocol::{ServiceName, Subjects};
use tokio::time::Instant;

use super::admission::{Admission, Inbound};
use super::build::Builder;
use super::configs::{Configs, ParseConfig};
use super::expiry::Brakes;
use super::fixed::FixedFunctions;
use super::instances::Instances;
use super::limits::Limits;
use super::pulls::{ConfigKey, Pulls};
use super::refused::{Refused, RefusedFilter, RefusedList, Source};
use super::routes::Routes;
use super::snapshot::{Functions, Names, Snapshot};
use super::status::{self, Status};
use crate::config::RegistryOptions;
use crate::overrides::Overrides;
use crate::telemetry::meters::Meters;

/// Senders that may not register are kept apart, and few: they must not push refused configs out.
const TURNED_AWAY: usize = 100;
const PURGE_EVERY: Duration = Duration::from_secs(60);

/// What a table is made of.
pub(super) struct Rules {
    pub(super) gateway: String,
    pub(super) subjects: Subjects,
    pub(super) options: RegistryOptions,
    pub(super) fixed: FixedFunctions,
    pub(super) limits: Limits,
    pub(super) parse: ParseConfig,
}

/// What is to be sent after a message or a tick.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Effects {
    /// Answers, each with its subject.
    pub(super) replies: Vec<(String, Message)>,
    /// Configs to ask for.
    pub(super) pulls: Vec<ConfigKey>,
}

/// All that the registry knows.
pub(super) struct Table {
    gateway: String,
    admission: Admission,
    fixed: FixedFunctions,
    configs: Configs,
    instances: Instances,
    pulls: Pulls,
    brakes: Brakes,
    refused: RefusedList,
    turned_away: RefusedList,
    overrides: Arc<Overrides>,
    /// The overrides are newer than the snapshot.
    steered: bool,
    builder: Builder,
    built: Names<ServiceName, Functions>,
    dirty: HashSet<ServiceName>,
    /// Something that an operator sees changed, though maybe nothing that a call sees.
    touched: bool,
    held_back: usize,
    purged: Instant,
    meters: Arc<Meters>,
}

impl Table {
    pub(super) fn new(rules: Rules, now: Instant) -> Self {
        let Rules {
            gateway,
            subjects,
            options,
            fixed,
            limits,
            parse,
        } = rules;
        Self {
            gateway,
            configs: Configs::new(parse),
            instances: Instances::default(),
            pulls: Pulls::default(),
            brakes: Brakes::new(options.expiry, now),
            refused: RefusedList::new(options.refused_ttl, limits.refused),
            turned_away: RefusedList::new(options.refused_ttl, TURNED_AWAY),
            overrides: Arc::default(),
            steered: false,
            builder: Builder::default(),
            built: Names::default(),
            dirty: fixed.keys().cloned().collect(),
            touched: false,
            held_back: 0,
            purged: now,
            meters: Arc::default(),
            admission: Admission::new(subjects, options, limits),
            fixed,
        }
    }

    /// What it counts.
    pub(super) fn meters(&self) -> &Arc<Meters> {
        &self.meters
    }

    /// A message came on an announce subject.
    pub(super) fn announced(&mut self, inbound: Inbound<'_>, now: Instant) -> Effects {
        match self.admission.announced(inbound, now) {
            Ok(Message::Announce {
                instance,
                config,
                force,
            }) => self.announce(&instance, &config, force, inbound.reply, now),
            Ok(Message::Heartbeat(heard)) => self.heartbeat(&heard, inbound.reply, now),
            Ok(Message::Leave { service, instance }) => {
                self.leave(&service, &instance);
                Effects::default()
            }
            // Admission lets nothing else through.
            Ok(_) => Effects::default(),
            Err(denied) => self.deny(denied, inbound.reply, now),
        }
    }

    /// A worker answered discover. It asked nothing, so it is answered nothing.
    pub(super) fn discovered(&mut self, inbound: Inbound<'_>, now: Instant) -> Effects {
        match self.admission.discovered(inbound, now) {
            Ok(heard) => self.heartbeat(&heard, None, now),
            Err(denied) => self.deny(denied, None, now),
        }
    }

    /// A worker answered a pull. What was not asked for, or was given up, is ignored.
    pub(super) fn pulled(
        &mut self,
        key: &ConfigKey,
        inbound: Inbound<'_>,
        now: Instant,
    ) -> Effects {
        if !self.pulls.is_asked(key) {
            return Effects::default();
        }
        match self.admission.pulled(&key.service, &key.hash, inbound, now) {
            Ok(config) => match self.take(&key.service, &key.hash, &config, now) {
                Ok(()) => {}
                Err(reasons) => {
                    self.pulls.refused(key, now);
                    self.refuse(key, None, &config, Source::Pull, reasons, now);
                }
            },
            Err(denied) => {
                self.pulls.failed(key, now);
                self.deny(denied, None, now);
            }
        }
        self.pull(now)
    }

    /// Nobody listens where a pull went.
    pub(super) fn pull_failed(&mut self, key: &ConfigKey, now: Instant) {
        if self.pulls.is_asked(key) {
            self.pulls.failed(key, now);
        }
    }

    pub(super) fn is_pulling(&self, key: &ConfigKey) -> bool {
        self.pulls.is_asked(key)
    }

    pub(super) fn is_pulling_any(&self) -> bool {
        self.pulls.any_asked()
    }

    /// The connection to the broker came (also: a new one came in place of the old) or went.
    pub(super) fn set_connected(&mut self, connected: bool, now: Instant) {
        self.brakes.set_connected(connected, now);
        if connected {
            self.pulls.restart(now);
        }
    }

    /// Time passes: who was silent goes, what is old is forgotten, pulls are sent again.
    pub(super) fn tick(&mut self, now: Instant) -> Effects {
        if let Some(gap) = self.brakes.tick(now) {
            tracing::warn!(
                ?gap,
                "the registry was stalled: no instance expires for a while"
            );
        }
        let silent = self.instances.take_out_silent();
        self.dirty.extend(silent);
        self.expire(now);
        let ttl = self.admission.options.function_ttl;
        let instances = &self.instances;
        let runs = |service: &ServiceName, hash: &str| instances.run(service, hash);
        let forgotten = self.configs.expire(runs, ttl, now);
        self.dirty.extend(forgotten);
        self.touched |= self.refused.purge(now) | self.turned_away.purge(now);
        if now.duration_since(self.purged) >= PURGE_EVERY {
            self.purged = now;
            self.admission.purge(now);
        }
        let instances = &self.instances;
        let wanted = |key: &ConfigKey| instances.run(&key.service, &key.hash);
        self.pulls.tick(wanted, now);
        self.pull(now)
    }

    /// Operators have decided anew. It stands whatever workers announce, before and after.
    pub(super) fn set_overrides(&mut self, overrides: Arc<Overrides>) {
        let before = std::mem::replace(&mut self.overrides, overrides);
        let of_before = before.services();
        let services = of_before
            .union(&self.overrides.services())
            .copied()
            .cloned()
            .collect::<Vec<_>>();
        self.dirty.extend(services);
        self.steered = true;
    }

    /// Decides on one version of one function; returns whether it is known now.
    #[cfg(test)]
    pub(super) fn set_disabled(
        &mut self,
        service: &ServiceName,
        (function, version): &super::configs::FunctionId,
        disabled: bool,
    ) -> bool {
        use crate::overrides::{Decision, Entry, FunctionKey, Key};
        let key = Key::Disabled(FunctionKey {
            service: service.clone(),
            function: function.clone(),
            version: version.clone(),
        });
        let others = self.overrides.entries().filter(|e| e.key != key).cloned();
        let this = disabled.then(|| Entry::new(Decision::Flag(key.clone()), "test", 0));
        let overrides = Overrides::of(others.chain(this));
        self.set_overrides(Arc::new(overrides));
        let functions = self.built.get(service).and_then(|all| all.get(function));
        functions.is_some_and(|all| all.versions.iter().any(|f| f.version == *version))
    }

    pub(super) fn refused(&self, filter: &RefusedFilter, now: Instant) -> Vec<Refused> {
        let mut all = self.refused.list(filter, now);
        all.extend(self.turned_away.list(filter, now));
        all.sort_by_key(|refused| refused.last_ms_ago);
        all.truncate(filter.limit.unwrap_or(usize::MAX));
        all
    }

    /// Forgets refusals; their configs are looked at anew when they come or are named again.
    pub(super) fn clear_refused(&mut self, filter: &RefusedFilter) -> usize {
        let mut cleared = self.refused.clear(filter);
        cleared.extend(self.turned_away.clear(filter));
        for (service, hash) in &cleared {
            if let Ok(service) = ServiceName::new(service) {
                let hash = hash.clone();
                self.pulls.done(&ConfigKey { service, hash });
            }
        }
        self.touched |= !cleared.is_empty();
        cleared.len()
    }

    /// All that is known, for operators.
    pub(super) fn status(&self, now: Instant) -> Status {
        let names: BTreeSet<_> = self
            .built
            .keys()
            .chain(self.configs.services())
            .chain(self.instances.services())
            .collect();
        let none = Functions::default();
        let services = names.into_iter().map(|name| {
            let functions = self.built.get(name).unwrap_or(&none);
            let (configs, instances) = (&self.configs, &self.instances);
            status::service(name, configs, instances, functions, &self.overrides, now)
        });
        Status {
            services: services.collect(),
            refused: self.refused(&RefusedFilter::default(), now),
            denied_messages: self.admission.denials(),
            expiry_held_back: self.held_back,
        }
    }

    /// The next snapshot, if there is anything new for calls.
    pub(super) fn take_snapshot(&mut self) -> Option<Snapshot> {
        if self.dirty.is_empty() && !std::mem::take(&mut self.steered) {
            return None;
        }
        for service in std::mem::take(&mut self.dirty) {
            let functions = self.builder.service(
                &service,
                &self.configs,
                &self.instances,
                &self.fixed,
                &self.overrides,
                &self.admission.subjects,
            );
            if functions.is_empty() {
                self.built.remove(&service);
            } else {
                self.built.insert(service, functions);
            }
        }
        self.steered = false;
        self.touched = true;
        Some(Snapshot {
            routes: Routes::of(&self.built),
            services: self.built.clone(),
            pins: self.overrides.pins().clone(),
            has_notices: self.overrides.has_notices(),
        })
    }

    /// Whether an operator sees something new since the last time.
    pub(super) fn take_touched(&mut self) -> bool {
        std::mem::take(&mut self.touched)
    }

    fn pull(&mut self, now: Instant) -> Effects {
        let max = self.admission.limits.pulls;
        Effects {
            pulls: self.pulls.due(max, now),
            ..Effects::default()
        }
    }
}
