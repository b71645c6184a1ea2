//! The instances of one config, and what holds for all of them: a call that the broker may give to
//! any of them looks at none.

use std::ops::Deref;
use std::sync::Arc;

use super::snapshot::Instance;
use crate::dispatch::breaker::Suspects;

/// Instances, ordered by id. Cheap to clone: all functions of a config share one.
#[derive(Debug, Clone)]
pub struct Crew(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    all: Vec<Arc<Instance>>,
    /// Those of the instances' breakers, where they have one in common.
    suspects: Option<Arc<Suspects>>,
    all_beat: bool,
    all_take_message_pack: bool,
    all_translate: bool,
}

impl Crew {
    /// Of these instances.
    #[must_use]
    pub fn new(all: Vec<Arc<Instance>>) -> Self {
        let suspects = all.first().map(|i| i.breaker.suspects());
        let in_common = |s: &&Arc<Suspects>| {
            let mut others = all.iter().map(|i| i.breaker.suspects());
            others.all(|other| Arc::ptr_eq(s, other))
        };
        Self(Arc::new(Shared {
            suspects: suspects.filter(in_common).cloned(),
            all_beat: all.iter().all(|i| i.beats),
            all_take_message_pack: all.iter().all(|i| i.message_pack),
            all_translate: all.iter().all(|i| i.pending),
            all,
        }))
    }

    /// The same for crews that are one.
    pub(super) fn place(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }

    /// Whether all send beats and answer pings; also if there are no instances.
    #[must_use]
    pub fn all_beat(&self) -> bool {
        self.0.all_beat
    }

    /// Whether all take MessagePack.
    #[must_use]
    pub fn all_take_message_pack(&self) -> bool {
        self.0.all_take_message_pack
    }

    /// Whether all translate by changes in code.
    #[must_use]
    pub fn all_translate(&self) -> bool {
        self.0.all_translate
    }

    /// Whether no breaker holds anything against any of them.
    pub(crate) fn is_clean(&self) -> bool {
        let nobody = self.0.suspects.as_ref().is_some_and(|s| s.none());
        nobody || self.iter().all(|i| i.breaker.is_clean())
    }
}

impl Default for Crew {
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

impl Deref for Crew {
    type Target = [Arc<Instance>];

    fn deref(&self) -> &Self::Target {
        &self.0.all
    }
}

impl From<Vec<Arc<Instance>>> for Crew {
    fn from(all: Vec<Arc<Instance>>) -> Self {
        Self::new(all)
    }
}

impl<'a> IntoIterator for &'a Crew {
    type Item = &'a Arc<Instance>;
    type IntoIter = std::slice::Iter<'a, Arc<Instance>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sluice_protocol::Subjects;
    use sluice_protocol::registry::feature;

    use super::*;
    use crate::config::BreakerOptions;
    use crate::dispatch::Clock;

    fn instance(id: &str, suspects: &Arc<Suspects>, features: &[&str]) -> Arc<Instance> {
        let features: Vec<String> = features.iter().map(ToString::to_string).collect();
        let (id, service) = (id.parse().unwrap(), "s".parse().unwrap());
        let instance = Instance::new(id, service, &Subjects::default(), &features, &[]);
        Arc::new(instance.among(suspects.clone()))
    }

    fn once() -> BreakerOptions {
        BreakerOptions {
            failures: 1,
            open: Duration::from_secs(1),
            ..BreakerOptions::default()
        }
    }

    #[test]
    fn one_that_cannot_speaks_for_all() {
        let suspects = Arc::default();
        let beats = instance("a", &suspects, &[feature::BEAT]);
        let silent = instance("b", &suspects, &[]);
        assert!(Crew::new(vec![beats.clone()]).all_beat());
        assert!(!Crew::new(vec![beats, silent]).all_beat());
        assert!(Crew::default().all_beat());
    }

    #[test]
    fn a_failure_anywhere_is_seen_until_it_is_forgiven() {
        let suspects = Arc::default();
        let (a, b) = (instance("a", &suspects, &[]), instance("b", &suspects, &[]));
        let elsewhere = instance("c", &suspects, &[]);
        let crew = Crew::new(vec![a, b.clone()]);
        assert!(crew.is_clean());
        b.breaker.record(false, Clock::start(), &once());
        assert!(!crew.is_clean());
        // What another config's instance did is no matter of this crew.
        assert!(Crew::new(vec![elsewhere]).is_clean());
        b.breaker.reset();
        assert!(crew.is_clean());
    }

    #[test]
    fn a_failure_is_seen_where_breakers_have_nothing_in_common() {
        let (a, b) = (Arc::default(), Arc::default());
        let (a, b) = (instance("a", &a, &[]), instance("b", &b, &[]));
        let crew = Crew::new(vec![a, b.clone()]);
        b.breaker.record(false, Clock::start(), &once());
        assert!(!crew.is_clean());
    }
}
