//! What arrives on the instance's own subjects: calls for it alone, cancel, credit, ping.

use std::sync::Arc;

use async_nats::Message;
use serde::{Deserialize, Serialize};
use sluice_protocol::ErrorCode;
use sluice_protocol::headers::Credit;
use tokio::time::Instant;

use super::intake;
use super::service::Service;
use super::shared::Shared;
use super::table::Table;
use crate::error::Error;

/// The longest reason of a cancel that is passed on, in characters.
const MAX_REASON: usize = 200;

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Control {
    Cancel {
        call: String,
        #[serde(default)]
        reason: String,
    },
    Credit {
        call: String,
        items: u64,
        bytes: u64,
    },
}

#[derive(Debug, Default, Deserialize)]
struct Ping {
    #[serde(default)]
    call: Option<String>,
}

#[derive(Debug, Serialize)]
struct Pong {
    holds: bool,
    in_flight: usize,
}

/// Handles one message below `<prefix>.inst.<service>.<instance>`.
pub(crate) async fn handle(shared: Arc<Shared>, service: Arc<Service>, message: Message) {
    match service.instance_token(&message.subject) {
        Some("control") => control(&shared.table, &message.payload),
        Some("ping") => ping(&shared, message).await,
        Some(token) => match service.by_token(token) {
            Some(entry) => intake::take(&shared, entry, message).await,
            None => unknown(&shared, message).await,
        },
        None => {}
    }
}

fn control(table: &Table, body: &[u8]) {
    let now = Instant::now();
    match serde_json::from_slice(body) {
        Ok(Control::Cancel { call, reason }) => {
            let reason: String = reason.chars().take(MAX_REASON).collect();
            table.cancel(&call, &reason, now);
        }
        Ok(Control::Credit { call, items, bytes }) => {
            table.grant(&call, Credit { items, bytes }, now);
        }
        // Other types may come with newer gateways.
        Err(error) => tracing::debug!(%error, "control message ignored"),
    }
}

async fn ping(shared: &Shared, message: Message) {
    let Some(reply) = message.reply else { return };
    let ping: Ping = serde_json::from_slice(&message.payload).unwrap_or_default();
    let pong = Pong {
        holds: ping.call.is_some_and(|call| shared.table.holds(&call)),
        in_flight: shared.table.len(),
    };
    let body = serde_json::to_vec(&pong).unwrap_or_default();
    // Goes the way of the final replies, so that it cannot overtake one that is on its way.
    if let Err(error) = shared.client.publish(reply, body.into()).await {
        tracing::debug!(%error, "ping not answered");
    }
}

async fn unknown(shared: &Shared, message: Message) {
    let text = "this instance has no such function";
    let error = Error::of(ErrorCode::UnknownFunction, text);
    shared.replier(message.reply).error(error).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn messages_of_the_protocol_are_read() {
        let table = Table::default();
        control(&table, br#"{"type":"cancel","call":"a","reason":"x"}"#);
        control(&table, br#"{"type":"cancel","call":"b"}"#);
        control(
            &table,
            br#"{"type":"credit","call":"b","items":1,"bytes":2,"new":3}"#,
        );
        let ping: Ping = serde_json::from_slice(br#"{"call":"c","new":1}"#).unwrap();
        assert_eq!(ping.call.as_deref(), Some("c"));
    }

    proptest! {
        #[test]
        fn strangers_messages_never_panic(body in proptest::collection::vec(any::<u8>(), 0..100)) {
            control(&Table::default(), &body);
            let _ = serde_json::from_slice::<Ping>(&body);
        }
    }
}
