//! Calls: from the push that makes one to its first answer.

use std::sync::Arc;

use serde::Deserialize;
use sluice_protocol::payload::Encoding;
use sluice_protocol::response::Answer;
use sluice_protocol::trace::TraceContext;
use sluice_protocol::{CallError, ErrorCode, Payload, Request, RequestId};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Utf8Bytes;

use super::{Socket, Transport};
use crate::edge::phoenix::auth::SocketAuth;
use crate::edge::phoenix::calls::{Key, Opening, Stage};
use crate::edge::phoenix::channel::Channel;
use crate::edge::phoenix::frame::{Frame, Ref, Vsn};
use crate::edge::phoenix::noticed::Noticed;
use crate::edge::phoenix::quick;
use crate::edge::phoenix::service::CallService;
use crate::edge::phoenix::written::Status;
use crate::idempotency::check_key;
use crate::pipeline::Call;
use crate::reply::Reply;

/// The `request_id` of errors about requests that have none.
const UNKNOWN: &str = "unknown";

impl<T: Transport, C: CallService, A: SocketAuth> Socket<T, C, A> {
    pub(super) fn on_call(&mut self, channel: &Arc<Channel>, frame: Frame<'_>) {
        let encoding = frame.payload.encoding;
        let read = match encoding {
            _ if self.lacks_user(channel) => Err(unauthenticated()),
            Encoding::Json => Request::from_json(&frame.payload.bytes),
            Encoding::MessagePack | Encoding::Http => {
                Request::from_message_pack(&frame.payload.bytes)
            }
        };
        let read = read.map_err(|error| (request_id(&frame.payload), error));
        self.on_request(channel, frame.reference, encoding, read);
    }

    /// A frame that is plainly a call, as most are; false: it is to be read as any frame.
    pub(super) fn on_plain_call(&mut self, text: &Utf8Bytes) -> bool {
        let read = match self.vsn {
            Vsn::V2 => quick::array(text),
            Vsn::V1 => None,
        };
        let Some(frame) = read.filter(|f| f.topic != "phoenix" && !f.event.starts_with("phx_"))
        else {
            return false;
        };
        let Some(channel) = self.channels.get(frame.topic) else {
            return false;
        };
        let is_call = frame.event == channel.rules.event
            && channel.is_for(frame.join_ref.as_ref())
            && !self.lacks_user(channel);
        if !is_call {
            return false;
        }
        // That this is one object, and so the frame is what it seemed, shows here.
        let Some(request) = Request::from_plain_text(frame.payload, text.as_ref()) else {
            return false;
        };
        let channel = Arc::clone(channel);
        self.on_request(&channel, frame.reference, Encoding::Json, Ok(request));
        true
    }

    fn on_request(
        &mut self,
        channel: &Arc<Channel>,
        reference: Option<Ref<'_>>,
        encoding: Encoding,
        read: Result<Request, (Option<RequestId>, CallError)>,
    ) {
        self.traffic.called();
        let admitted = read.and_then(|request| self.admit(request));
        let (id, request) = match admitted {
            Ok(admitted) => admitted,
            Err((id, error)) => {
                let id = id.as_ref().map_or(UNKNOWN, RequestId::as_str);
                return self.refuse(channel, reference.as_ref(), encoding, id, error);
            }
        };
        let name = request.request_type.clone();
        let mut call = match self.call(channel, id.clone(), request) {
            Ok(call) => call,
            Err(error) => {
                let reference = reference.as_ref();
                return self.refuse(channel, reference, encoding, id.as_str(), error);
            }
        };
        let owed = if channel.responds_in_reply(reference.as_ref()) {
            reference.map(|reference| (reference.into_owned(), name))
        } else {
            // Taken: all that can refuse it now answers by the response.
            if reference.is_some() {
                let taken = Status::Ok;
                let reply = channel.reply_text(reference.as_ref(), taken, name.as_str(), encoding);
                self.push_taken(reply);
            }
            None
        };
        let service = self.shared.service.clone();
        let notice = service.has_notices().then(Arc::default);
        call.caller.notice.clone_from(&notice);
        let answer = async move { service.call(call).await };
        let opening = Opening {
            channel: Arc::clone(channel),
            encoding,
            owed,
            notice,
        };
        self.calls.open(id, opening, answer);
    }

    /// That a call was taken says little by itself: most responses come soon after.
    fn push_taken(&mut self, reply: Message) {
        let until = self.clock.heard_at() + self.shared.options.reply_delay;
        self.outbox.push_held(reply, until);
    }

    fn lacks_user(&self, channel: &Channel) -> bool {
        self.shared.options.require_user && !channel.session.read().identity.is_authenticated()
    }

    /// What the socket itself asks of a request.
    fn admit(
        &self,
        request: Request,
    ) -> Result<(RequestId, Request), (Option<RequestId>, CallError)> {
        let id = request.required_id().cloned().map_err(|e| (None, e))?;
        let refusal = if self.calls.key(&id).is_some() {
            let text = "a request with this request_id is still in flight on this socket";
            CallError::new(ErrorCode::DuplicateRequest, text)
        } else if self.leaving {
            let text = "the gateway is shutting down; connect again and repeat the request";
            CallError::new(ErrorCode::Overloaded, text)
        } else if self.calls.len() >= self.shared.options.max_in_flight {
            let text = format!(
                "this socket has {} calls in flight, the most it may have; try again after one has ended",
                self.calls.len()
            );
            CallError::new(ErrorCode::Overloaded, text)
        } else if let Some(key) = &request.idempotency_key
            && let Err(error) = check_key(key)
        {
            error
        } else {
            return Ok((id, request));
        };
        Err((Some(id), refusal))
    }

    fn call(
        &self,
        channel: &Channel,
        request_id: RequestId,
        request: Request,
    ) -> Result<Box<Call>, CallError> {
        let session = channel.session.read();
        let auth = &self.shared.auth;
        let identity = auth.call(&session, request.claim);
        let identity = identity.inspect_err(|error| auth.note(self.address, error))?;
        Ok(Box::new(Call {
            request_id,
            service: request.service,
            request_type: request.request_type,
            version: request.version.or_else(|| self.version.clone()),
            args: request.args,
            identity,
            trace: self.trace_of(channel, request.trace.as_deref()),
            timeout_ms: request.timeout_ms,
            idempotent_only: false,
            idempotency_key: request.idempotency_key,
            http: None,
            caller: session.caller_at(self.address),
        }))
    }

    /// The trace that a request names, else the one that its channel was joined with.
    fn trace_of(&self, channel: &Channel, field: Option<&str>) -> Option<TraceContext> {
        let own = field.and_then(|text| TraceContext::parse(text, None));
        own.or_else(|| channel.trace.clone())
    }

    /// Answers a push that does not become a call: the reply and the response say the same.
    fn refuse(
        &mut self,
        channel: &Channel,
        reference: Option<&Ref<'_>>,
        encoding: Encoding,
        request_id: &str,
        error: CallError,
    ) {
        self.traffic.refused(error.code);
        let answer = Answer::from(error);
        if reference.is_some() {
            let reply = channel.reply_answer(reference, request_id, &answer, encoding);
            self.outbox.push(reply);
        }
        if !channel.responds_in_reply(reference) {
            self.outbox
                .push(channel.push(request_id, &answer, encoding));
        }
    }

    /// A call's first answer.
    pub(super) fn on_opened(&mut self, key: Key, outcome: Result<Reply, CallError>) {
        let Some(in_flight) = self.calls.get_mut(key) else {
            return;
        };
        let (channel, encoding) = (&in_flight.channel, in_flight.encoding);
        let id = in_flight.id.as_str();
        let notice = in_flight.notice.as_ref().and_then(|n| n.get());
        let notice = notice.map(|n| n.field.as_str());
        let stop = matches!(in_flight.stage, Stage::Opening { stop: true, .. });
        let (answer, follow) = first_answer(outcome, stop, self.leaving);
        let response = answer
            .as_ref()
            .map(|answer| Noticed::new(id, answer, notice));
        let in_reply = matches!(answer, Some(Answer::Result(_) | Answer::Error(_)));
        match (in_flight.owed.take(), response) {
            (Some((reference, _)), Some(response)) if in_reply => {
                let reply = channel.reply_noticed(Some(&reference), &response, encoding);
                self.outbox.push(reply);
            }
            (owed, response) => {
                if let Some((reference, name)) = owed {
                    let (reference, name) = (Some(&reference), name.as_str());
                    let taken = channel.reply_text(reference, Status::Ok, name, encoding);
                    self.outbox.push(taken);
                }
                if let Some(response) = response {
                    self.outbox.push(channel.push_noticed(&response, encoding));
                }
            }
        }
        // Also where nothing follows.
        self.outbox.release();
        match follow {
            Some(stage) => self.calls.follow(key, stage),
            None => self.calls.remove(key),
        }
    }
}

fn unauthenticated() -> CallError {
    let text = "this socket has no user: connect or join with a token; the call did not run";
    CallError::new(ErrorCode::Unauthenticated, text)
}

/// What to say of a call at first, and the answers that are still to come.
fn first_answer(
    outcome: Result<Reply, CallError>,
    stop: bool,
    leaving: bool,
) -> (Option<Answer>, Option<Stage>) {
    match outcome {
        Err(error) => (Some(error.into()), None),
        Ok(Reply::Accepted) => (None, None),
        Ok(Reply::Result(payload)) => (Some(Answer::Result(payload)), None),
        Ok(Reply::Async(answers)) => {
            let follow = Stage::Late(Box::new(answers));
            (Some(Answer::AsyncAck), Some(follow))
        }
        // Its answers are dropped, which cancels it.
        Ok(Reply::Stream(_)) if stop => (Some(Answer::StreamEnd), None),
        Ok(Reply::Stream(_)) if leaving => (Some(super::leave::stream_cut()), None),
        Ok(Reply::Stream(answers)) => {
            let follow = Stage::Streaming(Box::new(answers));
            (Some(Answer::StreamAck), Some(follow))
        }
    }
}

/// The `request_id` of a payload, where there is a valid one, whatever else is wrong.
pub(super) fn request_id(payload: &Payload) -> Option<RequestId> {
    #[derive(Deserialize)]
    struct Named {
        request_id: RequestId,
    }
    let named: Option<Named> = match payload.encoding {
        Encoding::Json => serde_json::from_slice(&payload.bytes).ok(),
        Encoding::MessagePack | Encoding::Http => rmp_serde::from_slice(&payload.bytes).ok(),
    };
    named.map(|named| named.request_id)
}
