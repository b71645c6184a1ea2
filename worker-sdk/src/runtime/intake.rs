//! Messages become calls, or refusals. Nothing here waits for a handler.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, HeaderMap, Message, Subscriber};
use futures_util::{FutureExt, StreamExt};
use serde_json::json;
use sluice_protocol::function::Timeout;
use sluice_protocol::headers::{self as h, CallHeaders};
use sluice_protocol::{Encoding, ErrorCode, FunctionSpec, Identity, Payload};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::connection::round_trip;
use super::execute;
use super::running::{Opening, Running};
use super::service::Entry;
use super::shared::Shared;
use super::table::NotHeld;
use crate::error::Error;

/// Deadlines beyond this count as none: no clock should overflow because a stranger says so.
const MAX_DEADLINE: Duration = Duration::from_secs(7 * 24 * 3600);

/// Handles each message of a subscription, whatever becomes of the ones before; when `closing`,
/// unsubscribes and handles everything that the broker had sent until then.
pub(crate) async fn read<F, Fut>(mut messages: Subscriber, closing: Closing, handle: F)
where
    F: Fn(Message) -> Fut,
    Fut: Future<Output = ()>,
{
    loop {
        tokio::select! {
            message = messages.next() => match message {
                Some(message) => one(&handle, message).await,
                None => return,
            },
            () = closing.token.cancelled() => break,
        }
    }
    leave(&mut messages).await;
    round_trip(&closing.client).await;
    while let Some(Some(message)) = messages.next().now_or_never() {
        one(&handle, message).await;
    }
}

/// When to stop reading, and the connection to settle with the broker then.
#[derive(Debug, Clone)]
pub(crate) struct Closing {
    pub(crate) token: CancellationToken,
    pub(crate) client: Client,
}

/// Ends a subscription at the broker, and keeps it here.
///
/// The client forgets a subscription as soon as it has written a plain UNSUB, and drops what the
/// broker had already sent. With a maximum that it never reaches the client keeps it, while the
/// broker, for which a number of more than nine digits is none, ends it at once.
async fn leave(messages: &mut Subscriber) {
    if let Err(error) = messages.unsubscribe_after(u64::MAX).await {
        tracing::debug!(%error, "the connection is closed already");
    }
}

/// [`read`] for a queue group that is left when `leaving`; `membership` is let go once the broker
/// has been told.
pub(crate) async fn read_queue<F, Fut>(
    mut messages: Subscriber,
    (leaving, closing): (CancellationToken, Closing),
    membership: mpsc::Sender<()>,
    handle: F,
) where
    F: Fn(Message) -> Fut,
    Fut: Future<Output = ()>,
{
    loop {
        tokio::select! {
            message = messages.next() => match message {
                Some(message) => one(&handle, message).await,
                None => return,
            },
            () = leaving.cancelled() => break,
        }
    }
    leave(&mut messages).await;
    drop(membership);
    read(messages, closing, handle).await;
}

async fn one<F, Fut>(handle: &F, message: Message)
where
    F: Fn(Message) -> Fut,
    Fut: Future<Output = ()>,
{
    let subject = message.subject.clone();
    let handled = AssertUnwindSafe(async { handle(message).await }).catch_unwind();
    if handled.await.is_err() {
        tracing::error!(%subject, "a message made the worker panic; it is skipped");
    }
}

/// A call as it arrived.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) headers: CallHeaders,
    pub(crate) args: Payload,
    pub(crate) deadline: Option<Instant>,
    /// The client's version, where its args are still to be translated and checked.
    pub(crate) pending: Option<String>,
}

/// Takes a call: it gets a place and a task of its own, or an answer that says why not.
pub(crate) async fn take(shared: &Arc<Shared>, entry: &Arc<Entry>, message: Message) {
    let received = Instant::now();
    let replier = shared.replier(message.reply.clone());
    let refuse = async |error: Error| {
        entry
            .stats
            .record(received.elapsed(), Some(error.to_string()));
        replier.error(error).await;
    };
    let state = message
        .headers
        .as_ref()
        .and_then(|all| all.get(h::TRACESTATE));
    let state = state.map(|value| value.as_str().to_owned());
    let mut incoming = match read_call(&entry.spec, message.headers.as_ref(), &message, received) {
        Ok(incoming) => incoming,
        Err(error) => return refuse(error).await,
    };
    let Ok(place) = shared.places.clone().try_acquire_owned() else {
        let text = "the worker has no room for another call";
        return refuse(Error::of(ErrorCode::Overloaded, text)).await;
    };
    let call = Arc::new(Running::new(Opening {
        call_id: incoming.headers.call_id.clone(),
        reply: message.reply,
        received,
        deadline: incoming.deadline,
        response_type: entry.spec.response_type,
        idempotent: entry.spec.idempotent,
        credit: incoming.headers.credit,
        cancel: CancellationToken::new(),
    }));
    let held = match shared.table.hold(call) {
        Ok(held) => held,
        Err(NotHeld::Duplicate) => return,
        Err(NotHeld::Cancelled(reason)) => {
            let text = format!("the call was cancelled before it arrived: {reason}");
            return refuse(Error::of(ErrorCode::Cancelled, text)).await;
        }
    };
    let recorded = shared
        .spans
        .begin(&mut incoming.headers, state.as_deref(), entry);
    let span = tracing::info_span!(
        "worker.call",
        service = %entry.spec.service,
        function = %entry.spec.request_type,
        request_id = %incoming.headers.request_id,
    );
    let work = execute::serve(
        shared.clone(),
        entry.clone(),
        incoming,
        held,
        replier,
        recorded,
    );
    tokio::spawn(
        async move {
            work.await;
            drop(place);
        }
        .instrument(span),
    );
}

/// Each header once: every look into the map would hash the name again.
fn first_values(headers: Option<&HeaderMap>) -> Vec<(&str, &str)> {
    let Some(headers) = headers else {
        return Vec::new();
    };
    let mut all = Vec::with_capacity(headers.len());
    for (name, values) in headers.iter() {
        all.extend(values.first().map(|value| (name.as_ref(), value.as_str())));
    }
    all
}

fn read_call(
    spec: &FunctionSpec,
    headers: Option<&HeaderMap>,
    message: &Message,
    received: Instant,
) -> Result<Incoming, Error> {
    let all = first_values(headers);
    let get = |name: &'static str| {
        let mut all = all.iter();
        all.find(|(other, _)| *other == name)
            .map(|(_, value)| *value)
    };
    if get(h::CHUNK).is_some() {
        let text = "this worker does not take args in chunks: it does not list the feature";
        return Err(Error::of(ErrorCode::InvalidRequest, text));
    }
    let from_gateway = get(h::PROTOCOL).is_some() || get(h::CALL_ID).is_some();
    let (headers, limit) = if from_gateway {
        let headers = CallHeaders::decode(get).map_err(|fault| {
            Error::of(
                ErrorCode::InvalidRequest,
                format!("the call cannot be read: {fault}"),
            )
        })?;
        let limit = Duration::from_millis(headers.deadline_ms);
        (headers, Some(limit))
    } else {
        plain_call(spec, get)?
    };
    let pending = h::decode_pending(get).map_err(|fault| {
        let text = format!("the call cannot be read: {fault}");
        Error::of(ErrorCode::InvalidRequest, text)
    })?;
    Ok(Incoming {
        pending,
        args: match get(h::HTTP) {
            Some(head) => Payload::http(head, &message.payload),
            None => Payload {
                encoding: headers.encoding,
                bytes: message.payload.clone(),
            },
        },
        headers,
        deadline: limit
            .filter(|limit| *limit <= MAX_DEADLINE)
            .map(|limit| received + limit),
    })
}

/// A call of a plain NATS client (`nats req`): nobody in particular, with the function's timeout.
fn plain_call<'a>(
    spec: &FunctionSpec,
    get: impl Fn(&'static str) -> Option<&'a str>,
) -> Result<(CallHeaders, Option<Duration>), Error> {
    let media_type = get(h::CONTENT_TYPE).unwrap_or("application/json");
    let encoding = Encoding::from_media_type(media_type).ok_or_else(|| {
        Error::of(
            ErrorCode::UnsupportedMediaType,
            "args are JSON or MessagePack",
        )
        .details(json!({ "content_type": media_type }))
    })?;
    let limit = match spec.timeout {
        Timeout::Millis(ms) => Some(Duration::from_millis(ms)),
        Timeout::Infinity => None,
    };
    let call_id = format!("nats-{:032x}", rand::random::<u128>());
    let headers = CallHeaders {
        request_id: call_id.clone(),
        call_id,
        identity: Identity::anonymous(),
        deadline_ms: limit.map_or(u64::MAX, |l| {
            u64::try_from(l.as_millis()).unwrap_or(u64::MAX)
        }),
        attempt: 1,
        traceparent: get(h::TRACEPARENT).map(str::to_owned),
        credit: None,
        batch: false,
        encoding,
    };
    Ok((headers, limit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sluice_protocol::{FunctionName, ServiceName};

    fn spec() -> FunctionSpec {
        let service = ServiceName::new("s").unwrap();
        FunctionSpec::new(service, FunctionName::new("f").unwrap())
    }

    fn message(headers: &[(&str, &str)]) -> Message {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, *value);
        }
        Message {
            subject: "x".into(),
            reply: None,
            payload: "{}".into(),
            headers: Some(map),
            status: None,
            description: None,
            length: 0,
        }
    }

    fn read(headers: &[(&str, &str)]) -> Result<Incoming, Error> {
        let message = message(headers);
        read_call(&spec(), message.headers.as_ref(), &message, Instant::now())
    }

    #[tokio::test(start_paused = true)]
    async fn a_plain_client_is_nobody_in_particular() {
        let call = read(&[]).unwrap();
        assert_eq!(call.headers.identity, Identity::anonymous());
        let limit = call.deadline.unwrap() - Instant::now();
        assert_eq!(limit, Duration::from_secs(5));
        let error = read(&[("Content-Type", "text/xml")]).unwrap_err();
        assert_eq!(error.http_status(), 415);
    }

    #[test]
    fn what_cannot_be_read_did_not_run() {
        for headers in [
            &[("Sluice-Protocol", "2")][..],
            &[("Sluice-Protocol", "1")],
            &[("Sluice-Call", "c")],
            &[("Sluice-Chunk", "1/2")],
        ] {
            let error = read(headers).unwrap_err();
            assert_eq!(error.code(), "invalid_request", "{headers:?}");
            assert_eq!(error.was_executed(), sluice_protocol::Executed::No);
        }
    }

    #[test]
    fn a_deadline_without_end_is_none() {
        let call = read(&[
            ("Sluice-Protocol", "1"),
            ("Sluice-Call", "c"),
            ("Sluice-Request-Id", "r"),
            ("Sluice-Deadline", "18446744073709551615"),
            ("Sluice-Attempt", "1"),
        ]);
        assert_eq!(call.unwrap().deadline, None);
    }

    proptest! {
        #[test]
        fn strangers_headers_never_panic(values in proptest::collection::vec("[ -~]{0,20}", 8)) {
            let names = [h::PROTOCOL, h::CALL_ID, h::REQUEST_ID, h::DEADLINE, h::ATTEMPT, h::CREDIT,
                h::ROLES, h::CONTENT_TYPE];
            let headers: Vec<_> =
                names.into_iter().zip(values.iter().map(String::as_str)).collect();
            let _ = read(&headers);
            let mut ours = headers;
            ours[0].1 = "1";
            let _ = read(&ours);
        }
    }
}
