//! The body of a resource's response that comes in pieces.

use std::io;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use sluice_protocol::Payload;
use sluice_protocol::response::Answer;

use crate::edge::capacity::Permit;
use crate::reply::Answers;

/// Pieces of a body, at the pace of the client. Dropping them cancels the call.
#[derive(Debug)]
pub(in crate::edge::http) struct Pieces {
    first: Option<Bytes>,
    answers: Option<Answers>,
    /// The call counts as in flight until its last piece.
    _permit: Permit,
}

impl Pieces {
    /// A body that begins with `first`; more follow if there are `answers`.
    pub(super) fn new(first: Bytes, answers: Option<Answers>, permit: Permit) -> Self {
        Self {
            first: Some(first).filter(|b| !b.is_empty()),
            answers,
            _permit: permit,
        }
    }

    /// The next piece. What breaks off is an error, so that no client takes a part for the whole.
    pub(in crate::edge::http) fn poll_bytes(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Bytes>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(first)));
        }
        loop {
            let Some(answers) = &mut self.answers else {
                return Poll::Ready(None);
            };
            let answer = ready!(answers.poll_next(cx));
            if answer.as_ref().is_none_or(Answer::is_final) {
                self.answers = None;
            }
            match answer {
                Some(Answer::Item { payload, .. }) => match piece(&payload) {
                    // An empty frame would end some encodings of bodies.
                    Some(bytes) if bytes.is_empty() => {}
                    Some(bytes) => return Poll::Ready(Some(Ok(bytes))),
                    None => {
                        self.answers = None;
                        return Poll::Ready(Some(Err(io::Error::other("no piece of a body"))));
                    }
                },
                Some(Answer::Error(error)) => {
                    return Poll::Ready(Some(Err(io::Error::other(error.message))));
                }
                Some(_) | None => return Poll::Ready(None),
            }
        }
    }
}

/// The bytes of a piece.
fn piece(payload: &Payload) -> Option<Bytes> {
    payload.split_http().map(|(_, body)| body)
}
