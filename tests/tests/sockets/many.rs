//! Many sockets at once, each with one call a second.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use sluice_e2e::cluster::Cluster;
use sluice_e2e::socket::Socket;
use sluice_e2e::{Error, Result};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::machine::{assert_sound, broker, rss};
use crate::measure::{Times, echo};

/// Connections that are being opened at a time.
const OPENING: usize = 64;

/// What a run found.
struct Findings {
    sockets: usize,
    errors: Vec<String>,
    times: Times,
    joined_in: Duration,
    /// Of the gateway: without sockets, with all joined and silent, after the calls.
    memory: [u64; 3],
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [before, joined, after] = self.memory;
        let each = |now: u64| now.saturating_sub(before) / self.sockets as u64;
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let (p50, p99) = (self.times.quantile(0.5), self.times.quantile(0.99));
        writeln!(
            f,
            "{} sockets, all joined in {:?}",
            self.sockets, self.joined_in
        )?;
        writeln!(
            f,
            "{} answers, {} errors",
            self.times.count(),
            self.errors.len()
        )?;
        let max = self.times.quantile(1.0);
        writeln!(f, "answers: p50 {p50:?}, p99 {p99:?}, max {max:?}")?;
        writeln!(
            f,
            "gateway RSS: {:.1} MiB before, {:.1} joined, {:.1} after the calls",
            mib(before),
            mib(joined),
            mib(after)
        )?;
        writeln!(
            f,
            "bytes per socket: {} joined, {} after",
            each(joined),
            each(after)
        )?;
        self.errors
            .iter()
            .take(5)
            .try_for_each(|error| writeln!(f, "error: {error}"))
    }
}

#[tokio::test]
async fn three_hundred_sockets_call_once_a_second() {
    let found = run(300, Duration::from_secs(5)).await.unwrap();
    assert!(found.errors.is_empty(), "{found}");
    assert!(found.times.count() >= 300, "each has called: {found}");
}

/// The full form, for figures: `cargo nextest run -p sluice-e2e --test sockets --run-ignored only
/// --no-capture`.
#[tokio::test]
#[ignore = "a minute of load, for docs/measurements-sockets.md"]
async fn two_thousand_sockets_call_once_a_second_for_a_minute() {
    let found = run(2_000, Duration::from_secs(60)).await.unwrap();
    eprintln!("{found}");
    assert!(found.errors.is_empty(), "{found}");
    assert!(found.times.count() >= 2_000, "each has called: {found}");
}

async fn run(sockets: usize, time: Duration) -> Result<Findings> {
    let cluster = Cluster::start(broker()).await?;
    let gateway = cluster.gateway(0);
    // What the first socket and call bring into memory belongs to no socket.
    echo(&mut Socket::joined(gateway.address()).await?, "first").await?;
    let before = rss(gateway.process());
    let began = Instant::now();
    let open = join_all(gateway.address(), sockets).await?;
    let joined_in = began.elapsed();
    let joined = rss(gateway.process());
    let (times, errors) = call_all(open, time).await;
    let after = rss(gateway.process());
    assert_sound(gateway.process());
    assert_sound(cluster.worker(0).process());
    Ok(Findings {
        sockets,
        errors,
        times,
        joined_in,
        memory: [before, joined, after],
    })
}

/// Opens and joins them all; an error if one of them could not.
async fn join_all(address: SocketAddr, sockets: usize) -> Result<Vec<Socket>> {
    let opening = Arc::new(Semaphore::new(OPENING));
    let mut tasks = JoinSet::new();
    for _ in 0..sockets {
        let opening = Arc::clone(&opening);
        tasks.spawn(async move {
            let _turn = opening
                .acquire()
                .await
                .map_err(|e| Error::because("turn", e))?;
            Socket::joined(address).await
        });
    }
    tasks.join_all().await.into_iter().collect()
}

/// Each calls once a second, at a moment of its own, then closes. A socket that fails ends with
/// its error.
async fn call_all(open: Vec<Socket>, time: Duration) -> (Times, Vec<String>) {
    let mut tasks = JoinSet::new();
    let (begin, step) = (
        Instant::now(),
        Duration::from_secs(1) / open.len().max(1) as u32,
    );
    for (number, socket) in open.into_iter().enumerate() {
        let first = begin + step * number as u32;
        tasks.spawn(call_on(socket, number, first, begin + time));
    }
    let (mut times, mut errors) = (Times::default(), Vec::new());
    for (of_one, error) in tasks.join_all().await {
        times.extend(of_one);
        errors.extend(error);
    }
    (times, errors)
}

async fn call_on(
    mut socket: Socket,
    number: usize,
    first: Instant,
    end: Instant,
) -> (Times, Option<String>) {
    let mut times = Times::default();
    let mut seconds = interval_at(first, Duration::from_secs(1));
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        if seconds.tick().await > end {
            break;
        }
        match echo(&mut socket, &number.to_string()).await {
            Ok(time) => times.push(time),
            Err(error) => return (times, Some(format!("socket {number}: {error}"))),
        }
    }
    let closed = socket.close().await;
    (
        times,
        closed
            .err()
            .map(|error| format!("socket {number}: {error}")),
    )
}
