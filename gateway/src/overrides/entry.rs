//! An override as it is kept, and as operators see it.

use serde::{Deserialize, Serialize};
use sluice_protocol::ApiVersion;

use super::decision::{Decision, Key};
use super::deprecation::Deprecation;

/// One override, and who made it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// What it is about.
    #[serde(flatten)]
    pub key: Key,
    /// What was decided, and by whom.
    #[serde(flatten)]
    pub value: Value,
}

/// What stands at a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Value {
    /// The version, or the range, that the override names, if its kind does.
    #[serde(default, rename = "to", skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The deprecation, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deprecation: Option<Deprecation>,
    /// The operator.
    pub by: String,
    /// When, in seconds since 1970.
    pub at: u64,
}

impl Entry {
    /// A decision of an operator, now (in seconds since 1970).
    #[must_use]
    pub fn new(decision: Decision, by: &str, at: u64) -> Self {
        let key = decision.key();
        let (version, deprecation) = match decision {
            Decision::Flag(_) => (None, None),
            Decision::Deprecate(_, deprecation) => (None, Some(deprecation)),
            Decision::Latest(_, _, version) => (Some(version.to_string()), None),
            Decision::Pin { version, .. } => (Some(version), None),
        };
        let by = by.to_owned();
        Self {
            key,
            value: Value {
                version,
                deprecation,
                by,
                at,
            },
        }
    }

    /// What was decided; `None` where the entry lacks what its kind needs.
    #[must_use]
    pub fn decision(&self) -> Option<Decision> {
        let version = self.value.version.as_deref();
        match &self.key {
            key @ (Key::Disabled(_) | Key::Deleted(_) | Key::Drained { .. }) => {
                Some(Decision::Flag(key.clone()))
            }
            Key::Deprecated(key) => {
                let deprecation = self.value.deprecation.clone()?;
                deprecation.check().ok()?;
                Some(Decision::Deprecate(key.clone(), deprecation))
            }
            Key::Latest { service, function } => {
                let version = ApiVersion::new(version?).ok()?;
                Some(Decision::Latest(service.clone(), function.clone(), version))
            }
            Key::Pin {
                client,
                service,
                function,
            } => Some(Decision::Pin {
                client: client.clone(),
                service: service.clone(),
                function: function.clone(),
                version: ApiVersion::new(version?).ok()?.to_string(),
            }),
        }
    }

    pub(super) fn to_text(&self) -> String {
        serde_json::to_string(&self.value).unwrap_or_default()
    }

    /// From the store; `None` where a newer gateway wrote what this one does not know.
    pub(super) fn read(field: &str, text: &str) -> Option<Self> {
        let key = Key::from_field(field).ok()?;
        let value = serde_json::from_str(text).ok()?;
        Some(Self { key, value })
    }
}
