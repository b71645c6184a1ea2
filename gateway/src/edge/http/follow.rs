//! Async calls after their acknowledgement: a task waits for the answer and keeps it.

use std::sync::Arc;

use http::header::LOCATION;
use http::{HeaderValue, Response, StatusCode};
use sluice_protocol::error::ErrorSource;
use sluice_protocol::response::Answer;
use sluice_protocol::{CallError, ErrorCode, Executed};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::response::{self, Body};
use super::{Asked, Edge, fields};
use crate::edge::capacity::Permit;
use crate::edge::service::CallService;
use crate::reply::Answers;
use crate::results::{Record, ResultStore, StoreError};

impl<S: CallService> Edge<S> {
    /// Answers that a call was taken, and where its result will be.
    pub(super) async fn acknowledge(
        &self,
        asked: &Asked<'_>,
        owner: Option<String>,
        answers: Answers,
        permit: Permit,
    ) -> Result<Response<Body>, CallError> {
        let follower = Follower {
            id: fields::random_id(),
            record: Record {
                request_id: asked.id.clone(),
                owner,
                answer: None,
                within: answers
                    .due_at()
                    .map(|at| at.saturating_duration_since(Instant::now())),
            },
            store: self.parts().results.clone(),
            stop: self.force.clone(),
        };
        let pending = follower.record.clone();
        // Before the client knows of it, so that whoever asks finds it.
        let kept = follower.store.put(&follower.id, pending).await;
        kept.map_err(|e| not_kept(&e))?;
        let location = HeaderValue::from_str(&format!("/api/calls/{}", follower.id));
        self.tasks.spawn(follower.run(answers, permit));
        let encoding = asked.formats.for_errors();
        let status = StatusCode::ACCEPTED;
        let mut response = response::answer(&asked.id, encoding, status, &Answer::AsyncAck);
        if let Ok(location) = location {
            response.headers_mut().insert(LOCATION, location);
        }
        Ok(response)
    }
}

/// The result would be lost, so the call is given up.
fn not_kept(error: &StoreError) -> CallError {
    let text = format!("{error}; the call was cancelled, it may have run in part");
    let error = match error {
        StoreError::Full => CallError::new(ErrorCode::Overloaded, text),
        StoreError::Unavailable(_) => unavailable(text),
    };
    error.with_executed(Executed::Unknown, false)
}

/// `internal`, but with a status that says that it may pass.
pub(super) fn unavailable(text: String) -> CallError {
    let mut error = CallError::new(ErrorCode::Internal, text);
    error.status = Some(StatusCode::SERVICE_UNAVAILABLE.as_u16());
    error
}

struct Follower {
    id: String,
    record: Record,
    store: Arc<dyn ResultStore>,
    stop: CancellationToken,
}

impl Follower {
    async fn run(mut self, answers: Answers, permit: Permit) {
        // By value: whichever branch wins, a call that has not ended is cancelled then.
        let answer = tokio::select! {
            answer = last_of(answers) => answer,
            () = self.store.cancelled(&self.id) => {
                given_up("the call was cancelled by its caller", ErrorSource::Client)
            }
            () = self.stop.cancelled() => {
                given_up("the gateway shut down before the call ended", ErrorSource::Gateway)
            }
        };
        drop(permit);
        self.record.answer = Some(answer);
        if let Err(error) = self.store.put(&self.id, self.record).await {
            tracing::error!(%error, "the result of an async call is lost");
        }
    }
}

async fn last_of(mut answers: Answers) -> Answer {
    loop {
        match answers.next().await {
            Some(answer) if answer.is_final() => return answer,
            Some(_) => {}
            // Answers always end with a final one.
            None => return given_up("the call ended without an answer", ErrorSource::Gateway),
        }
    }
}

fn given_up(text: &str, source: ErrorSource) -> Answer {
    let error = CallError::new(
        ErrorCode::Cancelled,
        format!("{text}; it may have run in part"),
    );
    let error = error.with_source(source);
    Answer::from(error.with_executed(Executed::Unknown, false))
}
