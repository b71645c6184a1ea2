//! One join of one topic, and the frames that a client gets on it.

use std::sync::Arc;

use parking_lot::RwLock;
use sluice_protocol::Payload;
use sluice_protocol::payload::Encoding;
use sluice_protocol::response::Answer;
use sluice_protocol::trace::TraceContext;
use tokio_tungstenite::tungstenite::Message;

use super::frame::{Head, Ref, Vsn};
use super::noticed::Noticed;
use super::options::{Respond, Topic};
use super::written::{REPLY, Status, checked, lossless, reply_of, reply_payload, unfit};
use super::{binary, text};
use crate::identity::Session;

/// A channel that a client has joined. A rejoin makes a new one.
#[derive(Debug)]
pub(super) struct Channel {
    pub(super) topic: Arc<str>,
    pub(super) join_ref: Option<Ref<'static>>,
    pub(super) rules: Topic,
    /// Who joined: the socket's own session, or that of the join's params.
    pub(super) session: RwLock<Arc<Session>>,
    /// The trace that its join named.
    pub(super) trace: Option<TraceContext>,
    vsn: Vsn,
    /// The text of a push up to its payload: the same for all of them.
    push_head: Vec<u8>,
    /// That of a reply, before the ref of its push and after it.
    reply_head: (Vec<u8>, Vec<u8>),
}

impl Channel {
    pub(super) fn new(
        topic: &str,
        join_ref: Option<Ref<'_>>,
        rules: Topic,
        session: Arc<Session>,
        vsn: Vsn,
    ) -> Self {
        let join_ref = join_ref.map(Ref::into_owned);
        let head = Head {
            join_ref: join_ref.as_ref(),
            reference: None,
            topic,
            event: &rules.event,
        };
        let mut push_head = Vec::new();
        text::begin(vsn, &head, &mut push_head);
        let reply_head = text::around_ref(
            vsn,
            &Head {
                event: REPLY,
                ..head
            },
        );
        Self {
            topic: Arc::from(topic),
            join_ref,
            rules,
            session: RwLock::new(session),
            trace: None,
            vsn,
            push_head,
            reply_head,
        }
    }

    /// The same, with the trace that the params of its join name.
    pub(super) fn traced(mut self, params: &Payload) -> Self {
        self.trace = trace_of(params);
        self
    }

    /// Whether a frame with this `join_ref` is meant for this join. Clients of version 1 name
    /// none.
    pub(super) fn is_for(&self, join_ref: Option<&Ref<'_>>) -> bool {
        join_ref.is_none() || join_ref == self.join_ref.as_ref()
    }

    /// Whether a sync call with this ref is answered by its `phx_reply`.
    pub(super) fn responds_in_reply(&self, reference: Option<&Ref<'_>>) -> bool {
        self.rules.respond == Respond::Reply && reference.is_some()
    }

    /// An answer, pushed as the event of the calls.
    pub(super) fn push(&self, request_id: &str, answer: &Answer, encoding: Encoding) -> Message {
        self.push_noticed(&Noticed::new(request_id, answer, None), encoding)
    }

    /// The same, with what may be said of its version.
    pub(super) fn push_noticed(&self, response: &Noticed<'_>, encoding: Encoding) -> Message {
        let made = match encoding {
            Encoding::Json => {
                let size = self.push_head.len() + response.size_hint() + 1;
                let mut out = Vec::with_capacity(size);
                out.extend_from_slice(&self.push_head);
                response
                    .write_json(&mut out)
                    .map_err(|e| e.to_string())
                    .and_then(|()| {
                        text::finish(self.vsn, &mut out);
                        checked(out)
                    })
            }
            Encoding::MessagePack | Encoding::Http => response
                .encode(encoding)
                .map(|body| Message::Binary(binary::push(&self.head(None), &body)))
                .map_err(|e| e.to_string()),
        };
        made.unwrap_or_else(|reason| {
            let unfit = unfit(&reason);
            self.push_noticed(&response.with(&unfit), encoding)
        })
    }

    /// An answer as the reply to its call.
    pub(super) fn reply_answer(
        &self,
        reference: Option<&Ref<'_>>,
        request_id: &str,
        answer: &Answer,
        encoding: Encoding,
    ) -> Message {
        let response = Noticed::new(request_id, answer, None);
        self.reply_noticed(reference, &response, encoding)
    }

    /// The same, with what may be said of its version.
    pub(super) fn reply_noticed(
        &self,
        reference: Option<&Ref<'_>>,
        response: &Noticed<'_>,
        encoding: Encoding,
    ) -> Message {
        let status = match response.response.answer {
            Answer::Error(_) => Status::Error,
            _ => Status::Ok,
        };
        let made = match encoding {
            Encoding::Json => {
                let size = response.size_hint();
                let write = |out: &mut Vec<u8>| response.write_json(out);
                let (before, after) = &self.reply_head;
                let mut out = Vec::with_capacity(before.len() + after.len() + size + 64);
                out.extend_from_slice(before);
                text::write_ref(&mut out, reference);
                out.extend_from_slice(after);
                let made = reply_payload(self.vsn, out, status, write);
                made.map_err(|e| e.to_string()).and_then(checked)
            }
            Encoding::MessagePack | Encoding::Http => response
                .encode(encoding)
                .map(|body| {
                    let head = self.head(reference);
                    Message::Binary(binary::reply(&head, status.as_str(), &body))
                })
                .map_err(|e| e.to_string()),
        };
        made.unwrap_or_else(|reason| {
            let unfit = unfit(&reason);
            self.reply_noticed(reference, &response.with(&unfit), encoding)
        })
    }

    /// A reply whose response is `text`.
    pub(super) fn reply_text(
        &self,
        reference: Option<&Ref<'_>>,
        status: Status,
        text: &str,
        encoding: Encoding,
    ) -> Message {
        self.reply_value(reference, status, &serde_json::Value::from(text), encoding)
    }

    /// A reply whose response is a small value of the gateway's own.
    pub(super) fn reply_value(
        &self,
        reference: Option<&Ref<'_>>,
        status: Status,
        value: &serde_json::Value,
        encoding: Encoding,
    ) -> Message {
        let json = Payload::json(value.to_string());
        // A value of our own has a form in both encodings.
        let payload = json.transcode(encoding).unwrap_or(json);
        let head = self.head(reference);
        match payload.encoding {
            Encoding::Json => reply_of(self.vsn, &head, status, &payload.bytes),
            Encoding::MessagePack | Encoding::Http => {
                Message::Binary(binary::reply(&head, status.as_str(), &payload.bytes))
            }
        }
    }

    /// Says that the channel is closed. As in Phoenix, its ref is that of the join.
    pub(super) fn closed(&self) -> Message {
        self.ended("phx_close")
    }

    /// That the join has failed: its client joins again, after a while.
    pub(super) fn failed(&self) -> Message {
        self.ended("phx_error")
    }

    /// A push of another event than that of the calls.
    pub(super) fn event(&self, event: &str, payload: &serde_json::Value) -> Message {
        let head = Head {
            event,
            ..self.head(None)
        };
        let mut out = Vec::with_capacity(64 + self.topic.len());
        text::begin(self.vsn, &head, &mut out);
        out.extend_from_slice(payload.to_string().as_bytes());
        text::finish(self.vsn, &mut out);
        lossless(out)
    }

    fn ended(&self, event: &str) -> Message {
        let head = Head {
            reference: self.join_ref.as_ref(),
            event,
            ..self.head(None)
        };
        let mut out = Vec::with_capacity(64 + self.topic.len());
        text::begin(self.vsn, &head, &mut out);
        out.extend_from_slice(b"{}");
        text::finish(self.vsn, &mut out);
        lossless(out)
    }

    fn head<'a>(&'a self, reference: Option<&'a Ref<'a>>) -> Head<'a> {
        Head {
            join_ref: self.join_ref.as_ref(),
            reference,
            topic: &self.topic,
            event: &self.rules.event,
        }
    }
}

/// The trace that the params of a join name; one that is malformed is none.
fn trace_of(params: &Payload) -> Option<TraceContext> {
    #[derive(serde::Deserialize)]
    struct Params<'a> {
        #[serde(borrow)]
        trace: std::borrow::Cow<'a, str>,
    }
    let params: Params<'_> = match params.encoding {
        Encoding::Json | Encoding::Http => serde_json::from_slice(&params.bytes).ok()?,
        Encoding::MessagePack => rmp_serde::from_slice(&params.bytes).ok()?,
    };
    TraceContext::parse(&params.trace, None)
}
