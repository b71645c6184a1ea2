//! The gateway's way to Redis: one connection, each wait bounded, nothing waits while Redis is
//! away.
//!
//! ```text
//! query / invoke ── connection there? ── no ──► Unavailable::Away, at once
//!                          │ yes
//!                          ▼
//!                   answer within the timeout? ── no ──► the connection is given up
//!                                                            │
//! keeper: connect, probe (PING, a write), beat ◄─────────────┘ back-off that grows
//! ```
//!
//! So a dead Redis costs those calls one timeout that were waiting when it died, and later ones
//! nothing.

pub mod advice;
mod keeper;
mod target;
mod unavailable;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use redis::{Cmd, ErrorKind, FromRedisValue, RedisFuture, Script, ServerErrorKind, Value};
use tokio::sync::{Notify, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

pub use self::target::OpenError;
use self::target::Target;
pub use self::unavailable::Unavailable;
use crate::config::RedisOptions;
use crate::supervise::supervise;

/// The gateway's way to Redis: bounded in time, fails at once while Redis is away.
///
/// Cheap to clone; clones share one connection. A link belongs to the runtime that opened it.
#[derive(Clone)]
pub struct RedisLink {
    shared: Arc<Shared>,
    /// Ends the keeper with the last clone.
    _keeper: Arc<DropGuard>,
}

/// What link and keeper share.
struct Shared {
    target: Target,
    timeout: Duration,
    prefix: Arc<str>,
    /// None: away.
    connection: ArcSwapOption<Connected>,
    /// Why there is no connection.
    reason: Mutex<String>,
    /// Wakes the keeper: the connection was given up.
    given_up: Notify,
    available: watch::Sender<bool>,
    next_connection: AtomicU64,
}

/// A connection that answered its probe.
struct Connected {
    /// Tells it from its predecessors: who gives up an old one must not hit its successor.
    number: u64,
    connection: Connection,
}

#[derive(Clone)]
enum Connection {
    Single(redis::aio::MultiplexedConnection),
    Cluster(redis::cluster_async::ClusterConnection),
}

impl redis::aio::ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::Single(c) => c.req_packed_command(cmd),
            Self::Cluster(c) => c.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a redis::Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::Single(c) => c.req_packed_commands(pipeline, offset, count),
            Self::Cluster(c) => c.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::Single(c) => c.get_db(),
            Self::Cluster(c) => c.get_db(),
        }
    }
}

impl RedisLink {
    /// A link that connects in the background, and again whenever the connection is lost; never
    /// waits for Redis. Must be called within a runtime, which then drives the connection.
    ///
    /// # Errors
    /// When the options can never work.
    pub fn open(options: &RedisOptions) -> Result<Self, OpenError> {
        let (available, _) = watch::channel(false);
        let shared = Arc::new(Shared {
            target: Target::new(options)?,
            timeout: options.timeout,
            prefix: options.prefix.as_str().into(),
            connection: ArcSwapOption::empty(),
            reason: Mutex::new("not connected yet".to_owned()),
            given_up: Notify::new(),
            available,
            next_connection: AtomicU64::new(0),
        });
        let stop = CancellationToken::new();
        tokio::spawn({
            let (shared, stop) = (shared.clone(), stop.clone());
            supervise("the connection to Redis", stop.clone(), move || {
                keeper::keep(shared.clone(), stop.clone())
            })
        });
        Ok(Self {
            shared,
            _keeper: Arc::new(stop.drop_guard()),
        })
    }

    /// Sends one command.
    ///
    /// # Errors
    /// See [`Unavailable`]; never later than the timeout.
    pub async fn query<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Unavailable> {
        self.bounded(async |connection| command.query_async(connection).await)
            .await
            .and_then(converted)
    }

    /// Runs a script by its hash; one that Redis does not know (any more) is loaded first.
    ///
    /// # Errors
    /// See [`Unavailable`]; never later than the timeout.
    pub async fn invoke<T: FromRedisValue>(
        &self,
        script: &Script,
        keys: &[&str],
        args: &[Vec<u8>],
    ) -> Result<T, Unavailable> {
        // As the client's own invocation, but for its copies of all keys and args.
        let bytes: usize = keys.iter().map(|key| key.len()).sum::<usize>()
            + args.iter().map(Vec::len).sum::<usize>();
        let hash = script.get_hash();
        let mut command = Cmd::with_capacity(3 + keys.len() + args.len(), bytes + hash.len() + 16);
        command.arg("EVALSHA").arg(hash).arg(keys.len());
        command.arg(keys).arg(args);
        self.bounded(
            async |connection| match command.query_async(connection).await {
                Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                    script.prepare_invoke().load_async(connection).await?;
                    command.query_async(connection).await
                }
                answer => answer,
            },
        )
        .await
        .and_then(converted)
    }

    /// Sends several commands in one go; what they answer is not looked at, except for errors. In
    /// a cluster all their keys must lie in one slot.
    ///
    /// # Errors
    /// See [`Unavailable`]; never later than the timeout.
    pub async fn pipeline(&self, commands: &redis::Pipeline) -> Result<(), Unavailable> {
        self.bounded(async |connection| commands.query_async(connection).await)
            .await
            .map(drop)
    }

    /// Whether the last probe found Redis, and nothing was lost since.
    #[must_use]
    pub fn is_available(&self) -> bool {
        self.shared.connection.load().is_some()
    }

    /// [`Self::is_available`], as it changes.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<bool> {
        self.shared.available.subscribe()
    }

    /// First part of all keys, without a separator.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.shared.prefix
    }

    async fn bounded(
        &self,
        run: impl AsyncFnOnce(&mut Connection) -> redis::RedisResult<Value>,
    ) -> Result<Value, Unavailable> {
        let shared = &self.shared;
        let Some(connected) = shared.connection.load_full() else {
            return Err(Unavailable::Away(shared.reason.lock().clone()));
        };
        let mut connection = connected.connection.clone();
        match tokio::time::timeout(shared.timeout, run(&mut connection)).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => {
                let error = classify(&error);
                if error.is_fatal() {
                    shared.give_up(connected.number, &error);
                }
                Err(error)
            }
            Err(_) => {
                let error = Unavailable::TimedOut(shared.timeout);
                shared.give_up(connected.number, &error);
                Err(error)
            }
        }
    }
}

impl std::fmt::Debug for RedisLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisLink")
            .field("server", &self.shared.target.to_string())
            .field("available", &self.is_available())
            .finish_non_exhaustive()
    }
}

impl Shared {
    /// Nothing is sent on this connection any more; the keeper makes another one.
    fn give_up(&self, number: u64, why: &Unavailable) {
        let current = self.connection.load_full();
        if current.as_ref().is_none_or(|c| c.number != number) {
            return;
        }
        self.reason.lock().clone_from(&why.to_string());
        let previous = self.connection.compare_and_swap(&current, None);
        // Whoever did it first also tells of it.
        if previous.as_ref().is_some_and(|c| c.number == number) {
            tracing::warn!(server = %self.target, reason = %why, "Redis is away");
            self.available.send_replace(false);
            self.given_up.notify_one();
        }
    }

    fn connected(&self, connection: Connection) -> u64 {
        let number = self.next_connection.fetch_add(1, Ordering::Relaxed);
        self.connection
            .store(Some(Arc::new(Connected { number, connection })));
        self.available.send_replace(true);
        tracing::info!(server = %self.target, "connected to Redis");
        number
    }
}

fn converted<T: FromRedisValue>(value: Value) -> Result<T, Unavailable> {
    redis::from_redis_value(value).map_err(|error| Unavailable::Unexpected(error.to_string()))
}

/// What an error of the client means for who asked.
fn classify(error: &redis::RedisError) -> Unavailable {
    let text = error.to_string();
    match error.kind() {
        ErrorKind::Server(
            ServerErrorKind::ReadOnly
            | ServerErrorKind::MasterDown
            | ServerErrorKind::ClusterDown
            | ServerErrorKind::BusyLoading,
        ) => Unavailable::ReadOnly(text),
        // Before Redis 7 a script hides it in its own error.
        _ if text.contains("READONLY") => Unavailable::ReadOnly(text),
        ErrorKind::Server(_) | ErrorKind::Extension => Unavailable::Refused(text),
        _ => Unavailable::Lost(text),
    }
}
