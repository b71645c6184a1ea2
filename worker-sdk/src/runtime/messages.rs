//! Registry messages on their way out: built, signed, published.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use async_nats::{HeaderMap, Subject};
use sluice_protocol::headers::{NONCE, SIGNATURE};
use sluice_protocol::registry::{Instance, InstanceState, Message, feature};
use sluice_protocol::{Encoding, Subjects, sign};

use super::service::Service;
use super::shared::Shared;

/// Signs with the secret of a service.
pub(crate) struct Signer {
    secret: Vec<u8>,
    // From the time of the start in microseconds: it grows within a run and from run to run.
    counter: AtomicU64,
}

impl Signer {
    pub(crate) fn new(secret: Vec<u8>) -> Self {
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let micros = u64::try_from(since_epoch.as_micros()).unwrap_or(u64::MAX / 2);
        Self {
            secret,
            counter: AtomicU64::new(micros),
        }
    }

    fn headers(&self, subject: &str, body: &[u8]) -> HeaderMap {
        let counter = self.counter.fetch_add(1, Ordering::Relaxed);
        let nonce = format!("{counter}-{:016x}", rand::random::<u64>());
        let mut headers = HeaderMap::new();
        headers.insert(SIGNATURE, sign::sign(&self.secret, subject, &nonce, body));
        headers.insert(NONCE, nonce);
        headers
    }
}

/// What every message of this instance says of it.
fn instance(shared: &Shared, service: &Service, state: InstanceState) -> Instance {
    let names = [
        feature::BEAT,
        feature::CREDIT,
        feature::CANCEL,
        feature::PENDING,
    ];
    let encodings = [Encoding::Json, Encoding::MessagePack];
    Instance {
        service: service.name.clone(),
        instance: shared.instance.clone(),
        config_hash: service.config_hash.clone(),
        state,
        features: names.map(str::to_owned).into(),
        encodings: encodings.map(|e| e.name().to_owned()).into(),
        in_flight: u32::try_from(shared.table.len()).unwrap_or(u32::MAX),
        capacity: shared.capacity,
    }
}

/// What the instance does now.
pub(crate) fn state(shared: &Shared, service: &Service) -> InstanceState {
    if shared.leaving.is_cancelled() {
        InstanceState::Draining
    } else if *service.joined.borrow() {
        InstanceState::Ready
    } else {
        InstanceState::Starting
    }
}

/// Asks the gateways to take the config; they answer on `inbox`.
pub(crate) async fn announce(shared: &Shared, service: &Service, inbox: &str) {
    let message = Message::Announce {
        instance: instance(shared, service, state(shared, service)),
        config: service.config.clone(),
        force: false,
    };
    let to = service.announce.as_str();
    publish(shared, service, to, to, Some(inbox), &message).await;
}

/// Says that the instance lives: to all gateways, or to the one that asked.
pub(crate) async fn heartbeat(shared: &Shared, service: &Service, to: Option<Subject>) {
    let message = Message::Heartbeat(instance(shared, service, state(shared, service)));
    let signed = service.announce.as_str();
    let to = to.as_deref().unwrap_or(signed);
    publish(shared, service, to, signed, None, &message).await;
}

/// Says that the instance takes no more calls.
pub(crate) async fn leave(shared: &Shared, service: &Service) {
    let message = Message::Leave {
        service: service.name.clone(),
        instance: shared.instance.clone(),
    };
    let to = service.announce.as_str();
    publish(shared, service, to, to, None, &message).await;
}

/// Answers a pull with the config.
pub(crate) async fn config(shared: &Shared, service: &Service, to: Subject) {
    let message = Message::Config {
        service: service.name.clone(),
        config_hash: service.config_hash.clone(),
        config: service.config.clone(),
    };
    let signed = pull_subject(&shared.subjects, service);
    publish(shared, service, &to, &signed, None, &message).await;
}

/// Where the config of `service` is asked for.
pub(crate) fn pull_subject(subjects: &Subjects, service: &Service) -> String {
    subjects.pull(&service.name, &service.config_hash)
}

async fn publish(
    shared: &Shared,
    service: &Service,
    to: &str,
    signed: &str,
    reply: Option<&str>,
    message: &Message,
) {
    let body = message.to_json();
    let headers = service.signer.as_ref().map(|s| s.headers(signed, &body));
    let (client, to, body) = (&shared.client, to.to_owned(), body.into());
    let sent = match (reply.map(str::to_owned), headers) {
        (None, None) => client.publish(to, body).await,
        (None, Some(headers)) => client.publish_with_headers(to, headers, body).await,
        (Some(reply), None) => client.publish_with_reply(to, reply, body).await,
        (Some(reply), Some(headers)) => {
            client
                .publish_with_reply_and_headers(to, reply, headers, body)
                .await
        }
    };
    if let Err(error) = sent {
        tracing::error!(%error, service = %service.name, "registry message not sent");
    }
}
