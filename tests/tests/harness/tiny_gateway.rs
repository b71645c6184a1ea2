//! A gateway of a few lines that misbehaves as it is told.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// How the tiny gateway of these tests treats a call.
#[derive(Clone, Copy)]
pub(crate) enum Behaviour {
    Echo,
    Refuse,
    Hang,
    /// Closes its connection without an answer.
    Close,
    /// Sends half an answer.
    Half,
    /// Answers with the id of another request.
    Swap,
    /// Answers something that is not an envelope.
    Page,
    /// Acknowledges and leaves it there.
    Ack,
    /// A chunked answer, then `Connection: close`.
    Chunked,
}

/// A server that treats its `n`th call as `behaviours[n % len]`.
pub(crate) async fn tiny_gateway(behaviours: &'static [Behaviour]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let calls = Arc::new(AtomicUsize::new(0));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, behaviours, Arc::clone(&calls)));
        }
    });
    address
}

async fn serve(mut stream: TcpStream, behaviours: &[Behaviour], calls: Arc<AtomicUsize>) {
    while let Some((id, args)) = read_call(&mut stream).await {
        let call = calls.fetch_add(1, Ordering::SeqCst);
        let mut body = envelope(&id, true, json!({"result": args}));
        match behaviours[call % behaviours.len()] {
            Behaviour::Echo => {}
            Behaviour::Hang => std::future::pending().await,
            Behaviour::Close => return,
            Behaviour::Swap => body = envelope("other", true, json!({"result": args})),
            Behaviour::Page => body = "<html>bad gateway</html>".to_owned(),
            Behaviour::Ack => body = envelope(&id, true, json!({"async": true})),
            Behaviour::Refuse => {
                let (code, source) = ("no_workers", "gateway");
                let error = json!({"error": code, "error_code": code, "error_source": source});
                body = envelope(&id, false, error);
            }
            Behaviour::Half => {
                let half = format!("HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{body}");
                stream.write_all(half.as_bytes()).await.unwrap();
                return;
            }
            Behaviour::Chunked => {
                let (size, head) = (body.len(), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked");
                let answer =
                    format!("{head}\r\nConnection: close\r\n\r\n{size:x}\r\n{body}\r\n0\r\n\r\n");
                stream.write_all(answer.as_bytes()).await.unwrap();
                return;
            }
        }
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(answer.as_bytes()).await.unwrap();
    }
}

/// Reads one request; the harness sends heads and bodies of known form.
pub(crate) async fn read_call(stream: &mut TcpStream) -> Option<(String, serde_json::Value)> {
    let mut text = String::new();
    let mut buffer = [0; 4096];
    loop {
        let read = stream
            .read(&mut buffer)
            .await
            .ok()
            .filter(|read| *read > 0)?;
        text.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let header = |name: &str| {
            let mut lines = head.lines().filter_map(|line| line.split_once(": "));
            lines
                .find(|(key, _)| key.eq_ignore_ascii_case(name))
                .map(|(_, value)| value.to_owned())
        };
        if header("content-length").unwrap().parse::<usize>().unwrap() == body.len() {
            let id = header("x-request-id").unwrap_or_default();
            return Some((id, serde_json::from_str(body).unwrap()));
        }
    }
}

pub(crate) fn envelope(id: &str, success: bool, more: serde_json::Value) -> String {
    let mut envelope = json!({
        "request_id": id, "success": success, "result": null, "error": "",
        "async": false, "has_more": false, "can_retry": false,
    });
    for (key, value) in more.as_object().unwrap() {
        envelope[key] = value.clone();
    }
    envelope.to_string()
}
