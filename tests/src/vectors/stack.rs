//! A broker, a gateway and a worker in this process, for vectors about whole calls.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, HeaderMap};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use sluice_broker::{Broker, BrokerOptions, RunningBroker};
use sluice_gateway::app::Gateway;
use sluice_gateway::config::Config;
use sluice_protocol::function::ServiceConfig;
use sluice_protocol::headers::CallHeaders;
use sluice_protocol::registry::{Message, Parsed, config_hash};
use sluice_protocol::{Frame, InstanceId, ServiceName, Subjects, headers, sign};
use tokio::task::JoinSet;

use crate::{Error, LIMIT, Result};

/// What a worker was asked.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    /// Which function.
    pub(super) function: String,
    /// The args.
    pub(super) args: Value,
    /// All that stands in headers.
    pub(super) headers: CallHeaders,
}

/// What a worker answers: frames in order.
pub(super) type Handler = Arc<dyn Fn(Asked) -> BoxFuture<'static, Vec<Frame>> + Send + Sync>;

/// A gateway with its broker.
pub(super) struct Stack {
    pub(super) gateway: Gateway,
    broker: RunningBroker,
    client: Client,
    workers: JoinSet<()>,
}

/// How a worker speaks of itself.
pub(super) struct Announce<'a> {
    /// As the message says; `subject` names it where this is no name.
    pub(super) service: &'a Value,
    pub(super) instance: &'a str,
    pub(super) config_version: &'a Value,
    pub(super) functions: &'a Value,
    pub(super) force: bool,
    /// The secret that it is signed with.
    pub(super) secret: Option<&'a str>,
}

impl Stack {
    /// Starts all of it; who calls says who it is, and workers may register.
    pub(super) async fn start(change: impl FnOnce(&mut Config)) -> Result<Self> {
        let because = |e: &dyn std::fmt::Display| Error::because("vectors: stack", e);
        let broker = Broker::spawn(([127, 0, 0, 1], 0).into(), BrokerOptions::default());
        let broker = broker.await.map_err(|e| because(&e))?;
        let mut config = Config::default();
        config.http.listen = ([127, 0, 0, 1], 0).into();
        config.admin.listen = ([127, 0, 0, 1], 0).into();
        config.nats.url = broker.url();
        config.gateway.shards = 1;
        config.gateway.drain_delay = Duration::ZERO;
        config.gateway.drain_timeout = Duration::from_millis(100);
        config.phoenix.drain_spread = Duration::ZERO;
        config.registry.open = true;
        config.identity.trust_client_identity = true;
        change(&mut config);
        let gateway = Gateway::start(config).await.map_err(|e| because(&e))?;
        let client = async_nats::connect(broker.url()).await;
        Ok(Self {
            gateway,
            client: client.map_err(|e| because(&e))?,
            broker,
            workers: JoinSet::new(),
        })
    }

    /// Ends all of it.
    pub(super) async fn stop(mut self) {
        self.workers.abort_all();
        self.gateway.drain().await;
        self.broker.shutdown().await;
    }

    /// Registers functions and answers their calls; fails if they are refused.
    pub(super) async fn serve(
        &mut self,
        service: &str,
        functions: Value,
        handler: Handler,
    ) -> Result {
        self.listen(service, &functions, handler).await?;
        let announce = Announce {
            service: &service.into(),
            instance: "i1",
            config_version: &Value::Null,
            functions: &functions,
            force: false,
            secret: None,
        };
        match self.announce(&announce).await? {
            Message::Accepted { .. } => Ok(()),
            other => Err(Error::new(format!("not accepted: {other:?}"))),
        }
    }

    /// The worker is gone without having said so.
    pub(super) async fn silence(&mut self) {
        self.workers.shutdown().await;
        // Subscriptions end with their tasks, in the order of what is sent.
        let _ = self.client.flush().await;
    }

    /// Takes the calls of these functions.
    async fn listen(&mut self, service: &str, functions: &Value, handler: Handler) -> Result {
        let because = |e: &dyn std::fmt::Display| Error::because("vectors: worker", e);
        let service = ServiceName::new(service).map_err(|e| because(&e))?;
        let text = json!({ "functions": functions }).to_string();
        let config = ServiceConfig::parse(&service, &text)
            .map_err(|reasons| Error::new(format!("not registered: {reasons:?}")))?;
        let subjects = Subjects::default();
        let instance = InstanceId::new("i1").map_err(|e| because(&e))?;
        let mut names = HashMap::new();
        for spec in &config.functions {
            let (version, name) = (spec.version.as_ref(), &spec.request_type);
            let own = subjects.instance_call(&service, &instance, version, name);
            for subject in [subjects.call(&service, version, name), own] {
                names.insert(subject, name.to_string());
            }
        }
        for (subject, name) in names {
            let calls = self.client.queue_subscribe(subject, "q".to_owned()).await;
            let calls = calls.map_err(|e| because(&e))?;
            let (client, handler) = (self.client.clone(), Arc::clone(&handler));
            self.workers.spawn(answer(client, calls, name, handler));
        }
        // The broker knows of all of them once it has answered.
        self.client.flush().await.map_err(|e| because(&e))
    }

    /// Says what an instance serves, and returns what the gateway says to it.
    pub(super) async fn announce(&self, announce: &Announce<'_>) -> Result<Message> {
        let because = |e: &dyn std::fmt::Display| Error::because("vectors: announce", e);
        let config = json!({ "functions": announce.functions });
        let mut message = json!({
            "type": "announce", "protocol": 1,
            "service": announce.service, "instance": announce.instance,
            "config_hash": config_hash(&config.to_string()), "state": "ready",
            "features": [], "encodings": ["json"], "in_flight": 0, "capacity": 0,
            "force": announce.force, "config_version": announce.config_version,
            "config": config,
        });
        if announce.config_version.is_null() {
            message.as_object_mut().map(|m| m.remove("config_version"));
        }
        let name = announce.service.as_str().unwrap_or("unnamed");
        let body = message.to_string();
        let answer = self
            .say(name, announce.instance, body, announce.secret)
            .await?;
        let parsed = Parsed::parse(&answer).map_err(|e| because(&e))?;
        Ok(parsed.message)
    }

    /// An instance leaves.
    pub(super) async fn leave(&self, service: &str, instance: &str) -> Result {
        let because = |e: &dyn std::fmt::Display| Error::because("vectors: leave", e);
        let body = json!({
            "type": "leave", "protocol": 1, "service": service, "instance": instance,
        });
        let subject = announce_subject(service, instance)?;
        let published = self.client.publish(subject, body.to_string().into()).await;
        published.map_err(|e| because(&e))?;
        self.client.flush().await.map_err(|e| because(&e))
    }

    async fn say(
        &self,
        service: &str,
        instance: &str,
        body: String,
        secret: Option<&str>,
    ) -> Result<Bytes> {
        let subject = announce_subject(service, instance)?;
        let limit = tokio::time::Instant::now() + LIMIT;
        loop {
            let mut signed = HeaderMap::new();
            if let Some(secret) = secret {
                // A nonce is used once, and they grow.
                let nonce = format!(
                    "{}-x",
                    NONCE.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
                );
                let signature = sign::sign(secret.as_bytes(), &subject, &nonce, body.as_bytes());
                signed.insert(headers::NONCE, nonce);
                signed.insert(headers::SIGNATURE, signature);
            }
            let request = async_nats::Request::new()
                .headers(signed)
                .payload(body.clone().into());
            match self.client.send_request(subject.clone(), request).await {
                Ok(answer) => return Ok(answer.payload),
                // The gateway does not listen yet.
                Err(e) if tokio::time::Instant::now() >= limit => {
                    return Err(Error::because("vectors: announce", e));
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }
}

static NONCE: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);

fn announce_subject(service: &str, instance: &str) -> Result<String> {
    let because = |e: &dyn std::fmt::Display| Error::because("vectors: name", e);
    let service = ServiceName::new(service).map_err(|e| because(&e))?;
    let instance = InstanceId::new(instance).map_err(|e| because(&e))?;
    Ok(Subjects::default().announce(&service, &instance))
}

async fn answer(
    client: Client,
    mut calls: async_nats::Subscriber,
    function: String,
    handler: Handler,
) {
    while let Some(message) = calls.next().await {
        let (Some(reply), Some(map)) = (message.reply, message.headers) else {
            continue;
        };
        let get = |name: &'static str| map.get(name).map(|value| value.as_str());
        let Ok(headers) = CallHeaders::decode(get) else {
            continue;
        };
        let asked = Asked {
            function: function.clone(),
            args: serde_json::from_slice(&message.payload).unwrap_or_default(),
            headers,
        };
        let (client, frames) = (client.clone(), handler(asked));
        tokio::spawn(async move {
            for frame in frames.await {
                let mut map = HeaderMap::new();
                let body = frame.encode(|name, value| map.insert(name, value));
                let sent = client.publish_with_headers(reply.clone(), map, body).await;
                if sent.is_err() {
                    return;
                }
            }
        });
    }
}
