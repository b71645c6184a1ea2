//! Registry messages: how workers say what they serve, and that they live.
//!
//! All are JSON objects with `type` and `protocol`. A config travels as text and is named by the
//! hash of exactly that text ([`config_hash`]), so that no two languages need to agree on how
//! JSON is printed. A field that this version does not know is refused by name, unless the
//! message speaks a newer protocol: then it is left out and reported.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::PROTOCOL_VERSION;
use crate::id::{InstanceId, ServiceName};

/// Optional parts of the protocol that a worker may speak, `features` of its messages.
pub mod feature {
    /// Sends beats while a handler runs, and answers pings.
    pub const BEAT: &str = "beat";
    /// Counts stream credit.
    pub const CREDIT: &str = "credit";
    /// Obeys cancel.
    pub const CANCEL: &str = "cancel";
    /// Translates requests by changes in code, and then checks permission and args itself
    /// (`Sluice-Permission: pending`). Whoever registers such changes has to speak it.
    pub const PENDING: &str = "pending";
    /// Splits and joins payloads above `max_payload`.
    pub const CHUNKS: &str = "chunks";
}

/// The name of a config: the first 32 hex digits of the SHA-256 of its text.
#[must_use]
pub fn config_hash(config_text: &str) -> String {
    hex::encode(&Sha256::digest(config_text.as_bytes())[..16])
}

/// What an instance does at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InstanceState {
    /// Its config may not be accepted yet; it takes no calls.
    Starting,
    /// It takes calls.
    Ready,
    /// It finishes what it has and takes nothing new.
    Draining,
}

/// What the messages of one instance have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Of which service.
    pub service: ServiceName,
    /// Which one.
    pub instance: InstanceId,
    /// The config that it runs.
    pub config_hash: String,
    /// What it does.
    pub state: InstanceState,
    /// See [`feature`]; absent: none.
    pub features: Vec<String>,
    /// Names of the encodings that it takes; absent: `json`.
    pub encodings: Vec<String>,
    /// Calls that it holds.
    pub in_flight: u32,
    /// Calls that it takes at once; 0: not told.
    pub capacity: u32,
}

/// A whole config, as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigText {
    /// A label for people; it decides nothing.
    pub config_version: Option<String>,
    /// `{"functions": [FunctionSpec, …]}`, exactly as it stood in the message.
    pub text: String,
}

/// Everything that is said on registry subjects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Worker to gateways: my config and my state. Answered by [`Message::Accepted`] or
    /// [`Message::Refused`] where the message has a reply subject.
    Announce {
        /// Who.
        instance: Instance,
        /// What it serves.
        config: ConfigText,
        /// Check and take the config again, even if its hash is known.
        force: bool,
    },
    /// Worker to gateways: I live. Also the answer to discover.
    Heartbeat(Instance),
    /// Worker to gateways: I take no more calls.
    Leave {
        /// Of which service.
        service: ServiceName,
        /// Who.
        instance: InstanceId,
    },
    /// Gateway to workers: who is there?
    Discover {
        /// Who asks.
        gateway: String,
    },
    /// Worker to gateway, the answer to a pull.
    Config {
        /// Of which service.
        service: ServiceName,
        /// The hash that was asked for.
        config_hash: String,
        /// It.
        config: ConfigText,
    },
    /// Gateway to worker: the config is in force here.
    Accepted {
        /// Who says so.
        gateway: String,
        /// Which config.
        config_hash: String,
    },
    /// Gateway to worker: the config is not taken, none of it.
    Refused {
        /// Who says so.
        gateway: String,
        /// Which config.
        config_hash: String,
        /// Every reason.
        reasons: Vec<Reason>,
    },
}

/// One mistake in a config.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Reason {
    /// The function, `service.request_type@version`; empty: the config as a whole.
    #[serde(default)]
    pub function: String,
    /// The field; empty: the function as a whole.
    #[serde(default)]
    pub field: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for part in [&self.function, &self.field] {
            if !part.is_empty() {
                write!(f, "{part}: ")?;
            }
        }
        f.write_str(&self.message)
    }
}

/// A message that is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMessage {
    /// Not a JSON object.
    #[error("a registry message must be a JSON object: {0}")]
    Json(String),
    /// A field is missing.
    #[error("field {0:?} is missing")]
    Missing(&'static str),
    /// A field has a wrong value.
    #[error("field {field:?}: {reason}")]
    Field {
        /// Which.
        field: &'static str,
        /// Why.
        reason: String,
    },
    /// A field of our own protocol version that does not exist.
    #[error("unknown field {0:?}")]
    Unknown(String),
    /// `type` is none of ours.
    #[error("unknown message type {0:?}")]
    Type(String),
}

/// A message, and the fields of a newer protocol that were left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed {
    /// The message.
    pub message: Message,
    /// Names of fields that this version does not know.
    pub ignored: Vec<String>,
}

struct Fields<'a>(BTreeMap<String, &'a RawValue>);

impl Fields<'_> {
    fn optional<T: DeserializeOwned>(
        &mut self,
        name: &'static str,
    ) -> Result<Option<T>, InvalidMessage> {
        let Some(raw) = self.0.remove(name) else {
            return Ok(None);
        };
        serde_json::from_str(raw.get()).map_err(|e| InvalidMessage::Field {
            field: name,
            reason: e.to_string(),
        })
    }

    fn required<T: DeserializeOwned>(&mut self, name: &'static str) -> Result<T, InvalidMessage> {
        self.optional(name)?.ok_or(InvalidMessage::Missing(name))
    }

    fn instance(&mut self) -> Result<Instance, InvalidMessage> {
        Ok(Instance {
            service: self.required("service")?,
            instance: self.required("instance")?,
            config_hash: self.required("config_hash")?,
            state: self.required("state")?,
            features: self.optional("features")?.unwrap_or_default(),
            encodings: self
                .optional("encodings")?
                .unwrap_or_else(|| vec!["json".to_owned()]),
            in_flight: self.optional("in_flight")?.unwrap_or(0),
            capacity: self.optional("capacity")?.unwrap_or(0),
        })
    }

    fn config(&mut self) -> Result<ConfigText, InvalidMessage> {
        let text = self
            .0
            .remove("config")
            .ok_or(InvalidMessage::Missing("config"))?;
        let config_version: Option<String> = self.optional("config_version")?;
        if config_version.as_deref() == Some("") {
            return Err(InvalidMessage::Field {
                field: "config_version",
                reason: "must not be empty; leave it out instead".to_owned(),
            });
        }
        Ok(ConfigText {
            config_version,
            text: text.get().to_owned(),
        })
    }
}

impl Parsed {
    /// Reads a message.
    ///
    /// # Errors
    /// When it is no message of ours; see [`InvalidMessage`].
    pub fn parse(bytes: &[u8]) -> Result<Self, InvalidMessage> {
        let mut fields: Fields<'_> =
            Fields(serde_json::from_slice(bytes).map_err(|e| InvalidMessage::Json(e.to_string()))?);
        let kind: String = fields.required("type")?;
        let protocol: u32 = fields.required("protocol")?;
        let message = match kind.as_str() {
            "announce" => Message::Announce {
                instance: fields.instance()?,
                config: fields.config()?,
                force: fields.optional("force")?.unwrap_or(false),
            },
            "heartbeat" => Message::Heartbeat(fields.instance()?),
            "leave" => Message::Leave {
                service: fields.required("service")?,
                instance: fields.required("instance")?,
            },
            "discover" => Message::Discover {
                gateway: fields.required("gateway")?,
            },
            "config" => Message::Config {
                service: fields.required("service")?,
                config_hash: fields.required("config_hash")?,
                config: fields.config()?,
            },
            "accepted" => Message::Accepted {
                gateway: fields.required("gateway")?,
                config_hash: fields.required("config_hash")?,
            },
            "refused" => Message::Refused {
                gateway: fields.required("gateway")?,
                config_hash: fields.required("config_hash")?,
                reasons: fields.required("reasons")?,
            },
            other => return Err(InvalidMessage::Type(other.chars().take(40).collect())),
        };
        let ignored: Vec<String> = fields.0.into_keys().collect();
        match ignored.first() {
            Some(name) if protocol <= PROTOCOL_VERSION => {
                Err(InvalidMessage::Unknown(name.clone()))
            }
            _ => Ok(Self { message, ignored }),
        }
    }
}

impl Message {
    /// The message as JSON.
    ///
    /// # Panics
    /// Never: all parts are JSON already or plain values.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let mut out = Writer::new(match self {
            Self::Announce { .. } => "announce",
            Self::Heartbeat(_) => "heartbeat",
            Self::Leave { .. } => "leave",
            Self::Discover { .. } => "discover",
            Self::Config { .. } => "config",
            Self::Accepted { .. } => "accepted",
            Self::Refused { .. } => "refused",
        });
        match self {
            Self::Announce {
                instance,
                config,
                force,
            } => {
                out.instance(instance);
                if *force {
                    out.field("force", force);
                }
                out.config(config);
            }
            Self::Heartbeat(instance) => out.instance(instance),
            Self::Leave { service, instance } => {
                out.field("service", service);
                out.field("instance", instance);
            }
            Self::Discover { gateway } => out.field("gateway", gateway),
            Self::Config {
                service,
                config_hash,
                config,
            } => {
                out.field("service", service);
                out.field("config_hash", config_hash);
                out.config(config);
            }
            Self::Accepted {
                gateway,
                config_hash,
            } => {
                out.field("gateway", gateway);
                out.field("config_hash", config_hash);
            }
            Self::Refused {
                gateway,
                config_hash,
                reasons,
            } => {
                out.field("gateway", gateway);
                out.field("config_hash", config_hash);
                out.field("reasons", reasons);
            }
        }
        out.finish()
    }
}

// Written by hand so that the config's text goes out byte for byte.
struct Writer(Vec<u8>);

impl Writer {
    fn new(kind: &str) -> Self {
        let mut out = Self(Vec::with_capacity(256));
        out.0.push(b'{');
        out.field("type", kind);
        out.field("protocol", &PROTOCOL_VERSION);
        out
    }

    fn key(&mut self, name: &str) {
        if self.0.len() > 1 {
            self.0.push(b',');
        }
        self.0.push(b'"');
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b"\":");
    }

    fn field<T: serde::Serialize + ?Sized>(&mut self, name: &str, value: &T) {
        self.key(name);
        #[expect(clippy::expect_used, reason = "strings, numbers and lists of them")]
        serde_json::to_writer(&mut self.0, value).expect("a plain value serializes");
    }

    fn instance(&mut self, i: &Instance) {
        self.field("service", &i.service);
        self.field("instance", &i.instance);
        self.field("config_hash", &i.config_hash);
        self.field("state", &i.state);
        self.field("features", &i.features);
        self.field("encodings", &i.encodings);
        self.field("in_flight", &i.in_flight);
        self.field("capacity", &i.capacity);
    }

    fn config(&mut self, config: &ConfigText) {
        if let Some(version) = &config.config_version {
            self.field("config_version", version);
        }
        self.key("config");
        self.0.extend_from_slice(config.text.as_bytes());
    }

    fn finish(mut self) -> Vec<u8> {
        self.0.push(b'}');
        self.0
    }
}
