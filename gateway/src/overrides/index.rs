//! All overrides, as the registry builds them into its snapshots.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use sluice_protocol::{ApiVersion, FunctionName, InstanceId, ServiceName};

use super::decision::{Decision, FunctionKey, Key};
use super::deprecation::{Deprecation, Notice};
use super::entry::Entry;
use super::pins::Pins;
use super::store::Kept;

/// Everything that is decided on one version of one function.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FunctionWord {
    /// It takes no calls.
    pub disabled: bool,
    /// It is as if it had never been registered.
    pub deleted: bool,
    /// It is on its way out.
    pub deprecated: Option<(Deprecation, Arc<Notice>)>,
}

/// Everything that operators have decided.
#[derive(Debug, Default)]
pub struct Overrides {
    generation: u64,
    entries: BTreeMap<Key, Entry>,
    functions: HashMap<FunctionKey, FunctionWord>,
    latest: HashMap<(ServiceName, FunctionName), ApiVersion>,
    drained: HashSet<(ServiceName, InstanceId)>,
    pins: Arc<Pins>,
}

impl Overrides {
    /// Of these decisions.
    #[must_use]
    pub fn of(entries: impl IntoIterator<Item = Entry>) -> Self {
        Self::from(Kept {
            generation: 0,
            entries: entries.into_iter().collect(),
        })
    }

    /// Which state of the store this is.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// All of them, by key.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// What stands at one key.
    #[must_use]
    pub fn get(&self, key: &Key) -> Option<&Entry> {
        self.entries.get(key)
    }

    /// What is decided on one version of a function.
    #[must_use]
    pub fn function(&self, key: &FunctionKey) -> Option<&FunctionWord> {
        self.functions.get(key)
    }

    /// The version that "the latest" of a function means, if an operator says so.
    #[must_use]
    pub fn latest(&self, service: &ServiceName, function: &FunctionName) -> Option<&ApiVersion> {
        if self.latest.is_empty() {
            return None;
        }
        self.latest.get(&(service.clone(), function.clone()))
    }

    /// Whether an instance gets no new calls.
    #[must_use]
    pub fn is_drained(&self, service: &ServiceName, instance: &InstanceId) -> bool {
        let drained = &self.drained;
        !drained.is_empty() && drained.contains(&(service.clone(), instance.clone()))
    }

    /// Whether any version is on its way out.
    #[must_use]
    pub fn has_notices(&self) -> bool {
        self.functions
            .values()
            .any(|word| word.deprecated.is_some())
    }

    /// Which version clients get that name none.
    #[must_use]
    pub fn pins(&self) -> &Arc<Pins> {
        &self.pins
    }

    /// The services that anything is said of.
    pub(crate) fn services(&self) -> HashSet<&ServiceName> {
        self.entries.keys().map(Key::service).collect()
    }

    pub(super) fn to_kept(&self) -> Kept {
        Kept {
            generation: self.generation,
            entries: self.entries.values().cloned().collect(),
        }
    }
}

impl From<Kept> for Overrides {
    fn from(kept: Kept) -> Self {
        let mut all = Self {
            generation: kept.generation,
            ..Self::default()
        };
        let mut pins = Pins::default();
        for entry in kept.entries {
            match entry.decision() {
                Some(Decision::Flag(Key::Disabled(key))) => {
                    all.functions.entry(key).or_default().disabled = true;
                }
                Some(Decision::Flag(Key::Deleted(key))) => {
                    all.functions.entry(key).or_default().deleted = true;
                }
                Some(Decision::Flag(Key::Drained { service, instance })) => {
                    all.drained.insert((service, instance));
                }
                Some(Decision::Deprecate(key, deprecation)) => {
                    let notice = Notice::new(&deprecation).map(Arc::new);
                    all.functions.entry(key).or_default().deprecated =
                        notice.map(|notice| (deprecation, notice));
                }
                Some(Decision::Latest(service, function, version)) => {
                    all.latest.insert((service, function), version);
                }
                Some(Decision::Pin {
                    client,
                    service,
                    function,
                    version,
                }) => pins.add(client, service, function, version),
                // Nothing else is a flag; the rest is kept as it is, and is not in force.
                Some(Decision::Flag(_)) | None => {}
            }
            all.entries.insert(entry.key.clone(), entry);
        }
        all.pins = Arc::new(pins);
        all
    }
}
