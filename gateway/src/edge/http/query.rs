//! Args in a query string: `?name=ann&tags=a&tags=b`.

use std::borrow::Cow;
use std::collections::HashMap;

use percent_encoding::percent_decode_str;
use serde_json::value::RawValue;
use sluice_protocol::Payload;
use sluice_protocol::argument::{ArgKind, ArgSpec, ArgTypes, Fault, Items, MAX_FAULTS, category};

/// What becomes of an argument's text.
#[derive(Debug, Clone, Copy)]
enum Form<'a> {
    /// It stays text.
    Text,
    /// A number, digit for digit.
    Number,
    /// `true` or `false`.
    Boolean,
    /// An object or a list, written as JSON.
    Json,
    /// A list of all values of that name.
    List(&'a Items),
}

impl<'a> Form<'a> {
    fn of(kind: &'a ArgKind) -> Self {
        match kind {
            ArgKind::Num | ArgKind::NumBetween { .. } | ArgKind::Integer { .. } => Self::Number,
            ArgKind::Boolean => Self::Boolean,
            ArgKind::List { items, .. } => Self::List(items),
            ArgKind::Map(_) | ArgKind::Object { .. } => Self::Json,
            ArgKind::String { .. }
            | ArgKind::Pattern { .. }
            | ArgKind::Enum { .. }
            | ArgKind::Uuid
            | ArgKind::Datetime
            | ArgKind::NaiveDatetime
            | ArgKind::Any => Self::Text,
        }
    }

    /// The form of a list's items. Lists in lists are written as JSON.
    fn of_item(items: &'a Items) -> Self {
        match items {
            Items::Scalars { .. } => Self::Text,
            Items::Of(spec) => match Self::of(&spec.kind) {
                Self::List(_) => Self::Json,
                form => form,
            },
        }
    }

    /// Appends `text` in this form, or as text where it does not have it: the function's own rules
    /// say later what is wrong, and only to those who may call it.
    fn write(self, text: &str, out: &mut Vec<u8>) {
        let as_is = match self {
            Self::Text | Self::List(_) => false,
            Self::Number => is_number(text),
            Self::Boolean => matches!(text, "true" | "false"),
            Self::Json => text.starts_with(['{', '[']) && is_json(text),
        };
        if as_is {
            out.extend_from_slice(text.as_bytes());
        } else {
            #[expect(clippy::expect_used, reason = "text, into memory")]
            serde_json::to_writer(out, text).expect("text serializes");
        }
    }
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<&RawValue>(text).is_ok()
}

/// Whether this is a number as JSON writes them.
fn is_number(text: &str) -> bool {
    text.starts_with(|c: char| c == '-' || c.is_ascii_digit())
        && text.ends_with(|c: char| c.is_ascii_digit())
        && is_json(text)
}

/// The args that a query string (`application/x-www-form-urlencoded`) holds, as a JSON object in
/// the order in which names first appear.
///
/// Values of declared numbers, booleans, maps and lists are read as such; all others stay text,
/// and so does what does not fit. A name that stands several times makes a list where one is
/// declared.
///
/// # Errors
/// Names and values that are not percent-encoded UTF-8, and names that stand several times where
/// no list is declared: all of them, up to [`MAX_FAULTS`].
pub fn args_from_query(query: &str, types: Option<&ArgTypes>) -> Result<Payload, Vec<Fault>> {
    let (pairs, mut faults) = decode(query);
    let mut names: Vec<(&str, Vec<&str>)> = Vec::new();
    let mut place: HashMap<&str, usize> = HashMap::new();
    for (name, value) in &pairs {
        let at = *place.entry(name.as_ref()).or_insert_with(|| {
            names.push((name, Vec::new()));
            names.len() - 1
        });
        names[at].1.push(value.as_ref());
    }
    let mut out = Vec::with_capacity(query.len() + 2 + 6 * names.len());
    out.push(b'{');
    for (i, (name, values)) in names.iter().enumerate() {
        let form = spec_of(types, name).map_or(Form::Text, |spec| Form::of(&spec.kind));
        if values.len() > 1 && !matches!(form, Form::List(_)) {
            faults.push(fault(name, category::DUPLICATE, "stands several times"));
        }
        if i > 0 {
            out.push(b',');
        }
        Form::Text.write(name, &mut out);
        out.push(b':');
        write_values(form, values, &mut out);
    }
    out.push(b'}');
    faults.truncate(MAX_FAULTS);
    if faults.is_empty() {
        Ok(Payload::json(out))
    } else {
        Err(faults)
    }
}

fn spec_of<'a>(types: Option<&'a ArgTypes>, name: &str) -> Option<&'a ArgSpec> {
    let (_, spec) = types?.0.iter().find(|(n, _)| n == name)?;
    Some(spec)
}

fn write_values(form: Form<'_>, values: &[&str], out: &mut Vec<u8>) {
    let Form::List(items) = form else {
        form.write(values.first().unwrap_or(&""), out);
        return;
    };
    out.push(b'[');
    for (i, value) in values.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        Form::of_item(items).write(value, out);
    }
    out.push(b']');
}

type Pairs<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

fn decode(query: &str) -> (Pairs<'_>, Vec<Fault>) {
    let mut pairs = Vec::new();
    let mut faults = Vec::new();
    for pair in query.split('&').filter(|p| !p.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        match (form_decode(name), form_decode(value)) {
            (Some(name), Some(value)) => pairs.push((name, value)),
            // The name as it came, if that is what cannot be read.
            (decoded, _) if faults.len() < MAX_FAULTS => {
                let name = decoded.as_deref().unwrap_or(name);
                let text = "is not percent-encoded UTF-8";
                faults.push(fault(name, category::MALFORMED, text));
            }
            _ => {}
        }
    }
    (pairs, faults)
}

/// Percent-decoding, with `+` for a space.
fn form_decode(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('+') {
        return percent_decode(text);
    }
    let spaced = text.replace('+', " ");
    percent_decode(&spaced).map(|decoded| Cow::Owned(decoded.into_owned()))
}

/// The text that `text` encodes; `None` if an escape is malformed or the result is not UTF-8.
pub(super) fn percent_decode(text: &str) -> Option<Cow<'_, str>> {
    let mut escapes = text.split('%').skip(1);
    let is_escape = |e: &str| {
        let digits = e.as_bytes().get(..2);
        digits.is_some_and(|d| d.iter().all(u8::is_ascii_hexdigit))
    };
    if !escapes.all(is_escape) {
        return None;
    }
    percent_decode_str(text).decode_utf8().ok()
}

fn fault(name: &str, category: &'static str, what: &str) -> Fault {
    // What a stranger wrote is not echoed at any length.
    let name: String = name.chars().take(128).collect();
    Fault {
        path: format!("/{}", name.replace('~', "~0").replace('/', "~1")),
        category,
        message: format!("query parameter {name:?} {what}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn types() -> ArgTypes {
        ArgTypes::from_json(&json!({
            "s": "string", "n": "num", "i": {"type": "integer", "min": 3}, "b": "boolean",
            "any": "any", "u": "uuid", "m": "map", "ls": "list_string", "ln": "list_num",
            "lm": "list_map",
        }))
        .unwrap()
    }

    fn typed(query: &str) -> Value {
        let args = args_from_query(query, Some(&types())).unwrap();
        serde_json::from_slice(&args.bytes).unwrap()
    }

    #[test]
    fn values_become_what_is_declared() {
        for (query, expected) in [
            ("", json!({})),
            ("&&", json!({})),
            ("s=1", json!({"s": "1"})),
            ("s", json!({"s": ""})),
            ("s=a=b", json!({"s": "a=b"})),
            ("s=a+b%20c%2B%26", json!({"s": "a b c+&"})),
            ("s=%22%0A%C3%A9", json!({"s": "\"\né"})),
            ("n=1.5", json!({"n": 1.5})),
            ("n=-0", json!({"n": -0.0})),
            ("n=007", json!({"n": "007"})),
            ("n=NaN", json!({"n": "NaN"})),
            ("n=+1", json!({"n": " 1"})),
            ("n=", json!({"n": ""})),
            ("i=1", json!({"i": 1})),
            ("b=true", json!({"b": true})),
            ("b=True", json!({"b": "True"})),
            ("any=1", json!({"any": "1"})),
            ("u=x", json!({"u": "x"})),
            ("m=%7B%22a%22:1%7D", json!({"m": {"a": 1}})),
            ("m=%7B%22a%22:1", json!({"m": "{\"a\":1"})),
            ("m=1", json!({"m": "1"})),
            ("ls=1", json!({"ls": ["1"]})),
            ("ls=1&s=x&ls=2", json!({"ls": ["1", "2"], "s": "x"})),
            ("ln=1&ln=x", json!({"ln": [1, "x"]})),
            ("lm=%7B%7D&lm=2", json!({"lm": [{}, "2"]})),
            ("other=1", json!({"other": "1"})),
            ("=x", json!({"": "x"})),
        ] {
            assert_eq!(typed(query), expected, "{query}");
        }
    }

    #[test]
    fn without_types_all_is_text_in_order() {
        let args = args_from_query("z=1&a=true", None).unwrap();
        assert_eq!(args.bytes, r#"{"z":"1","a":"true"}"#);
    }

    #[test]
    fn digits_are_kept() {
        let args = args_from_query("n=12345678901234567890.10", Some(&types())).unwrap();
        assert_eq!(args.bytes, r#"{"n":12345678901234567890.10}"#);
    }

    #[test]
    fn all_faults_at_once() {
        let query = "s=1&s=2&a%2=x&n=%ff&%ff=1&x=1&%78=2&a~/b=1&a~/b=1&ls=1&ls=2";
        let faults = args_from_query(query, Some(&types())).unwrap_err();
        let rows: Vec<_> = faults
            .iter()
            .map(|f| (f.path.as_str(), f.category))
            .collect();
        assert_eq!(
            rows,
            [
                ("/a%2", "malformed"),
                ("/n", "malformed"),
                ("/%ff", "malformed"),
                ("/s", "duplicate"),
                ("/x", "duplicate"),
                ("/a~0~1b", "duplicate"),
            ]
        );
        let many: String = (0..1000).map(|_| "%&").collect();
        assert_eq!(args_from_query(&many, None).unwrap_err().len(), MAX_FAULTS);
    }

    proptest! {
        #[test]
        fn whatever_comes_is_one_object_or_faults(query in ".{0,80}|([a-c]=[^&]{0,5}&){0,8}") {
            for types in [None, Some(&types())] {
                match args_from_query(&query, types) {
                    Ok(args) => {
                        let value: Value = serde_json::from_slice(&args.bytes).unwrap();
                        prop_assert!(value.is_object());
                    }
                    Err(faults) => prop_assert!(!faults.is_empty() && faults.len() <= MAX_FAULTS),
                }
            }
        }

        #[test]
        fn text_arrives_as_it_was(name in "[^&]{1,12}", value in ".{0,40}") {
            use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
            let encode = |t| utf8_percent_encode(t, NON_ALPHANUMERIC).to_string();
            let query = format!("{}={}", encode(&name), encode(&value));
            let args = args_from_query(&query, None).unwrap();
            let parsed: Value = serde_json::from_slice(&args.bytes).unwrap();
            prop_assert_eq!(parsed, json!({name: value}));
        }
    }
}
