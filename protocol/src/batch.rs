//! Items of a stream that travel in one message, each behind its length.
//!
//! A body is `length item length item …`: the length has four bytes, the most significant first.
//! Which number the first item has stands in the header, so the others need none.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::payload::{Encoding, Payload};

/// Bytes of a length.
const PREFIX: usize = size_of::<u32>();

/// At least one item, all in one encoding. Cloning shares the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    encoding: Encoding,
    /// Walked through once: the lengths fit.
    bytes: Bytes,
    count: usize,
}

impl Batch {
    /// The items that `bytes` holds; `None` if there is none, or the lengths do not fit.
    #[must_use]
    pub fn parse(encoding: Encoding, bytes: Bytes) -> Option<Self> {
        let (mut rest, mut count) = (&bytes[..], 0);
        while !rest.is_empty() {
            rest = rest.get(split(rest)?..)?;
            count += 1;
        }
        (count > 0).then_some(Self {
            encoding,
            bytes,
            count,
        })
    }

    /// How many items there are, at least one.
    #[expect(clippy::len_without_is_empty, reason = "it never is")]
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// How all items are to be read.
    #[must_use]
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// The body of the message.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Bytes of the items, without those of their lengths.
    #[must_use]
    pub fn payload_len(&self) -> usize {
        self.bytes.len() - PREFIX * self.count
    }

    /// The items in their order, each a part of the body's bytes.
    #[must_use]
    pub fn items(&self) -> Items {
        Items {
            encoding: self.encoding,
            rest: self.bytes.clone(),
            left: self.count,
        }
    }
}

/// The items of a [`Batch`] that were not taken yet; shares the bytes.
#[derive(Debug, Clone)]
pub struct Items {
    encoding: Encoding,
    rest: Bytes,
    left: usize,
}

impl Iterator for Items {
    type Item = Payload;

    fn next(&mut self) -> Option<Payload> {
        let mut bytes = self.rest.split_to(split(&self.rest)?);
        bytes.advance(PREFIX);
        self.left -= 1;
        Some(Payload {
            encoding: self.encoding,
            bytes,
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Items {}

/// Where the first item ends; `None` if the bytes end before.
fn split(bytes: &[u8]) -> Option<usize> {
    let length = u32::from_be_bytes(*bytes.first_chunk()?);
    let end = usize::try_from(length).ok()?.checked_add(PREFIX)?;
    (end <= bytes.len()).then_some(end)
}

/// A [`Batch`] that is being made.
#[derive(Debug, Default)]
pub struct BatchBuilder {
    bytes: BytesMut,
    count: usize,
    /// Bytes of the batch before: the next one is likely to have as many.
    usual: usize,
}

impl BatchBuilder {
    /// How many items are in.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether no item is in.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes of the body if an item of `size` bytes is put in.
    #[must_use]
    pub fn size_with(&self, size: usize) -> usize {
        self.bytes.len().saturating_add(PREFIX).saturating_add(size)
    }

    /// Puts an item in; false if its length cannot be written (4 GiB and more).
    pub fn push(&mut self, item: &[u8]) -> bool {
        let Ok(length) = u32::try_from(item.len()) else {
            return false;
        };
        if self.count == 0 {
            self.bytes.reserve(self.usual);
        }
        self.bytes.put_u32(length);
        self.bytes.put_slice(item);
        self.count += 1;
        true
    }

    /// All items that were put in, which were of `encoding`; `None` if there were none. The
    /// builder is empty then, and may be used again.
    pub fn take(&mut self, encoding: Encoding) -> Option<Batch> {
        let bytes = self.bytes.split().freeze();
        let count = std::mem::take(&mut self.count);
        if count > 0 {
            self.usual = bytes.len();
        }
        (count > 0).then_some(Batch {
            encoding,
            bytes,
            count,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bodies_that_are_no_items() {
        for (body, why) in [
            (&b""[..], "no item"),
            (b"\0\0\0", "half a length"),
            (b"\0\0\0\x02x", "an item that is cut"),
            (b"\0\0\0\x01x\0", "bytes behind the last item"),
            (b"\xff\xff\xff\xffx", "a length beyond the body"),
        ] {
            let batch = Batch::parse(Encoding::Json, Bytes::copy_from_slice(body));
            assert_eq!(batch, None, "{why}");
        }
    }

    #[test]
    fn a_builder_begins_anew_after_each_batch() {
        let mut builder = BatchBuilder::default();
        assert_eq!(builder.take(Encoding::Json), None);
        assert!(builder.push(b"1"));
        assert_eq!(builder.size_with(2), 5 + 6);
        let one = builder.take(Encoding::Json).unwrap();
        assert!(builder.is_empty());
        assert!(builder.push(b"2") && builder.push(b""));
        let two = builder.take(Encoding::Json).unwrap();
        assert_eq!((one.len(), two.len()), (1, 2));
        assert_eq!(two.bytes(), &b"\0\0\0\x012\0\0\0\0"[..]);
    }

    proptest! {
        #[test]
        fn what_is_put_in_comes_out(
            items in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 1..20),
        ) {
            let mut builder = BatchBuilder::default();
            for item in &items {
                prop_assert!(builder.push(item));
            }
            let batch = builder.take(Encoding::MessagePack).unwrap();
            let read = Batch::parse(Encoding::MessagePack, batch.bytes().clone());
            prop_assert_eq!(read.as_ref(), Some(&batch));
            let mut rest = batch.items();
            prop_assert_eq!(rest.len(), items.len());
            rest.next();
            prop_assert_eq!(rest.len(), items.len() - 1);
            let read: Vec<_> = batch.items().map(|p| p.bytes.to_vec()).collect();
            prop_assert_eq!(batch.payload_len(), items.concat().len());
            prop_assert_eq!(read, items);
        }

        #[test]
        fn strangers_bodies_never_panic(
            body in proptest::collection::vec(prop_oneof![Just(0_u8), 0..4_u8, any::<u8>()], 0..60),
        ) {
            let body = Bytes::from(body);
            if let Some(batch) = Batch::parse(Encoding::Json, body.clone()) {
                let bytes: usize = batch.items().map(|p| p.bytes.len()).sum();
                prop_assert_eq!(batch.items().count(), batch.len());
                prop_assert_eq!(bytes + PREFIX * batch.len(), body.len());
            }
        }
    }
}
