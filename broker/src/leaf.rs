//! The subscriptions of one subject.

use std::collections::HashMap;
use std::sync::Arc;

use crate::subscription::Subscription;

/// Everyone who subscribed to the same pattern.
#[derive(Debug, Default)]
pub(crate) struct Leaf {
    plain: Vec<Arc<Subscription>>,
    groups: HashMap<Box<[u8]>, Vec<Arc<Subscription>>>,
}

impl Leaf {
    /// Those that each get every message.
    pub(crate) fn plain(&self) -> &[Arc<Subscription>] {
        &self.plain
    }

    /// Queue groups: of each, one member gets a message.
    pub(crate) fn groups(&self) -> impl Iterator<Item = (&[u8], &[Arc<Subscription>])> {
        self.groups
            .iter()
            .map(|(queue, members)| (&**queue, &**members))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.plain.is_empty() && self.groups.is_empty()
    }

    pub(crate) fn insert(&mut self, sub: Arc<Subscription>) {
        let members = match &sub.queue {
            None => &mut self.plain,
            Some(queue) => self.groups.entry(queue.clone()).or_default(),
        };
        sub.set_slot(members.len());
        members.push(sub);
    }

    /// Takes it out. Twice is harmless: a subscription may reach its last message while its
    /// client disconnects.
    pub(crate) fn remove(&mut self, sub: &Arc<Subscription>) {
        match &sub.queue {
            None => swap_out(&mut self.plain, sub),
            Some(queue) => {
                let Some(members) = self.groups.get_mut(queue) else {
                    return;
                };
                swap_out(members, sub);
                if members.is_empty() {
                    self.groups.remove(queue);
                }
            }
        }
    }
}

/// Removes without a search and without moving more than one other: ten thousand subscribers of
/// one subject may leave at once.
fn swap_out(members: &mut Vec<Arc<Subscription>>, sub: &Arc<Subscription>) {
    let slot = sub.slot();
    if members
        .get(slot)
        .is_some_and(|found| Arc::ptr_eq(found, sub))
    {
        members.swap_remove(slot);
        if let Some(moved) = members.get(slot) {
            moved.set_slot(slot);
        }
    }
}
