//! What is wrong with a configuration, and where it stands.

use std::fmt;
use std::path::PathBuf;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// The config file as a whole, or another file that an option names.
    File(PathBuf),
    /// A place in the config file.
    Line {
        /// Which file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// From 1, in bytes.
        column: usize,
    },
    /// An environment variable.
    Env(String),
    /// An option that stands nowhere: its default, or its absence.
    Absent,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Line { path, line, .. } => write!(f, "{}:{line}", path.display()),
            Self::Env(name) => write!(f, "environment {name}"),
            Self::Absent => f.write_str("configuration"),
        }
    }
}

/// One mistake, or one warning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Where it stands.
    pub origin: Origin,
    /// The option, `http.listen`; empty: none in particular.
    pub option: String,
    /// What is wrong and what would be right. Never holds a secret.
    pub message: String,
}

impl Mistake {
    pub(super) fn new(
        origin: Origin,
        option: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            origin,
            option: option.into(),
            message: message.into(),
        }
    }

    /// The mistake as `sluice check --json` shows it.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let mut out = serde_json::Map::new();
        match &self.origin {
            Origin::File(path) => {
                out.insert("file".into(), path.display().to_string().into());
            }
            Origin::Line { path, line, column } => {
                out.insert("file".into(), path.display().to_string().into());
                out.insert("line".into(), (*line).into());
                out.insert("column".into(), (*column).into());
            }
            Origin::Env(name) => {
                out.insert("env".into(), name.as_str().into());
            }
            Origin::Absent => {}
        }
        if !self.option.is_empty() {
            out.insert("option".into(), self.option.as_str().into());
        }
        out.insert("message".into(), self.message.as_str().into());
        out.into()
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.origin)?;
        if !self.option.is_empty() {
            write!(f, "{}: ", self.option)?;
        }
        f.write_str(&self.message)
    }
}

/// A configuration that cannot be used: every mistake, in the order of the file, then of the
/// environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// What must be mended.
    pub mistakes: Vec<Mistake>,
    /// What looks wrong but does not stop the gateway.
    pub warnings: Vec<Mistake>,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, mistake) in self.mistakes.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            write!(f, "{mistake}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Invalid {}
