//! The same promises with NATS and Redis in containers: calls, streams, failover, and what gateways share.
//! Without a Docker engine the servers are local processes, and the output says so.

#![expect(clippy::unwrap_used, reason = "helpers of tests may do what tests may")]

use reqwest::Method;
use serde_json::{Value, json};
use sluice_e2e::container;
use sluice_e2e::gateway::Gateway;
use sluice_e2e::load::Load;
use sluice_e2e::worker::Worker;
use sluice_e2e::{Error, eventually};

/// Gateways and workers of this machine on this broker; ready when each gateway serves.
async fn installed(nats: &str, redis: Option<&str>, workers: usize) -> (Vec<Gateway>, Vec<Worker>) {
    let mut gateways = Vec::new();
    for name in ["one", "two"] {
        let builder = Gateway::builder(nats).name(name);
        let builder = match redis {
            Some(url) => builder
                .option("redis", "url", url)
                .option("redis", "timeout_ms", 5000),
            None => builder,
        };
        gateways.push(builder.start().await.unwrap());
    }
    let workers = (0..workers).map(|i| {
        let worker = Worker::builder(nats).instance(&format!("w{i}"));
        worker.start().unwrap()
    });
    let workers: Vec<Worker> = workers.collect();
    for gateway in &gateways {
        gateway.wait_ready().await.unwrap();
        let client = gateway.client().unwrap();
        eventually("echo is served", || async {
            let args = json!({"message": "hi"});
            let (status, answer) = client.call("demo", "echo", args).await?;
            if status == 200 {
                return Ok(());
            }
            Err(Error::new(format!("{status} {answer:?}")))
        })
        .await
        .unwrap();
    }
    (gateways, workers)
}

#[tokio::test]
async fn calls_and_streams_are_answered() {
    let nats = container::nats().await.unwrap();
    let (gateways, _workers) = installed(nats.url(), None, 1).await;
    for gateway in &gateways {
        let client = gateway.client().unwrap();
        let sum = client.call("demo", "add", json!({"a": 1, "b": 2})).await;
        assert_eq!(sum.unwrap().1.result, json!({"sum": 3}));
        let stream = client.sse("demo", "count", json!({"to": 500})).await;
        let events = stream.unwrap().stream().unwrap().collect().await.unwrap();
        let items = events.iter().filter(|event| event.kind == "item").count();
        assert_eq!(items, 500);
    }
}

#[tokio::test]
async fn calls_of_a_killed_worker_fail_over() {
    let nats = container::nats().await.unwrap();
    let (gateways, workers) = installed(nats.url(), None, 3).await;
    let targets: Vec<_> = gateways.iter().map(Gateway::address).collect();
    let load = Load::on(targets, "demo", "echo").tasks(8).start();
    load.wait_ok(200).await.unwrap();
    workers[1].process().kill9().unwrap();
    load.wait_ok(500).await.unwrap();
    let report = load.stop().await;
    report.assert_all_answered();
    assert_eq!(report.failed_total(), 0, "echo is idempotent: {report}");
}

#[tokio::test]
async fn a_result_is_found_through_the_other_gateway() {
    let nats = container::nats().await.unwrap();
    let redis = container::redis().await.unwrap();
    let (gateways, _workers) = installed(nats.url(), Some(redis.url()), 1).await;
    let path = eventually("an async call is taken", || async {
        let one = gateways[0].client()?;
        let request = one.request(Method::POST, "/api/demo/report");
        let answer = request.json(&json!({"ms": 300})).send().await;
        let answer = answer.map_err(|error| Error::because("report", error))?;
        let location = answer.headers().get("location").cloned();
        Ok::<_, Error>(location.and_then(|path| path.to_str().ok().map(str::to_owned)))
    })
    .await
    .unwrap();
    let result = eventually("the result at the other gateway", || async {
        let failed = |error| Error::because("result", error);
        let answer = gateways[1]
            .client()?
            .get(&path)
            .send()
            .await
            .map_err(failed)?;
        match answer.status().as_u16() {
            200 => Ok(answer.json::<Value>().await.map_err(failed)?),
            status => Err(Error::new(format!("{status}"))),
        }
        .map(Some)
    })
    .await
    .unwrap();
    assert_eq!(result["result"], json!({"done": true}), "{result}");
}

/// A crate that the build context or the layer of the dependencies lacks would only be missed by whoever builds the
/// images.
#[test]
fn the_dockerfile_knows_each_crate() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let read = |name: &str| std::fs::read_to_string(root.join(name)).unwrap();
    let manifest = read("Cargo.toml");
    let mut lines = manifest.lines();
    // Written as in JSON.
    let members = lines
        .find_map(|line| line.strip_prefix("members = "))
        .unwrap();
    let members: Vec<&str> = serde_json::from_str(members).unwrap();
    let (dockerfile, ignored) = (read("Dockerfile"), read(".dockerignore"));
    for member in members {
        let copied = format!("COPY {member}/Cargo.toml {member}/\n");
        assert!(dockerfile.contains(&copied), "Dockerfile: {copied}");
        let admitted = [format!("!{member}\n"), format!("!{member}/Cargo.toml\n")];
        assert!(
            admitted.iter().any(|line| ignored.contains(line)),
            ".dockerignore: !{member}"
        );
    }
}
