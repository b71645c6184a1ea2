//! How a socket ends: its turn in a shutdown, and the closing handshake.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use sluice_protocol::response::Answer;
use sluice_protocol::{CallError, ErrorCode, ErrorSource, Executed};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::{CloseFrame, coding::CloseCode};

use super::{End, Socket, Transport};
use crate::edge::phoenix::auth::SocketAuth;
use crate::edge::phoenix::service::CallService;

/// How long a client may take to read what waits for it, and to answer a close frame.
const PATIENCE: Duration = Duration::from_secs(5);
/// Likewise for one that is known not to read.
const IMPATIENCE: Duration = Duration::from_millis(500);
/// The longest reason of a close frame (RFC 6455 §5.5), in bytes.
const MAX_REASON: usize = 123;

impl<T: Transport, C: CallService, A: SocketAuth> Socket<T, C, A> {
    /// The gateway shuts down and it is this socket's turn: streams end with an error, since they
    /// might go on for hours; calls in flight finish, and the socket closes after the last one, once its client has been told.
    pub(super) fn begin_to_leave(&mut self) {
        self.leaving = true;
        for key in self.calls.streaming() {
            self.on_followed(key, &stream_cut());
        }
    }

    pub(super) async fn end(&mut self, end: End) {
        let (code, reason, wait) = match end {
            End::Gone => return,
            End::ClientClosed => {
                // Flushes the close frame that the transport has made.
                let _ = timeout(PATIENCE, self.transport.close()).await;
                return;
            }
            End::Close(code, reason) => {
                let _ = timeout(PATIENCE, self.flush()).await;
                (code, reason, PATIENCE)
            }
            End::Cut(code, reason) => (code, reason, IMPATIENCE),
        };
        let _ = timeout(wait, self.close(code, &reason)).await;
    }

    async fn flush(&mut self) -> bool {
        let outbox = &mut self.outbox;
        outbox.release();
        let transport = &mut self.transport;
        std::future::poll_fn(|cx| outbox.poll_write(transport, cx))
            .await
            .is_ok()
    }

    /// Sends the close frame and waits for the client's.
    async fn close(&mut self, code: CloseCode, reason: &str) {
        let reason = &reason[..reason.floor_char_boundary(MAX_REASON)];
        let close = CloseFrame {
            code,
            reason: reason.to_owned().into(),
        };
        if self
            .transport
            .send(Message::Close(Some(close)))
            .await
            .is_ok()
        {
            while let Some(Ok(_)) = self.transport.next().await {}
        }
    }
}

/// The last answer of a stream that ends because the gateway does.
pub(super) fn stream_cut() -> Answer {
    let text = "the gateway is shutting down; connect again and open the stream again";
    CallError::new(ErrorCode::StreamLost, text)
        .with_executed(Executed::Unknown, false)
        .with_source(ErrorSource::Gateway)
        .into()
}
