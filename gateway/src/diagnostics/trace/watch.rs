//! A trace for the operator of this gateway: its own events and those of all others in one stream.

use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, Subscriber};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::{Filter, LONGEST, Tracer};
use crate::diagnostics::{Diagnostics, Question};

/// Longest event of another gateway that is passed on.
const MAX_EVENT_BYTES: usize = 16 << 10;

/// Ends the trace everywhere when its reader goes.
struct Ending {
    diagnostics: Arc<Diagnostics>,
    tracer: Arc<Tracer>,
    id: String,
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.tracer.stop(&self.id);
        let id = self.id.clone();
        self.diagnostics.peers().tell(&Question::TraceOff { id });
    }
}

struct Watching {
    own: mpsc::Receiver<Bytes>,
    others: Option<Subscriber>,
    until: Instant,
    first: Option<Bytes>,
    // Kept for what its drop does.
    _ending: Ending,
}

impl Diagnostics {
    /// Watches calls at all gateways; each item is one line. The first line tells which gateways
    /// watch. Dropping the stream ends the trace.
    ///
    /// # Errors
    /// When the filter names too little, or too many traces run.
    pub async fn watch(
        self: &Arc<Self>,
        filter: Filter,
        time: Duration,
    ) -> Result<impl Stream<Item = Bytes> + Send + use<>, String> {
        filter.check()?;
        let time = time.min(LONGEST);
        let id = crate::random::text::<16>();
        let tracer = self.tracer().clone();
        let own = tracer.start(&id, filter.clone(), time)?;
        let ending = Ending {
            diagnostics: self.clone(),
            tracer,
            id: id.clone(),
        };
        // Before the others are told, so that nothing of theirs is missed.
        let others = match self.peers().link() {
            Some((client, subjects)) => subscribe(client, subjects.trace(&id)).await,
            None => None,
        };
        let for_ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let question = Question::TraceOn { id, filter, for_ms };
        let expected = self.parts.registry.other_gateways().await;
        let answers = self
            .peers()
            .ask(&question, expected.unwrap_or_default())
            .await;
        let first = json!({
            "event": "watching",
            "at_ms": super::now_ms(),
            "for_ms": for_ms,
            "gateway": self.gateway(),
            "others": answers,
        });
        let watching = Watching {
            own,
            others,
            until: Instant::now() + time,
            first: Some(format!("{first}\n").into()),
            _ending: ending,
        };
        Ok(futures_util::stream::unfold(
            watching,
            |mut watching| async {
                let line = watching.next().await?;
                Some((line, watching))
            },
        ))
    }
}

impl Watching {
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        let line = async {
            loop {
                let line = match &mut self.others {
                    None => return self.own.recv().await,
                    Some(others) => tokio::select! {
                        own = self.own.recv() => return own,
                        other = others.next() => other,
                    },
                };
                match line {
                    Some(message) if message.payload.len() <= MAX_EVENT_BYTES => {
                        return Some(message.payload);
                    }
                    Some(_) => {}
                    None => self.others = None,
                }
            }
        };
        timeout_at(self.until, line).await.ok().flatten()
    }
}

async fn subscribe(client: &Client, subject: String) -> Option<Subscriber> {
    client.subscribe(subject).await.ok()
}
