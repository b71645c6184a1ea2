//! A real broker for each test, and a gateway played by a raw NATS client.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test file uses a part of it"
)]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::{Client, HeaderMap, Message, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt;
use serde_json::{Value, json};
use sluice_protocol::headers::{CallHeaders, Credit};
use sluice_protocol::registry::{Message as Registry, Parsed, Reason};
use sluice_protocol::{
    ApiVersion, CallError, Encoding, Frame, FunctionName, Identity, InstanceId, ServiceName,
    Subjects,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};

/// No step of a test takes so long, also on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(60);

pub async fn soon<F: Future>(what: &str, future: F) -> F::Output {
    match tokio::time::timeout(LIMIT, future).await {
        Ok(output) => output,
        Err(_) => panic!("{what}: nothing happened for {LIMIT:?}"),
    }
}

/// Waits until `condition` holds.
pub async fn eventually(what: &str, condition: impl Fn() -> bool) {
    soon(what, async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

/// A `nats-server` that ends with its test.
pub struct NatsServer {
    child: Child,
    pub port: u16,
}

impl NatsServer {
    pub fn start() -> Self {
        Self::start_with("-1", &[])
    }

    pub fn start_on(port: u16) -> Self {
        Self::start_with(&port.to_string(), &[])
    }

    pub fn start_with(port: &str, args: &[&str]) -> Self {
        let mut child = Command::new("nats-server")
            .args(["-a", "127.0.0.1", "-p", port])
            .args(args)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let port = loop {
            let line = lines.next().expect("nats-server ended").unwrap();
            if let Some((_, address)) = line.split_once("client connections on ") {
                break address.rsplit(':').next().unwrap().trim().parse().unwrap();
            }
        };
        // Its log must be read on, or it blocks when the pipe is full.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, port }
    }

    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// A registry message as the gateway heard it.
#[derive(Debug)]
pub struct Heard {
    pub subject: String,
    pub body: Bytes,
    pub headers: Option<HeaderMap>,
    pub reply: Option<String>,
    pub message: Registry,
}

/// A gateway that accepts every config, unless told to refuse.
pub struct Gateway {
    pub client: Client,
    pub subjects: Subjects,
    pub heard: mpsc::UnboundedReceiver<Heard>,
    pub refuse: Arc<AtomicBool>,
}

impl Gateway {
    pub async fn start(server: &NatsServer) -> Self {
        Self::at(&server.url()).await
    }

    pub async fn at(url: &str) -> Self {
        let gateway = Self::connect(url).await;
        gateway.refuse.store(false, Ordering::SeqCst);
        gateway
    }

    pub async fn refusing(server: &NatsServer) -> Self {
        Self::connect(&server.url()).await
    }

    async fn connect(url: &str) -> Self {
        let client = async_nats::ConnectOptions::new()
            .reconnect_delay_callback(|_| Duration::from_millis(50))
            .connect(url)
            .await
            .unwrap();
        let subjects = Subjects::default();
        let mut announces = client.subscribe(subjects.announce_all()).await.unwrap();
        client.flush().await.unwrap();
        let (sender, heard) = mpsc::unbounded_channel();
        let refuse = Arc::new(AtomicBool::new(true));
        let (answering, refusing) = (client.clone(), refuse.clone());
        tokio::spawn(async move {
            while let Some(message) = announces.next().await {
                let parsed = Parsed::parse(&message.payload).unwrap().message;
                let refuse = refusing.load(Ordering::SeqCst);
                if let (Registry::Announce { instance, .. }, Some(reply)) =
                    (&parsed, message.reply.clone())
                {
                    let answer = verdict(&instance.config_hash, refuse).to_json();
                    answering.publish(reply, answer.into()).await.unwrap();
                }
                let _ = sender.send(Heard {
                    subject: message.subject.to_string(),
                    body: message.payload,
                    headers: message.headers,
                    reply: message.reply.map(|r| r.to_string()),
                    message: parsed,
                });
            }
        });
        Self {
            client,
            subjects,
            heard,
            refuse,
        }
    }

    /// Waits until the broker has handled all that was sent: it answers for the nobody there.
    pub async fn settle(&self) {
        let nobody = self.client.request(self.client.new_inbox(), "".into());
        assert!(soon("a round trip", nobody).await.is_err());
    }

    /// The next registry message.
    pub async fn hear(&mut self) -> Heard {
        soon("a registry message", self.heard.recv()).await.unwrap()
    }

    /// The first registry message that `wanted` is for.
    pub async fn hear_until<T>(&mut self, wanted: impl Fn(&Heard) -> Option<T>) -> T {
        loop {
            let heard = self.hear().await;
            if let Some(found) = wanted(&heard) {
                return found;
            }
        }
    }

    pub fn call_subject(&self, service: &str, function: &str) -> String {
        let (s, f) = names(service, function);
        self.subjects.call(&s, None, &f)
    }

    pub fn instance_subject(&self, instance: &InstanceId, service: &str, function: &str) -> String {
        let (s, f) = names(service, function);
        self.subjects.instance_call(&s, instance, None, &f)
    }

    /// Sends a call of service `s`.
    pub async fn call(&self, function: &str, args: Value) -> Replies {
        self.send(&self.call_subject("s", function), &call_headers(), args)
            .await
    }

    pub async fn send(&self, subject: &str, headers: &CallHeaders, args: Value) -> Replies {
        let mut map = HeaderMap::new();
        headers.encode(|name, value| map.insert(name, value));
        let body = match headers.encoding {
            Encoding::Json => args.to_string().into_bytes(),
            Encoding::MessagePack => rmp_serde::to_vec_named(&args).unwrap(),
            Encoding::Http => unreachable!("these tests call functions"),
        };
        self.send_raw(subject, Some(map), body.into()).await
    }

    pub async fn send_raw(
        &self,
        subject: &str,
        headers: Option<HeaderMap>,
        body: Bytes,
    ) -> Replies {
        let inbox = self.client.new_inbox();
        let replies = Replies(self.client.subscribe(inbox.clone()).await.unwrap());
        let (client, subject) = (&self.client, subject.to_owned());
        match headers {
            Some(headers) => {
                client
                    .publish_with_reply_and_headers(subject, inbox, headers, body)
                    .await
            }
            None => client.publish_with_reply(subject, inbox, body).await,
        }
        .unwrap();
        replies
    }

    pub async fn control(&self, instance: &InstanceId, body: Value) {
        let service = ServiceName::new("s").unwrap();
        let subject = self.subjects.control(&service, instance);
        let body = body.to_string().into();
        self.client.publish(subject, body).await.unwrap();
    }

    pub async fn ping(&self, instance: &InstanceId, body: &str) -> Value {
        let service = ServiceName::new("s").unwrap();
        let subject = self.subjects.ping(&service, instance);
        let request = self.client.request(subject, body.to_owned().into());
        let message = soon("a pong", request).await.unwrap();
        serde_json::from_slice(&message.payload).unwrap()
    }
}

fn verdict(config_hash: &str, refuse: bool) -> Registry {
    let (gateway, config_hash) = ("gw".to_owned(), config_hash.to_owned());
    if refuse {
        let reasons = vec![Reason {
            function: "s.f".into(),
            field: "timeout".into(),
            message: "too long".into(),
        }];
        Registry::Refused {
            gateway,
            config_hash,
            reasons,
        }
    } else {
        Registry::Accepted {
            gateway,
            config_hash,
        }
    }
}

pub fn names(service: &str, function: &str) -> (ServiceName, FunctionName) {
    (
        ServiceName::new(service).unwrap(),
        FunctionName::new(function).unwrap(),
    )
}

pub fn version(text: &str) -> ApiVersion {
    ApiVersion::new(text).unwrap()
}

pub fn call_headers() -> CallHeaders {
    CallHeaders {
        call_id: format!("call-{:x}", rand::random::<u64>()),
        request_id: "r 1".into(),
        identity: Identity {
            user_id: Some("ann".into()),
            device_id: None,
            roles: vec!["admin".into()],
        },
        deadline_ms: 60_000,
        attempt: 1,
        traceparent: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into()),
        credit: None,
        batch: false,
        encoding: Encoding::Json,
    }
}

pub fn stream_headers(items: u64, bytes: u64) -> CallHeaders {
    CallHeaders {
        credit: Some(Credit { items, bytes }),
        ..call_headers()
    }
}

/// The replies of one call.
pub struct Replies(pub Subscriber);

impl Replies {
    pub async fn message(&mut self) -> Message {
        soon("a reply", self.0.next()).await.unwrap()
    }

    /// The next frame.
    pub async fn frame(&mut self) -> Frame {
        let message = self.message().await;
        assert_eq!(message.status, None, "no responders");
        let headers = message.headers.unwrap_or_default();
        Frame::decode(
            |name| headers.get(name).map(|v| v.as_str()),
            message.payload,
        )
        .unwrap()
    }

    /// The next frame that is no beat.
    pub async fn word(&mut self) -> Frame {
        loop {
            match self.frame().await {
                Frame::Beat { .. } => {}
                other => return other,
            }
        }
    }

    /// The final result of a call without other frames than beats.
    pub async fn result(&mut self) -> Value {
        match self.word().await {
            Frame::Result(payload) => {
                let payload = payload.transcode(Encoding::Json).unwrap();
                serde_json::from_slice(&payload.bytes).unwrap()
            }
            other => panic!("not a result: {other:?}"),
        }
    }

    /// The final error, after whatever came before.
    pub async fn error(&mut self) -> CallError {
        loop {
            match self.frame().await {
                Frame::Error { error, .. } => return *error,
                Frame::Beat { .. } | Frame::Accepted { .. } | Frame::Item { .. } => {}
                other => panic!("not an error: {other:?}"),
            }
        }
    }

    /// The next item: its number and value.
    pub async fn item(&mut self) -> (u64, Value) {
        match self.word().await {
            Frame::Item { seq, payload, .. } => {
                (seq, serde_json::from_slice(&payload.bytes).unwrap())
            }
            other => panic!("not an item: {other:?}"),
        }
    }

    pub async fn accepted(&mut self) -> String {
        match self.frame().await {
            Frame::Accepted { instance } => instance,
            other => panic!("not accepted: {other:?}"),
        }
    }
}

pub fn cancel(call: &CallHeaders) -> Value {
    json!({ "type": "cancel", "call": call.call_id, "reason": "test" })
}

pub fn grant(call: &CallHeaders, items: u64, bytes: u64) -> Value {
    json!({ "type": "credit", "call": call.call_id, "items": items, "bytes": bytes })
}

/// A wire to the broker that can be cut, or held, for one side alone.
pub struct Wire {
    pub port: u16,
    cut: tokio::sync::broadcast::Sender<()>,
    flow: watch::Sender<Flow>,
}

/// How bytes come from the broker.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Flow {
    Free,
    Held,
    /// In small pieces, each in a packet of its own.
    Trickling,
}

impl Wire {
    /// To the broker on this port.
    pub async fn to(broker: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (cut, flow) = (
            tokio::sync::broadcast::Sender::new(1),
            watch::Sender::new(Flow::Free),
        );
        let (cuts, flows) = (cut.clone(), flow.clone());
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let far = TcpStream::connect(("127.0.0.1", broker)).await.unwrap();
                near.set_nodelay(true).unwrap();
                let (mut from_near, to_near) = near.into_split();
                let (from_far, mut to_far) = far.into_split();
                let (mut cut, flow) = (cuts.subscribe(), flows.subscribe());
                tokio::spawn(async move {
                    tokio::select! {
                        _ = tokio::io::copy(&mut from_near, &mut to_far) => {}
                        () = carry(from_far, to_near, flow) => {}
                        _ = cut.recv() => {}
                    }
                });
            }
        });
        Self { port, cut, flow }
    }

    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    pub fn cut(&self) {
        self.cut.send(()).unwrap();
    }

    /// From now on nothing arrives from the broker.
    pub fn hold(&self) {
        self.flow.send_replace(Flow::Held);
    }

    /// What was held arrives bit by bit.
    pub fn trickle(&self) {
        self.flow.send_replace(Flow::Trickling);
    }
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut flow: watch::Receiver<Flow>) {
    let mut buffer = [0; 512];
    while let Ok(n @ 1..) = from.read(&mut buffer).await {
        let flow = *flow.wait_for(|flow| *flow != Flow::Held).await.unwrap();
        if to.write_all(&buffer[..n]).await.is_err() {
            return;
        }
        if flow == Flow::Trickling {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}
