//! Tokens of a live socket: renewed, expired, revoked.

use std::sync::Arc;

use serde::Deserialize;
use sluice_protocol::Encoding;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::{End, Socket, Transport};
use crate::edge::phoenix::auth::SocketAuth;
use crate::edge::phoenix::channel::Channel;
use crate::edge::phoenix::frame::Frame;
use crate::edge::phoenix::service::CallService;
use crate::edge::phoenix::written::Status;
use crate::identity::Session;

/// The close code of sockets whose token counts no more.
const TOKEN: u16 = 4001;

impl<T: Transport, C: CallService, A: SocketAuth> Socket<T, C, A> {
    /// Sets the timer for the first token that expires.
    pub(super) fn watch_expiry(&mut self) {
        let channels = self.channels.values();
        let of_channels = channels.filter_map(|c| c.session.read().expires);
        let first = of_channels.chain(self.session.expires).min();
        self.clock.expires(first);
    }

    /// `renew_token`: the new one takes the place of the one that the channel goes by, and of
    /// all others of the socket that are the same.
    pub(super) fn on_renew(&mut self, channel: &Arc<Channel>, frame: &Frame<'_>) {
        #[derive(Deserialize)]
        struct Renewal {
            token: String,
        }
        let payload = &frame.payload;
        let renewal: Option<Renewal> = match payload.encoding {
            Encoding::Json => serde_json::from_slice(&payload.bytes).ok(),
            Encoding::MessagePack | Encoding::Http => rmp_serde::from_slice(&payload.bytes).ok(),
        };
        let former = channel.session.read().clone();
        let renewed = match renewal {
            Some(Renewal { token }) => {
                let auth = &self.shared.auth;
                let renewed = auth.admits(self.address);
                renewed
                    .and_then(|()| auth.renew(&former, &token))
                    .inspect_err(|error| auth.note(self.address, error))
                    .map_err(|error| error.message)
            }
            None => Err("the payload is not {\"token\": \"…\"}".to_owned()),
        };
        let (status, response) = match renewed {
            Ok(session) => {
                self.replace_session(&former, &session);
                (Status::Ok, serde_json::json!({}))
            }
            Err(reason) => (Status::Error, serde_json::json!({ "reason": reason })),
        };
        if frame.reference.is_some() {
            let reference = frame.reference.as_ref();
            let reply = channel.reply_value(reference, status, &response, payload.encoding);
            self.outbox.push(reply);
        }
    }

    fn replace_session(&mut self, former: &Arc<Session>, session: &Arc<Session>) {
        for channel in self.channels.values() {
            let mut held = channel.session.write();
            if Arc::ptr_eq(&held, former) {
                *held = Arc::clone(session);
            }
        }
        if Arc::ptr_eq(&self.session, former) {
            self.session = Arc::clone(session);
        }
        self.watch_expiry();
    }

    /// Ends the socket if one of its sessions counts no more.
    pub(super) fn on_token_due(&mut self) -> Option<End> {
        let now = Instant::now();
        let auth = &self.shared.auth;
        let why = |session: &Session| {
            if session.expires.is_some_and(|at| at <= now) {
                Some("token expired")
            } else if auth.is_revoked(session) {
                Some("token revoked")
            } else {
                None
            }
        };
        let of_channels = self.channels.values().find_map(|c| why(&c.session.read()));
        let reason = of_channels.or_else(|| why(&self.session))?;
        for channel in self.channels.values() {
            let payload = serde_json::json!({ "reason": reason });
            self.outbox.push(channel.event("token_expired", &payload));
            self.outbox.push(channel.failed());
        }
        Some(End::Close(CloseCode::from(TOKEN), reason.to_owned()))
    }
}
