//! Calls and streams through a gateway's HTTP edge.

mod envelope;
mod stream;

pub use envelope::Envelope;
pub use stream::{Event, Opened, Stream};

use std::error::Error as _;

use reqwest::{Certificate, ClientBuilder, Identity, Method, RequestBuilder};
use serde_json::Value;

use crate::certificates::Certificates;
use crate::{Error, LIMIT, Result};

/// A client of one gateway.
#[derive(Clone, Debug)]
pub struct Client {
    base: String,
    http: reqwest::Client,
    headers: Vec<(String, String)>,
}

impl Client {
    /// A client for this base URL (`http://127.0.0.1:4000`).
    pub fn new(base: impl Into<String>) -> Result<Self> {
        Self::build(base, reqwest::Client::builder())
    }

    /// A client that trusts the authority of these certificates and shows the `client`'s;
    /// `shape` has the last word.
    pub fn tls(
        base: impl Into<String>,
        certificates: &Certificates,
        shape: impl FnOnce(ClientBuilder) -> ClientBuilder,
    ) -> Result<Self> {
        let failed = |error| Error::because("http client", error);
        let ca = certificates.read("ca.pem")?;
        let identity = [
            certificates.read("client.key")?,
            certificates.read("client.pem")?,
        ];
        let builder = reqwest::Client::builder()
            .tls_certs_only([Certificate::from_pem(ca.as_bytes()).map_err(failed)?])
            .identity(Identity::from_pem(identity.concat().as_bytes()).map_err(failed)?);
        Self::build(base, shape(builder))
    }

    fn build(base: impl Into<String>, builder: ClientBuilder) -> Result<Self> {
        // reqwest is built without a TLS provider and wants one even for plain HTTP. That another
        // test of this process has installed it already is fine.
        let _ = async_nats::rustls::crypto::ring::default_provider().install_default();
        let http = builder
            .no_proxy()
            .read_timeout(LIMIT)
            .build()
            .map_err(|error| Error::because("http client", error))?;
        Ok(Self {
            base: base.into(),
            http,
            headers: Vec::new(),
        })
    }

    /// The same client with one header more on each request.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A request to this path, for all that the methods below do not say.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        self.headers.iter().fold(request, |request, (name, value)| {
            request.header(name, value)
        })
    }

    /// GET of this path.
    pub fn get(&self, path: &str) -> RequestBuilder {
        self.request(Method::GET, path)
    }

    /// The status that a GET of this path answers.
    pub async fn status_of(&self, path: &str) -> Result<u16> {
        let response = self
            .get(path)
            .send()
            .await
            .map_err(|error| transport(path, &error))?;
        Ok(response.status().as_u16())
    }

    /// Calls a function: the status and the envelope. Anything but an envelope is an error.
    pub async fn call(
        &self,
        service: &str,
        function: &str,
        args: Value,
    ) -> Result<(u16, Envelope)> {
        let path = format!("/api/{service}/{function}");
        read_envelope(&path, self.request(Method::POST, &path).json(&args)).await
    }

    /// Sends a whole request (`POST /api`) and reads the envelope.
    pub async fn call_whole(&self, request: &Value) -> Result<(u16, Envelope)> {
        read_envelope("/api", self.request(Method::POST, "/api").json(request)).await
    }

    /// Calls a streaming function and reads the answer as server-sent events.
    pub async fn sse(&self, service: &str, function: &str, args: Value) -> Result<Opened> {
        self.open(service, function, args, "text/event-stream")
            .await
    }

    /// Calls a streaming function and reads the answer as one JSON value a line.
    pub async fn ndjson(&self, service: &str, function: &str, args: Value) -> Result<Opened> {
        self.open(service, function, args, "application/x-ndjson")
            .await
    }

    async fn open(
        &self,
        service: &str,
        function: &str,
        args: Value,
        accept: &str,
    ) -> Result<Opened> {
        let path = format!("/api/{service}/{function}");
        let request = self
            .request(Method::POST, &path)
            .header("accept", accept)
            .json(&args);
        let response = request
            .send()
            .await
            .map_err(|error| transport(&path, &error))?;
        Opened::from_response(&path, response).await
    }
}

async fn read_envelope(path: &str, request: RequestBuilder) -> Result<(u16, Envelope)> {
    let response = request
        .send()
        .await
        .map_err(|error| transport(path, &error))?;
    let status = response.status().as_u16();
    let body = response
        .bytes()
        .await
        .map_err(|error| transport(path, &error))?;
    let envelope = Envelope::parse(&body)
        .map_err(|error| Error::because(format!("{path} answered {status}"), error))?;
    Ok((status, envelope))
}

/// reqwest tells the cause (refused, reset) only along the chain of sources.
fn transport(path: &str, error: &reqwest::Error) -> Error {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    Error::because(path, text)
}
