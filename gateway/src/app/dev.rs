//! `sluice dev`: broker, gateway and demo worker in one process, nothing else needed.

use std::net::SocketAddr;
use std::sync::Arc;

use sluice_broker::{Broker, BrokerOptions, RunningBroker};

use super::AppError;
use super::serve::{Running, or_second_signal, stop_signal};
use crate::admin::access::OperatorToken;
use crate::config::Config;
use crate::telemetry::levels::Levels;

/// What `sluice dev` may be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DevOptions {
    /// Where clients connect.
    pub http: SocketAddr,
    /// Where operators connect.
    pub admin: SocketAddr,
    /// Where workers connect.
    pub nats: SocketAddr,
    /// Whether to run the demo worker.
    pub demo: bool,
    /// Who may change something through the admin port. Everybody may look.
    pub operators: Vec<OperatorToken>,
}

async fn start_broker(address: SocketAddr) -> Result<RunningBroker, AppError> {
    Broker::spawn(address, BrokerOptions::default())
        .await
        .map_err(|reason| AppError::Listen {
            what: "nats",
            address,
            reason,
        })
}

pub(super) async fn run_broker(
    address: SocketAddr,
    announce: impl Fn(&str),
) -> Result<(), AppError> {
    let stop = stop_signal()?;
    let broker = start_broker(address).await?;
    announce(&format!("nats listening on nats://{}", broker.addr()));
    stop.await;
    broker.shutdown().await;
    Ok(())
}

/// Who stops `dev` wants it to end, open streams or not.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(2);

/// What development wants: everybody may register and be whoever they say, and errors tell all.
fn dev_config(options: &DevOptions, broker: SocketAddr) -> Config {
    let mut config = Config::default();
    config.http.listen = options.http;
    config.http.cors_origins = vec!["*".to_owned()];
    config.phoenix.check_origin = vec!["*".to_owned()];
    config.phoenix.drain_spread = std::time::Duration::ZERO;
    config.admin.listen = options.admin;
    config.admin.anonymous_read = true;
    config.admin.tokens = options.operators.clone();
    config.nats.url = format!("nats://{broker}");
    config.registry.open = true;
    config.identity.trust_client_identity = true;
    config.gateway.detail_error = true;
    config.gateway.drain_delay = std::time::Duration::ZERO;
    config.gateway.drain_timeout = PATIENCE;
    config
}

pub(super) async fn run(
    options: DevOptions,
    levels: Option<Arc<Levels>>,
    announce: impl Fn(&str),
) -> Result<(), AppError> {
    let stop = stop_signal()?;
    let broker = start_broker(options.nats).await?;
    let gateway = Running::start_dev(dev_config(&options, broker.addr()), levels).await?;
    announce(&format!("http listening on http://{}", gateway.http));
    announce(&format!("admin listening on http://{}", gateway.admin));
    announce(&format!("nats listening on nats://{}", broker.addr()));
    tracing::warn!(
        "development: clients are believed who they say they are, workers need no secret"
    );
    let demo = match options.demo {
        true => Some(start_demo(&broker.url()).await?),
        false => None,
    };
    if demo.is_some() {
        let ready = gateway
            .registry
            .wait_for(|s| s.resolve("demo", "echo", None).is_ok_and(|f| f.is_served()));
        if tokio::time::timeout(std::time::Duration::from_secs(30), ready)
            .await
            .is_err()
        {
            return Err(AppError::Dev(
                "the demo worker did not register within 30 s".to_owned(),
            ));
        }
        announce(&what_to_try(gateway.http, broker.addr()));
    }
    announce(&how_to_steer(&options.operators, gateway.admin));
    stop.await;
    or_second_signal(async {
        if let Some(demo) = demo
            && let Err(error) = demo.shutdown().await
        {
            tracing::warn!(%error, "the demo worker ended badly");
        }
        gateway.drain().await;
        broker.shutdown().await;
    })
    .await
}

async fn start_demo(url: &str) -> Result<sluice_worker::Worker, AppError> {
    let worker = sluice_demo::worker()
        .connect(url)
        .drain_timeout(PATIENCE)
        .start()
        .await;
    worker.map_err(|e| AppError::Dev(format!("the demo worker: {e}")))
}

fn what_to_try(http: SocketAddr, nats: SocketAddr) -> String {
    format!(
        "
the page:
  http://{http}/
try:
  curl -s http://{http}/api/demo/add -H 'Content-Type: application/json' -d '{{\"a\": 1, \"b\": 2}}'
  curl -sN http://{http}/api/demo/count -H 'Content-Type: application/json' \\
       -H 'Accept: text/event-stream' -d '{{\"to\": 5, \"delay_ms\": 300}}'
  curl -si http://{http}/api/demo/report -H 'Content-Type: application/json' -d '{{\"ms\": 500}}'
  cargo run --release -- call demo add a=1 b=2 --url http://{http}
another worker beside this one:
  cargo run --release -p sluice-demo -- --nats nats://{nats}"
    )
}

/// How to change something while it runs.
fn how_to_steer(operators: &[OperatorToken], admin: SocketAddr) -> String {
    let names: Vec<&str> = operators.iter().map(|o| o.name.as_str()).collect();
    if names.is_empty() {
        return "
to look: `sluice services`, `sluice top`, `sluice versions list`; to change something, start with a
token for yourself, a name, 16 characters or more, and what it allows:
  SLUICE_ADMIN_TOKENS='me my-own-long-token *' sluice dev
  SLUICE_ADMIN_TOKEN=my-own-long-token sluice disable demo add 1.0.0"
            .to_owned();
    }
    format!(
        "
to change something, with the token of {}:
  SLUICE_ADMIN_TOKEN=… sluice disable demo add 1.0.0 --admin http://{admin}",
        names.join(" or ")
    )
}
