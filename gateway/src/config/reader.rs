//! Reads options from all sources and collects every mistake.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::kind::secret::read_file;
use super::kind::{Kind, Raw};
use super::mistake::{Mistake, Origin};
use super::section::{env_name, option_name};
use super::source::{Environment, Text, entry};

/// The parsed config file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct File<'a> {
    pub(crate) text: &'a Text,
    pub(crate) table: &'a DeTable<'a>,
}

/// Reads one option after the other; what is wrong is kept for the end.
pub(crate) struct Reader<'a> {
    pub(crate) file: Option<File<'a>>,
    pub(crate) env: &'a Environment,
    pub(crate) mistakes: Vec<Mistake>,
    pub(crate) warnings: Vec<Mistake>,
    origins: BTreeMap<String, Origin>,
    failed: BTreeSet<String>,
}

/// An option as one source has it.
enum Found<V> {
    Absent,
    Wrong,
    Value(V, Origin),
}

impl<'a> Reader<'a> {
    pub(crate) fn new(file: Option<File<'a>>, env: &'a Environment) -> Self {
        Self {
            file,
            env,
            mistakes: Vec::new(),
            warnings: Vec::new(),
            origins: BTreeMap::new(),
            failed: BTreeSet::new(),
        }
    }

    /// The value of an option; `None`: it is absent, or wrong and reported.
    ///
    /// The environment goes before the file; both are checked, so that a mistake in the file
    /// does not hide behind a variable until somebody removes that.
    pub(crate) fn option<K: Kind>(
        &mut self,
        section: &str,
        field: &str,
        kind: &K,
    ) -> Option<K::Value> {
        let name = option_name(field, kind);
        let option = format!("{section}.{name}");
        let in_file = self.in_file(section, &name, &option, kind);
        let in_env = self.in_env(&env_name(section, &name), &option, kind);
        let found = match in_env {
            Found::Absent => in_file,
            found => found,
        };
        match found {
            Found::Value(value, origin) => {
                self.origins.insert(option, origin);
                Some(value)
            }
            Found::Wrong => {
                self.failed.insert(option);
                None
            }
            Found::Absent => None,
        }
    }

    fn in_file<K: Kind>(
        &mut self,
        section: &str,
        name: &str,
        option: &str,
        kind: &K,
    ) -> Found<K::Value> {
        let Some(File { text, table }) = self.file else {
            return Found::Absent;
        };
        let Some(DeValue::Table(table)) = entry(table, section).map(|(_, v)| v.get_ref()) else {
            return Found::Absent;
        };
        let find = |key: &str| {
            entry(table, key).map(|(offset, value)| (text.origin(offset), value.get_ref()))
        };
        let value = find(name);
        if !K::SECRET {
            return value.map_or(Found::Absent, |(origin, value)| {
                self.parse(option, origin, kind, &Raw::Toml(value))
            });
        }
        let path_name = format!("{name}_file");
        match (value, find(&path_name)) {
            (Some((origin, _)), Some(_)) => {
                self.twice(option, origin, &format!("{section}.{path_name}"))
            }
            (Some((origin, value)), None) => self.parse(option, origin, kind, &Raw::Toml(value)),
            (None, Some((origin, DeValue::String(path)))) => {
                self.parse_file(option, origin, kind, path)
            }
            (None, Some((origin, other))) => {
                let got = Raw::Toml(other);
                let fault = format!("{path_name}: expected the path of a file, got {got}");
                self.wrong(option, &origin, vec![fault])
            }
            (None, None) => Found::Absent,
        }
    }

    fn in_env<K: Kind>(&mut self, name: &str, option: &str, kind: &K) -> Found<K::Value> {
        let env = self.env;
        let origin = Origin::Env(name.to_owned());
        let value = env.get(name);
        if !K::SECRET {
            return value.map_or(Found::Absent, |text| {
                self.parse(option, origin, kind, &Raw::Text(text))
            });
        }
        let path_name = format!("{name}_FILE");
        match (value, env.get(&path_name)) {
            (Some(_), Some(_)) => self.twice(option, origin, &path_name),
            (Some(text), None) => self.parse(option, origin, kind, &Raw::Text(text)),
            (None, Some(path)) => self.parse_file(option, Origin::Env(path_name), kind, path),
            (None, None) => Found::Absent,
        }
    }

    fn parse_file<K: Kind>(
        &mut self,
        option: &str,
        origin: Origin,
        kind: &K,
        path: &str,
    ) -> Found<K::Value> {
        match read_file(Path::new(path)) {
            Ok(text) => self.parse(option, origin, kind, &Raw::File(&text)),
            Err(fault) => self.wrong(option, &origin, vec![fault]),
        }
    }

    fn parse<K: Kind>(
        &mut self,
        option: &str,
        origin: Origin,
        kind: &K,
        raw: &Raw<'_>,
    ) -> Found<K::Value> {
        match kind.parse(raw) {
            Ok(value) => Found::Value(value, origin),
            Err(faults) => self.wrong(option, &origin, faults),
        }
    }

    fn twice<V>(&mut self, option: &str, origin: Origin, other: &str) -> Found<V> {
        let fault = format!("stands here and in the file that {other} names: keep one of both");
        self.wrong(option, &origin, vec![fault])
    }

    fn wrong<V>(&mut self, option: &str, origin: &Origin, faults: Vec<String>) -> Found<V> {
        for fault in faults {
            self.mistakes
                .push(Mistake::new(origin.clone(), option, fault));
        }
        Found::Wrong
    }

    /// Where an option's value came from.
    pub(crate) fn origin(&self, option: &str) -> Origin {
        self.origins.get(option).cloned().unwrap_or(Origin::Absent)
    }

    /// Whether an option was given and is right.
    pub(crate) fn is_given(&self, option: &str) -> bool {
        self.origins.contains_key(option)
    }

    /// Whether none of `options` was wrong: only then do rules that compare them make sense.
    pub(crate) fn are_right(&self, options: &[&str]) -> bool {
        !options.iter().any(|o| self.failed.contains(*o))
    }

    /// Reports a mistake of an option's value.
    pub(crate) fn mistake(&mut self, option: &str, message: impl Into<String>) {
        let origin = self.origin(option);
        self.mistakes.push(Mistake::new(origin, option, message));
    }

    /// Reports a doubt about an option's value.
    pub(crate) fn warning(&mut self, option: &str, message: impl Into<String>) {
        let origin = self.origin(option);
        self.warnings.push(Mistake::new(origin, option, message));
    }
}
