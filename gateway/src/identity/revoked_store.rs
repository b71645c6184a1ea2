//! Revocations in Redis, for gateways that start later or have missed a message.
//!
//! Each change gets the next generation, so that a look for news reads what is new and nothing
//! else. All keys have one hash tag: one shard of a cluster, one script.

use std::sync::LazyLock;

use redis::{Script, Value};

use super::revoked::{News, Revocation};
use crate::redis_link::{RedisLink, Unavailable};

/// Changes that are read at once.
const PAGE: usize = 500;

static REVOKE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/revoke.lua")));
static NEWS: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/news.lua")));

/// The list that all gateways share.
#[derive(Debug)]
pub(super) struct RevokedStore {
    link: RedisLink,
    keys: [String; 4],
    /// Up to which generation all is known.
    seen: u64,
}

/// What was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) news: Vec<News>,
    /// There is more to read.
    pub(super) more: bool,
    /// Redis has forgotten what it knew.
    pub(super) lost: bool,
}

impl RevokedStore {
    pub(super) fn new(link: RedisLink) -> Self {
        let tag = format!("{{{}:revoked}}", link.prefix());
        let keys = ["generation", "changes", "at", "expiring"];
        Self {
            keys: keys.map(|key| format!("{tag}:{key}")),
            link,
            seen: 0,
        }
    }

    /// Begins anew: the next page is the first one.
    pub(super) fn rewind(&mut self) {
        self.seen = 0;
    }

    /// Writes a change, unless a newer one of the same is there; false: there is no room for it.
    pub(super) async fn write(
        &self,
        news: &News,
        oldest: u64,
        most: usize,
    ) -> Result<bool, Unavailable> {
        let for_good = matches!(news.what, Revocation::ApiKey(_)) && !news.restored;
        let sign = if news.restored { "-" } else { "" };
        let arguments = [
            format!("{}:{}", news.what.kind(), news.what.value()),
            format!("{sign}{}", news.at),
            u8::from(for_good).to_string(),
            oldest.to_string(),
            most.to_string(),
        ];
        let arguments = arguments.map(String::into_bytes);
        let keys = self.keys.each_ref().map(String::as_str);
        let written: i64 = self.link.invoke(&REVOKE, &keys, &arguments).await?;
        Ok(written >= 0)
    }

    /// What was changed since the last page, oldest first.
    pub(super) async fn read(&mut self) -> Result<Page, Unavailable> {
        let arguments = [self.seen, PAGE as u64].map(|n| n.to_string().into_bytes());
        let keys = self.keys.each_ref().map(String::as_str);
        let reply: Vec<Value> = self.link.invoke(&NEWS, &keys, &arguments).await?;
        let mut values = reply.into_iter();
        let generation = values.next().and_then(number).unwrap_or(0);
        let mut page = Page {
            news: Vec::new(),
            more: false,
            lost: generation < self.seen,
        };
        let mut changes = 0;
        while let (Some(at_generation), Some(member), Some(at)) =
            (values.next(), values.next(), values.next())
        {
            changes += 1;
            self.seen = number(at_generation).unwrap_or(self.seen);
            let change = redis::from_redis_value::<String>(member)
                .ok()
                .zip(redis::from_redis_value::<i64>(at).ok())
                .and_then(|(member, at)| parse(&member, at));
            page.news.extend(change);
        }
        page.more = changes == PAGE;
        if !page.more {
            self.seen = generation;
        }
        Ok(page)
    }
}

fn number(value: Value) -> Option<u64> {
    redis::from_redis_value(value).ok()
}

/// What a newer gateway may write and this one does not know is passed over.
fn parse(member: &str, at: i64) -> Option<News> {
    let (kind, value) = member.split_once(':')?;
    Some(News {
        what: Revocation::new(kind, value).ok()?,
        at: at.unsigned_abs(),
        restored: at < 0,
    })
}
