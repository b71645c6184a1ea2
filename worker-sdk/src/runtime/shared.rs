//! What all tasks of one worker share.

use std::sync::Arc;

use async_nats::Client;
use parking_lot::Mutex;
use sluice_protocol::registry::Reason;
use sluice_protocol::{InstanceId, Subjects};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection::Link;
use super::intake::Closing;
use super::reply::Replier;
use super::table::Table;
use crate::call::Outbound;
use crate::telemetry::Spans;

/// The state of a worker.
pub(crate) struct Shared {
    pub(crate) client: Client,
    pub(crate) subjects: Subjects,
    pub(crate) instance: InstanceId,
    pub(crate) table: Arc<Table>,
    /// Calls that may be held: at work or queued.
    pub(crate) places: Arc<Semaphore>,
    /// Calls that may be at work.
    pub(crate) slots: Arc<Semaphore>,
    /// How many `slots` there are.
    pub(crate) capacity: u32,
    pub(crate) outbound: Arc<dyn Outbound>,
    pub(crate) link: watch::Receiver<Link>,
    /// The queue groups are to be left.
    pub(crate) leaving: CancellationToken,
    /// All subscriptions are to be read to their end.
    pub(crate) closing: CancellationToken,
    /// All other tasks are to end.
    pub(crate) closed: CancellationToken,
    /// The tasks that read subscriptions.
    pub(crate) readers: TaskTracker,
    /// A gateway refused a config, where the worker was told to stop then.
    pub(crate) refused: watch::Sender<Option<Vec<Reason>>>,
    pub(crate) exit_on_refused: bool,
    pub(crate) spans: Spans,
    /// Each member of a queue group keeps a clone until it has left; taken when the worker drains.
    pub(crate) membership: Mutex<Option<mpsc::Sender<()>>>,
}

impl Shared {
    /// What readers of subscriptions stop by.
    pub(crate) fn closing(&self) -> Closing {
        Closing {
            token: self.closing.clone(),
            client: self.client.clone(),
        }
    }

    pub(crate) fn replier(&self, reply: Option<async_nats::Subject>) -> Replier {
        Replier::new(self.client.clone(), reply, self.instance.clone())
    }
}
