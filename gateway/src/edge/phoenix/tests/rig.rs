//! A socket whose client and whose worker are both the test.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Sink, Stream};
use serde_json::{Value, json};
use sluice_protocol::payload::Encoding;
use sluice_protocol::response::Answer;
use sluice_protocol::{CallError, Payload};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};
use tokio_util::sync::{CancellationToken, PollSender};

use crate::edge::phoenix::frame::Vsn;
use crate::edge::phoenix::options::{Phoenix as Options, Respond, Topic};
use crate::edge::phoenix::socket::{Shared, Socket};
use crate::edge::phoenix::{CallService, Claims, Drain, SocketAuth};
use crate::identity::Session;
use crate::pipeline::Call;
use crate::reply::{Answers, Reply};

/// One side of a WebSocket: unbounded in, bounded out.
pub(super) struct Pipe {
    incoming: mpsc::UnboundedReceiver<Result<Message, WsError>>,
    outgoing: PollSender<Message>,
    read: Arc<AtomicUsize>,
}

impl Stream for Pipe {
    type Item = Result<Message, WsError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = self.incoming.poll_recv(cx);
        if polled.is_ready() {
            self.read.fetch_add(1, Ordering::Relaxed);
        }
        polled
    }
}

fn closed<E>(_: E) -> WsError {
    WsError::ConnectionClosed
}

impl Sink<Message> for Pipe {
    type Error = WsError;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), WsError>> {
        Pin::new(&mut self.outgoing).poll_ready(cx).map_err(closed)
    }

    fn start_send(mut self: Pin<&mut Self>, item: Message) -> Result<(), WsError> {
        Pin::new(&mut self.outgoing)
            .start_send(item)
            .map_err(closed)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), WsError>> {
        Pin::new(&mut self.outgoing).poll_flush(cx).map_err(closed)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), WsError>> {
        Pin::new(&mut self.outgoing).poll_close(cx).map_err(closed)
    }
}

/// A service that asks the test for each answer.
#[derive(Debug, Clone)]
pub(super) struct Ask(pub(super) mpsc::UnboundedSender<Asked>);

/// A call that waits for the test's answer.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) call: Call,
    pub(super) answer: oneshot::Sender<Result<Reply, CallError>>,
}

impl CallService for Ask {
    async fn call(&self, call: Box<Call>) -> Result<Reply, CallError> {
        let (answer, answered) = oneshot::channel();
        self.0
            .send(Asked {
                call: *call,
                answer,
            })
            .unwrap();
        match answered.await {
            Ok(answer) => answer,
            // The test has no answer for it.
            Err(_) => std::future::pending().await,
        }
    }
}

impl Asked {
    pub(super) fn give(self, reply: Reply) {
        self.answer.send(Ok(reply)).unwrap();
    }

    pub(super) fn result(self, json: &str) {
        self.give(Reply::Result(Payload::json(json.to_owned())));
    }

    pub(super) fn fail(self, error: CallError) {
        self.answer.send(Err(error)).unwrap();
    }

    /// Acknowledges; further answers go through the sender, and the token tells of a cancel.
    pub(super) fn acknowledge(
        self,
        kind: fn(Answers) -> Reply,
    ) -> (mpsc::Sender<Answer>, CancellationToken) {
        self.acknowledge_with(kind, 1000)
    }

    pub(super) fn acknowledge_with(
        self,
        kind: fn(Answers) -> Reply,
        capacity: usize,
    ) -> (mpsc::Sender<Answer>, CancellationToken) {
        let (sender, receiver) = mpsc::channel(capacity);
        let cancelled = CancellationToken::new();
        self.give(kind(Answers::new(receiver, cancelled.clone())));
        (sender, cancelled)
    }
}

pub(super) struct Rig {
    to_server: Option<mpsc::UnboundedSender<Result<Message, WsError>>>,
    from_server: mpsc::Receiver<Message>,
    calls: mpsc::UnboundedReceiver<Asked>,
    pub(super) drain: CancellationToken,
    pub(super) task: JoinHandle<()>,
    /// Messages that the socket has read.
    pub(super) read: Arc<AtomicUsize>,
    heartbeats: u32,
}

pub(super) fn options() -> Options {
    let reply = Topic {
        pattern: "rpc:*".to_owned(),
        event: "call".to_owned(),
        respond: Respond::Reply,
    };
    Options {
        topics: vec![Topic::default(), reply],
        ..Options::default()
    }
}

impl Rig {
    pub(super) fn new() -> Self {
        Self::with(options())
    }

    pub(super) fn with(options: Options) -> Self {
        Self::start(options, Vsn::V2, true, 64)
    }

    /// `window` frames fit into the transport.
    pub(super) fn start(options: Options, vsn: Vsn, trusted: bool, window: usize) -> Self {
        Self::guarded(options, vsn, Claims { trusted }, window, Arc::default())
    }

    /// With these rules of who speaks, for a client who connected as `session`.
    pub(super) fn guarded(
        options: Options,
        vsn: Vsn,
        auth: impl SocketAuth,
        window: usize,
        session: Arc<Session>,
    ) -> Self {
        let (to_server, incoming) = mpsc::unbounded_channel();
        let (outgoing, from_server) = mpsc::channel(window);
        let (ask, calls) = mpsc::unbounded_channel();
        let drain = CancellationToken::new();
        let read = Arc::new(AtomicUsize::new(0));
        let shared = Shared {
            options,
            service: Ask(ask),
            auth,
            drain: Drain {
                token: drain.clone(),
                spread: Duration::from_secs(5),
                timeout: Duration::from_secs(30),
            },
        };
        let pipe = Pipe {
            incoming,
            outgoing: PollSender::new(outgoing),
            read: Arc::clone(&read),
        };
        let socket = Socket::new(pipe, Arc::new(shared), vsn, session, None);
        Self {
            to_server: Some(to_server),
            from_server,
            calls,
            drain,
            task: tokio::spawn(async move { drop(socket.run().await) }),
            read,
            heartbeats: 0,
        }
    }

    /// Joined to `topic` with the join_ref "1".
    pub(super) async fn joined(topic: &str) -> Self {
        let mut rig = Self::new();
        rig.join("1", topic).await;
        rig
    }

    pub(super) fn message(&self, message: Message) {
        // A socket that has ended takes nothing; what it said before is still to be read.
        let _ = self.to_server.as_ref().unwrap().send(Ok(message));
    }

    pub(super) fn error(&self, error: WsError) {
        self.to_server.as_ref().unwrap().send(Err(error)).unwrap();
    }

    pub(super) fn text(&self, text: &str) {
        self.message(Message::text(text));
    }

    pub(super) fn send(&self, frame: Value) {
        self.text(&frame.to_string());
    }

    pub(super) fn hang_up(&mut self) {
        self.to_server = None;
    }

    pub(super) async fn join(&mut self, join_ref: &str, topic: &str) {
        self.send(json!([join_ref, join_ref, topic, "phx_join", {}]));
        self.expect(
            json!([join_ref, join_ref, topic, "phx_reply", {"status": "ok", "response": {}}]),
        )
        .await;
    }

    /// Pushes a request on "api:x", joined as "1"; the ref is the request's id.
    pub(super) fn request(&self, id: &str, args: Value) {
        self.send(json!(["1", id, "api:x", "phoenix_gen_api", {
            "request_id": id, "service": "s", "request_type": "f", "args": args,
        }]));
    }

    /// The same, and its `phx_reply` read.
    pub(super) async fn accepted(&mut self, id: &str) -> Asked {
        self.request(id, json!({}));
        self.expect(taken(id)).await;
        self.asked().await
    }

    pub(super) async fn asked(&mut self) -> Asked {
        self.calls.recv().await.unwrap()
    }

    pub(super) fn try_asked(&mut self) -> Option<Asked> {
        self.calls.try_recv().ok()
    }

    pub(super) async fn frame(&mut self) -> Message {
        self.from_server.recv().await.expect("the socket ended")
    }

    /// A frame that is there already.
    pub(super) fn try_frame(&mut self) -> Option<Message> {
        self.from_server.try_recv().ok()
    }

    pub(super) async fn json(&mut self) -> Value {
        match self.frame().await {
            Message::Text(text) => serde_json::from_str(&text).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    pub(super) async fn binary(&mut self) -> Bytes {
        match self.frame().await {
            Message::Binary(bytes) => bytes,
            other => panic!("{other:?}"),
        }
    }

    pub(super) async fn expect(&mut self, frame: Value) {
        assert_eq!(self.json().await, frame);
    }

    /// The payload of the next frame, a push of a response on "api:x".
    pub(super) async fn response(&mut self) -> Value {
        let mut frame = self.json().await;
        assert_eq!(frame[0], "1");
        assert_eq!(frame[1], Value::Null);
        assert_eq!(frame[2], "api:x");
        assert_eq!(frame[3], "phoenix_gen_api");
        frame[4].take()
    }

    pub(super) async fn close_frame(&mut self) -> CloseFrame {
        match self.frame().await {
            Message::Close(Some(close)) => close,
            other => panic!("{other:?}"),
        }
    }

    pub(super) async fn closed_with(&mut self, code: u16, reason: &str) {
        let close = self.close_frame().await;
        assert_eq!(
            (u16::from(close.code), close.reason.as_str()),
            (code, reason)
        );
    }

    /// The client is told that its socket is about to close, on "api:x", joined as "1".
    pub(super) async fn told_to_go(&mut self) {
        self.expect(json!(["1", "1", "api:x", "phx_error", {}]))
            .await;
        match self.frame().await {
            Message::Ping(payload) => assert_eq!(payload.as_ref(), b"farewell"),
            other => panic!("{other:?}"),
        }
    }

    /// The client's answer to that.
    pub(super) fn pong(&self) {
        self.message(Message::Pong(Bytes::from_static(b"farewell")));
    }

    /// The same, answered, and then the close.
    pub(super) async fn leaves_with(&mut self, code: u16, reason: &str) {
        self.told_to_go().await;
        self.pong();
        self.closed_with(code, reason).await;
    }

    /// Asserts that nothing is sent: two heartbeats, the second after all that was ready before.
    pub(super) async fn quiet(&mut self) {
        for _ in 0..2 {
            self.heartbeats += 1;
            let reference = format!("hb{}", self.heartbeats);
            self.send(json!([null, reference, "phoenix", "heartbeat", {}]));
            self.expect(
                json!([null, reference, "phoenix", "phx_reply", {"status": "ok", "response": {}}]),
            )
            .await;
        }
    }
}

/// The reply that a call of [`Rig::request`] was taken.
pub(super) fn taken(id: &str) -> Value {
    json!(["1", id, "api:x", "phx_reply", {"status": "ok", "response": "f"}])
}

/// The envelope of a success.
pub(super) fn success(id: &str, flags: [bool; 2], result: Value) -> Value {
    json!({
        "request_id": id, "success": true, "result": result, "error": "",
        "async": flags[0], "has_more": flags[1], "can_retry": false,
    })
}

pub(super) fn item(json: &str) -> Answer {
    Answer::Item {
        payload: Payload::json(json.to_owned()),
        last: false,
    }
}

pub(super) fn message_pack(value: &Value) -> Bytes {
    Payload::json(value.to_string())
        .transcode(Encoding::MessagePack)
        .unwrap()
        .bytes
}
