//! Real servers on ports that they keep.

use std::time::Duration;

use serde_json::json;
use sluice_e2e::eventually;
use sluice_e2e::nats::{Broker, BrokerKind};
use sluice_e2e::ports::Port;
use sluice_e2e::redis::Redis;

#[tokio::test]
async fn real_brokers_restart_on_their_port_and_clients_come_back() {
    for kind in [BrokerKind::NatsOld, BrokerKind::NatsCurrent] {
        if !kind.is_available() {
            continue;
        }
        let mut broker = Broker::start(kind).await.unwrap();
        let url = broker.url();
        let client = broker.client().await.unwrap();
        let version = client.server_info().version;
        assert_eq!(
            version.starts_with("2.9."),
            kind == BrokerKind::NatsOld,
            "{kind}: {version}"
        );

        broker.process().kill9().unwrap();
        broker.restart().await.unwrap();
        assert_eq!(broker.url(), url);
        eventually("round trip after the restart", || async {
            let rtt = tokio::time::timeout(Duration::from_secs(1), client.flush()).await;
            rtt.is_ok_and(|flushed| flushed.is_ok())
                && client.connection_state() == async_nats::connection::State::Connected
        })
        .await
        .unwrap();
        // And once more from a running server, by SIGTERM.
        broker.restart().await.unwrap();
        broker.client().await.unwrap();
    }
}

#[tokio::test]
async fn a_real_broker_takes_a_configuration() {
    if !BrokerKind::NatsCurrent.is_available() {
        return;
    }
    let broker = Broker::start_with(BrokerKind::NatsCurrent, "max_payload: 4096")
        .await
        .unwrap();
    assert_eq!(broker.client().await.unwrap().max_payload(), 4096);
}

#[tokio::test]
async fn redis_restarts_on_its_port_and_keeps_what_it_was_told_to_keep() {
    for persistent in [false, true] {
        let redis = if persistent {
            Redis::start_persistent().await
        } else {
            Redis::start().await
        };
        let mut redis = redis.unwrap();
        redis.command(&["SET", "key", "value"]).await.unwrap();
        redis.restart().await.unwrap();
        let kept = redis.command(&["GET", "key"]).await.unwrap();
        assert_eq!(
            kept,
            if persistent {
                json!("value")
            } else {
                json!(null)
            }
        );
        assert_eq!(
            redis.command(&["LRANGE", "none", "0", "-1"]).await.unwrap(),
            json!([])
        );
        let refusal = redis.command(&["NOSUCH"]).await.unwrap_err().to_string();
        assert!(refusal.contains("unknown command"), "{refusal}");
    }
}

#[test]
fn leased_ports_differ_and_are_free() {
    let ports: Vec<_> = (0..50).map(|_| Port::lease().unwrap()).collect();
    let mut numbers: Vec<_> = ports.iter().map(Port::number).collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), 50);
    std::net::TcpListener::bind(ports[0].address()).unwrap();
}
