//! Runs scripts and commands over the link.

use std::fmt::Debug;

use ::redis::{self, FromRedisValue, Script, Value};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::keys::Keys;
use super::question::Question;
use crate::limiter::store::{Unavailable, Verdict};
use crate::redis_link::RedisLink;

/// How commands reach Redis: with a bounded wait, and none where it is known to be away.
pub(in crate::limiter) trait Link: Debug + Send + Sync {
    /// Runs a script; loads it where Redis does not have it (any more).
    fn invoke<'a>(
        &'a self,
        script: &'a Script,
        keys: &'a [&'a str],
        args: &'a [Vec<u8>],
    ) -> BoxFuture<'a, Result<Value, String>>;
    /// Runs a command.
    fn query<'a>(&'a self, command: &'a redis::Cmd) -> BoxFuture<'a, Result<Value, String>>;
}

impl Link for RedisLink {
    fn invoke<'a>(
        &'a self,
        script: &'a Script,
        keys: &'a [&'a str],
        args: &'a [Vec<u8>],
    ) -> BoxFuture<'a, Result<Value, String>> {
        let answer = Self::invoke(self, script, keys, args);
        answer.map(|a| a.map_err(|e| e.to_string())).boxed()
    }

    fn query<'a>(&'a self, command: &'a redis::Cmd) -> BoxFuture<'a, Result<Value, String>> {
        let answer = Self::query(self, command);
        answer.map(|a| a.map_err(|e| e.to_string())).boxed()
    }
}

/// A link, and what is asked over it.
#[derive(Debug)]
pub(super) struct Asker<L> {
    pub(super) link: L,
    pub(super) keys: Keys,
    /// The key of the rules' generation.
    pub(super) generation: String,
    pub(super) check: Script,
}

impl<L: Link> Asker<L> {
    /// Runs `check.lua`; `generation` is its first key. One verdict for each call.
    pub(super) async fn ask(
        &self,
        generation: &str,
        question: &Question,
    ) -> Result<Vec<Verdict>, Unavailable> {
        let keys: Vec<&str> = std::iter::once(generation).chain(question.keys()).collect();
        let args = [question.argument()];
        let answer = self.link.invoke(&self.check, &keys, &args).await;
        let verdicts = match answer.map_err(Unavailable)? {
            Value::BulkString(bytes) => question.read(&bytes),
            _ => None,
        };
        verdicts.ok_or_else(|| Unavailable("an unexpected answer of the script".to_owned()))
    }

    pub(super) async fn invoke<T: FromRedisValue>(
        &self,
        script: &Script,
        keys: &[&str],
        args: &[Vec<u8>],
    ) -> Result<T, Unavailable> {
        let value = self.link.invoke(script, keys, args).await;
        parse(value.map_err(Unavailable)?)
    }

    pub(super) async fn query<T: FromRedisValue>(
        &self,
        command: &redis::Cmd,
    ) -> Result<T, Unavailable> {
        parse(self.link.query(command).await.map_err(Unavailable)?)
    }
}

fn parse<T: FromRedisValue>(value: Value) -> Result<T, Unavailable> {
    T::from_redis_value(value).map_err(|e| Unavailable(format!("an unexpected answer: {e}")))
}
