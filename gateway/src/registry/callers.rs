//! Who calls one version of a function, so that an operator knows whom its end would hit.
//!
//! Each shard counts for itself. Where there are more clients than are kept, those who call most
//! stay (Misra and Gries): a count may then be too low, by no more than what `others` says.

use std::collections::HashMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::overrides::Client;

/// Clients that are kept for each function version and shard.
const CLIENTS: usize = 256;
/// Shards that count apart; more share.
const SHARDS: usize = 16;

/// The callers of one version of one function.
#[derive(Debug, Default)]
pub struct Callers {
    // Most functions of a large installation are never called at one gateway.
    shards: OnceLock<Box<[Cell; SHARDS]>>,
    /// Calls that were [taken](Self::take).
    taken: AtomicU64,
}

/// What one shard counts, on cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Cell(Mutex<Counts>);

#[derive(Debug, Clone, Copy)]
struct Count {
    calls: u64,
    last: Instant,
}

#[derive(Debug, Clone, Default)]
struct Counts {
    anonymous: Option<Count>,
    users: HashMap<Box<str>, Count>,
    api_keys: HashMap<Box<str>, Count>,
    others: u64,
}

/// Who calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller<'a> {
    /// By the name of an API key.
    ApiKey(&'a str),
    /// By the id of a user.
    User(&'a str),
    /// Nobody says.
    Anonymous,
}

/// One caller, over all shards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallerStatus {
    /// Who; `None`: nobody says.
    pub client: Option<Client>,
    /// Calls since the function is known; at least.
    pub calls: u64,
    /// When the last one came.
    pub last: Instant,
}

/// All callers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CallersStatus {
    /// All calls.
    pub total: u64,
    /// Those of clients that are not kept.
    pub others: u64,
    /// Those who call most first.
    pub clients: Vec<CallerStatus>,
}

impl Callers {
    /// Counts one call, on a shard.
    pub fn count(&self, shard: usize, caller: Caller<'_>, now: Instant) {
        // Nobody else counts here: the lock is free, unless an operator looks.
        let shards = self.shards.get_or_init(Box::default);
        let mut counts = shards[shard % SHARDS].0.lock();
        let counts = &mut *counts;
        let (table, name) = match caller {
            Caller::ApiKey(name) => (&mut counts.api_keys, name),
            Caller::User(id) => (&mut counts.users, id),
            Caller::Anonymous => {
                let count = counts.anonymous.get_or_insert(Count {
                    calls: 0,
                    last: now,
                });
                count.calls += 1;
                count.last = now;
                return;
            }
        };
        if let Some(count) = table.get_mut(name) {
            count.calls += 1;
            count.last = now;
        } else if table.len() < CLIENTS {
            let first = Count {
                calls: 1,
                last: now,
            };
            table.insert(name.into(), first);
        } else {
            counts.others += 1 + table.len() as u64;
            table.retain(|_, count| {
                count.calls -= 1;
                count.calls > 0
            });
        }
    }

    /// Who has called since the last time, for one who keeps it elsewhere.
    #[must_use]
    pub fn take(&self) -> CallersStatus {
        let status = self.gather(std::mem::take);
        self.taken.fetch_add(status.total, Ordering::Relaxed);
        status
    }

    /// What was taken could not be kept elsewhere.
    pub fn put_back(&self, status: &CallersStatus) {
        let shards = self.shards.get_or_init(Box::default);
        let mut counts = shards[0].0.lock();
        for caller in &status.clients {
            let CallerStatus {
                client,
                calls,
                last,
            } = caller;
            let last = *last;
            let slot = match client {
                Some(Client::User(id)) => counts.users.entry(id.as_str().into()),
                Some(Client::ApiKey(name)) => counts.api_keys.entry(name.as_str().into()),
                None => {
                    let slot = counts.anonymous.get_or_insert(Count { calls: 0, last });
                    slot.calls += calls;
                    continue;
                }
            };
            // A little more than is kept otherwise, and only until it is taken again.
            slot.or_insert(Count { calls: 0, last }).calls += calls;
        }
        counts.others += status.others;
        self.taken.fetch_sub(status.total, Ordering::Relaxed);
    }

    /// Who has called and was not taken, and how many calls there were in all.
    #[must_use]
    pub fn look(&self) -> CallersStatus {
        let mut status = self.gather(|counts| counts.clone());
        status.total += self.taken.load(Ordering::Relaxed);
        status
    }

    fn gather(&self, read: impl Fn(&mut Counts) -> Counts) -> CallersStatus {
        let mut status = CallersStatus::default();
        let mut clients: HashMap<Option<Client>, Count> = HashMap::new();
        let mut add = |client, count: &Count| {
            let sum = clients.entry(client).or_insert(Count {
                calls: 0,
                last: count.last,
            });
            sum.calls += count.calls;
            sum.last = sum.last.max(count.last);
        };
        for Cell(counts) in self.shards.get().into_iter().flat_map(|all| all.iter()) {
            let counts = read(&mut counts.lock());
            status.others += counts.others;
            for (id, count) in &counts.users {
                add(Some(Client::User(id.to_string())), count);
            }
            for (name, count) in &counts.api_keys {
                add(Some(Client::ApiKey(name.to_string())), count);
            }
            counts.anonymous.iter().for_each(|count| add(None, count));
        }
        let known: u64 = clients.values().map(|c| c.calls).sum();
        status.total = known + status.others;
        status.clients = clients
            .into_iter()
            .map(|(client, Count { calls, last })| CallerStatus {
                client,
                calls,
                last,
            })
            .collect();
        let order = |c: &CallerStatus| (std::cmp::Reverse(c.calls), c.client.clone());
        status.clients.sort_by_cached_key(order);
        status
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_by_client_over_all_shards() {
        let callers = Callers::default();
        let now = Instant::now();
        for shard in 0..20 {
            callers.count(shard, Caller::User("ann"), now);
            callers.count(0, Caller::ApiKey("ann"), now);
        }
        callers.count(3, Caller::Anonymous, now);
        let status = callers.look();
        assert_eq!((status.total, status.others), (41, 0));
        let told: Vec<_> = status
            .clients
            .into_iter()
            .map(|c| (c.client, c.calls))
            .collect();
        let expected = [
            (Some(Client::User("ann".to_owned())), 20),
            (Some(Client::ApiKey("ann".to_owned())), 20),
            (None, 1),
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn who_calls_most_stays_however_many_come() {
        let callers = Callers::default();
        let now = Instant::now();
        for n in 0..20_000 {
            callers.count(0, Caller::User(&format!("u{n}")), now);
            if n % 10 == 0 {
                callers.count(0, Caller::User("heavy"), now);
            }
        }
        let status = callers.look();
        assert_eq!(status.total, 22_000, "nothing is lost");
        assert!(status.clients.len() <= CLIENTS);
        let heavy = &status.clients[0];
        assert_eq!(heavy.client, Some(Client::User("heavy".to_owned())));
        assert!(heavy.calls <= 2000 && heavy.calls + status.others / CLIENTS as u64 >= 2000);
    }
}
