//! Tokens of sockets.

use serde_json::json;
use sluice_e2e::socket::{Socket, TOPIC};

use crate::{KEY, cluster, token};

async fn join(socket: &mut Socket, params: serde_json::Value) -> serde_json::Value {
    let reference = socket.push_event(TOPIC, "phx_join", &params).await.unwrap();
    socket.reply(reference).await.unwrap().payload
}

#[tokio::test]
async fn a_join_with_a_credential_speaks_for_its_bearer() {
    let cluster = cluster().await;
    let address = cluster.gateway(0).address();
    for (params, user) in [
        (json!({"token": token("ann", 600)}), "ann"),
        (json!({"api_key": KEY}), "robot"),
    ] {
        let mut socket = Socket::connect(address).await.unwrap();
        assert_eq!(join(&mut socket, params).await["status"], "ok");
        let response = socket.call("whoami", json!({})).await.unwrap();
        assert_eq!(response["result"]["user_id"], user, "{response}");
    }
    let mut socket = Socket::connect(address).await.unwrap();
    let reply = join(&mut socket, json!({"token": token("ann", -5)})).await;
    assert_eq!(reply["status"], "error");
    assert!(
        reply["response"]["reason"]
            .as_str()
            .unwrap()
            .contains("expired"),
        "{reply}"
    );
}

#[tokio::test]
async fn an_expired_token_closes_its_socket() {
    let cluster = cluster().await;
    let mut socket = Socket::connect(cluster.gateway(0).address()).await.unwrap();
    assert_eq!(
        join(&mut socket, json!({"token": token("ann", 4)})).await["status"],
        "ok"
    );
    let renewal = json!({"token": token("ann", 5)});
    let reference = socket
        .push_event(TOPIC, "renew_token", &renewal)
        .await
        .unwrap();
    assert_eq!(
        socket.reply(reference).await.unwrap().payload["status"],
        "ok"
    );
    let (closed, frames) = socket.closed().await.unwrap();
    assert_eq!(
        (closed.code, closed.reason.as_str()),
        (4001, "token expired")
    );
    let events: Vec<_> = frames.iter().map(|f| f.event.as_str()).collect();
    assert_eq!(events, ["token_expired", "phx_error"]);
}
