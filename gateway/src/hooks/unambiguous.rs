//! Whether no object in a JSON text has a key twice: two readers could see two different things,
//! and a hook must decide on what the worker sees.

use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Reads a text; the error names the key that stands twice.
pub(crate) fn check(json: &[u8]) -> Result<(), String> {
    serde_json::from_slice::<Checked>(json)
        .map(|_| ())
        .map_err(|e| e.to_string())
}

struct Checked;

impl<'de> Deserialize<'de> for Checked {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(Walk)
    }
}

struct Walk;

impl<'de> Visitor<'de> for Walk {
    type Value = Checked;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Checked, E> {
        Ok(Checked)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Checked, E> {
        Ok(Checked)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Checked, E> {
        Ok(Checked)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Checked, E> {
        Ok(Checked)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Checked, E> {
        Ok(Checked)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Checked, E> {
        Ok(Checked)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Checked, A::Error> {
        while list.next_element::<Checked>()?.is_some() {}
        Ok(Checked)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Checked, A::Error> {
        let mut keys = HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            map.next_value::<Checked>()?;
            if let Some(twice) = keys.replace(key) {
                return Err(A::Error::custom(format!("key {twice:?} stands twice")));
            }
        }
        Ok(Checked)
    }
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn a_key_that_stands_twice_is_found_at_any_depth() {
        for good in [
            r#"{"a": {"b": 1}, "c": [{"b": 2}, {"b": 1.50}]}"#,
            "[null, true, -1, 1.5, \"x\\n\", 18446744073709551616]",
            "{}",
        ] {
            assert_eq!(check(good.as_bytes()), Ok(()), "{good}");
        }
        for bad in [
            r#"{"a": 1, "a": 1}"#,
            r#"{"a": 1, "\u0061": 2}"#,
            r#"[{"x": {"a": 1, "b": 2, "a": 3}}]"#,
        ] {
            assert!(
                check(bad.as_bytes())
                    .unwrap_err()
                    .contains("\"a\" stands twice")
            );
        }
        assert!(
            check(&b"[".repeat(100_000)).is_err(),
            "no overflow of the stack"
        );
    }
}
