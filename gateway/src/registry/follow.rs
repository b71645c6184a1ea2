//! The task that listens to the workers and speaks to them: all I/O of the registry.

mod operate;
mod wire;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::{Client, Message as NatsMessage, StatusCode, Subscriber};
use futures_util::{FutureExt, StreamExt};
use sluice_protocol::{Subjects, headers};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::CancellationToken;

use self::wire::{Answer, Wire};
use super::Registry;
use super::admission::Inbound;
use super::beacon::{self, Gateways};
use super::command::Command;
use super::connection::BrokerState;
use super::table::{Effects, Table};
use crate::health::Health;

/// Time between two looks at the clock.
const TICK: Duration = Duration::from_millis(500);
/// Workers answer discover after at most half a second.
const DISCOVERY: Duration = Duration::from_millis(600);
/// Pulls that discovery led to may take this much longer before the gateway is ready anyway.
const DISCOVERY_PULLS: Duration = Duration::from_secs(3);
/// Messages of one kind that are taken before others have their turn, and before a snapshot.
const BATCH: usize = 256;

/// The follower cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The client refuses a subscription.
    #[error("the registry cannot subscribe: {0}")]
    Subscribe(#[from] async_nats::SubscribeError),
    /// The connection was closed for good.
    #[error("the registry's connection to the broker is closed")]
    Closed,
}

/// Follows the workers and keeps the registry's snapshot current.
// Not Debug, like the table in it: it holds the services' secrets.
pub struct Follower {
    registry: Arc<Registry>,
    table: Table,
    commands: mpsc::Receiver<Command>,
    gateway: String,
    gateways: Gateways,
    subjects: Subjects,
}

/// What woke the task.
enum Woke {
    Broker,
    Tick,
    Beacon,
    Discovered,
    Command(Command),
    Message(Kind, Option<NatsMessage>),
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Announce,
    Answer,
    Gateway,
}

/// How far the first look around is.
#[derive(Debug, Clone, Copy)]
enum Discovery {
    /// To be asked, as soon as the broker is there.
    Due,
    /// Answers come until then.
    Open(Instant),
    Done,
}

impl Follower {
    pub(super) fn new(
        registry: Arc<Registry>,
        table: Table,
        commands: mpsc::Receiver<Command>,
        gateway: String,
        subjects: Subjects,
    ) -> Self {
        Self {
            registry,
            table,
            commands,
            gateways: Gateways::new(gateway.clone()),
            gateway,
            subjects,
        }
    }

    /// Follows the workers over `client` until `shutdown`. `broker` tells the client's state; the
    /// broker need not be there yet. Keeps `health` told of the broker and of the first discovery.
    ///
    /// # Errors
    /// When the client refuses to subscribe or is closed for good.
    pub async fn run(
        mut self,
        client: Client,
        mut broker: watch::Receiver<BrokerState>,
        health: Arc<Health>,
        shutdown: CancellationToken,
    ) -> Result<(), FollowError> {
        let mut wire = Wire::new(
            client.clone(),
            broker.clone(),
            &self.subjects,
            &self.gateway,
        );
        // Before discover is sent, so that no answer and no announce is missed.
        let mut announces = client.subscribe(self.subjects.announce_all()).await?;
        let mut answers = client.subscribe(wire.answers()).await?;
        let mut gateways = client.subscribe(self.subjects.beacon()).await?;
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut beacons = interval(beacon::INTERVAL);
        beacons.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut discovery = Discovery::Due;
        broker.mark_changed();

        loop {
            // Rare things first: a flood of messages must not keep the clock from being read.
            let woke = tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                changed = broker.changed() => changed.map(|()| Woke::Broker).map_err(|_| FollowError::Closed)?,
                _ = ticks.tick() => Woke::Tick,
                _ = beacons.tick() => Woke::Beacon,
                Some(command) = self.commands.recv() => Woke::Command(command),
                () = window(discovery) => Woke::Discovered,
                message = announces.next() => Woke::Message(Kind::Announce, message),
                message = answers.next() => Woke::Message(Kind::Answer, message),
                message = gateways.next() => Woke::Message(Kind::Gateway, message),
            };
            match woke {
                Woke::Broker => {
                    let state = *broker.borrow_and_update();
                    discovery = self
                        .broker_changed(state, &mut wire, &health, discovery)
                        .await;
                }
                Woke::Tick => {
                    let effects = self.table.tick(Instant::now());
                    wire.send(effects).await;
                    wire.forget_pulls(|key| self.table.is_pulling(key));
                    self.count_gateways();
                }
                Woke::Beacon => wire.beacon(beacon::beacon(&self.gateway, false)).await,
                Woke::Discovered => discovery = self.look_around(discovery),
                Woke::Command(command) => self.command(command),
                Woke::Message(kind, message) => {
                    let message = message.ok_or(FollowError::Closed)?;
                    discovery = self.hear(kind, &message, &mut wire, discovery).await;
                }
            }
            for (kind, messages) in [
                (Kind::Announce, &mut announces),
                (Kind::Answer, &mut answers),
                (Kind::Gateway, &mut gateways),
            ] {
                discovery = self.drain(kind, messages, &mut wire, discovery).await;
            }
            self.publish();
            if matches!(discovery, Discovery::Done) {
                health.set_discovered();
            }
        }
        wire.beacon(beacon::beacon(&self.gateway, true)).await;
        wire.flush().await;
        Ok(())
    }

    /// Publishes what changed.
    pub(super) fn publish(&mut self) {
        if let Some(snapshot) = self.table.take_snapshot() {
            self.registry.publish(snapshot);
        }
        if self.table.take_touched() {
            self.registry.touch();
        }
    }

    async fn broker_changed(
        &mut self,
        state: BrokerState,
        wire: &mut Wire,
        health: &Health,
        discovery: Discovery,
    ) -> Discovery {
        health.set_broker_connected(state.connected);
        self.table.set_connected(state.connected, Instant::now());
        let done = matches!(discovery, Discovery::Done);
        if !state.connected {
            return if done { discovery } else { Discovery::Due };
        }
        // After each new connection: announcements may have been missed while it was down.
        wire.discover(&self.gateway).await;
        wire.beacon(beacon::beacon(&self.gateway, false)).await;
        if done {
            discovery
        } else {
            Discovery::Open(Instant::now() + DISCOVERY)
        }
    }

    /// The window for answers is over; what they led to may take a little longer.
    fn look_around(&self, discovery: Discovery) -> Discovery {
        let now = Instant::now();
        match discovery {
            Discovery::Open(until)
                if self.table.is_pulling_any() && now < until + DISCOVERY_PULLS =>
            {
                discovery
            }
            _ => Discovery::Done,
        }
    }

    /// Takes what is there already, without waiting.
    async fn drain(
        &mut self,
        kind: Kind,
        messages: &mut Subscriber,
        wire: &mut Wire,
        mut discovery: Discovery,
    ) -> Discovery {
        for _ in 0..BATCH {
            // The end of a subscription is noticed by the next wait for it.
            let Some(Some(message)) = messages.next().now_or_never() else {
                break;
            };
            discovery = self.hear(kind, &message, wire, discovery).await;
        }
        discovery
    }

    async fn hear(
        &mut self,
        kind: Kind,
        message: &NatsMessage,
        wire: &mut Wire,
        discovery: Discovery,
    ) -> Discovery {
        let now = Instant::now();
        let effects = match kind {
            Kind::Announce => self.table.announced(inbound(message), now),
            Kind::Gateway => {
                self.gateways.hear(&message.payload, now);
                self.count_gateways();
                Effects::default()
            }
            Kind::Answer => match wire.answer(&message.subject) {
                Some(Answer::Discovered) if nobody(message) => return Discovery::Done,
                Some(Answer::Discovered) => self.table.discovered(inbound(message), now),
                Some(Answer::Pulled(key)) if nobody(message) => {
                    self.table.pull_failed(&key, now);
                    Effects::default()
                }
                Some(Answer::Pulled(key)) => self.table.pulled(&key, inbound(message), now),
                None => Effects::default(),
            },
        };
        wire.send(effects).await;
        discovery
    }

    fn count_gateways(&mut self) {
        let live = self.gateways.live(Instant::now());
        self.registry.gateways.store(live, Ordering::Relaxed);
    }
}

/// Ends when the window of discovery is over; looks again often while pulls go on.
async fn window(discovery: Discovery) {
    match discovery {
        Discovery::Open(until) => {
            sleep_until(until.max(Instant::now() + Duration::from_millis(10))).await;
        }
        Discovery::Due | Discovery::Done => std::future::pending().await,
    }
}

fn nobody(message: &NatsMessage) -> bool {
    message.status == Some(StatusCode::NO_RESPONDERS)
}

fn inbound(message: &NatsMessage) -> Inbound<'_> {
    let header = |name| {
        let all = message.headers.as_ref()?;
        all.get(name).map(async_nats::HeaderValue::as_str)
    };
    Inbound {
        subject: &message.subject,
        reply: message.reply.as_deref(),
        nonce: header(headers::NONCE),
        signature: header(headers::SIGNATURE),
        body: &message.payload,
    }
}
