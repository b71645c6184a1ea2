//! Where options are read from: a TOML file and the environment.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::mistake::{Mistake, Origin};

/// What all our environment variables begin with.
pub(crate) const ENV_PREFIX: &str = "SLUICE_";

/// The environment as the configuration sees it. Tests make one from pairs.
#[derive(Clone, Default)]
pub struct Environment {
    values: BTreeMap<String, String>,
    not_utf8: Vec<String>,
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Names only: values may be secrets.
        f.debug_set().entries(self.names()).finish()
    }
}

impl Environment {
    /// The `SLUICE_*` variables of this process.
    #[must_use]
    pub fn of_process() -> Self {
        let mut env = Self::default();
        for (name, value) in std::env::vars_os() {
            let Some(name) = name.to_str().filter(|n| n.starts_with(ENV_PREFIX)) else {
                continue;
            };
            match value.into_string() {
                Ok(value) => drop(env.values.insert(name.to_owned(), value)),
                Err(_) => env.not_utf8.push(name.to_owned()),
            }
        }
        env
    }

    /// The value of a variable. An empty one counts as absent: that is what
    /// `${NAME:-}` in a compose file makes of an unset one.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.values
            .get(name)
            .map(String::as_str)
            .filter(|v| !v.is_empty())
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// Variables whose values cannot be read.
    pub(crate) fn mistakes(&self) -> impl Iterator<Item = Mistake> {
        self.not_utf8.iter().map(|name| {
            let origin = Origin::Env(name.clone());
            Mistake::new(origin, "", "the value is not UTF-8 text")
        })
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        let values = pairs
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()))
            .filter(|(name, _)| name.starts_with(ENV_PREFIX))
            .collect();
        Self {
            values,
            not_utf8: Vec::new(),
        }
    }
}

/// A config file's text, and how to say where something stands in it.
#[derive(Debug)]
pub(crate) struct Text {
    path: PathBuf,
    text: String,
}

impl Text {
    /// Reads a config file.
    pub(crate) fn read(path: &Path) -> Result<Self, Mistake> {
        let fail = |why: String| Mistake::new(Origin::File(path.to_owned()), "", why);
        let bytes = std::fs::read(path).map_err(|e| fail(cannot_read(path, &e)))?;
        let text = String::from_utf8(bytes)
            .map_err(|e| fail(format!("the file is not UTF-8: {}", e.utf8_error())))?;
        Ok(Self {
            path: path.to_owned(),
            text,
        })
    }

    /// The line and column of a byte offset.
    pub(crate) fn origin(&self, offset: usize) -> Origin {
        let before = &self.text.as_bytes()[..offset.min(self.text.len())];
        let start = line_start(before);
        Origin::Line {
            path: self.path.clone(),
            line: before.iter().filter(|b| **b == b'\n').count() + 1,
            column: before.len() - start + 1,
        }
    }

    /// The file's table, as far as it can be read, and every mistake of syntax.
    pub(crate) fn parse(&self) -> (DeTable<'_>, Vec<Mistake>) {
        let (table, errors) = DeTable::parse_recoverable(&self.text);
        let mistakes = errors.iter().map(|e| {
            let offset = e.span().map_or(0, |span| span.start);
            Mistake::new(
                self.origin(offset),
                "",
                format!("not valid TOML: {}", e.message().trim()),
            )
        });
        (table.into_inner(), mistakes.collect())
    }
}

fn line_start(before: &[u8]) -> usize {
    before
        .iter()
        .rposition(|b| *b == b'\n')
        .map_or(0, |newline| newline + 1)
}

/// Why a file could not be read, and from where it was looked for.
pub(crate) fn cannot_read(path: &Path, error: &std::io::Error) -> String {
    let here = match std::env::current_dir() {
        Ok(here) if path.is_relative() => format!(" (looked in {})", here.display()),
        _ => String::new(),
    };
    format!("cannot read {}: {error}{here}", path.display())
}

/// A key of a table with its value, both with their places.
pub(crate) fn entry<'t, 'i>(
    table: &'t DeTable<'i>,
    key: &str,
) -> Option<(usize, &'t Spanned<DeValue<'i>>)> {
    table
        .iter()
        .find(|(k, _)| k.get_ref() == key)
        .map(|(k, value)| (k.span().start, value))
}
