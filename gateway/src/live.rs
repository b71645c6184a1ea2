//! What is open now: sockets and streams, so that operators can count them and close one.
//!
//! Whoever opens one holds its [`Ticket`]; it is on the list for as long as the ticket lives.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use parking_lot::Mutex;
use sluice_protocol::{ApiVersion, FunctionName, RequestId, ServiceName};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// All that is open in a gateway process.
#[derive(Debug, Default)]
pub struct Live {
    /// Sockets of clients.
    pub sockets: Arc<Table<Socket>>,
    /// Streams, on sockets and over HTTP.
    pub streams: Arc<Table<Stream>>,
}

/// One socket.
#[derive(Debug, Default)]
pub struct Socket {
    /// Who connected; channels may have joined as somebody else.
    pub user: Option<String>,
    /// By which key.
    pub api_key: Option<Arc<str>>,
    /// From where.
    pub address: Option<IpAddr>,
    /// Calls in flight, streams among them.
    pub calls: AtomicUsize,
    /// Channels joined.
    pub channels: AtomicUsize,
}

/// One stream.
#[derive(Debug)]
pub struct Stream {
    /// Of which service.
    pub service: ServiceName,
    /// Which function.
    pub function: FunctionName,
    /// Which version.
    pub version: Option<ApiVersion>,
    /// The client's id of it.
    pub request_id: RequestId,
    /// For whom.
    pub user: Option<String>,
    /// Items that the client has taken.
    pub items: AtomicU64,
}

/// What is open of one kind.
#[derive(Debug)]
pub struct Table<T> {
    next: AtomicU64,
    open: Mutex<BTreeMap<u64, Arc<Open<T>>>>,
}

/// One that is open.
#[derive(Debug)]
pub struct Open<T> {
    /// What it is.
    pub what: T,
    /// Its number, not used again while the gateway runs.
    pub id: u64,
    /// Since when.
    pub since: Instant,
    closing: CancellationToken,
    reason: OnceLock<String>,
}

/// The place on the list.
#[derive(Debug)]
pub struct Ticket<T> {
    table: Arc<Table<T>>,
    open: Arc<Open<T>>,
    closed: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self {
            next: AtomicU64::new(1),
            open: Mutex::default(),
        }
    }
}

impl<T> Table<T> {
    /// Puts one on the list.
    pub fn open(self: &Arc<Self>, what: T) -> Ticket<T> {
        let open = Arc::new(Open {
            what,
            id: self.next.fetch_add(1, Ordering::Relaxed),
            since: Instant::now(),
            closing: CancellationToken::new(),
            reason: OnceLock::new(),
        });
        self.open.lock().insert(open.id, open.clone());
        Ticket {
            table: self.clone(),
            closed: Box::pin(open.closing.clone().cancelled_owned()),
            open,
        }
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.open.lock().len()
    }

    /// Those after number `after`, oldest first, that are `wanted`; at most `limit`.
    #[must_use]
    pub fn list(&self, after: u64, limit: usize, wanted: impl Fn(&T) -> bool) -> Vec<Arc<Open<T>>> {
        let open = self.open.lock();
        let later = open.range(after.saturating_add(1)..).map(|(_, open)| open);
        later
            .filter(|open| wanted(&open.what))
            .take(limit)
            .cloned()
            .collect()
    }

    /// Asks that one be closed, and says why; `None` if there is none with that number.
    pub fn close(&self, id: u64, reason: &str) -> Option<Arc<Open<T>>> {
        let open = self.open.lock().get(&id).cloned()?;
        // The first who asks is the one who says why.
        let _ = open.reason.set(reason.to_owned());
        open.closing.cancel();
        Some(open)
    }
}

impl<T> Ticket<T> {
    /// What it stands for.
    pub fn what(&self) -> &T {
        &self.open.what
    }

    /// Resolves with the reason when somebody asks that it be closed. Cancel-safe.
    pub async fn closed(&mut self) -> &str {
        self.closed.as_mut().await;
        self.reason()
    }

    /// Ready when somebody asks that it be closed. Not to be polled again then.
    pub fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<&str> {
        std::task::ready!(self.closed.as_mut().poll(cx));
        Poll::Ready(self.reason())
    }

    fn reason(&self) -> &str {
        self.open.reason.get().map_or("", String::as_str)
    }
}

impl<T> Drop for Ticket<T> {
    fn drop(&mut self) {
        self.table.open.lock().remove(&self.open.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_open_is_listed_until_its_ticket_goes() {
        let live = Live::default();
        let mut first = live.sockets.open(Socket::default());
        let second = live.sockets.open(Socket {
            user: Some("ann".to_owned()),
            ..Socket::default()
        });
        let ids = |after, limit| {
            let all = live.sockets.list(after, limit, |_| true);
            all.iter().map(|o| o.id).collect::<Vec<_>>()
        };
        assert_eq!(
            (ids(0, 9), ids(1, 9), ids(0, 1)),
            (vec![1, 2], vec![2], vec![1])
        );
        assert!(ids(u64::MAX, 9).is_empty());
        let of_ann = |s: &Socket| s.user.as_deref() == Some("ann");
        assert_eq!(live.sockets.list(0, 9, of_ann)[0].id, 2);
        assert!(live.sockets.close(3, "x").is_none());
        assert!(live.sockets.close(1, "too loud").is_some());
        assert!(live.sockets.close(1, "later").is_some());
        assert_eq!(first.closed().await, "too loud");
        drop((first, second));
        assert_eq!(live.sockets.count(), 0);
    }
}
