//! Who may call a function: pure rules over identity and args, fail-closed.

use serde_json::{Value, json};

use crate::argument::{ArgValue, one_level_down, top_level};
use crate::function::ArgOrders;
use crate::identity::Identity;
use crate::payload::Payload;

/// The `check_permission` of a function.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Permission {
    /// `false`: anyone, also anonymous.
    #[default]
    Public,
    /// `"any_authenticated"`: any user that is known.
    AnyAuthenticated,
    /// `{"arg": name}`: the user whose id equals that arg, a string at the top level of args.
    Arg(String),
    /// `{"role": [..]}`: users with one of these roles. No role: nobody.
    Role(Vec<String>),
}

impl Permission {
    /// Whether the rule looks at args; the others are checked before anything reads args.
    #[must_use]
    pub fn reads_args(&self) -> bool {
        matches!(self, Self::Arg(_))
    }

    /// Whether `identity` may call with an arg of this value; `arg` is the value of the arg that
    /// [`Self::Arg`] names, if it is a string ([`crate::argument::top_level`]).
    #[must_use]
    pub fn allows(&self, identity: &Identity, arg: Option<&str>) -> bool {
        match self {
            Self::Public => true,
            Self::AnyAuthenticated => identity.is_authenticated(),
            Self::Arg(_) => {
                identity.is_authenticated() && arg.is_some() && arg == identity.user_id.as_deref()
            }
            Self::Role(allowed) => identity.roles.iter().any(|r| allowed.contains(r)),
        }
    }

    /// Whether `identity` may call with these `args`, which need not have been checked yet.
    ///
    /// Where the handler gets its args as one object (`arg_orders: "map"`), the arg that
    /// [`Self::Arg`] names may also stand one level down ([`one_level_down`]).
    #[must_use]
    pub fn permits(&self, orders: Option<&ArgOrders>, identity: &Identity, args: &Payload) -> bool {
        let Self::Arg(name) = self else {
            return self.allows(identity, None);
        };
        match top_level(args, name) {
            Some(ArgValue::Str(value)) => self.allows(identity, Some(&value)),
            // No string: nothing to be equal to.
            Some(ArgValue::Other(_)) => false,
            None if orders == Some(&ArgOrders::Map) => {
                self.allows(identity, one_level_down(args, name).as_deref())
            }
            None => false,
        }
    }

    pub(crate) fn from_json(value: &Value) -> Result<Self, String> {
        const FORMS: &str = "must be false, \"any_authenticated\", {\"arg\": name} or \
                             {\"role\": [names]}";
        match value {
            Value::Bool(false) => Ok(Self::Public),
            Value::String(word) if word == "any_authenticated" => Ok(Self::AnyAuthenticated),
            Value::Object(map) if map.len() == 1 => match (map.get("arg"), map.get("role")) {
                (Some(Value::String(name)), _) if !name.is_empty() => Ok(Self::Arg(name.clone())),
                (_, Some(Value::Array(roles))) => roles
                    .iter()
                    .map(|r| r.as_str().filter(|r| !r.is_empty()).map(str::to_owned))
                    .collect::<Option<_>>()
                    .map(Self::Role)
                    .ok_or_else(|| "the roles must be non-empty strings".to_owned()),
                _ => Err(FORMS.to_owned()),
            },
            _ => Err(FORMS.to_owned()),
        }
    }

    pub(crate) fn to_json(&self) -> Value {
        match self {
            Self::Public => json!(false),
            Self::AnyAuthenticated => json!("any_authenticated"),
            Self::Arg(name) => json!({ "arg": name }),
            Self::Role(roles) => json!({ "role": roles }),
        }
    }
}
