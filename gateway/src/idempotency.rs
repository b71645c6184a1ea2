//! Answers by idempotency key, so that a repeated request does not run again.

pub mod memory;
pub mod redis;

use std::fmt::Debug;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use sluice_protocol::{CallError, ErrorCode};

/// The store cannot do its work now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// It cannot be reached, or does not answer.
    #[error("the store of idempotency keys is unavailable: {0}")]
    Unavailable(String),
    /// It holds as many keys of calls in flight as it may.
    #[error("too many calls with idempotency keys are in flight")]
    Full,
}

/// Most bytes of a client's key.
const MAX_KEY_BYTES: usize = 255;

/// Checks a key as a client sent it.
///
/// # Errors
/// `invalid_request` when it is empty, too long, or not printable ASCII.
pub fn check_key(key: &str) -> Result<(), CallError> {
    let printable = key.bytes().all(|b| (0x20..0x7f).contains(&b));
    if !key.is_empty() && key.len() <= MAX_KEY_BYTES && printable {
        return Ok(());
    }
    let text = format!("the idempotency key must be 1 to {MAX_KEY_BYTES} bytes of printable ASCII");
    Err(CallError::new(ErrorCode::InvalidRequest, text))
}

/// One request's wish to be the one that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Caller, function and the client's key, as a digest.
    pub key: String,
    /// What is asked, as a digest: another one under the same key is a conflict.
    pub fingerprint: String,
    /// Who claims: random, so that only this one may finish.
    pub token: String,
    /// How long the call may run. A claim that is older has lost its gateway.
    pub lease: Duration,
    /// Whether a call that was lost may simply run again.
    pub may_repeat: bool,
}

/// What a claim finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claimed {
    /// Nothing: the call is to run, and to be finished.
    Run,
    /// The same request ran; these are the bytes of its answer.
    Answered(Bytes),
    /// The same request runs.
    InFlight,
    /// The same request was to run, and its gateway has gone.
    Lost,
    /// Another request has this key.
    Conflict,
}

/// Keeps answers by key, for a limited time.
pub trait OnceStore: Debug + Send + Sync {
    /// Claims a key. A claim that is repeated with the same token finds what it found.
    fn claim<'a>(&'a self, claim: &'a Claim) -> BoxFuture<'a, Result<Claimed, StoreError>>;

    /// Keeps the answer of a claim, or with `None` forgets the claim. Changes nothing if the key
    /// is not the claim's any more.
    fn finish<'a>(
        &'a self,
        claim: &'a Claim,
        answer: Option<Bytes>,
    ) -> BoxFuture<'a, Result<(), StoreError>>;
}
