//! All limits that hold now, found by service and function.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

use serde_json::{Value, json};

use super::limit::Limit;
use super::store::Changes;

/// A limit, and how often all its keys were reset.
#[derive(Debug)]
pub struct Rule {
    /// The limit.
    pub limit: Limit,
    /// Keys of another epoch are not looked at any more.
    pub epoch: u64,
    pub(super) counts: Arc<Counts>,
}

/// What this gateway has seen of a limit since it started.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) refused: AtomicU64,
    /// Calls that were admitted because the limit is in shadow.
    pub(super) shadow: AtomicU64,
    /// That it met calls whose args only their worker knows was told.
    pub(super) args_unknown: AtomicBool,
}

/// Indices of limits, by what they apply to.
#[derive(Debug, Default)]
struct OfService {
    all: Vec<usize>,
    functions: HashMap<String, Vec<usize>>,
}

/// An immutable set of limits.
#[derive(Debug, Default)]
pub(super) struct Rules {
    /// Of the changes that it was made of.
    pub(super) generation: u64,
    list: Vec<Arc<Rule>>,
    global: Vec<usize>,
    services: HashMap<String, OfService>,
    /// The text of each change, for the next one.
    changes: HashMap<String, String>,
}

/// What was changed of one limit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Change {
    pub(super) epoch: u64,
    /// `None`: as the config file has it. `Some(None)`: removed.
    pub(super) limit: Option<Option<Limit>>,
}

impl Change {
    /// Reads a change; what a newer gateway may write and this one cannot read is an error.
    fn parse(text: &str) -> Result<Self, String> {
        let value: Value = serde_json::from_str(text).map_err(|e| e.to_string())?;
        let limit = match value.get("limit") {
            None => None,
            Some(Value::Null) => Some(None),
            Some(limit) => Some(Some(Limit::from_json(limit).map_err(|faults| {
                let first = faults
                    .first()
                    .map(|f| format!("{}: {}", f.field, f.message));
                first.unwrap_or_default()
            })?)),
        };
        let epoch = value.get("epoch").and_then(Value::as_u64).unwrap_or(0);
        Ok(Self { epoch, limit })
    }

    pub(super) fn print(&self) -> String {
        let mut value = json!({"epoch": self.epoch});
        if let Some(limit) = &self.limit {
            value["limit"] = limit.as_ref().map_or(Value::Null, Limit::to_json);
        }
        value.to_string()
    }
}

impl Rules {
    /// The limits of the config file as `changes` have them.
    /// `before` lends its counts.
    pub(super) fn new(base: &[Limit], changes: Changes, before: &Self) -> Self {
        let mut list: Vec<Arc<Rule>> = Vec::new();
        let mut parsed: HashMap<String, Change> = HashMap::new();
        for (name, text) in &changes.texts {
            match Change::parse(text) {
                Ok(change) => {
                    parsed.insert(name.clone(), change);
                }
                Err(fault) => {
                    tracing::error!(limit = %name, %fault, "a changed limit cannot be read; the config file's holds");
                }
            }
        }
        let named = |limit: &Limit| parsed.get(&*limit.name);
        let kept = base.iter().filter_map(|limit| {
            let change = named(limit);
            match change.and_then(|c| c.limit.clone()) {
                None => Some((limit.clone(), change.map_or(0, |c| c.epoch))),
                Some(changed) => Some((changed?, change?.epoch)),
            }
        });
        let added = changes.texts.iter().filter_map(|(name, _)| {
            let change = parsed.get(name)?;
            let is_new = !base.iter().any(|limit| *limit.name == **name);
            let limit = change.limit.clone()??;
            is_new.then_some((limit, change.epoch))
        });
        for (limit, epoch) in kept.chain(added) {
            let counts = before.get(&limit.name).map(|rule| rule.counts.clone());
            list.push(Arc::new(Rule {
                limit,
                epoch,
                counts: counts.unwrap_or_default(),
            }));
        }
        Self::indexed(list, changes)
    }

    fn indexed(list: Vec<Arc<Rule>>, changes: Changes) -> Self {
        let mut rules = Self {
            generation: changes.generation,
            changes: changes.texts.into_iter().collect(),
            ..Self::default()
        };
        for (i, rule) in list.iter().enumerate() {
            let Some(service) = &rule.limit.service else {
                rules.global.push(i);
                continue;
            };
            let of = rules.services.entry(service.clone()).or_default();
            match &rule.limit.function {
                None => of.all.push(i),
                Some(name) => of.functions.entry(name.clone()).or_default().push(i),
            }
        }
        rules.list = list;
        rules
    }

    /// Whether these changes are in it. A store that was emptied begins to count anew: the
    /// generation alone does not tell.
    pub(super) fn is_made_of(&self, changes: &Changes) -> bool {
        let known = |(name, text): &(String, String)| self.changes.get(name) == Some(text);
        self.generation == changes.generation
            && self.changes.len() == changes.texts.len()
            && changes.texts.iter().all(known)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// All limits.
    pub(super) fn list(&self) -> &[Arc<Rule>] {
        &self.list
    }

    pub(super) fn get(&self, name: &str) -> Option<&Arc<Rule>> {
        self.list.iter().find(|rule| *rule.limit.name == *name)
    }

    /// What is stored as changed of a limit; empty: nothing.
    pub(super) fn change_text(&self, name: &str) -> &str {
        self.changes.get(name).map_or("", String::as_str)
    }

    /// The change that is stored of a limit.
    pub(super) fn change(&self, name: &str) -> Change {
        Change::parse(self.change_text(name)).unwrap_or_default()
    }

    /// The limits that apply to a function: global ones, the service's, its own.
    pub(super) fn of<'a>(
        &'a self,
        service: &str,
        function: &str,
    ) -> impl Iterator<Item = &'a Arc<Rule>> {
        let of = self.services.get(service);
        let service = of.map_or(&[][..], |of| &of.all);
        let function = of.and_then(|of| of.functions.get(function));
        let function = function.map_or(&[][..], Vec::as_slice);
        let indices = self.global.iter().chain(service).chain(function);
        indices.filter_map(|i| self.list.get(*i))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(name: &str, of: &[&str], max: u32) -> Limit {
        Limit {
            name: name.into(),
            service: of.first().map(|s| (*s).to_owned()),
            function: of.get(1).map(|s| (*s).to_owned()),
            key: "all".parse().unwrap(),
            max_requests: max,
            window_ms: 1000,
            cost: 1,
            shadow: false,
            named_only: false,
        }
    }

    fn names(rules: &Rules, service: &str, function: &str) -> Vec<String> {
        let names = rules
            .of(service, function)
            .map(|r| r.limit.name.to_string());
        names.collect()
    }

    #[test]
    fn limits_are_found_by_what_they_apply_to() {
        let base = [
            limit("fn", &["s", "f"], 1),
            limit("all", &[], 1),
            limit("service", &["s"], 1),
        ];
        let rules = Rules::new(&base, Changes::default(), &Rules::default());
        assert_eq!(names(&rules, "s", "f"), ["all", "service", "fn"]);
        assert_eq!(names(&rules, "s", "g"), ["all", "service"]);
        assert_eq!(names(&rules, "t", "f"), ["all"]);
    }

    #[test]
    fn changes_go_before_the_config_file() {
        let base = [limit("a", &[], 1), limit("b", &[], 1), limit("c", &[], 1)];
        let change = |name: &str, epoch, limit| (name.to_owned(), Change { epoch, limit }.print());
        let changes = Changes {
            generation: 7,
            texts: vec![
                change("a", 3, Some(Some(limit("a", &[], 9)))),
                change("b", 0, Some(None)),
                change("c", 2, None),
                change("d", 0, Some(Some(limit("d", &["s"], 4)))),
                // Removed, and the config file has it no more.
                change("e", 0, Some(None)),
                ("f".to_owned(), "{".to_owned()),
            ],
        };
        let rules = Rules::new(&base, changes, &Rules::default());
        let found: Vec<(String, u32, u64)> = rules
            .list()
            .iter()
            .map(|r| (r.limit.name.to_string(), r.limit.max_requests, r.epoch))
            .collect();
        let expected = [("a", 9, 3), ("c", 1, 2), ("d", 4, 0)];
        assert_eq!(found, expected.map(|(n, m, e)| (n.to_owned(), m, e)));
        assert_eq!((rules.generation, rules.change("c").epoch), (7, 2));
    }
}
