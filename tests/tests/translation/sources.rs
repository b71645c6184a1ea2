//! Where a version comes from: the field, the path, headers, `Accept`, the query; for calls, routes
//! and sockets.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use sluice_e2e::gateway::GatewayBuilder;
use sluice_e2e::http::Client;
use sluice_e2e::socket::{EVENT, Socket};
use sluice_worker::change::{Declared, Operation};
use sluice_worker::schemars::{self, JsonSchema};
use sluice_worker::{Function, Worker, WorkerBuilder};

use crate::{cluster, served};

const SOURCES: [&str; 6] = [
    "field",
    "path:/v{version}",
    "path:/api/{version}",
    "header:x-api-version",
    "accept:application/vnd.acme.v{version}+json",
    "query:v",
];

fn everywhere(gateway: GatewayBuilder) -> GatewayBuilder {
    gateway.option("versions", "sources", json!(SOURCES))
}

#[derive(serde::Deserialize, serde::Serialize, JsonSchema)]
struct Device {
    id: u64,
    #[serde(default)]
    label: String,
}

async fn show(device: Device) -> Value {
    json!({ "id": device.id, "label": device.label })
}

/// Version 1 said `device` and `name`.
fn devices(url: &str) -> WorkerBuilder {
    let names = Declared::new("names", ["create", "show"])
        .request([
            Operation::rename("device", "id"),
            Operation::rename("name", "label"),
        ])
        .reverse_at([""]);
    Worker::builder("devices")
        .version("3")
        .connect(url)
        .function_with(
            Function::sync("show", show)
                .idempotent()
                .route("GET /devices/{id}")
                .route("POST /devices/{id}"),
        )
        .function("create", show)
        .versions(|versions| {
            versions
                .version("1", |v| v.declare(names))
                .version("3", |v| v)
        })
}

async fn asked(request: RequestBuilder) -> (u16, reqwest::header::HeaderMap, Value) {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = response.text().await.unwrap();
    let body = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{status} {text}: {e}"));
    (status, headers, body)
}

fn get(client: &Client, path: &str, header: Option<(&str, &str)>) -> RequestBuilder {
    let request = client.get(path);
    match header {
        Some((name, value)) => request.header(name, value),
        None => request,
    }
}

const ACME: (&str, &str) = (
    "accept",
    "text/html;q=0.1, application/vnd.acme.v1+json, application/json;q=0.5",
);

#[tokio::test]
async fn a_version_is_found_wherever_the_config_says() {
    let cluster = cluster(everywhere).await;
    let worker = devices(&cluster.broker().url()).start().await.unwrap();
    let client = cluster.gateway(0).client().unwrap();
    served(&client, "create").await;

    let one = json!({"device": 7, "name": "pump"});
    let today = json!({"id": 7, "label": "pump"});
    let one_asks = "devices/show?device=7&name=pump";
    for (path, header) in [
        (format!("/v1/api/{one_asks}"), None),
        (format!("/api/v1/{one_asks}"), None),
        (format!("/api/1/{one_asks}"), None),
        (format!("/api/{one_asks}"), Some(("x-api-version", "1"))),
        (format!("/api/{one_asks}"), Some(ACME)),
        (format!("/api/{one_asks}&v=1"), None),
    ] {
        let (status, _, body) = asked(get(&client, &path, header)).await;
        if path.starts_with("/api/v1/") {
            // The version is `v1` there, which nobody has.
            assert_eq!(
                (status, &body["error_code"]),
                (404, &json!("unknown_version"))
            );
            assert_eq!(body["details"]["versions"], json!(["1", "3"]), "{body}");
            continue;
        }
        assert_eq!(
            (status, &body["result"]),
            (200, &one),
            "{path} {header:?} {body}"
        );
    }
    // The first place that names one counts.
    let path = format!("/api/{one_asks}&v=3");
    let (status, _, body) = asked(get(&client, &path, Some(("x-api-version", "1")))).await;
    assert_eq!((status, &body["result"]), (200, &one), "{body}");
    let (_, _, body) = asked(get(&client, "/api/devices/show?id=7&label=pump", None)).await;
    assert_eq!(body["result"], today, "{body}");
    // A whole request in a path with a version; its field stands first in the list.
    let whole = |version: Value| {
        let request = json!({"service": "devices", "request_type": "create", "version": version,
            "args": {"device": 7, "name": "pump"}});
        client.request(Method::POST, "/v1/api").json(&request)
    };
    let (_, _, body) = asked(whole(Value::Null)).await;
    assert_eq!(body["result"], one, "{body}");
    let (status, _, body) = asked(whole(json!("3"))).await;
    assert_eq!(status, 422, "{body}");
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn routes_have_a_form_for_each_version() {
    let cluster = cluster(everywhere).await;
    let worker = devices(&cluster.broker().url()).start().await.unwrap();
    let client = cluster.gateway(0).client().unwrap();
    served(&client, "create").await;

    let one = json!({"device": 7, "name": "pump"});
    for (path, header) in [
        ("/v1/devices/7?name=pump", None),
        ("/devices/7?name=pump", Some(("x-api-version", "1"))),
        ("/devices/7?name=pump", Some(ACME)),
        ("/devices/7?name=pump&v=1", None),
    ] {
        let (status, _, body) = asked(get(&client, path, header)).await;
        assert_eq!((status, &body), (200, &one), "{path} {header:?}");
    }
    let (_, _, body) = asked(get(&client, "/devices/7?label=pump", None)).await;
    assert_eq!(body, json!({"id": 7, "label": "pump"}));
    let posted = client
        .request(Method::POST, "/v1/devices/7")
        .json(&json!({"name": "pump"}));
    assert_eq!(asked(posted).await.2, one);
    // What is wrong is told by the client's names.
    let (status, _, problem) = asked(get(&client, "/v1/devices/x?more=1", None)).await;
    assert_eq!(status, 422, "{problem}");
    let text = problem.to_string();
    assert!(
        text.contains("/device") && text.contains("/more"),
        "{problem}"
    );
    let (status, _, problem) = asked(get(&client, "/v9/devices/7", None)).await;
    assert_eq!(status, 404, "{problem}");
    assert_eq!(
        problem["details"]["versions"],
        json!(["1", "3"]),
        "{problem}"
    );
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn caches_hear_which_headers_were_looked_at() {
    let cluster = cluster(everywhere).await;
    let worker = devices(&cluster.broker().url()).start().await.unwrap();
    let client = cluster.gateway(0).client().unwrap();
    served(&client, "create").await;

    let vary = |headers: &reqwest::header::HeaderMap| -> Vec<String> {
        let all = headers.get_all("vary").iter();
        let all = all.flat_map(|v| v.to_str().unwrap().split(','));
        all.map(|name| name.trim().to_ascii_lowercase()).collect()
    };
    let has = |all: &[String], name: &str| all.iter().any(|own| own == name);
    let (_, headers, _) = asked(get(&client, "/devices/7", None)).await;
    let names = vary(&headers);
    assert!(
        has(&names, "x-api-version") && has(&names, "accept"),
        "{names:?}"
    );
    let used = Some(("x-api-version", "1"));
    let (_, headers, _) = asked(get(&client, "/devices/7", used)).await;
    assert!(has(&vary(&headers), "x-api-version"), "{headers:?}");
    // The path said all; what a POST answers no cache keeps.
    let (_, headers, _) = asked(get(&client, "/v1/devices/7", None)).await;
    assert!(!has(&vary(&headers), "x-api-version"), "{headers:?}");
    let post = || {
        let request = client.request(Method::POST, "/api/devices/create");
        request.json(&json!({"id": 7}))
    };
    let (_, headers, _) = asked(post()).await;
    assert!(!has(&vary(&headers), "x-api-version"), "{headers:?}");
    let (_, headers, _) = asked(post().header("x-api-version", "3")).await;
    assert!(has(&vary(&headers), "x-api-version"), "{headers:?}");
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_socket_names_a_version_for_all_its_calls() {
    let cluster = cluster(everywhere).await;
    let worker = devices(&cluster.broker().url()).start().await.unwrap();
    served(&cluster.gateway(0).client().unwrap(), "create").await;

    let address = cluster.gateway(0).address();
    let mut socket = Socket::connect_with(address, "&v=1", None).await.unwrap();
    socket.join().await.unwrap();
    for (version, args, result) in [
        (
            Value::Null,
            json!({"device": 7, "name": "pump"}),
            json!({"device": 7, "name": "pump"}),
        ),
        (json!("3"), json!({"id": 7}), json!({"id": 7, "label": ""})),
    ] {
        let request = json!({"request_id": version.to_string(), "service": "devices",
            "request_type": "show", "version": version, "args": args});
        socket.push(&request).await.unwrap();
        loop {
            let frame = socket.frame().await.unwrap();
            if frame.event == EVENT {
                assert_eq!(frame.payload["result"], result, "{frame:?}");
                break;
            }
        }
    }
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_version_by_default_and_one_that_nobody_has() {
    let cluster = cluster(|gateway| {
        gateway
            .option("versions", "default", "1")
            .option("versions", "unknown", "latest")
    })
    .await;
    let worker = devices(&cluster.broker().url()).start().await.unwrap();
    let client = cluster.gateway(0).client().unwrap();
    served(&client, "create").await;
    let one = json!({"device": 7, "name": "pump"});
    let (_, answer) = client.call("devices", "show", one.clone()).await.unwrap();
    assert_eq!(answer.result, one, "{answer:?}");
    let client = client.header("sluice-version", "9");
    let today = json!({"id": 7, "label": "pump"});
    let (_, answer) = client.call("devices", "show", today.clone()).await.unwrap();
    assert_eq!(answer.result, today, "{answer:?}");
    worker.shutdown().await.unwrap();
}
