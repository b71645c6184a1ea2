//! The subscription index: a trie of subject tokens.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use rand::Rng;
use rand::SeedableRng;
use rand::rngs::SmallRng;

use crate::leaf::Leaf;
use crate::subject::split_token;
use crate::subscription::Subscription;
use crate::sync::{read, write};

#[cfg(test)]
mod tests;

/// Who subscribed to what. Its lock is held for a lookup or a change, never while delivering.
#[derive(Debug, Default)]
pub(crate) struct Sublist {
    root: RwLock<Node>,
}

impl Sublist {
    pub(crate) fn insert(&self, sub: Arc<Subscription>) {
        write(&self.root)
            .leaf_mut(&sub.subject)
            .insert(Arc::clone(&sub));
    }

    pub(crate) fn remove(&self, sub: &Arc<Subscription>) {
        write(&self.root).remove(&sub.subject, sub);
    }

    /// Finds who gets a message to `subject` among those that `eligible` admits: all plain
    /// subscriptions, and of each queue group one member at random. The caller clears `matches`.
    pub(crate) fn find(
        &self,
        subject: &[u8],
        matches: &mut Matches,
        eligible: impl Fn(&Subscription) -> bool,
    ) {
        let root = read(&self.root);
        let mut picks = Picks::default();
        root.walk(subject, &mut |leaf| {
            matches
                .subs
                .extend(leaf.plain().iter().filter(|sub| eligible(sub)).cloned());
            picks.add(leaf, &mut matches.rng, &eligible);
        });
        picks.finish(matches);
    }

    /// Finds the plain subscriptions alone.
    pub(crate) fn find_plain(
        &self,
        subject: &[u8],
        matches: &mut Matches,
        eligible: impl Fn(&Subscription) -> bool,
    ) {
        read(&self.root).walk(subject, &mut |leaf| {
            matches
                .subs
                .extend(leaf.plain().iter().filter(|sub| eligible(sub)).cloned());
        });
    }

    #[cfg(test)]
    fn is_empty(&self) -> bool {
        read(&self.root).is_empty()
    }
}

/// The result of a lookup; kept by its user to spare allocations.
#[derive(Debug)]
pub(crate) struct Matches {
    pub(crate) subs: Vec<Arc<Subscription>>,
    rng: SmallRng,
}

impl Default for Matches {
    fn default() -> Self {
        Self {
            subs: Vec::new(),
            rng: SmallRng::from_os_rng(),
        }
    }
}

/// The members picked so far. A group may stand under several patterns that match; it is one
/// group nevertheless and gets one message.
#[derive(Default)]
struct Picks<'a> {
    picks: Vec<Pick<'a>>,
    leaves: usize,
}

struct Pick<'a> {
    queue: &'a [u8],
    /// How many members `sub` was picked from.
    weight: usize,
    sub: &'a Arc<Subscription>,
}

impl<'a> Picks<'a> {
    fn add(
        &mut self,
        leaf: &'a Leaf,
        rng: &mut SmallRng,
        eligible: impl Fn(&Subscription) -> bool,
    ) {
        let before = self.picks.len();
        for (queue, members) in leaf.groups() {
            // From a random start on, the first that can take it: members that cannot are rare.
            let start = rng.random_range(0..members.len());
            let (later, first) = members.split_at(start);
            if let Some(sub) = first.iter().chain(later).find(|sub| eligible(sub)) {
                self.picks.push(Pick {
                    queue,
                    weight: members.len(),
                    sub,
                });
            }
        }
        self.leaves += usize::from(self.picks.len() > before);
    }

    fn finish(mut self, matches: &mut Matches) {
        if self.leaves > 1 {
            self.merge(&mut matches.rng);
        }
        matches
            .subs
            .extend(self.picks.iter().map(|pick| Arc::clone(pick.sub)));
    }

    /// Leaves one pick per group, each member of it being equally likely.
    fn merge(&mut self, rng: &mut SmallRng) {
        self.picks.sort_by_key(|pick| pick.queue);
        self.picks.dedup_by(|next, kept| {
            if next.queue != kept.queue {
                return false;
            }
            kept.weight += next.weight;
            if rng.random_range(0..kept.weight) < next.weight {
                kept.sub = next.sub;
            }
            true
        });
    }
}

#[derive(Debug, Default)]
struct Node {
    literals: HashMap<Box<[u8]>, Node>,
    /// `*`
    any: Option<Box<Node>>,
    /// `>`
    rest: Option<Box<Leaf>>,
    /// Patterns that end here.
    here: Leaf,
}

impl Node {
    /// Visits every leaf that matches. The depth is that of the trie, which `MAX_TOKENS` bounds.
    fn walk<'a>(&'a self, subject: &[u8], visit: &mut impl FnMut(&'a Leaf)) {
        if let Some(leaf) = &self.rest {
            visit(leaf);
        }
        let (token, tail) = split_token(subject);
        for child in self
            .literals
            .get(token)
            .into_iter()
            .chain(self.any.as_deref())
        {
            match tail {
                None => visit(&child.here),
                Some(tail) => child.walk(tail, visit),
            }
        }
    }

    /// The leaf of a pattern, made if need be.
    fn leaf_mut(&mut self, pattern: &[u8]) -> &mut Leaf {
        let (mut node, mut rest) = (self, pattern);
        loop {
            let (token, tail) = split_token(rest);
            let child = match token {
                b">" => return node.rest.get_or_insert_default(),
                b"*" => node.any.get_or_insert_default(),
                _ => node.literals.entry(token.into()).or_default(),
            };
            match tail {
                None => return &mut child.here,
                Some(tail) => (node, rest) = (child, tail),
            }
        }
    }

    /// Removes a subscription, and every node that is empty without it.
    fn remove(&mut self, pattern: &[u8], sub: &Arc<Subscription>) {
        let (token, tail) = split_token(pattern);
        match token {
            b">" => {
                if self.rest.as_mut().is_some_and(|leaf| {
                    leaf.remove(sub);
                    leaf.is_empty()
                }) {
                    self.rest = None;
                }
            }
            b"*" => {
                if self
                    .any
                    .as_mut()
                    .is_some_and(|child| child.remove_below(tail, sub))
                {
                    self.any = None;
                }
            }
            _ => {
                if self
                    .literals
                    .get_mut(token)
                    .is_some_and(|child| child.remove_below(tail, sub))
                {
                    self.literals.remove(token);
                }
            }
        }
    }

    /// Removes below this node; returns whether nothing is left of it.
    fn remove_below(&mut self, tail: Option<&[u8]>, sub: &Arc<Subscription>) -> bool {
        match tail {
            None => self.here.remove(sub),
            Some(tail) => self.remove(tail, sub),
        }
        self.is_empty()
    }

    fn is_empty(&self) -> bool {
        self.literals.is_empty()
            && self.any.is_none()
            && self.rest.is_none()
            && self.here.is_empty()
    }
}
