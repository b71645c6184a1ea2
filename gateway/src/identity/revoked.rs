//! Who is let in no more: users, tokens, API keys.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::RwLock;
use tokio::sync::watch;
use tokio::time::Instant;

use super::Session;

/// What is revoked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Revocation {
    /// All tokens of a user that were issued until now, and those that do not say when. The
    /// user's API keys go on.
    User(String),
    /// One token, by its `jti`.
    Token(String),
    /// One API key, by its id; for as long as the gateway runs.
    ApiKey(String),
}

#[derive(Debug, Default)]
struct List {
    /// When each was revoked: by the clock of tokens, in seconds since 1970.
    at: HashMap<Revocation, u64>,
    order: VecDeque<(Instant, Revocation)>,
    api_keys: HashSet<String>,
}

/// The revocations that are remembered: bounded, the oldest forgotten first.
#[derive(Debug)]
pub(super) struct Revocations {
    list: RwLock<List>,
    any: AtomicBool,
    changes: watch::Sender<u64>,
    ttl: Duration,
    most: usize,
}

impl Revocations {
    pub(super) fn new(ttl: Duration, most: usize) -> Self {
        Self {
            list: RwLock::default(),
            any: AtomicBool::new(false),
            changes: watch::Sender::new(0),
            ttl,
            most,
        }
    }

    /// Revokes at `now`, the time since 1970.
    pub(super) fn add(&self, what: Revocation, now: Duration) {
        let mut list = self.list.write();
        let list = &mut *list;
        let moment = Instant::now();
        let expired = |list: &List| {
            let oldest = list.order.front();
            oldest.is_some_and(|(at, _)| moment.duration_since(*at) > self.ttl)
        };
        while expired(list) || list.order.len() >= self.most {
            let Some((_, old)) = list.order.pop_front() else {
                break;
            };
            // Revoked again since then: a later entry stands for it.
            if !list
                .order
                .iter()
                .rev()
                .take(64)
                .any(|(_, later)| *later == old)
            {
                list.at.remove(&old);
            }
        }
        match what {
            // Keys of the configuration are few, and do not expire by themselves.
            Revocation::ApiKey(id) => {
                list.api_keys.insert(id);
            }
            what => {
                let now = now.as_secs();
                if list.at.insert(what.clone(), now).is_none() {
                    list.order.push_back((moment, what));
                }
            }
        }
        self.any.store(true, Ordering::Release);
        self.changes.send_modify(|generation| *generation += 1);
    }

    /// Whether a session is let in no more.
    #[must_use]
    pub(super) fn holds(&self, session: &Session) -> bool {
        // Nearly always nothing is revoked.
        if !self.any.load(Ordering::Acquire) {
            return false;
        }
        let list = self.list.read();
        if let Some(id) = &session.caller.api_key {
            return list.api_keys.contains(id.as_ref());
        }
        if session.caller.claims.is_none() {
            return false;
        }
        let token = session.token_id.as_ref();
        if token.is_some_and(|id| list.at.contains_key(&Revocation::Token(id.clone()))) {
            return true;
        }
        let user = session.identity.user_id.as_ref();
        let at = user.and_then(|id| list.at.get(&Revocation::User(id.clone())));
        at.is_some_and(|at| session.issued.is_none_or(|issued| issued <= *at))
    }

    /// Changes with each revocation.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}
