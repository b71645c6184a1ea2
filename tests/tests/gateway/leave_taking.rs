//! A gateway gets SIGTERM while many clients push without a pause: each push that a client made before it could
//! know of it is answered, well or by an error that says that it may be sent again. And what clients ask of a
//! gateway that has just started is served.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use sluice_e2e::cluster::Cluster;
use sluice_e2e::nats::BrokerKind;
use sluice_e2e::socket::{EVENT, Received, Socket};
use tokio::sync::mpsc;

use crate::on_each_broker;

const SOCKETS: usize = 16;
const ROUNDS: u64 = 3;

/// What became of the pushes of one socket.
#[derive(Debug, Default)]
struct Account {
    pushed: usize,
    answers: BTreeMap<String, usize>,
    open: BTreeSet<String>,
    code: u16,
}

impl Account {
    /// The final answer of one of its calls; a second one, or one that nobody asked for, is an error.
    fn answered(&mut self, response: &Value) {
        if response["has_more"] == true {
            return;
        }
        let id = response["request_id"].as_str().unwrap();
        assert!(self.open.remove(id), "not asked for, or twice: {response}");
        let fate = match response["error_code"].as_str() {
            None => "ok".to_owned(),
            Some(code) => {
                assert_eq!(response["can_retry"], true, "{response}");
                code.to_owned()
            }
        };
        *self.answers.entry(fate).or_default() += 1;
    }
}

#[expect(
    clippy::print_stdout,
    reason = "what a run that fails is repeated with"
)]
fn tell(line: &str) {
    println!("{line}");
}

/// As Phoenix's own client: pushes while its channel is joined, never after `phx_error`; unlike an application it
/// waits for no answer before the next push, up to `most` of them.
async fn push_until_told(
    address: SocketAddr,
    socket: usize,
    mut random: StdRng,
    served: mpsc::Sender<()>,
) -> Account {
    let mut client = Socket::joined(address).await.unwrap();
    let mut account = Account::default();
    let most = random.random_range(1..=40);
    let (mut told, mut served) = (false, Some(served));
    loop {
        while !told && account.open.len() < most {
            let id = format!("{socket}-{}", account.pushed);
            let args = match random.random_range(0..10) {
                0 => ("sleep", json!({"ms": random.random_range(0..30)})),
                _ => ("echo", json!({"message": id})),
            };
            let request = json!({"request_id": id, "service": "demo", "request_type": args.0, "args": args.1});
            client.push(&request).await.unwrap();
            account.pushed += 1;
            account.open.insert(id);
        }
        match client.next().await.unwrap() {
            Received::Frame(frame) if frame.event == EVENT => {
                account.answered(&frame.payload);
                if let Some(served) = served.take() {
                    served.send(()).await.unwrap();
                }
            }
            Received::Frame(frame) => told |= frame.event == "phx_error",
            Received::Binary(_) => {}
            Received::Closed(closed) => {
                account.code = closed.code;
                return account;
            }
        }
    }
}

on_each_broker! {
    async fn no_push_is_cut_by_a_drain(kind: BrokerKind) {
        let seed = rand::random::<u64>();
        tell(&format!("seed {seed}"));
        let mut cluster = Cluster::start(kind)
            .gateway(|_, gateway| {
                gateway
                    .option("gateway", "drain_delay_ms", 50)
                    .option("phoenix", "drain_spread_ms", 400)
            })
            .await
            .unwrap();
        for round in 0..ROUNDS {
            let address = cluster.gateway(0).address();
            let (served, mut serving) = mpsc::channel(SOCKETS);
            let clients: Vec<_> = (0..SOCKETS)
                .map(|n| {
                    let random = StdRng::seed_from_u64(seed ^ (round << 32) ^ n as u64);
                    tokio::spawn(push_until_told(address, n, random, served.clone()))
                })
                .collect();
            drop(served);
            for _ in 0..SOCKETS {
                serving.recv().await.expect("a socket ended before it was served");
            }
            cluster.gateway(0).process().drain().await.unwrap();
            let mut answers = BTreeMap::<String, usize>::new();
            for client in clients {
                let account = client.await.unwrap();
                assert!(account.open.is_empty(), "seed {seed}, round {round}: cut: {account:?}");
                assert_eq!(account.code, 1012, "seed {seed}, round {round}: {account:?}");
                for (fate, count) in account.answers {
                    *answers.entry(fate).or_default() += count;
                }
            }
            tell(&format!("round {round}: {answers:?}"));
            assert!(answers["ok"] > 0, "seed {seed}, round {round}: {answers:?}");
            let codes: Vec<&str> = answers.keys().map(String::as_str).collect();
            assert!(codes.iter().all(|code| ["ok", "overloaded"].contains(code)), "seed {seed}: {answers:?}");
            cluster.gateways_mut()[0].restart().await.unwrap();
        }
    }
}

on_each_broker! {
    /// Calls that come as soon as it listens wait until it knows its workers: no error, not even one that may be
    /// sent again.
    async fn a_gateway_that_has_just_started_serves_its_first_calls(kind: BrokerKind) {
        let cluster = Cluster::start(kind).await.unwrap();
        // Not one of the cluster's: those are waited for.
        let gateway = cluster.gateway_builder(7).start().await.unwrap();
        let client = gateway.client().unwrap();
        let over_http = tokio::spawn(async move {
            assert_eq!(client.status_of("/health/live").await.unwrap(), 200);
            client.call("demo", "echo", json!({"message": "first"})).await.unwrap()
        });
        let mut socket = Socket::joined(gateway.address()).await.unwrap();
        let response = socket.call("echo", json!({"message": "first"})).await.unwrap();
        assert_eq!(response["result"], json!({"message": "first"}), "{response}");
        let (status, envelope) = over_http.await.unwrap();
        assert_eq!((status, envelope.result), (200, json!({"message": "first"})));
        assert!(gateway.is_ready().await);
    }
}
