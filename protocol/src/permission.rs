//! Who may call a function: pure rules over identity and args, fail-closed.

use crate::identity::Identity;

/// The `check_permission` of a function.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Permission {
    /// `false`: anyone, also anonymous.
    #[default]
    Public,
    /// `"any_authenticated"`: any user that is known.
    AnyAuthenticated,
    /// `{"arg": name}`: the user whose id equals that arg.
    Arg(String),
    /// `{"role": [..]}`: users with one of these roles.
    Role(Vec<String>),
}

impl Permission {
    /// Whether the rule looks at args; the others are checked before anything reads args.
    #[must_use]
    pub fn reads_args(&self) -> bool {
        matches!(self, Self::Arg(_))
    }

    /// Whether `identity` may call with an arg of this value; `arg` is the value of the arg that
    /// [`Self::Arg`] names, if it is a string.
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
}
