//! What would happen to a call, and what does.

use std::process::Stdio;

use serde_json::{Value, json};
use sluice_e2e::cluster::{Cluster, ClusterBuilder};
use sluice_e2e::gateway::Gateway;
use sluice_e2e::nats::BrokerKind;
use sluice_e2e::{binaries, eventually};
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::{ends, json, sluice};

const TOKEN: &str = "operator-0123456789abcdef";

fn cluster() -> ClusterBuilder {
    // The hash of the key "k".
    let hash = "8254c329a92850f6d539dd376f4816ee2764517da5e0235514af433164480d7a";
    Cluster::start(BrokerKind::Embedded)
        .gateways(2)
        .gateway(move |_, gateway| {
            gateway.toml(&format!(
                "[[limit]]\nname = \"few\"\nkey = \"user_id\"\nmax_requests = 2\nwindow_ms = 600000\n\
                 service = \"demo\"\nfunction = \"echo\"\n\
                 [[limit]]\nname = \"free\"\nkey = \"api_key\"\nmax_requests = 5\n\
                 window_ms = 600000\nnamed_only = true\n\
                 [[api_key]]\nid = \"shop\"\nhash = \"{hash}\"\nuser_id = \"acme\"\n\
                 limits = [\"free\"]\n\
                 [admin.tokens]\nann = {{ token = \"{TOKEN}\", allow = [\"*\"] }}\n"
            ))
        })
}

async fn steer(gateway: &Gateway, line: &str) {
    let line = format!("{line} --token {TOKEN}");
    ends(gateway, 0, &line).await;
}

/// The step of a stage.
fn step<'a>(view: &'a Value, stage: &str) -> &'a Value {
    let steps = view["gateways"][0]["answer"]["steps"].as_array().unwrap();
    let found = steps.iter().find(|step| step["stage"] == stage);
    found.unwrap_or_else(|| panic!("no {stage} in {view:#}"))
}

#[tokio::test]
async fn a_call_is_explained_without_being_counted_and_limits_are_asked_by_hand() {
    let cluster = cluster().await.unwrap();
    let gateway = cluster.gateway(0);
    let explain = "explain demo echo message=hi --user ann --json --token";
    let explain = format!("{explain} {TOKEN}");
    for _ in 0..5 {
        let view = json(gateway, 0, &explain).await;
        assert_eq!(step(&view, "limit")["outcome"], "passes", "{view:#}");
        assert_eq!(
            view["gateways"][0]["answer"]["limits"][0]["used"], 0,
            "{view:#}"
        );
    }
    let wrong = format!("explain demo echo --user ann --token {TOKEN}");
    let table = ends(gateway, 1, &wrong).await;
    assert!(
        table.contains("refused at validate, invalid_arguments"),
        "{table}"
    );

    let check = format!("limits check few ann --token {TOKEN}");
    assert!(ends(gateway, 0, &check).await.contains("1 left"));
    ends(gateway, 0, &check).await;
    let refused = ends(gateway, 1, &check).await;
    assert!(refused.contains("refused"), "{refused}");
    let view = json(gateway, 1, &explain).await;
    let own = &view["gateways"][0]["answer"];
    assert_eq!(own["refused"]["error_code"], "rate_limited", "{view:#}");
    assert_eq!(
        step(&view, "validate")["outcome"],
        "not_reached",
        "{view:#}"
    );
    steer(gateway, "limits reset few ann").await;
    json(gateway, 0, &explain).await;
    ends(gateway, 64, "limits check few --nonsense").await;

    let plan = format!("explain demo echo message=hi --api-key shop --json --token {TOKEN}");
    let view = json(gateway, 0, &plan).await;
    let names = |view: &Value| {
        let limits = view["gateways"][0]["answer"]["limits"].as_array().cloned();
        let limits = limits.unwrap_or_default();
        let names = limits
            .iter()
            .map(|l| l["name"].as_str().unwrap().to_owned());
        names.collect::<Vec<_>>().join(" ")
    };
    assert!(names(&view).contains("free"), "{view:#}");
    let view = json(gateway, 0, &explain).await;
    assert!(!names(&view).contains("free"), "{view:#}");
    let unknown = format!("explain demo echo --api-key nobody --token {TOKEN}");
    let words: Vec<&str> = unknown.split(' ').collect();
    let (code, _, err) = sluice(gateway, &words).await;
    assert_eq!(code, 64, "{err}");
    assert!(err.contains("there is no API key"), "{err}");
}

#[tokio::test]
async fn flow_knows_what_operators_decided() {
    let cluster = cluster()
        .workers(2)
        .worker(|i, worker| worker.version(["1.0.0", "2.0.0"][i]))
        .await
        .unwrap();
    let gateway = cluster.gateway(0);
    let flow = format!("flow demo echo --json --token {TOKEN}");
    let served = eventually("both versions are known", || async {
        let view = json(gateway, 0, &flow).await;
        let versions = &view["gateways"][0]["answer"]["versions"];
        versions.as_array().is_some_and(|v| v.len() == 2)
    });
    served.await.unwrap();
    let view = json(gateway, 0, &flow).await;
    let own = &view["gateways"][0]["answer"];
    assert_eq!(own["resolved_version"], "2.0.0", "{view:#}");
    assert_eq!(step(&view, "limit")["outcome"], "checks", "{view:#}");
    assert!(
        step(&view, "limit")["text"]
            .as_str()
            .unwrap()
            .contains("API keys that name it")
    );

    steer(gateway, "versions pin demo ^1 --user ann").await;
    let pinned = format!("explain demo echo message=x --user ann --json --token {TOKEN}");
    let view = json(gateway, 0, &pinned).await;
    assert_eq!(
        view["gateways"][0]["answer"]["resolved_version"], "1.0.0",
        "{view:#}"
    );
    let why = step(&view, "resolve")["text"].as_str().unwrap();
    assert!(why.contains("pinned to ^1"), "{why}");

    steer(gateway, "instances drain demo w1").await;
    let drained = format!("flow demo echo 2.0.0 --token {TOKEN}");
    let table = ends(gateway, 1, &drained).await;
    assert!(table.contains("no_workers"), "{table}");
    assert!(table.contains("drained by an operator: w1"), "{table}");
    steer(gateway, "instances undrain demo w1").await;
    steer(gateway, "versions disable demo echo 2.0.0").await;
    let table = ends(gateway, 1, &drained).await;
    assert!(
        table.contains("refused at resolve, function_disabled"),
        "{table}"
    );
    ends(gateway, 1, &format!("flow demo nothing --token {TOKEN}")).await;
}

#[tokio::test]
async fn live_calls_of_one_user_are_followed_at_every_gateway() {
    let cluster = cluster().await.unwrap();
    let mut command = tokio::process::Command::new(binaries::ours("sluice").unwrap());
    command
        .args(["trace", "--user", "ann", "--json", "--lines", "8"])
        .args(["--admin", &cluster.gateway(0).admin_url(), "--token", TOKEN])
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first: Value = serde_json::from_str(&lines.next_line().await.unwrap().unwrap()).unwrap();
    assert_eq!(first["event"], "watching", "{first}");
    assert_eq!(first["others"][0]["answer"], true, "{first}");

    let other = cluster.gateway(1);
    let call = |user: &str| other.client().unwrap().header("x-user-id", user);
    let args = json!({"message": "secret"});
    call("bob")
        .call("demo", "echo", args.clone())
        .await
        .unwrap();
    call("ann").call("demo", "echo", args).await.unwrap();
    let mut events = Vec::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        assert!(
            !line.contains("secret"),
            "args are nobody's business: {line}"
        );
        let event: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(event["user"], "ann", "{event}");
        events.push(event["event"].as_str().unwrap().to_owned());
    }
    assert_eq!(events[0], "received", "{events:?}");
    assert!(events.iter().any(|e| e == "limit"), "{events:?}");
    assert!(child.wait().await.unwrap().success());

    let (code, _, err) = sluice(cluster.gateway(0), &["trace", "--token", TOKEN]).await;
    assert_eq!(code, 64, "{err}");
    assert!(err.contains("name a user"), "{err}");
}
