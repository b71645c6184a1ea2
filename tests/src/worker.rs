//! The demo worker as a process of its own.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::time::{Instant, timeout_at};

use crate::process::Process;
use crate::{Error, Result, binaries, eventually};

/// How to start a worker.
#[derive(Clone, Debug)]
pub struct WorkerBuilder {
    nats: String,
    args: Vec<String>,
    env: Vec<(String, String)>,
    name: String,
    program: String,
}

impl WorkerBuilder {
    /// Another program than the demo worker.
    pub fn program(mut self, program: &str) -> Self {
        program.clone_into(&mut self.program);
        self
    }

    /// Instance name, `--instance`.
    pub fn instance(mut self, name: &str) -> Self {
        self.name = format!("worker {name}");
        self.arg("--instance").arg(name)
    }

    /// Version of its functions, `--version`.
    pub fn version(self, version: &str) -> Self {
        self.arg("--version").arg(version)
    }

    /// Service name, `--service`.
    pub fn service(self, service: &str) -> Self {
        self.arg("--service").arg(service)
    }

    /// Any other argument.
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// An environment variable.
    pub fn env(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((key.into(), value.into()));
        self
    }

    /// Starts it. It joins when it can: see [`wait_joined`], or call through a gateway.
    pub fn start(self) -> Result<Worker> {
        let process = self.launch()?;
        Ok(Worker {
            process,
            builder: self,
        })
    }

    fn launch(&self) -> Result<Process> {
        let mut command = Command::new(binaries::ours(&self.program)?);
        command.args(["--nats", &self.nats]).args(&self.args);
        command.envs(self.env.iter().map(|(key, value)| (key, value)));
        Process::spawn(&self.name, command)
    }
}

/// A running demo worker; killed when dropped.
pub struct Worker {
    process: Process,
    builder: WorkerBuilder,
}

impl Worker {
    /// A worker for this broker.
    pub fn builder(nats_url: impl Into<String>) -> WorkerBuilder {
        let name = "worker".to_owned();
        WorkerBuilder {
            nats: nats_url.into(),
            args: Vec::new(),
            env: Vec::new(),
            name,
            program: "demo".to_owned(),
        }
    }

    /// The process, for `kill9`, `drain`, `freeze`, `thaw` and its log.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Starts it again with the same arguments; kills it first if it still runs.
    pub fn restart(&mut self) -> Result {
        if self.process.exited().is_none() {
            self.process.kill9()?;
        }
        self.process = self.builder.launch()?;
        Ok(())
    }
}

/// Waits until at least `count` workers answer `$SRV.PING`, as each of ours does. If a gateway knows
/// them already is another matter.
pub async fn wait_joined(client: &async_nats::Client, count: usize) -> Result {
    eventually(&format!("{count} workers on the broker"), || async move {
        let ids = ping(client, count).await?;
        if ids.len() >= count {
            return Ok(());
        }
        Err(Error::new(format!("{} answered: {ids:?}", ids.len())))
    })
    .await
}

/// The ids of the workers that answer one ping; returns early once there are `enough`.
async fn ping(client: &async_nats::Client, enough: usize) -> Result<BTreeSet<String>> {
    let failed = |error: &dyn std::fmt::Display| Error::because("$SRV.PING", error);
    let inbox = client.new_inbox();
    let mut replies = client
        .subscribe(inbox.clone())
        .await
        .map_err(|e| failed(&e))?;
    client
        .publish_with_reply("$SRV.PING", inbox, Default::default())
        .await
        .map_err(|e| failed(&e))?;
    let deadline = Instant::now() + Duration::from_millis(500);
    let mut ids = BTreeSet::new();
    while ids.len() < enough {
        let Ok(Some(reply)) = timeout_at(deadline, replies.next()).await else {
            break;
        };
        let pong: serde_json::Value = serde_json::from_slice(&reply.payload).unwrap_or_default();
        if let Some(id) = pong["id"].as_str() {
            ids.insert(id.to_owned());
        }
    }
    Ok(ids)
}
