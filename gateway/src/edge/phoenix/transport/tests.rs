//! On real connections of loopback.

use std::convert::Infallible;
use std::future::Future;
use std::time::Duration;

use futures_util::{FutureExt, SinkExt, StreamExt};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioExecutor;
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::*;

const TEXT: u8 = 0x81;
/// The first frame of a text, and its last.
const BEGINS: u8 = 0x01;
const ENDS: u8 = 0x80;
const PING: u8 = 0x89;

/// A frame with a mask of zeros.
fn frame(first: u8, payload: &str) -> Vec<u8> {
    let length = payload.len();
    let head = match length {
        0..126 => vec![0x80 | length as u8],
        126..0x1_0000 => [&[0xfe], &(length as u16).to_be_bytes()[..]].concat(),
        _ => [&[0xff], &(length as u64).to_be_bytes()[..]].concat(),
    };
    [&[first], &head[..], &[0; 4], payload.as_bytes()].concat()
}

async fn connection() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (client, server) = tokio::join!(TcpStream::connect(address), listener.accept());
    let client = client.unwrap();
    client.set_nodelay(true).unwrap();
    (client, server.unwrap().0)
}

async fn pair() -> (TcpStream, ClientSocket) {
    let (client, server) = connection().await;
    let (io, config) = (Either::Left(server), WebSocketConfig::default());
    (client, ClientSocket::over(io, Bytes::new(), config).await)
}

async fn in_time<T>(what: impl Future<Output = T>) -> T {
    let limit = Duration::from_secs(60);
    tokio::time::timeout(limit, what).await.expect("it hangs")
}

async fn text(socket: &mut ClientSocket) -> String {
    loop {
        match in_time(socket.next()).await.unwrap().unwrap() {
            Message::Text(text) => return text.to_string(),
            other => assert!(other.is_ping(), "{other:?}"),
        }
    }
}

fn reads(socket: &ClientSocket) -> usize {
    socket.socket.get_ref().reads
}

#[tokio::test]
async fn where_all_was_given_the_connection_alone_is_asked() {
    let (mut client, mut socket) = pair().await;
    for n in 0..3 {
        client.write_all(&frame(TEXT, "a")).await.unwrap();
        assert_eq!(text(&mut socket).await, "a");
        assert!(socket.drained, "message {n}");
        let before = reads(&socket);
        assert!(socket.next().now_or_never().is_none());
        assert_eq!(reads(&socket), before, "message {n}");
    }
    let two = [frame(TEXT, "b"), frame(TEXT, "c")].concat();
    client.write_all(&two).await.unwrap();
    assert_eq!(text(&mut socket).await, "b");
    assert!(!socket.drained, "another one is there");
    assert_eq!(text(&mut socket).await, "c");
    assert!(socket.drained);
}

#[tokio::test]
async fn until_a_pong_is_written_the_protocol_is_asked() {
    let (mut client, mut socket) = pair().await;
    let both = [frame(PING, "p"), frame(TEXT, "a")].concat();
    client.write_all(&both).await.unwrap();
    assert_eq!(text(&mut socket).await, "a");
    assert!(!socket.drained);
    assert!(socket.next().now_or_never().is_none());
    socket.flush().await.unwrap();
    let mut pong = [0; 3];
    in_time(client.read_exact(&mut pong)).await.unwrap();
    assert_eq!(pong, [0x8a, 1, b'p']);
    client.write_all(&frame(TEXT, "b")).await.unwrap();
    assert_eq!(text(&mut socket).await, "b");
    assert!(socket.drained);
}

#[tokio::test]
async fn whoever_waits_hears_of_the_end() {
    for half in [false, true] {
        let (mut client, mut socket) = pair().await;
        client.write_all(&frame(TEXT, "a")).await.unwrap();
        assert_eq!(text(&mut socket).await, "a");
        assert!(socket.drained);
        let waiting = tokio::spawn(async move { socket.next().await });
        tokio::task::yield_now().await;
        let client = if half {
            client.shutdown().await.unwrap();
            Some(client)
        } else {
            drop(client);
            None
        };
        let last = in_time(waiting).await.unwrap();
        assert!(last.is_none_or(|last| last.is_err()));
        drop(client);
    }
}

#[tokio::test]
async fn nothing_is_left_lying_however_it_comes() {
    let sizes = [0, 125, 126, 0xffff, 0x1_0000].map(|size| "x".repeat(size));
    let plain: Vec<_> = sizes.iter().map(|text| frame(TEXT, text)).collect();
    // A length of one byte, in eight.
    let long_head = [&[TEXT, 0xff, 0, 0, 0, 0, 0, 0, 0, 1], &[0; 4][..], b"l"].concat();
    let fragments = [frame(BEGINS, "fi"), frame(ENDS, "rst")].concat();
    let with_ping = [frame(BEGINS, "fi"), frame(PING, "p"), frame(ENDS, "rst")].concat();
    let sized: Vec<&str> = sizes.iter().map(String::as_str).collect();
    for (frames, texts) in [
        (plain, sized),
        (vec![frame(TEXT, "a"); 40], vec!["a"; 40]),
        (vec![frame(TEXT, "a"), frame(TEXT, "b")], vec!["a", "b"]),
        (
            vec![frame(PING, "p"), frame(TEXT, "a"), frame(TEXT, "b")],
            vec!["a", "b"],
        ),
        (vec![fragments, frame(TEXT, "b")], vec!["first", "b"]),
        (vec![with_ping, frame(TEXT, "b")], vec!["first", "b"]),
        (
            vec![long_head, frame(TEXT, "b"), frame(TEXT, "c")],
            vec!["l", "b", "c"],
        ),
    ] {
        let bytes = frames.concat();
        for size in (1..20).chain([100, 4000, bytes.len()]) {
            // Large ones are not worth so many writes.
            if bytes.len() / size > 1000 {
                continue;
            }
            let (mut client, mut socket) = pair().await;
            let bytes = bytes.clone();
            // After its last byte the client says nothing.
            let writer = tokio::spawn(async move {
                for chunk in bytes.chunks(size) {
                    client.write_all(chunk).await.unwrap();
                    tokio::task::yield_now().await;
                }
                client
            });
            for whole in &texts {
                assert!(text(&mut socket).await == *whole, "in chunks of {size}");
            }
            drop(writer.await.unwrap());
        }
    }
}

#[tokio::test]
async fn a_connection_without_tls_is_used_itself() {
    let (mut client, server) = connection().await;
    let (sender, mut sockets) = mpsc::unbounded_channel();
    let service = service_fn(move |mut request: Request<Incoming>| {
        let (upgrade, sender) = (hyper::upgrade::on(&mut request), sender.clone());
        tokio::spawn(async move {
            let config = WebSocketConfig::default();
            let _ = sender.send(ClientSocket::new(upgrade.await.unwrap(), config).await);
        });
        let mut response = Response::new(String::new());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        async move { Ok::<_, Infallible>(response) }
    });
    tokio::spawn(async move {
        let http = Builder::new(TokioExecutor::new());
        let served = http.serve_connection_with_upgrades(TokioIo::new(server), service);
        served.await.unwrap();
    });
    let request = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    // Its first frame comes with the request.
    let early = [&request[..], &frame(TEXT, "early"), &frame(TEXT, "too")].concat();
    client.write_all(&early).await.unwrap();
    let mut socket = in_time(sockets.recv()).await.unwrap();
    assert!(matches!(socket.socket.get_ref().io, Either::Left(_)));
    assert_eq!(text(&mut socket).await, "early");
    assert_eq!(text(&mut socket).await, "too");
    client.write_all(&frame(TEXT, "later")).await.unwrap();
    assert_eq!(text(&mut socket).await, "later");
}
