//! One declarative operation, what it does to a value, and what undoes it.

use std::borrow::Cow;

use super::TranslateError;
use super::node::Node;
use super::place::{each, find, holder, position, prune, put, reachable, take};
use super::pointer::Pointer;
use super::room::Room;

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

impl Operation {
    /// Does it, at every place.
    pub(super) fn apply(
        &self,
        value: &mut Node<'_>,
        room: &mut Room,
    ) -> Result<(), TranslateError> {
        room.deepen(self.deepens())?;
        each(value, &self.at.0, room, &mut |node, room| {
            self.action.apply(node, room)
        })
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

impl Action {
    fn apply(&self, node: &mut Node<'_>, room: &mut Room) -> Result<(), TranslateError> {
        match self {
            Self::Rename { from, to } => {
                let Some(members) = node.object(room)? else {
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
                if reachable(node, &path.0, room)? && find(node, &path.0, room)?.is_none() {
                    room.take(path.bytes())?;
                    put(node, &path.0, value.node(room)?, room)?;
                }
                Ok(())
            }
            Self::Set { path, value } => {
                if reachable(node, &path.0, room)? {
                    room.take(path.bytes())?;
                    put(node, &path.0, value.node(room)?, room)?;
                }
                Ok(())
            }
            Self::Drop { path } => take(node, &path.0, room).map(drop),
            Self::MapValues { path, values } => map_values(node, path, values, room),
            Self::Wrap { path, key } => wrap(node, path, key.as_deref(), room),
            Self::Unwrap { path, key } => unwrap(node, path, key.as_deref(), room),
            Self::Split { path, into, by } => split(node, path, into, by, room),
            Self::Join { from, path, by } => join(node, from, path, by, room),
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
    let Some(value) = take(node, &from.0, room)? else {
        return Ok(());
    };
    if and_prune {
        prune(node, &from.0, room)?;
    }
    if reachable(node, &to.0, room)? {
        room.take(to.bytes())?;
        return put(node, &to.0, value, room);
    }
    // Something else stands in the way: all stays as it was.
    put(node, &from.0, value, room)
}

fn map_values(
    node: &mut Node<'_>,
    path: &Pointer,
    values: &[(String, String)],
    room: &mut Room,
) -> Result<(), TranslateError> {
    let Some(node) = find(node, &path.0, room)? else {
        return Ok(());
    };
    room.look(values.len())?;
    let new = node
        .text_in(room)?
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
    let Some(node) = find(node, &path.0, room)? else {
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

fn unwrap(
    node: &mut Node<'_>,
    path: &Pointer,
    key: Option<&str>,
    room: &mut Room,
) -> Result<(), TranslateError> {
    let Some(node) = find(node, &path.0, room)? else {
        return Ok(());
    };
    let inner = match key {
        Some(key) => node
            .object(room)?
            .and_then(|members| position(members, key).map(|i| members.swap_remove(i).1)),
        None => node
            .list(room)?
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
    let Some((members, key)) = holder(node, &path.0, room)? else {
        return Ok(());
    };
    let Some(index) = position(members, key) else {
        return Ok(());
    };
    let Some(text) = members[index].1.text_in(room)?.map(Cow::into_owned) else {
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
    room: &mut Room,
) -> Result<(), TranslateError> {
    let Some((members, key)) = holder(node, &path.0, room)? else {
        return Ok(());
    };
    let mut parts: Vec<String> = Vec::with_capacity(from.len());
    for name in from {
        let Some(index) = position(members, name) else {
            continue;
        };
        let text = members[index].1.text_in(room)?.map(Cow::into_owned);
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
