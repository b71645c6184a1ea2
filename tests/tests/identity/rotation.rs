//! Key sets from a server of its own, which changes them and goes away.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use jsonwebtoken::Algorithm;
use serde_json::json;
use sluice_e2e::cluster::Cluster;
use sluice_e2e::http::Client;
use sluice_e2e::nats::BrokerKind;
use sluice_e2e::ports::Port;
use sluice_e2e::process::Process;
use sluice_e2e::{Error, eventually};
use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::keys::{Pair, set};

/// A web server with a key set, on a port that it keeps.
struct Server {
    port: Port,
    folder: TempDir,
    process: Process,
}

impl Server {
    async fn start(pairs: &[&Pair]) -> Self {
        let (port, folder) = (Port::lease().unwrap(), TempDir::new().unwrap());
        let process = launch(port.address(), folder.path()).await;
        let server = Self {
            port,
            folder,
            process,
        };
        server.serve(pairs);
        server
    }

    /// From now on it has these keys.
    fn serve(&self, pairs: &[&Pair]) {
        let (new, path) = (
            self.folder.path().join("new"),
            self.folder.path().join("jwks.json"),
        );
        std::fs::write(&new, set(pairs)).unwrap();
        // At once: nobody reads half of it.
        std::fs::rename(new, path).unwrap();
    }

    fn url(&self) -> String {
        format!("http://{}/jwks.json", self.port.address())
    }

    /// How often it was asked.
    fn asked(&self) -> usize {
        let log = self.process.log();
        log.count(|line| line.contains("GET /jwks.json"))
    }
}

async fn launch(address: SocketAddr, folder: &Path) -> Process {
    let mut command = Command::new("python3");
    command
        .args(["-u", "-m", "http.server", &address.port().to_string()])
        .args(["--bind", "127.0.0.1", "--directory"])
        .arg(folder);
    let process = Process::spawn("a server of keys", command).unwrap();
    eventually("the server listens", || async {
        let connected = TcpStream::connect(address).await;
        connected
            .map(drop)
            .map_err(|e| Error::because("connect", e))
    })
    .await
    .unwrap();
    process
}

/// A gateway that asks for keys again after so long at the earliest.
async fn cluster(server: &Server, cooldown_ms: u64) -> Cluster {
    let url = server.url();
    Cluster::start(BrokerKind::Embedded)
        .gateway(move |_, g| {
            g.option("identity", "trust_client_identity", false)
                .option("jwt", "audiences", vec!["sluice"])
                .option("jwt", "jwks_url", url.as_str())
                .option("jwt", "jwks_cooldown_ms", cooldown_ms)
                .option("jwt", "jwks_timeout_ms", 20_000)
                .option("limits", "refused_per_minute", 0)
        })
        .await
        .unwrap()
}

async fn status(cluster: &Cluster, token: &str) -> u16 {
    status_for(&bearer(cluster, token)).await
}

fn bearer(cluster: &Cluster, token: &str) -> Client {
    let client = cluster.gateway(0).client().unwrap();
    client.header("authorization", &format!("Bearer {token}"))
}

async fn status_for(client: &Client) -> u16 {
    client.call("demo", "whoami", json!({})).await.unwrap().0
}

#[tokio::test]
async fn a_new_key_is_fetched_when_it_is_first_seen_and_the_old_one_goes() {
    let old = Pair::elliptic("old", Algorithm::ES256);
    let new = Pair::edwards("new");
    let server = Server::start(&[&old]).await;
    let cluster = cluster(&server, 100).await;
    let by_old = old.token(Algorithm::ES256, "ann", true);
    let by_new = new.token(Algorithm::EdDSA, "ann", true);
    assert_eq!(status(&cluster, &by_old).await, 200);
    server.serve(&[&new]);
    // Who shows it waits for the fetch; the cooldown of the start may not be over yet.
    eventually("the new key counts", || async {
        match status(&cluster, &by_new).await {
            200 => Ok(()),
            status => Err(Error::new(format!("{status}"))),
        }
    })
    .await
    .unwrap();
    assert_eq!(
        status(&cluster, &by_old).await,
        401,
        "withdrawn, though it was verified before"
    );
}

#[tokio::test]
async fn invented_keys_cause_one_fetch_and_no_more() {
    let known = Pair::elliptic("known", Algorithm::ES256);
    let server = Server::start(&[&known]).await;
    // Longer than any test: after the first fetch there is none.
    let cluster = cluster(&server, 600_000).await;
    let good = known.token(Algorithm::ES256, "ann", true);
    eventually("the set is there", || async {
        match status(&cluster, &good).await {
            200 => Ok(()),
            status => Err(Error::new(format!("{status}"))),
        }
    })
    .await
    .unwrap();
    let before = server.asked();
    let stranger = Pair::elliptic("invented", Algorithm::ES256);
    let forged = stranger.token(Algorithm::ES256, "root", true);
    // One for all: to make a client takes long enough for the first connections to be given up.
    let client = bearer(&cluster, &forged);
    let tries = (0..200).map(|_| status_for(&client));
    for found in futures_util::future::join_all(tries).await {
        assert_eq!(found, 401);
    }
    assert_eq!(status(&cluster, &good).await, 200);
    assert_eq!(server.asked(), before);
}

#[tokio::test]
async fn keys_that_are_known_go_on_while_the_server_is_away() {
    let known = Pair::elliptic("known", Algorithm::ES256);
    let later = Pair::elliptic("later", Algorithm::ES384);
    let mut server = Server::start(&[&known]).await;
    let cluster = cluster(&server, 100).await;
    let good = known.token(Algorithm::ES256, "ann", true);
    assert_eq!(status(&cluster, &good).await, 200);
    server.process.kill9().unwrap();
    server.process.wait_exit().await.unwrap();
    let by_later = later.token(Algorithm::ES384, "ann", true);
    assert_eq!(status(&cluster, &by_later).await, 401);
    cluster
        .gateway(0)
        .process()
        .wait_line("a line that the set cannot be fetched", |line| {
            line.contains("cannot fetch keys: the former ones go on")
        })
        .await
        .unwrap();
    // Another token by the known key: verified, not remembered.
    let another = known.token(Algorithm::ES256, "bob", true);
    assert_eq!(status(&cluster, &another).await, 200);
    server.serve(&[&known, &later]);
    server.process = launch(server.port.address(), server.folder.path()).await;
    eventually("it is fetched when it is there again", || async {
        match status(&cluster, &by_later).await {
            200 => Ok(()),
            status => Err(Error::new(format!("{status}"))),
        }
    })
    .await
    .unwrap();
}
