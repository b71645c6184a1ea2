//! Finding places in a value, and putting and taking values there.

use std::borrow::Cow;

use super::TranslateError;
use super::node::{Members, Node};
use super::pointer::Segment;
use super::room::Room;

/// Every place that `at` names, below `node`.
pub(super) fn each<'a>(
    node: &mut Node<'a>,
    at: &[Segment],
    room: &mut Room,
    act: &mut impl FnMut(&mut Node<'a>, &mut Room) -> Result<(), TranslateError>,
) -> Result<(), TranslateError> {
    let Some((segment, below)) = at.split_first() else {
        return act(node, room);
    };
    match segment {
        Segment::Every => match node.list(room)? {
            Some(items) => items
                .iter_mut()
                .try_for_each(|item| each(item, below, room, act)),
            None => Ok(()),
        },
        Segment::Key(key) => match child(node, key, room)? {
            Some(node) => each(node, below, room, act),
            None => Ok(()),
        },
    }
}

fn child<'n, 'a>(
    node: &'n mut Node<'a>,
    key: &str,
    room: &mut Room,
) -> Result<Option<&'n mut Node<'a>>, TranslateError> {
    node.object(room)?;
    Ok(match node {
        Node::Object(members) => position(members, key).map(|i| &mut members[i].1),
        Node::List(items) => key.parse().ok().and_then(|i: usize| items.get_mut(i)),
        Node::Json(_) | Node::Packed(_) => None,
    })
}

pub(super) fn position(members: &Members<'_>, key: &str) -> Option<usize> {
    members.iter().position(|(k, _)| k == key)
}

/// The value at `path`.
pub(super) fn find<'n, 'a>(
    node: &'n mut Node<'a>,
    path: &[Segment],
    room: &mut Room,
) -> Result<Option<&'n mut Node<'a>>, TranslateError> {
    let mut node = node;
    for segment in path {
        let Segment::Key(key) = segment else {
            return Ok(None);
        };
        match child(node, key, room)? {
            Some(below) => node = below,
            None => return Ok(None),
        }
    }
    Ok(Some(node))
}

/// The object that holds `path`, and the key that it has there.
pub(super) fn holder<'n, 'a, 'p>(
    node: &'n mut Node<'a>,
    path: &'p [Segment],
    room: &mut Room,
) -> Result<Option<(&'n mut Members<'a>, &'p str)>, TranslateError> {
    let Some((Segment::Key(key), parents)) = path.split_last() else {
        return Ok(None);
    };
    let Some(node) = find(node, parents, room)? else {
        return Ok(None);
    };
    Ok(node.object(room)?.map(|members| (members, key.as_str())))
}

pub(super) fn take<'a>(
    node: &mut Node<'a>,
    path: &[Segment],
    room: &mut Room,
) -> Result<Option<Node<'a>>, TranslateError> {
    Ok(holder(node, path, room)?
        .and_then(|(members, key)| position(members, key).map(|i| members.remove(i).1)))
}

/// Whether a value can be put at `path`: what is on the way is an object, or not there.
pub(super) fn reachable(
    node: &mut Node<'_>,
    path: &[Segment],
    room: &mut Room,
) -> Result<bool, TranslateError> {
    let Some((Segment::Key(key), below)) = path.split_first() else {
        return Ok(path.is_empty());
    };
    let Some(members) = node.object(room)? else {
        return Ok(false);
    };
    match position(members, key) {
        Some(i) if !below.is_empty() => reachable(&mut members[i].1, below, room),
        _ => Ok(true),
    }
}

/// Puts a value at `path`, which is [`reachable`].
pub(super) fn put<'a>(
    node: &mut Node<'a>,
    path: &[Segment],
    value: Node<'a>,
    room: &mut Room,
) -> Result<(), TranslateError> {
    let Some((Segment::Key(key), below)) = path.split_first() else {
        *node = value;
        return Ok(());
    };
    let Some(members) = node.object(room)? else {
        return Ok(());
    };
    let index = position(members, key).unwrap_or_else(|| {
        members.push((Cow::Owned(key.clone()), Node::Object(Members::new())));
        members.len() - 1
    });
    put(&mut members[index].1, below, value, room)
}

/// Takes away objects on the way to `path` that are empty.
pub(super) fn prune(
    node: &mut Node<'_>,
    path: &[Segment],
    room: &mut Room,
) -> Result<(), TranslateError> {
    for end in (1..path.len()).rev() {
        let empty = match find(node, &path[..end], room)? {
            Some(parent) => parent
                .object(room)?
                .is_some_and(|members| members.is_empty()),
            None => false,
        };
        if !empty {
            break;
        }
        take(node, &path[..end], room)?;
    }
    Ok(())
}
