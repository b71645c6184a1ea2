//! Resources on the wire: a call with the head of a request becomes a request, a response becomes
//! a reply with a head.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Method};
use sluice_protocol::http::{
    CHUNK_HEAD, Field, RequestHead, ResponseHead, field_bytes, field_text,
};
use sluice_protocol::{ErrorCode, Payload};

use super::body::Pieces;
use super::{Resource, ResourceRequest, ResourceResponse};
use crate::context::Context;
use crate::error::Error;
use crate::function::Body;
use crate::runtime::stream::Lane;

/// The largest piece of a body that is sent in pieces.
const PIECE: usize = 64 * 1024;

/// Serves a resource whose responses are one message.
pub(crate) fn whole(resource: Resource) -> Body {
    Body::Unary(Arc::new(move |ctx, args| {
        let resource = resource.clone();
        Box::pin(async move {
            let request = request(&args, ctx)?;
            let mut response = resource.handle(request).await;
            let body = match response.stream.take() {
                Some(stream) => collected(stream.into_inner()).await?,
                None => std::mem::take(&mut response.body),
            };
            Ok(Payload::http(&head(&response)?, &body))
        })
    }))
}

/// Serves a resource whose responses are sent in pieces.
pub(crate) fn in_pieces(resource: Resource) -> Body {
    Body::Stream(Arc::new(move |ctx, args, lane| {
        let resource = resource.clone();
        Box::pin(async move {
            let request = request(&args, ctx)?;
            let response = resource.handle(request).await;
            send(response, &lane).await
        })
    }))
}

async fn send(mut response: ResourceResponse, lane: &Lane) -> Result<(), Error> {
    let head = head(&response)?;
    if let Some(stream) = response.stream.take() {
        // At once, so that the client has the head while the body is made.
        lane.send(Payload::http(&head, b""), false).await?;
        let mut pieces = stream.into_inner();
        while let Some(piece) = pieces.next().await {
            for part in piece?.chunks(PIECE) {
                lane.send(Payload::http(CHUNK_HEAD, part), false).await?;
            }
        }
        return Ok(());
    }
    let body = response.body;
    let (first, rest) = body.split_at(body.len().min(PIECE));
    lane.send(Payload::http(&head, first), rest.is_empty())
        .await?;
    let mut parts = rest.chunks(PIECE).peekable();
    while let Some(part) = parts.next() {
        let last = parts.peek().is_none();
        lane.send(Payload::http(CHUNK_HEAD, part), last).await?;
    }
    Ok(())
}

/// The request that a call brings.
fn request(call: &Payload, context: Context) -> Result<ResourceRequest, Error> {
    let wrong = |text: String| Error::of(ErrorCode::InvalidRequest, text);
    let (head, body) = call
        .split_http()
        .ok_or_else(|| wrong("a resource is called with header Sluice-Http".to_owned()))?;
    let (head, args) = RequestHead::parse(head).map_err(|e| wrong(e.to_string()))?;
    let method = Method::from_bytes(head.method.as_bytes());
    let params = serde_json::from_slice(&args.bytes);
    Ok(ResourceRequest {
        method: method.map_err(|e| wrong(e.to_string()))?,
        path: head.path,
        query: head.query,
        headers: fields(head.headers).map_err(wrong)?,
        body,
        params: params.map_err(|e| wrong(e.to_string()))?,
        context: Some(context),
    })
}

fn fields(fields: Vec<Field>) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::with_capacity(fields.len());
    for (name, value) in fields {
        let value = field_bytes(&value).and_then(|v| HeaderValue::from_bytes(&v).ok());
        let value = value.ok_or_else(|| format!("the value of header {name} is none"))?;
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|e| e.to_string())?;
        headers.append(name, value);
    }
    Ok(headers)
}

/// The head of a response.
fn head(response: &ResourceResponse) -> Result<String, Error> {
    let field = |(name, value): (&HeaderName, &HeaderValue)| {
        (name.as_str().to_owned(), field_text(value.as_bytes()))
    };
    let head = ResponseHead {
        status: response.status.as_u16(),
        headers: response.headers.iter().map(field).collect(),
    };
    head.to_value().map_err(Error::internal)
}

/// All of a body that comes in pieces, for those who take only one message.
async fn collected(mut pieces: Pieces) -> Result<Bytes, Error> {
    let mut all = Vec::new();
    while let Some(piece) = pieces.next().await {
        all.extend_from_slice(&piece?);
    }
    Ok(all.into())
}
