//! Reads a request's body: its encoding, then its bytes, bounded in size and time.

use std::pin::pin;
use std::time::Duration;

use bytes::{Buf, Bytes};
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http_body::Body;
use http_body_util::BodyExt;
use sluice_protocol::{CallError, Encoding, ErrorCode};

use crate::config::Http;

/// What a request says of its body's encoding; `None`: nothing.
///
/// # Errors
/// `unsupported_media_type`.
pub(super) fn content_type(headers: &HeaderMap) -> Result<Option<Encoding>, CallError> {
    if let Some(value) = headers.get(CONTENT_ENCODING)
        && !value.as_bytes().eq_ignore_ascii_case(b"identity")
    {
        let text = "Content-Encoding is not supported; send the body as it is";
        return Err(CallError::new(ErrorCode::UnsupportedMediaType, text));
    }
    let Some(value) = headers.get(CONTENT_TYPE) else {
        return Ok(None);
    };
    if value.as_bytes() == b"application/json" {
        return Ok(Some(Encoding::Json));
    }
    let text = value.to_str().unwrap_or_default();
    let encoding = Encoding::from_media_type(text).ok_or_else(|| {
        let named: String = text.chars().take(100).collect();
        unsupported(&format!("Content-Type {named:?} is not supported"))
    })?;
    Ok(Some(encoding))
}

/// A body without a type is refused: it is also what a foreign web page can send without asking
/// (a request that CORS calls simple).
pub(super) fn untyped() -> CallError {
    unsupported("a body needs a Content-Type")
}

fn unsupported(what: &str) -> CallError {
    let text = format!("{what}; send application/json or application/msgpack");
    CallError::new(ErrorCode::UnsupportedMediaType, text)
}

/// Whether `body` is known to be empty before it is read.
pub(super) fn is_empty<B: Body>(body: &B) -> bool {
    body.is_end_stream() || body.size_hint().exact() == Some(0)
}

/// All bytes of a body.
///
/// # Errors
/// `payload_too_large`, before anything is read where the client said so; `invalid_request` with
/// status 408 when the client is too slow, with 400 when the body breaks off.
pub(super) async fn read<B>(body: B, limits: &Http) -> Result<Bytes, CallError>
where
    B: Body<Data = Bytes>,
{
    let max = limits.max_body_bytes;
    let size = body.size_hint();
    if size.lower() > max as u64 {
        return Err(too_large(max));
    }
    let announced = size
        .exact()
        .map_or(0, |n| usize::try_from(n).unwrap_or(max));
    let read = collect(body, announced, max);
    match tokio::time::timeout(limits.body_timeout, read).await {
        Ok(result) => result,
        Err(_) => Err(too_slow(limits.body_timeout)),
    }
}

async fn collect<B>(body: B, announced: usize, max: usize) -> Result<Bytes, CallError>
where
    B: Body<Data = Bytes>,
{
    let mut body = pin!(body);
    let mut first = Bytes::new();
    let mut all = Vec::new();
    while let Some(frame) = body.frame().await {
        // Trailers mean nothing to us.
        let Ok(data) = frame.map_err(|_| broken_off())?.into_data() else {
            continue;
        };
        if data.remaining() > max - all.len() - first.len() {
            return Err(too_large(max));
        }
        if all.is_empty() && first.is_empty() {
            // A small body comes in one piece, which needs no copy.
            first = data;
            continue;
        }
        if all.is_empty() {
            all.reserve_exact(announced.max(first.len() + data.len()));
            all.extend_from_slice(&std::mem::take(&mut first));
        }
        all.extend_from_slice(&data);
    }
    Ok(if all.is_empty() { first } else { all.into() })
}

fn too_large(max: usize) -> CallError {
    let text = format!("the body is larger than {max} bytes");
    CallError::new(ErrorCode::PayloadTooLarge, text).with_detail("max_bytes", max)
}

fn broken_off() -> CallError {
    CallError::new(ErrorCode::InvalidRequest, "the body broke off")
}

fn too_slow(limit: Duration) -> CallError {
    let ms = limit.as_millis();
    let text = format!("the body did not arrive within {ms} ms");
    let mut error = CallError::new(ErrorCode::InvalidRequest, text);
    error.status = Some(408);
    error
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;
    use http_body::Frame;
    use http_body_util::{Full, StreamBody};

    fn limits(max_body_bytes: usize) -> Http {
        Http {
            max_body_bytes,
            ..Http::default()
        }
    }

    /// A body in chunks, of a length that is not told.
    fn chunks(parts: &'static [&'static str]) -> impl Body<Data = Bytes> {
        let frame = |part: &&'static str| {
            Ok::<_, std::io::Error>(Frame::data(Bytes::from_static(part.as_bytes())))
        };
        StreamBody::new(stream::iter(parts.iter().map(frame)))
    }

    #[tokio::test]
    async fn bodies_up_to_the_limit_are_read() {
        let ok = |text: &'static str| Ok(Bytes::from(text));
        assert_eq!(read(chunks(&[]), &limits(1)).await, ok(""));
        assert_eq!(
            read(chunks(&["", "ab", "", "c"]), &limits(3)).await,
            ok("abc")
        );
        assert_eq!(read(Full::from("abc"), &limits(3)).await, ok("abc"));
        for error in [
            read(chunks(&["ab", "cd"]), &limits(3)).await,
            read(chunks(&["abcd"]), &limits(3)).await,
            read(Full::from("abcd"), &limits(3)).await,
        ] {
            assert_eq!(error.unwrap_err().code, ErrorCode::PayloadTooLarge);
        }
    }

    #[tokio::test]
    async fn a_body_in_one_piece_is_not_copied() {
        let bytes = Bytes::from(vec![b'x'; 100]);
        let read = read(Full::new(bytes.clone()), &limits(100)).await.unwrap();
        assert_eq!(read.as_ptr(), bytes.as_ptr());
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_body_is_given_up() {
        let endless = StreamBody::new(stream::pending::<Result<Frame<Bytes>, std::io::Error>>());
        let error = read(endless, &limits(10)).await.unwrap_err();
        assert_eq!(
            (error.code, error.http_status()),
            (ErrorCode::InvalidRequest, 408)
        );
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_an_error() {
        let frames = vec![
            Ok(Frame::data(Bytes::from_static(b"{"))),
            Err(std::io::Error::other("reset")),
        ];
        let error = read(StreamBody::new(stream::iter(frames)), &limits(10)).await;
        assert_eq!(error.unwrap_err().code, ErrorCode::InvalidRequest);
    }

    #[test]
    fn types_of_content() {
        let of = |name: http::HeaderName, value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            content_type(&headers).map_err(|e| e.code)
        };
        assert_eq!(content_type(&HeaderMap::new()), Ok(None));
        let json = Ok(Some(Encoding::Json));
        assert_eq!(of(CONTENT_TYPE, "application/json"), json);
        assert_eq!(of(CONTENT_TYPE, "Application/Json;charset=utf-8"), json);
        assert_eq!(
            of(CONTENT_TYPE, "application/x-msgpack"),
            Ok(Some(Encoding::MessagePack))
        );
        let refused = Err(ErrorCode::UnsupportedMediaType);
        assert_eq!(
            of(CONTENT_TYPE, "application/x-www-form-urlencoded"),
            refused
        );
        assert_eq!(of(CONTENT_TYPE, ""), refused);
        assert_eq!(of(CONTENT_ENCODING, "gzip"), refused);
        assert_eq!(of(CONTENT_ENCODING, "Identity"), Ok(None));
    }
}
