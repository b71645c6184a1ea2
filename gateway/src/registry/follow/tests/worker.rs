//! A worker as the registry sees it, by hand over a plain client.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_nats::{Client, HeaderMap};
use futures_util::StreamExt;
use sluice_protocol::registry::{InstanceState, Message, Parsed, config_hash};
use sluice_protocol::{Subjects, headers, sign};
use tokio::time::{Duration, Instant, sleep};
use tokio_util::task::AbortOnDropHandle;

use super::LIMIT;
use crate::registry::testing::{announce, heartbeat, instance_id, label, leave, service};

/// One instance of service `users`.
pub(super) struct Worker {
    client: Client,
    id: String,
    text: String,
    secret: Option<String>,
    nonce: AtomicUsize,
    /// How often it was asked who it is.
    pub(super) discovers: AtomicUsize,
    /// How often it was asked for its config.
    pub(super) pulls: AtomicUsize,
}

impl Worker {
    /// Connects and listens; it does not speak of itself yet.
    pub(super) async fn start(
        url: &str,
        id: &str,
        text: &str,
        secret: Option<&str>,
    ) -> (Arc<Self>, AbortOnDropHandle<()>) {
        let client = async_nats::connect(url).await.unwrap();
        let worker = Arc::new(Self {
            id: id.into(),
            text: text.into(),
            secret: secret.map(Into::into),
            nonce: AtomicUsize::new(1),
            discovers: AtomicUsize::new(0),
            pulls: AtomicUsize::new(0),
            client: client.clone(),
        });
        let subjects = Subjects::default();
        let discover = client.subscribe(subjects.discover()).await.unwrap();
        let pull = subjects.pull(&service("users"), &config_hash(text));
        let pulls = client.queue_subscribe(pull, "q".into()).await.unwrap();
        // A round trip: the broker knows of both.
        let probe = client.new_inbox();
        let mut echo = client.subscribe(probe.clone()).await.unwrap();
        client.publish(probe, "".into()).await.unwrap();
        echo.next().await.unwrap();
        let listening = tokio::spawn(worker.clone().listen(discover, pulls));
        (worker, AbortOnDropHandle::new(listening))
    }

    async fn listen(
        self: Arc<Self>,
        mut discover: async_nats::Subscriber,
        mut pulls: async_nats::Subscriber,
    ) {
        let beat = heartbeat("users", &self.id, &self.text, InstanceState::Ready);
        let config = Message::Config {
            service: service("users"),
            config_hash: config_hash(&self.text),
            config: label(&self.text),
        };
        loop {
            let (message, answer, signed, asked) = tokio::select! {
                Some(message) = discover.next() => {
                    (message, &beat, self.subject(), &self.discovers)
                }
                Some(message) = pulls.next() => {
                    let subject = message.subject.to_string();
                    (message, &config, subject, &self.pulls)
                }
                else => return,
            };
            asked.fetch_add(1, Ordering::SeqCst);
            let (headers, body) = self.sign(&signed, answer);
            let to = message.reply.unwrap();
            let _ = self
                .client
                .publish_with_headers(to, headers, body.into())
                .await;
        }
    }

    fn subject(&self) -> String {
        Subjects::default().announce(&service("users"), &instance_id(&self.id))
    }

    fn sign(&self, subject: &str, message: &Message) -> (HeaderMap, Vec<u8>) {
        let body = message.to_json();
        let mut all = HeaderMap::new();
        if let Some(secret) = &self.secret {
            let nonce = format!("{}-x", self.nonce.fetch_add(1, Ordering::SeqCst));
            let signature = sign::sign(secret.as_bytes(), subject, &nonce, &body);
            all.insert(headers::NONCE, nonce);
            all.insert(headers::SIGNATURE, signature);
        }
        (all, body)
    }

    /// Announces itself and returns the gateway's answer.
    pub(super) async fn announce(&self) -> Message {
        let message = announce("users", &self.id, &self.text, InstanceState::Starting);
        let (headers, body) = self.sign(&self.subject(), &message);
        let request = self
            .client
            .request_with_headers(self.subject(), headers, body.into());
        let answer = request.await.unwrap();
        Parsed::parse(&answer.payload).unwrap().message
    }

    pub(super) async fn beat(&self) {
        self.say(&heartbeat(
            "users",
            &self.id,
            &self.text,
            InstanceState::Ready,
        ))
        .await;
    }

    /// Says that it leaves, again and again, for a bounded time.
    pub(super) async fn keep_leaving(&self) {
        let end = Instant::now() + LIMIT;
        while Instant::now() < end {
            self.say(&leave("users", &self.id)).await;
            sleep(Duration::from_millis(100)).await;
        }
    }

    async fn say(&self, message: &Message) {
        let (headers, body) = self.sign(&self.subject(), message);
        let sent = self
            .client
            .publish_with_headers(self.subject(), headers, body.into());
        sent.await.unwrap();
    }
}
