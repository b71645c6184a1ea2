//! Messages that are not taken, and why.

use sluice_protocol::registry::Message;
use sluice_protocol::{InstanceId, ServiceName};

/// Why a message is not taken, by kind: the names of the counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum DenialKind {
    TooLarge,
    Malformed,
    Unexpected,
    Disagrees,
    NotAllowed,
    Signature,
    Replay,
    Limit,
}

impl DenialKind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::Malformed => "malformed",
            Self::Unexpected => "unexpected",
            Self::Disagrees => "disagrees_with_subject",
            Self::NotAllowed => "not_allowed",
            Self::Signature => "signature",
            Self::Replay => "replay",
            Self::Limit => "limit",
        }
    }
}

/// A message that is not taken.
#[derive(Debug)]
pub(super) struct Denied {
    pub(super) kind: DenialKind,
    pub(super) message: String,
    /// Who seems to have sent it, where it could be told.
    pub(super) sender: Option<(ServiceName, InstanceId)>,
    /// The config that it names, where it names one.
    pub(super) config_hash: String,
}

impl Denied {
    pub(super) fn new(kind: DenialKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            sender: None,
            config_hash: String::new(),
        }
    }

    /// Takes from the message what it says of its sender.
    pub(super) fn of(mut self, message: &Message) -> Self {
        let hash = match message {
            Message::Announce { instance, .. } | Message::Heartbeat(instance) => {
                Some(&instance.config_hash)
            }
            Message::Config { config_hash, .. } => Some(config_hash),
            _ => None,
        };
        // A stranger's text: only what is a hash goes back out.
        if let Some(hash) = hash.filter(|h| is_hash(h)) {
            self.config_hash.clone_from(hash);
        }
        self.sender = self.sender.or_else(|| sender(message));
        self
    }
}

/// For whom a worker's message speaks.
pub(super) fn sender(message: &Message) -> Option<(ServiceName, InstanceId)> {
    match message {
        Message::Announce { instance, .. } | Message::Heartbeat(instance) => {
            Some((instance.service.clone(), instance.instance.clone()))
        }
        Message::Leave { service, instance } => Some((service.clone(), instance.clone())),
        Message::Discover { .. }
        | Message::Config { .. }
        | Message::Accepted { .. }
        | Message::Refused { .. } => None,
    }
}

pub(super) fn is_hash(text: &str) -> bool {
    text.len() == 32
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}
