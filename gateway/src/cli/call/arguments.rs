//! `key=value` and `key:=JSON` on the command line, after the manner of HTTPie.

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The args of a call as a JSON object: `base`, and what the pairs add. Values that are JSON stay
/// as they were typed, digit for digit.
pub(in crate::cli) fn parse(base: Option<&str>, pairs: &[String]) -> Result<String, String> {
    let mut entries = match base {
        Some(text) => {
            serde_json::from_str::<Entries>(text)
                .map_err(|e| format!("--args is not a JSON object: {e}"))?
                .0
        }
        None => Vec::new(),
    };
    for pair in pairs {
        entries.push(parse_pair(pair)?);
    }
    let mut out = String::from("{");
    for (i, (key, value)) in entries.iter().enumerate() {
        if entries[..i].iter().any(|(earlier, _)| earlier == key) {
            return Err(format!("the argument {key:?} stands twice"));
        }
        if i > 0 {
            out.push(',');
        }
        out.push_str(&serde_json::Value::from(key.as_str()).to_string());
        out.push(':');
        out.push_str(value);
    }
    out.push('}');
    Ok(out)
}

fn parse_pair(pair: &str) -> Result<(String, String), String> {
    // The first `=` decides, so that values may hold any sign; only a colon right before it
    // belongs to it.
    let Some((key, value)) = pair.split_once('=') else {
        return Err(format!(
            "{pair:?} is no argument: write key=value, or key:=JSON for arrays and objects"
        ));
    };
    let (key, value) = match key.strip_suffix(':') {
        Some(key) => (key, raw_json(key, value)?),
        None => (key, guessed(key, value)?),
    };
    if key.is_empty() {
        return Err(format!("{pair:?} has no name before the ="));
    }
    Ok((key.to_owned(), value))
}

fn raw_json(key: &str, value: &str) -> Result<String, String> {
    serde_json::from_str::<&RawValue>(value)
        .map(|raw| raw.get().to_owned())
        .map_err(|e| format!("{key}:= wants JSON, and {value:?} is none: {e}"))
}

/// A scalar of JSON as such, all else as text; quotes make it text in any case.
fn guessed(key: &str, value: &str) -> Result<String, String> {
    let is_quoted = value.len() >= 2 && value.starts_with('"') && value.ends_with('"');
    if is_quoted {
        return raw_json(key, value).map_err(|_| {
            format!(
                "{key}= has quotes around what is no JSON string: {value}; use {key}:= or escape it"
            )
        });
    }
    let is_scalar = matches!(value, "true" | "false" | "null") || is_number(value);
    Ok(if is_scalar {
        value.to_owned()
    } else {
        serde_json::Value::from(value).to_string()
    })
}

/// Whether this is a number as JSON writes them: `007`, `+1`, `1.` and `0x1` are text.
fn is_number(text: &str) -> bool {
    text.starts_with(|c: char| c == '-' || c.is_ascii_digit())
        && text.ends_with(|c: char| c.is_ascii_digit())
        && serde_json::from_str::<&RawValue>(text).is_ok()
}

/// An object's entries in their order, values as they were typed.
struct Entries(Vec<(String, String)>);

impl<'de> serde::Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntriesVisitor;

        impl<'de> Visitor<'de> for EntriesVisitor {
            type Value = Entries;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
                let mut entries = Vec::new();
                while let Some((key, value)) = map.next_entry::<String, Box<RawValue>>()? {
                    entries.push((key, value.get().to_owned()));
                }
                Ok(Entries(entries))
            }
        }

        deserializer.deserialize_map(EntriesVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(base: Option<&str>, pairs: &[&str]) -> Result<String, String> {
        let pairs: Vec<String> = pairs.iter().map(|p| (*p).to_owned()).collect();
        parse(base, &pairs)
    }

    #[test]
    fn what_each_form_means() {
        for (pair, json) in [
            ("name=ann", r#"{"name":"ann"}"#),
            ("name=", r#"{"name":""}"#),
            ("name=ann smith", r#"{"name":"ann smith"}"#),
            ("n=42", r#"{"n":42}"#),
            ("n=-1.50e3", r#"{"n":-1.50e3}"#),
            (
                "n=12345678901234567890123",
                r#"{"n":12345678901234567890123}"#,
            ),
            ("n=1e999", r#"{"n":1e999}"#),
            ("n=007", r#"{"n":"007"}"#),
            ("n=+1", r#"{"n":"+1"}"#),
            ("n=1.", r#"{"n":"1."}"#),
            ("n= 1", r#"{"n":" 1"}"#),
            ("n=-", r#"{"n":"-"}"#),
            ("n=NaN", r#"{"n":"NaN"}"#),
            ("n=1 2", r#"{"n":"1 2"}"#),
            ("b=true", r#"{"b":true}"#),
            ("b=True", r#"{"b":"True"}"#),
            ("b=null", r#"{"b":null}"#),
            (r#"id="42""#, r#"{"id":"42"}"#),
            (r#"id="a\n""#, r#"{"id":"a\n"}"#),
            (r#"id=""#, r#"{"id":"\""}"#),
            (r#"id="""#, r#"{"id":""}"#),
            (r#"id=""""#, ""),
            (r#"say=a"b""#, r#"{"say":"a\"b\""}"#),
            ("list=[1]", r#"{"list":"[1]"}"#),
            ("list:=[1, {}]", r#"{"list":[1, {}]}"#),
            (r#"s:="x""#, r#"{"s":"x"}"#),
            ("e=a=b:=c", r#"{"e":"a=b:=c"}"#),
            ("a:b=1", r#"{"a:b":1}"#),
            ("é\"=1", r#"{"é\"":1}"#),
        ] {
            if json.is_empty() {
                assert!(parsed(None, &[pair]).is_err(), "{pair}");
            } else {
                assert_eq!(parsed(None, &[pair]).as_deref(), Ok(json), "{pair}");
            }
        }
    }

    #[test]
    fn an_object_and_pairs_together() {
        assert_eq!(parsed(None, &[]).unwrap(), "{}");
        assert_eq!(
            parsed(Some(r#"{"b": 1.0, "a": [ ]}"#), &["c=2"]).unwrap(),
            r#"{"b":1.0,"a":[ ],"c":2}"#
        );
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (base, pairs, why) in [
            (
                None,
                vec!["nonsense"],
                "\"nonsense\" is no argument: write key=value",
            ),
            (None, vec!["=1"], "no name"),
            (None, vec![":=1"], "no name"),
            (None, vec!["a:={"], "a:= wants JSON"),
            (None, vec!["a:="], "a:= wants JSON"),
            (None, vec!["a=1", "a=2"], "\"a\" stands twice"),
            (Some("{\"a\":1}"), vec!["a=2"], "\"a\" stands twice"),
            (Some("{\"a\":1,\"a\":2}"), vec![], "\"a\" stands twice"),
            (Some("[1]"), vec![], "--args is not a JSON object"),
            (Some("{"), vec![], "--args is not a JSON object"),
            (Some("{} x"), vec![], "--args is not a JSON object"),
        ] {
            let error = parsed(base, &pairs).unwrap_err();
            assert!(error.contains(why), "{pairs:?}: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_becomes_json_or_an_error(pair in ".{0,20}(=|:=)?.{0,20}") {
            if let Ok(json) = parse(None, &[pair]) {
                serde_json::from_str::<&RawValue>(&json).unwrap();
            }
        }
    }
}
