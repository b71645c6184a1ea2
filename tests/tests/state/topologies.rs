//! Redis as a cluster, and behind sentinels.

use std::process::Command;

use reqwest::Method;
use serde_json::{Value, json};
use sluice_e2e::gateway::Gateway;
use sluice_e2e::nats::{Broker, BrokerKind};
use sluice_e2e::ports::Port;
use sluice_e2e::process::Process;
use sluice_e2e::{Error, eventually};
use sluice_worker::Worker;
use tempfile::TempDir;

use super::patient;

/// A redis-server with these lines of configuration more.
struct Node {
    port: Port,
    process: Process,
    _dir: TempDir,
}

impl Node {
    async fn start(lines: &str, args: &[&str]) -> Self {
        let dir = TempDir::with_prefix("sluice-redis-").unwrap();
        let port = Port::lease().unwrap();
        let file = dir.path().join("redis.conf");
        let number = port.number();
        let config = format!(
            "port {number}\nbind 127.0.0.1\ndir {}\n{lines}\n",
            dir.path().display()
        );
        std::fs::write(&file, config).unwrap();
        let mut command = Command::new(sluice_e2e::binaries::redis().unwrap());
        command.arg(file).args(args);
        let process = Process::spawn("redis-server", command).unwrap();
        let ready = |line: &str| {
            line.contains("Ready to accept connections") || line.contains("Sentinel ID is")
        };
        process.wait_line("ready line", ready).await.unwrap();
        Self {
            port,
            process,
            _dir: dir,
        }
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port.number())
    }

    async fn ask(&self, words: &[&str]) -> Result<redis::Value, Error> {
        let failed = |e: redis::RedisError| Error::because(words.join(" "), e);
        let client = redis::Client::open(self.url()).map_err(failed)?;
        let connection = client.get_multiplexed_async_connection().await;
        let mut connection = connection.map_err(failed)?;
        let mut command = redis::Cmd::new();
        command.arg(words);
        command.query_async(&mut connection).await.map_err(failed)
    }

    async fn text(&self, words: &[&str]) -> Result<String, Error> {
        let answer = self.ask(words).await?;
        redis::from_redis_value(answer).map_err(|e| Error::because(words.join(" "), e))
    }
}

async fn one() -> u64 {
    1
}

async fn worker(broker: &Broker) -> Worker {
    Worker::builder("t")
        .async_function("later", one)
        .function("one", one)
        .connect(&broker.url())
        .start()
        .await
        .unwrap()
}

/// An async call and its result, and a call with a key: all of that needs Redis.
async fn uses_redis(gateway: &Gateway, key: &str) -> Result<bool, Error> {
    let client = gateway.client()?;
    let sent = |e| Error::because("a call", e);
    let request = client.request(Method::POST, "/api/t/one");
    let keyed = request
        .header("idempotency-key", key)
        .send()
        .await
        .map_err(sent)?;
    let taken = client.request(Method::POST, "/api/t/later").send().await;
    let taken = taken.map_err(sent)?;
    if keyed.status() != 200 || taken.status() != 202 {
        return Err(Error::new(format!(
            "{} and {}",
            keyed.status(),
            taken.status()
        )));
    }
    let path = taken.headers()["location"].to_str().unwrap().to_owned();
    loop {
        let result = client.get(&path).send().await.map_err(sent)?;
        if result.status() != 202 {
            let result: Value = result.json().await.map_err(sent)?;
            return Ok(result["result"] == json!(1));
        }
    }
}

#[tokio::test]
async fn a_cluster_of_two() {
    let broker = Broker::start(BrokerKind::Embedded).await.unwrap();
    let mut nodes = Vec::new();
    let mut buses = Vec::new();
    for _ in 0..2 {
        let bus = Port::lease().unwrap();
        let lines = format!(
            "cluster-enabled yes\ncluster-port {}\nsave \"\"\nappendonly no",
            bus.number()
        );
        nodes.push(Node::start(&lines, &[]).await);
        buses.push(bus);
    }
    for (node, slots) in nodes.iter().zip([["0", "8191"], ["8192", "16383"]]) {
        let words = ["CLUSTER", "ADDSLOTSRANGE", slots[0], slots[1]];
        node.ask(&words).await.unwrap();
    }
    let (port, bus) = (
        nodes[1].port.number().to_string(),
        buses[1].number().to_string(),
    );
    nodes[0]
        .ask(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus])
        .await
        .unwrap();
    for node in &nodes {
        eventually("the cluster is whole", || async {
            let info = node.text(&["CLUSTER", "INFO"]).await?;
            Ok::<_, Error>(info.contains("cluster_state:ok"))
        })
        .await
        .unwrap();
    }
    let gateway = patient(Gateway::builder(broker.url()))
        .option("redis", "mode", "cluster")
        .option("redis", "nodes", vec![nodes[0].url()]);
    let gateway = gateway.start().await.unwrap();
    let worker = worker(&broker).await;
    eventually("the cluster is used", || uses_redis(&gateway, "k"))
        .await
        .unwrap();
    // Keys of calls lie on both nodes, each found again.
    for n in 0..10 {
        assert!(uses_redis(&gateway, &format!("k{n}")).await.unwrap());
    }
    for node in &nodes {
        let keys: Vec<String> =
            redis::from_redis_value(node.ask(&["KEYS", "sluice:*"]).await.unwrap()).unwrap();
        assert!(!keys.is_empty());
    }
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_primary_that_sentinels_replace() {
    let broker = Broker::start(BrokerKind::Embedded).await.unwrap();
    let plain = "save \"\"\nappendonly no\nrepl-diskless-sync-delay 0";
    let primary = Node::start(plain, &[]).await;
    let follows = format!("{plain}\nreplicaof 127.0.0.1 {}", primary.port.number());
    let replica = Node::start(&follows, &[]).await;
    let watches = format!(
        "sentinel monitor main 127.0.0.1 {} 1\nsentinel down-after-milliseconds main 60000",
        primary.port.number()
    );
    let sentinel = Node::start(&watches, &["--sentinel"]).await;
    let gateway = patient(Gateway::builder(broker.url()))
        .option("redis", "mode", "sentinel")
        .option("redis", "master", "main")
        .option("redis", "nodes", vec![sentinel.url()]);
    let gateway = gateway.start().await.unwrap();
    let worker = worker(&broker).await;
    eventually("the primary is used", || uses_redis(&gateway, "k"))
        .await
        .unwrap();
    eventually(
        "the sentinel knows the replica, which has it all",
        || async {
            let info = replica.text(&["INFO", "replication"]).await?;
            let known = sentinel.text(&["INFO", "sentinel"]).await?;
            // Replicas hear of writes later than their writers.
            let has_it = !claimed(&replica).await?.is_empty();
            let linked = info.contains("master_link_status:up") && known.contains("slaves=1");
            Ok::<_, Error>(linked && has_it)
        },
    )
    .await
    .unwrap();

    eventually("the sentinel begins", || async {
        sentinel
            .ask(&["SENTINEL", "FAILOVER", "main"])
            .await
            .map(|_| true)
    })
    .await
    .unwrap();
    eventually("the replica leads", || async {
        let info = replica.text(&["INFO", "replication"]).await?;
        Ok::<_, Error>(info.contains("role:master"))
    })
    .await
    .unwrap();
    primary.process.kill9().unwrap();
    eventually("the new primary is used", || uses_redis(&gateway, "l"))
        .await
        .unwrap();
    let keys = claimed(&replica).await.unwrap();
    assert!(keys.len() >= 2, "{keys:?}");
    worker.shutdown().await.unwrap();
}

/// The idempotency keys that a server has.
async fn claimed(node: &Node) -> Result<Vec<String>, Error> {
    let keys = node.ask(&["KEYS", "sluice:once:*"]).await?;
    redis::from_redis_value(keys).map_err(|e| Error::new(e.to_string()))
}
