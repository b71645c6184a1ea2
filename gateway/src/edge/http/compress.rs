//! Packs bodies for clients that ask for it (RFC 9110 §12.5.3), by `http.compression`.
//!
//! ```text
//! coding   which coding a client wants        packer   bytes in, packed bytes out
//! tags     entity tags of packed bodies: out with the coding inside, back in without
//! ```
//!
//! Nothing is packed that would suffer: event streams and streams of lines, parts, what is packed
//! or signed by digest already, what may not be transformed, what is too small, and kinds of
//! content that no coding makes smaller (`docs/adr/0040-tags-of-packed-answers.md`).

mod coding;
mod packed;
mod packer;
mod tags;

use std::sync::Arc;

use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_TYPE, HeaderName,
};
use http::request::Parts as Head;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub(crate) use self::coding::Coding;
use self::coding::Wanted;
pub(super) use self::packed::Packed;
pub(super) use self::packer::Packer;
#[cfg(test)]
pub(super) use self::packer::tests as packer_tests;
pub(super) use self::tags::{own_tags, own_tags_of_range};
use super::response::Body;
use crate::config::Http;
use crate::edge::version_source::vary_on;

/// A body up to this size is packed where its request is answered: handing it to another thread
/// costs as much. Larger ones wait for a thread of their own.
const AT_ONCE: usize = 16 << 10;
/// How many large bodies one shard packs at the same time; more wait.
const LARGE: usize = 2;
/// How many bodies that come in pieces one shard packs at the same time: each keeps some 300 KiB
/// of state until its end. More are sent as they are.
const IN_PIECES: usize = 64;

/// Digests of bytes that packing would change (RFC 9530, and their ancestors).
const DIGESTS: [&str; 4] = ["content-digest", "repr-digest", "digest", "content-md5"];

/// What is packed, and how much at once.
#[derive(Debug)]
pub(super) struct Compression {
    /// The preferred one first; empty: nothing is packed.
    codings: Vec<Coding>,
    min_bytes: usize,
    large: Arc<Semaphore>,
    in_pieces: Arc<Semaphore>,
}

/// How much of a body there is.
enum Amount {
    Whole(Bytes),
    InPieces,
    /// A resource answers HEAD itself: how much GET would have nobody knows.
    Untold,
}

impl Compression {
    pub(super) fn new(config: &Http) -> Self {
        let codings = config.compression.iter();
        Self {
            codings: codings.filter_map(|name| Coding::parse(name)).collect(),
            min_bytes: config.compression_min_bytes,
            large: Arc::new(Semaphore::new(LARGE)),
            in_pieces: Arc::new(Semaphore::new(IN_PIECES)),
        }
    }

    /// A value of `Accept-Encoding` as a resource gets it: where the gateway packs whatever comes, the
    /// resource need not.
    pub(super) fn passed_on(&self, headers: &HeaderMap, value: String) -> String {
        let wanted = Wanted::of(headers, &self.codings);
        if wanted.needs_coding && wanted.coding.is_some() {
            return coding::with_identity(&value);
        }
        value
    }

    /// Packs what `response` to `request` holds, if the client wants that and it is worth it.
    pub(super) async fn apply(&self, request: &Head, response: &mut Response<Body>) {
        let wanted = Wanted::of(&request.headers, &self.codings);
        if response.status() == StatusCode::NOT_MODIFIED {
            tags::name_as_asked(&request.headers, response.headers_mut(), wanted.coding);
            return self.vary(response);
        }
        let packed = match self.amount(request, response, &wanted) {
            None => None,
            Some(amount) => {
                self.vary(response);
                match wanted.coding {
                    None => None,
                    Some(coding) if request.method == Method::HEAD => match amount {
                        Amount::Untold => None,
                        _ => Some((coding, Body::empty())),
                    },
                    Some(coding) => self
                        .packed(coding, amount, response, wanted.needs_coding)
                        .await
                        .map(|body| (coding, body)),
                }
            }
        };
        let Some((coding, body)) = packed else {
            tags::as_is(response.headers_mut());
            return;
        };
        *response.body_mut() = body;
        let headers = response.headers_mut();
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
        // A part of the packed form is nobody's to give.
        headers.remove(ACCEPT_RANGES);
        headers.remove(CONTENT_LENGTH);
        tags::packed(headers, coding);
    }

    fn vary(&self, response: &mut Response<Body>) {
        if !self.codings.is_empty() {
            vary_on(response.headers_mut(), &ACCEPT_ENCODING);
        }
    }

    /// What could be packed; `None` if nothing.
    fn amount(&self, request: &Head, response: &Response<Body>, wanted: &Wanted) -> Option<Amount> {
        // Whoever refuses bytes as they are wants any body packed.
        let any = wanted.needs_coding && wanted.coding.is_some();
        // First what most answers are.
        let whole = response.body().content();
        let is_small = whole.is_some_and(|bytes| bytes.len() < self.min_bytes);
        let nothing_to_do = is_small && !any && request.method != Method::HEAD;
        if nothing_to_do || self.codings.is_empty() || !may_be_packed(response) {
            return None;
        }
        let is_text = response
            .headers()
            .get(CONTENT_TYPE)
            .is_some_and(gets_smaller);
        match response.body().content() {
            None if is_text => Some(Amount::InPieces),
            Some(bytes) if any && !bytes.is_empty() => Some(Amount::Whole(bytes.clone())),
            Some(bytes) if is_text && bytes.len() >= self.min_bytes => {
                Some(Amount::Whole(bytes.clone()))
            }
            Some(bytes) if is_text && bytes.is_empty() && request.method == Method::HEAD => {
                Some(Amount::Untold)
            }
            _ => None,
        }
    }

    /// The body packed; `None`: it is better left as it is.
    async fn packed(
        &self,
        coding: Coding,
        amount: Amount,
        response: &mut Response<Body>,
        at_any_cost: bool,
    ) -> Option<Body> {
        let bytes = match amount {
            Amount::InPieces => {
                let permit = self.in_pieces.clone().try_acquire_owned().ok()?;
                let packer = Packer::in_pieces(coding).ok()?;
                let body = std::mem::replace(response.body_mut(), Body::empty());
                return Some(body.packed(packer, permit));
            }
            Amount::Whole(bytes) => bytes,
            Amount::Untold => return None,
        };
        let size = bytes.len();
        let packed = if size <= AT_ONCE {
            packer::whole(coding, &bytes)
        } else {
            let permit: OwnedSemaphorePermit = self.large.clone().acquire_owned().await.ok()?;
            let work = move || {
                let packed = packer::whole(coding, &bytes);
                drop(permit);
                packed
            };
            tokio::task::spawn_blocking(work).await.ok()?
        };
        let packed = packed.ok()?;
        (packed.len() < size || at_any_cost).then(|| Body::whole(packed))
    }
}

/// Whether HTTP's rules allow it.
fn may_be_packed(response: &Response<Body>) -> bool {
    let bodiless = [
        StatusCode::NO_CONTENT,
        StatusCode::PARTIAL_CONTENT,
        StatusCode::RESET_CONTENT,
    ];
    let headers = response.headers();
    !bodiless.contains(&response.status())
        && !headers.contains_key(CONTENT_ENCODING)
        && !headers.contains_key(CONTENT_RANGE)
        && !DIGESTS
            .iter()
            .any(|name| headers.contains_key(HeaderName::from_static(name)))
        && !is_fixed(headers)
        && response.body().may_be_packed()
}

/// Whether `Cache-Control` forbids to change the body.
fn is_fixed(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(CACHE_CONTROL).into_iter();
    let lines = lines.filter_map(|line| line.to_str().ok());
    lines
        .flat_map(|line| line.split(','))
        .any(|directive| directive.trim().eq_ignore_ascii_case("no-transform"))
}

/// Kinds of content that a coding makes smaller. What is not listed (pictures, films, archives) is
/// packed already, as a rule.
fn gets_smaller(content_type: &HeaderValue) -> bool {
    const NAMES: [&str; 11] = [
        "application/json",
        "application/msgpack",
        "application/x-ndjson",
        "application/xml",
        "application/javascript",
        "application/graphql",
        "application/wasm",
        "application/yaml",
        "application/toml",
        "application/sql",
        "image/bmp",
    ];
    let Ok(text) = content_type.to_str() else {
        return false;
    };
    let essence = text.split(';').next().unwrap_or_default().trim();
    let essence = essence.to_ascii_lowercase();
    if essence == "text/event-stream" {
        return false;
    }
    essence.starts_with("text/")
        || essence.ends_with("+json")
        || essence.ends_with("+xml")
        || NAMES.contains(&essence.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_gets_smaller() {
        for (media_type, expected) in [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("application/problem+json", true),
            ("image/svg+xml", true),
            ("text/csv", true),
            ("text/event-stream", false),
            ("TEXT/Event-Stream;charset=utf-8", false),
            ("image/png", false),
            ("application/zip", false),
            ("application/octet-stream", false),
            ("", false),
        ] {
            let value = HeaderValue::from_static(media_type);
            assert_eq!(gets_smaller(&value), expected, "{media_type}");
        }
    }
}
