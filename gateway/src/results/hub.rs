//! What this gateway knows of async calls besides their records: which run here, and for whose
//! end somebody here waits. Shared by all shards.
//!
//! Gateways tell each other of cancellations and ends by letters: a list in Redis for each
//! gateway, which its postman empties. One connection, and no command while nothing is awaited.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::redis_link::RedisLink;

/// How often the postman looks.
const ROUND: Duration = Duration::from_millis(100);
/// Most letters taken at once.
const BAG: usize = 500;

/// Calls of this gateway, and calls that somebody here waits for.
#[derive(Debug)]
pub struct Hub {
    gateway: String,
    running: Mutex<HashMap<String, Running>>,
    awaited: Mutex<HashMap<String, Awaited>>,
}

/// A call that runs here.
#[derive(Debug, Clone, Default)]
pub(super) struct Running {
    /// Triggered when somebody asks to cancel.
    pub(super) cancel: CancellationToken,
    /// Triggered when the answer is written, or lost.
    pub(super) ended: CancellationToken,
}

#[derive(Debug, Default)]
struct Awaited {
    ended: CancellationToken,
    waiting: usize,
}

/// Somebody waits for the end of a call of another gateway.
#[derive(Debug)]
pub(super) struct Waiting<'a> {
    hub: &'a Hub,
    id: &'a str,
    /// Triggered when the answer is said to be there.
    pub(super) ended: CancellationToken,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut awaited = self.hub.awaited.lock();
        if let Some(entry) = awaited.get_mut(self.id) {
            entry.waiting -= 1;
            if entry.waiting == 0 {
                awaited.remove(self.id);
            }
        }
    }
}

impl Hub {
    /// The hub of the gateway with this id.
    #[must_use]
    pub fn new(gateway: &str) -> Arc<Self> {
        Arc::new(Self {
            gateway: gateway.to_owned(),
            running: Mutex::default(),
            awaited: Mutex::default(),
        })
    }

    pub(super) fn gateway(&self) -> &str {
        &self.gateway
    }

    pub(super) fn start(&self, id: &str) {
        self.running.lock().entry(id.to_owned()).or_default();
    }

    pub(super) fn end(&self, id: &str) {
        if let Some(running) = self.running.lock().remove(id) {
            running.ended.cancel();
        }
    }

    pub(super) fn running(&self, id: &str) -> Option<Running> {
        self.running.lock().get(id).cloned()
    }

    pub(super) fn wait_for<'a>(&'a self, id: &'a str) -> Waiting<'a> {
        let mut awaited = self.awaited.lock();
        let entry = awaited.entry(id.to_owned()).or_default();
        entry.waiting += 1;
        let ended = entry.ended.clone();
        Waiting {
            hub: self,
            id,
            ended,
        }
    }

    fn expects_letters(&self) -> bool {
        !self.running.lock().is_empty() || !self.awaited.lock().is_empty()
    }

    /// Acts on a letter: `c<id>` asks to cancel, `e<id>` tells of an end.
    fn read(&self, letter: &str) {
        if let Some(id) = letter.strip_prefix('c') {
            if let Some(running) = self.running(id) {
                running.cancel.cancel();
            }
        } else if let Some(id) = letter.strip_prefix('e')
            && let Some(awaited) = self.awaited.lock().get(id)
        {
            awaited.ended.cancel();
        }
    }
}

/// Where the letters to a gateway lie.
pub(super) fn letterbox(prefix: &str, gateway: &str) -> String {
    format!("{prefix}:letters:{gateway}")
}

/// Brings the gateway its letters, until `stop`.
pub async fn deliver(hub: Arc<Hub>, link: RedisLink, stop: CancellationToken) {
    let mut take = redis::cmd("LPOP");
    take.arg(letterbox(link.prefix(), &hub.gateway)).arg(BAG);
    let rounds = async {
        loop {
            tokio::time::sleep(ROUND).await;
            while hub.expects_letters() && link.is_available() {
                // What is lost with the connection is asked for again: waiters look at the
                // record now and then, and a client may repeat its wish to cancel.
                let Ok(letters) = link.query::<Option<Vec<String>>>(&take).await else {
                    break;
                };
                let letters = letters.unwrap_or_default();
                letters.iter().for_each(|letter| hub.read(letter));
                if letters.len() < BAG {
                    break;
                }
            }
        }
    };
    stop.run_until_cancelled(rounds).await;
}
