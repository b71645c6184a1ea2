//! The push that stops a stream.

use std::sync::Arc;

use sluice_protocol::RequestId;
use sluice_protocol::response::Answer;

use super::push::request_id;
use super::{Socket, Transport};
use crate::edge::phoenix::auth::SocketAuth;
use crate::edge::phoenix::calls::Stage;
use crate::edge::phoenix::channel::Channel;
use crate::edge::phoenix::frame::Frame;
use crate::edge::phoenix::service::CallService;
use crate::edge::phoenix::written::Status;

impl<T: Transport, C: CallService, A: SocketAuth> Socket<T, C, A> {
    /// `stop_stream`: the end frame, then the reply.
    pub(super) fn on_stop(&mut self, channel: &Arc<Channel>, frame: &Frame<'_>) {
        let id = request_id(&frame.payload);
        let found = id.as_ref().is_some_and(|id| self.stop(channel, id));
        if frame.reference.is_some() {
            let (status, response) = if found {
                (Status::Ok, serde_json::json!({}))
            } else {
                (Status::Error, serde_json::json!({ "reason": "not_found" }))
            };
            let (reference, encoding) = (frame.reference.as_ref(), frame.payload.encoding);
            let reply = channel.reply_value(reference, status, &response, encoding);
            self.outbox.push(reply);
        }
    }

    fn stop(&mut self, channel: &Arc<Channel>, id: &RequestId) -> bool {
        let Some(key) = self.calls.key(id) else {
            return false;
        };
        let found = self.calls.get_mut(key);
        let Some(in_flight) = found.filter(|call| Arc::ptr_eq(&call.channel, channel)) else {
            return false;
        };
        match &mut in_flight.stage {
            Stage::Streaming(_) => {
                let encoding = in_flight.encoding;
                let end = channel.push(id.as_str(), &Answer::StreamEnd, encoding);
                self.outbox.push(end);
                self.calls.remove(key);
                true
            }
            // It ends as soon as it turns out to be a stream; another kind of call goes on.
            Stage::Opening { stop, .. } => {
                *stop = true;
                true
            }
            Stage::Late(_) => false,
        }
    }
}
