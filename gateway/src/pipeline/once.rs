//! Around dispatch: a request with an idempotency key runs once, and its answer is repeated.
//!
//! ```text
//! claim ── nobody had the key ──► dispatch ──► keep the answer (or free the key) ──► answer
//!    ├──── the same request ran ──► its answer, word for word
//!    ├──── the same request runs ──► duplicate_request, to be repeated later
//!    ├──── it was lost with its gateway ──► worker_lost, unless the function is idempotent
//!    └──── another request ──► idempotency_conflict
//! ```
//!
//! A call with a key goes on when its client goes away: the client that comes back for the answer
//! is what the key is for.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use sluice_protocol::error::ErrorSource;
use sluice_protocol::function::ResponseType;
use sluice_protocol::response::Answer;
use sluice_protocol::{ApiVersion, CallError, ErrorCode, Executed};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::Ready;
use super::authorize::Admitted;
use super::resolve::Resolved;
use crate::idempotency::{Claim, Claimed, OnceStore, StoreError};
use crate::reply::Reply;
use crate::results::codec;
use crate::telemetry::Recorder;
use crate::telemetry::names::Series;

/// A call ends a little after its deadline.
const GRACE: Duration = Duration::from_secs(10);
/// How long an answer tries to get into a store that is away, and how often.
const SETTLE_WITHIN: Duration = Duration::from_secs(30);
const SETTLE_AGAIN: Duration = Duration::from_millis(200);
/// Answers that may try at once; each holds its bytes.
const MAX_SETTLING: usize = 1024;

/// What a client asked under its key, as it asked: hooks may change the args later.
#[derive(Debug)]
pub(super) struct Asked {
    key: String,
    fingerprint: String,
}

impl Asked {
    /// `None`: the call has no key.
    pub(super) fn of(resolved: &Resolved) -> Option<Self> {
        let call = &resolved.call;
        let client_key = call.idempotency_key.as_deref()?;
        let identity = &call.identity;
        // Strangers do not share keys: one could read the answer of another.
        let (kind, owner) = match &identity.user_id {
            Some(user) => ("user", user.clone()),
            None => {
                let address = call.caller.address.map(|a| a.to_string());
                ("address", address.unwrap_or_default())
            }
        };
        let service = call.service.as_str();
        let function = call.request_type.as_str();
        let api_key = call.caller.api_key.as_deref().unwrap_or_default();
        // The version that was found, however it was named: `1.0`, `^1` or not at all.
        let version = resolved.function.version.as_ref();
        let version = version.map_or("", ApiVersion::as_str);
        let encoding = call.args.encoding.name();
        Some(Self {
            key: digest(&[
                kind.as_bytes(),
                owner.as_bytes(),
                api_key.as_bytes(),
                service.as_bytes(),
                function.as_bytes(),
                client_key.as_bytes(),
            ]),
            fingerprint: digest(&[version.as_bytes(), encoding.as_bytes(), &call.args.bytes]),
        })
    }
}

/// Refuses a call with a key whose function has no single answer to repeat.
pub(super) fn takes_key(call: &Admitted) -> Result<(), CallError> {
    let resolved = call.as_resolved();
    let spec = resolved.spec();
    let repeatable = matches!(spec.response_type, ResponseType::Sync | ResponseType::None);
    if repeatable || resolved.call.idempotency_key.is_none() {
        return Ok(());
    }
    let text = format!(
        "{} is not sync: it takes no idempotency key; the call did not run",
        spec.label()
    );
    Err(CallError::new(ErrorCode::InvalidRequest, text))
}

/// One text for several fields: no two lists of fields have the same.
fn digest(fields: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for field in fields {
        hash.update((field.len() as u64).to_be_bytes());
        hash.update(field);
    }
    hex::encode(hash.finalize())
}

/// Lets each request with a key run once. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Once {
    store: Arc<dyn OnceStore>,
    max_answer_bytes: usize,
    settling: Arc<Semaphore>,
    recorder: Arc<Recorder>,
}

impl Once {
    pub(super) fn new(store: Arc<dyn OnceStore>, max_answer_bytes: usize) -> Self {
        Self {
            store,
            max_answer_bytes,
            settling: Arc::new(Semaphore::new(MAX_SETTLING)),
            recorder: Arc::default(),
        }
    }

    pub(super) fn recorded_by(self, recorder: Arc<Recorder>) -> Self {
        Self { recorder, ..self }
    }

    /// The same over another store.
    pub(super) fn over(self, store: Arc<dyn OnceStore>) -> Self {
        Self { store, ..self }
    }

    /// Resolves when no answer is on its way to the store.
    pub(super) async fn settled(&self) {
        // All permits: nobody holds one.
        let _ = self.settling.acquire_many(MAX_SETTLING as u32).await;
    }

    /// Sends a call that has a key, unless the request ran before.
    pub(super) async fn run<F>(
        &self,
        asked: Asked,
        call: Ready,
        send: impl FnOnce(Ready) -> F + Send + 'static,
    ) -> Result<Reply, CallError>
    where
        F: Future<Output = Result<Reply, CallError>> + Send + 'static,
    {
        let claim = Claim {
            key: asked.key,
            fingerprint: asked.fingerprint,
            token: crate::random::text::<32>(),
            lease: call.deadline().saturating_duration_since(Instant::now()) + GRACE,
            may_repeat: call.spec().idempotent,
        };
        // A task of its own: neither claim nor call end with the client's connection.
        let task = tokio::spawn(self.clone().claimed(claim, call, send));
        task.await.unwrap_or_else(|_| {
            let text = "the gateway failed; whether the call ran is unknown";
            let error = CallError::new(ErrorCode::Internal, text);
            Err(error.with_executed(Executed::Unknown, false))
        })
    }

    async fn claimed<F>(
        self,
        claim: Claim,
        call: Ready,
        send: impl FnOnce(Ready) -> F + Send + 'static,
    ) -> Result<Reply, CallError>
    where
        F: Future<Output = Result<Reply, CallError>> + Send + 'static,
    {
        let label = call.spec().label();
        let claimed = self.store.claim(&claim).await;
        self.recorder.inc(match &claimed {
            Ok(Claimed::Run) => Series::OnceRun,
            Ok(Claimed::Answered(_)) => Series::OnceReplayed,
            Ok(Claimed::InFlight | Claimed::Lost | Claimed::Conflict) | Err(_) => {
                Series::OnceRefused
            }
        });
        match claimed {
            Ok(Claimed::Run) => {}
            Ok(Claimed::Answered(bytes)) => return repeated(&bytes, &label),
            Ok(Claimed::InFlight) => return Err(in_flight(&label)),
            Ok(Claimed::Lost) => return Err(lost(&label)),
            Ok(Claimed::Conflict) => return Err(conflict(&label)),
            Err(StoreError::Full) => {
                let text = format!("{}; the call did not run", StoreError::Full);
                return Err(CallError::new(ErrorCode::Overloaded, text));
            }
            Err(error) => {
                // The claim may have arrived all the same, and would stand in the way.
                self.settle(claim, None).await;
                return Err(unavailable(&error, &label));
            }
        }
        let outcome = send(call).await;
        let answer = self.to_keep(&outcome, &label);
        self.settle(claim, answer).await;
        outcome
    }

    /// The bytes of an answer that repeats; `None`: the request may run again.
    fn to_keep(&self, outcome: &Result<Reply, CallError>, label: &str) -> Option<Bytes> {
        let answer = match outcome {
            Ok(Reply::Result(payload)) => Answer::Result(payload.clone()),
            // Stands for "accepted": such calls have no other answer.
            Ok(_) => Answer::StreamEnd,
            Err(error) if error.can_retry => return None,
            Err(error) => Answer::from(error.clone()),
        };
        let bytes = codec::encode(&answer)?;
        if bytes.len() <= self.max_answer_bytes {
            return Some(bytes.into());
        }
        let text = format!(
            "{label} ran under this idempotency key, and its answer was too large to be kept"
        );
        let error = CallError::new(ErrorCode::Internal, text);
        let told = Answer::from(error.with_executed(Executed::Yes, false));
        codec::encode(&told).map(Bytes::from)
    }

    /// Ends a claim; in the background where the store is away. A claim that does not end counts
    /// as lost after its lease: its request never runs again.
    async fn settle(&self, claim: Claim, answer: Option<Bytes>) {
        let Err(error) = self.store.finish(&claim, answer.clone()).await else {
            return;
        };
        let Ok(permit) = self.settling.clone().try_acquire_owned() else {
            tracing::error!(%error, "the answer of a call with an idempotency key is lost");
            return;
        };
        let store = self.store.clone();
        tokio::spawn(async move {
            let again = async {
                loop {
                    tokio::time::sleep(SETTLE_AGAIN).await;
                    if store.finish(&claim, answer.clone()).await.is_ok() {
                        return;
                    }
                }
            };
            if tokio::time::timeout(SETTLE_WITHIN, again).await.is_err() {
                tracing::error!(%error, "the answer of a call with an idempotency key is lost");
            }
            drop(permit);
        });
    }
}

fn repeated(bytes: &Bytes, label: &str) -> Result<Reply, CallError> {
    match codec::decode(bytes) {
        Some(Answer::Result(payload)) => Ok(Reply::Result(payload)),
        Some(Answer::StreamEnd) => Ok(Reply::Accepted),
        Some(Answer::Error(error)) => Err(*error),
        _ => {
            let text =
                format!("{label} ran under this idempotency key, and its answer cannot be read");
            Err(CallError::new(ErrorCode::Internal, text).with_executed(Executed::Yes, false))
        }
    }
}

fn in_flight(label: &str) -> CallError {
    let text = format!(
        "{label} runs under this idempotency key; repeat the request later to get its answer"
    );
    let mut error = CallError::new(ErrorCode::DuplicateRequest, text);
    error.can_retry = true;
    error.with_detail("retry_after_ms", 1000)
}

fn conflict(label: &str) -> CallError {
    let text = format!(
        "the idempotency key was used for another request to {label}: other args, version or \
         encoding; take a new key for a new request"
    );
    CallError::new(ErrorCode::IdempotencyConflict, text)
}

fn lost(label: &str) -> CallError {
    let text = format!(
        "the gateway that ran {label} under this idempotency key has gone; whether it ran is \
         unknown, and it is not run again"
    );
    CallError::new(ErrorCode::WorkerLost, text)
        .with_source(ErrorSource::Gateway)
        .with_executed(Executed::Unknown, false)
}

fn unavailable(error: &StoreError, label: &str) -> CallError {
    let text = format!("{error}; {label} did not run, repeat the request later");
    let mut error = CallError::new(ErrorCode::Internal, text);
    error.status = Some(503);
    error.can_retry = true;
    error
}

#[cfg(test)]
mod tests;
