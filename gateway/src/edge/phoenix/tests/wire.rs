//! The whole way: TCP, HTTP, upgrade, WebSocket.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use http::{HeaderMap, Method, Request, StatusCode, Version};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use serde_json::{Value, json};
use sluice_protocol::CallError;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};
use tokio_tungstenite::{WebSocketStream, client_async};
use tokio_util::sync::CancellationToken;

use super::rig::options;
use crate::edge::phoenix::options::Phoenix as Options;
use crate::edge::phoenix::{CallService, Claims, Drain, Sockets};
use crate::pipeline::Call;
use crate::reply::Reply;

/// Answers each call with its args.
#[derive(Debug, Clone)]
struct Echo;

impl CallService for Echo {
    async fn call(&self, call: Box<Call>) -> Result<Reply, CallError> {
        Ok(Reply::Result(call.args))
    }
}

pub(super) fn sockets<C: CallService>(
    options: Options,
    service: C,
) -> (Arc<Sockets<C, Claims>>, CancellationToken) {
    let token = CancellationToken::new();
    let drain = Drain {
        token: token.clone(),
        spread: Duration::from_millis(50),
        timeout: Duration::from_secs(5),
    };
    let sockets = Sockets::new(options, service, Claims { trusted: false }, drain);
    (Arc::new(sockets), token)
}

/// A server for `sockets`; its address.
pub(super) async fn serve<C: CallService>(sockets: Arc<Sockets<C, Claims>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            let sockets = Arc::clone(&sockets);
            let service = service_fn(move |mut request: Request<Incoming>| {
                let response = sockets.upgrade(&mut request, ());
                async move { Ok::<_, std::convert::Infallible>(response) }
            });
            tokio::spawn(async move {
                let http = Builder::new(TokioExecutor::new());
                let io = TokioIo::new(tcp);
                http.serve_connection_with_upgrades(io, service).await
            });
        }
    });
    address
}

type Client = WebSocketStream<TcpStream>;

async fn connect(address: &str) -> Client {
    let tcp = TcpStream::connect(address).await.unwrap();
    let url = format!("ws://{address}/socket/websocket?vsn=2.0.0");
    client_async(url, tcp).await.unwrap().0
}

async fn next(client: &mut Client) -> Option<Result<Message, WsError>> {
    timeout(Duration::from_secs(30), client.next())
        .await
        .expect("nothing came")
}

async fn text(client: &mut Client) -> Value {
    match next(client).await.unwrap().unwrap() {
        Message::Text(text) => serde_json::from_str(&text).unwrap(),
        other => panic!("{other:?}"),
    }
}

async fn join(client: &mut Client) {
    let join = json!(["1", "1", "api:x", "phx_join", {}]);
    client.send(Message::text(join.to_string())).await.unwrap();
    assert_eq!(text(client).await[4]["status"], "ok");
}

async fn closed(client: &mut Client) -> CloseFrame {
    match next(client).await.unwrap().unwrap() {
        Message::Close(Some(close)) => close,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_call_over_tcp() {
    let (sockets, _token) = sockets(options(), Echo);
    let address = serve(Arc::clone(&sockets)).await;
    let mut client = connect(&address).await;
    join(&mut client).await;
    assert_eq!(sockets.count(), 1);
    let args = json!({"text": "x".repeat(100_000)});
    let push = json!(["1", "2", "api:x", "phoenix_gen_api",
        {"request_id": "r", "service": "s", "request_type": "f", "args": args}]);
    client.send(Message::text(push.to_string())).await.unwrap();
    assert_eq!(text(&mut client).await[4]["response"], "f");
    assert_eq!(text(&mut client).await[4]["result"], args);
}

#[tokio::test]
async fn pings_are_answered_and_closes_echoed() {
    let (sockets, _token) = sockets(options(), Echo);
    let address = serve(sockets).await;
    let mut client = connect(&address).await;
    client.send(Message::Ping("p".into())).await.unwrap();
    assert_eq!(
        next(&mut client).await.unwrap().unwrap(),
        Message::Pong("p".into())
    );
    client.close(None).await.unwrap();
    assert!(matches!(
        next(&mut client).await,
        Some(Ok(Message::Close(_)))
    ));
    assert!(next(&mut client).await.is_none());
}

#[tokio::test]
async fn a_message_that_is_too_big_is_refused_and_the_client_learns_why() {
    let options = Options {
        max_frame_bytes: 100_000,
        ..options()
    };
    let (sockets, _token) = sockets(options, Echo);
    let address = serve(sockets).await;
    for fragments in [1, 3] {
        let mut client = connect(&address).await;
        let part = Message::text("x".repeat(300_001 / fragments));
        if fragments == 1 {
            // The gateway closes while the message is still being sent.
            let _ = client.send(part).await;
        } else {
            use tokio_tungstenite::tungstenite::protocol::frame::Frame;
            use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
            for n in 0..4 {
                let code = if n == 0 { Data::Text } else { Data::Continue };
                let frame = Frame::message("x".repeat(90_000), OpCode::Data(code), n == 3);
                let _ = client.send(Message::Frame(frame)).await;
            }
        }
        assert_eq!(u16::from(closed(&mut client).await.code), 1009);
    }
}

#[tokio::test]
async fn bytes_that_break_the_protocol_close_their_socket_only() {
    let (sockets, _token) = sockets(options(), Echo);
    let address = serve(sockets).await;
    let mut other = connect(&address).await;
    join(&mut other).await;
    // Text that is not UTF-8; a reserved bit; an unmasked frame.
    for (bytes, code) in [
        (&[0x81, 0x81, 0, 0, 0, 0, 0xff][..], 1007),
        (&[0xc1, 0x80, 0, 0, 0, 0], 1002),
        (&[0x81, 0x01, b'x'], 1002),
    ] {
        let mut client = connect(&address).await;
        client.get_mut().write_all(bytes).await.unwrap();
        assert_eq!(u16::from(closed(&mut client).await.code), code, "{bytes:?}");
    }
    join(&mut other).await;
}

#[tokio::test]
async fn all_sockets_are_closed_after_a_drain() {
    let (sockets, token) = sockets(options(), Echo);
    let address = serve(Arc::clone(&sockets)).await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        let mut client = connect(&address).await;
        join(&mut client).await;
        clients.push(client);
    }
    token.cancel();
    for client in &mut clients {
        assert_eq!(text(client).await[3], "phx_error");
        assert!(next(client).await.unwrap().unwrap().is_ping());
        assert_eq!(u16::from(closed(client).await.code), 1012);
        assert!(next(client).await.is_none());
    }
    timeout(Duration::from_secs(30), sockets.closed())
        .await
        .unwrap();
    assert_eq!(sockets.count(), 0);
}

#[tokio::test]
async fn a_client_that_vanishes_leaves_nothing_behind() {
    let (sockets, token) = sockets(options(), Echo);
    let address = serve(Arc::clone(&sockets)).await;
    let mut client = connect(&address).await;
    join(&mut client).await;
    drop(client);
    let gone = sockets.closed();
    timeout(Duration::from_secs(30), gone).await.unwrap();
    drop(token);
}

fn handshake(uri: &str) -> Request<()> {
    let mut request = format!("ws://gateway.test{uri}")
        .into_client_request()
        .unwrap();
    *request.uri_mut() = uri.parse().unwrap();
    request
}

fn answer(mut request: Request<()>) -> (StatusCode, HeaderMap, String) {
    let (sockets, _token) = sockets(options(), Echo);
    // The task that would serve the socket ends at once: there is no connection.
    let (head, body) = sockets.upgrade(&mut request, ()).into_parts();
    (head.status, head.headers, body)
}

#[tokio::test]
async fn a_sound_handshake_is_accepted() {
    for query in ["", "?vsn=1.0.0", "?vsn=2.0.0", "?token=x&vsn=2.0.3"] {
        let mut request = handshake(&format!("/socket/websocket{query}"));
        let headers = request.headers_mut();
        let key = "dGhlIHNhbXBsZSBub25jZQ==";
        headers.insert("sec-websocket-key", key.parse().unwrap());
        headers.insert("sec-websocket-protocol", "phoenix, other".parse().unwrap());
        headers.insert("connection", "keep-alive, Upgrade".parse().unwrap());
        let (status, headers, _) = answer(request);
        assert_eq!(status, StatusCode::SWITCHING_PROTOCOLS, "{query}");
        // RFC 6455 §1.3
        assert_eq!(
            headers["sec-websocket-accept"],
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
        assert_eq!(headers["sec-websocket-protocol"], "phoenix");
        assert_eq!(headers["upgrade"], "websocket");
        assert_eq!(headers["connection"], "Upgrade");
    }
    let (status, headers, _) = answer(handshake("/socket/websocket"));
    assert_eq!(status, StatusCode::SWITCHING_PROTOCOLS);
    assert!(!headers.contains_key("sec-websocket-protocol"));
}

#[tokio::test]
async fn other_requests_are_refused_with_a_text() {
    type Change = fn(&mut Request<()>);
    let rows: [(Change, u16, &str); 10] = [
        (|r| *r.method_mut() = Method::POST, 400, "GET"),
        (|r| *r.version_mut() = Version::HTTP_2, 400, "HTTP/1.1"),
        (|r| drop(r.headers_mut().remove("upgrade")), 426, "Upgrade"),
        (
            |r| drop(r.headers_mut().insert("upgrade", "h2c".parse().unwrap())),
            426,
            "Upgrade",
        ),
        (
            |r| drop(r.headers_mut().remove("connection")),
            426,
            "Upgrade",
        ),
        (
            |r| {
                drop(
                    r.headers_mut()
                        .insert("sec-websocket-version", "8".parse().unwrap()),
                )
            },
            426,
            "13",
        ),
        (
            |r| drop(r.headers_mut().remove("sec-websocket-key")),
            400,
            "Sec-WebSocket-Key",
        ),
        (
            |r| {
                drop(
                    r.headers_mut()
                        .insert("origin", "http://evil.test".parse().unwrap()),
                )
            },
            403,
            "origin",
        ),
        (
            |r| *r.uri_mut() = "/socket/websocket?vsn=3.0.0".parse().unwrap(),
            400,
            "vsn",
        ),
        (
            |r| *r.uri_mut() = "/socket/websocket?vsn=2".parse().unwrap(),
            400,
            "vsn",
        ),
    ];
    for (change, status, text) in rows {
        let mut request = handshake("/socket/websocket?vsn=2.0.0");
        change(&mut request);
        let (got, headers, body) = answer(request);
        assert_eq!(got.as_u16(), status, "{body}");
        assert!(body.contains(text), "{body}");
        assert_eq!(headers["content-type"], "text/plain; charset=utf-8");
        assert_eq!(
            status == 426,
            headers.contains_key("upgrade") || headers.contains_key("sec-websocket-version")
        );
    }
}

#[tokio::test]
async fn a_refused_upgrade_leaves_the_connection_to_http() {
    let (sockets, _token) = sockets(options(), Echo);
    let address = serve(sockets).await;
    let mut tcp = TcpStream::connect(&address).await.unwrap();
    for _ in 0..2 {
        tcp.write_all(b"GET /socket/websocket HTTP/1.1\r\nHost: x\r\n\r\n")
            .await
            .unwrap();
        let mut head = [0; 12];
        timeout(Duration::from_secs(30), tcp.read_exact(&mut head))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(&head, b"HTTP/1.1 426");
        let mut rest = Vec::new();
        while !rest.ends_with(b"\"Upgrade: websocket\"") {
            rest.push(
                timeout(Duration::from_secs(30), tcp.read_u8())
                    .await
                    .unwrap()
                    .unwrap(),
            );
        }
    }
}
