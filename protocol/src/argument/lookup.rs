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
