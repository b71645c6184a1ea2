//! The other gateways: asks them, and answers them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_nats::Client;
use futures_util::StreamExt;
use sluice_protocol::Subjects;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::{Answer, Diagnostics, Question};

/// How long the others have to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// Longest question that is read.
const MAX_QUESTION_BYTES: usize = 256 << 10;
/// Most answers that are taken to one question.
const MAX_ANSWERS: usize = 1000;
/// Questions of others that are answered at once; more are dropped, and told late.
const AT_ONCE: usize = 16;

/// The way to the other gateways.
#[derive(Clone)]
pub struct Peers {
    link: Option<(Client, Arc<Subjects>)>,
    gateway: String,
}

impl std::fmt::Debug for Peers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Peers")
            .field("gateway", &self.gateway)
            .field("linked", &self.link.is_some())
            .finish()
    }
}

impl Peers {
    /// Over the broker.
    #[must_use]
    pub fn new(client: Client, subjects: Arc<Subjects>, gateway: &str) -> Self {
        Self {
            link: Some((client, subjects)),
            gateway: gateway.to_owned(),
        }
    }

    /// There are none.
    #[must_use]
    pub fn none(gateway: &str) -> Self {
        Self {
            link: None,
            gateway: gateway.to_owned(),
        }
    }

    pub(super) fn link(&self) -> Option<&(Client, Arc<Subjects>)> {
        self.link.as_ref()
    }

    /// Asks all others; returns when each of `expected` has answered, or their time is up. By id.
    pub(super) async fn ask(&self, question: &Question, expected: Vec<String>) -> Vec<Answer> {
        let mut answers: BTreeMap<String, Answer> = BTreeMap::new();
        if let Some((client, subjects)) = &self.link
            && !expected.is_empty()
        {
            let asked = self.collect(client, subjects, question, &expected, &mut answers);
            if let Err(why) = asked.await {
                tracing::warn!(why, "the other gateways cannot be asked");
            }
        }
        for gateway in expected {
            let silent = || Err(format!("no answer within {PATIENCE:?}"));
            let id = gateway.clone();
            answers
                .entry(gateway)
                .or_insert_with(|| Answer::of(&id, silent()));
        }
        answers.into_values().collect()
    }

    async fn collect(
        &self,
        client: &Client,
        subjects: &Subjects,
        question: &Question,
        expected: &[String],
        answers: &mut BTreeMap<String, Answer>,
    ) -> Result<(), String> {
        let until = Instant::now() + PATIENCE;
        let id = crate::random::text::<16>();
        let inbox = subjects.answers(&self.gateway, &id);
        let body = serde_json::to_vec(question).map_err(|e| e.to_string())?;
        let mut replies = client
            .subscribe(inbox.clone())
            .await
            .map_err(|e| e.to_string())?;
        let sent = client.publish_with_reply(subjects.ask(), inbox, body.into());
        // A client without a connection waits for one.
        let sent = timeout_at(until, sent).await;
        sent.map_err(|_| "the broker is away")?
            .map_err(|e| e.to_string())?;
        let all_there =
            |got: &BTreeMap<String, Answer>| expected.iter().all(|id| got.contains_key(id));
        while !all_there(answers) && answers.len() < MAX_ANSWERS {
            let Ok(Some(message)) = timeout_at(until, replies.next()).await else {
                break;
            };
            // What is no answer is nobody's.
            if let Ok(answer) = serde_json::from_slice::<Answer>(&message.payload)
                && answer.gateway != self.gateway
                && answer.gateway.len() <= 128
            {
                answers.insert(answer.gateway.clone(), answer);
            }
        }
        Ok(())
    }

    /// Tells all others something, without an answer. Lost if the broker is away.
    pub(super) fn tell(&self, question: &Question) {
        let Some((client, subjects)) = self.link.clone() else {
            return;
        };
        let Ok(body) = serde_json::to_vec(question) else {
            return;
        };
        tokio::spawn(async move {
            let sent = client.publish(subjects.ask(), body.into());
            let _ = tokio::time::timeout(PATIENCE, sent).await;
        });
    }
}

/// Answers other gateways until `stop`.
pub async fn answer_others(diagnostics: Arc<Diagnostics>, stop: CancellationToken) {
    let Some((client, subjects)) = diagnostics.peers.link().cloned() else {
        return;
    };
    let mut questions = match client.subscribe(subjects.ask()).await {
        Ok(questions) => questions,
        Err(error) => {
            tracing::error!(%error, "questions of other gateways are not heard");
            return;
        }
    };
    // One's own questions come back too.
    let own = format!("{}.", subjects.answers(diagnostics.gateway(), "x"));
    let own = own.trim_end_matches("x.").to_owned();
    let room = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        let message = tokio::select! {
            () = stop.cancelled() => return,
            message = questions.next() => message,
        };
        let Some(message) = message else { return };
        let is_own = message
            .reply
            .as_deref()
            .is_some_and(|reply| reply.starts_with(&own));
        if is_own || message.payload.len() > MAX_QUESTION_BYTES {
            continue;
        }
        let Ok(place) = room.clone().try_acquire_owned() else {
            tracing::warn!("too many questions of other gateways at once: one is not answered");
            continue;
        };
        let (diagnostics, client) = (diagnostics.clone(), client.clone());
        tokio::spawn(async move {
            let answer = diagnostics.answer_message(&message.payload).await;
            if let Some(reply) = message.reply {
                let body = fitting(&answer, client.server_info().max_payload);
                let _ = client.publish(reply, body.into()).await;
            }
            drop(place);
        });
    }
}

impl Diagnostics {
    async fn answer_message(&self, body: &[u8]) -> Answer {
        let answer = match serde_json::from_slice::<Question>(body) {
            Ok(question) => {
                self.note(&question);
                self.answer(&question).await
            }
            Err(error) => Err(format!(
                "this gateway does not understand the question: {error}"
            )),
        };
        Answer::of(self.gateway(), answer)
    }
}

/// An answer that the broker takes.
fn fitting(answer: &Answer, max_payload: usize) -> Vec<u8> {
    let body = serde_json::to_vec(answer).unwrap_or_default();
    // Before the first connection nothing is known of the broker.
    if max_payload == 0 || body.len() <= max_payload {
        return body;
    }
    let why = format!(
        "the answer has {} bytes, more than the broker takes",
        body.len()
    );
    serde_json::to_vec(&Answer::of(&answer.gateway, Err(why))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_does_not_fit_says_so() {
        let large = Answer::of("g", Ok("x".repeat(100).into()));
        let short: Answer = serde_json::from_slice(&fitting(&large, 90)).unwrap();
        assert!(short.error.unwrap().contains("more than the broker takes"));
        let whole: Answer = serde_json::from_slice(&fitting(&large, 1000)).unwrap();
        assert_eq!(whole, large);
    }
}
