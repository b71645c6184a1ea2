//! What the tests of the broker share.

#![allow(dead_code, reason = "each test file uses its part of it")]

use std::net::SocketAddr;
use std::time::Duration;

use sluice_broker::{Broker, BrokerOptions, RunningBroker};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Far beyond what anything here takes; only a failing test waits so long.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// Fails a test that would hang.
pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, future)
        .await
        .expect("took too long")
}

pub(crate) fn any_port() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

pub(crate) async fn broker() -> RunningBroker {
    broker_with(BrokerOptions::default()).await
}

pub(crate) async fn broker_with(options: BrokerOptions) -> RunningBroker {
    Broker::spawn(any_port(), options).await.unwrap()
}

/// A client that speaks in bytes.
pub(crate) struct Raw {
    stream: TcpStream,
    read: Vec<u8>,
    pub(crate) info: String,
}

impl Raw {
    /// Connects and reads INFO.
    pub(crate) async fn open(broker: &RunningBroker) -> Self {
        let stream = TcpStream::connect(broker.addr()).await.unwrap();
        // Tests write in small pieces and wait for answers.
        stream.set_nodelay(true).unwrap();
        let mut raw = Self {
            stream,
            read: Vec::new(),
            info: String::new(),
        };
        raw.info = raw.line().await;
        assert!(raw.info.starts_with("INFO {"), "{}", raw.info);
        raw
    }

    /// Connects as client libraries do: not verbose, with headers and no-responders.
    pub(crate) async fn connect(broker: &RunningBroker) -> Self {
        let mut raw = Self::open(broker).await;
        raw.send(
            "CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true,\
             \"no_responders\":true}\r\n",
        )
        .await;
        raw
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        within(self.stream.write_all(bytes.as_ref())).await.unwrap();
    }

    /// Sends, then a PING; returns all that is answered before its PONG.
    pub(crate) async fn ask(&mut self, bytes: impl AsRef<[u8]>) -> String {
        self.send(bytes).await;
        self.send("PING\r\n").await;
        self.until("PONG\r\n").await
    }

    /// What comes before `end`.
    pub(crate) async fn until(&mut self, end: &str) -> String {
        let mut searched = 0;
        loop {
            let found = self.read[searched..]
                .windows(end.len())
                .position(|b| b == end.as_bytes());
            if let Some(at) = found.map(|at| searched + at) {
                let rest = self.read.split_off(at + end.len());
                let mut before = std::mem::replace(&mut self.read, rest);
                before.truncate(at);
                return String::from_utf8(before).unwrap();
            }
            searched = (self.read.len() + 1).saturating_sub(end.len());
            let count = within(self.stream.read_buf(&mut self.read)).await.unwrap();
            assert_ne!(
                count,
                0,
                "closed after {:?}",
                String::from_utf8_lossy(&self.read)
            );
        }
    }

    pub(crate) async fn line(&mut self) -> String {
        self.until("\r\n").await
    }

    /// All that comes until the broker closes.
    pub(crate) async fn rest(&mut self) -> String {
        within(self.stream.read_to_end(&mut self.read))
            .await
            .unwrap();
        String::from_utf8(std::mem::take(&mut self.read)).unwrap()
    }

    /// Makes sure that all sent so far has been acted upon.
    pub(crate) async fn flush(&mut self) {
        assert_eq!(self.ask("").await, "");
    }
}
