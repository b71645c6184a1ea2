//! What a token of the admin API may do: named actions, each granted by name.

use std::fmt;

macro_rules! areas {
    ($($area:ident = $name:literal, $doc:literal;)+) => {
        /// What an action is about.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Area { $( #[doc = $doc] $area, )+ }

        impl Area {
            /// All areas.
            pub const ALL: &[Self] = &[$( Self::$area, )+];

            /// As it stands in a grant.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $( Self::$area => $name, )+ }
            }
        }
    };
}

areas! {
    Services = "services", "Services, their functions, and refused configs.";
    Versions = "versions", "Versions of functions: on, off, deleted, deprecated, latest, pinned.";
    Instances = "instances", "Instances: load, drain.";
    Sticky = "sticky", "Which instance a key sticks to.";
    Connections = "connections", "Live sockets and streams.";
    Cluster = "cluster", "Gateways.";
    Limits = "limits", "Rate limits: rules, counts.";
    Identity = "identity", "Revocations of users, tokens and API keys.";
    Breakers = "breakers", "Circuit breakers and bulkheads.";
    Log = "log", "Levels of the log.";
    Metrics = "metrics", "Metrics and the traffic of functions.";
    Config = "config", "The configuration as it runs.";
    Diagnostics = "diagnostics", "Health by part, the cluster, live traces.";
    Audit = "audit", "Who changed what.";
}

/// One thing that a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Action {
    /// What it is about.
    pub area: Area,
    /// It changes something; otherwise it only looks.
    pub write: bool,
}

impl Action {
    /// Looking.
    #[must_use]
    pub const fn read(area: Area) -> Self {
        Self { area, write: false }
    }

    /// Changing.
    #[must_use]
    pub const fn write(area: Area) -> Self {
        Self { area, write: true }
    }

    fn bit(self) -> u32 {
        1 << (self.area as u32 * 2 + u32::from(self.write))
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = if self.write { "write" } else { "read" };
        write!(f, "{}:{verb}", self.area.as_str())
    }
}

/// A set of actions. Empty: nothing is allowed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Grants(u32);

impl Grants {
    /// Adds what `text` names: `area:read`, `area:write`, `area:*`, `*:read`, `*:write` or `*`.
    ///
    /// # Errors
    /// What would be right.
    pub fn add(&mut self, text: &str) -> Result<(), String> {
        let (area, verb) = match text {
            "*" => ("*", "*"),
            text => text.split_once(':').ok_or_else(|| unknown(text))?,
        };
        let is_known = |name: &str| name == "*" || Area::ALL.iter().any(|a| a.as_str() == name);
        if !is_known(area) || !matches!(verb, "*" | "read" | "write") {
            return Err(unknown(text));
        }
        let areas = Area::ALL
            .iter()
            .filter(|a| area == "*" || a.as_str() == area);
        for &area in areas {
            for write in [false, true] {
                if verb == "*" || write == (verb == "write") {
                    self.0 |= Action { area, write }.bit();
                }
            }
        }
        Ok(())
    }

    /// All of them, as they may be written: `*` for everything, `area:*` for both of an area.
    #[must_use]
    pub fn names(self) -> Vec<String> {
        let both = |area: Area| [Action::read(area), Action::write(area)];
        let every = Area::ALL.iter().flat_map(|area| both(*area));
        if every.into_iter().all(|action| self.allows(action)) {
            return vec!["*".to_owned()];
        }
        let of = |area: &Area| match both(*area).map(|action| self.allows(action)) {
            [true, true] => Some(format!("{}:*", area.as_str())),
            [true, false] => Some(Action::read(*area).to_string()),
            [false, true] => Some(Action::write(*area).to_string()),
            [false, false] => None,
        };
        Area::ALL.iter().filter_map(of).collect()
    }

    /// Whether the action is among them.
    #[must_use]
    pub fn allows(self, action: Action) -> bool {
        self.0 & action.bit() != 0
    }
}

fn unknown(text: &str) -> String {
    let areas: Vec<&str> = Area::ALL.iter().map(|a| a.as_str()).collect();
    format!(
        "{text:?} is no action: write area:read, area:write, area:*, *:read or *; areas are {}",
        areas.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_allow_what_they_name_and_nothing_else() {
        let read = Action::read(Area::Limits);
        let write = Action::write(Area::Limits);
        let other = Action::write(Area::Services);
        for (text, allowed) in [
            ("limits:read", [true, false, false]),
            ("limits:write", [false, true, false]),
            ("limits:*", [true, true, false]),
            ("*:read", [true, false, false]),
            ("*:write", [false, true, true]),
            ("*", [true, true, true]),
        ] {
            let mut grants = Grants::default();
            assert!(!grants.allows(read));
            grants.add(text).unwrap();
            assert_eq!(
                [read, write, other].map(|a| grants.allows(a)),
                allowed,
                "{text}"
            );
            let mut again = Grants::default();
            grants.names().iter().for_each(|n| again.add(n).unwrap());
            assert_eq!(again, grants, "{text}");
        }
        for bad in [
            "",
            "limit:read",
            "limits",
            "limits:",
            "limits:all",
            "*:",
            ":read",
            "**",
        ] {
            let mut grants = Grants::default();
            assert!(grants.add(bad).is_err(), "{bad}");
            assert_eq!(grants, Grants::default(), "{bad}");
        }
    }
}
