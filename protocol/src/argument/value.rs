//! One value against one rule.
//!
//! A visitor that takes whatever comes: what does not fit is noted as a fault, and the walk goes
//! on behind it, so that all faults are found at once.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::path::Path;
use super::walk::Walk;
use super::{ArgKind, ArgSpec, DEFAULT_ITEMS, DEFAULT_STRING_BYTES, Items, category};
use super::{format, object};

/// What a value must be.
#[derive(Clone, Copy)]
pub(super) enum Rule<'t> {
    /// What an argument says.
    Spec(&'t ArgSpec),
    /// A boolean, number or string.
    Scalar {
        /// Most bytes of a string.
        max_bytes: usize,
    },
    /// A scalar, or a list of scalars.
    Flat,
    /// Whatever can be said in JSON, null too.
    Anything,
}

impl<'t> Rule<'t> {
    fn kind(self) -> Option<&'t ArgKind> {
        match self {
            Self::Spec(spec) => Some(&spec.kind),
            Self::Scalar { .. } | Self::Flat | Self::Anything => None,
        }
    }

    fn expects(self) -> &'static str {
        match self {
            Self::Spec(spec) => spec.kind.expects(),
            Self::Scalar { .. } => "a boolean, number or string",
            Self::Flat => "a boolean, number, string or flat list",
            Self::Anything => "what JSON can say",
        }
    }
}

impl ArgKind {
    fn expects(&self) -> &'static str {
        match self {
            Self::String { .. } | Self::Pattern { .. } | Self::Enum { .. } => "a string",
            Self::Num | Self::NumBetween { .. } => "a number",
            Self::Integer { .. } => "an integer",
            Self::Boolean => "true or false",
            Self::Uuid => "a UUID as string",
            Self::Datetime => "a date and time with offset as string",
            Self::NaiveDatetime => "a date and time without offset as string",
            Self::List { .. } => "a list",
            Self::Map(_) | Self::Object { .. } => "an object",
            Self::Any => "anything but null",
        }
    }
}

impl Items {
    fn rule(&self) -> Rule<'_> {
        match self {
            Self::Scalars { max_item_bytes } => Rule::Scalar {
                max_bytes: *max_item_bytes,
            },
            Self::Of(spec) => Rule::Spec(spec),
        }
    }
}

/// A number of any encoding.
#[derive(Clone, Copy)]
enum Number {
    Int(i128),
    Float(f64),
}

type Verdict = Result<(), (&'static str, String)>;

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

    fn wrong_type(&self, got: &str) -> Verdict {
        let message = format!("expected {}, got {got}", self.rule.expects());
        Err((category::TYPE, message))
    }

    fn text(&self, text: &str) -> Verdict {
        let kind = match self.rule {
            Rule::Anything => return Ok(()),
            Rule::Flat => return length(text, DEFAULT_STRING_BYTES),
            Rule::Scalar { max_bytes } => return length(text, max_bytes),
            Rule::Spec(spec) => &spec.kind,
        };
        let form = |fits: bool, form: &str| {
            let message = || format!("expected {form}");
            fits.then_some(())
                .ok_or_else(|| (category::FORMAT, message()))
        };
        match kind {
            ArgKind::Any => Ok(()),
            ArgKind::String { max_bytes } => length(text, *max_bytes),
            ArgKind::Pattern { max_bytes, pattern } => {
                length(text, *max_bytes)?;
                form(
                    pattern.matches(text),
                    &format!("a string like {:?}", pattern.as_str()),
                )
            }
            ArgKind::Enum { values } if values.iter().any(|v| v == text) => Ok(()),
            ArgKind::Enum { values } => {
                let some: Vec<&str> = values.iter().take(20).map(String::as_str).collect();
                let more = if values.len() > 20 { ", …" } else { "" };
                let message = format!("expected one of {}{more}", some.join(", "));
                Err((category::ENUM, message))
            }
            ArgKind::Uuid => form(format::is_uuid(text), "a UUID, version 1 to 8"),
            ArgKind::Datetime => form(
                format::is_datetime(text),
                "a date and time with offset, such as 2024-01-15T10:30:00Z",
            ),
            ArgKind::NaiveDatetime => form(
                format::is_naive_datetime(text),
                "a date and time without offset, such as 2024-01-15T10:30:00",
            ),
            _ => self.wrong_type("a string"),
        }
    }

    fn number(&self, number: Number) -> Verdict {
        if let Number::Float(float) = number
            && !float.is_finite()
        {
            return Err((category::TYPE, "expected a finite number".to_owned()));
        }
        let kind = match self.rule {
            Rule::Anything | Rule::Flat | Rule::Scalar { .. } => return Ok(()),
            Rule::Spec(spec) => &spec.kind,
        };
        match (kind, number) {
            (ArgKind::Any | ArgKind::Num, _) => Ok(()),
            (ArgKind::NumBetween { min, max }, number) => {
                #[expect(clippy::cast_precision_loss, reason = "bounds are floats")]
                let float = match number {
                    Number::Int(int) => int as f64,
                    Number::Float(float) => float,
                };
                between(&float, min.as_ref(), max.as_ref())
            }
            (ArgKind::Integer { min, max }, Number::Int(int)) => between(
                &int,
                min.map(i128::from).as_ref(),
                max.map(i128::from).as_ref(),
            ),
            (ArgKind::Integer { .. }, Number::Float(_)) => {
                self.wrong_type("a number with fraction or exponent, or of more than 64 bits")
            }
            _ => self.wrong_type("a number"),
        }
    }

    fn null(&self) -> Verdict {
        match self.rule {
            Rule::Anything => Ok(()),
            Rule::Spec(spec) if spec.allow_nil => Ok(()),
            rule => Err((
                category::NULL,
                format!("expected {}, got null", rule.expects()),
            )),
        }
    }

    /// For lists and objects where there may be none.
    fn nested(&self, got: &str) -> Verdict {
        let message = format!(
            "expected {}: nested {got} is not taken",
            self.rule.expects()
        );
        Err((category::NESTED, message))
    }
}

fn length(text: &str, max: usize) -> Verdict {
    if text.len() <= max {
        return Ok(());
    }
    let message = format!("too long: max {max} bytes, got {}", text.len());
    Err((category::TOO_LARGE, message))
}

fn between<T: PartialOrd + fmt::Display>(n: &T, min: Option<&T>, max: Option<&T>) -> Verdict {
    if let Some(min) = min.filter(|min| n < *min) {
        return Err((category::RANGE, format!("must be at least {min}")));
    }
    match max.filter(|max| n > *max) {
        Some(max) => Err((category::RANGE, format!("must be at most {max}"))),
        None => Ok(()),
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
            self.wrong_type("a boolean")
        };
        self.note(verdict)
    }

    fn visit_i64<E: Error>(self, int: i64) -> Result<(), E> {
        let verdict = self.number(Number::Int(int.into()));
        self.note(verdict)
    }

    fn visit_u64<E: Error>(self, int: u64) -> Result<(), E> {
        let verdict = self.number(Number::Int(int.into()));
        self.note(verdict)
    }

    fn visit_f64<E: Error>(self, float: f64) -> Result<(), E> {
        let verdict = self.number(Number::Float(float));
        self.note(verdict)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        let verdict = self.text(text);
        self.note(verdict)
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        let verdict = self.null();
        self.note(verdict)
    }

    // MessagePack: binary, and strings that are not UTF-8.
    fn visit_bytes<E: Error>(self, _: &[u8]) -> Result<(), E> {
        let verdict = self.wrong_type("bytes that are not UTF-8 text");
        self.note(verdict)
    }

    // MessagePack: extensions.
    fn visit_newtype_struct<D: Deserializer<'de>>(self, d: D) -> Result<(), D::Error> {
        serde::de::IgnoredAny.visit_newtype_struct(d)?;
        let verdict = self.wrong_type("a MessagePack extension");
        self.note(verdict)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let (verdict, items, max) = match self.rule {
            Rule::Anything => (Ok(()), Rule::Anything, usize::MAX),
            Rule::Flat => {
                let max_bytes = DEFAULT_STRING_BYTES;
                (Ok(()), Rule::Scalar { max_bytes }, DEFAULT_ITEMS)
            }
            Rule::Scalar { .. } => (self.nested("list"), Rule::Anything, usize::MAX),
            Rule::Spec(spec) => match &spec.kind {
                ArgKind::List { items, max_items } => (Ok(()), items.rule(), *max_items),
                ArgKind::Any => (Ok(()), Rule::Anything, usize::MAX),
                _ => (self.wrong_type("a list"), Rule::Anything, usize::MAX),
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
            Rule::Flat | Rule::Scalar { .. } => self.nested("object"),
            Rule::Spec(spec) => match &spec.kind {
                ArgKind::Object { .. } | ArgKind::Map(_) | ArgKind::Any => Ok(()),
                _ => self.wrong_type("an object"),
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
