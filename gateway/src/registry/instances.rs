//! The instances that are heard, by service and id.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use sluice_protocol::registry::{Instance as Heard, InstanceState};
use sluice_protocol::{InstanceId, ServiceName, Subjects};
use tokio::time::Instant;

use super::limits::Limits;
use super::snapshot::Instance;
use crate::dispatch::breaker::Suspects;

/// What is known of one instance.
#[derive(Debug)]
pub(super) struct Record {
    /// What the snapshot shares; kept over snapshots, because its load counters live in it.
    pub(super) shared: Arc<Instance>,
    pub(super) config_hash: String,
    pub(super) state: InstanceState,
    pub(super) last_seen: Instant,
    /// Taken out after nobody responded twice; until the next heartbeat.
    pub(super) silent: bool,
    pub(super) features: Vec<String>,
    pub(super) encodings: Vec<String>,
}

impl Record {
    fn new(heard: &Heard, suspects: Arc<Suspects>, subjects: &Subjects, now: Instant) -> Self {
        let shared = Instance::new(
            heard.instance.clone(),
            heard.service.clone(),
            subjects,
            &heard.features,
            &heard.encodings,
        );
        Self {
            shared: Arc::new(shared.among(suspects)),
            config_hash: heard.config_hash.clone(),
            state: heard.state,
            last_seen: now,
            silent: false,
            features: heard.features.clone(),
            encodings: heard.encodings.clone(),
        }
    }

    /// Whether it takes calls, if its config is in force.
    pub(super) fn takes_calls(&self) -> bool {
        self.state == InstanceState::Ready && !self.silent
    }

    fn hear(&mut self, heard: &Heard, subjects: &Subjects, now: Instant) -> bool {
        let before = self.takes_calls();
        let mut changed = self.state != heard.state || self.config_hash != heard.config_hash;
        if self.features != heard.features || self.encodings != heard.encodings {
            let suspects = self.shared.breaker.suspects().clone();
            *self = Self::new(heard, suspects, subjects, now);
            changed = true;
        }
        if self.config_hash != heard.config_hash {
            self.config_hash.clone_from(&heard.config_hash);
        }
        self.state = heard.state;
        self.last_seen = now;
        if self.silent {
            self.silent = false;
            self.shared.responded();
        }
        changed || before != self.takes_calls()
    }

    fn set_load(&self, heard: &Heard) {
        let shared = &self.shared;
        shared.capacity.store(heard.capacity, Ordering::Relaxed);
        shared
            .reported_in_flight
            .store(heard.in_flight, Ordering::Relaxed);
    }
}

/// All instances.
#[derive(Debug, Default)]
pub(super) struct Instances {
    by_service: HashMap<ServiceName, BTreeMap<InstanceId, Record>>,
    total: usize,
}

impl Instances {
    /// How many there are, of all services.
    pub(super) fn len(&self) -> usize {
        self.total
    }

    /// Takes what an instance says of itself; returns whether more than its load changed.
    ///
    /// # Errors
    /// When it is new and there is no room for it.
    pub(super) fn hear(
        &mut self,
        heard: &Heard,
        subjects: &Subjects,
        limits: &Limits,
        now: Instant,
    ) -> Result<bool, String> {
        let known = self.by_service.get_mut(&heard.service);
        if let Some(record) = known.and_then(|all| all.get_mut(&heard.instance)) {
            let changed = record.hear(heard, subjects, now);
            record.set_load(heard);
            return Ok(changed);
        }
        self.room_for(&heard.service, limits)?;
        let all = self.by_service.entry(heard.service.clone()).or_default();
        // One for all of a service: whether all are clean is one number then.
        let of_any = |any: &Record| any.shared.breaker.suspects().clone();
        let suspects = all.values().next().map_or_else(Arc::default, of_any);
        let record = Record::new(heard, suspects, subjects, now);
        record.set_load(heard);
        all.insert(heard.instance.clone(), record);
        self.total += 1;
        Ok(true)
    }

    fn room_for(&self, service: &ServiceName, limits: &Limits) -> Result<(), String> {
        let of_service = self.by_service.get(service);
        let full = |what: &str, max: usize| {
            Err(format!(
                "the gateway takes at most {max} {what}; that is full"
            ))
        };
        if of_service.is_none() && self.by_service.len() >= limits.services {
            return full("services", limits.services);
        }
        if of_service.map_or(0, BTreeMap::len) >= limits.instances_per_service {
            return full("instances of one service", limits.instances_per_service);
        }
        if self.total >= limits.instances {
            return full("instances", limits.instances);
        }
        Ok(())
    }

    /// The instance takes no more calls; it stays known until it expires. Returns whether that
    /// is news.
    pub(super) fn leave(&mut self, service: &ServiceName, instance: &InstanceId) -> bool {
        let record = self.get_mut(service, instance);
        record.is_some_and(|r| {
            let news = r.state != InstanceState::Draining;
            r.state = InstanceState::Draining;
            news
        })
    }

    fn get_mut(&mut self, service: &ServiceName, instance: &InstanceId) -> Option<&mut Record> {
        self.by_service.get_mut(service)?.get_mut(instance)
    }

    pub(super) fn remove(&mut self, service: &ServiceName, instance: &InstanceId) {
        let Some(all) = self.by_service.get_mut(service) else {
            return;
        };
        if all.remove(instance).is_some() {
            self.total -= 1;
        }
        if all.is_empty() {
            self.by_service.remove(service);
        }
    }

    /// The instances of one service, by id.
    pub(super) fn of(&self, service: &ServiceName) -> impl Iterator<Item = (&InstanceId, &Record)> {
        self.by_service.get(service).into_iter().flatten()
    }

    pub(super) fn services(&self) -> impl Iterator<Item = &ServiceName> {
        self.by_service.keys()
    }

    /// Whether an instance is bound to the config.
    pub(super) fn run(&self, service: &ServiceName, hash: &str) -> bool {
        self.of(service).any(|(_, r)| r.config_hash == hash)
    }

    /// Takes out those where nobody responded twice in a row; returns their services.
    pub(super) fn take_out_silent(&mut self) -> Vec<ServiceName> {
        let mut services = Vec::new();
        for (service, all) in &mut self.by_service {
            let mut any = false;
            for (id, record) in all.iter_mut() {
                let twice = record.shared.no_responders.load(Ordering::Relaxed) >= 2;
                if twice && record.takes_calls() {
                    record.silent = true;
                    any = true;
                    tracing::warn!(%service, instance = %id, "nobody responds there: taken out until its next heartbeat");
                }
            }
            if any {
                services.push(service.clone());
            }
        }
        services
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;

    fn hear(all: &mut Instances, heard: &Heard) {
        let (subjects, limits) = (Subjects::default(), Limits::default());
        all.hear(heard, &subjects, &limits, Instant::now()).unwrap();
    }

    fn heard(service: &str, instance: &str) -> Heard {
        testing::heard(service, instance, "", InstanceState::Ready)
    }

    fn suspects(all: &Instances, heard: &Heard) -> Arc<Suspects> {
        let mut of = all.of(&heard.service);
        let (_, record) = of.find(|(id, _)| **id == heard.instance).unwrap();
        record.shared.breaker.suspects().clone()
    }

    #[test]
    fn the_breakers_of_a_service_have_one_count_in_common() {
        let mut all = Instances::default();
        let (mut a, b, other) = (heard("s", "a"), heard("s", "b"), heard("t", "a"));
        for heard in [&a, &b, &other] {
            hear(&mut all, heard);
        }
        let of_service = suspects(&all, &a);
        assert!(Arc::ptr_eq(&of_service, &suspects(&all, &b)));
        assert!(!Arc::ptr_eq(&of_service, &suspects(&all, &other)));
        // It comes back as another program, and so with another breaker.
        a.features.clear();
        hear(&mut all, &a);
        assert!(Arc::ptr_eq(&of_service, &suspects(&all, &a)));
        // One leaves, another comes.
        all.remove(&a.service, &a.instance);
        let c = heard("s", "c");
        hear(&mut all, &c);
        assert!(Arc::ptr_eq(&of_service, &suspects(&all, &c)));
    }
}
