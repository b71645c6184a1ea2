//! Keys of objects: read without a copy, each only once.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, Visitor};

use super::ArgTypes;

/// So many keys are compared one by one; more are hashed.
const FEW: usize = 16;

/// The keys of one object so far, to find those that stand twice.
#[derive(Default)]
pub(super) struct KeySet<'de> {
    few: Vec<Cow<'de, str>>,
    many: HashSet<Cow<'de, str>>,
}

impl<'de> KeySet<'de> {
    /// Remembers a key; false if it was there already.
    pub(super) fn insert(&mut self, key: Cow<'de, str>) -> bool {
        if !self.many.is_empty() {
            return self.many.insert(key);
        }
        if self.few.contains(&key) {
            return false;
        }
        self.few.push(key);
        if self.few.len() > FEW {
            self.many.extend(self.few.drain(..));
        }
        true
    }
}

/// Which of a list of names were seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    low: u128,
    high: Vec<bool>,
}

impl Seen {
    /// Marks name number `index`; false if it was marked already.
    pub(super) fn mark(&mut self, index: usize) -> bool {
        let again = self.has(index);
        match index.checked_sub(MAX_LOW) {
            None => self.low |= 1 << index,
            Some(high) => {
                if self.high.len() <= high {
                    self.high.resize(high + 1, false);
                }
                self.high[high] = true;
            }
        }
        !again
    }

    /// Whether name number `index` was marked.
    pub(super) fn has(&self, index: usize) -> bool {
        match index.checked_sub(MAX_LOW) {
            None => self.low & (1 << index) != 0,
            Some(high) => self.high.get(high) == Some(&true),
        }
    }
}

/// Configs have no more ([`super::MAX_FIELDS`]); types that are built in code may.
const MAX_LOW: usize = 128;

/// A key as text: borrowed unless it had escapes.
pub(super) struct Text;

/// A key that nobody asks for: only checked to be a string.
pub(super) struct Unread;

/// A key of an object with declared fields.
pub(super) struct Name<'t> {
    /// The fields.
    pub(super) types: &'t ArgTypes,
    /// Where it probably stands.
    pub(super) likely: usize,
}

/// What a key of an object with declared fields is.
pub(super) enum Named {
    /// Field number so and so.
    Field(usize),
    /// No field.
    Other(String),
}

macro_rules! key_seed {
    ($seed:ty, $out:ty, |$me:ident, $key:ident| $read:expr, $owned:expr $(; $t:lifetime)?) => {
        impl<'de $(, $t)?> DeserializeSeed<'de> for $seed {
            type Value = $out;
            fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<$out, D::Error> {
                d.deserialize_str(self)
            }
        }

        impl<'de $(, $t)?> Visitor<'de> for $seed {
            type Value = $out;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string as key")
            }
            fn visit_borrowed_str<E: Error>(self, $key: &'de str) -> Result<$out, E> {
                let $me = self;
                Ok($read)
            }
            fn visit_str<E: Error>(self, $key: &str) -> Result<$out, E> {
                let $me = self;
                Ok($owned)
            }
        }
    };
}

key_seed!(
    Text,
    Cow<'de, str>,
    |_me, key| Cow::Borrowed(key),
    Cow::Owned(key.to_owned())
);
key_seed!(Unread, (), |_me, _key| (), ());
key_seed!(Name<'t>, Named, |me, key| me.find(key), me.find(key); 't);

impl Name<'_> {
    fn find(&self, key: &str) -> Named {
        match self.types.position(key, self.likely) {
            Some(index) => Named::Field(index),
            None => Named::Other(key.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_stands_twice_is_found_among_few_and_many() {
        let mut keys = KeySet::default();
        for i in 0..100 {
            assert!(keys.insert(Cow::Owned(i.to_string())));
        }
        for i in 0..100 {
            assert!(!keys.insert(Cow::Owned(i.to_string())));
        }
        let mut few = KeySet::default();
        assert!(few.insert("a".into()) && !few.insert("a".into()));
    }

    #[test]
    fn any_number_of_names_can_be_seen() {
        let mut seen = Seen::default();
        for i in [0, 1, 127, 128, 300] {
            assert!(
                !seen.has(i) && seen.mark(i) && seen.has(i) && !seen.mark(i),
                "{i}"
            );
        }
        assert!(!seen.has(2) && !seen.has(299) && !seen.has(1000));
    }
}
