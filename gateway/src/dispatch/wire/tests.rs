//! The connection against the embedded broker, and against servers that a test plays byte by byte.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use futures_util::StreamExt;
use sluice_broker::BrokerOptions;
use sluice_protocol::{Frame, Payload};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::yield_now;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::link::MANY;
use super::*;
use crate::dispatch::inbox::Ticket;

const BOUNDS: Bounds = Bounds {
    items: 100,
    bytes: 10_000_000,
};

struct Rig {
    broker: NatsBroker,
    _stop: DropGuard,
}

impl Rig {
    fn at(url: &str) -> Self {
        let config = Nats {
            url: url.to_owned(),
            ..Nats::default()
        };
        let stop = CancellationToken::new();
        let inbox = Inbox::new("_INBOX.g.0");
        let broker = NatsBroker::start(&config, "test", inbox, stop.clone()).unwrap();
        Self {
            broker,
            _stop: stop.drop_guard(),
        }
    }

    async fn until(&self, connected: bool, epoch: u64) {
        let mut state = self.broker.watch();
        let reached = state.wait_for(|s| s.connected == connected && s.epoch == epoch);
        reached.await.unwrap();
    }

    fn ticket(&self) -> Ticket {
        let epoch = self.broker.state().epoch;
        self.broker.inbox.open(BOUNDS, epoch)
    }

    async fn publish(&self, subject: &str, reply: Option<String>, body: &[u8]) {
        let mut message = Outgoing::bare(subject, reply, Bytes::copy_from_slice(body));
        message.headers.insert("Sluice-Call", "c1");
        let broker: &dyn Broker = &self.broker;
        broker.publish(&message).await.unwrap();
    }
}

fn result(text: impl Into<Bytes>) -> Delivery {
    Delivery::Frame(Frame::Result(Payload::json(text)))
}

async fn embedded(port: u16) -> sluice_broker::RunningBroker {
    let address = ([127, 0, 0, 1], port).into();
    sluice_broker::Broker::spawn(address, BrokerOptions::default())
        .await
        .unwrap()
}

#[tokio::test]
async fn a_call_goes_out_and_its_answer_comes_back() {
    let server = embedded(0).await;
    let rig = Rig::at(&server.url());
    rig.until(true, 1).await;
    let worker = async_nats::connect(server.url()).await.unwrap();
    let mut calls = worker.subscribe("call.*").await.unwrap();
    worker.flush().await.unwrap();
    let ticket = rig.ticket();
    rig.publish("call.f", Some(ticket.subject()), b"{}").await;
    let call = calls.next().await.unwrap();
    assert_eq!(call.payload, "{}");
    let headers = call.headers.unwrap();
    assert_eq!(headers.get("Sluice-Call").unwrap().as_str(), "c1");
    let answer = vec![b'1'; 300_000];
    worker
        .publish(call.reply.unwrap(), answer.clone().into())
        .await
        .unwrap();
    assert_eq!(ticket.mailbox().next().await, result(answer));
    server.shutdown().await;
}

#[tokio::test]
async fn nobody_listens() {
    let server = embedded(0).await;
    let rig = Rig::at(&server.url());
    rig.until(true, 1).await;
    let ticket = rig.ticket();
    rig.publish("call.f", Some(ticket.subject()), b"{}").await;
    rig.broker.settle().await.unwrap();
    assert_eq!(ticket.mailbox().try_next(), Some(Delivery::NoResponders));
    server.shutdown().await;
}

#[tokio::test]
async fn a_broker_that_goes_and_comes_back() {
    let server = embedded(0).await;
    let (port, url) = (server.addr().port(), server.url());
    let rig = Rig::at(&url);
    let early = Outgoing::bare("a", None, Bytes::new());
    assert_eq!(rig.broker.send(&early), Err(PublishError::NotConnected));
    rig.until(true, 1).await;
    let ticket = rig.ticket();
    server.shutdown().await;
    assert_eq!(ticket.mailbox().next().await, Delivery::Disconnected);
    rig.until(false, 1).await;
    assert_eq!(rig.broker.send(&early), Err(PublishError::NotConnected));
    assert_eq!(
        rig.broker.settle().await,
        Err(PublishError::NotConnected),
        "at once"
    );
    let server = embedded(port).await;
    assert_eq!(ticket.mailbox().next().await, Delivery::Reconnected);
    rig.until(true, 2).await;
    // It listens for replies again.
    let worker = async_nats::connect(&url).await.unwrap();
    worker.publish(ticket.subject(), "1".into()).await.unwrap();
    assert_eq!(ticket.mailbox().next().await, result("1"));
    server.shutdown().await;
}

/// A server that the test plays.
struct Played {
    listener: TcpListener,
    url: String,
}

const INFO: &str = "INFO {\"headers\":true,\"max_payload\":1000}\r\n";

impl Played {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("nats://{}", listener.local_addr().unwrap());
        Self { listener, url }
    }

    /// A server, who is connected to it, and what it sees of them after [`Self::welcome`].
    async fn linked() -> (Self, Rig, BufReader<TcpStream>) {
        let server = Self::new().await;
        let rig = Rig::at(&server.url);
        let client = server.welcome().await;
        rig.until(true, 1).await;
        (server, rig, client)
    }

    async fn accept(&self) -> BufReader<TcpStream> {
        BufReader::new(self.listener.accept().await.unwrap().0)
    }

    /// Up to the subscription of the inbox.
    async fn welcome(&self) -> BufReader<TcpStream> {
        let mut client = self.accept().await;
        client.write_all(INFO.as_bytes()).await.unwrap();
        assert!(line(&mut client).await.starts_with("CONNECT {"));
        assert_eq!(line(&mut client).await, "PING\r\n");
        client.write_all(b"PONG\r\n").await.unwrap();
        assert_eq!(line(&mut client).await, "SUB _INBOX.g.0.> 1\r\n");
        client
    }
}

async fn line(client: &mut BufReader<TcpStream>) -> String {
    let mut text = String::new();
    client.read_line(&mut text).await.unwrap();
    text
}

#[tokio::test]
async fn replies_in_any_pieces() {
    let (_server, rig, mut client) = Played::linked().await;
    assert_eq!(rig.broker.max_payload(), 1000);
    let large = "2".repeat(200_000);
    let (first, second) = (rig.ticket(), rig.ticket());
    let text = format!(
        "MSG {} 1 3\r\n\"1\"\r\nPING\r\nHMSG {} 1 12 {}\r\nNATS/1.0\r\n\r\n{large}\r\n",
        first.subject(),
        second.subject(),
        12 + large.len(),
    );
    let (small, rest) = text.as_bytes().split_at(text.len() - large.len() - 2);
    for byte in small {
        client.write_all(&[*byte]).await.unwrap();
    }
    client.write_all(rest).await.unwrap();
    assert_eq!(first.mailbox().next().await, result("\"1\""));
    assert_eq!(second.mailbox().next().await, result(large));
    assert_eq!(line(&mut client).await, "PONG\r\n");
    // It tells of a change while it is in use.
    let info = INFO.replace("1000", "2000");
    client.write_all(info.as_bytes()).await.unwrap();
    let third = rig.ticket();
    let reply = format!("MSG {} 1 0\r\n\r\n", third.subject());
    client.write_all(reply.as_bytes()).await.unwrap();
    third.mailbox().next().await;
    assert_eq!(rig.broker.max_payload(), 2000);
}

#[tokio::test]
async fn replies_that_make_no_sense_harm_their_call_alone() {
    let (_server, rig, mut client) = Played::linked().await;
    let (bad, good) = (rig.ticket(), rig.ticket());
    let mut bytes = format!("HMSG {} 1 14 14\r\nNATS/1.0\r\nA:", bad.subject()).into_bytes();
    bytes.extend_from_slice(b"\xff\xff\r\n");
    bytes.extend_from_slice(b"MSG \xff\xff 1 0\r\n\r\n");
    bytes.extend_from_slice(b"MSG strangers.subject 1 0\r\n\r\n");
    bytes.extend_from_slice(b"-ERR 'Permissions Violation for Publish to \"a\"'\r\n");
    bytes.extend_from_slice(format!("MSG {} 1 1\r\n1\r\n", good.subject()).as_bytes());
    client.write_all(&bytes).await.unwrap();
    assert_eq!(good.mailbox().next().await, result("1"));
    let said = bad.mailbox().next().await;
    assert!(matches!(said, Delivery::Malformed(_)), "{said:?}");
    let unknown = &rig.broker.inbox.stats.unknown;
    assert_eq!(unknown.load(Ordering::Relaxed), 2);
    assert!(rig.broker.state().connected);
}

#[tokio::test]
async fn what_is_no_nats_server_is_left_and_tried_again() {
    let server = Played::new().await;
    let rig = Rig::at(&server.url);
    for greeting in [
        "HTTP/1.1 400 Bad Request\r\n\r\n",
        "INFO {\"version\":\"2.1\"}\r\n",
        "-ERR 'maximum connections exceeded'\r\n",
        "PING\r\n",
        "",
    ] {
        let mut client = server.accept().await;
        client.write_all(greeting.as_bytes()).await.unwrap();
        if greeting.is_empty() {
            client.get_mut().shutdown().await.unwrap();
        }
        // It hangs up.
        let mut rest = Vec::new();
        let _ = client.read_until(0, &mut rest).await;
        assert!(rest.is_empty(), "{greeting}");
    }
    // Refused after it has said who it is.
    let mut client = server.accept().await;
    client.write_all(INFO.as_bytes()).await.unwrap();
    line(&mut client).await;
    client
        .write_all(b"-ERR 'Authorization Violation'\r\n")
        .await
        .unwrap();
    drop(client);
    assert!(!rig.broker.state().connected);
    // In use, and then it speaks something else.
    let mut client = server.welcome().await;
    rig.until(true, 1).await;
    client.write_all(b"nonsense\r\n").await.unwrap();
    rig.until(false, 1).await;
    let _client = server.welcome().await;
    rig.until(true, 2).await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_silent_is_left() {
    let (server, rig, mut client) = Played::linked().await;
    for _ in 0..2 {
        assert_eq!(line(&mut client).await, "PING\r\n");
    }
    rig.until(false, 1).await;
    let mut client = server.welcome().await;
    rig.until(true, 2).await;
    for _ in 0..5 {
        assert_eq!(line(&mut client).await, "PING\r\n");
        client.write_all(b"PONG\r\n").await.unwrap();
    }
    assert!(rig.broker.state().connected);
}

#[tokio::test]
async fn two_servers_one_of_which_is_there() {
    let server = embedded(0).await;
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gone = nobody.local_addr().unwrap();
    drop(nobody);
    let rig = Rig::at(&format!("nats://{gone}, {}", server.url()));
    rig.until(true, 1).await;
    server.shutdown().await;
}

#[tokio::test]
async fn what_comes_with_the_next_looks_at_the_sockets_leaves_in_the_same_write() {
    let (_server, rig, mut client) = Played::linked().await;
    rig.publish("call.f", None, b"first").await;
    // Resumes once the runtime has looked at what its sockets have.
    yield_now().await;
    rig.publish("call.f", None, b"second").await;
    yield_now().await;
    rig.publish("call.f", None, b"third").await;
    // One reading takes what one write has brought.
    let read = String::from_utf8(client.fill_buf().await.unwrap().to_vec()).unwrap();
    let all = ["first", "second", "third"];
    assert!(all.iter().all(|body| read.contains(body)), "{read}");
}

#[tokio::test]
async fn what_is_alone_or_many_waits_less_for_others() {
    let (_server, rig, mut client) = Played::linked().await;
    let mut turns = Vec::new();
    for bodies in [vec![1], vec![1, 1], vec![1, MANY]] {
        for size in &bodies {
            rig.publish("call.f", None, &vec![b'x'; *size]).await;
        }
        let mut count = 0;
        while rig.broker.shared.outbox.waiting().messages > 0 {
            yield_now().await;
            count += 1;
        }
        turns.push(count);
        let mut left: usize = bodies.iter().sum();
        while left > 0 {
            let read = client.fill_buf().await.unwrap();
            left -= read.iter().filter(|byte| **byte == b'x').count();
            let all = read.len();
            client.consume(all);
        }
    }
    let [alone, several, many] = turns[..] else {
        panic!("{turns:?}")
    };
    assert!(many == alone && alone < several, "{turns:?}");
}

#[tokio::test]
async fn messages_go_out_whole_and_in_order() {
    let server = embedded(0).await;
    let rig = Arc::new(Rig::at(&server.url()));
    rig.until(true, 1).await;
    let listener = async_nats::connect(server.url()).await.unwrap();
    let mut heard = listener.subscribe("many").await.unwrap();
    listener.flush().await.unwrap();
    let sender = rig.clone();
    let sent = tokio::spawn(async move {
        for number in 0..2000_usize {
            let body = number.to_string().repeat(1 + number % 700);
            sender.publish("many", None, body.as_bytes()).await;
        }
    });
    for number in 0..2000_usize {
        let body = number.to_string().repeat(1 + number % 700);
        assert_eq!(heard.next().await.unwrap().payload, body);
    }
    sent.await.unwrap();
    server.shutdown().await;
}
