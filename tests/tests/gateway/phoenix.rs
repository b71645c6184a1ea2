//! Clients that none of us wrote, over sockets: the npm package `phoenix`, and a browser with the page of
//! `sluice dev`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::json;
use sluice_e2e::cluster::Cluster;
use sluice_e2e::gateway::Dev;
use sluice_e2e::nats::BrokerKind;
use sluice_e2e::process::Process;
use sluice_e2e::{Error, eventually};

use crate::on_each_broker;

/// Most time for one script, which ends by itself before.
const PATIENCE: Duration = Duration::from_secs(180);

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("node")
}

/// If node and its packages are there. Under `SLUICE_REQUIRE_ALL` they count as there, so that the test fails and is
/// not skipped in silence.
#[expect(clippy::print_stderr, reason = "a skipped test says so in its output")]
fn node_is_there() -> bool {
    if std::env::var_os("SLUICE_REQUIRE_ALL").is_some() {
        return true;
    }
    let node = Command::new("node").arg("--version").output().is_ok();
    let packages = folder().join("node_modules/playwright-core").is_dir();
    if !node || !packages {
        eprintln!("skipped: no node, or no tests/node/node_modules: run scripts/setup");
    }
    node && packages
}

fn node(script: &str, args: &[&str]) -> Process {
    let mut command = Command::new("node");
    command.current_dir(folder()).arg(script).args(args);
    Process::spawn(script, command).unwrap()
}

async fn succeeds(script: &Process) {
    let status = script.wait_exit_within(PATIENCE).await.unwrap();
    assert!(status.success(), "{}", script.failure(&status.to_string()));
}

fn socket(address: SocketAddr) -> String {
    format!("ws://{address}/socket")
}

/// `sluice dev` with its demo worker, once that answers.
async fn dev() -> Dev {
    let dev = Dev::start(&[]).await.unwrap();
    let client = dev.client().unwrap();
    eventually("demo/add is served", || async {
        let (status, _) = client.call("demo", "add", json!({"a": 1, "b": 2})).await?;
        Ok::<_, Error>(status == 200)
    })
    .await
    .unwrap();
    dev
}

#[tokio::test]
async fn the_npm_package_works_with_dev() {
    if !node_is_there() {
        return;
    }
    let dev = dev().await;
    succeeds(&node("demo.mjs", &[&socket(dev.http)])).await;
}

on_each_broker! {
    /// The gateway drains, then it is killed: the client finds back by itself both times.
    async fn the_npm_package_outlives_gateways(kind: BrokerKind) {
        if !node_is_there() {
            return;
        }
        let mut cluster = Cluster::start(kind)
            .gateway(|_, gateway| {
                gateway
                    .option("gateway", "drain_delay_ms", 100)
                    .option("phoenix", "drain_spread_ms", 500)
            })
            .await
            .unwrap();
        let script = node("demo.mjs", &[&socket(cluster.gateway(0).address()), "--restarts"]);
        let ready = |n: &'static str| script.wait_line_within(PATIENCE, n, move |line| line == n);

        ready("ready for restart 1").await.unwrap();
        cluster.gateway(0).process().drain().await.unwrap();
        script.wait_line("close code", |line| line == "closed with 1012").await.unwrap();
        cluster.gateways_mut()[0].restart().await.unwrap();

        ready("ready for restart 2").await.unwrap();
        cluster.gateway(0).process().kill9().unwrap();
        cluster.gateways_mut()[0].restart().await.unwrap();
        succeeds(&script).await;
    }
}

/// Heartbeats alone keep a socket open, here three times as long as it may be silent.
#[tokio::test]
async fn the_npm_package_stays_for_a_minute() {
    if !node_is_there() || !BrokerKind::NatsCurrent.is_available() {
        return;
    }
    let cluster = Cluster::start(BrokerKind::NatsCurrent)
        .gateway(|_, gateway| gateway.option("phoenix", "idle_timeout_ms", 20_000))
        .await
        .unwrap();
    let url = socket(cluster.gateway(0).address());
    succeeds(&node("demo.mjs", &[&url, "--minute"])).await;
}

#[tokio::test]
async fn the_page_works_in_a_browser() {
    let browser = std::env::var("CHROMIUM").unwrap_or("/usr/bin/chromium".to_owned());
    if std::env::var_os("SLUICE_REQUIRE_ALL").is_none() && !Path::new(&browser).is_file() {
        eprintln!("skipped: no {browser}; CHROMIUM says where one is");
        return;
    }
    if !node_is_there() {
        return;
    }
    let dev = dev().await;
    succeeds(&node("page.mjs", &[&format!("http://{}", dev.http)])).await;
}
