//! Asks instances whether they still hold a call.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{BoxFuture, join_all};
use sluice_protocol::{Frame, InstanceId};

use super::Link;
use super::broker::Outgoing;
use super::mailbox::{Bounds, Delivery};
use crate::registry::snapshot::Instance;

/// How long an instance may take to answer.
const ANSWER_LIMIT: Duration = Duration::from_millis(400);

/// What was learnt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probed {
    /// This instance holds the call.
    Held(InstanceId),
    /// Nobody is there any more.
    Away,
    /// All who are there say that they do not hold it.
    NotHeld,
    /// At least one did not answer.
    Silent,
}

#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Holds,
    HoldsNot,
    Away,
    Silent,
}

#[derive(serde::Deserialize)]
struct Pong {
    holds: bool,
}

/// Asks all of `whom` at once whether they hold the call.
pub(super) fn ask(
    link: &Link,
    whom: Vec<Arc<Instance>>,
    call_id: &str,
) -> BoxFuture<'static, Probed> {
    let link = link.clone();
    let body = Bytes::from(format!("{{\"call\":\"{call_id}\"}}"));
    Box::pin(async move {
        let answers = join_all(whom.iter().map(|i| ask_one(&link, i, body.clone()))).await;
        if let Some(index) = answers.iter().position(|a| *a == Answer::Holds) {
            return Probed::Held(whom[index].id.clone());
        }
        if answers.contains(&Answer::Silent) {
            Probed::Silent
        } else if answers.contains(&Answer::HoldsNot) {
            Probed::NotHeld
        } else {
            Probed::Away
        }
    })
}

async fn ask_one(link: &Link, instance: &Instance, body: Bytes) -> Answer {
    let bounds = Bounds {
        items: 4,
        bytes: 4096,
    };
    let ticket = link.inbox.open(bounds, link.broker.state().epoch);
    let message = Outgoing::bare(&*instance.ping_subject, Some(ticket.subject()), body);
    if link.broker.publish(&message).await.is_err() {
        return Answer::Silent;
    }
    match tokio::time::timeout(ANSWER_LIMIT, ticket.mailbox().next()).await {
        Ok(Delivery::NoResponders) => {
            instance.suspend(link.clock.now_ms());
            Answer::Away
        }
        Ok(Delivery::Frame(Frame::Result(pong))) => match serde_json::from_slice(&pong.bytes) {
            Ok(Pong { holds: true }) => Answer::Holds,
            Ok(Pong { holds: false }) => Answer::HoldsNot,
            Err(_) => Answer::Silent,
        },
        Ok(_) | Err(_) => Answer::Silent,
    }
}
