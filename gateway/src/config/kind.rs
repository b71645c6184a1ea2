//! The kinds of values that options take: how each is read, checked, shown and described.

pub(crate) mod number;
pub(crate) mod operators;
pub(crate) mod secret;
pub(crate) mod text;

use std::borrow::Cow;
use std::fmt;

use serde_json::Value as Json;
use toml::de::DeValue;

/// A kind of value. One reading serves the file and the environment alike, through [`Raw`].
pub(crate) trait Kind {
    /// What the option's field holds.
    type Value: fmt::Debug;
    /// What the option's name has after the field's name: the unit.
    const SUFFIX: &'static str = "";
    /// Never shown; may be read from a file of its own.
    const SECRET: bool = false;

    /// What is expected, for messages and the reference: lower-case, no full stop.
    fn describe(&self) -> String;

    /// Reads a value.
    ///
    /// # Errors
    /// Every fault of it, each saying what would be right.
    fn parse(&self, raw: &Raw<'_>) -> Result<Self::Value, Vec<String>>;

    /// The value in TOML; `None`: there is none to show.
    fn show(&self, value: &Self::Value) -> Option<String>;

    /// The value as JSON, in the form that the file takes; kinds that hold secrets mask them.
    fn json(&self, value: &Self::Value) -> Json {
        self.show(value)
            .map_or(Json::Null, |toml| json_of_toml(&toml))
    }

    /// Prints the value for debugging; kinds that hold secrets mask them.
    fn debug(&self, value: &Self::Value, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(value, f)
    }

    /// The fault of a value that is not of this kind.
    fn unexpected(&self, raw: &Raw<'_>) -> Vec<String> {
        vec![format!("expected {}, got {raw}", self.describe())]
    }
}

/// A value as it stands in its source.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Raw<'a> {
    /// In the config file.
    Toml(&'a DeValue<'a>),
    /// In the environment: always text.
    Text(&'a str),
    /// In a file of its own.
    File(&'a str),
}

impl<'a> Raw<'a> {
    /// The value as text.
    pub(crate) fn text(&self) -> Option<&'a str> {
        match self {
            Self::Toml(DeValue::String(text)) => Some(text.as_ref()),
            Self::Toml(_) => None,
            Self::Text(text) | Self::File(text) => Some(text),
        }
    }

    /// The value as an integer. In TOML one in quotes is text, not an integer.
    pub(crate) fn integer(&self) -> Option<i128> {
        match self {
            Self::Toml(DeValue::Integer(i)) => i128::from_str_radix(i.as_str(), i.radix()).ok(),
            Self::Toml(_) => None,
            Self::Text(text) | Self::File(text) => text.trim().parse().ok(),
        }
    }

    /// The value as true or false.
    pub(crate) fn boolean(&self) -> Option<bool> {
        match self {
            Self::Toml(DeValue::Boolean(b)) => Some(*b),
            Self::Toml(_) => None,
            Self::Text(text) | Self::File(text) => {
                match text.trim().to_ascii_lowercase().as_str() {
                    "true" | "1" | "yes" | "on" => Some(true),
                    "false" | "0" | "no" | "off" => Some(false),
                    _ => None,
                }
            }
        }
    }

    /// The value's items: a TOML array, or text separated by commas.
    pub(crate) fn items(&self) -> Option<Vec<Raw<'a>>> {
        match self {
            Self::Toml(DeValue::Array(items)) => {
                Some(items.iter().map(|i| Raw::Toml(i.get_ref())).collect())
            }
            Self::Toml(_) => None,
            Self::Text(text) | Self::File(text) => Some(
                text.split(',')
                    .map(str::trim)
                    .filter(|item| !item.is_empty())
                    .map(Raw::Text)
                    .collect(),
            ),
        }
    }
}

impl fmt::Display for Raw<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) | Self::File(text) => write!(f, "{:?}", shortened(text)),
            Self::Toml(DeValue::String(text)) => write!(f, "{:?}", shortened(text)),
            Self::Toml(DeValue::Integer(i)) => write!(f, "{i}"),
            Self::Toml(DeValue::Float(n)) => write!(f, "{}", n.as_str()),
            Self::Toml(DeValue::Boolean(b)) => write!(f, "{b}"),
            Self::Toml(DeValue::Datetime(d)) => write!(f, "{d}"),
            Self::Toml(DeValue::Array(_)) => f.write_str("an array"),
            Self::Toml(DeValue::Table(_)) => f.write_str("a table"),
        }
    }
}

fn shortened(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", &text[..end]).into(),
        None => text.into(),
    }
}

/// What a value in TOML is in JSON.
fn json_of_toml(value: &str) -> Json {
    let table: Result<toml::Table, _> = format!("value = {value}").parse();
    let value = table.ok().and_then(|mut table| table.remove("value"));
    value.map_or(Json::Null, |value| {
        serde_json::to_value(value).unwrap_or_default()
    })
}

/// Text as TOML has it.
pub(crate) fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}
