//! What can be decided.

use std::fmt;

use serde::{Deserialize, Serialize};
use sluice_protocol::{ApiVersion, FunctionName, InstanceId, ServiceName};

use super::deprecation::Deprecation;
use crate::registry::snapshot::Function;

/// One version of one function of one service.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FunctionKey {
    /// Of which service.
    pub service: ServiceName,
    /// Which function.
    pub function: FunctionName,
    /// Which version; none: the one that has no version.
    #[serde(default)]
    pub version: Option<ApiVersion>,
}

impl FunctionKey {
    /// That of a function that is known.
    #[must_use]
    pub fn of(function: &Function) -> Self {
        Self {
            service: function.service.clone(),
            function: function.request_type.clone(),
            version: function.version.clone(),
        }
    }

    /// As in the label of its spec: `users.get@1.0.0`.
    #[must_use]
    pub fn label(&self) -> String {
        match &self.version {
            Some(version) => format!("{}.{}@{version}", self.service, self.function),
            None => format!("{}.{}", self.service, self.function),
        }
    }
}

impl fmt::Display for FunctionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.service, self.function)?;
        match &self.version {
            Some(version) => write!(f, " {version}"),
            None => Ok(()),
        }
    }
}

/// For whom a version is pinned.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Client {
    /// A user, by id.
    User(String),
    /// An API key, by its name (never its secret).
    ApiKey(String),
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(id) => write!(f, "user {id}"),
            Self::ApiKey(name) => write!(f, "api_key {name}"),
        }
    }
}

/// What an override is about: there is at most one for each.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Key {
    /// A version takes no calls.
    Disabled(FunctionKey),
    /// A version is as if it had never been registered.
    Deleted(FunctionKey),
    /// A version is on its way out; it still takes calls.
    Deprecated(FunctionKey),
    /// Which version "the latest" means.
    Latest {
        /// Of which service.
        service: ServiceName,
        /// Which function.
        function: FunctionName,
    },
    /// An instance gets no new calls.
    Drained {
        /// Of which service.
        service: ServiceName,
        /// Which one.
        instance: InstanceId,
    },
    /// Which version a client gets that names none.
    Pin {
        /// Which client.
        client: Client,
        /// Of which service.
        service: ServiceName,
        /// Which function; none: all of the service.
        #[serde(default)]
        function: Option<FunctionName>,
    },
}

impl Key {
    /// The name of its kind.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Disabled(_) => "disabled",
            Self::Deleted(_) => "deleted",
            Self::Deprecated(_) => "deprecated",
            Self::Latest { .. } => "latest",
            Self::Drained { .. } => "drained",
            Self::Pin { .. } => "pin",
        }
    }

    /// The service that it is about.
    #[must_use]
    pub fn service(&self) -> &ServiceName {
        match self {
            Self::Disabled(key) | Self::Deleted(key) | Self::Deprecated(key) => &key.service,
            Self::Latest { service, .. }
            | Self::Drained { service, .. }
            | Self::Pin { service, .. } => service,
        }
    }

    /// As the field of the store: the same key is always the same text.
    pub(super) fn to_field(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    pub(super) fn from_field(field: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(field)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disabled(key) | Self::Deleted(key) | Self::Deprecated(key) => key.fmt(f),
            Self::Latest { service, function } => write!(f, "{service}.{function}"),
            Self::Drained { service, instance } => write!(f, "{service} instance {instance}"),
            Self::Pin {
                client,
                service,
                function: Some(function),
            } => write!(f, "{client} at {service}.{function}"),
            Self::Pin {
                client, service, ..
            } => write!(f, "{client} at {service}"),
        }
    }
}

/// A key, and what was decided on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Disabled, deleted, drained: the key says it all.
    Flag(Key),
    /// The version takes calls, and says that it is going.
    Deprecate(FunctionKey, Deprecation),
    /// This version is "the latest".
    Latest(ServiceName, FunctionName, ApiVersion),
    /// A client that names no version gets this one, or the newest of a range.
    Pin {
        /// Which client.
        client: Client,
        /// Of which service.
        service: ServiceName,
        /// Which function; none: all of the service.
        function: Option<FunctionName>,
        /// A version, or a range of semantic versions.
        version: String,
    },
}

impl Decision {
    /// What it is about.
    #[must_use]
    pub fn key(&self) -> Key {
        match self {
            Self::Flag(key) => key.clone(),
            Self::Deprecate(key, _) => Key::Deprecated(key.clone()),
            Self::Latest(service, function, _) => Key::Latest {
                service: service.clone(),
                function: function.clone(),
            },
            Self::Pin {
                client,
                service,
                function,
                ..
            } => Key::Pin {
                client: client.clone(),
                service: service.clone(),
                function: function.clone(),
            },
        }
    }
}
