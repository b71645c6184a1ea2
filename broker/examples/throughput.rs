//! Measures how many messages the broker routes, on one thread, with clients that cost little:
//! `cargo run --release -p sluice-broker --example throughput`.
//!
//! Callers keep a window of requests open, workers in a queue group answer them. A request and its
//! reply are two routed messages. Clients run on another thread than the broker; where the system
//! tells it (Linux), the processor time of the broker's thread is what counts. With an address as
//! argument it drives what listens there instead, `nats-server` for comparison.

#![allow(clippy::print_stdout, reason = "its output is the point of it")]

use std::error::Error;
use std::fmt::Write;
use std::net::SocketAddr;
use std::time::Duration;

use sluice_broker::{Broker, BrokerOptions};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::runtime::Builder;
use tokio::time::Instant;

type Reader = BufReader<OwnedReadHalf>;
type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const CALLERS: usize = 4;
const WORKERS: usize = 2;
const DURATION: Duration = Duration::from_secs(5);

fn main() -> Result<()> {
    let other = std::env::args()
        .nth(1)
        .map(|addr| addr.parse())
        .transpose()?;
    for window in [1, 16, 256] {
        match other {
            Some(addr) => report(window, run_clients(addr, window)?, Duration::ZERO),
            None => measure(window)?,
        }
    }
    Ok(())
}

fn run_clients(addr: SocketAddr, window: usize) -> Result<usize> {
    Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(drive(addr, window))
}

/// Runs a broker on a thread of its own, and the clients against it.
fn measure(window: usize) -> Result<()> {
    let (told_addr, addr) = std::sync::mpsc::channel();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let broker = std::thread::spawn(move || -> Result<Duration> {
        Builder::new_current_thread()
            .enable_all()
            .build()?
            .block_on(async {
                let broker =
                    Broker::bind(([127, 0, 0, 1], 0).into(), BrokerOptions::default()).await?;
                told_addr.send(broker.local_addr())?;
                broker.run(async { drop(stopped.await) }).await;
                Ok(thread_time())
            })
    });
    let calls = run_clients(addr.recv()?, window)?;
    drop(stop);
    let busy = broker.join().map_err(|_| "the broker panicked")??;
    report(window, calls, busy);
    Ok(())
}

fn report(window: usize, calls: usize, busy: Duration) {
    let messages = (calls * 2) as f64;
    let rate = messages / DURATION.as_secs_f64();
    print!("window {window:>3} x {CALLERS} callers: {rate:>9.0} messages/s");
    if busy.is_zero() {
        println!();
    } else {
        println!(
            ", {:>9.0} per second of broker time",
            messages / busy.as_secs_f64()
        );
    }
}

/// Runs all clients; returns how many calls were answered.
async fn drive(addr: SocketAddr, window: usize) -> Result<usize> {
    for _ in 0..WORKERS {
        let (reader, writer) = subscribe_worker(addr).await?;
        tokio::spawn(work(reader, writer));
    }
    let end = Instant::now() + DURATION;
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| tokio::spawn(call(addr, caller, window, end)))
        .collect();
    let mut calls = 0;
    for caller in callers {
        calls += caller.await??;
    }
    Ok(calls)
}

async fn connect(addr: SocketAddr) -> Result<(Reader, OwnedWriteHalf)> {
    let stream = TcpStream::connect(addr).await?;
    stream.set_nodelay(true)?;
    let (reader, mut writer) = stream.into_split();
    writer
        .write_all(b"CONNECT {\"verbose\":false,\"pedantic\":false}\r\n")
        .await?;
    Ok((BufReader::with_capacity(64 * 1024, reader), writer))
}

/// Completes when the broker knows of the worker: a caller without one would wait for ever.
async fn subscribe_worker(addr: SocketAddr) -> Result<(Reader, OwnedWriteHalf)> {
    let (mut reader, mut writer) = connect(addr).await?;
    writer
        .write_all(b"SUB sluice.call.users.1_0.get q 1\r\nPING\r\n")
        .await?;
    let mut line = String::new();
    while !line.ends_with("PONG\r\n") {
        if reader.read_line(&mut line).await? == 0 {
            return Err("the broker hung up".into());
        }
    }
    Ok((reader, writer))
}

/// Answers each request with sixteen bytes.
async fn work(mut reader: Reader, mut writer: OwnedWriteHalf) -> Result<()> {
    let (mut input, mut output) = (Vec::new(), String::new());
    loop {
        if reader.read_buf(&mut input).await? == 0 {
            return Ok(());
        }
        let mut used = 0;
        while let Some(line) = message(&input[used..]) {
            if let Some(reply) = line
                .text
                .split(' ')
                .nth(3)
                .filter(|_| line.text.starts_with("MSG"))
            {
                write!(output, "PUB {reply} 16\r\n0123456789abcdef\r\n")?;
            }
            used += line.len;
        }
        input.drain(..used);
        writer.write_all(output.as_bytes()).await?;
        output.clear();
    }
}

/// Keeps `window` requests open until `end`.
async fn call(addr: SocketAddr, caller: usize, window: usize, end: Instant) -> Result<usize> {
    let (mut reader, mut writer) = connect(addr).await?;
    writer
        .write_all(format!("SUB _INBOX.sluice.gw{caller}.* 1\r\n").as_bytes())
        .await?;
    let (mut input, mut output) = (Vec::new(), String::new());
    let (mut sent, mut answered) = (0, 0);
    while Instant::now() < end {
        while sent < answered + window {
            write!(
                output,
                "PUB sluice.call.users.1_0.get _INBOX.sluice.gw{caller}.{sent} 16\r\n\
                 0123456789abcdef\r\n"
            )?;
            sent += 1;
        }
        writer.write_all(output.as_bytes()).await?;
        output.clear();
        if reader.read_buf(&mut input).await? == 0 {
            return Err("the broker hung up".into());
        }
        let mut used = 0;
        while let Some(line) = message(&input[used..]) {
            answered += usize::from(line.text.starts_with("MSG"));
            used += line.len;
        }
        input.drain(..used);
    }
    Ok(answered)
}

struct Line<'a> {
    text: &'a str,
    /// With the payload, if it has one.
    len: usize,
}

/// The first complete message of `input`.
fn message(input: &[u8]) -> Option<Line<'_>> {
    let end = input.iter().position(|&byte| byte == b'\n')?;
    let text = std::str::from_utf8(&input[..end]).ok()?.trim_end();
    let payload = if text.starts_with("MSG") { 18 } else { 0 };
    let len = end + 1 + payload;
    (input.len() >= len).then_some(Line { text, len })
}

/// The processor time of this thread; zero where the system does not tell.
fn thread_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = stat.split(' ').next().and_then(|field| field.parse().ok());
    Duration::from_nanos(nanoseconds.unwrap_or_default())
}
