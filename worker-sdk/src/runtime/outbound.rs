//! Calls from handlers to other workers, over one inbox of the process.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, HeaderMap, HeaderName, Message, StatusCode};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};
use parking_lot::Mutex;
use sluice_protocol::{ErrorCode, Executed, Frame, Payload, Subjects};
use tokio::sync::{OnceCell, mpsc};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::call::{Outbound, Request, Until};
use crate::error::Error;

/// A worker that beats once a second and is silent for so long is gone.
const SILENCE: Duration = Duration::from_secs(4);
/// Replies of one call that wait to be looked at.
const REPLIES: usize = 16;

type Waiting = Arc<Mutex<HashMap<String, mpsc::Sender<Message>>>>;

/// Sends calls over NATS. The inbox is subscribed with the first one.
pub(crate) struct NatsOutbound {
    client: Client,
    subjects: Subjects,
    closed: CancellationToken,
    inbox: OnceCell<String>,
    waiting: Waiting,
}

/// Forgets a call when its caller does.
struct Entry {
    waiting: Waiting,
    token: String,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.waiting.lock().remove(&self.token);
    }
}

impl NatsOutbound {
    pub(crate) fn new(client: Client, subjects: Subjects, closed: CancellationToken) -> Self {
        Self {
            client,
            subjects,
            closed,
            inbox: OnceCell::new(),
            waiting: Waiting::default(),
        }
    }

    async fn inbox(&self) -> Result<&str, Error> {
        let subscribed = self.inbox.get_or_try_init(|| async {
            let inbox = self.client.new_inbox();
            let mut replies = self.client.subscribe(format!("{inbox}.*")).await?;
            let (waiting, closed) = (self.waiting.clone(), self.closed.clone());
            tokio::spawn(async move {
                loop {
                    tokio::select! {
                        reply = replies.next() => match reply {
                            Some(reply) => deliver(&waiting, reply),
                            None => break,
                        },
                        () = closed.cancelled() => break,
                    }
                }
            });
            Ok::<_, Error>(inbox)
        });
        Ok(subscribed.await?)
    }

    async fn call(&self, request: Request) -> Result<Payload, Error> {
        let deadline = Instant::now() + request.timeout().min(Duration::from_secs(3600));
        let token = format!("{:032x}", rand::random::<u128>());
        let (sender, replies) = mpsc::channel(REPLIES);
        let reply = format!("{}.{token}", self.inbox().await?);
        self.waiting.lock().insert(token.clone(), sender);
        let _entry = Entry {
            waiting: self.waiting.clone(),
            token: token.clone(),
        };
        let mut call = request.headers.clone();
        call.call_id = token;
        let mut headers = HeaderMap::new();
        call.encode(|name, value| headers.insert(HeaderName::from_static(name), value));
        let (service, function) = (&request.service, &request.function);
        let subject = self
            .subjects
            .call(service, request.version.as_ref(), function);
        let body = request.args.bytes.clone();
        self.client
            .publish_with_reply_and_headers(subject, reply, headers, body)
            .await?;
        wait(replies, &request, deadline).await
    }
}

impl Outbound for Arc<NatsOutbound> {
    fn send(&self, request: Request) -> BoxFuture<'static, Result<Payload, Error>> {
        let this = self.clone();
        async move { this.call(request).await }.boxed()
    }
}

impl std::fmt::Debug for NatsOutbound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NatsOutbound")
    }
}

fn deliver(waiting: &Waiting, reply: Message) {
    let token = reply.subject.rsplit('.').next().unwrap_or_default();
    let sender = waiting.lock().get(token).cloned();
    // Full: a worker floods its caller, who will see at the first reply that something is wrong.
    if let Some(sender) = sender {
        let _ = sender.try_send(reply);
    }
}

async fn wait(
    mut replies: mpsc::Receiver<Message>,
    request: &Request,
    deadline: Instant,
) -> Result<Payload, Error> {
    let mut limit = deadline;
    loop {
        let Ok(reply) = timeout_at(limit, replies.recv()).await else {
            return Err(silent(request, limit < deadline));
        };
        let Some(reply) = reply else {
            return Err(Error::of(
                ErrorCode::BrokerUnavailable,
                "the worker is stopping",
            ));
        };
        if reply.status == Some(StatusCode::NO_RESPONDERS) {
            let text = format!("nobody serves {}", request.label());
            return Err(Error::of(ErrorCode::NoWorkers, text));
        }
        let headers = reply.headers.as_ref();
        let get = |name: &'static str| {
            let value = headers?.get(HeaderName::from_static(name))?;
            Some(value.as_str())
        };
        match Frame::decode(get, reply.payload).map_err(|e| unusable(request, &e))? {
            Frame::Result(payload) => return Ok(payload),
            Frame::Error { error, .. } => return Err(Error::from_call_error(*error)),
            Frame::Accepted { .. } if request.until == Until::Taken => {
                return Ok(Payload::json(Bytes::from_static(b"null")));
            }
            Frame::Accepted { .. } => {}
            // It beats, so its silence can be heard from now on.
            Frame::Beat { .. } => limit = deadline.min(Instant::now() + SILENCE),
            Frame::Item { .. } | Frame::Items { .. } | Frame::End { .. } => {
                return Err(unusable(request, &"it answers with a stream"));
            }
        }
    }
}

fn silent(request: &Request, beats_stopped: bool) -> Error {
    let label = request.label();
    let (code, text) = if beats_stopped {
        (
            ErrorCode::WorkerLost,
            format!("the worker that ran {label} fell silent"),
        )
    } else {
        (
            ErrorCode::Timeout,
            format!("{label} did not answer in time"),
        )
    };
    Error::of(code, text)
        .executed(Executed::Unknown)
        .can_retry(false)
}

fn unusable(request: &Request, why: &dyn std::fmt::Display) -> Error {
    Error::internal(format!(
        "the answer of {} is of no use: {why}",
        request.label()
    ))
}
