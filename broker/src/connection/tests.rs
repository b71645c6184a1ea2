//! Timers and closing, over pipes and with a clock that the test turns.

use tokio::io::{AsyncBufReadExt, BufReader, DuplexStream, duplex, split};

use super::*;
use crate::options::{Auth, BrokerOptions};

/// A client's end of a connection that is being served.
struct Peer {
    stream: BufReader<DuplexStream>,
    shutdown: CancellationToken,
}

impl Peer {
    /// Connects over a pipe that holds `pipe` bytes; reads INFO.
    async fn connect(options: BrokerOptions, pipe: usize) -> Self {
        let (near, far) = duplex(pipe);
        let shutdown = CancellationToken::new();
        let shared = Arc::new(Shared::new(options, ([127, 0, 0, 1], 4222).into()));
        let peer = [127, 0, 0, 1].into();
        tokio::spawn(serve(shared, 7, peer, split(far), shutdown.clone()));
        let mut peer = Self {
            stream: BufReader::new(near),
            shutdown,
        };
        assert!(peer.line().await.starts_with("INFO {"));
        peer
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// The next line; empty at the end.
    async fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).await.unwrap();
        line
    }

    async fn rest(&mut self) -> String {
        let mut rest = String::new();
        self.stream.read_to_string(&mut rest).await.unwrap();
        rest
    }
}

const PIPE: usize = 64 * 1024;

#[tokio::test(start_paused = true)]
async fn a_silent_client_is_pinged_then_dropped() {
    let mut peer = Peer::connect(BrokerOptions::default(), PIPE).await;
    let start = Instant::now();
    assert_eq!(peer.line().await, "PING\r\n");
    assert_eq!(start.elapsed().as_secs(), 120);
    assert_eq!(peer.rest().await, "PING\r\n-ERR 'Stale Connection'\r\n");
    assert_eq!(start.elapsed().as_secs(), 360);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_answers_stays() {
    let mut peer = Peer::connect(BrokerOptions::default(), PIPE).await;
    for _ in 0..5 {
        assert_eq!(peer.line().await, "PING\r\n");
        peer.send(b"PONG\r\n").await;
    }
    peer.send(b"PING\r\n").await;
    assert_eq!(peer.line().await, "PONG\r\n");
}

#[tokio::test(start_paused = true)]
async fn authentication_has_a_time_limit() {
    let options = BrokerOptions {
        auth: Auth::Token("t".into()),
        ..BrokerOptions::default()
    };
    let mut peer = Peer::connect(options, PIPE).await;
    let start = Instant::now();
    assert_eq!(peer.rest().await, "-ERR 'Authentication Timeout'\r\n");
    assert_eq!(start.elapsed().as_secs(), 2);
}

#[tokio::test(start_paused = true)]
async fn shutdown_flushes_what_is_queued() {
    let mut peer = Peer::connect(BrokerOptions::default(), PIPE).await;
    peer.send(b"CONNECT {\"verbose\":false}\r\nSUB a 1\r\nPUB a 2\r\nhi\r\nPING\r\n")
        .await;
    assert_eq!(peer.line().await, "MSG a 1 2\r\n");
    peer.shutdown.cancel();
    assert_eq!(peer.rest().await, "hi\r\nPONG\r\n");
}

#[tokio::test(start_paused = true)]
async fn a_slow_consumer_is_cut_between_messages() {
    let options = BrokerOptions {
        max_pending: 64 * 1024,
        max_payload: 1024,
        ..BrokerOptions::default()
    };
    let mut peer = Peer::connect(options, 512).await;
    peer.send(b"CONNECT {\"verbose\":false}\r\nSUB a 1\r\n")
        .await;
    // It floods itself and reads nothing: sending stops once the broker has hung up.
    let publish = [b"PUB a 100\r\n".as_slice(), &[b'x'; 100], b"\r\n"].concat();
    let mut sent = 0;
    while peer.stream.write_all(&publish).await.is_ok() {
        sent += 1;
        assert!(sent < 10_000, "never cut");
    }
    assert!(sent > 500, "cut after {sent}");
}

#[tokio::test(start_paused = true)]
async fn a_slow_consumer_that_wakes_up_reads_why() {
    let options = BrokerOptions {
        max_pending: 4 * 1024,
        max_payload: 1024,
        ..BrokerOptions::default()
    };
    let mut peer = Peer::connect(options, 2048).await;
    let publish = [b"PUB a 100\r\n".as_slice(), &[b'x'; 100], b"\r\n"].concat();
    peer.send(b"CONNECT {\"verbose\":false}\r\nSUB a 1\r\n")
        .await;
    // More than the pipe and the bound hold together, less than would block the sending side.
    let mut rest = String::new();
    for _ in 0..60 {
        let _ = peer.stream.write_all(&publish).await;
    }
    let _ = peer.stream.read_to_string(&mut rest).await;
    let message = format!("MSG a 1 100\r\n{}\r\n", "x".repeat(100));
    assert_eq!(rest.replace(&message, ""), "-ERR 'Slow Consumer'\r\n");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_never_reads_does_not_hold_up_shutdown() {
    let mut peer = Peer::connect(BrokerOptions::default(), 16).await;
    peer.send(b"PING\r\nPING\r\nPING\r\nPING\r\nPING\r\n").await;
    let client_gone = peer.shutdown.clone();
    peer.shutdown.cancel();
    client_gone.cancelled().await;
    // The write side gives up after its time limit; only what fitted into the pipe is there.
    tokio::time::advance(Duration::from_secs(3)).await;
    assert!(peer.rest().await.len() <= "+OK\r\nPONG\r\n".len() * 5);
}
