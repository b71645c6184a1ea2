//! Who is let in no more: users, tokens, API keys.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, watch};

use super::Session;

/// Most bytes of what is revoked, as of the users and API keys themselves.
const MAX_BYTES: usize = 512;

/// What is revoked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Revocation {
    /// All tokens of a user that were issued until now, and those that do not say when. The
    /// user's API keys go on.
    User(String),
    /// One token, by its `jti`.
    Token(String),
    /// One API key, by its id; until that is taken back.
    ApiKey(String),
}

impl Revocation {
    /// Of `kind`: `user`, `token` or `api_key`.
    ///
    /// # Errors
    /// What would be right.
    pub fn new(kind: &str, value: &str) -> Result<Self, String> {
        if value.is_empty() || value.len() > MAX_BYTES {
            return Err(format!("{kind}: expected text of 1 to {MAX_BYTES} bytes"));
        }
        let value = value.to_owned();
        match kind {
            "user" => Ok(Self::User(value)),
            "token" => Ok(Self::Token(value)),
            "api_key" => Ok(Self::ApiKey(value)),
            _ => Err(format!(
                "{kind:?} cannot be revoked: name a user, a token or an api_key"
            )),
        }
    }

    /// `user`, `token` or `api_key`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::User(_) => "user",
            Self::Token(_) => "token",
            Self::ApiKey(_) => "api_key",
        }
    }

    /// Which one.
    #[must_use]
    pub fn value(&self) -> &str {
        let (Self::User(value) | Self::Token(value) | Self::ApiKey(value)) = self;
        value
    }
}

/// A revocation and when it was made: seconds since 1970, by the clock of tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revoked {
    /// What.
    pub what: Revocation,
    /// When.
    pub at: u64,
}

/// A revocation as gateways tell it to each other, or that it was taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct News {
    pub(super) what: Revocation,
    /// Seconds since 1970.
    pub(super) at: u64,
    /// It is let in again.
    pub(super) restored: bool,
}

/// What became of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// It holds now.
    New,
    /// It was known already, or is outdated.
    Known,
    /// It does not hold.
    NoRoom,
}

/// Why somebody is not revoked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RevokeError {
    /// The configuration has no such API key.
    #[error(
        "this gateway's configuration has no API key {0:?}: an API key is revoked by its id, not by the key itself; \
         nothing was revoked"
    )]
    UnknownApiKey(String),
    /// As many API keys are revoked as are remembered.
    #[error(
        "{most} API keys are revoked, and identity.max_revocations lets no more be remembered: {id:?} is not revoked \
         and still counts; take it out of the configuration, or let revoked ones in again that are no longer there"
    )]
    Full {
        /// The key that is not revoked.
        id: String,
        /// `identity.max_revocations`.
        most: usize,
    },
}

/// A place in the order of eviction: when it was revoked, and what tells those of one second
/// apart.
type Place = (u64, u64);

#[derive(Debug, Default)]
struct List {
    places: HashMap<Revocation, Place>,
    order: BTreeMap<Place, Revocation>,
    next: u64,
    /// They do not expire by themselves, and are few.
    api_keys: HashMap<String, u64>,
}

impl List {
    /// Forgets what was revoked until `at`.
    fn remove(&mut self, what: &Revocation, at: u64) -> bool {
        if let Revocation::ApiKey(id) = what {
            let held = self.api_keys.get(id).is_some_and(|since| *since <= at);
            return held && self.api_keys.remove(id).is_some();
        }
        match self.places.get(what).copied() {
            Some(place) if place.0 <= at => {
                self.order.remove(&place);
                self.places.remove(what).is_some()
            }
            _ => false,
        }
    }
}

/// The revocations that are remembered: bounded, the oldest forgotten first.
#[derive(Debug)]
pub(super) struct Revocations {
    list: RwLock<List>,
    any: AtomicBool,
    changes: watch::Sender<u64>,
    pub(super) ttl: Duration,
    pub(super) most: usize,
    /// Made here, and not yet told to the other gateways.
    outbox: Mutex<VecDeque<News>>,
    pub(super) to_tell: Notify,
}

impl Revocations {
    pub(super) fn new(ttl: Duration, most: usize) -> Self {
        Self {
            list: RwLock::default(),
            any: AtomicBool::new(false),
            changes: watch::Sender::new(0),
            ttl,
            most,
            outbox: Mutex::default(),
            to_tell: Notify::new(),
        }
    }

    /// Revokes at `now`, the time since 1970, here; the others are to be told. `None`: there is no
    /// room for it, and nobody is told.
    pub(super) fn make(&self, what: Revocation, now: Duration) -> Option<Revoked> {
        let news = News {
            what,
            at: now.as_secs(),
            restored: false,
        };
        let taken = self.tell(&news, now);
        (taken != Taken::NoRoom).then_some(Revoked {
            what: news.what,
            at: news.at,
        })
    }

    /// Takes a revocation back, here; the others are to be told. False: there was none here.
    pub(super) fn take_back(&self, what: Revocation, now: Duration) -> bool {
        let news = News {
            what,
            at: now.as_secs(),
            restored: true,
        };
        self.tell(&news, now) == Taken::New
    }

    fn tell(&self, news: &News, now: Duration) -> Taken {
        let taken = self.take(news, now);
        if taken != Taken::NoRoom {
            self.put_back([news.clone()]);
            self.to_tell.notify_one();
        }
        taken
    }

    /// Takes what others have not been told yet.
    pub(super) fn take_to_tell(&self) -> VecDeque<News> {
        std::mem::take(&mut self.outbox.lock())
    }

    /// The same, and they stay.
    pub(super) fn untold(&self) -> Vec<News> {
        self.outbox.lock().iter().cloned().collect()
    }

    /// Others are still to be told of these.
    pub(super) fn put_back(&self, news: impl IntoIterator<Item = News>) {
        let mut outbox = self.outbox.lock();
        outbox.extend(news);
        let over = outbox.len().saturating_sub(self.most);
        outbox.drain(..over);
    }

    /// Takes over what was done here or elsewhere.
    pub(super) fn take(&self, news: &News, now: Duration) -> Taken {
        let known_or_new = |is_new| match is_new {
            true => Taken::New,
            false => Taken::Known,
        };
        let mut list = self.list.write();
        let taken = match (&news.what, news.restored) {
            (what, true) => known_or_new(list.remove(what, news.at)),
            (Revocation::ApiKey(id), false) => self.add_api_key(&mut list, id, news.at),
            (what, false) => known_or_new(self.add_expiring(&mut list, what, news.at, now)),
        };
        drop(list);
        if taken == Taken::New {
            self.any.store(true, Ordering::Release);
            self.changes.send_modify(|generation| *generation += 1);
        }
        taken
    }

    fn add_api_key(&self, list: &mut List, id: &str, at: u64) -> Taken {
        if let Some(since) = list.api_keys.get_mut(id) {
            // Revoked again: what would take the former one back does not count for this one.
            *since = at.max(*since);
            return Taken::Known;
        }
        if list.api_keys.len() >= self.most {
            tracing::error!(
                api_key = id,
                "too many API keys are revoked, this one is not: take it out of the configuration"
            );
            return Taken::NoRoom;
        }
        list.api_keys.insert(id.to_owned(), at);
        Taken::New
    }

    fn add_expiring(&self, list: &mut List, what: &Revocation, at: u64, now: Duration) -> bool {
        let oldest = now.saturating_sub(self.ttl).as_secs();
        if at < oldest {
            return false;
        }
        match list.places.get(what).copied() {
            Some(place) if place.0 >= at => return false,
            // Revoked again: its place in the order is a later one now.
            Some(place) => list.order.remove(&place),
            None => None,
        };
        let place = (at, list.next);
        list.next += 1;
        list.places.insert(what.clone(), place);
        list.order.insert(place, what.clone());
        while let Some(first) = list.order.first_entry()
            && (first.key().0 < oldest || list.places.len() > self.most)
        {
            if first.key().0 >= oldest {
                tracing::warn!(
                    what = ?first.get(),
                    "more is revoked than identity.max_revocations: this one is forgotten before its time"
                );
            }
            list.places.remove(&first.remove());
        }
        true
    }

    /// All, newest first.
    pub(super) fn all(&self) -> Vec<Revoked> {
        let list = self.list.read();
        let expiring = list.order.iter().map(|(place, what)| Revoked {
            what: what.clone(),
            at: place.0,
        });
        let keys = list.api_keys.iter().map(|(id, at)| Revoked {
            what: Revocation::ApiKey(id.clone()),
            at: *at,
        });
        let mut all: Vec<Revoked> = expiring.chain(keys).collect();
        all.sort_by_key(|revoked| std::cmp::Reverse(revoked.at));
        all
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
            return list.api_keys.contains_key(id.as_ref());
        }
        if session.caller.claims.is_none() {
            return false;
        }
        let token = session.token_id.as_ref();
        if token.is_some_and(|id| list.places.contains_key(&Revocation::Token(id.clone()))) {
            return true;
        }
        let user = session.identity.user_id.as_ref();
        let place = user.and_then(|id| list.places.get(&Revocation::User(id.clone())));
        place.is_some_and(|(at, _)| session.issued.is_none_or(|issued| issued <= *at))
    }

    /// Changes with each revocation.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(id: &str) -> Revocation {
        Revocation::Token(id.to_owned())
    }

    #[test]
    fn what_is_revoked_again_is_forgotten_later() {
        let revocations = Revocations::new(Duration::from_secs(100), 2);
        for (second, id) in [(1, "a"), (2, "b"), (3, "a"), (4, "c")] {
            revocations
                .make(token(id), Duration::from_secs(second))
                .unwrap();
        }
        let kept = revocations.all();
        assert_eq!(kept.len(), 2, "{kept:?}");
        assert_eq!(kept[0].what, token("c"));
        assert_eq!(
            kept[1],
            Revoked {
                what: token("a"),
                at: 3
            }
        );
        assert_eq!(revocations.take_to_tell().len(), 2, "the outbox is bounded");
    }

    #[test]
    fn news_from_elsewhere_is_taken_over_once_and_only_while_it_counts() {
        let revocations = Revocations::new(Duration::from_secs(100), 2);
        let now = Duration::from_secs(1000);
        let changes = revocations.changes();
        for (what, at) in [
            (token("a"), 950),
            (token("a"), 950),
            (token("a"), 940),
            (token("old"), 899),
            (Revocation::ApiKey("k".to_owned()), 1),
            (Revocation::ApiKey("k".to_owned()), 2),
        ] {
            let restored = false;
            revocations.take(&News { what, at, restored }, now);
        }
        assert_eq!(*changes.borrow(), 2);
        assert_eq!(revocations.all().len(), 2);
        assert!(revocations.take_to_tell().is_empty());
    }

    #[test]
    fn what_is_taken_back_counts_no_more_unless_it_is_revoked_anew() {
        let revocations = Revocations::new(Duration::from_secs(100), 3);
        let key = || Revocation::ApiKey("k".to_owned());
        let at = Duration::from_secs;
        for what in [token("a"), key()] {
            assert!(!revocations.take_back(what.clone(), at(9)), "nothing there");
            revocations.make(what.clone(), at(10)).unwrap();
            let outdated = News {
                what: what.clone(),
                at: 9,
                restored: true,
            };
            assert_eq!(revocations.take(&outdated, at(10)), Taken::Known);
            assert_eq!(revocations.all().len(), 1);
            assert!(revocations.take_back(what.clone(), at(10)));
            assert!(revocations.all().is_empty());
            revocations.make(what.clone(), at(11)).unwrap();
            assert_eq!(revocations.all()[0].at, 11);
            assert!(revocations.take_back(what, at(12)));
        }
        assert!(revocations.list.read().order.is_empty());
        let told = revocations.take_to_tell();
        assert!(told.iter().any(|news| news.restored), "{told:?}");
    }

    #[test]
    fn an_api_key_without_room_is_not_said_to_be_revoked() {
        let revocations = Revocations::new(Duration::from_secs(100), 1);
        let key = |id: &str| Revocation::ApiKey(id.to_owned());
        let now = Duration::from_secs(10);
        assert!(revocations.make(key("a"), now).is_some());
        assert_eq!(revocations.make(key("b"), now), None);
        assert_eq!(revocations.all().len(), 1);
        assert_eq!(revocations.take_to_tell().len(), 1, "nobody is told of b");
        // The same one again needs no room, and neither do users and tokens.
        assert!(revocations.make(key("a"), now).is_some());
        assert!(revocations.make(token("t"), now).is_some());
        assert!(revocations.take_back(key("a"), now));
        assert!(revocations.make(key("b"), now).is_some());
    }
}
