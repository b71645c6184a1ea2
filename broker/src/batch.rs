//! Bytes on their way to one socket.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes, BytesMut};

/// Small writes are copied together into pieces of about this size.
const PIECE: usize = 64 * 1024;

/// A run of protocol bytes: small messages lie together in one piece, large bodies are shared
/// with the other receivers of the same message.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// Complete pieces, in front of `tail`.
    pieces: VecDeque<Bytes>,
    /// The bytes in `pieces`; a large backlog has too many of them to add up at each write.
    sealed: usize,
    tail: BytesMut,
}

impl Batch {
    /// Room for `len` more bytes that are written piecemeal.
    pub(crate) fn reserve(&mut self, len: usize) -> &mut BytesMut {
        if self.tail.len() >= PIECE {
            self.seal();
        }
        self.tail.reserve(len);
        &mut self.tail
    }

    /// Appends without a copy.
    pub(crate) fn share(&mut self, bytes: Bytes) {
        self.seal();
        self.push(bytes);
    }

    /// Whether there is nothing to write.
    pub(crate) fn is_empty(&self) -> bool {
        !self.has_remaining()
    }

    /// Drops everything. Keeps the memory unless a burst made it large.
    pub(crate) fn clear(&mut self) {
        self.pieces.clear();
        self.sealed = 0;
        self.tail.clear();
        if self.tail.capacity() > 2 * PIECE {
            self.tail = BytesMut::new();
        }
    }

    fn seal(&mut self) {
        let tail = self.tail.split().freeze();
        self.push(tail);
    }

    /// Never an empty piece: `chunk` must not be empty while bytes remain.
    fn push(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.sealed += piece.len();
            self.pieces.push_back(piece);
        }
    }
}

impl Buf for Batch {
    fn remaining(&self) -> usize {
        self.sealed + self.tail.len()
    }

    fn chunk(&self) -> &[u8] {
        self.pieces.front().map_or(&*self.tail, |piece| piece)
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let pieces = self
            .pieces
            .iter()
            .map(|piece| &**piece)
            .chain([&*self.tail]);
        let mut count = 0;
        for (slot, piece) in slices
            .iter_mut()
            .zip(pieces.filter(|piece| !piece.is_empty()))
        {
            *slot = IoSlice::new(piece);
            count += 1;
        }
        count
    }

    fn advance(&mut self, mut count: usize) {
        while let Some(piece) = self.pieces.front_mut() {
            let step = count.min(piece.len());
            self.sealed -= step;
            if count < piece.len() {
                return piece.advance(count);
            }
            count -= step;
            self.pieces.pop_front();
        }
        self.tail.advance(count);
    }
}

#[cfg(test)]
mod tests {
    use bytes::BufMut;

    use super::*;

    #[test]
    fn keeps_order_over_pieces_and_any_advance() {
        for step in [1, 3, 7, 1000] {
            let mut batch = Batch::default();
            batch.reserve(2).put_slice(b"ab");
            batch.share(Bytes::from_static(b"large"));
            batch.share(Bytes::new());
            batch.reserve(3).put_slice(b"end");

            let mut written = Vec::new();
            while batch.has_remaining() {
                let mut slices = [IoSlice::new(&[]); 4];
                let count = batch.chunks_vectored(&mut slices);
                let bytes = slices[..count]
                    .iter()
                    .flat_map(|slice| slice.to_vec())
                    .collect::<Vec<_>>();
                assert!(bytes.starts_with(batch.chunk()));
                let len = bytes.len().min(step);
                written.extend_from_slice(&bytes[..len]);
                batch.advance(len);
            }
            assert_eq!(written, b"ablargeend");
        }
    }
}
