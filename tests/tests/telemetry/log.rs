//! The log, as lines of JSON, and its levels at run time.

use std::process::Command;

use reqwest::Method;
use serde_json::{Value, json};
use sluice_e2e::cluster::{Cluster, ClusterBuilder};
use sluice_e2e::gateway::Gateway;
use sluice_e2e::nats::BrokerKind;
use sluice_e2e::process::Process;
use sluice_e2e::{Error, binaries, eventually};

const ANN: &str = "ann-may-change-0123456789";
const BOB: &str = "bob-may-look-0123456789";
const ARGS: &str = "what-only-the-worker-may-see";

fn cluster() -> ClusterBuilder {
    Cluster::start(BrokerKind::Embedded).gateway(|_, gateway| {
        gateway
            .option("log", "json", true)
            .option("admin", "anonymous_read", false)
            .toml(&format!(
                "[admin.tokens]\n\
                 ann = {{ token = \"{ANN}\", allow = [\"log:*\", \"audit:read\"] }}\n\
                 bob = {{ token = \"{BOB}\", allow = [\"*:read\"] }}\n"
            ))
    })
}

/// The events of the log so far, each of which has to be whole.
fn events(process: &Process) -> Vec<Value> {
    let text = process.log().tail(usize::MAX);
    let lines = text.lines().filter(|line| !line.contains(" listening on "));
    let read = |line: &str| -> Value {
        let event: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        for field in ["timestamp", "level", "target", "message"] {
            assert!(event[field].is_string(), "{field}: {event}");
        }
        event
    };
    lines.map(read).collect()
}

/// The line of the access log for a request, as soon as it is there.
async fn access(gateway: &Gateway, id: &str) -> Value {
    let ours = |line: &str| line.contains("sluice::access") && line.contains(id);
    let line = gateway.process().wait_line("the access log", ours).await;
    serde_json::from_str(&line.unwrap()).unwrap()
}

async fn call(gateway: &Gateway, id: &str) {
    let http = gateway.client().unwrap().header("x-request-id", id);
    let args = json!({ "message": ARGS });
    let (status, answer) = http.call("demo", "echo", args).await.unwrap();
    assert_eq!(status, 200, "{answer:?}");
}

async fn ask(
    gateway: &Gateway,
    method: Method,
    path: &str,
    token: Option<&str>,
    body: Value,
) -> (u16, Value) {
    let url = format!("{}{path}", gateway.admin_url());
    let request = reqwest::Client::new().request(method, url);
    let request = match token {
        Some(token) => request.bearer_auth(token),
        None => request,
    };
    let response = request.body(body.to_string()).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

/// `sluice log …` as Ann, from a shell.
async fn command(gateway: &Gateway, arguments: &[&str]) -> String {
    let mut command = Command::new(binaries::ours("sluice").unwrap());
    command.arg("log").args(arguments);
    command.env("SLUICE_ADMIN_URL", gateway.admin_url());
    command.env("SLUICE_ADMIN_TOKEN", ANN);
    let process = Process::spawn("sluice log", command).unwrap();
    let status = process.wait_exit().await.unwrap();
    let printed = process.log().tail(10);
    assert!(status.success(), "{printed}");
    printed
}

#[tokio::test]
async fn levels_change_at_run_time_by_those_who_may_and_each_change_is_audited() {
    let cluster = cluster().await.unwrap();
    let gateway = cluster.gateway(0);
    let debug = json!({"filter": "debug"});
    for (token, status) in [
        (None, 401),
        (Some("wrong-0123456789abcdef"), 401),
        (Some(BOB), 403),
    ] {
        let (got, answer) = ask(gateway, Method::PUT, "/v1/log", token, debug.clone()).await;
        assert_eq!(got, status, "{answer}");
    }
    let (_, told) = ask(gateway, Method::GET, "/v1/log", Some(BOB), Value::Null).await;
    let configured = told["configured"].as_str().unwrap();
    assert_eq!(told["filter"], configured, "{told}");
    call(gateway, "call-before").await;

    let printed = command(gateway, &["debug"]).await;
    assert!(printed.starts_with("debug (configured: "), "{printed}");
    call(gateway, "opened").await;
    let line = access(gateway, "opened").await;
    assert_eq!(line["level"], "DEBUG", "{line}");
    assert_eq!(line["message"], "call", "{line}");
    for (field, value) in [("service", "demo"), ("function", "echo"), ("outcome", "ok")] {
        assert_eq!(line[field], value, "{line}");
    }
    assert!(line["duration_us"].is_u64(), "{line}");

    let printed = command(gateway, &["--reset"]).await;
    assert_eq!(printed, configured);
    call(gateway, "call-closed").await;
    command(gateway, &["info,sluice::access=debug", "--for", "3600"]).await;
    call(gateway, "opened-again").await;
    access(gateway, "opened-again").await;

    let log = gateway.process().log();
    let told = |id: &str| log.count(|l| l.contains("sluice::access") && l.contains(id));
    assert_eq!((told("call-before"), told("call-closed")), (0, 0));
    for secret in [ANN, BOB, ARGS] {
        assert_eq!(log.count(|line| line.contains(secret)), 0, "{secret}");
    }
    assert!(events(gateway.process()).len() > 10);

    let (_, audit) = ask(gateway, Method::GET, "/v1/audit", Some(ANN), Value::Null).await;
    let entries = audit["entries"].as_array().unwrap();
    let short = |e: &Value| {
        (
            e["operator"].clone(),
            e["action"].clone(),
            e["allowed"].clone(),
        )
    };
    let write = |who: &str, allowed: bool| (json!(who), json!("log:write"), json!(allowed));
    let expected = [
        write("ann", true),
        write("ann", true),
        write("ann", true),
        write("bob", false),
        write("unknown", false),
        write("unknown", false),
    ];
    assert_eq!(
        entries.iter().map(short).collect::<Vec<_>>(),
        expected,
        "{audit}"
    );
    assert_eq!(entries[2]["before"]["filter"], configured, "{audit}");
    assert_eq!(entries[2]["after"]["filter"], "debug", "{audit}");
}

#[tokio::test]
async fn a_change_for_a_time_goes_back_by_itself() {
    let cluster = cluster().workers(0).await.unwrap();
    let gateway = cluster.gateway(0);
    let soon = json!({"level": "debug", "for_ms": 1});
    let (status, told) = ask(gateway, Method::PUT, "/v1/log", Some(ANN), soon).await;
    assert_eq!(status, 200, "{told}");
    eventually("the levels are back", || async {
        let (_, told) = ask(gateway, Method::GET, "/v1/log", Some(ANN), Value::Null).await;
        match told["filter"] == told["configured"] {
            true => Ok(()),
            false => Err(Error::new(told.to_string())),
        }
    })
    .await
    .unwrap();
    for wrong in [
        json!({"filter": "ifno"}),
        json!({"filter": "debug", "for_ms": 0}),
        json!({"filter": "debug", "for": 1}),
        json!({}),
    ] {
        let (status, told) = ask(gateway, Method::PUT, "/v1/log", Some(ANN), wrong).await;
        assert_eq!(
            (status, &told["error_code"]),
            (400, &json!("invalid_request")),
            "{told}"
        );
    }
}

#[tokio::test]
async fn the_access_log_is_one_line_for_each_call_where_it_is_wanted() {
    let cluster = cluster()
        .gateway(|_, gateway| {
            gateway
                .option("log", "json", true)
                .option("telemetry", "access_log", true)
        })
        .await
        .unwrap();
    let gateway = cluster.gateway(0);
    let http = gateway.client().unwrap();
    call(gateway, "served").await;
    assert_eq!(access(gateway, "served").await["level"], "INFO");
    let http = http.header("x-request-id", "unserved");
    http.call("demo", "nothing", json!({})).await.unwrap();
    let line = access(gateway, "unserved").await;
    assert_eq!(line["outcome"], "unknown_function", "{line}");
    let count = |id: &str| {
        let log = gateway.process().log();
        log.count(|l| l.contains("sluice::access") && l.contains(id))
    };
    assert_eq!((count("\"served\""), count("\"unserved\"")), (1, 1));
}
