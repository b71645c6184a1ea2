//! Where a place of today's shape was in an older one: so that errors name a client's own fields.

use super::operation::{Action, Operation};
use super::pointer::{Pointer, Segment};

impl Operation {
    /// Where what stands at `place` after this operation stood before it.
    pub(super) fn origin(&self, place: &[Segment]) -> Option<Vec<Segment>> {
        let (here, below) = self.at.strip(place)?;
        let below = self.action.origin(below)?;
        Some(here.iter().cloned().chain(below).collect())
    }
}

impl Action {
    /// `None`: it stood where it stands, or nowhere.
    fn origin(&self, place: &[Segment]) -> Option<Vec<Segment>> {
        let instead = |new: &Pointer, old: &Pointer| {
            let (_, below) = new.strip(place)?;
            Some(old.0.iter().chain(below).cloned().collect())
        };
        match self {
            Self::Rename { from, to } => instead(&Pointer::key(to), &Pointer::key(from)),
            Self::Move { from, to, .. } => instead(to, from),
            Self::Wrap { path, key } => instead(&path.join(&package(key.as_deref())), path),
            Self::Unwrap { path, key } => instead(path, &path.join(&package(key.as_deref()))),
            Self::Split { path, into, .. } => into
                .iter()
                .find_map(|name| instead(&beside(path, name), path)),
            Self::Join { from, path, .. } => instead(path, &beside(path, from.first()?)),
            Self::Default { .. }
            | Self::Set { .. }
            | Self::Drop { .. }
            | Self::MapValues { .. } => None,
        }
    }
}

/// What a wrap puts around a value.
fn package(key: Option<&str>) -> Pointer {
    Pointer::key(key.unwrap_or("0"))
}

/// The field `name` of the object that holds `path`.
fn beside(path: &Pointer, name: &str) -> Pointer {
    let mut segments = path.0.clone();
    segments.pop();
    segments.push(Segment::Key(name.to_owned()));
    Pointer(segments)
}
