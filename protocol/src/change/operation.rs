//! One declarative operation, what it does to a value, and what undoes it.

use std::borrow::Cow;

use super::TranslateError;
use super::node::{Members, Node};
use super::pointer::{Pointer, Segment};

/// The most bytes that the literals of changes may add to one value: with `*`, a small literal is
/// written once for each element that a client sent.
pub const MAX_ADDED_BYTES: usize = 4 * 1024 * 1024;

/// What is done at each place that `at` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// Where; every `*` is all elements of a list.
    pub at: Pointer,
    /// What.
    pub action: Action,
}

/// What an operation does. Keys and paths are below the place where it works; what is not there,
/// or of another shape, is left as it is. No action ever fails for the shape of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Gives a field another name; one that has that name already is replaced.
    Rename {
        /// The old name.
        from: String,
        /// The new one.
        to: String,
    },
    /// Puts a value elsewhere, making the objects on the way there.
    Move {
        /// From where.
        from: Pointer,
        /// To where; what stands there is replaced.
        to: Pointer,
        /// Whether objects that are left empty on the way to `from` go, too.
        prune: bool,
    },
    /// Puts a value where there is none; null counts as a value.
    Default {
        /// Where.
        path: Pointer,
        /// JSON text.
        value: Literal,
    },
    /// Puts a value in any case.
    Set {
        /// Where.
        path: Pointer,
        /// JSON text.
        value: Literal,
    },
    /// Takes a value away.
    Drop {
        /// Which.
        path: Pointer,
    },
    /// Puts other texts in place of the listed ones; all else stays.
    MapValues {
        /// Where.
        path: Pointer,
        /// Text and its replacement, in order.
        values: Vec<(String, String)>,
    },
    /// Puts a value into an object of its own, or without a key into a list of its own.
    Wrap {
        /// Which; the empty path is the whole value.
        path: Pointer,
        /// The key that it gets.
        key: Option<String>,
    },
    /// Puts the value that a wrap packed in place of its package.
    Unwrap {
        /// Which.
        path: Pointer,
        /// The key that it has; none: the first element of a list.
        key: Option<String>,
    },
    /// Splits a text into fields beside it. The last gets all that is left.
    Split {
        /// Which text.
        path: Pointer,
        /// The fields.
        into: Vec<String>,
        /// Between two fields.
        by: String,
    },
    /// Joins the texts of fields into one; fields that are no text stay out.
    Join {
        /// The fields, beside `path`.
        from: Vec<String>,
        /// Where the text goes.
        path: Pointer,
        /// Between two fields.
        by: String,
    },
}

/// JSON text of a value that a change puts in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Literal(pub(super) String);

impl Literal {
    /// The value, as JSON text.
    #[must_use]
    pub fn as_json(&self) -> &str {
        &self.0
    }

    fn node<'a>(&self, room: &mut Room) -> Result<Node<'a>, TranslateError> {
        room.take(self.0.len())?;
        Ok(Node::Json(Cow::Owned(self.0.clone())))
    }
}

/// How many bytes may still be added.
#[derive(Debug)]
pub(super) struct Room(pub(super) usize);

impl Room {
    fn take(&mut self, bytes: usize) -> Result<(), TranslateError> {
        // Nothing is free: keys, quotes and commas count as well.
        self.0 = self
            .0
            .checked_sub(bytes + 8)
            .ok_or(TranslateError::TooLarge)?;
        Ok(())
    }
}

impl Operation {
    /// Does it, at every place.
    pub(super) fn apply(
        &self,
        value: &mut Node<'_>,
        room: &mut Room,
    ) -> Result<(), TranslateError> {
        each(value, &self.at.0, &mut |node| self.action.apply(node, room))
    }

    /// What undoes it in a value of the same shape; `None`: nothing can.
    #[must_use]
    pub fn reverse(&self) -> Option<Self> {
        Some(Self {
            at: self.at.clone(),
            action: self.action.reverse()?,
        })
    }
}

/// Every place that `at` names, below `node`.
fn each<'a>(
    node: &mut Node<'a>,
    at: &[Segment],
    act: &mut impl FnMut(&mut Node<'a>) -> Result<(), TranslateError>,
) -> Result<(), TranslateError> {
    let Some((segment, below)) = at.split_first() else {
        return act(node);
    };
    match segment {
        Segment::Every => match node.list()? {
            Some(items) => items.iter_mut().try_for_each(|item| each(item, below, act)),
            None => Ok(()),
        },
        Segment::Key(key) => match child(node, key)? {
            Some(node) => each(node, below, act),
            None => Ok(()),
        },
    }
}

fn child<'n, 'a>(
    node: &'n mut Node<'a>,
    key: &str,
) -> Result<Option<&'n mut Node<'a>>, TranslateError> {
    node.object()?;
    Ok(match node {
        Node::Object(members) => position(members, key).map(|i| &mut members[i].1),
        Node::List(items) => key.parse().ok().and_then(|i: usize| items.get_mut(i)),
        Node::Json(_) | Node::Packed(_) => None,
    })
}

fn position(members: &Members<'_>, key: &str) -> Option<usize> {
    members.iter().position(|(k, _)| k == key)
}

/// The value at `path`.
fn find<'n, 'a>(
    node: &'n mut Node<'a>,
    path: &[Segment],
) -> Result<Option<&'n mut Node<'a>>, TranslateError> {
    let mut node = node;
    for segment in path {
        let Segment::Key(key) = segment else {
            return Ok(None);
        };
        match child(node, key)? {
            Some(below) => node = below,
            None => return Ok(None),
        }
    }
    Ok(Some(node))
}

/// The object that holds `path`, and the key that it has there.
fn holder<'n, 'a, 'p>(
    node: &'n mut Node<'a>,
    path: &'p [Segment],
) -> Result<Option<(&'n mut Members<'a>, &'p str)>, TranslateError> {
    let Some((Segment::Key(key), parents)) = path.split_last() else {
        return Ok(None);
    };
    let Some(node) = find(node, parents)? else {
        return Ok(None);
    };
    Ok(node.object()?.map(|members| (members, key.as_str())))
}

fn take<'a>(node: &mut Node<'a>, path: &[Segment]) -> Result<Option<Node<'a>>, TranslateError> {
    Ok(holder(node, path)?
        .and_then(|(members, key)| position(members, key).map(|i| members.remove(i).1)))
}

/// Whether a value can be put at `path`: what is on the way is an object, or not there.
fn reachable(node: &mut Node<'_>, path: &[Segment]) -> Result<bool, TranslateError> {
    let Some((Segment::Key(key), below)) = path.split_first() else {
        return Ok(path.is_empty());
    };
    let Some(members) = node.object()? else {
        return Ok(false);
    };
    match position(members, key) {
        Some(i) if !below.is_empty() => reachable(&mut members[i].1, below),
        _ => Ok(true),
    }
}

/// Puts a value at `path`, which is [`reachable`].
fn put<'a>(node: &mut Node<'a>, path: &[Segment], value: Node<'a>) -> Result<(), TranslateError> {
    let Some((Segment::Key(key), below)) = path.split_first() else {
        *node = value;
        return Ok(());
    };
    let Some(members) = node.object()? else {
        return Ok(());
    };
    let index = position(members, key).unwrap_or_else(|| {
        members.push((Cow::Owned(key.clone()), Node::Object(Members::new())));
        members.len() - 1
    });
    put(&mut members[index].1, below, value)
}

/// Takes away objects on the way to `path` that are empty.
fn prune(node: &mut Node<'_>, path: &[Segment]) -> Result<(), TranslateError> {
    for end in (1..path.len()).rev() {
        let empty = match find(node, &path[..end])? {
            Some(parent) => parent.object()?.is_some_and(|members| members.is_empty()),
            None => false,
        };
        if !empty {
            break;
        }
        take(node, &path[..end])?;
    }
    Ok(())
}

impl Action {
    fn apply(&self, node: &mut Node<'_>, room: &mut Room) -> Result<(), TranslateError> {
        match self {
            Self::Rename { from, to } => {
                let Some(members) = node.object()? else {
                    return Ok(());
                };
                if let Some(index) = position(members, from) {
                    room.take(to.len())?;
                    let old = position(members, to);
                    members[index].0 = Cow::Owned(to.clone());
                    if let Some(old) = old {
                        members.remove(old);
                    }
                }
                Ok(())
            }
            Self::Move { from, to, prune } => shift(node, from, to, *prune, room),
            Self::Default { path, value } => {
                if reachable(node, &path.0)? && find(node, &path.0)?.is_none() {
                    room.take(path.bytes())?;
                    put(node, &path.0, value.node(room)?)?;
                }
                Ok(())
            }
            Self::Set { path, value } => {
                if reachable(node, &path.0)? {
                    room.take(path.bytes())?;
                    put(node, &path.0, value.node(room)?)?;
                }
                Ok(())
            }
            Self::Drop { path } => take(node, &path.0).map(drop),
            Self::MapValues { path, values } => map_values(node, path, values, room),
            Self::Wrap { path, key } => wrap(node, path, key.as_deref(), room),
            Self::Unwrap { path, key } => unwrap(node, path, key.as_deref()),
            Self::Split { path, into, by } => split(node, path, into, by, room),
            Self::Join { from, path, by } => join(node, from, path, by),
        }
    }

    fn reverse(&self) -> Option<Self> {
        Some(match self.clone() {
            Self::Rename { from, to } => Self::Rename { from: to, to: from },
            Self::Move { from, to, .. } => Self::Move {
                from: to,
                to: from,
                prune: true,
            },
            Self::Default { path, .. } => Self::Drop { path },
            Self::Set { .. } | Self::Drop { .. } => return None,
            Self::MapValues { path, values } => {
                // Of several texts with one replacement, the first listed comes back.
                let mut back: Vec<(String, String)> = Vec::new();
                for (old, new) in values {
                    if !back.iter().any(|(known, _)| *known == new) {
                        back.push((new, old));
                    }
                }
                Self::MapValues { path, values: back }
            }
            Self::Wrap { path, key } => Self::Unwrap { path, key },
            Self::Unwrap { path, key } => Self::Wrap { path, key },
            Self::Split { path, into, by } => Self::Join {
                from: into,
                path,
                by,
            },
            Self::Join { from, path, by } => Self::Split {
                path,
                into: from,
                by,
            },
        })
    }
}

fn shift(
    node: &mut Node<'_>,
    from: &Pointer,
    to: &Pointer,
    and_prune: bool,
    room: &mut Room,
) -> Result<(), TranslateError> {
    let Some(value) = take(node, &from.0)? else {
        return Ok(());
    };
    if and_prune {
        prune(node, &from.0)?;
    }
    if reachable(node, &to.0)? {
        room.take(to.bytes())?;
        return put(node, &to.0, value);
    }
    // Something else stands in the way: all stays as it was.
    put(node, &from.0, value)
}

fn map_values(
    node: &mut Node<'_>,
    path: &Pointer,
    values: &[(String, String)],
    room: &mut Room,
) -> Result<(), TranslateError> {
    let Some(node) = find(node, &path.0)? else {
        return Ok(());
    };
    let new = node
        .as_text()
        .and_then(|text| values.iter().find(|(old, _)| *old == text));
    if let Some((_, new)) = new {
        room.take(new.len())?;
        *node = Node::text(new);
    }
    Ok(())
}

fn wrap(
    node: &mut Node<'_>,
    path: &Pointer,
    key: Option<&str>,
    room: &mut Room,
) -> Result<(), TranslateError> {
    let Some(node) = find(node, &path.0)? else {
        return Ok(());
    };
    room.take(key.map_or(0, str::len))?;
    let inner = std::mem::replace(node, Node::List(Vec::new()));
    *node = match key {
        Some(key) => Node::Object(vec![(Cow::Owned(key.to_owned()), inner)]),
        None => Node::List(vec![inner]),
    };
    Ok(())
}

fn unwrap(node: &mut Node<'_>, path: &Pointer, key: Option<&str>) -> Result<(), TranslateError> {
    let Some(node) = find(node, &path.0)? else {
        return Ok(());
    };
    let inner = match key {
        Some(key) => node
            .object()?
            .and_then(|members| position(members, key).map(|i| members.swap_remove(i).1)),
        None => node
            .list()?
            .and_then(|items| (!items.is_empty()).then(|| items.swap_remove(0))),
    };
    if let Some(inner) = inner {
        *node = inner;
    }
    Ok(())
}

fn split(
    node: &mut Node<'_>,
    path: &Pointer,
    into: &[String],
    by: &str,
    room: &mut Room,
) -> Result<(), TranslateError> {
    let Some((members, key)) = holder(node, &path.0)? else {
        return Ok(());
    };
    let Some(index) = position(members, key) else {
        return Ok(());
    };
    let Some(text) = members[index].1.as_text().map(Cow::into_owned) else {
        return Ok(());
    };
    members.remove(index);
    for (name, part) in into.iter().zip(text.splitn(into.len(), by)) {
        room.take(name.len())?;
        let part = Node::text(part);
        match position(members, name) {
            Some(old) => members[old].1 = part,
            None => members.push((Cow::Owned(name.clone()), part)),
        }
    }
    Ok(())
}

fn join(
    node: &mut Node<'_>,
    from: &[String],
    path: &Pointer,
    by: &str,
) -> Result<(), TranslateError> {
    let Some((members, key)) = holder(node, &path.0)? else {
        return Ok(());
    };
    let mut parts: Vec<String> = Vec::with_capacity(from.len());
    for name in from {
        let Some(index) = position(members, name) else {
            continue;
        };
        let text = members[index].1.as_text().map(Cow::into_owned);
        if let Some(text) = text {
            parts.push(text);
            members.remove(index);
        }
    }
    if parts.is_empty() {
        return Ok(());
    }
    let text = Node::text(&parts.join(by));
    match position(members, key) {
        Some(old) => members[old].1 = text,
        None => members.push((Cow::Owned(key.to_owned()), text)),
    }
    Ok(())
}
