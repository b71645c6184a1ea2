//! What a value must be, and the verdict over a value that is no list or object.

use std::fmt;

use super::{ArgKind, ArgSpec, DEFAULT_STRING_BYTES, Items, category, format};

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
    /// The argument's kind, if an argument says what the value must be.
    pub(super) fn kind(self) -> Option<&'t ArgKind> {
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
    pub(super) fn rule(&self) -> Rule<'_> {
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
pub(super) enum Number {
    Int(i128),
    Float(f64),
}

/// Whether a value fits; if not, the category and text of its fault.
pub(super) type Verdict = Result<(), (&'static str, String)>;

impl Rule<'_> {
    /// For a value of another type.
    pub(super) fn wrong_type(self, got: &str) -> Verdict {
        let message = format!("expected {}, got {got}", self.expects());
        Err((category::TYPE, message))
    }

    /// For a string.
    pub(super) fn text(self, text: &str) -> Verdict {
        let kind = match self {
            Rule::Anything => return Ok(()),
            Rule::Flat => return length(text, DEFAULT_STRING_BYTES),
            Rule::Scalar { max_bytes } => return length(text, max_bytes),
            Rule::Spec(spec) => &spec.kind,
        };
        match kind {
            ArgKind::Any => Ok(()),
            ArgKind::String { max_bytes } => length(text, *max_bytes),
            ArgKind::Pattern { max_bytes, pattern } => {
                length(text, *max_bytes)?;
                form(pattern.matches(text), || {
                    format!("a string like {pattern:?}")
                })
            }
            ArgKind::Enum { values } if values.iter().any(|v| v == text) => Ok(()),
            ArgKind::Enum { values } => {
                let some: Vec<&str> = values.iter().take(20).map(String::as_str).collect();
                let more = if values.len() > 20 { ", …" } else { "" };
                let message = format!("expected one of {}{more}", some.join(", "));
                Err((category::ENUM, message))
            }
            ArgKind::Uuid => form(format::is_uuid(text), || "a UUID, version 1 to 8"),
            ArgKind::Datetime => form(
                format::is_datetime(text),
                || "a date and time with offset, such as 2024-01-15T10:30:00Z",
            ),
            ArgKind::NaiveDatetime => form(
                format::is_naive_datetime(text),
                || "a date and time without offset, such as 2024-01-15T10:30:00",
            ),
            _ => self.wrong_type("a string"),
        }
    }

    /// For a number.
    pub(super) fn number(self, number: Number) -> Verdict {
        if let Number::Float(float) = number
            && !float.is_finite()
        {
            return Err((category::TYPE, "expected a finite number".to_owned()));
        }
        let kind = match self {
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

    /// For null.
    pub(super) fn null(self) -> Verdict {
        match self {
            Rule::Anything => Ok(()),
            Rule::Spec(spec) if spec.allow_nil => Ok(()),
            rule => Err((
                category::NULL,
                format!("expected {}, got null", rule.expects()),
            )),
        }
    }

    /// For lists and objects where there may be none.
    pub(super) fn nested(self, got: &str) -> Verdict {
        let message = format!("expected {}: nested {got} is not taken", self.expects());
        Err((category::NESTED, message))
    }
}

fn form<T: fmt::Display>(fits: bool, form: impl Fn() -> T) -> Verdict {
    if fits {
        return Ok(());
    }
    Err((category::FORMAT, format!("expected {}", form())))
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
