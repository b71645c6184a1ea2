//! How one service makes itself known: announce, wait for a gateway's word, join, heartbeat.

use std::sync::Arc;
use std::time::Duration;

use async_nats::{Message as NatsMessage, Subscriber};
use futures_util::StreamExt;
use rand::Rng;
use sluice_protocol::registry::{Message, Parsed, Reason};
use sluice_protocol::subject::QUEUE_GROUP;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::connection::{Link, round_trip};
use super::service::Service;
use super::shared::Shared;
use super::{intake, messages};
use crate::worker::WorkerError;

const HEARTBEAT: Duration = Duration::from_secs(5);
const FIRST_RETRY: Duration = Duration::from_millis(500);
const LONGEST_RETRY: Duration = Duration::from_secs(5);
const RETRY_AFTER_REFUSAL: Duration = Duration::from_secs(30);

/// Keeps one service registered until the worker leaves.
pub(crate) async fn run(shared: Arc<Shared>, service: Arc<Service>) -> Result<(), WorkerError> {
    let inbox = shared.client.new_inbox();
    let answers = shared.client.subscribe(inbox.clone()).await?;
    let mut registrar = Registrar {
        link: shared.link.clone(),
        ups: 0,
        shared,
        service,
        inbox,
        answers,
    };
    if registrar.until_accepted().await && registrar.join().await? {
        registrar.keep_alive().await;
    }
    Ok(())
}

struct Registrar {
    shared: Arc<Shared>,
    service: Arc<Service>,
    inbox: String,
    answers: Subscriber,
    link: watch::Receiver<Link>,
    /// How often the connection had come up when this task spoke last.
    ups: u64,
}

/// What a gateway says of the config.
#[derive(Debug, PartialEq)]
enum Verdict {
    Accepted,
    Refused,
    /// Nothing that concerns the config.
    None,
}

impl Registrar {
    /// Announces until one gateway accepts; false: the worker leaves before.
    async fn until_accepted(&mut self) -> bool {
        let mut wait = FIRST_RETRY;
        loop {
            if self.may_speak() {
                messages::announce(&self.shared, &self.service, &self.inbox).await;
            }
            let mut next = Instant::now() + jittered(wait);
            wait = (wait * 2).min(LONGEST_RETRY);
            loop {
                tokio::select! {
                    answer = self.answers.next() => match answer {
                        Some(answer) => match self.verdict(&answer) {
                            Verdict::Accepted => return true,
                            Verdict::Refused => {
                                next = Instant::now() + jittered(RETRY_AFTER_REFUSAL);
                            }
                            Verdict::None => {}
                        },
                        None => return false,
                    },
                    // A gateway asks, or the broker is back: the verdict may be another.
                    () = self.service.poke.notified() => break,
                    () = returned(&mut self.link, self.ups) => break,
                    () = sleep_until(next) => break,
                    () = self.shared.leaving.cancelled() => return false,
                }
            }
        }
    }

    /// While the broker is away messages would only pile up.
    fn may_speak(&mut self) -> bool {
        let link = *self.link.borrow();
        self.ups = link.ups;
        link.connected
    }

    fn verdict(&self, answer: &NatsMessage) -> Verdict {
        let service = &self.service;
        // "No responders": no gateway is there yet.
        if answer.status.is_some() {
            return Verdict::None;
        }
        match Parsed::parse(&answer.payload).map(|parsed| parsed.message) {
            Ok(Message::Accepted {
                config_hash,
                gateway,
            }) if config_hash == service.config_hash => {
                tracing::info!(service = %service.name, gateway, "config accepted");
                Verdict::Accepted
            }
            Ok(Message::Refused {
                config_hash,
                gateway,
                reasons,
            }) if config_hash == service.config_hash => {
                self.refused(&gateway, reasons);
                Verdict::Refused
            }
            Ok(_) => Verdict::None,
            Err(error) => {
                tracing::warn!(%error, "a gateway's answer cannot be read");
                Verdict::None
            }
        }
    }

    fn refused(&self, gateway: &str, reasons: Vec<Reason>) {
        for reason in &reasons {
            tracing::error!(service = %self.service.name, gateway, %reason, "config refused");
        }
        if self.shared.exit_on_refused {
            self.shared.refused.send_replace(Some(reasons));
        }
    }

    /// Joins the queue group of each function, and only then says that the service is ready.
    async fn join(&self) -> Result<bool, WorkerError> {
        for entry in &self.service.entries {
            // None: the worker leaves already, and must not join any more.
            let Some(membership) = self.shared.membership.lock().clone() else {
                return Ok(false);
            };
            let group = QUEUE_GROUP.to_owned();
            let calls = self
                .shared
                .client
                .queue_subscribe(entry.subject.clone(), group);
            let tokens = (self.shared.leaving.clone(), self.shared.closing());
            let (shared, entry) = (self.shared.clone(), entry.clone());
            let reader = intake::read_queue(calls.await?, tokens, membership, move |message| {
                let (shared, entry) = (shared.clone(), entry.clone());
                async move { intake::take(&shared, &entry, message).await }
            });
            self.shared.readers.spawn(reader);
        }
        // Even unanswered this is in order: the broker sees the subscriptions before the heartbeat.
        round_trip(&self.shared.client).await;
        self.service.joined.send_replace(true);
        messages::heartbeat(&self.shared, &self.service, None).await;
        tracing::info!(service = %self.service.name, instance = %self.shared.instance, "ready for calls");
        Ok(true)
    }

    async fn keep_alive(&mut self) {
        let mut next = Instant::now() + jittered(HEARTBEAT);
        loop {
            tokio::select! {
                answer = self.answers.next() => match answer {
                    // The word of another gateway; only the log wants it.
                    Some(answer) => { self.verdict(&answer); continue; }
                    None => return,
                },
                () = sleep_until(next) => {}
                () = returned(&mut self.link, self.ups) => {}
                () = self.shared.leaving.cancelled() => return,
            }
            if self.may_speak() {
                messages::heartbeat(&self.shared, &self.service, None).await;
            }
            next = Instant::now() + jittered(HEARTBEAT);
        }
    }
}

/// Waits until the connection has come up once more: gateways may have come or gone meanwhile.
async fn returned(link: &mut watch::Receiver<Link>, ups: u64) {
    if link.wait_for(|link| link.ups > ups).await.is_err() {
        // The client is gone; its end shows elsewhere.
        std::future::pending::<()>().await;
    }
}

/// A fifth more or less, so that a fleet does not speak at once.
fn jittered(wait: Duration) -> Duration {
    wait.mul_f64(rand::rng().random_range(0.8..=1.2))
}
