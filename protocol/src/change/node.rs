//! A value that is read only as deep as changes look into it.
//!
//! What no operation touches stays the bytes it came as, so numbers pass digit for digit and a
//! large value costs no more than the levels that are looked into.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::TranslateError;
use super::room::Room;
use crate::payload::{Encoding, Payload, RMPV_DEPTH};

/// The members of an object, in their order.
pub(super) type Members<'a> = Vec<(Cow<'a, str>, Node<'a>)>;

/// A value, or a part of one.
#[derive(Debug, Clone)]
pub(super) enum Node<'a> {
    /// JSON text that nobody looked into yet.
    Json(Cow<'a, str>),
    /// MessagePack that nobody looked into yet.
    Packed(rmpv::Value),
    Object(Members<'a>),
    List(Vec<Node<'a>>),
}

impl<'a> Node<'a> {
    /// A whole payload.
    pub(super) fn of(payload: &'a Payload) -> Result<Self, TranslateError> {
        let malformed = |reason: String| TranslateError::Malformed(reason);
        if payload.encoding == Encoding::Json {
            let raw: &RawValue =
                serde_json::from_slice(&payload.bytes).map_err(|e| malformed(e.to_string()))?;
            return Ok(Self::Json(Cow::Borrowed(raw.get())));
        }
        if payload.encoding != Encoding::MessagePack {
            return Err(malformed("it is no value".to_owned()));
        }
        let mut rest: &[u8] = &payload.bytes;
        let value = rmpv::decode::read_value_with_max_depth(&mut rest, RMPV_DEPTH)
            .map_err(|e| malformed(e.to_string()))?;
        if rest.is_empty() {
            Ok(Self::Packed(value))
        } else {
            Err(malformed("bytes follow the value".to_owned()))
        }
    }

    /// A string.
    pub(super) fn text(text: &str) -> Self {
        Self::Json(Cow::Owned(serde_json::Value::from(text).to_string()))
    }

    /// Its members, if it is an object.
    pub(super) fn object(
        &mut self,
        room: &mut Room,
    ) -> Result<Option<&mut Members<'a>>, TranslateError> {
        self.open(room)?;
        match self {
            Self::Object(members) => {
                // Whoever asks looks for a field, and through all of them if it is not there.
                room.look(members.len())?;
                Ok(Some(members))
            }
            _ => Ok(None),
        }
    }

    /// Its elements, if it is a list.
    pub(super) fn list(
        &mut self,
        room: &mut Room,
    ) -> Result<Option<&mut Vec<Node<'a>>>, TranslateError> {
        self.open(room)?;
        match self {
            Self::List(items) => {
                room.look(items.len())?;
                Ok(Some(items))
            }
            _ => Ok(None),
        }
    }

    /// What it says, if it is a string.
    pub(super) fn text_in(&self, room: &mut Room) -> Result<Option<Cow<'_, str>>, TranslateError> {
        /// Of text so many bytes are read in the time in which one field is looked at.
        const PIECE: usize = 16;
        Ok(match self {
            Self::Json(json) if json.starts_with('"') => {
                room.look(json.len() / PIECE)?;
                serde_json::from_str(json).ok().map(Cow::Owned)
            }
            Self::Packed(value) => match value.as_str() {
                Some(text) => {
                    room.look(text.len() / PIECE)?;
                    Some(Cow::Borrowed(text))
                }
                None => None,
            },
            _ => None,
        })
    }

    /// Reads one level, where it is a list or an object.
    fn open(&mut self, room: &mut Room) -> Result<(), TranslateError> {
        let opened = match self {
            Self::Json(Cow::Borrowed(text)) => open_json(text)?,
            // Members of owned text have to be owned as well; only literals of changes are.
            Self::Json(Cow::Owned(text)) => open_json(text)?.map(Node::into_owned),
            Self::Packed(value) => open_packed(value)?,
            Self::Object(_) | Self::List(_) => None,
        };
        if let Some(opened) = opened {
            room.open()?;
            *self = opened;
        }
        Ok(())
    }

    pub(super) fn into_owned<'b>(self) -> Node<'b> {
        match self {
            Self::Json(text) => Node::Json(Cow::Owned(text.into_owned())),
            Self::Packed(value) => Node::Packed(value),
            Self::Object(members) => Node::Object(
                members
                    .into_iter()
                    .map(|(key, node)| (Cow::Owned(key.into_owned()), node.into_owned()))
                    .collect(),
            ),
            Self::List(items) => Node::List(items.into_iter().map(Node::into_owned).collect()),
        }
    }

    /// The value as bytes of `encoding`, which has to be the one that it was read from.
    pub(super) fn into_payload(self, encoding: Encoding) -> Result<Payload, TranslateError> {
        if encoding == Encoding::MessagePack {
            let mut out = Vec::new();
            rmpv::encode::write_value(&mut out, &self.packed())
                .map_err(|e| TranslateError::Malformed(e.to_string()))?;
            return Ok(Payload::message_pack(out));
        }
        let mut out = String::with_capacity(256);
        self.write_json(&mut out);
        Ok(Payload::json(out))
    }

    fn write_json(&self, out: &mut String) {
        match self {
            Self::Json(text) => out.push_str(text),
            // Nothing packed comes into a value that was read from JSON.
            Self::Packed(_) => out.push_str("null"),
            Self::Object(members) => {
                out.push('{');
                for (i, (key, node)) in members.iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    write_key(key, out);
                    out.push(':');
                    node.write_json(out);
                }
                out.push('}');
            }
            Self::List(items) => {
                out.push('[');
                for (i, node) in items.iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    node.write_json(out);
                }
                out.push(']');
            }
        }
    }

    fn packed(self) -> rmpv::Value {
        match self {
            Self::Packed(value) => value,
            // A literal of a change.
            Self::Json(text) => serde_json::from_str(&text).unwrap_or(rmpv::Value::Nil),
            Self::Object(members) => rmpv::Value::Map(
                members
                    .into_iter()
                    .map(|(key, node)| (rmpv::Value::from(key.as_ref()), node.packed()))
                    .collect(),
            ),
            Self::List(items) => rmpv::Value::Array(items.into_iter().map(Node::packed).collect()),
        }
    }
}

fn write_key(key: &str, out: &mut String) {
    let plain = |b: u8| b >= 0x20 && b != b'"' && b != b'\\';
    if key.bytes().all(plain) {
        out.push('"');
        out.push_str(key);
        out.push('"');
    } else {
        out.push_str(&serde_json::Value::from(key).to_string());
    }
}

fn open_json(text: &str) -> Result<Option<Node<'_>>, TranslateError> {
    if !text.starts_with(['{', '[']) {
        return Ok(None);
    }
    let mut reader = serde_json::Deserializer::from_str(text);
    reader
        .deserialize_any(Level)
        .map(Some)
        .map_err(|e| TranslateError::Malformed(e.to_string()))
}

/// Reads one level of JSON; what lies below stays text.
struct Level;

impl<'a> Visitor<'a> for Level {
    type Value = Node<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list or an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Node<'a>, A::Error> {
        // Of many small objects each would pay for fields that it has not.
        let mut members: Members<'a> = Vec::new();
        let mut seen = Keys::default();
        while let Some(Key(key)) = map.next_key()? {
            if seen.has(&members, &key) {
                return Err(A::Error::custom(twice(&key)));
            }
            let value: &'a RawValue = map.next_value()?;
            members.push((key, Node::Json(Cow::Borrowed(value.get()))));
        }
        Ok(Node::Object(members))
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut seq: A) -> Result<Node<'a>, A::Error> {
        let mut items = Vec::new();
        while let Some(value) = seq.next_element::<&'a RawValue>()? {
            items.push(Node::Json(Cow::Borrowed(value.get())));
        }
        Ok(Node::List(items))
    }
}

#[derive(serde::Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

/// Finds keys that stand twice: by looking, and in large objects by a set.
#[derive(Default)]
struct Keys(HashSet<String>);

impl Keys {
    const FEW: usize = 16;

    fn has(&mut self, members: &Members<'_>, key: &str) -> bool {
        if members.len() < Self::FEW {
            return members.iter().any(|(k, _)| k == key);
        }
        if self.0.is_empty() {
            self.0 = members.iter().map(|(k, _)| k.to_string()).collect();
        }
        !self.0.insert(key.to_owned())
    }
}

fn twice(key: &str) -> String {
    let key: String = key.chars().take(60).collect();
    format!("key {key:?} stands twice")
}

fn open_packed(value: &mut rmpv::Value) -> Result<Option<Node<'static>>, TranslateError> {
    match value {
        rmpv::Value::Array(items) => {
            let items = std::mem::take(items);
            Ok(Some(Node::List(
                items.into_iter().map(Node::Packed).collect(),
            )))
        }
        rmpv::Value::Map(entries) => {
            let malformed = |reason: String| TranslateError::Malformed(reason);
            let mut members: Members<'static> = Vec::with_capacity(entries.len());
            let mut seen = Keys::default();
            for (key, value) in std::mem::take(entries) {
                let key = key
                    .as_str()
                    .ok_or_else(|| malformed("a map key is not a string".to_owned()))?
                    .to_owned();
                if seen.has(&members, &key) {
                    return Err(malformed(twice(&key)));
                }
                members.push((Cow::Owned(key), Node::Packed(value)));
            }
            Ok(Some(Node::Object(members)))
        }
        _ => Ok(None),
    }
}
