//! Clients that dawdle, speak something else, or were there before the certificate changed.

use std::time::Duration;

use serde_json::json;
use sluice_e2e::{Error, LIMIT, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Installation, connect};

/// All that a connection gets until its end; a reset is an end, too.
async fn until_closed(stream: &mut (impl AsyncReadExt + Unpin)) -> Vec<u8> {
    let mut got = Vec::new();
    let read = timeout(LIMIT, stream.read_to_end(&mut got)).await;
    let _ = read.expect("the connection is closed within the limit");
    got
}

#[tokio::test]
async fn silent_and_half_handshakes_are_closed() {
    let it = Installation::start(&[("header_timeout_ms", json!(1000))]).await;
    let address = it.gateway.address();
    let mut silent = TcpStream::connect(address).await.unwrap();
    assert_eq!(until_closed(&mut silent).await, b"");
    // The beginning of a handshake's record, which never ends.
    let mut half = TcpStream::connect(address).await.unwrap();
    half.write_all(b"\x16\x03\x01\x02\x00\x01").await.unwrap();
    assert_eq!(until_closed(&mut half).await, b"");
    // Shaken hands, and then no request.
    let mut idle = connect(address, &it.certificates, None).await.unwrap();
    assert_eq!(until_closed(&mut idle).await, b"");
    super::is_served(&it.gateway).await;
}

#[tokio::test]
async fn plain_http_on_the_tls_port_is_told_so() {
    let it = Installation::start(&[]).await;
    let plain = format!("http://{}", it.gateway.address());
    let client = sluice_e2e::http::Client::new(plain).unwrap();
    let long = "x".repeat(40_000);
    for request in [client.get("/health/live"), client.get("/").body(long)] {
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 400);
        let text = answer.text().await.unwrap();
        assert!(text.contains("use https:// or wss://"), "{text}");
    }
    // What is neither gets a TLS alert, and an end.
    let mut noise = TcpStream::connect(it.gateway.address()).await.unwrap();
    noise.write_all(&[0; 64]).await.unwrap();
    let got = until_closed(&mut noise).await;
    assert!(got.is_empty() || got[0] == 21, "{got:?}");
    super::is_served(&it.gateway).await;
}

/// The number under which the server's certificate was issued is as good as its bytes.
async fn served(it: &Installation) -> Vec<u8> {
    let stream = connect(it.gateway.address(), &it.certificates, None).await;
    let stream = stream.unwrap();
    let shown = stream.get_ref().1.peer_certificates().unwrap();
    shown[0].to_vec()
}

#[tokio::test]
async fn a_replaced_certificate_is_served_without_a_restart() {
    let it = Installation::start(&[]).await;
    let old = served(&it).await;
    let mut early = connect(it.gateway.address(), &it.certificates, None)
        .await
        .unwrap();
    it.certificates.renew_server().unwrap();
    eventually("the new certificate is served", || async {
        Ok::<_, Error>(served(&it).await != old)
    })
    .await
    .unwrap();
    // A connection keeps what it began with.
    let request = b"GET /health/live HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n";
    early.write_all(request).await.unwrap();
    let got = until_closed(&mut early).await;
    assert!(
        got.starts_with(b"HTTP/1.1 200 "),
        "{:?}",
        String::from_utf8_lossy(&got)
    );

    // A pair that does not fit is told of, and changes nothing.
    let new = served(&it).await;
    let key = it.certificates.read("client.key").unwrap();
    it.certificates.write("server.key", &key).unwrap();
    let told = |line: &str| line.contains("the TLS certificate stays as it was");
    let limit = Duration::from_secs(60);
    let process = it.gateway.process();
    process
        .wait_line_within(limit, "a warning", told)
        .await
        .unwrap();
    assert_eq!(served(&it).await, new);
}
