//! The HTTP client that commands share: clear failures, bounded bodies.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderMap};
use reqwest::{Client, RequestBuilder, Url};

use super::Failure;

/// Most bytes of an answer, and of one event of a stream.
pub(super) const MAX_ANSWER_BYTES: usize = 64 << 20;

/// A gateway as a client sees it.
#[derive(Debug)]
pub(super) struct Gateway {
    base: Url,
    /// The option of the command line that names it.
    option: &'static str,
    client: Client,
}

/// A whole answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answer {
    /// The body as text, for people.
    pub(super) fn text(&self) -> String {
        shortened(&String::from_utf8_lossy(&self.body))
    }

    /// A header that is text.
    pub(super) fn header(&self, name: http::HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// The beginning of a text that may be long.
pub(super) fn shortened(text: &str) -> String {
    match text.char_indices().nth(300) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Whether a media type is that of event streams.
pub(super) fn is_event_stream(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|essence| essence.trim().eq_ignore_ascii_case("text/event-stream"))
}

impl Gateway {
    /// A gateway at `url`, which `option` gave. Does not connect yet.
    pub(super) fn at(option: &'static str, url: &str) -> Result<Self, Failure> {
        let usage = |why: String| Failure::Usage(why);
        let base = Url::parse(url)
            .ok()
            .filter(|base| matches!(base.scheme(), "http" | "https") && base.has_host())
            .ok_or_else(|| {
                let example = if url.is_empty() || url.contains("://") {
                    String::new()
                } else {
                    format!(", for example http://{url}")
                };
                usage(format!(
                    "{url:?} is no address of a gateway: write http://host:port{example}"
                ))
            })?;
        if base.query().is_some() || base.fragment().is_some() {
            return Err(usage(format!("{url:?} must end before ? and #")));
        }
        // The TLS library wants one to be chosen; a second choice is refused and changes nothing.
        let _ = async_nats::rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder()
            .user_agent(concat!("sluice/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_secs(5))
            // A machine that vanished is noticed, however long a call may take.
            .tcp_keepalive(Duration::from_secs(15))
            // A token is for this gateway, not for wherever it sends us.
            .redirect(reqwest::redirect::Policy::none());
        if is_loopback(&base) {
            builder = builder.no_proxy();
        }
        let client = builder
            .build()
            .map_err(|e| Failure::Failed(format!("cannot make an HTTP client: {}", causes(&e))))?;
        Ok(Self {
            base,
            option,
            client,
        })
    }

    /// The address of `path`, which begins with a slash and is percent-encoded.
    pub(super) fn url(&self, path: &str) -> Result<Url, Failure> {
        let text = format!("{}{path}", self.base.as_str().trim_end_matches('/'));
        Url::parse(&text).map_err(|e| Failure::Usage(format!("{text:?}: {e}")))
    }

    /// The address that the gateway names in `Location`; only one of its own.
    pub(super) fn location(&self, text: &str) -> Result<Url, Failure> {
        self.base
            .join(text)
            .ok()
            .filter(|url| url.origin() == self.base.origin())
            .ok_or_else(|| {
                let text = shortened(text);
                Failure::Failed(format!("the gateway names a strange location: {text:?}"))
            })
    }

    pub(super) fn get(&self, url: Url) -> RequestBuilder {
        self.client.get(url)
    }

    pub(super) fn post(&self, url: Url, json: String) -> RequestBuilder {
        self.client
            .post(url)
            .header(CONTENT_TYPE, "application/json")
            .body(json)
    }

    pub(super) fn delete(&self, url: Url, json: String) -> RequestBuilder {
        self.client
            .delete(url)
            .header(CONTENT_TYPE, "application/json")
            .body(json)
    }

    /// Any request, with JSON or without a body.
    pub(super) fn request(
        &self,
        method: reqwest::Method,
        url: Url,
        json: Option<String>,
    ) -> RequestBuilder {
        let request = self.client.request(method, url);
        match json {
            Some(json) => request.header(CONTENT_TYPE, "application/json").body(json),
            None => request,
        }
    }

    /// Sends a request and reads the head of the answer.
    pub(super) async fn open(&self, request: RequestBuilder) -> Result<reqwest::Response, Failure> {
        request.send().await.map_err(|e| self.failure(&e))
    }

    /// Sends a request and reads the whole answer.
    pub(super) async fn send(&self, request: RequestBuilder) -> Result<Answer, Failure> {
        let response = self.open(request).await?;
        self.read(response).await
    }

    /// Reads the rest of an answer.
    pub(super) async fn read(&self, mut response: reqwest::Response) -> Result<Answer, Failure> {
        let mut body = BytesMut::new();
        while let Some(chunk) = self.chunk(&mut response).await? {
            if body.len() + chunk.len() > MAX_ANSWER_BYTES {
                let text = format!("the answer is larger than {MAX_ANSWER_BYTES} bytes");
                return Err(Failure::Failed(text));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer {
            status: response.status(),
            headers: std::mem::take(response.headers_mut()),
            body: body.freeze(),
        })
    }

    /// The next bytes of an answer.
    pub(super) async fn chunk(
        &self,
        response: &mut reqwest::Response,
    ) -> Result<Option<Bytes>, Failure> {
        response.chunk().await.map_err(|e| self.failure(&e))
    }

    fn failure(&self, error: &reqwest::Error) -> Failure {
        let (at, option, why) = (&self.base, self.option, causes(error));
        if error.is_connect() {
            return Failure::Unreachable(format!(
                "cannot reach the gateway at {at}: {why}\nis the gateway running? start one with \
                 `sluice dev`, or name another one with {option}"
            ));
        }
        if error.is_timeout() {
            return Failure::Unreachable(format!("the gateway at {at} does not answer in time"));
        }
        Failure::Failed(format!(
            "the connection to the gateway at {at} broke: {why}\nwhether the request was \
             processed is unknown"
        ))
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host_str() {
        Some("localhost") => true,
        Some(host) => host
            .trim_matches(['[', ']'])
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback()),
        None => false,
    }
}

/// The innermost cause, which says most.
fn causes(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_gateways() {
        for (url, path) in [
            ("http://127.0.0.1:4000", "http://127.0.0.1:4000/api/a%2Fb"),
            ("http://h/prefix/", "http://h/prefix/api/a%2Fb"),
            ("https://h", "https://h/api/a%2Fb"),
        ] {
            let gateway = Gateway::at("--url", url).unwrap();
            assert_eq!(gateway.url("/api/a%2Fb").unwrap().as_str(), path);
        }
        for (url, hint) in [
            ("localhost:4000", "http://localhost:4000"),
            ("ftp://h", "http://host:port"),
            ("", "http://host:port"),
            ("http://h/?x", "must end before"),
        ] {
            let failure = Gateway::at("--url", url).unwrap_err();
            assert!(
                matches!(&failure, Failure::Usage(why) if why.contains(hint)),
                "{failure}"
            );
        }
    }

    #[test]
    fn locations_stay_with_the_gateway() {
        let gateway = Gateway::at("--url", "http://127.0.0.1:4000").unwrap();
        let url = gateway.location("/api/calls/1").unwrap();
        assert_eq!(url.as_str(), "http://127.0.0.1:4000/api/calls/1");
        for strange in [
            "http://evil.example/x",
            "//evil.example/x",
            "http://127.0.0.1:5/",
        ] {
            assert!(gateway.location(strange).is_err(), "{strange}");
        }
    }
}
