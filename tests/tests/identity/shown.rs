//! Where a socket may show its credential, and keys as the command makes them.

use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use sluice_e2e::cluster::Cluster;
use sluice_e2e::nats::BrokerKind;
use sluice_e2e::socket::Socket;
use sluice_e2e::{Result, binaries};

use crate::{KEY, cluster, token};

async fn whoami(socket: Result<Socket>) -> std::result::Result<String, String> {
    let mut socket = socket.map_err(|error| error.to_string())?;
    socket.join().await.unwrap();
    let response = socket.call("whoami", json!({})).await.unwrap();
    let user = response["result"]["user_id"].as_str();
    Ok(user.unwrap_or("nobody").to_owned())
}

#[tokio::test]
async fn sub_protocols_and_the_query_carry_credentials() {
    let cluster = cluster().await;
    let address = cluster.gateway(0).address();
    let ann = token("ann", 600);
    let old = token("ann", -60);
    let in_protocol = |token: &str| {
        let encoded = URL_SAFE_NO_PAD.encode(token);
        format!("phoenix, base64url.bearer.phx.{encoded}")
    };
    let connect = async |query: &str, protocols: Option<&str>| {
        whoami(Socket::connect_with(address, query, protocols).await).await
    };
    let plain = Some("phoenix");
    assert_eq!(connect("", plain).await.unwrap(), "nobody");
    assert_eq!(
        connect("", Some(&in_protocol(&ann))).await.unwrap(),
        "ann",
        "what authToken of the npm package sends"
    );
    let by_query = format!("&token={ann}");
    assert_eq!(connect(&by_query, plain).await.unwrap(), "ann");
    let by_key = format!("&api_key={KEY}");
    assert_eq!(connect(&by_key, None).await.unwrap(), "robot");
    for (query, protocols) in [
        (String::new(), in_protocol(&old)),
        (String::new(), in_protocol("garbage")),
        (String::new(), "phoenix, base64url.bearer.phx.!!".to_owned()),
        (format!("&token={old}"), "phoenix".to_owned()),
        ("&api_key=sk_wrong".to_owned(), "phoenix".to_owned()),
        // Two that differ.
        (by_key.clone(), in_protocol(&ann)),
    ] {
        let refused = connect(&query, Some(&protocols)).await.unwrap_err();
        assert!(refused.contains("401"), "{query} {protocols}: {refused}");
    }
}

#[tokio::test]
async fn what_api_key_new_prints_works_in_a_configuration() {
    let output = Command::new(binaries::ours("sluice").unwrap())
        .args(["api-key", "new", "--id", "billing", "--user", "billing\"s"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let (first, config) = text.split_once("\n\n").unwrap();
    let (_, key) = first.rsplit_once(' ').unwrap();
    let config = config.to_owned();
    let cluster = Cluster::start(BrokerKind::Embedded)
        .gateway(move |_, g| {
            g.option("identity", "trust_client_identity", false)
                .toml(&config)
        })
        .await
        .unwrap();
    let client = cluster.gateway(0).client().unwrap();
    let client = client.header("x-api-key", key);
    let (status, answer) = client.call("demo", "whoami", json!({})).await.unwrap();
    assert_eq!(status, 200, "{answer:?}");
    assert_eq!(answer.result["user_id"], "billing\"s");
    let query = format!("&api_key={key}");
    let socket = Socket::connect_with(cluster.gateway(0).address(), &query, None);
    assert_eq!(whoami(socket.await).await.unwrap(), "billing\"s");
}
