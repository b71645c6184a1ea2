//! One walk over the bytes of args: the faults so far, how deep it is, and when it ends.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};

use super::keys::{KeySet, Seen, Text};
use super::object;
use super::path::Path;
use super::quick;
use super::rule::Rule;
use super::value::ValueSeed;
use super::{ArgTypes, Fault, MAX_FAULTS, category};
use crate::payload::{Encoding, MAX_DEPTH, Payload};

/// What a walk knows.
#[derive(Default)]
pub(super) struct Walk {
    faults: Vec<Fault>,
    depth: usize,
    // The walk broke off by itself; its error says nothing about the bytes.
    stopped: bool,
}

impl Walk {
    /// Notes a fault.
    ///
    /// # Errors
    /// When it is the last that is taken: the walk must end.
    pub(super) fn fault<E: Error>(
        &mut self,
        path: Path<'_>,
        category: &'static str,
        message: impl Into<String>,
    ) -> Result<(), E> {
        self.faults.push(Fault {
            path: path.pointer(),
            category,
            message: message.into(),
        });
        if self.faults.len() < MAX_FAULTS {
            return Ok(());
        }
        self.stop()
    }

    /// Goes one list or object deeper.
    ///
    /// # Errors
    /// When that is too deep: the walk must end.
    pub(super) fn enter<E: Error>(&mut self, path: Path<'_>) -> Result<(), E> {
        self.depth += 1;
        if self.depth <= MAX_DEPTH {
            return Ok(());
        }
        let message = format!("nested too deep: max {MAX_DEPTH} levels");
        self.fault(path, category::DEPTH, message)?;
        self.stop()
    }

    pub(super) fn leave(&mut self) {
        self.depth -= 1;
    }

    fn stop<E: Error>(&mut self) -> Result<(), E> {
        self.stopped = true;
        Err(E::custom("the check broke off"))
    }

    fn end<T>(self, outcome: Result<T, String>) -> Result<T, Vec<Fault>> {
        match outcome {
            Ok(value) if self.faults.is_empty() => Ok(value),
            Err(reason) if !self.stopped => Err(vec![Fault {
                path: String::new(),
                category: category::MALFORMED,
                message: format!("not one well-formed object: {reason}"),
            }]),
            _ => Err(self.faults),
        }
    }
}

/// What was found at the top of args.
pub(super) struct Top {
    /// Which declared args.
    pub(super) seen: Seen,
    /// How many entries in all.
    pub(super) entries: usize,
}

/// Checks that `args` is one object, and of `types` if there are any.
pub(super) fn object(types: Option<&ArgTypes>, args: &Payload) -> Result<Top, Vec<Fault>> {
    if args.encoding == Encoding::Json
        && let Some(types) = types
        && let Ok(text) = std::str::from_utf8(&args.bytes)
        && let Some(top) = quick::object(types, text)
    {
        return Ok(top);
    }
    walk(types, args)
}

/// The same, entry by entry, noting every fault.
pub(super) fn walk(types: Option<&ArgTypes>, args: &Payload) -> Result<Top, Vec<Fault>> {
    let mut walk = Walk::default();
    let root = Root {
        walk: &mut walk,
        types,
    };
    let outcome = match args.encoding {
        Encoding::Json => json(root, &args.bytes),
        Encoding::MessagePack => message_pack(root, &args.bytes),
        // Args are never an HTTP message: refused like any text that is no JSON.
        Encoding::Http => json(root, &[]),
    };
    walk.end(outcome)
}

/// Checks one value, for example a default, against what `rule` says.
pub(super) fn value(rule: Rule<'_>, value: &serde_json::Value) -> Vec<Fault> {
    let mut walk = Walk::default();
    let seed = ValueSeed {
        walk: &mut walk,
        path: Path::Root,
        rule,
    };
    let outcome = seed.deserialize(value).map_err(|e| e.to_string());
    walk.end(outcome).err().unwrap_or_default()
}

fn json(root: Root<'_, '_>, bytes: &[u8]) -> Result<Top, String> {
    // At once, and so not again for each string.
    let text = std::str::from_utf8(bytes).map_err(|e| e.to_string())?;
    let mut d = serde_json::Deserializer::from_str(text);
    root.deserialize(&mut d)
        .and_then(|top| d.end().map(|()| top))
        .map_err(|e| e.to_string())
}

fn message_pack(root: Root<'_, '_>, bytes: &[u8]) -> Result<Top, String> {
    let mut d = rmp_serde::Deserializer::from_read_ref(bytes);
    let top = root.deserialize(&mut d).map_err(|e| e.to_string())?;
    end_of_message_pack(&mut d)?;
    Ok(top)
}

/// Errs if anything follows the value that was read.
pub(super) fn end_of_message_pack<'de, D>(d: D) -> Result<(), String>
where
    D: Deserializer<'de, Error = rmp_serde::decode::Error>,
{
    use rmp_serde::decode::Error::InvalidMarkerRead;
    // The decoder does not tell where it stands; but only at the end there is no marker to read.
    match d.deserialize_any(Nothing) {
        Err(InvalidMarkerRead(e)) if e.kind() == std::io::ErrorKind::UnexpectedEof => Ok(()),
        _ => Err("bytes follow the map".to_owned()),
    }
}

// Refuses every value before it looks into it.
struct Nothing;

impl Visitor<'_> for Nothing {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nothing")
    }
}

struct Root<'w, 't> {
    walk: &'w mut Walk,
    types: Option<&'t ArgTypes>,
}

impl<'de> DeserializeSeed<'de> for Root<'_, '_> {
    type Value = Top;

    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<Top, D::Error> {
        d.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Root<'_, '_> {
    type Value = Top;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Top, A::Error> {
        self.walk.enter(Path::Root)?;
        match self.types {
            Some(types) => object::declared(self.walk, Path::Root, types, map),
            None => undeclared(self.walk, map),
        }
    }
}

/// Args of a function without types: the permission rule and keyed routing look at them, so no
/// key may stand twice.
fn undeclared<'de, A: MapAccess<'de>>(walk: &mut Walk, mut map: A) -> Result<Top, A::Error> {
    let mut keys = KeySet::default();
    let mut entries = 0;
    while let Some(key) = map.next_key_seed(Text)? {
        entries += 1;
        let path = Path::Key(&Path::Root, &key);
        map.next_value_seed(ValueSeed {
            walk: &mut *walk,
            path,
            rule: Rule::Anything,
        })?;
        if !keys.insert(key.clone()) {
            walk.fault(path, category::DUPLICATE, "stands twice")?;
        }
    }
    Ok(Top {
        seen: Seen::default(),
        entries,
    })
}
