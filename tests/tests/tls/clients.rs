//! `http.tls_client_ca_file`: who shows no certificate of this authority does not get in.

use serde_json::json;
use sluice_e2e::certificates::Certificates;
use sluice_e2e::gateway::Gateway;
use sluice_e2e::socket::Socket;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Installation, connect};

const REQUEST: &[u8] = b"GET /health/live HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n";

/// What a request gets; in TLS 1.3 a client learns only when it reads that it was refused.
async fn ask(gateway: &Gateway, trusted: &Certificates, shown: Option<&str>) -> String {
    let Ok(mut stream) = connect(gateway.address(), trusted, shown).await else {
        return String::new();
    };
    let mut answer = Vec::new();
    let _ = stream.write_all(REQUEST).await;
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn only_clients_with_a_certificate_get_in() {
    let authority = Certificates::new().unwrap();
    let stranger = Certificates::new().unwrap();
    // The server's own authority is one, and that of clients another.
    let ca = authority.text("ca.pem");
    let it = {
        let certificates = std::sync::Arc::new(Certificates::new().unwrap());
        let broker = sluice_e2e::nats::Broker::start(sluice_e2e::nats::BrokerKind::Embedded);
        let broker = broker.await.unwrap();
        let gateway = Gateway::builder(broker.url()).tls(&certificates).option(
            "http",
            "tls_client_ca_file",
            ca,
        );
        (gateway.start().await.unwrap(), certificates, broker)
    };
    let (gateway, server, _broker) = it;
    // Trusts the server and shows what the clients' authority, or a stranger's, has issued.
    for (name, from) in [("known", &authority), ("unknown", &stranger)] {
        for kind in ["pem", "key"] {
            let text = from.read(&format!("client.{kind}")).unwrap();
            server.write(&format!("{name}.{kind}"), &text).unwrap();
        }
    }
    assert_eq!(ask(&gateway, &server, None).await, "");
    assert_eq!(ask(&gateway, &server, Some("unknown")).await, "");
    // Issued by the authority that the server's certificate is of: that is not the clients'.
    assert_eq!(ask(&gateway, &server, Some("client")).await, "");
    let answer = ask(&gateway, &server, Some("known")).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn calls_and_sockets_with_client_certificates() {
    // Here one authority issues both; `Installation`'s own client shows its certificate.
    let folder = Certificates::new().unwrap();
    let it = Installation::start(&[("header_timeout_ms", json!(5000))]).await;
    drop(folder);
    let ca = it.certificates.text("ca.pem");
    let broker = sluice_e2e::nats::Broker::start(sluice_e2e::nats::BrokerKind::Embedded);
    let broker = broker.await.unwrap();
    let gateway = Gateway::builder(broker.url()).tls(&it.certificates).option(
        "http",
        "tls_client_ca_file",
        ca,
    );
    let gateway = gateway.start().await.unwrap();
    let _worker = sluice_e2e::worker::Worker::builder(broker.url())
        .start()
        .unwrap();
    gateway.wait_ready().await.unwrap();
    super::is_served(&gateway).await;
    let wire = connect(gateway.address(), &it.certificates, Some("client")).await;
    let url = format!("wss://{}/socket/websocket?vsn=2.0.0", gateway.address());
    let mut socket = Socket::over(wire.unwrap(), url.as_str()).await.unwrap();
    socket.join().await.unwrap();
    let answer = socket.call("add", json!({"a": 1, "b": 2})).await.unwrap();
    assert_eq!(answer["result"], json!({"sum": 3}));
}
