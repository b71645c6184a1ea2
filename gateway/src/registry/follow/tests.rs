//! The follower over real brokers: nats-server, and the embedded one.

mod server;
mod worker;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sluice_protocol::Subjects;
use sluice_protocol::registry::{InstanceState, Message, config_hash};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use self::server::Server;
use self::worker::Worker;
use super::{FollowError, Follower};
use crate::config::{Nats, RegistryOptions};
use crate::dispatch::nats::connect;
use crate::health::Health;
use crate::overrides::{Decision, Entry, FunctionKey, Key, Overrides};
use crate::registry::refused::RefusedFilter;
use crate::registry::snapshot::Snapshot;
use crate::registry::testing::{config_text, function_name, parse, service};
use crate::registry::{Registry, RegistryStopped, Settings};

const LIMIT: Duration = Duration::from_secs(60);

async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + LIMIT;
    while !holds() {
        assert!(Instant::now() < end, "not within {LIMIT:?}: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// A gateway's registry, following.
struct Gateway {
    registry: Arc<Registry>,
    health: Arc<Health>,
    client: async_nats::Client,
    stop: CancellationToken,
    task: AbortOnDropHandle<Result<(), FollowError>>,
}

impl Gateway {
    async fn start(url: &str, id: &str, secret: Option<&str>) -> Self {
        let secrets = secret.map(|s| ("users".to_owned(), s.to_owned()));
        let settings = Settings {
            gateway: id.into(),
            subjects: Subjects::default(),
            options: RegistryOptions {
                open: secret.is_none(),
                secrets: secrets.into_iter().collect(),
                ..RegistryOptions::default()
            },
            functions: Vec::new(),
            taken: std::sync::Arc::new(|_| None),
        };
        let (registry, follower): (_, Follower) =
            Registry::with_parser(settings, Box::new(parse)).unwrap();
        let nats = Nats {
            url: url.into(),
            ..Nats::default()
        };
        let connection = connect(&nats, id).await.unwrap();
        let health = Arc::new(Health::default());
        let stop = CancellationToken::new();
        let client = connection.client.clone();
        let run = follower.run(
            connection.client,
            connection.state,
            health.clone(),
            stop.clone(),
        );
        Self {
            registry,
            health,
            client,
            stop,
            task: AbortOnDropHandle::new(tokio::spawn(run)),
        }
    }

    async fn ready(&self) {
        eventually("ready", || self.health.is_ready()).await;
    }

    async fn until(&self, what: &str, wanted: impl FnMut(&Snapshot) -> bool) {
        let found = timeout(LIMIT, self.registry.wait_for(wanted)).await;
        assert!(found.is_ok(), "not within {LIMIT:?}: {what}");
    }

    /// Stops, and returns its registry.
    async fn stop(self) -> Arc<Registry> {
        self.stop.cancel();
        timeout(LIMIT, self.task).await.unwrap().unwrap().unwrap();
        self.registry
    }
}

fn live(snapshot: &Snapshot) -> usize {
    let get = snapshot.resolve("users", "get", None);
    get.map_or(0, |f| f.variants.iter().map(|v| v.instances.len()).sum())
}

async fn life_of_a_worker(mut server: Server) {
    let url = server.url();
    let text = config_text(&["get"], "");
    let first = Gateway::start(&url, "gw-1", None).await;
    first.ready().await;
    assert!(first.health.broker_connected());

    let (worker, _listening) = Worker::start(&url, "w", &text, None).await;
    let accepted = Message::Accepted {
        gateway: "gw-1".into(),
        config_hash: config_hash(&text),
    };
    assert_eq!(worker.announce().await, accepted);
    worker.beat().await;
    first
        .until("the worker takes calls", |s| live(s) == 1)
        .await;
    assert_eq!(
        worker.pulls.load(Ordering::SeqCst),
        0,
        "it had told its config"
    );

    // A gateway that starts later finds it, and is ready only then.
    let second = Gateway::start(&url, "gw-2", None).await;
    second.ready().await;
    second.until("found", |s| live(s) == 1).await;
    assert_eq!(worker.pulls.load(Ordering::SeqCst), 1);
    for gateway in [&first, &second] {
        eventually("both gateways are counted", || {
            gateway.registry.live_gateways() == 2
        })
        .await;
    }

    let bad = r#"{"functions":[{"request_type":"x","bad":1}]}"#;
    let (wrong, _listening) = Worker::start(&url, "wrong", bad, None).await;
    let Message::Refused { reasons, .. } = wrong.announce().await else {
        panic!("not refused");
    };
    assert_eq!(reasons[0].to_string(), "x: is bad");
    let refused = first.registry.refused(RefusedFilter::default());
    assert_eq!(refused.await.unwrap()[0].instance.as_deref(), Some("wrong"));
    let all = RefusedFilter::default();
    assert_eq!(first.registry.clear_refused(all).await, Ok(1));

    let (users, get) = (service("users"), function_name("get"));
    let key = Key::Disabled(FunctionKey {
        service: users.clone(),
        function: get.clone(),
        version: None,
    });
    let overrides = Overrides::of([Entry::new(Decision::Flag(key), "test", 0)]);
    let set = first.registry.set_overrides(Arc::new(overrides));
    assert_eq!(set.await, Ok(()));
    let disabled = |r: &Registry| r.snapshot().resolve("users", "get", None).unwrap().disabled;
    assert!(disabled(&first.registry), "in force when it returns");
    assert!(!disabled(&second.registry));

    // The broker restarts: nothing is forgotten.
    server.down().await;
    for gateway in [&first, &second] {
        eventually("the broker is away", || !gateway.health.broker_connected()).await;
        assert!(gateway.health.is_ready(), "ready is a latch");
        assert_eq!(live(&gateway.registry.snapshot()), 1);
    }
    server.up().await;
    for gateway in [&first, &second] {
        eventually("the broker is back", || gateway.health.broker_connected()).await;
    }
    assert!(disabled(&first.registry), "an operator's switch stays");

    // Each connection comes back in its own time, so the worker says it until all have heard.
    for gateway in [&first, &second] {
        let left = gateway.registry.wait_for(|s| live(s) == 0);
        tokio::select! {
            () = left => {}
            () = worker.keep_leaving() => panic!("nobody heard that the worker left"),
        }
        let status = gateway.registry.services().await.unwrap();
        let instance = &status.services[0].instances[0];
        assert_eq!(instance.state, InstanceState::Draining, "left, not expired");
        assert_eq!(status.services[0].functions[0].live_instances, 0);
    }

    let gone = second.stop().await;
    assert_eq!(gone.services().await, Err(RegistryStopped));
    eventually("the other gateway is gone", || {
        first.registry.live_gateways() == 1
    })
    .await;
    first.stop().await;
}

#[tokio::test]
async fn a_worker_comes_is_found_and_leaves_over_nats_server() {
    if let Some(server) = Server::nats().await {
        life_of_a_worker(server).await;
    }
}

#[tokio::test]
async fn a_worker_comes_is_found_and_leaves_over_the_embedded_broker() {
    life_of_a_worker(Server::embedded().await).await;
}

#[tokio::test]
async fn each_new_connection_asks_all_workers_anew() {
    let server = Server::embedded().await;
    let text = config_text(&["get"], "");
    let gateway = Gateway::start(&server.url(), "gw", None).await;
    gateway.ready().await;
    // It listens and never speaks by itself.
    let (worker, _listening) = Worker::start(&server.url(), "w", &text, None).await;
    assert_eq!(live(&gateway.registry.snapshot()), 0);
    gateway.client.force_reconnect().await.unwrap();
    gateway.until("found", |s| live(s) == 1).await;
    assert_eq!(worker.discovers.load(Ordering::SeqCst), 1);
    assert_eq!(worker.pulls.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn signatures_travel_in_headers() {
    let server = Server::embedded().await;
    let text = config_text(&["get"], "");
    let gateway = Gateway::start(&server.url(), "gw", Some("s3cret")).await;
    gateway.ready().await;
    let other = config_text(&["get"], "a stranger's");
    let (stranger, _listening) = Worker::start(&server.url(), "x", &other, Some("wrong")).await;
    let Message::Refused { reasons, .. } = stranger.announce().await else {
        panic!("not refused");
    };
    assert!(reasons[0].message.contains("signature"), "{reasons:?}");
    let (worker, _listening) = Worker::start(&server.url(), "w", &text, Some("s3cret")).await;
    assert!(matches!(worker.announce().await, Message::Accepted { .. }));
    worker.beat().await;
    gateway.until("it takes calls", |s| live(s) == 1).await;

    // Both answer a gateway that starts later; it believes one, and pulls from that alone.
    let later = Gateway::start(&server.url(), "later", Some("s3cret")).await;
    later.until("found", |s| live(s) == 1).await;
    let mut changes = later.registry.changes();
    let denied = async {
        loop {
            let status = later.registry.services().await.unwrap();
            if let Some(count) = status.denied_messages.get("signature") {
                return *count;
            }
            changes.changed().await.unwrap();
        }
    };
    assert_eq!(timeout(LIMIT, denied).await, Ok(1));
    assert_eq!(stranger.pulls.load(Ordering::SeqCst), 0);
    assert_eq!(worker.pulls.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_gateway_is_not_ready_before_the_broker_is_there() {
    let mut server = Server::embedded().await;
    server.down().await;
    let gateway = Gateway::start(&server.url(), "gw", None).await;
    let status = gateway.registry.services().await.unwrap();
    assert!(
        status.services.is_empty(),
        "operators are answered all the same"
    );
    assert!(!gateway.health.is_ready());
    server.up().await;
    gateway.ready().await;
    gateway.stop().await;
}
