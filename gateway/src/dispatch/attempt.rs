//! One attempt: a message sent, its replies, and whether somebody still works on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use sluice_protocol::{Frame, InstanceId};
use tokio::time::Instant;

use super::breaker::Probe;
use super::inbox::Ticket;
use super::mailbox::Delivery;
use super::probe::{self, Probed};
use super::retry::Failure;
use super::select::Target;
use super::{Link, control};
use crate::registry::snapshot::{Instance, Variant};
use crate::telemetry::AttemptRecord;

/// A fast call sends no beat; one that is silent for this long is asked about.
const FIRST_LOOK: Duration = Duration::from_millis(1000);
/// Beats come each second; one that is late by a quarter counts as missed.
const BEAT_LIMIT: Duration = Duration::from_millis(1250);
/// Between two probes of an instance that does not answer.
const PROBE_INTERVAL: Duration = Duration::from_millis(250);
/// Probes without answer until the holder counts as gone.
const MISSED_PROBES: u32 = 3;
/// How long calls that must not run twice wait for a broken connection to come back.
const BROKEN_LIMIT: Duration = Duration::from_secs(5);

/// What a broken connection to the broker means for an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnBreak {
    /// A stream that has begun: items may be missing.
    Fail,
    /// It must not run twice: its answer may still come when the connection is back.
    Wait,
    /// It is sent again when the connection is back.
    Repeat,
}

/// An attempt that was sent and has not ended.
pub(super) struct Attempt {
    pub(super) ticket: Ticket,
    /// Who works on it, once that is known.
    pub(super) holder: Option<Arc<Instance>>,
    /// Whether to look after the holder: plain NATS responders send no beats.
    watched: bool,
    pub(super) started: Instant,
    /// When something was heard of it last; at first, when it went out.
    pub(super) heard_at: Instant,
    next_look: Instant,
    missed: u32,
    probe: Option<BoxFuture<'static, Probed>>,
    broken_until: Option<Instant>,
    /// Since the last break: what is heard now is no old news.
    reconnected: bool,
    /// Whether anybody replied: after that the broker does not say that nobody listens.
    heard: bool,
    load: Option<LoadGuard>,
    /// It is the probe of its instance's breaker.
    pub(super) probe_of_breaker: Option<Probe>,
    pub(super) record: AttemptRecord,
}

/// Counts a call at its instance for as long as it lasts.
struct LoadGuard(Arc<Instance>);

impl LoadGuard {
    fn new(instance: Arc<Instance>) -> Self {
        instance.in_flight.fetch_add(1, Ordering::Relaxed);
        Self(instance)
    }
}

impl Drop for LoadGuard {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl std::fmt::Debug for Attempt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Attempt")
            .field("holder", &self.holder)
            .finish_non_exhaustive()
    }
}

impl Attempt {
    pub(super) fn new(
        ticket: Ticket,
        target: &Target,
        variant: &Variant,
        record: AttemptRecord,
        now: Instant,
    ) -> Self {
        let holder = match target {
            Target::Instance(instance) => Some(instance.clone()),
            Target::Group | Target::Fixed(_) => None,
        };
        Self {
            ticket,
            watched: match target {
                Target::Fixed(_) => false,
                // Silence says nothing if even one of those who may hold it sends no beats.
                Target::Group => variant.instances.all_beat(),
                Target::Instance(instance) => instance.beats,
            },
            load: holder.clone().map(LoadGuard::new),
            holder,
            started: now,
            heard_at: now,
            next_look: now + FIRST_LOOK,
            missed: 0,
            probe: None,
            broken_until: None,
            reconnected: false,
            heard: false,
            probe_of_breaker: None,
            record,
        }
    }

    /// From when it went out to what was heard last.
    pub(super) fn took(&self) -> Duration {
        self.heard_at.saturating_duration_since(self.started)
    }

    /// It is over: `ok`, or how it failed.
    pub(super) fn ended(&mut self, outcome: &'static str) {
        self.record.end(outcome, self.holder.as_deref());
    }

    /// The next frame that matters, `None` when `limit` comes before it, or how the attempt failed.
    /// Cancel-safe.
    pub(super) async fn next(
        &mut self,
        link: &Link,
        variant: &Variant,
        call_id: &str,
        on_break: OnBreak,
        limit: Instant,
    ) -> Result<Option<Frame>, Failure> {
        loop {
            let look = self.broken_until.unwrap_or(self.next_look);
            let watching = self.watched || self.broken_until.is_some();
            // One timer for both: setting one costs more than comparing.
            let looks = watching && self.probe.is_none() && look < limit;
            let delivery = tokio::select! {
                biased;
                delivery = self.ticket.mailbox().next() => delivery,
                probed = probe_done(&mut self.probe) => {
                    self.probe = None;
                    self.after_probe(&probed, link, variant)?;
                    continue;
                }
                () = tokio::time::sleep_until(if looks { look } else { limit }) => {
                    if !looks {
                        return Ok(None);
                    }
                    self.look(link, variant, call_id)?;
                    continue;
                }
            };
            if let Some(frame) = self.read(delivery, link, variant, on_break, Instant::now())? {
                return Ok(Some(frame));
            }
        }
    }

    /// What has come already: a frame that matters, nothing that does, or how the attempt failed;
    /// `None` if nothing has come.
    pub(super) fn next_waiting(
        &mut self,
        link: &Link,
        variant: &Variant,
        on_break: OnBreak,
        now: Instant,
    ) -> Option<Result<Option<Frame>, Failure>> {
        let delivery = self.ticket.mailbox().try_next()?;
        Some(self.read(delivery, link, variant, on_break, now))
    }

    fn read(
        &mut self,
        delivery: Delivery,
        link: &Link,
        variant: &Variant,
        on_break: OnBreak,
        now: Instant,
    ) -> Result<Option<Frame>, Failure> {
        match delivery {
            Delivery::NoResponders if self.heard => {
                Err(Failure::Protocol("it says that nobody responds".to_owned()))
            }
            Delivery::NoResponders => {
                if let Some(instance) = &self.holder {
                    instance.suspend(link.clock.now_ms());
                }
                Err(Failure::NoResponders)
            }
            Delivery::Malformed(reason) => Err(Failure::Protocol(reason)),
            Delivery::Overflow => Err(Failure::Protocol(
                "more replies than there was credit for".to_owned(),
            )),
            Delivery::Disconnected if on_break == OnBreak::Fail => Err(Failure::StreamLost(
                "the connection to the broker broke".to_owned(),
            )),
            Delivery::Disconnected => {
                self.probe = None;
                self.reconnected = false;
                self.broken_until = Some(now + BROKEN_LIMIT);
                Ok(None)
            }
            // Whether the reply was lost meanwhile cannot be told.
            Delivery::Reconnected if self.broken_until.is_some() && on_break == OnBreak::Repeat => {
                Err(Failure::Reconnected)
            }
            Delivery::Reconnected => {
                self.reconnected = true;
                Ok(None)
            }
            Delivery::Frame(frame) => {
                self.signs_of_life(&frame, link, variant, now);
                match frame {
                    Frame::Error { error, .. }
                        if error.code == sluice_protocol::ErrorCode::Overloaded
                            && error.executed == sluice_protocol::Executed::No =>
                    {
                        Err(Failure::Overloaded(error))
                    }
                    Frame::Error { error, .. } => Err(Failure::Worker(error)),
                    frame => Ok(Some(frame)),
                }
            }
        }
    }

    fn signs_of_life(&mut self, frame: &Frame, link: &Link, variant: &Variant, now: Instant) {
        self.heard_at = now;
        self.next_look = now + BEAT_LIMIT;
        self.missed = 0;
        self.heard = true;
        // Its answer is still to come, so it was not lost.
        if self.reconnected {
            self.broken_until = None;
        }
        let named = match frame {
            Frame::Beat { instance, .. } | Frame::Accepted { instance } => Some(instance),
            Frame::Error { instance, .. } => instance.as_ref(),
            Frame::Result(_) | Frame::Item { .. } | Frame::Items { .. } | Frame::End { .. } => None,
        };
        if let Some(name) = named {
            self.held_by(link, variant, name);
        }
        if frame.is_final()
            && let Some(holder) = &self.holder
        {
            holder.responded();
            learn_latency(&holder.latency_us, self.took());
        }
    }

    fn held_by(&mut self, link: &Link, variant: &Variant, name: &str) {
        let service = &variant.spec.service;
        if self.holder.as_ref().is_some_and(|h| h.id.as_str() == name) {
            return;
        }
        let known = variant
            .instances
            .iter()
            .find(|i| i.id.as_str() == name)
            .cloned();
        if let Some(instance) = known.or_else(|| control::stranger(link, service, name)) {
            self.load = Some(LoadGuard::new(instance.clone()));
            self.holder = Some(instance);
        }
    }

    fn look(&mut self, link: &Link, variant: &Variant, call_id: &str) -> Result<(), Failure> {
        if self.broken_until.is_some() {
            return Err(Failure::Lost);
        }
        let whom: Vec<Arc<Instance>> = match &self.holder {
            Some(holder) => vec![holder.clone()],
            None => variant
                .instances
                .iter()
                .filter(|i| i.beats)
                .cloned()
                .collect(),
        };
        self.probe = Some(probe::ask(link, whom, call_id));
        Ok(())
    }

    fn after_probe(
        &mut self,
        probed: &Probed,
        link: &Link,
        variant: &Variant,
    ) -> Result<(), Failure> {
        match probed {
            Probed::Held(instance) => {
                self.next_look = Instant::now() + BEAT_LIMIT;
                self.missed = 0;
                self.held_by(link, variant, instance.as_str());
                Ok(())
            }
            Probed::Away => Err(Failure::Lost),
            // Said twice in a row: the first time the call may still wait to be read there.
            Probed::NotHeld => self.missed_one(2),
            Probed::Silent => self.missed_one(1),
        }
    }

    fn missed_one(&mut self, weight: u32) -> Result<(), Failure> {
        self.missed += weight;
        self.next_look = Instant::now() + PROBE_INTERVAL;
        if self.missed >= MISSED_PROBES {
            Err(Failure::Lost)
        } else {
            Ok(())
        }
    }

    /// Whether the connection to the broker broke, and nothing was heard of the call since.
    pub(super) fn is_cut_off(&self) -> bool {
        self.broken_until.is_some()
    }

    /// Who has, or may have, taken the call.
    pub(super) fn tried(&self) -> Option<&InstanceId> {
        self.holder.as_ref().map(|h| &h.id)
    }
}

async fn probe_done(probe: &mut Option<BoxFuture<'static, Probed>>) -> Probed {
    match probe {
        Some(probe) => probe.await,
        None => std::future::pending().await,
    }
}

/// A moving average that follows within about eight calls.
fn learn_latency(average: &AtomicU32, sample: Duration) {
    let sample = u32::try_from(sample.as_micros()).unwrap_or(u32::MAX);
    let old = average.load(Ordering::Relaxed);
    let new = if old == 0 {
        sample
    } else {
        old - old / 8 + sample / 8
    };
    average.store(new, Ordering::Relaxed);
}
