//! What functions and instances there are: soft state, told by workers, read without locks.
//!
//! One task, the [`Follower`], listens to workers and owns all that is known (the table). It
//! publishes a [`Snapshot`] whenever something changes for calls; readers never wait for it.
//!
//! ```text
//! workers ── announce, heartbeat, leave ──► Follower ── Table ──► Snapshot ──► calls
//!         ◄── accepted, refused, discover, pull ──┘        └────► Status ────► operators
//! ```

mod admission;
mod beacon;
mod build;
pub mod callers;
mod command;
mod configs;
pub mod connection;
pub mod crew;
mod denied;
mod expiry;
pub mod fixed;
pub mod follow;
mod instances;
mod limits;
mod nonces;
mod pulls;
pub mod refused;
pub mod routes;
pub mod snapshot;
pub mod status;
mod supported;
mod table;
#[cfg(test)]
mod testing;
mod throttle;
pub mod wanted;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::{ArcSwap, Guard};
use sluice_protocol::Subjects;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use self::command::Command;
use self::configs::ParseConfig;
use self::fixed::InvalidFixed;
use self::follow::Follower;
use self::limits::Limits;
use self::snapshot::Snapshot;
use self::table::{Rules, Table};
use crate::config::{FixedFunction, RegistryOptions};
use crate::telemetry::meters::Meters;

pub use self::command::RegistryStopped;

/// Commands of operators that wait for the follower.
const COMMANDS: usize = 64;

/// Who answers a path before any route is looked for, as far as this gateway is configured; `None`:
/// nobody.
pub type TakenPaths = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// What a registry is made of.
#[derive(Clone)]
pub struct Settings {
    /// This gateway's id.
    pub gateway: String,
    /// Names of subjects.
    pub subjects: Subjects,
    /// `[registry]`.
    pub options: RegistryOptions,
    /// `[[function]]`.
    pub functions: Vec<FixedFunction>,
    /// Which paths no route gets.
    pub taken: TakenPaths,
}

/// The registry as the rest of the gateway sees it.
#[derive(Debug)]
pub struct Registry {
    snapshot: ArcSwap<Snapshot>,
    changes: watch::Sender<u64>,
    commands: mpsc::Sender<Command>,
    gateways: AtomicUsize,
    meters: Arc<Meters>,
}

impl Default for Registry {
    /// A registry that follows nobody: it knows what is [published](Self::publish) to it.
    fn default() -> Self {
        Self::with_commands(mpsc::channel(1).0, Arc::default())
    }
}

impl Registry {
    /// A registry, and what makes it follow the workers: spawn [`Follower::run`]. Fixed functions
    /// are known from the start.
    ///
    /// # Errors
    /// Every mistake in the fixed functions.
    pub fn new(settings: Settings) -> Result<(Arc<Self>, Follower), InvalidFixed> {
        let taken = settings.taken.clone();
        let parse = move |service: &_, text: &_| supported::parse(service, text, &*taken);
        Self::with_parser(settings, Box::new(parse))
    }

    fn with_parser(
        settings: Settings,
        parse: ParseConfig,
    ) -> Result<(Arc<Self>, Follower), InvalidFixed> {
        let rules = Rules {
            gateway: settings.gateway.clone(),
            subjects: settings.subjects.clone(),
            options: settings.options,
            fixed: fixed::parse(&settings.functions, &*settings.taken)?,
            limits: Limits::default(),
            parse,
        };
        let (commands, inbox) = mpsc::channel(COMMANDS);
        let table = Table::new(rules, Instant::now());
        let registry = Arc::new(Self::with_commands(commands, table.meters().clone()));
        let mut follower = Follower::new(
            registry.clone(),
            table,
            inbox,
            settings.gateway,
            settings.subjects,
        );
        follower.publish();
        Ok((registry, follower))
    }

    fn with_commands(commands: mpsc::Sender<Command>, meters: Arc<Meters>) -> Self {
        Self {
            snapshot: ArcSwap::default(),
            changes: watch::Sender::new(0),
            commands,
            gateways: AtomicUsize::new(1),
            meters,
        }
    }

    /// What the registry counts.
    #[must_use]
    pub fn meters(&self) -> &Arc<Meters> {
        &self.meters
    }

    /// What is known now. Lock-free; hold it for one call at most.
    pub fn snapshot(&self) -> Guard<Arc<Snapshot>> {
        self.snapshot.load()
    }

    /// Puts another snapshot in place.
    pub fn publish(&self, snapshot: Snapshot) {
        self.snapshot.store(Arc::new(snapshot));
        self.touch();
    }

    /// How many gateways there are, with this one; at least 1.
    #[must_use]
    pub fn live_gateways(&self) -> usize {
        self.gateways.load(Ordering::Relaxed)
    }

    /// Changes whenever something changed that a call or an operator sees. Take the receiver,
    /// then look, then wait: what comes between is not missed.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Waits until the snapshot is as `wanted`.
    pub async fn wait_for(&self, mut wanted: impl FnMut(&Snapshot) -> bool) {
        let mut changes = self.changes();
        while !wanted(&self.snapshot()) {
            // The sender is ours, so it cannot be gone.
            let _ = changes.changed().await;
        }
    }

    fn touch(&self) {
        self.changes.send_modify(|n| *n += 1);
    }
}
