//! Bodies that come in pieces.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, Stream, StreamExt};
use parking_lot::Mutex;

use crate::Error;

pub(crate) type Pieces = BoxStream<'static, Result<Bytes, Error>>;

/// A body that comes in pieces. Clones share it; whoever reads it first has it.
#[derive(Clone)]
pub struct BodyStream(Arc<Mutex<Option<Pieces>>>);

impl BodyStream {
    /// A body of these pieces. An error breaks the response off: the client sees that something is
    /// missing.
    pub fn new<S, B>(pieces: S) -> Self
    where
        S: Stream<Item = Result<B, Error>> + Send + 'static,
        B: Into<Bytes> + 'static,
    {
        let pieces = pieces.map(|piece| piece.map(Into::into)).boxed();
        Self(Arc::new(Mutex::new(Some(pieces))))
    }

    /// The pieces; none if somebody else has read them.
    pub(crate) fn into_inner(self) -> Pieces {
        let pieces = self.0.lock().take();
        pieces.unwrap_or_else(|| stream::empty().boxed())
    }
}

impl fmt::Debug for BodyStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyStream").finish_non_exhaustive()
    }
}
