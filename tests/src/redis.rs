//! The Redis of a test: a real redis-server on a port that it keeps over restarts.

use std::net::SocketAddr;
use std::pin::Pin;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::ports::Port;
use crate::process::Process;
use crate::{Error, LIMIT, Result, binaries, eventually_within};

/// A running redis-server; ended when dropped.
pub struct Redis {
    port: Port,
    process: Process,
    dir: TempDir,
    persistent: bool,
}

impl Redis {
    /// Starts a Redis that forgets all when it restarts.
    pub async fn start() -> Result<Self> {
        Self::start_as(false).await
    }

    /// Starts a Redis that keeps every write over a restart.
    pub async fn start_persistent() -> Result<Self> {
        Self::start_as(true).await
    }

    async fn start_as(persistent: bool) -> Result<Self> {
        let dir = TempDir::with_prefix("sluice-redis-")
            .map_err(|error| Error::because("folder for redis-server", error))?;
        let port = Port::lease()?;
        let process = launch(&port, &dir, persistent).await?;
        Ok(Self {
            port,
            process,
            dir,
            persistent,
        })
    }

    /// Its address; stays the same over restarts.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// `redis://` and its address.
    pub fn url(&self) -> String {
        format!("redis://{}", self.address())
    }

    /// The process, for `kill9`, `freeze`, `thaw` and its log.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Ends it with SIGTERM and waits for that.
    pub async fn stop(&self) -> Result {
        self.process.terminate()?;
        self.process.wait_exit().await.map(drop)
    }

    /// Starts it again on the same port; ends it first if it still runs.
    pub async fn restart(&mut self) -> Result {
        if self.process.exited().is_none() {
            self.stop().await?;
        }
        let Self {
            port,
            dir,
            persistent,
            ..
        } = self;
        let (port, dir, persistent) = (&*port, &*dir, *persistent);
        let limit = Duration::from_secs(30);
        self.process = eventually_within(limit, "redis restart", || async {
            launch(port, dir, persistent).await.map(Some)
        })
        .await?;
        Ok(())
    }

    /// Runs one command on a connection of its own: `redis.command(&["CLIENT", "PAUSE", "500"])`.
    /// An error reply is an error.
    pub async fn command(&self, words: &[&str]) -> Result<Value> {
        let what = format!("redis {}", words.join(" "));
        match timeout(LIMIT, exchange(self.address(), words)).await {
            Ok(Ok(Ok(value))) => Ok(value),
            Ok(Ok(Err(refusal))) => Err(Error::because(what, refusal)),
            Ok(Err(error)) => Err(Error::because(what, error)),
            Err(_) => Err(Error::because(what, format!("no reply within {LIMIT:?}"))),
        }
    }
}

async fn launch(port: &Port, dir: &TempDir, persistent: bool) -> Result<Process> {
    let mut command = Command::new(binaries::redis()?);
    command
        .args([
            "--port",
            &port.number().to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
        ])
        .args(["--appendonly", if persistent { "yes" } else { "no" }])
        .args(["--appendfsync", "always", "--dir"])
        .arg(dir.path());
    let process = Process::spawn("redis-server", command)?;
    process
        .wait_line("ready line", |line| {
            line.contains("Ready to accept connections")
        })
        .await?;
    Ok(process)
}

/// What Redis answered: a value, or the text of its refusal.
type Reply = Result<Value, String>;

async fn exchange(address: SocketAddr, words: &[&str]) -> std::io::Result<Reply> {
    let mut request = format!("*{}\r\n", words.len());
    for word in words {
        request.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    let mut stream = BufReader::new(TcpStream::connect(address).await?);
    stream.write_all(request.as_bytes()).await?;
    read_reply(&mut stream).await
}

/// Reads one RESP2 reply; boxed, since arrays nest.
fn read_reply(
    stream: &mut BufReader<TcpStream>,
) -> Pin<Box<dyn Future<Output = std::io::Result<Reply>> + Send + '_>> {
    Box::pin(async move {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        let bad = || std::io::Error::other(format!("not a Redis reply: {line:?}"));
        let (kind, rest) = line.trim_end().split_at_checked(1).ok_or_else(bad)?;
        let number = || rest.parse::<i64>().map_err(|_| bad());
        Ok(Ok(match kind {
            "+" => rest.into(),
            "-" => return Ok(Err(rest.to_owned())),
            ":" => number()?.into(),
            "$" => match usize::try_from(number()?) {
                Ok(length) => {
                    let mut bytes = vec![0; length + 2];
                    stream.read_exact(&mut bytes).await?;
                    String::from_utf8_lossy(&bytes[..length]).into()
                }
                Err(_) => Value::Null,
            },
            "*" => {
                let mut items = Vec::new();
                for _ in 0..number()? {
                    match read_reply(stream).await? {
                        Ok(item) => items.push(item),
                        refusal => return Ok(refusal),
                    }
                }
                items.into()
            }
            _ => return Err(bad()),
        }))
    })
}
