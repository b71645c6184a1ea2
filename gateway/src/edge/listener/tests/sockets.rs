//! Listeners and protocols, over real sockets.

use std::io::ErrorKind;
use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use super::super::{bind_shards, run};
use super::*;
use crate::edge::fake::next_open;

fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

/// Serves `rig` until the test ends.
fn serve(rig: Rig) -> SocketAddr {
    let listener = bind_shards(loopback(), 1).unwrap().remove(0);
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { run(listener, rig.edge, CancellationToken::new()).await });
    address
}

#[test]
fn shards_share_a_port_and_nobody_else_does() {
    for count in [1, 3] {
        let listeners = bind_shards(loopback(), count).unwrap();
        assert_eq!(listeners.len(), count);
        let address = listeners[0].local_addr().unwrap();
        assert_ne!(address.port(), 0);
        assert!(listeners.iter().all(|l| l.local_addr().unwrap() == address));
        for other in [1, 2] {
            let error = bind_shards(address, other).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::AddrInUse);
        }
        drop(listeners);
        bind_shards(address, count).unwrap();
    }
}

#[tokio::test]
async fn requests_share_a_connection() {
    let address = serve(Rig::new());
    let mut client = Client::over(TcpStream::connect(address).await.unwrap());
    // Pipelined: answered in order.
    for n in 0..5 {
        client.post("echo", &format!("{{\"n\":{n}}}")).await;
    }
    for n in 0..5 {
        let reply = client.reply().await;
        assert_eq!(
            (reply.status, &reply.envelope()["result"]["n"]),
            (200, &n.into())
        );
    }
    client
        .send("HEAD /api/s/echo HTTP/1.1\r\nhost: h\r\n\r\n")
        .await;
    let head = client.until("\r\n\r\n").await;
    assert!(
        head.contains("200 OK") && head.contains("content-length: "),
        "{head}"
    );
    client.buffer.clear();
    client
        .send("GET /health/live HTTP/1.1\r\nhost: h\r\n\r\n")
        .await;
    assert_eq!(client.reply().await.body, r#"{"status":"live"}"#);
}

#[tokio::test]
async fn http_2_is_spoken_without_tls_too() {
    let mut rig = Rig::new();
    let opened = &mut std::mem::replace(&mut rig.open, tokio::sync::mpsc::unbounded_channel().1);
    let address = serve(rig);
    let stream = TcpStream::connect(address).await.unwrap();
    let client = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (mut client, connection) = client.await.unwrap();
    tokio::spawn(connection);
    let mut post = |function: &str| {
        let request = http::Request::post(format!("http://h/api/s/{function}"))
            .header("content-type", "application/json");
        client.send_request(request.body(Full::new(Bytes::from("{\"n\":1}"))).unwrap())
    };
    let (echo, items) = tokio::join!(post("echo"), post("items"));
    let body = echo
        .unwrap()
        .into_body()
        .collect()
        .await
        .unwrap()
        .to_bytes();
    let envelope: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(envelope["result"]["n"], 1);
    let far = next_open(opened).await;
    drop(items);
    within("a reset stream cancels its call", far.cancelled.cancelled()).await;
}

#[tokio::test]
async fn more_connections_than_allowed_wait() {
    let rig = Rig::with(|c| c.http.max_connections = 1);
    let capacity = rig.capacity.clone();
    let address = serve(rig);
    let mut first = Client::over(TcpStream::connect(address).await.unwrap());
    first.post("echo", "{}").await;
    assert_eq!(first.reply().await.status, 200);
    let mut second = Client::over(TcpStream::connect(address).await.unwrap());
    second.post("echo", "{}").await;
    assert_eq!(capacity.connections.available_permits(), 0);
    drop(first);
    assert_eq!(second.reply().await.status, 200);
}
