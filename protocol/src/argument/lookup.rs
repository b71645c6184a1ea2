//! The value of one arg, without a tree built of the others.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::keys::Text;
use super::walk::end_of_message_pack;
use crate::payload::{Encoding, MAX_DEPTH, Payload};

/// The value of one arg.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArgValue<'a> {
    /// A string, its escapes resolved.
    Str(Cow<'a, str>),
    /// Anything else, as JSON text: as it came, or printed where it came as MessagePack.
    Other(Cow<'a, str>),
}

/// Finds the arg `name` at the top level of `args`, which need not have been checked yet.
///
/// `None` if it is absent, and also if it stands there twice or `args` is not one object: nobody
/// may decide by one of two values.
///
/// ```
/// use sluice_protocol::Payload;
/// use sluice_protocol::argument::{ArgValue, top_level};
///
/// let args = Payload::json(r#"{"user": "u\u0031", "n": 1.50}"#);
/// assert_eq!(top_level(&args, "user"), Some(ArgValue::Str("u1".into())));
/// assert_eq!(top_level(&args, "n"), Some(ArgValue::Other("1.50".into())));
/// assert_eq!(top_level(&args, "m"), None);
/// ```
#[must_use]
pub fn top_level<'a>(args: &'a Payload, name: &str) -> Option<ArgValue<'a>> {
    match args.encoding {
        Encoding::Json => json(&args.bytes, name),
        Encoding::MessagePack => message_pack(&args.bytes, name),
        Encoding::Http => None,
    }
}

/// Finds the string `name` one level down: in the objects at the top level of `args`.
///
/// `None` if it stands at the top level itself, nowhere, twice in one object, or with different
/// values in two: nobody may decide by one of two values. Also if one of them is no string.
///
/// ```
/// use sluice_protocol::Payload;
/// use sluice_protocol::argument::one_level_down;
///
/// let args = Payload::json(r#"{"n": 1, "data": {"user": "u1"}, "more": {"user": "u1"}}"#);
/// assert_eq!(one_level_down(&args, "user").as_deref(), Some("u1"));
/// let args = Payload::json(r#"{"data": {"user": "u1"}, "more": {"user": "u2"}}"#);
/// assert_eq!(one_level_down(&args, "user"), None);
/// ```
#[must_use]
pub fn one_level_down(args: &Payload, name: &str) -> Option<String> {
    let args = args.transcode(Encoding::Json).ok()?;
    let text = std::str::from_utf8(&args.bytes).ok()?;
    let Pairs(top) = serde_json::from_str(text).ok()?;
    let mut found: Option<String> = None;
    for (key, value) in top {
        if key == name {
            return None;
        }
        if !value.get().starts_with('{') {
            continue;
        }
        let Pairs(inner) = serde_json::from_str(value.get()).ok()?;
        let mut named = inner.into_iter().filter(|(key, _)| *key == name);
        let Some((_, value)) = named.next() else {
            continue;
        };
        let value: String = serde_json::from_str(value.get()).ok()?;
        let other = found.as_ref().is_some_and(|found| *found != value);
        if other || named.next().is_some() {
            return None;
        }
        found = Some(value);
    }
    found
}

/// The entries of an object, all of them.
struct Pairs<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Pairs<'de> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Pairs<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs<'de>, A::Error> {
                let mut pairs = Vec::new();
                while let Some(key) = map.next_key_seed(Text)? {
                    pairs.push((key, map.next_value()?));
                }
                Ok(Pairs(pairs))
            }
        }
        d.deserialize_map(Entries)
    }
}

fn json<'a>(bytes: &'a [u8], name: &str) -> Option<ArgValue<'a>> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut d = serde_json::Deserializer::from_str(text);
    let find = Find::<&RawValue> {
        name,
        value: Default::default(),
    };
    let found = find.deserialize(&mut d).ok()??;
    d.end().ok()?;
    let raw = found.get();
    if raw.starts_with('"') {
        let mut d = serde_json::Deserializer::from_str(raw);
        return Text.deserialize(&mut d).ok().map(ArgValue::Str);
    }
    Some(ArgValue::Other(raw.into()))
}

fn message_pack<'a>(bytes: &'a [u8], name: &str) -> Option<ArgValue<'a>> {
    let mut d = rmp_serde::Deserializer::from_read_ref(bytes);
    // One more than lists and objects may nest: the decoder counts to zero.
    d.set_max_depth(MAX_DEPTH + 1);
    let find = Find::<Value> {
        name,
        value: Default::default(),
    };
    let found = find.deserialize(&mut d).ok()??;
    end_of_message_pack(&mut d).ok()?;
    Some(match found {
        Value::String(text) => ArgValue::Str(text.into()),
        other => ArgValue::Other(other.to_string().into()),
    })
}

struct Find<'n, T> {
    name: &'n str,
    value: std::marker::PhantomData<T>,
}

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for Find<'_, T> {
    type Value = Option<T>;

    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<Option<T>, D::Error> {
        d.deserialize_map(self)
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Find<'_, T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Option<T>, A::Error> {
        let mut found = None;
        while let Some(key) = map.next_key_seed(Text)? {
            if key != self.name {
                map.next_value::<IgnoredAny>()?;
            } else if found.replace(map.next_value()?).is_some() {
                return Err(A::Error::custom("stands twice"));
            }
        }
        Ok(found)
    }
}
