//! What the rest of the broker sees of one client.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tokio_util::sync::CancellationToken;

use crate::outbox::{Outbox, Pushed};
use crate::subscription::Subscription;
use crate::sync::lock;

/// The shared half of a connection. Its subscriptions point back at it: `take_subscriptions`
/// breaks the circle when the connection ends.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) id: u64,
    pub(crate) outbox: Outbox,
    /// Cancelled when the connection is to end, whoever found out.
    pub(crate) stop: CancellationToken,
    /// Whether it understands `HMSG`; others get to know by CONNECT.
    takes_headers: AtomicBool,
    subscriptions: Mutex<HashMap<Box<[u8]>, Arc<Subscription>>>,
}

impl Client {
    pub(crate) fn new(id: u64, max_pending: usize) -> Self {
        Self {
            id,
            outbox: Outbox::new(max_pending),
            stop: CancellationToken::new(),
            takes_headers: AtomicBool::new(false),
            subscriptions: Mutex::default(),
        }
    }

    pub(crate) fn takes_headers(&self) -> bool {
        self.takes_headers.load(Ordering::Relaxed)
    }

    pub(crate) fn set_takes_headers(&self, takes_headers: bool) {
        self.takes_headers.store(takes_headers, Ordering::Relaxed);
    }

    pub(crate) fn subscription_count(&self) -> usize {
        lock(&self.subscriptions).len()
    }

    pub(crate) fn subscription(&self, sid: &[u8]) -> Option<Arc<Subscription>> {
        lock(&self.subscriptions).get(sid).cloned()
    }

    pub(crate) fn add_subscription(&self, sub: Arc<Subscription>) {
        lock(&self.subscriptions).insert(sub.sid.clone(), sub);
    }

    /// Forgets a subscription that ended. Its id may be in use again by now: that one stays.
    pub(crate) fn forget_subscription(&self, sub: &Arc<Subscription>) {
        let mut subscriptions = lock(&self.subscriptions);
        if subscriptions
            .get(&sub.sid)
            .is_some_and(|found| Arc::ptr_eq(found, sub))
        {
            subscriptions.remove(&sub.sid);
        }
    }

    /// Empties it, at the end of the connection.
    pub(crate) fn take_subscriptions(&self) -> Vec<Arc<Subscription>> {
        std::mem::take(&mut *lock(&self.subscriptions))
            .into_values()
            .collect()
    }
}

/// The clients that got something in one go, to be woken together: a client that gets a hundred
/// messages out of one read is woken once. Wakes on drop what was not woken before.
#[derive(Debug, Default)]
pub(crate) struct WakeList {
    clients: Vec<Arc<Client>>,
    /// The last one that was found far behind.
    backlogged: Option<Arc<Client>>,
}

impl WakeList {
    /// Notes what is owed to `client` after a push.
    pub(crate) fn note(&mut self, client: &Arc<Client>, pushed: Pushed) {
        match pushed {
            Pushed::Queued { wake, backlogged } => {
                if wake {
                    self.clients.push(Arc::clone(client));
                }
                if backlogged {
                    self.backlogged = Some(Arc::clone(client));
                }
            }
            Pushed::Overflowed => {
                tracing::warn!(client = client.id, "slow consumer is cut");
                client.stop.cancel();
                self.clients.push(Arc::clone(client));
            }
            Pushed::Closed => {}
        }
    }

    pub(crate) fn wake_all(&mut self) {
        for client in self.clients.drain(..) {
            client.outbox.wake();
        }
    }

    pub(crate) fn take_backlogged(&mut self) -> Option<Arc<Client>> {
        self.backlogged.take()
    }
}

impl Drop for WakeList {
    fn drop(&mut self) {
        self.wake_all();
    }
}
