//! Joining and leaving channels.

use std::sync::Arc;

use super::{Socket, Transport, UNMATCHED};
use crate::edge::phoenix::auth::SocketAuth;
use crate::edge::phoenix::channel::Channel;
use crate::edge::phoenix::frame::{Frame, Vsn};
use crate::edge::phoenix::service::CallService;
use crate::edge::phoenix::written::Status;

impl<T: Transport, C: CallService, A: SocketAuth> Socket<T, C, A> {
    pub(super) fn on_join(&mut self, frame: Frame<'_>) {
        // As in Phoenix, a join ends the former one whatever becomes of itself.
        let former = self.close_channel(&frame.topic);
        match self.join(&frame) {
            Ok(channel) => {
                self.outbox.push(channel.reply_value(
                    frame.reference.as_ref(),
                    Status::Ok,
                    &serde_json::json!({}),
                    sluice_protocol::Encoding::Json,
                ));
            }
            Err(Refused::Unmatched) => self.reply_outside(&frame, None, Status::Error, UNMATCHED),
            Err(Refused::Because(reason)) => {
                let response = serde_json::json!({ "reason": reason }).to_string();
                let join_ref = frame.join_ref.as_ref();
                self.reply_outside(&frame, join_ref, Status::Error, &response);
            }
        }
        // Version 1 cannot say which join is closed: its clients would take it for the new one.
        if let Some(former) = former.filter(|_| self.vsn == Vsn::V2) {
            self.outbox.push(former.closed());
        }
    }

    fn join(&mut self, frame: &Frame<'_>) -> Result<Arc<Channel>, Refused> {
        let shared = Arc::clone(&self.shared);
        let options = &shared.options;
        let rules = options.topics.iter().find(|t| t.matches(&frame.topic));
        let rules = rules.ok_or(Refused::Unmatched)?.clone();
        if self.channels.len() >= options.max_channels {
            let most = options.max_channels;
            return Err(Refused::Because(format!(
                "a socket has at most {most} channels"
            )));
        }
        let auth = &shared.auth;
        let session = auth
            .admits(self.address)
            .and_then(|()| auth.join(&self.session, &frame.topic, &frame.payload))
            .inspect_err(|error| auth.note(self.address, error))
            .map_err(|error| Refused::Because(error.message))?;
        let join_ref = frame.join_ref.clone();
        let channel =
            Channel::new(&frame.topic, join_ref, rules, session, self.vsn).traced(&frame.payload);
        let channel = Arc::new(channel);
        self.channels
            .insert(Arc::clone(&channel.topic), Arc::clone(&channel));
        self.watch_expiry();
        Ok(channel)
    }

    pub(super) fn on_leave(&mut self, channel: &Arc<Channel>, frame: &Frame<'_>) {
        self.close_channel(&channel.topic);
        self.outbox.push(channel.reply_value(
            frame.reference.as_ref(),
            Status::Ok,
            &serde_json::json!({}),
            sluice_protocol::Encoding::Json,
        ));
        self.outbox.push(channel.closed());
    }

    /// Forgets a channel and cancels its calls.
    fn close_channel(&mut self, topic: &str) -> Option<Arc<Channel>> {
        let channel = self.channels.remove(topic)?;
        self.calls.cancel_channel(&channel);
        self.watch_expiry();
        Some(channel)
    }
}

enum Refused {
    /// No such topic is served.
    Unmatched,
    /// For this reason.
    Because(String),
}
