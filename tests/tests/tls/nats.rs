//! Gateway, demo worker and the worker in Python sign in with credentials files and NKeys, over TLS that
//! begins before or after the server's greeting.

use std::ffi::OsString;
use std::process::Command;
use std::time::SystemTime;

use nkeys::KeyPair;
use serde_json::json;
use sluice_e2e::certificates::Certificates;
use sluice_e2e::gateway::{Gateway, GatewayBuilder};
use sluice_e2e::nats::{Broker, BrokerKind};
use sluice_e2e::process::Process;
use sluice_e2e::worker::{Worker, WorkerBuilder};
use sluice_e2e::{Error, binaries, eventually};

use super::creds::Operator;
use super::is_served;

fn tls(certificates: &Certificates, more: &str) -> String {
    format!(
        "tls {{ cert_file: {:?}, key_file: {:?}, ca_file: {:?}, verify: true {more} }}\n",
        certificates.text("server.pem"),
        certificates.text("server.key"),
        certificates.text("ca.pem"),
    )
}

fn gateway(broker: &Broker, certificates: &Certificates) -> GatewayBuilder {
    Gateway::builder(broker.url())
        .option("nats", "tls_require", true)
        .option("nats", "tls_ca", certificates.text("ca.pem"))
        .option("nats", "tls_cert", certificates.text("client.pem"))
        .option("nats", "tls_key", certificates.text("client.key"))
}

fn worker(broker: &Broker, certificates: &Certificates) -> WorkerBuilder {
    Worker::builder(broker.url())
        .env("SLUICE_NATS_TLS_REQUIRE", "true")
        .env("SLUICE_NATS_TLS_CA", certificates.text("ca.pem"))
        .env("SLUICE_NATS_TLS_CERT", certificates.text("client.pem"))
        .env("SLUICE_NATS_TLS_KEY", certificates.text("client.key"))
}

/// The same on a command line.
fn tls_args(certificates: &Certificates) -> [OsString; 6] {
    let file = |name: &str| OsString::from(certificates.path(name));
    [
        "--tls-ca".into(),
        file("ca.pem"),
        "--tls-cert".into(),
        file("client.pem"),
        "--tls-key".into(),
        file("client.key"),
    ]
}

/// It has not got in, and says why in its log.
async fn refused(gateway: GatewayBuilder) {
    let gateway = gateway.option("log", "filter", "debug");
    let gateway = gateway.start().await.unwrap();
    let told = |line: &str| line.contains("the broker cannot be reached");
    let process = gateway.process();
    process.wait_line("a refusal", told).await.unwrap();
    assert!(!gateway.is_ready().await);
}

async fn with_credentials(kind: BrokerKind, more: &str, first: bool) {
    if !kind.is_available() {
        return;
    }
    let certificates = Certificates::new().unwrap();
    let operator = Operator::new();
    for user in ["gateway", "demo", "python"] {
        let file = format!("{user}.creds");
        certificates.write(&file, &operator.user()).unwrap();
    }
    let stranger = Operator::new().user();
    certificates.write("stranger.creds", &stranger).unwrap();
    let config = tls(&certificates, more) + &operator.config();
    let broker = Broker::start_with(kind, &config).await.unwrap();

    let with = |file: &str| {
        gateway(&broker, &certificates)
            .option("nats", "credentials", certificates.text(file))
            .option("nats", "tls_first", first)
    };
    let gateway = with("gateway.creds").start().await.unwrap();
    gateway.wait_ready().await.unwrap();
    let mut demo = worker(&broker, &certificates)
        .instance("demo-1")
        .env("SLUICE_NATS_CREDENTIALS", certificates.text("demo.creds"));
    if first {
        demo = demo.env("SLUICE_NATS_TLS_FIRST", "true");
    }
    let demo = demo.start().unwrap();
    is_served(&gateway).await;
    // Its health check goes the same way.
    let health = Command::new(binaries::ours("demo").unwrap())
        .args([
            "--nats",
            &broker.url(),
            "--instance",
            "demo-1",
            "--tls-require",
        ])
        .args(first.then_some("--tls-first"))
        .arg("--credentials")
        .arg(certificates.path("demo.creds"))
        .args(tls_args(&certificates))
        .arg("health")
        .output()
        .unwrap();
    assert!(
        health.status.success(),
        "{}",
        String::from_utf8_lossy(&health.stderr)
    );

    refused(with("stranger.creds")).await;
    refused(self::gateway(&broker, &certificates).option("nats", "tls_first", first)).await;

    demo.process().drain().await.unwrap();
    in_python(&broker, &certificates, &gateway, first).await;
}

/// The same for the worker in Python.
#[expect(clippy::print_stderr, reason = "a skipped test says so in its output")]
async fn in_python(broker: &Broker, certificates: &Certificates, gateway: &Gateway, first: bool) {
    let python = binaries::tools_dir().join("venv/bin/python");
    let ready = Command::new(&python)
        .args(["-c", "import nats, nkeys, msgpack"])
        .status();
    if !ready.is_ok_and(|status| status.success())
        && std::env::var_os("SLUICE_REQUIRE_ALL").is_none()
    {
        eprintln!(
            "skipped: no {} with nats-py[nkeys] and msgpack: run scripts/setup",
            python.display()
        );
        return;
    }
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../examples/python-worker/worker.py"
    );
    let mut command = Command::new(python);
    command
        .args([
            script,
            "--nats",
            &broker.url().replace("nats://", "tls://"),
            "--instance",
            "python-1",
        ])
        .args(first.then_some("--tls-first"))
        .arg("--creds")
        .arg(certificates.path("python.creds"))
        .args(tls_args(certificates));
    let worker = Process::spawn("worker in Python", command).unwrap();
    let client = gateway.client().unwrap();
    let served = eventually("the worker in Python serves", || async {
        let (_, answer) = client.call("demo", "where_random", json!({})).await?;
        Ok::<_, Error>(answer.result["instance"] == "python-1")
    });
    if let Err(error) = served.await {
        panic!("{}", worker.failure(&error.to_string()));
    }
    worker.drain().await.unwrap();
}

#[tokio::test]
async fn credentials_files_with_nats_2_9() {
    with_credentials(BrokerKind::NatsOld, "", false).await;
}

#[tokio::test]
async fn credentials_files_with_a_current_nats() {
    with_credentials(BrokerKind::NatsCurrent, "", false).await;
}

#[tokio::test]
async fn credentials_files_and_tls_before_the_greeting() {
    with_credentials(BrokerKind::NatsCurrent, ", handshake_first: true", true).await;
}

/// JWTs that live for seconds: the server ends the connections, and the file has a new one by then.
#[tokio::test]
async fn credentials_that_expire_are_replaced_in_their_file() {
    let kind = BrokerKind::NatsCurrent;
    if !kind.is_available() {
        return;
    }
    let files = Certificates::new().unwrap();
    let operator = Operator::new();
    let broker = Broker::start_with(kind, &operator.config()).await.unwrap();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let soon = now.unwrap().as_secs() + 5;
    let names = ["gateway.creds", "worker.creds"];
    for name in names {
        files.write(name, &operator.user_until(Some(soon))).unwrap();
    }
    let gateway = Gateway::builder(broker.url())
        .option("nats", "credentials", files.text("gateway.creds"))
        .start()
        .await
        .unwrap();
    let worker = Worker::builder(broker.url())
        .env("SLUICE_NATS_CREDENTIALS", files.text("worker.creds"))
        .start()
        .unwrap();
    gateway.wait_ready().await.unwrap();
    is_served(&gateway).await;
    for name in names {
        files.write(name, &operator.user()).unwrap();
    }
    let ended = |line: &str| line.contains("the connection to the broker broke");
    let process = gateway.process();
    process
        .wait_line("the end of the connection", ended)
        .await
        .unwrap();
    let ended = |line: &str| line.contains("disconnected");
    worker
        .process()
        .wait_line("the worker's, too", ended)
        .await
        .unwrap();
    is_served(&gateway).await;
}

#[tokio::test]
async fn nkeys_and_tls_before_the_greeting() {
    if !BrokerKind::NatsCurrent.is_available() {
        return;
    }
    let certificates = Certificates::new().unwrap();
    let (ours, theirs) = (KeyPair::new_user(), KeyPair::new_user());
    let users = format!(
        "authorization {{ users: [{{ nkey: {} }}, {{ nkey: {} }}] }}\n",
        ours.public_key(),
        theirs.public_key(),
    );
    let config = tls(&certificates, ", handshake_first: true") + &users;
    let broker = Broker::start_with(BrokerKind::NatsCurrent, &config)
        .await
        .unwrap();
    let gateway = gateway(&broker, &certificates)
        .option("nats", "nkey", ours.seed().unwrap())
        .option("nats", "tls_first", true)
        .start()
        .await
        .unwrap();
    gateway.wait_ready().await.unwrap();
    let _worker = worker(&broker, &certificates)
        .env("SLUICE_NATS_TLS_FIRST", "true")
        .env("SLUICE_NATS_NKEY", theirs.seed().unwrap())
        .start()
        .unwrap();
    is_served(&gateway).await;
    // A client that waits for a greeting first gets none.
    refused(self::gateway(&broker, &certificates).option("nats", "nkey", ours.seed().unwrap()))
        .await;
}
