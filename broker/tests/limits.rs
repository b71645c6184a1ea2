//! Who may connect, and how much each may hold.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{Raw, any_port, broker_with};
use sluice_broker::{Auth, Broker, BrokerOptions};

#[tokio::test]
async fn subscriptions_per_connection_are_limited() {
    let broker = broker_with(BrokerOptions {
        max_subscriptions: 2,
        ..BrokerOptions::default()
    })
    .await;
    let mut raw = Raw::connect(&broker).await;
    let refused = raw.ask("SUB a 1\r\nSUB b 2\r\nSUB c 3\r\n").await;
    assert_eq!(refused, "-ERR 'maximum subscriptions exceeded'\r\n");
    assert_eq!(
        raw.ask("UNSUB 1\r\nSUB c 3\r\nPUB c 0\r\n\r\n").await,
        "MSG c 3 0\r\n\r\n"
    );
}

#[tokio::test]
async fn connections_are_limited() {
    let broker = broker_with(BrokerOptions {
        max_connections: 1,
        ..BrokerOptions::default()
    })
    .await;
    let mut first = Raw::connect(&broker).await;
    first.flush().await;
    let mut second = Raw::open(&broker).await;
    assert_eq!(
        second.rest().await,
        "-ERR 'maximum connections exceeded'\r\n"
    );
    first.flush().await;
}

#[tokio::test]
async fn credentials_come_first() {
    let auth = Auth::UserPassword {
        user: "u".into(),
        password: "p".into(),
    };
    let broker = broker_with(BrokerOptions {
        auth,
        ..BrokerOptions::default()
    })
    .await;
    for wrong in [
        "PING\r\n",
        "CONNECT {\"user\":\"u\",\"pass\":\"x\"}\r\n",
        "CONNECT {}\r\n",
    ] {
        let mut raw = Raw::open(&broker).await;
        raw.send(wrong).await;
        assert_eq!(
            raw.rest().await,
            "-ERR 'Authorization Violation'\r\n",
            "{wrong}"
        );
    }
    let mut raw = Raw::open(&broker).await;
    assert!(raw.info.contains("\"auth_required\":true"));
    let right = "CONNECT {\"user\":\"u\",\"pass\":\"p\",\"verbose\":false}\r\n";
    assert_eq!(raw.ask(right).await, "");
}

#[tokio::test]
async fn options_that_contradict_are_refused() {
    for options in [
        BrokerOptions {
            max_pending: 10,
            ..BrokerOptions::default()
        },
        BrokerOptions {
            max_control_line: 10,
            ..BrokerOptions::default()
        },
        BrokerOptions {
            ping_interval: std::time::Duration::ZERO,
            ..BrokerOptions::default()
        },
    ] {
        let error = Broker::bind(any_port(), options).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    }
}
