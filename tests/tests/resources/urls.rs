//! Versions that URLs, media types and operators name, at routes of functions and of resources.

use reqwest::Method;
use reqwest::redirect::Policy;
use serde_json::{Value, json};
use sluice_e2e::cluster::Cluster;
use sluice_e2e::gateway::GatewayBuilder;
use sluice_e2e::nats::BrokerKind;
use sluice_e2e::{Error, eventually};
use sluice_worker::resource::{Resource, with};
use sluice_worker::{Function, Worker, WorkerBuilder};

use crate::library::{JSON, Library};

const TOKEN: &str = "operator-0123456789abcdef";

fn operated(gateway: GatewayBuilder) -> GatewayBuilder {
    gateway.toml(&format!(
        "[admin.tokens]\nann = {{ token = \"{TOKEN}\", allow = [\"*\"] }}\n"
    ))
}

/// Versions from the path, or from a media type.
fn by_url(gateway: GatewayBuilder) -> GatewayBuilder {
    operated(gateway).toml(
        "[versions]\nsources = [\"path:/v{version}\", \"accept:application/vnd.library.v{version}+json\"]\n",
    )
}

async fn ask(cluster: &Cluster, method: Method, path: &str, body: Value) {
    let url = format!("{}{path}", cluster.gateway(0).admin_url());
    let request = reqwest::Client::new().request(method, url);
    let request = request.bearer_auth(TOKEN).body(body.to_string());
    let response = request.send().await.unwrap();
    let status = response.status();
    let said = response.text().await.unwrap();
    assert_eq!(status, 200, "{path}: {said}");
}

#[tokio::test]
async fn a_path_that_names_a_version_is_kept_in_what_is_answered() {
    let library = Library::with(by_url).await;
    let old = library.get("/v1/books/1").await;
    assert_eq!(
        (old.status, &old.json()["name"]),
        (200, &json!("Emma")),
        "{old:?}"
    );

    let http = reqwest::Client::builder()
        .no_proxy()
        .redirect(Policy::none());
    let url = format!("{}/v1/loans/1/?a=b", library.cluster.gateway(0).url());
    let moved = http.build().unwrap().get(url).send().await.unwrap();
    assert_eq!(
        (moved.status().as_u16(), &moved.headers()["location"]),
        (308, &"/v1/loans/1?a=b".parse().unwrap())
    );

    let book = r#"{"name":"Ulysses","writer":"James Joyce","year":1922}"#;
    let made = library.send(Method::POST, "/v1/books", &[JSON], book).await;
    assert_eq!(made.status, 201, "{made:?}");
    let place = made.header("location").to_owned();
    assert!(place.starts_with("/v1/books/"), "{place}");
    let there = library.get(&place).await;
    assert_eq!(there.json()["writer"], "James Joyce", "{there:?}");
}

#[tokio::test]
async fn a_media_type_that_names_a_version_is_json() {
    let library = Library::with(by_url).await;
    for (accept, field) in [
        ("application/vnd.library.v1+json", "name"),
        ("application/vnd.library.v3+json;q=0.5", "title"),
        (
            "text/plain;q=0.1, application/vnd.library.v2+json;q=0.9",
            "name",
        ),
    ] {
        for path in ["/books/1", "/loans/1"] {
            let got = library
                .send(Method::GET, path, &[("accept", accept)], "")
                .await;
            assert_eq!(got.status, 200, "{accept} {path}: {got:?}");
            assert_eq!(got.header("content-type"), "application/json");
            assert_eq!(got.json()[field], "Emma", "{accept} {path}: {got:?}");
        }
    }
    // Who takes neither is told so.
    let accept = [("accept", "application/vnd.other.v1+json")];
    let got = library.send(Method::GET, "/books/1", &accept, "").await;
    assert_eq!(got.status, 406, "{got:?}");
}

#[tokio::test]
async fn a_version_that_is_off_is_named_itself() {
    let library = Library::with(by_url).await;
    let path = "/v1/functions/library/loan/disabled?version=1";
    ask(
        &library.cluster,
        Method::PUT,
        path,
        json!({"disabled": true}),
    )
    .await;
    eventually("the version is off", || async {
        Ok::<_, Error>(library.get("/v1/loans/1").await.status == 410)
    })
    .await
    .unwrap();
    let refused = library.get("/v1/loans/1").await;
    assert_eq!(refused.json()["detail"], "library.loan@1 is disabled");
    assert_eq!(library.get("/v2/loans/1").await.status, 200);
}

/// A function and a resource in three versions; each says which one it is.
fn said(url: &str) -> WorkerBuilder {
    let worker = Worker::builder("said").connect(url);
    ["1.0.0", "1.2.0", "2.0.0"]
        .into_iter()
        .fold(worker, |worker, version| {
            let resource = Resource::graph()
                .media_types(["application/json"])
                .get(with(move |_| format!("\"{version}\"")))
                .build()
                .unwrap();
            let function = Function::sync("one", move |_: Value| async move { version })
                .unchecked_args()
                .version(version)
                .idempotent()
                .route("GET /one");
            let resource = Function::resource("two", "/two", resource).version(version);
            worker.function_with(function).function_with(resource)
        })
}

/// A gateway before that worker, and what it answers to whom.
struct Said {
    cluster: Cluster,
    http: reqwest::Client,
    worker: Worker,
}

impl Said {
    async fn start(shape: fn(GatewayBuilder) -> GatewayBuilder) -> Self {
        let cluster = Cluster::start(BrokerKind::Embedded)
            .workers(0)
            .gateway(move |_, gateway| shape(operated(gateway)))
            .await
            .unwrap();
        let worker = said(&cluster.broker().url()).start().await.unwrap();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let said = Self {
            cluster,
            http,
            worker,
        };
        for path in ["/one", "/two"] {
            said.becomes(path, "2.0.0", "ann", "2.0.0").await;
        }
        said
    }

    /// The version, or the code of the error.
    async fn version(&self, path: &str, named: &str, user: &str) -> String {
        let url = format!("{}{path}", self.cluster.gateway(0).url());
        let mut request = self.http.get(url).header("x-user-id", user);
        if !named.is_empty() {
            request = request.header("sluice-version", named);
        }
        let response = request.send().await.unwrap();
        let body: Value = response.json().await.unwrap_or_default();
        let bare = body.as_str().or_else(|| body["code"].as_str());
        let text = bare.or_else(|| body["result"].as_str());
        text.unwrap_or_default().to_owned()
    }

    async fn becomes(&self, path: &str, named: &str, user: &str, expected: &str) {
        let what = format!("{path} {named:?} is {expected} for {user}");
        eventually(&what, || async {
            let got = self.version(path, named, user).await;
            match got == expected {
                true => Ok(()),
                false => Err(Error::new(got)),
            }
        })
        .await
        .unwrap();
    }

    async fn is(&self, named: &str, user: &str, expected: &str) {
        for path in ["/one", "/two"] {
            let got = self.version(path, named, user).await;
            assert_eq!(got, expected, "{path} {named:?} {user}");
        }
    }
}

#[tokio::test]
async fn ranges_and_pins_hold_at_routes() {
    let said = Said::start(|gateway| gateway).await;
    for (named, expected) in [
        ("", "2.0.0"),
        ("1.0.0", "1.0.0"),
        ("^1", "1.2.0"),
        ("~1.0", "1.0.0"),
        ("1.x", "1.2.0"),
        (">=1, <3", "2.0.0"),
        ("^3", "unknown_version"),
        ("9", "unknown_version"),
    ] {
        said.is(named, "bob", expected).await;
    }
    for (version, expected) in [("^1", "1.2.0"), ("1.0.0", "1.0.0")] {
        let pin = json!({"user": "ann", "service": "said", "version": version});
        ask(&said.cluster, Method::PUT, "/v1/pins", pin).await;
        for path in ["/one", "/two"] {
            said.becomes(path, "", "ann", expected).await;
        }
        said.is("", "bob", "2.0.0").await;
        said.is("2.0.0", "ann", "2.0.0").await;
    }
    said.worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn the_configured_version_is_that_of_routes() {
    let said = Said::start(|gateway| {
        gateway
            .option("versions", "default", "1.0.0")
            .option("versions", "unknown", "latest")
    })
    .await;
    said.is("", "bob", "1.0.0").await;
    said.is("^1", "bob", "1.2.0").await;
    said.is("9", "bob", "2.0.0").await;
    said.is("2.0.0", "bob", "2.0.0").await;
    // What is pinned for a caller goes before what is configured for all.
    let pin = json!({"user": "ann", "service": "said", "version": "^1"});
    ask(&said.cluster, Method::PUT, "/v1/pins", pin).await;
    for path in ["/one", "/two", "/api/said/one"] {
        said.becomes(path, "", "ann", "1.2.0").await;
        said.becomes(path, "", "bob", "1.0.0").await;
    }
    said.worker.shutdown().await.unwrap();
}
