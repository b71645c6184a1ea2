//! What the tests of commands share: captured output, and a gateway that follows a script.

use std::collections::VecDeque;
use std::io::Write;
use std::sync::Arc;

use axum::body::Body;
use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::Terminal;

/// What a command wrote.
#[derive(Debug, Default)]
pub(super) struct Output {
    out: Captured,
    err: Captured,
}

/// Text that others can watch while it grows.
#[derive(Debug, Clone)]
pub(super) struct Captured(watch::Sender<Vec<u8>>);

impl Default for Captured {
    fn default() -> Self {
        Self(watch::Sender::new(Vec::new()))
    }
}

impl Captured {
    /// Waits until `text` has been written.
    pub(super) async fn contains(&self, text: &str) {
        let mut changes = self.0.subscribe();
        let found = |all: &Vec<u8>| String::from_utf8_lossy(all).contains(text);
        changes.wait_for(found).await.unwrap();
    }
}

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.send_modify(|all| all.extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Output {
    pub(super) fn terminal(&mut self) -> Terminal<'_> {
        Terminal::new(&mut self.out, &mut self.err)
    }

    pub(super) fn out(&self) -> String {
        String::from_utf8(self.out.0.borrow().clone()).unwrap()
    }

    pub(super) fn err(&self) -> String {
        String::from_utf8(self.err.0.borrow().clone()).unwrap()
    }

    /// Standard output, to be watched while the command runs.
    pub(super) fn watched(&self) -> Captured {
        self.out.clone()
    }
}

/// One answer of the script.
#[derive(Debug)]
pub(super) struct Answer(Response<Body>);

impl Answer {
    pub(super) fn new(status: u16, body: impl Into<String>) -> Self {
        let body: String = body.into();
        Self::streaming(status, Body::from(body)).with("content-type", "application/json")
    }

    pub(super) fn streaming(status: u16, body: Body) -> Self {
        Self(Response::builder().status(status).body(body).unwrap())
    }

    pub(super) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.0.headers_mut().insert(name, value.parse().unwrap());
        self
    }
}

/// A request that the server got.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

/// An HTTP server that gives one answer after the other.
#[derive(Debug)]
pub(super) struct Server {
    address: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    pub(super) async fn answering(script: Vec<Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let script = Arc::new(Mutex::new(VecDeque::from(script)));
        let app = axum::Router::new().fallback({
            let seen = Arc::clone(&seen);
            move |request: Request<Body>| async move {
                let (parts, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                seen.lock().push(Seen {
                    method: parts.method.to_string(),
                    path: parts.uri.to_string(),
                    headers: parts.headers,
                    body: String::from_utf8(body.to_vec()).unwrap(),
                });
                let answer = script.lock().pop_front();
                answer.map_or_else(|| Answer::new(500, "the script has ended").0, |a| a.0)
            }
        });
        let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self {
            address,
            seen,
            task,
        }
    }

    pub(super) fn url(&self) -> String {
        self.address.clone()
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().clone()
    }
}

/// An address where nobody listens: the socket is bound, so that nobody else takes the port, but
/// never listens.
pub(super) async fn closed_port() -> String {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    // Held until the process ends.
    std::mem::forget(socket);
    format!("http://{address}")
}
