//! One call, from its place in the queue to its final frame.

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use sluice_protocol::function::ResponseType;
use sluice_protocol::{ErrorCode, Executed, Frame, Payload};
use tokio::time::Instant;

use super::intake::Incoming;
use super::outlet::Sink;
use super::reply::Replier;
use super::running::Running;
use super::service::Entry;
use super::shared::Shared;
use super::stream::Lane;
use super::table::Held;
use crate::change::run::Translation;
use crate::context::{self, Context};
use crate::error::Error;
use crate::function::Body;
use crate::telemetry::CallSpan;

/// How a call ended well.
#[derive(Debug)]
pub(crate) enum Done {
    /// With a result.
    Result(Payload),
    /// A stream, after so many items.
    End(u64),
    /// A stream whose last item said so.
    LastItem,
    /// It was never begun: its caller had given up. Nobody is told.
    TooLate,
}

/// Serves one call. `held` keeps it in the table until its final frame is on its way.
pub(crate) async fn serve(
    shared: Arc<Shared>,
    entry: Arc<Entry>,
    incoming: Incoming,
    held: Held,
    replier: Replier,
    mut recorded: CallSpan,
) {
    let started = Instant::now();
    if entry.spec.response_type != ResponseType::Sync {
        replier.accepted().await;
    }
    let outcome = run(&shared, &entry, incoming, &held.call, &replier).await;
    // From here on a beat would follow the final frame.
    held.call.silence();
    let error = match outcome {
        Ok(Done::TooLate) => {
            tracing::debug!("call dropped: its deadline had passed before it began");
            None
        }
        Ok(done) => finish(&entry, &replier, done).await.err(),
        Err(error) => Some(error),
    };
    recorded.end(error.as_ref().map(Error::code));
    let text = error.as_ref().map(ToString::to_string);
    if let Some(error) = error {
        report(&error);
        if entry.spec.response_type != ResponseType::None {
            replier.error(error).await;
        }
    }
    entry.stats.record(started.elapsed(), text);
    drop(held);
}

async fn run(
    shared: &Arc<Shared>,
    entry: &Entry,
    incoming: Incoming,
    call: &Arc<Running>,
    replier: &Replier,
) -> Result<Done, Error> {
    let _slot = match shared.slots.try_acquire() {
        Ok(slot) => slot,
        Err(_) => tokio::select! {
            slot = shared.slots.acquire() => slot.map_err(Error::from)?,
            () = call.cancel.cancelled() => return Err(call.end_error()),
        },
    };
    if call.is_late(Instant::now()) {
        return Ok(Done::TooLate);
    }
    let (encoding, batches) = (incoming.headers.encoding, incoming.headers.batch);
    let translation = translation(entry, incoming.pending.as_deref())?;
    let args = match &translation {
        Some(t) => caught(|| t.request(&entry.spec, &incoming.headers.identity, incoming.args))?,
        None => incoming.args,
    };
    let ctx = Context::new(context::Inner {
        headers: incoming.headers,
        service: entry.spec.service.clone(),
        function: entry.spec.request_type.clone(),
        version: entry.spec.version.clone(),
        instance: shared.instance.clone(),
        deadline: incoming.deadline,
        cancel: call.cancel.clone(),
        outbound: shared.outbound.clone(),
    });
    let sink = || Sink::Nats(replier.clone());
    let lane = || {
        Lane::new(call.clone(), sink(), encoding)
            .translated(translation.clone())
            .batching(batches)
    };
    let done = invoke(&entry.body, ctx, args, call, lane).await;
    match (done, &translation) {
        (Ok(Done::Result(result)), Some(t)) => caught(|| t.response(result)).map(Done::Result),
        (Err(error), Some(t)) => Err(t.error(error)),
        (done, _) => done,
    }
}

/// Changes in code are code of others: a panic is an answer like any other.
fn caught<T>(work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    std::panic::catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|panic| Err(panicked(panic.as_ref())))
}

/// What an older version's requests pass here. A version that is not known must not run: nobody
/// checked its permission.
fn translation(entry: &Entry, pending: Option<&str>) -> Result<Option<Arc<Translation>>, Error> {
    let Some(version) = pending else {
        return Ok(None);
    };
    let known = entry.chains.get(version).cloned();
    known.map(Some).ok_or_else(|| {
        let text = format!("{} translates no version {version:?}", entry.spec.label());
        Error::of(ErrorCode::UnknownVersion, text).executed(Executed::No)
    })
}

/// Runs a handler until it is done, panics, or its call ends before.
pub(crate) async fn invoke(
    body: &Body,
    ctx: Context,
    args: Payload,
    call: &Arc<Running>,
    lane: impl FnOnce() -> Lane,
) -> Result<Done, Error> {
    call.start();
    let handler = match body {
        Body::Unary(handler) => {
            let work = async { handler(ctx, args).await.map(Done::Result) };
            return guarded(call, work).await;
        }
        Body::Stream(handler) => handler,
    };
    let lane = lane();
    let outcome = guarded(call, async {
        let work = async {
            handler(ctx, args, lane.clone()).await?;
            Ok(lane.finish().await.map_or(Done::LastItem, Done::End))
        };
        // Whenever the handler waits, what it has sent leaves.
        tokio::select! {
            biased;
            outcome = work => outcome,
            never = lane.flow() => match never {},
        }
    })
    .await;
    // What was sent before an error goes before it, unless nobody listens any more.
    if outcome.is_err() && !call.cancel.is_cancelled() {
        lane.flush().await;
    }
    outcome
}

/// Work of a handler, up to its end, its panic, or the end of its call.
async fn guarded(
    call: &Running,
    work: impl Future<Output = Result<Done, Error>>,
) -> Result<Done, Error> {
    // The handler's future is dropped within, so that a panic of its destructors is caught too.
    let guarded = AssertUnwindSafe(async {
        tokio::select! {
            biased;
            outcome = work => outcome,
            () = call.cancel.cancelled() => Err(call.end_error()),
        }
    });
    match guarded.catch_unwind().await {
        Ok(outcome) => outcome,
        Err(panic) => Err(panicked(panic.as_ref())),
    }
}

fn panicked(panic: &(dyn Any + Send)) -> Error {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "with a value that is no text".to_owned());
    Error::internal(format!("the handler panicked: {text}")).executed(Executed::Unknown)
}

async fn finish(entry: &Entry, replier: &Replier, done: Done) -> Result<(), Error> {
    match done {
        Done::Result(payload) if entry.spec.response_type != ResponseType::None => {
            replier.result(&Frame::Result(payload)).await
        }
        Done::End(count) => {
            replier.end(count).await;
            Ok(())
        }
        Done::Result(_) | Done::LastItem | Done::TooLate => Ok(()),
    }
}

fn report(error: &Error) {
    if error.cause().is_some() {
        tracing::error!(code = error.code(), error = ?error, "call failed");
    } else {
        tracing::debug!(code = error.code(), error = %error, "call answered with an error");
    }
}
