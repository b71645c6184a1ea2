//! The edge over a fake gateway, without sockets.

mod browsers;
mod compression;
mod errors;
mod hostile;
mod replies;
mod requests;
mod results;
mod routes;
mod streams;
mod versions;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::Value;
use sluice_protocol::{Encoding, Payload};

use super::Body;
use crate::edge::fake::Rig;

/// A response that has ended.
#[derive(Debug)]
struct Got {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Got {
    fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| std::str::from_utf8(value.as_bytes()).unwrap())
    }

    /// The envelope, of whatever encoding.
    fn envelope(&self) -> Value {
        let encoding = Encoding::from_media_type(self.header("content-type"));
        let payload = Payload {
            encoding: encoding.expect("an envelope"),
            bytes: self.body.clone(),
        };
        let json = payload.transcode(Encoding::Json).unwrap();
        serde_json::from_slice(&json.bytes).unwrap()
    }

    fn code(&self) -> String {
        self.envelope()["error_code"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    fn status(&self) -> u16 {
        self.status.as_u16()
    }
}

async fn whole(response: Response<Body>) -> Got {
    let (head, body) = response.into_parts();
    Got {
        status: head.status,
        headers: head.headers,
        body: body.collect().await.unwrap().to_bytes(),
    }
}

/// `POST /path`, `name: value` headers one a line, and a body.
fn request(line: &str, headers: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    let (method, path) = line.split_once(' ').unwrap();
    let mut request = Request::builder().method(method).uri(path);
    for header in headers.lines() {
        let (name, value) = header.trim().split_once(": ").unwrap();
        request = request.header(name, value);
    }
    request.body(Full::new(body.into())).unwrap()
}

impl Rig {
    async fn send(&self, line: &str, headers: &str, body: impl Into<Bytes>) -> Got {
        whole(self.edge.handle(request(line, headers, body)).await).await
    }

    async fn post(&self, path: &str, json: &str) -> Got {
        let line = format!("POST {path}");
        self.send(&line, "content-type: application/json", json.to_owned())
            .await
    }

    async fn get(&self, path: &str) -> Got {
        self.send(&format!("GET {path}"), "", "").await
    }
}
