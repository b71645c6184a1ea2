//! Every rule of the table, with a clock that is passed in.

mod deploys;
mod expiry;
mod hostile;
mod pulls;
mod random;
mod refusals;
mod steered;

use std::sync::Arc;
use std::time::Duration;

use sluice_protocol::registry::{InstanceState, Message, config_hash};
use sluice_protocol::{Subjects, sign};
use tokio::time::Instant;

use super::{Effects, Rules, Table};
use crate::config::RegistryOptions;
use crate::registry::admission::Inbound;
use crate::registry::fixed::FixedFunctions;
use crate::registry::limits::Limits;
use crate::registry::pulls::ConfigKey;
use crate::registry::snapshot::{Function, Snapshot};
use crate::registry::testing::{announce, heartbeat, label, leave, parse, service};

const INBOX: &str = "_INBOX.worker.1";
const READY: InstanceState = InstanceState::Ready;

/// A table, its clock, and the snapshot that it published last.
struct Bench {
    table: Table,
    now: Instant,
    snapshot: Snapshot,
    subjects: Subjects,
}

impl Bench {
    fn open() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut Rules)) -> Self {
        let now = Instant::now();
        let mut rules = Rules {
            gateway: "gw".into(),
            subjects: Subjects::default(),
            options: RegistryOptions {
                open: true,
                ..RegistryOptions::default()
            },
            fixed: FixedFunctions::default(),
            limits: Limits::default(),
            parse: Box::new(parse),
        };
        change(&mut rules);
        let mut bench = Self {
            table: Table::new(rules, now),
            now,
            snapshot: Snapshot::default(),
            subjects: Subjects::default(),
        };
        bench.table.set_connected(true, now);
        bench.look();
        bench
    }

    fn look(&mut self) {
        if let Some(snapshot) = self.table.take_snapshot() {
            self.snapshot = snapshot;
        }
    }

    fn subject(&self, message: &Message) -> String {
        let (service, instance) = match message {
            Message::Announce { instance, .. } | Message::Heartbeat(instance) => {
                (&instance.service, &instance.instance)
            }
            Message::Leave { service, instance } => (service, instance),
            other => panic!("a worker does not announce {other:?}"),
        };
        self.subjects.announce(service, instance)
    }

    /// A worker's message on its own announce subject, with a reply subject.
    fn say(&mut self, message: &Message) -> Effects {
        let subject = self.subject(message);
        self.raw(&subject, &message.to_json())
    }

    fn raw(&mut self, subject: &str, body: &[u8]) -> Effects {
        self.inbound(Inbound {
            subject,
            reply: Some(INBOX),
            body,
            ..Inbound::default()
        })
    }

    fn signed(&mut self, message: &Message, secret: &str, nonce: &str) -> Effects {
        let (subject, body) = (self.subject(message), message.to_json());
        let signature = sign::sign(secret.as_bytes(), &subject, nonce, &body);
        self.inbound(Inbound {
            subject: &subject,
            reply: Some(INBOX),
            nonce: Some(nonce),
            signature: Some(&signature),
            body: &body,
        })
    }

    fn inbound(&mut self, inbound: Inbound<'_>) -> Effects {
        let effects = self.table.announced(inbound, self.now);
        self.look();
        effects
    }

    /// An announce that is taken, then a heartbeat that says ready.
    fn up(&mut self, service: &str, instance: &str, text: &str) {
        let effects = self.say(&announce(service, instance, text, InstanceState::Starting));
        assert!(is_accepted(&effects, text), "{effects:?}");
        self.beat(service, instance, text);
    }

    fn beat(&mut self, service: &str, instance: &str, text: &str) {
        let mut effects = self.say(&heartbeat(service, instance, text, READY));
        effects.pulls.clear();
        assert_eq!(effects, Effects::default());
    }

    /// The answer to a pull of `text`.
    fn answer(&mut self, key: &ConfigKey, text: &str) -> Effects {
        let body = Message::Config {
            service: key.service.clone(),
            config_hash: config_hash(text),
            config: label(text),
        }
        .to_json();
        let inbound = Inbound {
            subject: "_INBOX.gw.1",
            body: &body,
            ..Inbound::default()
        };
        let effects = self.table.pulled(key, inbound, self.now);
        self.look();
        effects
    }

    /// Lets time pass as the follower does: a tick each half second.
    fn pass(&mut self, time: Duration) -> Effects {
        let end = self.now + time;
        let mut all = Effects::default();
        while self.now < end {
            self.now = (self.now + Duration::from_millis(500)).min(end);
            let effects = self.table.tick(self.now);
            all.pulls.extend(effects.pulls);
            self.look();
        }
        all
    }

    /// As [`Self::pass`], while these instances keep sending heartbeats.
    fn pass_with(&mut self, time: Duration, alive: &[(&str, &str, &str)]) {
        let end = self.now + time;
        while self.now < end {
            for (service, instance, text) in alive {
                self.beat(service, instance, text);
            }
            self.pass((end - self.now).min(Duration::from_secs(5)));
        }
    }

    fn function(&self, name: &str, version: Option<&str>) -> Option<&Arc<Function>> {
        self.snapshot.resolve("users", name, version).ok()
    }

    /// Who takes calls of `users.<name>`, by id.
    fn live(&self, name: &str) -> Vec<String> {
        let mut live: Vec<_> = self
            .function(name, None)
            .iter()
            .flat_map(|f| &f.variants)
            .flat_map(|v| &v.instances)
            .map(|i| i.id.to_string())
            .collect();
        live.sort();
        live
    }
}

fn key(name: &str, text: &str) -> ConfigKey {
    ConfigKey {
        service: service(name),
        hash: config_hash(text),
    }
}

fn is_accepted(effects: &Effects, text: &str) -> bool {
    let accepted = Message::Accepted {
        gateway: "gw".into(),
        config_hash: config_hash(text),
    };
    effects.replies == [(INBOX.to_owned(), accepted)]
}

/// The reasons of a refusal, one a line.
fn refusal(effects: &Effects) -> String {
    match effects.replies.as_slice() {
        [(to, Message::Refused { reasons, .. })] if to == INBOX => {
            let lines: Vec<_> = reasons.iter().map(ToString::to_string).collect();
            lines.join("\n")
        }
        other => panic!("no refusal: {other:?}"),
    }
}
