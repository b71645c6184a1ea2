//! Live traces: what happens to the calls of one user, function or request id, as it happens.
//!
//! Nobody watches: one load of a pointer a call. Somebody does: each call is held against the
//! filters, and those that fit carry a [`Traced`] along, which the stages tell what they do.

mod event;
mod filter;
mod watch;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::Value;
use sluice_protocol::CallError;
use tokio::sync::mpsc;
use tokio::time::Instant;

use self::event::Head;
pub use self::event::now_ms;
pub use self::filter::Filter;
use super::Diagnostics;
use crate::pipeline::Call;

/// Longest time that a trace may take.
pub const LONGEST: Duration = Duration::from_secs(600);
/// Traces of one gateway at once.
const MAX_TRACES: usize = 16;
/// Events that wait to be sent; more are dropped and counted.
const WAITING: usize = 1024;

/// The traces of one gateway.
#[derive(Debug, Default)]
pub struct Tracer {
    watches: ArcSwapOption<Vec<Arc<Watch>>>,
    /// Changes are made one after the other.
    changing: Mutex<()>,
    calls: AtomicU64,
    gateway: std::sync::OnceLock<String>,
}

/// One trace.
#[derive(Debug)]
struct Watch {
    id: String,
    filter: Filter,
    until: Instant,
    events: mpsc::Sender<Bytes>,
    dropped: AtomicU64,
}

impl Tracer {
    /// A tracer that names its gateway in each event.
    #[must_use]
    pub fn of(gateway: &str) -> Self {
        Self {
            gateway: gateway.to_owned().into(),
            ..Self::default()
        }
    }

    /// Begins a trace; its events come out of the receiver, which ends when it is stopped.
    ///
    /// # Errors
    /// When there are too many already.
    pub fn start(
        &self,
        id: &str,
        filter: Filter,
        time: Duration,
    ) -> Result<mpsc::Receiver<Bytes>, String> {
        let (events, receiver) = mpsc::channel(WAITING);
        let _one = self.changing.lock();
        let now = Instant::now();
        let mut watches: Vec<Arc<Watch>> = self.current();
        watches.retain(|w| w.until > now && w.id != id && !w.events.is_closed());
        if watches.len() >= MAX_TRACES {
            return Err(format!("{MAX_TRACES} traces run already; stop one"));
        }
        watches.push(Arc::new(Watch {
            id: id.to_owned(),
            filter,
            until: now + time.min(LONGEST),
            events,
            dropped: AtomicU64::new(0),
        }));
        self.watches.store(Some(Arc::new(watches)));
        Ok(receiver)
    }

    /// Ends a trace; its receiver ends once the calls that carry it are done.
    pub fn stop(&self, id: &str) {
        let _one = self.changing.lock();
        let mut watches = self.current();
        watches.retain(|w| w.id != id);
        self.watches
            .store((!watches.is_empty()).then(|| Arc::new(watches)));
    }

    fn current(&self) -> Vec<Arc<Watch>> {
        let now = self.watches.load();
        now.as_ref().map_or_else(Vec::new, |all| all.to_vec())
    }

    /// Marks a call that somebody watches.
    pub(crate) fn mark(&self, call: &mut Call) {
        // The common path.
        if let Some(watches) = &*self.watches.load() {
            self.mark_watched(call, watches);
        }
    }

    fn mark_watched(&self, call: &mut Call, watches: &[Arc<Watch>]) {
        let now = Instant::now();
        let fits = |w: &&Arc<Watch>| w.until > now && w.filter.fits(call);
        let watches: Vec<Arc<Watch>> = watches.iter().filter(fits).cloned().collect();
        if watches.is_empty() {
            return;
        }
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        let gateway = self.gateway.get().map_or("", String::as_str);
        let traced = Arc::new(Traced {
            watches,
            head: Head::of(call, gateway, number),
            started: now,
        });
        traced.say("received", Value::Null);
        call.caller.traced = Some(traced);
    }
}

/// A call that somebody watches.
#[derive(Debug)]
pub struct Traced {
    watches: Vec<Arc<Watch>>,
    head: Head,
    started: Instant,
}

impl Traced {
    /// Something happened to it.
    pub(crate) fn say(&self, event: &str, detail: Value) {
        let line = self.head.event(event, self.started.elapsed(), detail);
        for watch in &self.watches {
            if watch.events.try_send(line.clone()).is_err() {
                watch.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// A stage is done with it.
    pub(crate) fn stage<T>(&self, stage: &str, outcome: &Result<T, CallError>) {
        match outcome {
            Ok(_) => self.say(stage, Value::Null),
            Err(error) => self.say(stage, event::refusal(error)),
        }
    }
}

/// Tells of a stage, if somebody watches the call; returns its outcome as it is.
pub(crate) fn told<T>(
    to: &Option<Arc<Traced>>,
    stage: &str,
    outcome: Result<T, CallError>,
) -> Result<T, CallError> {
    if let Some(traced) = to {
        traced.stage(stage, &outcome);
    }
    outcome
}

impl Diagnostics {
    /// The calls that somebody watches here.
    #[must_use]
    pub fn tracer(&self) -> &Arc<Tracer> {
        &self.parts.tracer
    }

    /// Another gateway's operator watches: sends it what happens here.
    pub(super) fn trace_for_another(
        &self,
        id: &str,
        filter: Filter,
        for_ms: u64,
    ) -> Result<(), String> {
        let Some((client, subjects)) = self.peers.link().cloned() else {
            return Err("no broker".to_owned());
        };
        filter.check()?;
        let time = Duration::from_millis(for_ms).min(LONGEST);
        let mut events = self.parts.tracer.start(id, filter, time)?;
        let (tracer, subject) = (self.parts.tracer.clone(), subjects.trace(id));
        let id = id.to_owned();
        tokio::spawn(async move {
            let until = Instant::now() + time;
            while let Ok(Some(line)) = tokio::time::timeout_at(until, events.recv()).await {
                if client.publish(subject.clone(), line).await.is_err() {
                    break;
                }
            }
            tracer.stop(&id);
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests;
