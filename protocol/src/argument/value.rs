//! One value against one rule.
//!
//! A visitor that takes whatever comes: what does not fit is noted as a fault, and the walk goes
//! on behind it, so that all faults are found at once.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::path::Path;
use super::rule::{Number, Rule, Verdict};
use super::walk::Walk;
use super::{ArgKind, DEFAULT_ITEMS, DEFAULT_STRING_BYTES, category, object};

/// Reads one value.
pub(super) struct ValueSeed<'w, 't> {
    pub(super) walk: &'w mut Walk,
    pub(super) path: Path<'w>,
    pub(super) rule: Rule<'t>,
}

impl ValueSeed<'_, '_> {
    fn note<E: Error>(self, verdict: Verdict) -> Result<(), E> {
        match verdict {
            Ok(()) => Ok(()),
            Err((category, message)) => self.walk.fault(self.path, category, message),
        }
    }
}

impl<'de> DeserializeSeed<'de> for ValueSeed<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<(), D::Error> {
        d.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueSeed<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        let fits = match self.rule {
            Rule::Anything | Rule::Flat | Rule::Scalar { .. } => true,
            Rule::Spec(spec) => matches!(spec.kind, ArgKind::Boolean | ArgKind::Any),
        };
        let verdict = if fits {
            Ok(())
        } else {
            self.rule.wrong_type("a boolean")
        };
        self.note(verdict)
    }

    fn visit_i64<E: Error>(self, int: i64) -> Result<(), E> {
        let verdict = self.rule.number(Number::Int(int.into()));
        self.note(verdict)
    }

    fn visit_u64<E: Error>(self, int: u64) -> Result<(), E> {
        let verdict = self.rule.number(Number::Int(int.into()));
        self.note(verdict)
    }

    fn visit_f64<E: Error>(self, float: f64) -> Result<(), E> {
        let verdict = self.rule.number(Number::Float(float));
        self.note(verdict)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        let verdict = self.rule.text(text);
        self.note(verdict)
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        let verdict = self.rule.null();
        self.note(verdict)
    }

    // MessagePack: binary, and strings that are not UTF-8.
    fn visit_bytes<E: Error>(self, _: &[u8]) -> Result<(), E> {
        let verdict = self.rule.wrong_type("bytes that are not UTF-8 text");
        self.note(verdict)
    }

    // MessagePack: extensions.
    fn visit_newtype_struct<D: Deserializer<'de>>(self, d: D) -> Result<(), D::Error> {
        serde::de::IgnoredAny.visit_newtype_struct(d)?;
        let verdict = self.rule.wrong_type("a MessagePack extension");
        self.note(verdict)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let (verdict, items, max) = match self.rule {
            Rule::Anything => (Ok(()), Rule::Anything, usize::MAX),
            Rule::Flat => {
                let max_bytes = DEFAULT_STRING_BYTES;
                (Ok(()), Rule::Scalar { max_bytes }, DEFAULT_ITEMS)
            }
            Rule::Scalar { .. } => (self.rule.nested("list"), Rule::Anything, usize::MAX),
            Rule::Spec(spec) => match &spec.kind {
                ArgKind::List { items, max_items } => (Ok(()), items.rule(), *max_items),
                ArgKind::Any => (Ok(()), Rule::Anything, usize::MAX),
                _ => (self.rule.wrong_type("a list"), Rule::Anything, usize::MAX),
            },
        };
        let Self { walk, path, .. } = self;
        if let Err((category, message)) = verdict {
            walk.fault(path, category, message)?;
        }
        list(walk, path, items, max, &mut seq)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let verdict = match self.rule {
            Rule::Anything => Ok(()),
            Rule::Flat | Rule::Scalar { .. } => self.rule.nested("object"),
            Rule::Spec(spec) => match &spec.kind {
                ArgKind::Object { .. } | ArgKind::Map(_) | ArgKind::Any => Ok(()),
                _ => self.rule.wrong_type("an object"),
            },
        };
        let Self { walk, path, rule } = self;
        walk.enter(path)?;
        if let Err((category, message)) = verdict {
            walk.fault(path, category, message)?;
        }
        match rule.kind() {
            Some(ArgKind::Object { fields }) => {
                object::declared(walk, path, fields, map)?;
            }
            Some(ArgKind::Map(rule)) => object::map(walk, path, rule, map)?,
            _ => object::unread(walk, path, &mut map)?,
        }
        walk.leave();
        Ok(())
    }
}

/// Reads a list of at most `max` items.
fn list<'de, A: SeqAccess<'de>>(
    walk: &mut Walk,
    path: Path<'_>,
    rule: Rule<'_>,
    max: usize,
    seq: &mut A,
) -> Result<(), A::Error> {
    walk.enter(path)?;
    let mut count = 0;
    loop {
        let item = ValueSeed {
            walk: &mut *walk,
            path: Path::Item(&path, count),
            // Items beyond the limit are read only to get past them.
            rule: if count < max { rule } else { Rule::Anything },
        };
        if seq.next_element_seed(item)?.is_none() {
            break;
        }
        count += 1;
    }
    if count > max {
        let message = format!("too many entries: max {max} items, got {count}");
        walk.fault(path, category::TOO_MANY_ITEMS, message)?;
    }
    walk.leave();
    Ok(())
}
