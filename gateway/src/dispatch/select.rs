//! Which instance gets the next attempt of a call.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use sluice_protocol::argument::{ArgValue, top_level};
use sluice_protocol::function::ChooseNodeMode;
use sluice_protocol::{Identity, InstanceId, Payload};

use super::Clock;
use super::custom::Selector;
use super::rendezvous::score;
use crate::registry::snapshot::{Function, Instance, Variant};
use crate::sticky::StickyStore;

/// Where an attempt goes.
#[derive(Debug, Clone)]
pub enum Target {
    /// Any worker: the broker picks.
    Group,
    /// This one.
    Instance(Arc<Instance>),
    /// A plain NATS responder, on the subject of the gateway's config file.
    Fixed(String),
}

/// Why nobody can be picked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nobody {
    /// All have been tried, or there is none.
    Left,
    /// The breakers of all that are left are open; after so many milliseconds one lets a call try.
    CircuitOpen(u64),
}

/// What selection reads of a call.
pub struct Selection<'a> {
    /// The function.
    pub function: &'a Function,
    /// The config that was picked for this call: selection stays within it.
    pub variant: &'a Variant,
    /// The client's id of the request.
    pub request_id: &'a str,
    /// The args, for hash and sticky.
    pub args: &'a Payload,
    /// For whom: sticky keys may name a part of it.
    pub identity: &'a Identity,
    /// Instances that did not take this call.
    pub tried: &'a [InstanceId],
    /// The clock that [`Instance::suspend`] uses; read where it matters.
    pub clock: Clock,
    /// Code of an embedding program that selects for this function.
    pub custom: Option<&'a dyn Selector>,
}

impl Selection<'_> {
    /// Picks the target.
    ///
    /// A random call goes by the queue group, where the broker picks, as long as no breaker holds
    /// anything against an instance. Else the gateway draws, so that it can pass over an open one,
    /// and knows whose each success is.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn pick(&self, sticky: &dyn StickyStore) -> Result<Target, Nobody> {
        if let Some(subject) = &self.variant.fixed_subject {
            return match self.tried {
                [] => Ok(Target::Fixed(subject.clone())),
                _ => Err(Nobody::Left),
            };
        }
        let mode = &self.variant.spec.choose_node_mode;
        if matches!(mode, ChooseNodeMode::Random)
            && self.custom.is_none()
            && self.tried.is_empty()
            && self.function.variants.len() == 1
            && !self.function.by_instance
            && !self.variant.is_shared()
            && self.variant.instances.is_clean()
        {
            // The registry may lag behind the broker, so an empty list is no reason to refuse
            // here: the broker knows whether somebody listens.
            return Ok(Target::Group);
        }
        let candidates = self.candidates()?;
        if let Some(picked) = self.by_custom(&candidates) {
            return Ok(Target::Instance(picked.clone()));
        }
        let picked = match mode {
            ChooseNodeMode::Random => random(&candidates),
            ChooseNodeMode::RoundRobin => self.round_robin(&candidates),
            ChooseNodeMode::Hash => by_hash(&candidates, self.request_id.as_bytes()),
            ChooseNodeMode::HashArg(arg) => match key_of(self.args, arg) {
                Some(key) => by_hash(&candidates, &key),
                None => random(&candidates),
            },
            ChooseNodeMode::Sticky(name) => match self.sticky_key(name) {
                // Boxed: it waits for the store, the others for nothing.
                Some(key) => Box::pin(self.sticky(&candidates, &key, sticky)).await,
                None => random(&candidates),
            },
            ChooseNodeMode::LeastLoaded => least_loaded(&candidates),
        };
        picked.map(Target::Instance).ok_or(Nobody::Left)
    }

    /// What an embedding program's own code picks. A panic of it is no pick.
    fn by_custom<'c>(&self, candidates: &[&'c Arc<Instance>]) -> Option<&'c Arc<Instance>> {
        let custom = self.custom?;
        let pick = AssertUnwindSafe(|| custom.select(self, candidates));
        let place = catch_unwind(pick).unwrap_or_else(|_| {
            tracing::error!(
                function = self.variant.spec.label(),
                "the gateway's own selector panicked"
            );
            None
        });
        candidates.get(place?).copied()
    }

    /// Whether somebody is left who has not been tried.
    #[must_use]
    pub fn has_more(&self) -> bool {
        self.variant
            .instances
            .iter()
            .any(|i| !self.tried.contains(&i.id))
    }

    fn candidates(&self) -> Result<Vec<&Arc<Instance>>, Nobody> {
        let untried = || {
            self.variant
                .instances
                .iter()
                .filter(|i| !self.tried.contains(&i.id))
        };
        let now_ms = self.clock.now_ms();
        let passes = |i: &&Arc<Instance>| i.breaker.refuses(now_ms).is_none();
        let mut candidates: Vec<_> = untried().filter(passes).collect();
        if candidates.is_empty() {
            let wait = untried().filter_map(|i| i.breaker.refuses(now_ms)).min();
            return Err(wait.map_or(Nobody::Left, Nobody::CircuitOpen));
        }
        // Where all are suspended: better ask one of them than refuse on a suspicion.
        if candidates.iter().any(|i| i.is_available(now_ms)) {
            candidates.retain(|i| i.is_available(now_ms));
        }
        Ok(candidates)
    }

    /// One turn for each call; a call that was not taken goes on to the next in line.
    fn round_robin(&self, candidates: &[&Arc<Instance>]) -> Option<Arc<Instance>> {
        let all = &self.variant.instances;
        let place = |id: &InstanceId| all.iter().position(|i| i.id == *id);
        let next = match self.tried.last().and_then(place) {
            Some(last) => last + 1,
            None => {
                let turn = self.function.round_robin.fetch_add(1, Ordering::Relaxed);
                return (!candidates.is_empty())
                    .then(|| candidates[turn % candidates.len()].clone());
            }
        };
        let in_line = (0..all.len()).map(|step| &all[(next + step) % all.len()]);
        in_line
            .filter(|i| candidates.iter().any(|c| c.id == i.id))
            .map(Arc::clone)
            .next()
    }

    /// The arg of that name; where there is none, the part of the request that has the name.
    fn sticky_key(&self, name: &str) -> Option<Vec<u8>> {
        key_of(self.args, name).or_else(|| {
            let text = match name {
                "user_id" => self.identity.user_id.as_deref(),
                "device_id" => self.identity.device_id.as_deref(),
                "request_id" => Some(self.request_id),
                _ => None,
            };
            text.map(|text| [b"s", text.as_bytes()].concat())
        })
    }

    async fn sticky(
        &self,
        candidates: &[&Arc<Instance>],
        key: &[u8],
        store: &dyn StickyStore,
    ) -> Option<Arc<Instance>> {
        let find = |id: &InstanceId| {
            candidates
                .iter()
                .find(|i| i.id == *id)
                .map(|i| (*i).clone())
        };
        let (scope, key) = (self.variant.spec.label(), hex::encode(key));
        let bound = match store.get(&scope, &key).await {
            Ok(bound) => bound,
            // Without its store a key still has a home that all gateways agree on.
            Err(_) => return by_hash(candidates, key.as_bytes()),
        };
        if let Some(instance) = bound.as_ref().and_then(find) {
            return Some(instance);
        }
        let fresh = by_hash(candidates, key.as_bytes())?;
        match store.assign(&scope, &key, bound.as_ref(), &fresh.id).await {
            Ok(owner) => find(&owner).or(Some(fresh)),
            Err(_) => Some(fresh),
        }
    }
}

/// The bytes that an arg's value is keyed by; `None` where it is absent or null.
pub(crate) fn key_of(args: &Payload, name: &str) -> Option<Vec<u8>> {
    // A leading byte keeps the string "1" and the number 1 apart.
    match top_level(args, name)? {
        ArgValue::Str(text) => Some([b"s", text.as_bytes()].concat()),
        ArgValue::Other(raw) if raw == "null" => None,
        ArgValue::Other(raw) => Some([b"v", raw.as_bytes()].concat()),
    }
}

fn random(candidates: &[&Arc<Instance>]) -> Option<Arc<Instance>> {
    let count = candidates.len();
    (count > 0).then(|| candidates[rand::random_range(0..count)].clone())
}

fn by_hash(candidates: &[&Arc<Instance>], key: &[u8]) -> Option<Arc<Instance>> {
    candidates
        .iter()
        .max_by_key(|i| score(key, i.id.as_str()))
        .map(|i| (*i).clone())
}

/// The better of two random ones (power of two choices): close to the best, and a stale figure
/// never sends everybody to the same instance.
fn least_loaded(candidates: &[&Arc<Instance>]) -> Option<Arc<Instance>> {
    let count = candidates.len();
    if count < 2 {
        return random(candidates);
    }
    let first = rand::random_range(0..count);
    let second = (first + rand::random_range(1..count)) % count;
    let (a, b) = (candidates[first], candidates[second]);
    let (winner, loser) = if cost(a) <= cost(b) { (a, b) } else { (b, a) };
    // Who is not called learns nothing new of itself: forgive a bit, or one slow answer would
    // shut an instance out for ever.
    let latency = loser.latency_us.load(Ordering::Relaxed);
    loser
        .latency_us
        .store(latency - latency / 4, Ordering::Relaxed);
    Some(winner.clone())
}

fn cost(instance: &Instance) -> u64 {
    let load = |counter: &std::sync::atomic::AtomicU32| u64::from(counter.load(Ordering::Relaxed));
    let in_flight = load(&instance.in_flight).max(load(&instance.reported_in_flight));
    (in_flight + 1).saturating_mul(load(&instance.latency_us) + 100)
}

/// Picks the config for a call: in proportion to live instances, so that a rolling deploy shifts
/// traffic as it goes.
#[must_use]
pub fn pick_variant(function: &Function) -> usize {
    let variants = &function.variants;
    if variants.len() == 1 {
        return 0;
    }
    let total: usize = variants.iter().map(|v| v.instances.len()).sum();
    if total == 0 {
        return variants.len() - 1;
    }
    let mut draw = rand::random_range(0..total);
    for (index, variant) in variants.iter().enumerate() {
        if draw < variant.instances.len() {
            return index;
        }
        draw -= variant.instances.len();
    }
    variants.len() - 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluice_protocol::{InstanceId, ServiceName, Subjects};

    #[test]
    fn a_slow_answer_does_not_shut_an_instance_out() {
        let service = ServiceName::new("s").unwrap();
        let instances: Vec<Arc<Instance>> = ["a", "b", "c"]
            .iter()
            .map(|id| {
                let id = InstanceId::new(id).unwrap();
                Arc::new(Instance::new(
                    id,
                    service.clone(),
                    &Subjects::default(),
                    &[],
                    &[],
                ))
            })
            .collect();
        for (instance, latency) in instances.iter().zip([300, 400, 50_000]) {
            instance.latency_us.store(latency, Ordering::Relaxed);
        }
        let candidates: Vec<&Arc<Instance>> = instances.iter().collect();
        let mut picked = [0; 3];
        for _ in 0..200 {
            let winner = least_loaded(&candidates).unwrap();
            let index = instances.iter().position(|i| i.id == winner.id).unwrap();
            picked[index] += 1;
            let sample = [300, 400, 50_000][index];
            winner.latency_us.store(sample, Ordering::Relaxed);
        }
        assert!(
            picked[2] > 0 && picked[2] < picked[0].min(picked[1]),
            "{picked:?}"
        );
    }
}
