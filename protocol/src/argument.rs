//! What args a function takes, and whether a request's args are that.
//!
//! [`check`] reads the bytes once, as they came, JSON and MessagePack alike: no tree is built, and
//! nothing is printed anew. `docs/arguments.md` describes the types for users.
//!
//! ```
//! use serde_json::json;
//! use sluice_protocol::argument::{ArgTypes, check};
//! use sluice_protocol::Payload;
//!
//! let types = json!({"name": {"type": "string", "max_bytes": 40},
//!                    "limit": {"type": "integer", "min": 1, "default_value": 10}});
//! let types = ArgTypes::from_json(&types).unwrap();
//!
//! let args = check(Some(&types), Payload::json(r#"{"name": "Ada"}"#)).unwrap();
//! assert_eq!(args.payload().bytes, r#"{"name": "Ada","limit":10}"#);
//!
//! let faults = check(Some(&types), Payload::json(r#"{"nam": 1, "limit": 0}"#)).unwrap_err();
//! let places: Vec<_> = faults.iter().map(|f| (f.path.as_str(), f.category)).collect();
//! assert_eq!(places, [("/nam", "unknown"), ("/limit", "range"), ("/name", "missing")]);
//! ```

mod fill;
mod format;
mod keys;
mod lookup;
mod object;
mod options;
mod path;
mod pattern;
mod positional;
mod print;
mod quick;
mod rule;
mod spec;
mod value;
mod walk;

use serde_json::Value;

use crate::payload::Payload;

pub use lookup::{ArgValue, one_level_down, top_level};
pub use pattern::{InvalidPattern, MAX_PATTERN_BYTES, Pattern};
pub use positional::positional;
pub(crate) use spec::Budget;

/// Most bytes of a string that names no limit of its own.
pub const DEFAULT_STRING_BYTES: usize = 3000;
/// Most items of a list, or entries of a map, that names no limit of its own.
pub const DEFAULT_ITEMS: usize = 1000;
/// Most faults that one check reports; it stops there.
pub const MAX_FAULTS: usize = 32;
/// How deep `object` and `list` may nest in `arg_types`.
pub const MAX_TYPE_DEPTH: usize = 32;
/// Most fields of one object in `arg_types`, and most names in `required` or `accept`.
pub const MAX_FIELDS: usize = 128;

/// The `arg_types` of a function: names in the order of registration.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ArgTypes(pub Vec<(String, ArgSpec)>);

/// One argument.
#[derive(Debug, Clone, PartialEq)]
pub struct ArgSpec {
    /// Its type, and the limits that go with it.
    pub kind: ArgKind,
    /// Whether an explicit null is fine, and absence too.
    pub allow_nil: bool,
    /// What stands in when it is absent; `None` and null: nothing does. Top-level args only.
    pub default_value: Option<Value>,
}

/// The types of arguments. All limits are inclusive.
#[derive(Debug, Clone, PartialEq)]
pub enum ArgKind {
    /// A string of at most so many bytes.
    String {
        /// Most bytes of UTF-8.
        max_bytes: usize,
    },
    /// A string that a regular expression describes from its first to its last character.
    Pattern {
        /// Most bytes of UTF-8.
        max_bytes: usize,
        /// The expression.
        pattern: Pattern,
    },
    /// One of these strings.
    Enum {
        /// They.
        values: Vec<String>,
    },
    /// Any number.
    Num,
    /// A number within bounds.
    NumBetween {
        /// The least.
        min: Option<f64>,
        /// The greatest.
        max: Option<f64>,
    },
    /// A number without fraction or exponent, of 64 bits, signed or unsigned.
    Integer {
        /// The least.
        min: Option<i64>,
        /// The greatest.
        max: Option<i64>,
    },
    /// True or false.
    Boolean,
    /// A UUID (RFC 9562) in canonical form, as 32 hex digits, or as URN.
    Uuid,
    /// A date and time with offset (ISO 8601).
    Datetime,
    /// A date and time without offset (ISO 8601).
    NaiveDatetime,
    /// A list.
    List {
        /// What it may hold.
        items: Items,
        /// Most items.
        max_items: usize,
    },
    /// An object of any keys.
    Map(MapRule),
    /// An object of these fields and no others.
    Object {
        /// They.
        fields: ArgTypes,
    },
    /// Anything but null.
    Any,
}

/// What a list may hold.
#[derive(Debug, Clone, PartialEq)]
pub enum Items {
    /// Booleans, numbers and strings, mixed: what plain `list` takes.
    Scalars {
        /// Most bytes of each string.
        max_item_bytes: usize,
    },
    /// Items of one type.
    Of(Box<ArgSpec>),
}

/// What an object of any keys may hold.
#[derive(Debug, Clone, PartialEq)]
pub struct MapRule {
    /// Most entries.
    pub max_items: usize,
    /// Keys that must be there.
    pub required: Vec<String>,
    /// The only keys that may be there; empty: all may.
    pub accept: Vec<String>,
    /// Whether values must be booleans, numbers, strings or lists of these: so it is for each map
    /// type with an option of its own, as it was in the ancestor.
    pub flat: bool,
}

impl MapRule {
    /// An object of at most so many entries, their values unchecked.
    #[must_use]
    pub fn free(max_items: usize) -> Self {
        Self {
            max_items,
            required: Vec::new(),
            accept: Vec::new(),
            flat: false,
        }
    }
}

/// One fault of a request's args, or of the `arg_types` that a worker registers.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Fault {
    /// Where: a JSON Pointer (RFC 6901), `/age`.
    pub path: String,
    /// What kind; one of [`category`].
    pub category: &'static str,
    /// What is wrong, and what would be right.
    pub message: String,
}

/// The kinds of faults.
pub mod category {
    /// Not one well-formed object of its encoding; nothing else was checked.
    pub const MALFORMED: &str = "malformed";
    /// Nested too deep; nothing behind it was checked.
    pub const DEPTH: &str = "depth";
    /// Required and absent.
    pub const MISSING: &str = "missing";
    /// Not declared.
    pub const UNKNOWN: &str = "unknown";
    /// There twice.
    pub const DUPLICATE: &str = "duplicate";
    /// Null where null is not allowed.
    pub const NULL: &str = "null";
    /// Of another type.
    pub const TYPE: &str = "type";
    /// A list or object where only flat values are allowed.
    pub const NESTED: &str = "nested";
    /// A string of too many bytes.
    pub const TOO_LARGE: &str = "too_large";
    /// A list or map of too many items.
    pub const TOO_MANY_ITEMS: &str = "too_many_items";
    /// A number out of bounds.
    pub const RANGE: &str = "range";
    /// A string of the wrong form: uuid, datetime, pattern.
    pub const FORMAT: &str = "format";
    /// A string that is none of the listed ones.
    pub const ENUM: &str = "enum";
    /// An `arg_types` that cannot be registered.
    pub const SPEC: &str = "spec";
}

/// Args that a function takes: checked, defaults filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedArgs(Payload);

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

impl CheckedArgs {
    /// The args to send.
    #[must_use]
    pub fn into_payload(self) -> Payload {
        self.0
    }

    /// The args to send.
    #[must_use]
    pub fn payload(&self) -> &Payload {
        &self.0
    }
}

/// Checks `args` against `types` and fills in the `default_value` of what is absent. Without
/// types, only that `args` is one well-formed object without duplicate keys.
///
/// Bytes are passed on as they came, numbers digit for digit, defaults behind them. What may be
/// null and is absent stays absent: a function that tells the two apart can do so.
///
/// # Errors
/// Every fault at once, up to [`MAX_FAULTS`].
pub fn check(types: Option<&ArgTypes>, args: Payload) -> Result<CheckedArgs, Vec<Fault>> {
    let top = walk::object(types, &args)?;
    Ok(CheckedArgs(match types {
        Some(types) => fill::fill(types, &top, args),
        None => args,
    }))
}

impl ArgTypes {
    /// Reads the JSON form: an object of names and types.
    ///
    /// # Errors
    /// Every mistake at once, paths relative to the object.
    pub fn from_json(value: &Value) -> Result<Self, Vec<Fault>> {
        spec::read(value, &mut Budget::default())
    }

    /// What stands in for an arg at the top level when it is absent; `None`: nothing does.
    #[must_use]
    pub fn stand_in(&self, name: &str) -> Option<&Value> {
        let (_, spec) = self.0.iter().find(|(own, _)| own == name)?;
        spec.stand_in()
    }

    /// [`Self::from_json`] as part of a config that may use only so much in all.
    pub(crate) fn read(value: &Value, budget: &mut Budget) -> Result<Self, Vec<Fault>> {
        spec::read(value, budget)
    }

    /// The JSON form; options that have their default are left out.
    #[must_use]
    pub fn to_json(&self) -> Value {
        print::types(self)
    }

    /// The argument of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&ArgSpec> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, spec)| spec)
    }

    /// The names, in the order of registration.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// Where `name` stands; looks first at `likely`, since most clients keep one order.
    fn position(&self, name: &str, likely: usize) -> Option<usize> {
        if self.0.get(likely).is_some_and(|(n, _)| n == name) {
            return Some(likely);
        }
        self.0.iter().position(|(n, _)| n == name)
    }
}

impl ArgSpec {
    /// A required argument of this kind.
    #[must_use]
    pub fn new(kind: ArgKind) -> Self {
        Self {
            kind,
            allow_nil: false,
            default_value: None,
        }
    }

    /// What stands in for the argument when it is absent.
    fn stand_in(&self) -> Option<&Value> {
        self.default_value.as_ref().filter(|v| !v.is_null())
    }

    fn may_be_absent(&self) -> bool {
        self.allow_nil || self.stand_in().is_some()
    }
}

impl ArgKind {
    /// Whether an object can be of this kind.
    #[must_use]
    pub fn takes_objects(&self) -> bool {
        matches!(self, Self::Map(_) | Self::Object { .. } | Self::Any)
    }

    /// Whether a string can be of this kind.
    #[must_use]
    pub fn takes_strings(&self) -> bool {
        match self {
            Self::String { .. }
            | Self::Pattern { .. }
            | Self::Enum { .. }
            | Self::Uuid
            | Self::Datetime
            | Self::NaiveDatetime
            | Self::Any => true,
            Self::Num
            | Self::NumBetween { .. }
            | Self::Integer { .. }
            | Self::Boolean
            | Self::List { .. }
            | Self::Map(_)
            | Self::Object { .. } => false,
        }
    }
}
