//! The processes of a run, each on a free port of loopback; they end with it.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use serde_json::json;
use sluice_e2e::collector::Collector;
use sluice_e2e::gateway::{Gateway, GatewayBuilder};
use sluice_e2e::nats::{Broker, BrokerKind};
use sluice_e2e::process::Process;
use sluice_e2e::{Error, eventually};

use crate::Result;
use crate::cpu;

/// The service of the worker behind the gateways.
pub(crate) const SERVICE: &str = "bench";

/// A process whose CPU is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Program {
    Gateway,
    /// The same with a collector for its spans, at the default sampling.
    Traced,
    FloorHttp,
    FloorSocket,
    Responder,
}

/// Everything that runs.
pub(crate) struct Stage {
    gateway: Gateway,
    traced: Gateway,
    _collector: Collector,
    floor_http: (Process, SocketAddr),
    floor_socket: (Process, SocketAddr),
    responder: Process,
    _worker: Process,
    broker: Broker,
}

fn gateway(broker: &Broker) -> GatewayBuilder {
    let topics = json!(["api:*", "reply:* phoenix_gen_api reply"]);
    Gateway::builder(broker.url())
        .option("phoenix", "topics", topics)
        .option("log", "filter", "warn")
        // Refused calls are measured, too.
        .option("limits", "refused_per_minute", 0)
}

fn gateway_traced(broker: &Broker, collector: &Collector) -> GatewayBuilder {
    let url = collector.url();
    gateway(broker).option("telemetry", "otlp_endpoint", url)
}

impl Stage {
    /// Starts all and waits until a call succeeds.
    pub(crate) async fn start() -> Result<Self> {
        let broker = Broker::start(BrokerKind::NatsCurrent).await?;
        let helper = |command: &str| -> Result<Process> {
            let mut process = Command::new(std::env::current_exe()?);
            process.args([command, "--nats", &broker.url()]);
            Ok(Process::spawn(command, process)?)
        };
        let responder = helper("responder")?;
        responder.wait_line("ready", |line| line == "ready").await?;
        let floor = |process: Process| async {
            let address = process.wait_address("http listening on http://").await?;
            Ok::<_, Error>((process, address))
        };
        let floor_http = floor(helper("floor-http")?).await?;
        let floor_socket = floor(helper("floor-socket")?).await?;
        let gateway = gateway(&broker).start().await?;
        let collector = Collector::start().await?;
        let traced = gateway_traced(&broker, &collector).start().await?;
        let mut worker = Command::new(sluice_e2e::binaries::ours("sluice-bench-worker")?);
        worker.args(["--nats", &broker.url()]);
        let worker = Process::spawn("worker", worker)?;
        gateway.wait_ready().await?;
        traced.wait_ready().await?;
        let stage = Self {
            gateway,
            traced,
            _collector: collector,
            floor_http,
            floor_socket,
            responder,
            _worker: worker,
            broker,
        };
        stage.wait_served().await?;
        Ok(stage)
    }

    async fn wait_served(&self) -> Result {
        for gateway in [&self.gateway, &self.traced] {
            let client = gateway.client()?;
            let args = json!({"id": 1, "message": "probe"});
            eventually("the bench worker is served", || async {
                match client.call(SERVICE, "checked", args.clone()).await? {
                    (200, _) => Ok(()),
                    (status, envelope) => Err(Error::new(format!("{status} {envelope:?}"))),
                }
            })
            .await?;
        }
        Ok(())
    }

    /// Where a program serves clients.
    pub(crate) fn address(&self, program: Program) -> SocketAddr {
        match program {
            Program::FloorHttp => self.floor_http.1,
            Program::FloorSocket => self.floor_socket.1,
            Program::Traced => self.traced.address(),
            _ => self.gateway.address(),
        }
    }

    /// The broker's URL.
    pub(crate) fn nats(&self) -> String {
        self.broker.url()
    }

    /// The CPU that a program has had.
    pub(crate) fn cpu(&self, program: Program) -> Result<Duration> {
        let pid = match program {
            Program::Gateway => self.gateway.process().pid(),
            Program::Traced => self.traced.process().pid(),
            Program::FloorHttp => self.floor_http.0.pid(),
            Program::FloorSocket => self.floor_socket.0.pid(),
            Program::Responder => self.responder.pid(),
        };
        Ok(cpu::used(pid)?)
    }
}
