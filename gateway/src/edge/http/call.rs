//! A request that calls a function: read, run, answered by the kind of its reply.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::header::HeaderName;
use http::{Response, StatusCode};
use sluice_protocol::argument::Fault;
use sluice_protocol::request::no_args;
use sluice_protocol::response::Answer;
use sluice_protocol::{CallError, Encoding, ErrorCode, FunctionSpec, Payload, Request};

use super::deprecation;
use super::negotiate::StreamFormat;
use super::query::args_from_query;
use super::quota;
use super::response::{self, Body};
use super::route::Name;
use super::stream::{Source, StreamBody};
use super::{Asked, Edge, body, fields};
use crate::edge::capacity::Permit;
use crate::edge::service::CallService;
use crate::pipeline::Call;
use crate::reply::{Answers, Reply};

/// Sent by an `EventSource` that wants to go on where a stream broke off.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

impl<S: CallService> Edge<S> {
    /// `POST /api/{service}/{request_type}`: the body is the args.
    pub(super) async fn post<B>(
        &self,
        asked: &mut Asked<'_>,
        name: Name<'_>,
        body: B,
    ) -> Result<Response<Body>, CallError>
    where
        B: http_body::Body<Data = Bytes>,
    {
        let (service, request_type) = name.decode()?;
        let permit = self.parts().capacity.enter()?;
        let headers = &asked.head.headers;
        let (identity, caller) = self.identify(asked, None).await?;
        let mut call = Call {
            request_id: asked.id.clone(),
            service,
            request_type,
            version: self.versions.find(asked.head, None)?,
            args: no_args(),
            identity,
            trace: fields::trace(headers, None),
            timeout_ms: fields::timeout_ms(headers, None)?,
            idempotent_only: false,
            idempotency_key: fields::idempotency_key(headers, None)?,
            http: None,
            caller,
        };
        // Last, so that a request that is refused in any case is refused unread.
        let (encoding, bytes) = self.read_body(asked, body).await?;
        if !bytes.is_empty() {
            call.args = Payload { encoding, bytes };
        }
        self.run(asked, call, permit).await
    }

    /// `POST /api`: the body is the whole request.
    pub(super) async fn post_whole<B>(
        &self,
        asked: &mut Asked<'_>,
        body: B,
    ) -> Result<Response<Body>, CallError>
    where
        B: http_body::Body<Data = Bytes>,
    {
        let permit = self.parts().capacity.enter()?;
        // Before a body is taken in whose sender is refused in any case.
        let session = self.session(asked).await?;
        let (encoding, bytes) = self.read_body(asked, body).await?;
        let request = match encoding {
            Encoding::Json => Request::from_json(&bytes)?,
            Encoding::MessagePack | Encoding::Http => Request::from_message_pack(&bytes)?,
        };
        // The header may come from a proxy; the field is the client's own.
        if let Some(id) = request.request_id {
            asked.id = id;
        }
        let headers = &asked.head.headers;
        let idempotency_key = fields::idempotency_key(headers, request.idempotency_key.as_deref())?;
        let (identity, caller) = self.acting(asked, &session, Some(request.claim))?;
        let call = Call {
            request_id: asked.id.clone(),
            service: request.service,
            request_type: request.request_type,
            version: self.versions.find(asked.head, request.version)?,
            args: request.args,
            identity,
            trace: fields::trace(headers, request.trace),
            timeout_ms: fields::timeout_ms(headers, request.timeout_ms)?,
            idempotent_only: false,
            idempotency_key,
            http: None,
            caller,
        };
        self.run(asked, call, permit).await
    }

    /// `GET /api/{service}/{request_type}?…`: the query is the args.
    pub(super) async fn get(
        &self,
        asked: &mut Asked<'_>,
        name: Name<'_>,
    ) -> Result<Response<Body>, CallError> {
        let headers = &asked.head.headers;
        if headers.contains_key(LAST_EVENT_ID) {
            // Streams cannot be resumed; this status makes an EventSource stop trying.
            return Ok(response::empty(StatusCode::NO_CONTENT));
        }
        let (service, request_type) = name.decode()?;
        let permit = self.parts().capacity.enter()?;
        // Before args are looked at: strangers and those who are refused all the time are told
        // nothing else.
        let (identity, caller) = self.identify(asked, None).await?;
        let mut call = Call {
            request_id: asked.id.clone(),
            service,
            request_type,
            version: self.versions.find(asked.head, None)?,
            args: no_args(),
            identity,
            trace: fields::trace(headers, None),
            timeout_ms: fields::timeout_ms(headers, None)?,
            idempotent_only: true,
            idempotency_key: fields::idempotency_key(headers, None)?,
            http: None,
            caller,
        };
        let query = asked.head.uri.query().unwrap_or_default();
        let query = self.versions.args_of(query);
        if !query.is_empty() {
            let spec = self.function(&call);
            let types = spec.as_ref().and_then(|s| s.arg_types.as_ref());
            call.args = args_from_query(&query, types)
                .map_err(|faults| self.refuse(&call.identity, &call.caller, bad_query(&faults)))?;
        }
        self.run(asked, call, permit).await
    }

    /// What the call would find; a hint for reading its request.
    fn function(&self, call: &Call) -> Option<Arc<FunctionSpec>> {
        let (service, request_type) = (call.service.as_str(), call.request_type.as_str());
        self.calls.function(service, request_type, call.wanted())
    }

    /// The body and its encoding. One that is empty needs none.
    pub(super) async fn read_body<B>(
        &self,
        asked: &Asked<'_>,
        body: B,
    ) -> Result<(Encoding, Bytes), CallError>
    where
        B: http_body::Body<Data = Bytes>,
    {
        if body::is_empty(&body) {
            return Ok((asked.encoding(), Bytes::new()));
        }
        let content = asked.content.clone()?;
        if content.is_none() && body.size_hint().lower() > 0 {
            return Err(body::untyped());
        }
        let bytes = body::read(body, &self.parts().config.http).await?;
        match content {
            Some(encoding) => Ok((encoding, bytes)),
            None if bytes.is_empty() => Ok((Encoding::Json, bytes)),
            None => Err(body::untyped()),
        }
    }

    /// Runs a call and answers it. The permit lives as long as the call.
    async fn run(
        &self,
        asked: &Asked<'_>,
        call: Call,
        permit: Permit,
    ) -> Result<Response<Body>, CallError> {
        let error = |error| asked.error(error);
        self.limited(error, Box::new(call), async |call| {
            self.answer(asked, call, permit).await
        })
        .await
    }

    /// Runs a call as `answer` does, and tells what its limits have left. `error` is how this edge
    /// answers errors.
    pub(super) async fn limited(
        &self,
        error: impl FnOnce(CallError) -> Response<Body>,
        mut call: Box<Call>,
        answer: impl AsyncFnOnce(Box<Call>) -> Result<Response<Body>, CallError>,
    ) -> Result<Response<Body>, CallError> {
        let quota = self.calls.has_limits().then(Arc::default);
        call.caller.quota.clone_from(&quota);
        let notice = self.calls.has_notices().then(Arc::default);
        call.caller.notice.clone_from(&notice);
        let answered = answer(call).await;
        let left = quota.as_ref().and_then(|q| q.get());
        let answered = answered.map(|response| quota::tell(response, left));
        match notice.as_ref().and_then(|n| n.get()) {
            // Errors too: who is told only of success may never hear of it.
            Some(notice) => {
                let response = answered.unwrap_or_else(error);
                Ok(deprecation::tell(response, notice))
            }
            None => answered,
        }
    }

    async fn answer(
        &self,
        asked: &Asked<'_>,
        call: Box<Call>,
        permit: Permit,
    ) -> Result<Response<Body>, CallError> {
        self.check_formats(asked, &call)?;
        let owner = call.identity.user_id.clone();
        asked.called.store(true, Ordering::Relaxed);
        match self.calls.call(call).await? {
            Reply::Result(payload) => Ok(single(asked, StatusCode::OK, &Answer::Result(payload))),
            Reply::Accepted => Ok(single(asked, StatusCode::ACCEPTED, &Answer::AsyncAck)),
            Reply::Async(answers) => self.acknowledge(asked, owner, answers, permit).await,
            Reply::Stream(answers) => Ok(self.open_stream(asked, answers, permit)),
        }
    }

    /// Refuses what could not be answered before it runs.
    fn check_formats(&self, asked: &Asked<'_>, call: &Call) -> Result<(), CallError> {
        if asked.formats.suit_all() {
            return Ok(());
        }
        match self.function(call) {
            Some(spec) => asked.formats.check(spec.response_type),
            // It will be refused for a better reason.
            None => Ok(()),
        }
    }

    pub(super) fn open_stream(
        &self,
        asked: &Asked<'_>,
        answers: Answers,
        permit: Permit,
    ) -> Response<Body> {
        // Only if the function has changed since `check_formats`.
        let format = asked.formats.stream.unwrap_or(StreamFormat::Lines);
        let body = StreamBody::new(
            format,
            asked.id.clone(),
            Some(Answer::StreamAck),
            Source::Call {
                answers,
                _permit: permit,
            },
            self.parts().config.http.sse_keep_alive,
        );
        body.into_response()
    }
}

fn single(asked: &Asked<'_>, status: StatusCode, answer: &Answer) -> Response<Body> {
    response::answer(&asked.id, asked.formats.for_errors(), status, answer)
}

pub(super) fn bad_query(faults: &[Fault]) -> CallError {
    let messages: Vec<&str> = faults.iter().map(|f| f.message.as_str()).collect();
    let text = format!("the query is not valid: {}", messages.join("; "));
    let faults = serde_json::to_value(faults).unwrap_or_default();
    CallError::new(ErrorCode::InvalidArguments, text).with_detail("faults", faults)
}
