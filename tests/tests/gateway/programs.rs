//! What a user types: `sluice dev`, the command line, the SDK's examples.

use std::process::Command;

use serde_json::{Value, json};
use sluice_e2e::gateway::Dev;
use sluice_e2e::process::Process;
use sluice_e2e::worker::Worker;
use sluice_e2e::{binaries, eventually};

fn sluice(args: &[&str]) -> (i32, String, String) {
    let output = Command::new(binaries::ours("sluice").unwrap())
        .args(args)
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[tokio::test]
async fn the_readmes_lines_work_against_dev() {
    let dev = Dev::start(&[]).await.unwrap();
    let (url, admin) = (
        format!("http://{}", dev.http),
        format!("http://{}", dev.admin),
    );

    let (code, out, err) = sluice(&["call", "demo", "add", "a=1", "b=2", "--url", &url]);
    assert_eq!(
        (code, serde_json::from_str(&out).ok()),
        (0, Some(json!({"sum": 3}))),
        "{out}{err}"
    );
    let (code, out, _) = sluice(&["call", "demo", "count", "to=3", "--stream", "--url", &url]);
    assert_eq!(
        (code, out.as_str()),
        (0, "{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n")
    );
    let (code, out, _) = sluice(&["call", "demo", "report", "ms=10", "--url", &url]);
    assert_eq!(
        (code, serde_json::from_str(&out).ok()),
        (0, Some(json!({"done": true}))),
        "{out}"
    );
    let (code, _, err) = sluice(&["call", "demo", "ehco", "message=x", "--url", &url]);
    assert!(
        code == 1 && err.contains("did you mean demo.echo?"),
        "{code} {err}"
    );
    let (code, out, _) = sluice(&["call", "demo", "whoami", "--user", "u1", "--url", &url]);
    assert!(code == 0 && out.contains("u1"), "{out}");
    let (code, out, _) = sluice(&["services", "--admin", &admin]);
    assert!(code == 0 && out.contains("where_least_loaded"), "{out}");
    assert_eq!(sluice(&["health", "--url", &url]).0, 0);

    // A second worker beside the first: calls spread.
    let nats = format!("nats://{}", dev.nats);
    let _second = Worker::builder(&nats).instance("second").start().unwrap();
    let client = dev.client().unwrap();
    eventually("the second worker gets calls", || async {
        let (_, answer) = client.call("demo", "where_round_robin", json!({})).await?;
        Ok::<_, sluice_e2e::Error>(answer.result["instance"] == "second")
    })
    .await
    .unwrap();
    dev.process.drain().await.unwrap();
    let (code, _, err) = sluice(&["call", "demo", "add", "a=1", "b=2", "--url", &url]);
    assert!(code == 2 && err.contains("sluice dev"), "{code} {err}");
}

#[tokio::test]
async fn the_sdks_examples_run() {
    let dev = Dev::start(&["--no-demo"]).await.unwrap();
    let client = dev.client().unwrap();
    let start = |name: &str| {
        let program = binaries::ours(&format!("examples/{name}")).unwrap();
        let mut command = Command::new(program);
        command.env("SLUICE_NATS_URL", format!("nats://{}", dev.nats));
        Process::spawn(format!("example {name}"), command).unwrap()
    };
    let called = |service: &'static str, function: &'static str, args: Value| {
        let client = client.clone();
        eventually(service, move || {
            let (client, args) = (client.clone(), args.clone());
            async move {
                let (status, answer) = client.call(service, function, args).await?;
                Ok::<_, sluice_e2e::Error>((status == 200).then_some(answer.result))
            }
        })
    };
    let hello = start("hello");
    let answer = called("hello", "greet", json!({"name": "you"}))
        .await
        .unwrap();
    assert_eq!(answer, json!({"text": "hello you"}));
    hello.drain().await.unwrap();

    let others = start("calling_others");
    eventually("both services are there", || async {
        let (_, out, _) = sluice(&[
            "services",
            "--json",
            "--admin",
            &format!("http://{}", dev.admin),
        ]);
        out.contains("billing") && out.contains("users")
    })
    .await
    .unwrap();
    others.drain().await.unwrap();

    let streaming = start("streaming");
    eventually("the clock is there", || async {
        let (_, out, _) = sluice(&[
            "services",
            "--json",
            "--admin",
            &format!("http://{}", dev.admin),
        ]);
        out.contains("clock")
    })
    .await
    .unwrap();
    streaming.drain().await.unwrap();
}

#[tokio::test]
async fn a_config_with_mistakes_is_refused_with_all_of_them() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(
        file.path(),
        "[http]\nlistn = \"x\"\n[gateway]\nshards = \"many\"\n",
    )
    .unwrap();
    for command in ["check", "serve"] {
        let (code, out, err) = sluice(&[command, "--config", file.path().to_str().unwrap()]);
        assert_eq!(code, 64, "{out}{err}");
        for mistake in ["listn", "shards", "registry.open"] {
            assert!(
                err.contains(mistake) || out.contains(mistake),
                "{mistake}: {out}{err}"
            );
        }
    }
}
