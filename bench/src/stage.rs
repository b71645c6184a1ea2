//! The processes of a run, each on a free port of loopback; they end with it.

mod configs;

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use serde_json::json;
use sluice_e2e::collector::Collector;
use sluice_e2e::gateway::Gateway;
use sluice_e2e::nats::{Broker, BrokerKind};
use sluice_e2e::process::Process;
use sluice_e2e::redis::Redis;
use sluice_e2e::{Error, eventually};

use crate::Result;
use crate::cpu;

/// The service whose functions the floors' responder answers.
pub(crate) const FIXED: &str = "bench";
/// The service of the worker that is written with the SDK.
pub(crate) const SDK: &str = "sdk";

/// A process whose CPU is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Program {
    Gateway,
    /// The same with a collector for its spans, at the default sampling.
    Traced,
    /// The same with limits in Redis.
    Limited,
    /// The same on the broker that is built in, which is another process here.
    Embedded,
    FloorHttp,
    FloorSocket,
    Responder,
}

/// Everything that runs.
pub(crate) struct Stage {
    gateway: Gateway,
    traced: Gateway,
    limited: Gateway,
    embedded: Gateway,
    floor_http: (Process, SocketAddr),
    floor_socket: (Process, SocketAddr),
    responder: Process,
    _others: Vec<Process>,
    _collector: Collector,
    _redis: Redis,
    broker: Broker,
    _embedded_broker: Broker,
}

impl Stage {
    /// Starts all and waits until a call succeeds through each gateway.
    pub(crate) async fn start() -> Result<Self> {
        let broker = Broker::start(BrokerKind::NatsCurrent).await?;
        let embedded_broker = Broker::start(BrokerKind::Embedded).await?;
        let redis = Redis::start().await?;
        let collector = Collector::start().await?;
        let responder = start_responder(&broker).await?;
        let others = vec![
            start_responder(&embedded_broker).await?,
            worker(&broker)?,
            worker(&embedded_broker)?,
        ];
        let floor = |process: Process| async {
            let address = process.wait_address("http listening on http://").await?;
            Ok::<_, Error>((process, address))
        };
        let stage = Self {
            floor_http: floor(helper("floor-http", &broker)?).await?,
            floor_socket: floor(helper("floor-socket", &broker)?).await?,
            gateway: configs::plain(&broker).start().await?,
            traced: configs::traced(&broker, &collector).start().await?,
            limited: configs::limited(&broker, &redis).start().await?,
            embedded: configs::plain(&embedded_broker).start().await?,
            responder,
            _others: others,
            _collector: collector,
            _redis: redis,
            broker,
            _embedded_broker: embedded_broker,
        };
        for gateway in [
            &stage.gateway,
            &stage.traced,
            &stage.limited,
            &stage.embedded,
        ] {
            wait_served(gateway).await?;
        }
        // From now on everybody is over this limit.
        stage.limited.client()?.call(FIXED, "over", probe()).await?;
        Ok(stage)
    }

    fn gateway(&self, program: Program) -> Option<&Gateway> {
        match program {
            Program::Gateway => Some(&self.gateway),
            Program::Traced => Some(&self.traced),
            Program::Limited => Some(&self.limited),
            Program::Embedded => Some(&self.embedded),
            Program::FloorHttp | Program::FloorSocket | Program::Responder => None,
        }
    }

    /// Where a program serves clients.
    pub(crate) fn address(&self, program: Program) -> SocketAddr {
        match (program, self.gateway(program)) {
            (_, Some(gateway)) => gateway.address(),
            (Program::FloorHttp, _) => self.floor_http.1,
            _ => self.floor_socket.1,
        }
    }

    /// The broker's URL.
    pub(crate) fn nats(&self) -> String {
        self.broker.url()
    }

    /// The CPU that a program has had.
    pub(crate) fn cpu(&self, program: Program) -> Result<Duration> {
        let pid = match (program, self.gateway(program)) {
            (_, Some(gateway)) => gateway.process().pid(),
            (Program::FloorHttp, _) => self.floor_http.0.pid(),
            (Program::FloorSocket, _) => self.floor_socket.0.pid(),
            _ => self.responder.pid(),
        };
        Ok(cpu::used(pid)?)
    }
}

fn helper(command: &str, broker: &Broker) -> Result<Process> {
    let mut process = Command::new(std::env::current_exe()?);
    process.args([command, "--nats", &broker.url()]);
    Ok(Process::spawn(command, process)?)
}

async fn start_responder(broker: &Broker) -> Result<Process> {
    let responder = helper("responder", broker)?;
    responder.wait_line("ready", |line| line == "ready").await?;
    Ok(responder)
}

fn worker(broker: &Broker) -> Result<Process> {
    let mut worker = Command::new(sluice_e2e::binaries::ours("sluice-bench-worker")?);
    worker.args(["--nats", &broker.url()]);
    Ok(Process::spawn("worker", worker)?)
}

fn probe() -> serde_json::Value {
    json!({"id": 1, "message": "probe"})
}

async fn wait_served(gateway: &Gateway) -> Result {
    gateway.wait_ready().await?;
    let client = gateway.client()?;
    for service in [FIXED, SDK] {
        eventually("the bench worker is served", || async {
            match client.call(service, "checked", probe()).await? {
                (200, _) => Ok(()),
                (status, envelope) => Err(Error::new(format!("{status} {envelope:?}"))),
            }
        })
        .await?;
    }
    Ok(())
}
