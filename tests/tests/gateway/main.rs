//! What the gateway promises, with real processes: each test runs against the embedded broker, a
//! nats-server 2.9 and a current one.

#![expect(clippy::unwrap_used, reason = "helpers of tests may do what tests may")]

mod batches;
mod broker_restart;
mod calls;
mod deploy;
mod drain;
mod failover;
mod hostile_worker;
mod leave_taking;
mod phoenix;
mod plain_responder;
mod programs;
mod selection;
mod signed;
mod start_order;

/// One test for each kind of broker; a kind that is not installed is passed over aloud.
macro_rules! on_each_broker {
    ($(#[$doc:meta])* async fn $name:ident($kind:ident: $Kind:ident) $body:block) => {
        $(#[$doc])*
        mod $name {
            #[allow(unused_imports, reason = "not every test needs all of its module")]
            use super::*;

            async fn test($kind: $Kind) $body

            async fn on(kind: sluice_e2e::nats::BrokerKind) {
                if kind.is_available() {
                    test(kind).await;
                } else {
                    eprintln!("skipped: {kind:?} is not installed, run scripts/setup");
                }
            }

            #[tokio::test]
            async fn on_the_embedded_broker() {
                on(sluice_e2e::nats::BrokerKind::Embedded).await;
            }

            #[tokio::test]
            async fn on_nats_2_9() {
                on(sluice_e2e::nats::BrokerKind::NatsOld).await;
            }

            #[tokio::test]
            async fn on_the_current_nats() {
                on(sluice_e2e::nats::BrokerKind::NatsCurrent).await;
            }
        }
    };
}
use on_each_broker;
