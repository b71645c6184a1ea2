//! What args a function takes: told by hand here, derived from a Rust type in [`schema`].
//!
//! All that knows about kinds of arguments stands in these two files.

mod schema;

use serde_json::Value;
use sluice_protocol::argument::{ArgKind, ArgSpec, ArgTypes, Items, MapRule, Pattern};

pub(crate) use self::schema::derive;

/// Most bytes of a string whose type names no limit of its own; what a request may have in all is
/// a matter of the gateway.
///
/// `#[schemars(length(max = n))]` on a field sets a limit, of n characters.
pub const DEFAULT_STRING_BYTES: usize = 1024 * 1024;
/// Most items of a list, or entries of a map, whose type names no limit of its own.
pub const DEFAULT_LIST_ITEMS: usize = 65_536;

/// One argument, told by hand: for handlers whose args are a plain `serde_json::Value`.
///
/// ```
/// use serde_json::{Value, json};
/// use sluice_worker::{Arg, Function};
///
/// let search = Function::sync("search", async |args: Value| args["text"].clone()).args([
///     ("text", Arg::string().max_bytes(200)),
///     ("limit", Arg::integer_between(1, 100).default(json!(10))),
///     ("tags", Arg::list_of(Arg::string()).max_items(8).optional()),
///     ("order", Arg::one_of(["newest", "oldest"]).optional()),
/// ]);
/// # let _ = search;
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Arg {
    spec: ArgSpec,
    mistake: Option<String>,
}

impl Arg {
    /// A kind of argument, as the protocol has it.
    pub fn kind(kind: ArgKind) -> Self {
        Self {
            spec: ArgSpec::new(kind),
            mistake: None,
        }
    }

    /// A string of at most [`DEFAULT_STRING_BYTES`].
    pub fn string() -> Self {
        Self::kind(ArgKind::String {
            max_bytes: DEFAULT_STRING_BYTES,
        })
    }

    /// A string that this regular expression describes as a whole.
    pub fn pattern(expression: &str) -> Self {
        match Pattern::new(expression) {
            Ok(pattern) => Self::kind(ArgKind::Pattern {
                max_bytes: DEFAULT_STRING_BYTES,
                pattern,
            }),
            Err(fault) => Self {
                mistake: Some(format!("pattern {expression:?} {fault}")),
                ..Self::string()
            },
        }
    }

    /// One of these strings.
    pub fn one_of<'a>(values: impl IntoIterator<Item = &'a str>) -> Self {
        Self::kind(ArgKind::Enum {
            values: values.into_iter().map(str::to_owned).collect(),
        })
    }

    /// Any number.
    pub fn num() -> Self {
        Self::kind(ArgKind::Num)
    }

    /// A number within these bounds, both inclusive.
    pub fn num_between(min: f64, max: f64) -> Self {
        let (min, max) = (Some(min), Some(max));
        Self::kind(ArgKind::NumBetween { min, max })
    }

    /// A whole number of 64 bits.
    pub fn integer() -> Self {
        let (min, max) = (None, None);
        Self::kind(ArgKind::Integer { min, max })
    }

    /// A whole number within these bounds, both inclusive.
    pub fn integer_between(min: i64, max: i64) -> Self {
        let (min, max) = (Some(min), Some(max));
        Self::kind(ArgKind::Integer { min, max })
    }

    /// True or false.
    pub fn boolean() -> Self {
        Self::kind(ArgKind::Boolean)
    }

    /// A UUID.
    pub fn uuid() -> Self {
        Self::kind(ArgKind::Uuid)
    }

    /// A date and time with offset (ISO 8601).
    pub fn datetime() -> Self {
        Self::kind(ArgKind::Datetime)
    }

    /// A date and time without offset (ISO 8601).
    pub fn naive_datetime() -> Self {
        Self::kind(ArgKind::NaiveDatetime)
    }

    /// A list of at most [`DEFAULT_LIST_ITEMS`] such items.
    pub fn list_of(item: Arg) -> Self {
        Self {
            mistake: item.mistake,
            ..Self::kind(ArgKind::List {
                items: Items::Of(Box::new(item.spec)),
                max_items: DEFAULT_LIST_ITEMS,
            })
        }
    }

    /// An object of any keys and values, of at most [`DEFAULT_LIST_ITEMS`] entries.
    pub fn map() -> Self {
        Self::kind(ArgKind::Map(MapRule::free(DEFAULT_LIST_ITEMS)))
    }

    /// An object of these fields and no others.
    pub fn object<'a>(fields: impl IntoIterator<Item = (&'a str, Arg)>) -> Self {
        let (fields, mistake) = types(fields);
        Self {
            mistake,
            ..Self::kind(ArgKind::Object { fields })
        }
    }

    /// Anything but null.
    pub fn any() -> Self {
        Self::kind(ArgKind::Any)
    }

    /// Most bytes of a string; means nothing for other kinds.
    pub fn max_bytes(mut self, max: usize) -> Self {
        if let ArgKind::String { max_bytes } | ArgKind::Pattern { max_bytes, .. } =
            &mut self.spec.kind
        {
            *max_bytes = max;
        }
        self
    }

    /// Most items of a list or map; means nothing for other kinds.
    pub fn max_items(mut self, max: usize) -> Self {
        match &mut self.spec.kind {
            ArgKind::List { max_items, .. } => *max_items = max,
            ArgKind::Map(rule) => rule.max_items = max,
            _ => {}
        }
        self
    }

    /// It may be absent or null.
    pub fn optional(mut self) -> Self {
        self.spec.allow_nil = true;
        self
    }

    /// What stands in when it is absent; for args themselves, not for fields within them.
    pub fn default(mut self, value: Value) -> Self {
        self.spec.default_value = Some(value);
        self
    }
}

/// The args, and the first mistake in them.
pub(crate) fn types<'a>(
    args: impl IntoIterator<Item = (&'a str, Arg)>,
) -> (ArgTypes, Option<String>) {
    let mut mistake = None;
    let types = args
        .into_iter()
        .map(|(name, arg)| {
            if let Some(found) = arg.mistake {
                mistake.get_or_insert(format!("{name}: {found}"));
            }
            (name.to_owned(), arg.spec)
        })
        .collect();
    (ArgTypes(types), mistake)
}
