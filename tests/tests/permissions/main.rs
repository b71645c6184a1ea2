//! The NATS users that `deploy/nats/nats.conf` ships: everything normal works with them, and a worker of
//! one service can do nothing to another. Each refusal is read from the server's own log.

#![expect(clippy::unwrap_used, reason = "helpers of tests may do what tests may")]

mod refused;
mod works;

use async_nats::{Client, ConnectOptions};
use sluice_e2e::gateway::{Gateway, GatewayBuilder};
use sluice_e2e::nats::{Broker, BrokerKind};
use sluice_e2e::worker::{Worker, WorkerBuilder};

/// The shipped file, with the block of the service `demo` for services `a` and `b`, and one user more who
/// may do all: the test's own eyes. Every user's password is its name.
fn config() -> String {
    let shipped = include_str!("../../../deploy/nats/nats.conf");
    let shipped: String = shipped
        .lines()
        // Tests run in parallel: no second port.
        .filter(|line| !line.starts_with("http"))
        .flat_map(|line| [line, "\n"])
        .collect();
    let start = shipped.find("    {\n      # A service of yours").unwrap();
    let end = shipped.find("    {\n      user: operator").unwrap();
    let block = &shipped[start..end];
    let of = |service: &str| {
        let block = block.replace("$NATS_DEMO_PASSWORD", service);
        block.replace("demo", service)
    };
    let eyes = "    {user: eyes, password: eyes}\n";
    let config = [&shipped[..start], &of("a"), &of("b"), eyes, &shipped[end..]].concat();
    config
        .replace("$NATS_GATEWAY_PASSWORD", "gateway")
        .replace("$NATS_OPERATOR_PASSWORD", "operator")
}

async fn broker(kind: BrokerKind) -> Broker {
    Broker::start_with(kind, &config()).await.unwrap()
}

/// A client that signs in as `user`, with that user's inboxes.
async fn client(broker: &Broker, user: &str) -> Client {
    let inbox = match user {
        "operator" => "_INBOX.operator".to_owned(),
        "gateway" => "_INBOX.sluice.test".to_owned(),
        "eyes" => "_INBOX.eyes".to_owned(),
        service => format!("_INBOX.worker.{service}"),
    };
    ConnectOptions::with_user_and_password(user.to_owned(), user.to_owned())
        .custom_inbox_prefix(inbox)
        .connect(broker.url())
        .await
        .unwrap()
}

fn gateway(broker: &Broker, name: &str) -> GatewayBuilder {
    Gateway::builder(broker.url())
        .name(name)
        .option("nats", "user", "gateway")
        .option("nats", "password", "gateway")
}

fn worker(broker: &Broker, service: &str) -> WorkerBuilder {
    Worker::builder(broker.url())
        .service(service)
        .instance(&format!("w{service}"))
        .env("SLUICE_NATS_USER", service)
        .env("SLUICE_NATS_PASSWORD", service)
        .env(
            "SLUICE_NATS_INBOX_PREFIX",
            format!("_INBOX.worker.{service}"),
        )
}

/// Lines of the server's log that say that somebody was refused.
fn violations(broker: &Broker) -> usize {
    broker
        .process()
        .log()
        .count(|line| line.contains("Violation"))
}

/// The test on both releases of nats-server; the embedded broker has no users.
macro_rules! on_each_server {
    ($name:ident) => {
        mod $name {
            #[tokio::test]
            async fn on_nats_2_9() {
                on(sluice_e2e::nats::BrokerKind::NatsOld).await;
            }

            #[tokio::test]
            async fn on_the_current_nats() {
                on(sluice_e2e::nats::BrokerKind::NatsCurrent).await;
            }

            async fn on(kind: sluice_e2e::nats::BrokerKind) {
                if kind.is_available() {
                    super::test(&crate::broker(kind).await).await;
                }
            }
        }
    };
}
use on_each_server;
