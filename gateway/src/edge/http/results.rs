//! `/api/calls/{id}`: results of async calls, for those who called.

use std::future::ready;
use std::sync::Arc;

use http::header::{HeaderName, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use sluice_protocol::function::ResponseType;
use sluice_protocol::response::Answer;
use sluice_protocol::{CallError, ErrorCode};

use super::follow::unavailable;
use super::negotiate::StreamFormat;
use super::response::{self, Body};
use super::stream::{Source, StreamBody};
use super::{Asked, Edge};
use crate::edge::service::CallService;
use crate::results::{Record, ResultStore, StoreError};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// The acknowledgement is event 0: who has seen no more than that still waits for the result.
const ACK_ID: &[u8] = b"0";

impl<S: CallService> Edge<S> {
    /// `GET`: the result, that it is pending, or both as events.
    pub(super) async fn get_result(
        &self,
        asked: &Asked<'_>,
        id: &str,
    ) -> Result<Response<Body>, CallError> {
        let record = self.record(asked, id).await?;
        if asked.formats.prefers_events {
            return Ok(self.follow_result(asked, id, record));
        }
        asked.formats.check(ResponseType::Async)?;
        Ok(told(asked, &record))
    }

    /// `DELETE`: cancels the call. One that has ended is answered with its result.
    pub(super) async fn cancel(
        &self,
        asked: &Asked<'_>,
        id: &str,
    ) -> Result<Response<Body>, CallError> {
        let record = self.record(asked, id).await?;
        let cancelled = record.answer.is_none() && self.store().cancel(id).await.map_err(away)?;
        if cancelled {
            return Ok(pending(asked, &record));
        }
        let record = self.record(asked, id).await?;
        let mut response = told(asked, &record);
        if record.answer.is_some() {
            // Nothing is left to cancel: that is what was wanted, whatever the result is.
            *response.status_mut() = StatusCode::OK;
        }
        Ok(response)
    }

    fn store(&self) -> &Arc<dyn ResultStore> {
        &self.parts().results
    }

    /// The record of a call, if it is the asking client's own. To anyone else it does not exist.
    async fn record(&self, asked: &Asked<'_>, id: &str) -> Result<Record, CallError> {
        let (identity, _) = self.identify(asked, None).await?;
        let is_id = id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit());
        if !is_id {
            return Err(unknown());
        }
        let record = self.store().get(id).await.map_err(away)?;
        record
            .filter(|r| r.owner == identity.user_id)
            .ok_or_else(unknown)
    }

    fn follow_result(&self, asked: &Asked<'_>, id: &str, record: Record) -> Response<Body> {
        let seen = asked.head.headers.get(LAST_EVENT_ID);
        if seen.is_some_and(|id| id.as_bytes() != ACK_ID) {
            return response::empty(StatusCode::NO_CONTENT);
        }
        let ack = (record.answer.is_none() && seen.is_none()).then_some(Answer::AsyncAck);
        let source = match record.answer {
            Some(answer) => Source::Result(Box::pin(ready(answer))),
            None => Source::Result(Box::pin(wait(self.store().clone(), id.to_owned()))),
        };
        let keep_alive = self.parts().config.http.sse_keep_alive;
        let format = StreamFormat::Events;
        let body = StreamBody::new(format, record.request_id, ack, source, keep_alive);
        of_request(asked, body.into_response())
    }
}

async fn wait(store: Arc<dyn ResultStore>, id: String) -> Answer {
    match store.finished(&id).await {
        Ok(Some(record)) => record.answer.unwrap_or_else(|| unknown().into()),
        Ok(None) => unknown().into(),
        Err(error) => away(error).into(),
    }
}

/// The envelope carries the id of the call's request, the header that of this one.
fn of_request(asked: &Asked<'_>, mut response: Response<Body>) -> Response<Body> {
    response::echo(&mut response, &asked.id);
    response
}

fn pending(asked: &Asked<'_>, record: &Record) -> Response<Body> {
    let encoding = asked.formats.for_errors();
    let status = StatusCode::ACCEPTED;
    let mut response = response::answer(&record.request_id, encoding, status, &Answer::AsyncAck);
    let headers = response.headers_mut();
    headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    of_request(asked, response)
}

/// What is known of the call: its final answer with its status, or that it is pending.
fn told(asked: &Asked<'_>, record: &Record) -> Response<Body> {
    let Some(answer) = &record.answer else {
        return pending(asked, record);
    };
    let encoding = asked.formats.for_errors();
    let response = response::final_answer(&record.request_id, encoding, answer);
    of_request(asked, response)
}

/// Also for calls of others: whether there are such is nobody's business.
fn unknown() -> CallError {
    let text = "there is no such call, its result has expired, or it is not yours";
    let mut error = CallError::new(ErrorCode::InvalidRequest, text);
    error.status = Some(StatusCode::NOT_FOUND.as_u16());
    error
}

fn away(error: StoreError) -> CallError {
    unavailable(error.to_string())
}
