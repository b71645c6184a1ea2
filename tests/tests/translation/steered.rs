//! Translated versions beside what else acts on versions: hooks, operators, counts of callers.

use reqwest::Method;
use serde_json::{Value, json};
use sluice_e2e::cluster::Cluster;
use sluice_e2e::gateway::GatewayBuilder;
use sluice_e2e::http::Client;
use sluice_e2e::{Error, binaries, eventually};
use sluice_worker::change::{Declared, Operation};
use sluice_worker::{Arg, Function, Worker, WorkerBuilder};

use crate::{call, cluster, served};

const TOKEN: &str = "operator-0123456789abcdef";

fn with_operator(gateway: GatewayBuilder) -> GatewayBuilder {
    gateway.toml(&format!(
        "[admin.tokens]\nann = {{ token = \"{TOKEN}\", allow = [\"*\"] }}\n"
    ))
}

async fn ask(cluster: &Cluster, method: Method, path: &str, body: Value) -> (u16, Value) {
    let url = format!("{}{path}", cluster.gateway(0).admin_url());
    let request = reqwest::Client::new().request(method, url);
    let request = request.bearer_auth(TOKEN).body(body.to_string());
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    (status, response.json().await.unwrap_or_default())
}

async fn create(args: Value) -> Value {
    json!({ "title": args["title"] })
}

/// Version 1 said `name`, version 2 `label`, version 3 says `title`.
fn devices(url: &str, hooks: bool) -> WorkerBuilder {
    let rename = |from: &str, to: &str| {
        Declared::new(to, ["create"])
            .request([Operation::rename(from, to)])
            .reverse_at([""])
    };
    let (first, second) = (rename("name", "label"), rename("label", "title"));
    let mut function = Function::sync("create", create)
        .args([("title", Arg::string())])
        .route("POST /devices");
    if hooks {
        function = function
            .before_execute("devices", "before")
            .after_execute("devices", "after");
    }
    Worker::builder("devices")
        .version("3")
        .connect(url)
        .function_with(function)
        .function_with(Function::sync("before", before).unchecked_args().internal())
        .function_with(Function::sync("after", after).unchecked_args().internal())
        .versions(|versions| {
            versions
                .version("1", |v| v.declare(first))
                .version("2", |v| v.declare(second))
                .version("3", |v| v)
        })
}

/// Doubles the name that a client of version 1 sent, in whose shape it sees the args.
async fn before(call: Value) -> Value {
    let args = &call["request"]["args"];
    match args["name"].as_str() {
        Some(name) => json!({"args": {"name": format!("{name}{name}")}}),
        None => json!({"allow": true}),
    }
}

/// Adds what it sees of the response.
async fn after(call: Value) -> Value {
    let seen = &call["response"]["result"];
    let mut result = seen.clone();
    result["seen"] = seen.clone();
    json!({ "result": result })
}

#[tokio::test]
async fn hooks_see_the_clients_version() {
    let cluster = cluster(|g| g).await;
    let worker = devices(&cluster.broker().url(), true)
        .start()
        .await
        .unwrap();
    let client = cluster.gateway(0).client().unwrap();
    served(&client, "create").await;

    let (_, answer) = call(&client, "1", "create", json!({"name": "ab"})).await;
    assert_eq!(answer.result["name"], "abab", "{answer:?}");
    assert_eq!(answer.result["seen"], json!({"name": "abab"}), "{answer:?}");
    let (_, answer) = call(&client, "3", "create", json!({"title": "ab"})).await;
    assert_eq!(answer.result["title"], "ab", "{answer:?}");
    assert_eq!(answer.result["seen"], json!({"title": "ab"}), "{answer:?}");
    worker.shutdown().await.unwrap();
}

/// A gateway with an operator, before a worker of devices.
async fn with_devices() -> (Cluster, Worker, Client) {
    let cluster = cluster(with_operator).await;
    let worker = devices(&cluster.broker().url(), false)
        .start()
        .await
        .unwrap();
    let client = cluster.gateway(0).client().unwrap();
    served(&client, "create").await;
    (cluster, worker, client)
}

#[tokio::test]
async fn operators_steer_versions_that_are_translated() {
    let (cluster, worker, client) = with_devices().await;
    let path = |what: &str, version: &str| {
        let what = if what.is_empty() {
            String::new()
        } else {
            format!("/{what}")
        };
        format!("/v1/functions/devices/create{what}?version={version}")
    };
    let one = json!({"name": "a"});
    let code = async |version: &str, args: Value| {
        call(&client, version, "create", args)
            .await
            .1
            .code()
            .to_owned()
    };

    // A version that is switched off is off; older ones that pass its changes are not.
    let off = json!({"disabled": true});
    ask(&cluster, Method::PUT, &path("disabled", "2"), off).await;
    assert_eq!(code("2", json!({"label": "a"})).await, "function_disabled");
    assert_eq!(code("1", one.clone()).await, "");
    assert_eq!(code("3", json!({"title": "a"})).await, "");
    let on = json!({"disabled": false});
    ask(&cluster, Method::PUT, &path("disabled", "2"), on).await;
    assert_eq!(code("2", json!({"label": "a"})).await, "");

    // Deleted, it is as if it had never been there.
    ask(&cluster, Method::DELETE, &path("", "1"), Value::Null).await;
    let (status, gone) = call(&client, "1", "create", one.clone()).await;
    assert_eq!((status, gone.code()), (404, "unknown_version"), "{gone:?}");
    assert_eq!(gone.details.unwrap()["versions"], json!(["2", "3"]));
    ask(&cluster, Method::POST, &path("restore", "1"), Value::Null).await;
    assert_eq!(code("1", one.clone()).await, "");

    // Deprecated, it answers as ever and says so.
    let going = json!({"at": 1_767_225_600, "link": "https://example.com/v3"});
    let (status, said) = ask(&cluster, Method::PUT, &path("deprecation", "1"), going).await;
    assert_eq!(status, 200, "{said}");
    let old = client.clone().header("sluice-version", "1");
    let request = old.request(Method::POST, "/api/devices/create");
    let response = request.json(&one).send().await.unwrap();
    assert_eq!(response.headers()["deprecation"], "@1767225600");
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["result"], one, "{body}");
    // So does an error, and at a route it stays a problem.
    let request = old.request(Method::POST, "/devices");
    let response = request.json(&json!({"name": 5})).send().await.unwrap();
    assert_eq!(response.status(), 422);
    assert_eq!(response.headers()["deprecation"], "@1767225600");
    assert_eq!(
        response.headers()["content-type"],
        "application/problem+json"
    );

    // The latest version is one that is translated, if an operator says so.
    let latest = json!({"version": "1"});
    let (status, said) = ask(
        &cluster,
        Method::PUT,
        "/v1/functions/devices/create/latest",
        latest,
    )
    .await;
    assert_eq!(status, 200, "{said}");
    let (_, answer) = client.call("devices", "create", one.clone()).await.unwrap();
    assert_eq!(answer.result, one, "{answer:?}");
    worker.shutdown().await.unwrap();
}

/// `n` was a text in version 1, and is a number.
fn finders(url: &str) -> WorkerBuilder {
    async fn find(args: Value) -> Value {
        args
    }
    let find = |version: &str, n| {
        Function::sync("find", find)
            .version(version)
            .args([("n", n)])
            .idempotent()
            .route("GET /find/{n}")
    };
    Worker::builder("devices")
        .connect(url)
        .function_with(find("1", Arg::string()))
        .function_with(find("2", Arg::num()))
}

#[tokio::test]
async fn urls_are_read_as_the_version_of_their_caller_has_them() {
    let cluster = cluster(with_operator).await;
    let worker = finders(&cluster.broker().url()).start().await.unwrap();
    let client = cluster.gateway(0).client().unwrap();
    let ann = client.clone().header("x-user-id", "ann");
    let get = async |client: &Client, path: &str| {
        let response = client.request(Method::GET, path).send().await.unwrap();
        let body: Value = response.json().await.unwrap_or_default();
        // An envelope's result, or the bare one.
        body.get("result").unwrap_or(&body)["n"].clone()
    };
    eventually("devices.find is served", || async {
        let n = get(&client, "/find/5").await;
        (n == json!(5))
            .then_some(())
            .ok_or_else(|| Error::new(n.to_string()))
    })
    .await
    .unwrap();
    let pin = json!({"user": "ann", "service": "devices", "version": "1"});
    let (status, said) = ask(&cluster, Method::PUT, "/v1/pins", pin).await;
    assert_eq!(status, 200, "{said}");
    for path in ["/find/5", "/api/devices/find?n=5"] {
        eventually("the pin holds", || async {
            let n = get(&ann, path).await;
            let text = n == json!("5");
            text.then_some(()).ok_or_else(|| Error::new(n.to_string()))
        })
        .await
        .unwrap();
        assert_eq!(get(&client, path).await, json!(5), "{path}: others");
        let named = ann.clone().header("sluice-version", "2");
        assert_eq!(get(&named, path).await, json!(5), "{path}: it names one");
    }
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn callers_are_counted_by_the_version_that_they_named() {
    let (cluster, worker, client) = with_devices().await;
    for _ in 0..3 {
        let (_, answer) = call(&client, "1", "create", json!({"name": "a"})).await;
        assert!(answer.success, "{answer:?}");
    }
    let (_, answer) = call(&client, "2", "create", json!({"label": "a"})).await;
    assert!(answer.success, "{answer:?}");
    for (version, calls) in [("1", 3), ("2", 1)] {
        let path = format!("/v1/functions/devices/create/callers?version={version}");
        eventually("the calls are counted", || async {
            let (_, told) = ask(&cluster, Method::GET, &path, Value::Null).await;
            let counted = told["callers"].as_array().into_iter().flatten();
            let counted: Vec<_> = counted.filter_map(|c| c["calls"].as_u64()).collect();
            match counted == [calls] {
                true => Ok(()),
                false => Err(Error::new(told.to_string())),
            }
        })
        .await
        .unwrap();
    }
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn what_lies_between_versions_is_told_to_operators() {
    let cluster = cluster(with_operator).await;
    let worker = devices(&cluster.broker().url(), false)
        .start()
        .await
        .unwrap();
    let client = cluster.gateway(0).client().unwrap();
    served(&client, "create").await;
    let (status, told) = ask(&cluster, Method::GET, "/v1/services/devices", json!({})).await;
    assert_eq!(
        (status, &told["service"]),
        (200, &json!("devices")),
        "{told}"
    );
    assert_eq!(told["versions"][1]["version"], "2", "{told}");
    let (status, told) = ask(&cluster, Method::GET, "/v1/services/gadgets", json!({})).await;
    assert_eq!(status, 404, "{told}");
    let diff = |words: &[&str]| {
        let mut command = std::process::Command::new(binaries::ours("sluice").unwrap());
        command.args(["versions", "diff"]).args(words);
        command.env("SLUICE_ADMIN_URL", cluster.gateway(0).admin_url());
        command.env("SLUICE_ADMIN_TOKEN", TOKEN);
        tokio::task::spawn_blocking(move || command.output().unwrap())
    };
    let output = diff(&["devices", "1", "3"]).await.unwrap();
    let (out, err) = (
        output.stdout,
        String::from_utf8_lossy(&output.stderr).into_owned(),
    );
    assert!(output.status.success(), "{err}");
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "1  label  (create)\n    args    name becomes label\n    result  label becomes name\n\
         2  title  (create)\n    args    label becomes title\n    result  title becomes label\n"
    );
    let output = diff(&["gadgets", "1", "3"]).await.unwrap();
    // What is named is not known.
    assert_eq!(output.status.code(), Some(3));
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(err.contains("no service \"gadgets\""), "{err}");
    worker.shutdown().await.unwrap();
}
