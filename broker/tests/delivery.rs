//! Who gets what, in which order, over several connections.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{Raw, broker, broker_with, within};
use sluice_broker::{Broker, BrokerOptions};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_arrives_after_an_answered_unsubscribe() {
    let broker = broker().await;
    let mut publisher = Raw::connect(&broker).await;
    let mut subscriber = Raw::connect(&broker).await;
    let flood = "PUB a 1\r\nx\r\n".repeat(200);
    for _ in 0..50 {
        subscriber.send("SUB a 1\r\n").await;
        subscriber.flush().await;
        // The flood is under way while the subscription ends.
        publisher.send(&flood).await;
        let before = subscriber.ask("UNSUB 1\r\n").await;
        assert_eq!(before.replace("MSG a 1 1\r\nx\r\n", ""), "");
        publisher.flush().await;
        assert_eq!(subscriber.ask("").await, "");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_publisher_is_heard_in_order() {
    const COUNT: usize = 20_000;
    let broker = broker().await;
    let mut publisher = Raw::connect(&broker).await;
    let mut subscribers = Vec::new();
    for subject in ["n.*", "n.a", ">"] {
        let mut raw = Raw::connect(&broker).await;
        raw.send(format!("SUB {subject} 1\r\n")).await;
        raw.flush().await;
        subscribers.push(raw);
    }
    let number = |i: usize| format!("{i:06}");
    let stream: String = (0..COUNT)
        .map(|i| format!("PUB n.a 6\r\n{}\r\n", number(i)))
        .collect();
    let expected: String = (0..COUNT)
        .map(|i| format!("MSG n.a 1 6\r\n{}\r\n", number(i)))
        .collect();
    publisher.send(stream).await;
    publisher.flush().await;
    for raw in &mut subscribers {
        assert!(raw.ask("").await == expected, "out of order or incomplete");
    }
}

#[tokio::test]
async fn a_queue_group_shares_and_the_others_all_hear() {
    const COUNT: usize = 600;
    let broker = broker().await;
    let mut members = Vec::new();
    for _ in 0..3 {
        let mut raw = Raw::connect(&broker).await;
        raw.send("SUB job workers 1\r\n").await;
        raw.flush().await;
        members.push(raw);
    }
    let mut listener = Raw::connect(&broker).await;
    listener.send("SUB job 1\r\n").await;
    listener.flush().await;

    let mut publisher = Raw::connect(&broker).await;
    publisher.send("PUB job 0\r\n\r\n".repeat(COUNT)).await;
    publisher.flush().await;
    let count = |text: String| text.matches("MSG job 1 0\r\n\r\n").count();
    let mut total = 0;
    for member in &mut members {
        let share = count(member.ask("").await);
        assert!(share > COUNT / 6, "{share}");
        total += share;
    }
    assert_eq!(total, COUNT);
    assert_eq!(count(listener.ask("").await), COUNT);
}

#[tokio::test]
async fn a_member_that_left_gets_nothing() {
    let broker = broker().await;
    let mut stays = Raw::connect(&broker).await;
    stays.send("SUB job workers 1\r\n").await;
    stays.flush().await;
    let mut leaves = Raw::connect(&broker).await;
    leaves.send("SUB job workers 1\r\n").await;
    leaves.flush().await;
    // Its end is complete once the broker has closed its side.
    leaves.send("NONSENSE\r\n").await;
    leaves.rest().await;

    let mut publisher = Raw::connect(&broker).await;
    publisher.send("PUB job 0\r\n\r\n".repeat(50)).await;
    publisher.flush().await;
    assert_eq!(stays.ask("").await.matches("MSG").count(), 50);
}

#[tokio::test]
async fn a_crowd_comes_and_goes() {
    const CROWD: usize = 20_000;
    let broker = broker().await;
    let mut crowd = Raw::connect(&broker).await;
    let mut subscribe = String::new();
    for sid in 0..CROWD {
        let queue = if sid % 2 == 0 { "" } else { " q" };
        subscribe += &format!("SUB news{queue} {sid}\r\n");
    }
    assert_eq!(crowd.ask(subscribe).await, "");

    let mut caller = Raw::connect(&broker).await;
    caller.send("SUB inbox 1\r\nPUB news inbox 0\r\n\r\n").await;
    caller.flush().await;
    assert_eq!(
        crowd.ask("").await.matches("MSG news").count(),
        CROWD / 2 + 1
    );

    // Its end is complete once the broker has closed its side.
    crowd.send("NONSENSE\r\n").await;
    crowd.rest().await;
    let answer = caller.ask("PUB news inbox 0\r\n\r\n").await;
    assert_eq!(answer, "HMSG inbox 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_messages_reach_many_whole() {
    let broker = broker().await;
    let mut subscribers = Vec::new();
    for _ in 0..8 {
        let mut raw = Raw::connect(&broker).await;
        raw.send("SUB big 1\r\n").await;
        raw.flush().await;
        subscribers.push(raw);
    }
    let body: String = ('a'..='z').cycle().take(1024 * 1024).collect();
    let mut publisher = Raw::connect(&broker).await;
    publisher
        .send(format!("PUB big 1048576\r\n{body}\r\nPUB big 3\r\nend\r\n"))
        .await;
    publisher.flush().await;
    let expected = format!("MSG big 1 1048576\r\n{body}\r\nMSG big 1 3\r\nend\r\n");
    for raw in &mut subscribers {
        assert!(raw.ask("").await == expected, "damaged");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_consumer_is_cut_and_nobody_else() {
    let options = BrokerOptions {
        max_pending: 1 << 20,
        max_payload: 1 << 18,
        ..BrokerOptions::default()
    };
    let broker = broker_with(options).await;
    let mut slow = Raw::connect(&broker).await;
    slow.send("SUB a 1\r\n").await;
    slow.flush().await;
    let mut fast = Raw::connect(&broker).await;
    fast.send("SUB a 1\r\n").await;
    fast.flush().await;

    // More than the kernel buffers on both sides and the bound hold together.
    let mut publisher = Raw::connect(&broker).await;
    let publish = format!("PUB a 200000\r\n{}\r\n", "x".repeat(200_000));
    let message = format!("MSG a 1 200000\r\n{}\r\n", "x".repeat(200_000));
    for _ in 0..100 {
        publisher.send(&publish).await;
        publisher.flush().await;
        assert!(fast.ask("").await == message);
    }
    let read = slow.rest().await;
    assert!(read.len() < 100 * message.len(), "it was never cut");
}

#[tokio::test]
async fn shutdown_frees_the_port_and_closes_all() {
    let broker = broker().await;
    let addr = broker.addr();
    let mut raw = Raw::connect(&broker).await;
    raw.send("SUB a 1\r\nPUB a 1\r\nx\r\n").await;
    raw.until("MSG a 1 1\r\nx\r\n").await;
    within(broker.shutdown()).await;
    assert_eq!(raw.rest().await, "");
    let again = Broker::spawn(addr, BrokerOptions::default()).await.unwrap();
    Raw::connect(&again).await.flush().await;
}

#[tokio::test]
async fn a_dropped_broker_closes_its_connections() {
    let broker = broker().await;
    let mut raw = Raw::connect(&broker).await;
    raw.flush().await;
    drop(broker);
    assert_eq!(raw.rest().await, "");
}
