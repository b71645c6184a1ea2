//! Hints that gateways give each other when something in the store has changed, so that nobody
//! waits for the next poll. A hint is never the truth: that is in the store.

use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use sluice_protocol::{PROTOCOL_VERSION, Subjects};

const MAX_BYTES: usize = 1024;

/// What a gateway says on `<prefix>.gateway.event`. Unknown fields and kinds are ignored.
#[derive(Debug, Serialize, Deserialize)]
struct Event {
    #[serde(rename = "type")]
    kind: String,
    protocol: u32,
    /// Of what is in the store now.
    generation: u64,
}

/// Hints of one kind. Without a connection none are given and none heard.
#[derive(Debug)]
pub(crate) struct Hints<'a> {
    kind: &'static str,
    client: Option<async_nats::Client>,
    subjects: &'a Subjects,
    heard: Option<async_nats::Subscriber>,
}

impl<'a> Hints<'a> {
    /// Begins to listen. `kind` says what has changed.
    pub(crate) async fn open(
        kind: &'static str,
        client: Option<async_nats::Client>,
        subjects: &'a Subjects,
    ) -> Self {
        let heard = match &client {
            None => None,
            Some(client) => match client.subscribe(subjects.event()).await {
                Ok(heard) => Some(heard),
                Err(error) => {
                    tracing::error!(%error, kind, "hints of changes are not heard; the poll sees them later");
                    None
                }
            },
        };
        Self {
            kind,
            client,
            subjects,
            heard,
        }
    }

    /// The next generation that somebody tells of, this gateway too. Never resolves where nothing can
    /// be heard (any more). Cancel-safe.
    pub(crate) async fn next(&mut self) -> u64 {
        while let Some(heard) = &mut self.heard {
            match heard.next().await {
                Some(message) => {
                    if let Some(generation) = read(self.kind, &message.payload) {
                        return generation;
                    }
                }
                None => self.heard = None,
            }
        }
        std::future::pending().await
    }

    /// Tells the others what is in the store now.
    pub(crate) async fn tell(&self, generation: u64) {
        let Some(client) = &self.client else {
            return;
        };
        let event = Event {
            kind: self.kind.to_owned(),
            protocol: PROTOCOL_VERSION,
            generation,
        };
        let body = serde_json::to_vec(&event).unwrap_or_default();
        if let Err(error) = client.publish(self.subjects.event(), body.into()).await {
            tracing::debug!(%error, kind = self.kind, "other gateways see the change with their next poll");
        }
    }
}

fn read(kind: &str, body: &[u8]) -> Option<u64> {
    if body.len() > MAX_BYTES {
        return None;
    }
    let event: Event = serde_json::from_slice(body).ok()?;
    (event.kind == kind).then_some(event.generation)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hints_of_the_kind_are_taken() {
        let hint =
            |kind: &str| format!(r#"{{"type":"{kind}","protocol":1,"generation":7,"new":1}}"#);
        assert_eq!(read("limits", hint("limits").as_bytes()), Some(7));
        let long = format!("{}{}", hint("limits"), " ".repeat(MAX_BYTES));
        for other in [
            hint("overrides"),
            long,
            "{".to_owned(),
            r#"{"type":"limits"}"#.to_owned(),
        ] {
            assert_eq!(read("limits", other.as_bytes()), None, "{other}");
        }
    }
}
