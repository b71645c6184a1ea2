//! Calls whose times are noted.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::json;
use sluice_e2e::socket::Socket;
use sluice_e2e::{Error, Result};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How long the calls of one run took.
#[derive(Default)]
pub(crate) struct Times(Vec<Duration>);

impl Times {
    pub(crate) fn push(&mut self, time: Duration) {
        self.0.push(time);
    }

    pub(crate) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// The time that this share of the calls did not exceed.
    pub(crate) fn quantile(&self, share: f64) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let last = sorted.len().saturating_sub(1);
        let index = (last as f64 * share).round() as usize;
        sorted.get(index).copied().unwrap_or_default()
    }
}

/// One echo, with its answer checked; how long it took.
pub(crate) async fn echo(socket: &mut Socket, text: &str) -> Result<Duration> {
    let asked = Instant::now();
    let answer = socket.call("echo", json!({"message": text})).await?;
    if answer["result"]["message"] != text {
        return Err(Error::new(format!("echo of {text} answered {answer}")));
    }
    Ok(asked.elapsed())
}

/// Sockets that each call again as soon as they have their answer.
pub(crate) async fn busy(address: SocketAddr, sockets: usize, time: Duration) -> Result<Times> {
    let mut tasks = JoinSet::new();
    for _ in 0..sockets {
        let mut socket = Socket::joined(address).await?;
        tasks.spawn(async move {
            let (mut times, end) = (Times::default(), Instant::now() + time);
            while Instant::now() < end {
                times.push(echo(&mut socket, "busy").await?);
            }
            socket.close().await?;
            Ok::<_, Error>(times)
        });
    }
    let mut all = Times::default();
    while let Some(times) = tasks.join_next().await {
        all.extend(times.map_err(|error| Error::because("a socket's task", error))??);
    }
    Ok(all)
}
