//! A body that is packed as it comes.

use std::io;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;

use super::Packer;
use crate::edge::http::routes::Pieces;

/// How much is packed at a time, so that one body does not hold up all others of its shard.
const STEP: usize = 32 << 10;

/// Pieces, packed. Each piece can be read as soon as it has come.
#[derive(Debug)]
pub(in crate::edge::http) struct Packed {
    pieces: Pieces,
    /// `None` after the end.
    packer: Option<Packer>,
    /// What is left of the current piece.
    left: Bytes,
    _permit: OwnedSemaphorePermit,
}

impl Packed {
    pub(in crate::edge::http) fn new(
        pieces: Pieces,
        packer: Packer,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        Self {
            pieces,
            packer: Some(packer),
            left: Bytes::new(),
            _permit: permit,
        }
    }

    /// The next packed bytes. What breaks off gets no end, so that no client takes it for the whole.
    pub(in crate::edge::http) fn poll_bytes(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Bytes>>> {
        let Some(packer) = &mut self.packer else {
            return Poll::Ready(None);
        };
        if self.left.is_empty() {
            match ready!(self.pieces.poll_bytes(cx)) {
                Some(Ok(piece)) => self.left = piece,
                Some(Err(error)) => {
                    self.packer = None;
                    return Poll::Ready(Some(Err(error)));
                }
                None => {
                    let end = self.packer.take().map(Packer::end);
                    return Poll::Ready(end);
                }
            }
        }
        let step = self.left.split_to(self.left.len().min(STEP));
        let done = packer.put(&step).and_then(|()| match self.left.is_empty() {
            true => packer.flush(),
            false => Ok(()),
        });
        match done.map(|()| packer.take()) {
            // Its turn comes again after that of others.
            Ok(bytes) if bytes.is_empty() => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            done => Poll::Ready(Some(done)),
        }
    }
}
