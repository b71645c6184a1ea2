//! Results in Redis: any gateway answers for a call, wherever it ran.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use redis::Script;
use sluice_protocol::response::Answer;
use sluice_protocol::{CallError, ErrorCode, Executed, RequestId};
use tokio::sync::Semaphore;

use super::codec;
use super::hub::{Hub, letterbox};
use super::{Record, ResultStore, StoreError};
use crate::redis_link::{RedisLink, Unavailable};

/// Writes a record. The first answer stays: nothing is answered then, else the gateways that wait
/// for the end.
/// ARGV: request id, owner, gateway, answer ("": pending), milliseconds to live, milliseconds
/// after which a pending call has lost its gateway.
static PUT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('HEXISTS', KEYS[1], 'answer') == 1 then return false end
         redis.call('HSET', KEYS[1], 'request', ARGV[1], 'owner', ARGV[2], 'gateway', ARGV[3])
         redis.call('PEXPIRE', KEYS[1], ARGV[5])
         if ARGV[4] == '' then
           local now = redis.call('TIME')
           local due = now[1] * 1000 + math.floor(now[2] / 1000) + ARGV[6]
           redis.call('HSET', KEYS[1], 'due', string.format('%.0f', due))
           return ''
         end
         redis.call('HSET', KEYS[1], 'answer', ARGV[4])
         return redis.call('HGET', KEYS[1], 'waiting') or ''",
    )
});

/// Reads a record: request id, owner, gateway, answer, and whether it has lost its gateway. By
/// Redis' clock, so that those of gateways do not matter.
static READ: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local found = redis.call('HMGET', KEYS[1], 'request', 'owner', 'gateway', 'answer', 'due')
         local lost = 0
         if not found[4] and found[5] then
           local now = redis.call('TIME')
           if now[1] * 1000 + now[2] / 1000 > tonumber(found[5]) then lost = 1 end
         end
         return { found[1], found[2], found[3], found[4], lost }",
    )
});

/// Notes that gateway ARGV[1] waits for the end. Answers 0: it does now; 1: there is an answer, or
/// will be none; 2: there is no record.
static WAIT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('EXISTS', KEYS[1]) == 0 then return 2 end
         if redis.call('HEXISTS', KEYS[1], 'answer') == 1 then return 1 end
         local due, now = redis.call('HGET', KEYS[1], 'due'), redis.call('TIME')
         if due and now[1] * 1000 + now[2] / 1000 > tonumber(due) then return 1 end
         local waiting = redis.call('HGET', KEYS[1], 'waiting') or ''
         if not string.find('\\n' .. waiting, '\\n' .. ARGV[1] .. '\\n', 1, true) then
           redis.call('HSET', KEYS[1], 'waiting', waiting .. ARGV[1] .. '\\n')
         end
         return 0",
    )
});

/// How often a waiter looks by itself: letters are lost where Redis is.
const LOOK_AGAIN: Duration = Duration::from_secs(3);
/// How long an answer tries to get into a Redis that is away.
const WRITE_WITHIN: Duration = Duration::from_secs(30);
/// So long after its time is up a call has no answer any more: one that ended in time is written
/// by then.
const LATE: Duration = WRITE_WITHIN.saturating_add(Duration::from_secs(5));
/// Answers that may try at once; each holds its bytes.
const MAX_WRITING: usize = 256;
/// Letters to a gateway that has gone must not stay for ever.
const LETTERS_LIVE_MS: u64 = 600_000;
const MAX_LETTERS: i64 = 10_000;

/// Records that all gateways of one Redis share.
#[derive(Debug)]
pub struct RedisResults {
    link: RedisLink,
    hub: Arc<Hub>,
    ttl: Duration,
    longest_call: Duration,
    writing: Semaphore,
}

impl RedisResults {
    /// A store whose answers are kept for `ttl`. `longest_call` is how long a call may run that
    /// does not say it itself: what is pending for longer has lost its gateway.
    #[must_use]
    pub fn new(link: RedisLink, hub: Arc<Hub>, ttl: Duration, longest_call: Duration) -> Self {
        Self {
            link,
            hub,
            ttl,
            longest_call,
            writing: Semaphore::new(MAX_WRITING),
        }
    }

    fn key(&self, id: &str) -> String {
        format!("{}:result:{id}", self.link.prefix())
    }

    /// False: there is an answer already.
    async fn write(&self, id: &str, record: &Record) -> Result<bool, Unavailable> {
        let answer = record.answer.as_ref().and_then(codec::encode);
        let lost_after = record.within.unwrap_or(self.longest_call) + LATE;
        let ttl = match answer {
            Some(_) => self.ttl,
            // That it is lost can be read for as long as an answer could.
            None => lost_after + self.ttl,
        };
        // A letter before the name tells the anonymous from a user without a name.
        let owner = match &record.owner {
            Some(user) => format!("u{user}"),
            None => String::new(),
        };
        let args = [
            record.request_id.as_str().as_bytes().to_vec(),
            owner.into_bytes(),
            self.hub.gateway().as_bytes().to_vec(),
            answer.unwrap_or_default(),
            ttl.as_millis().to_string().into_bytes(),
            lost_after.as_millis().to_string().into_bytes(),
        ];
        let key = self.key(id);
        let waiting: Option<String> = self.link.invoke(&PUT, &[&key], &args).await?;
        let Some(waiting) = waiting else {
            return Ok(false);
        };
        for gateway in waiting.lines().filter(|g| *g != self.hub.gateway()) {
            // Who gets no letter looks by itself.
            let _ = self.send(gateway, &format!("e{id}")).await;
        }
        Ok(true)
    }

    /// Writes an answer, also if Redis is away for a while: the call has run.
    async fn write_answer(&self, id: &str, record: &Record) -> Result<(), StoreError> {
        let Err(first) = self.write(id, record).await else {
            return Ok(());
        };
        let Ok(_permit) = self.writing.try_acquire() else {
            return Err(first.into());
        };
        let again = async {
            let mut available = self.link.watch();
            loop {
                if available.wait_for(|is| *is).await.is_err() {
                    return;
                }
                match self.write(id, record).await {
                    Ok(_) => return,
                    // The watch may lag behind a connection that just broke.
                    Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                }
            }
        };
        match tokio::time::timeout(WRITE_WITHIN, again).await {
            Ok(()) => Ok(()),
            Err(_) => Err(first.into()),
        }
    }

    async fn send(&self, gateway: &str, letter: &str) -> Result<(), Unavailable> {
        let mut letters = redis::pipe();
        let to = letterbox(self.link.prefix(), gateway);
        letters.rpush(&to, letter);
        letters.ltrim(&to, -MAX_LETTERS as isize, -1);
        letters.pexpire(&to, LETTERS_LIVE_MS as i64);
        self.link.pipeline(&letters).await
    }

    async fn read(&self, id: &str) -> Result<Option<Found>, StoreError> {
        type Fields = (
            Option<String>,
            Option<String>,
            Option<String>,
            Option<Vec<u8>>,
            bool,
        );
        let (request, owner, gateway, answer, lost): Fields =
            self.link.invoke(&READ, &[&self.key(id)], &[]).await?;
        let Some(request) = request else {
            return Ok(None);
        };
        let unreadable = || StoreError::Unavailable("a record cannot be read".to_owned());
        let answer = match answer {
            Some(bytes) => Some(codec::decode(&Bytes::from(bytes)).ok_or_else(unreadable)?),
            None if lost => Some(lost_answer()),
            None => None,
        };
        let record = Record {
            request_id: RequestId::new(&request).map_err(|_| unreadable())?,
            owner: owner.and_then(|o| o.strip_prefix('u').map(str::to_owned)),
            answer,
            within: None,
        };
        Ok(Some(Found {
            record,
            gateway: gateway.unwrap_or_default(),
        }))
    }

    /// Waits for the end of another gateway's call.
    async fn end_of(&self, id: &str) -> Result<Option<Record>, StoreError> {
        let waiting = self.hub.wait_for(id);
        let args = [self.hub.gateway().as_bytes().to_vec()];
        let key = self.key(id);
        let mut failures = 0;
        loop {
            match self.link.invoke::<u8>(&WAIT, &[&key], &args).await {
                Ok(0) => failures = 0,
                Ok(_) => match self.read(id).await {
                    Ok(found) => return Ok(found.map(|f| f.record)),
                    Err(error) => failures = or_too_often(failures, error)?,
                },
                // The record may be there again when Redis is.
                Err(error) => failures = or_too_often(failures, error.into())?,
            }
            let _ = tokio::time::timeout(LOOK_AGAIN, waiting.ended.cancelled()).await;
            if waiting.ended.is_cancelled() {
                return Ok(self.read(id).await?.map(|f| f.record));
            }
        }
    }
}

/// What became of a call whose gateway was killed.
fn lost_answer() -> Answer {
    let text = "the call has no answer and its time is up: the gateway that ran it was lost; \
                whether the call ran is unknown";
    let error = CallError::new(ErrorCode::WorkerLost, text);
    error.with_executed(Executed::Unknown, false).into()
}

/// Half a minute of failures is enough.
fn or_too_often(failures: u32, error: StoreError) -> Result<u32, StoreError> {
    let most = (WRITE_WITHIN.as_secs() / LOOK_AGAIN.as_secs()) as u32;
    match failures < most {
        true => Ok(failures + 1),
        false => Err(error),
    }
}

struct Found {
    record: Record,
    /// Where the call runs.
    gateway: String,
}

impl From<Unavailable> for StoreError {
    fn from(error: Unavailable) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl ResultStore for RedisResults {
    fn put<'a>(&'a self, id: &'a str, record: Record) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            if record.answer.is_some() {
                let written = self.write_answer(id, &record).await;
                self.hub.end(id);
                return written;
            }
            // Before others can read of it, so that their letters find it.
            self.hub.start(id);
            let written = self.write(id, &record).await;
            if written != Ok(true) {
                self.hub.end(id);
            }
            Ok(written.map(drop)?)
        })
    }

    fn get<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<Record>, StoreError>> {
        Box::pin(async move { Ok(self.read(id).await?.map(|f| f.record)) })
    }

    fn finished<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<Record>, StoreError>> {
        Box::pin(async move {
            match self.hub.running(id) {
                Some(running) => {
                    running.ended.cancelled().await;
                    self.get(id).await
                }
                None => self.end_of(id).await,
            }
        })
    }

    fn cancel<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move {
            if let Some(running) = self.hub.running(id) {
                running.cancel.cancel();
                return Ok(true);
            }
            match self.read(id).await? {
                Some(found) if found.record.answer.is_none() => {
                    self.send(&found.gateway, &format!("c{id}")).await?;
                    Ok(true)
                }
                _ => Ok(false),
            }
        })
    }

    fn cancelled<'a>(&'a self, id: &'a str) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            match self.hub.running(id) {
                Some(running) => running.cancel.cancelled().await,
                None => std::future::pending().await,
            }
        })
    }
}

#[cfg(test)]
mod tests;
