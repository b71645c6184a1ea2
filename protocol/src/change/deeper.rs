//! How much deeper chains of changes nest the values that pass them. Workers say what is done to a
//! value and clients what the value is, so without a bound both together could nest one so deep that
//! nobody can print it.

use std::collections::HashMap;

use super::operation::{Action, Operation};
use super::read::Faults;
use super::room::MAX_DEEPER;
use super::{Change, Concerns, Version};
use crate::payload::{Encoding, MAX_DEPTH, Payload};

impl Operation {
    /// By how many levels at most it nests anything deeper than it was.
    pub(super) fn deepens(&self) -> usize {
        match &self.action {
            Action::Wrap { .. } => 1,
            Action::Move { from, to, .. } => to.0.len().saturating_sub(from.0.len()),
            // These put nothing that was there below anything else.
            Action::Rename { .. }
            | Action::Default { .. }
            | Action::Set { .. }
            | Action::Drop { .. }
            | Action::MapValues { .. }
            | Action::Unwrap { .. }
            | Action::Split { .. }
            | Action::Join { .. } => 0,
        }
    }
}

/// Whether a value has more levels than others can be expected to read.
pub(super) fn too_deep(value: &Payload) -> bool {
    if value.encoding == Encoding::MessagePack {
        return value.check().is_err();
    }
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for byte in &value.bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => quoted = !quoted,
            b'{' | b'[' if !quoted => depth += 1,
            b'}' | b']' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return true;
        }
    }
    false
}

/// Levels of requests and of responses.
#[derive(Clone, Copy, Default)]
struct Levels {
    request: usize,
    response: usize,
}

impl Levels {
    fn of(change: &Change) -> Self {
        let sum = |list: &[Operation]| list.iter().map(Operation::deepens).sum::<usize>();
        let request = &change.request;
        Self {
            // Args that are one object pass all three parts.
            request: sum(&request.body) + sum(&request.query) + sum(&request.path),
            response: sum(&change.response),
        }
    }

    fn and(self, more: Self) -> Self {
        Self {
            request: self.request + more.request,
            response: self.response + more.response,
        }
    }

    fn most(self) -> usize {
        self.request.max(self.response)
    }
}

/// Tells of the first change, for each function, with which the longest chain nests too deep.
pub(super) fn check(versions: &[Version], faults: &mut Faults) {
    // What changes of all functions have added so far, and those of one function besides.
    let mut all = Levels::default();
    let mut own: HashMap<&str, Levels> = HashMap::new();
    for (v, version) in versions.iter().enumerate() {
        for (c, change) in version.changes.iter().enumerate() {
            let more = Levels::of(change);
            if more.most() == 0 {
                continue;
            }
            let function = match &change.functions {
                Concerns::All => {
                    all = all.and(more);
                    let own = own.iter().map(|(name, levels)| (*name, *levels));
                    own.max_by_key(|(_, own)| all.and(*own).most())
                        .unwrap_or(("all functions", Levels::default()))
                }
                Concerns::Only(names) => {
                    for name in names {
                        let levels = own.entry(name.as_str()).or_default();
                        *levels = levels.and(more);
                    }
                    let own = names.iter().map(|name| (name.as_str(), own[name.as_str()]));
                    own.max_by_key(|(_, own)| all.and(*own).most())
                        .unwrap_or_default()
                }
            };
            let (name, levels) = (function.0, all.and(function.1).most());
            if levels > MAX_DEEPER {
                let text = format!(
                    "nests values of {name} {levels} levels deeper, with the changes before it: \
                     at most {MAX_DEEPER}"
                );
                faults.within(v, |f| {
                    f.within("changes", |f| f.within(c, |f| f.add(text)));
                });
                return;
            }
        }
    }
}
