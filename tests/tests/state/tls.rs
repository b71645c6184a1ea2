//! TLS and credentials on the way to NATS and Redis, with real servers that want them.

use std::process::Command;

use reqwest::Method;
use serde_json::{Value, json};
use sluice_e2e::certificates::Certificates;
use sluice_e2e::gateway::{Gateway, GatewayBuilder};
use sluice_e2e::nats::{Broker, BrokerKind};
use sluice_e2e::ports::Port;
use sluice_e2e::process::Process;
use sluice_e2e::{Error, eventually};
use sluice_worker::Worker;

use super::patient;

/// A nats-server that speaks TLS alone, and knows its clients by certificate and `more`.
async fn nats(kind: BrokerKind, certificates: &Certificates, more: &str) -> Broker {
    let config = format!(
        "tls {{ cert_file: {:?}, key_file: {:?}, ca_file: {:?}, verify: true }}\n{more}\n",
        certificates.text("server.pem"),
        certificates.text("server.key"),
        certificates.text("ca.pem"),
    );
    Broker::start_with(kind, &config).await.unwrap()
}

fn over_tls(broker: &Broker, certificates: &Certificates) -> GatewayBuilder {
    let url = broker.url().replace("nats://", "tls://");
    Gateway::builder(url)
        .option("nats", "tls_ca", certificates.text("ca.pem"))
        .option("nats", "tls_cert", certificates.text("client.pem"))
        .option("nats", "tls_key", certificates.text("client.key"))
}

async fn one() -> u64 {
    1
}

/// A call through gateway and broker and back.
async fn is_served(gateway: &Gateway) {
    let client = gateway.client().unwrap();
    eventually("a call over TLS", || async {
        let (status, told) = client.call("tls", "one", json!({})).await?;
        Ok::<_, Error>(status == 200 && told.result == json!(1))
    })
    .await
    .unwrap();
}

async fn with_user_and_password(kind: BrokerKind) {
    let certificates = Certificates::new().unwrap();
    let users = "authorization { users: [{ user: \"u\", password: \"p\" }] }";
    let broker = nats(kind, &certificates, users).await;
    let gateway = over_tls(&broker, &certificates)
        .option("nats", "user", "u")
        .option("nats", "password", "p");
    let gateway = gateway.start().await.unwrap();
    let worker = Worker::builder("tls")
        .function("one", one)
        .connect(&broker.url())
        .require_tls()
        .tls_ca(certificates.path("ca.pem"))
        .tls_client(
            certificates.path("client.pem"),
            certificates.path("client.key"),
        )
        .user_password("u", "p")
        .start()
        .await
        .unwrap();
    is_served(&gateway).await;

    // Without a certificate, or with a wrong password, nobody gets in.
    let naked = Gateway::builder(broker.url().replace("nats://", "tls://"))
        .option("nats", "tls_ca", certificates.text("ca.pem"))
        .option("nats", "user", "u")
        .option("nats", "password", "p");
    let wrong = over_tls(&broker, &certificates)
        .option("nats", "user", "u")
        .option("nats", "password", "wrong");
    for gateway in [naked, wrong] {
        let gateway = gateway
            .option("log", "filter", "debug")
            .start()
            .await
            .unwrap();
        let told = |line: &str| line.contains("the broker cannot be reached");
        gateway
            .process()
            .wait_line("a refusal", told)
            .await
            .unwrap();
        assert!(!gateway.is_ready().await);
    }
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn nats_2_9_over_tls_with_user_and_password() {
    if BrokerKind::NatsOld.is_available() {
        with_user_and_password(BrokerKind::NatsOld).await;
    }
}

#[tokio::test]
async fn a_current_nats_over_tls_with_user_and_password() {
    if BrokerKind::NatsCurrent.is_available() {
        with_user_and_password(BrokerKind::NatsCurrent).await;
    }
}

/// The gateway is ready over this broker: it has connected and asked for workers.
async fn gets_ready(gateway: GatewayBuilder) {
    gateway.start().await.unwrap().wait_ready().await.unwrap();
}

#[tokio::test]
async fn nats_with_a_token_and_with_an_nkey() {
    if !BrokerKind::NatsOld.is_available() {
        return;
    }
    let certificates = Certificates::new().unwrap();
    let broker = nats(
        BrokerKind::NatsOld,
        &certificates,
        "authorization { token: \"the token\" }",
    )
    .await;
    gets_ready(over_tls(&broker, &certificates).option("nats", "token", "the token")).await;

    let pair = nkeys::KeyPair::new_user();
    let users = format!(
        "authorization {{ users: [{{ nkey: {} }}] }}",
        pair.public_key()
    );
    let broker = nats(BrokerKind::NatsOld, &certificates, &users).await;
    let seed = pair.seed().unwrap();
    gets_ready(over_tls(&broker, &certificates).option("nats", "nkey", seed)).await;
}

#[tokio::test]
async fn a_gateway_that_requires_tls_takes_no_broker_without() {
    let broker = Broker::start(BrokerKind::Embedded).await.unwrap();
    let gateway = Gateway::builder(broker.url())
        .option("nats", "tls_require", true)
        .option("log", "filter", "debug")
        .start()
        .await
        .unwrap();
    let told = |line: &str| line.contains("the broker cannot be reached");
    gateway
        .process()
        .wait_line("a refusal", told)
        .await
        .unwrap();
    assert!(!gateway.is_ready().await);
}

/// A redis-server that speaks TLS alone, asks for a certificate, and lets one user in, who may
/// not read its settings.
async fn redis(certificates: &Certificates) -> (Process, String) {
    let port = Port::lease().unwrap();
    let config = format!(
        "port 0\ntls-port {port}\nbind 127.0.0.1\nsave \"\"\nappendonly no\n\
         tls-cert-file {cert}\ntls-key-file {key}\ntls-ca-cert-file {ca}\n\
         tls-auth-clients yes\nuser default off\n\
         user gateway on >secret ~sluice:* +@all -@admin -@dangerous\n",
        port = port.number(),
        cert = certificates.text("server.pem"),
        key = certificates.text("server.key"),
        ca = certificates.text("ca.pem"),
    );
    let file = certificates.path("redis.conf");
    std::fs::write(&file, config).unwrap();
    let mut command = Command::new(sluice_e2e::binaries::redis().unwrap());
    command.arg(file).current_dir(certificates.folder());
    let process = Process::spawn("redis-server", command).unwrap();
    let ready = |line: &str| line.contains("Ready to accept connections");
    process.wait_line("ready line", ready).await.unwrap();
    (process, format!("rediss://localhost:{}", port.number()))
}

#[tokio::test]
async fn redis_over_tls_with_an_acl_user() {
    let certificates = Certificates::new().unwrap();
    let (_redis, url) = redis(&certificates).await;
    let broker = Broker::start(BrokerKind::Embedded).await.unwrap();
    let gateway = patient(Gateway::builder(broker.url()))
        .option("redis", "url", url)
        .option("redis", "username", "gateway")
        .option("redis", "password", "secret")
        .option("redis", "tls_ca", certificates.text("ca.pem"))
        .option("redis", "tls_cert", certificates.text("client.pem"))
        .option("redis", "tls_key", certificates.text("client.key"));
    let wrong = gateway.clone().option("redis", "password", "wrong");
    let gateway = gateway.start().await.unwrap();
    gateway.wait_ready().await.unwrap();
    let told = |line: &str| line.contains("may not read Redis' maxmemory-policy");
    gateway.process().wait_line("advice", told).await.unwrap();

    // All scripts, under this user's rights: an async call with its record, and a key.
    let worker = Worker::builder("tls")
        .function("one", one)
        .async_function("later", one)
        .connect(&broker.url())
        .start()
        .await
        .unwrap();
    is_served(&gateway).await;
    let client = gateway.client().unwrap();
    let keyed = client
        .request(Method::POST, "/api/tls/one")
        .header("idempotency-key", "k")
        .send()
        .await
        .unwrap();
    assert_eq!(keyed.status(), 200);
    let taken = client
        .request(Method::POST, "/api/tls/later")
        .send()
        .await
        .unwrap();
    assert_eq!(taken.status(), 202);
    let path = taken.headers()["location"].to_str().unwrap().to_owned();
    let result = eventually("the result", || async {
        let response = client.get(&path).send().await;
        let response = response.map_err(|e| Error::because("result", e))?;
        match response.status().as_u16() {
            202 => Ok(None),
            _ => {
                let body = response.json::<Value>().await;
                Ok::<_, Error>(Some(body.map_err(|e| Error::because("result", e))?))
            }
        }
    })
    .await
    .unwrap();
    assert_eq!(result["result"], json!(1), "{result}");
    worker.shutdown().await.unwrap();

    let wrong = wrong.start().await.unwrap();
    let told = |line: &str| line.contains("Redis cannot be used");
    let line = wrong.process().wait_line("a refusal", told).await.unwrap();
    assert!(!line.contains("wrong\""), "a password in the log: {line}");
    wrong.wait_ready().await.unwrap();
}
