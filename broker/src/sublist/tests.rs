//! The index against the plain definition of a match, and fairness of queue groups.

use std::collections::HashMap;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::client::Client;
use crate::subject::{is_subscribable, matches as oracle};

fn client() -> Arc<Client> {
    Arc::new(Client::new(1, 1 << 20))
}

fn subscribe(
    list: &Sublist,
    client: &Arc<Client>,
    subject: &str,
    queue: Option<&str>,
    sid: &str,
) -> Arc<Subscription> {
    let queue = queue.map(str::as_bytes);
    let sub = Subscription::new(
        Arc::clone(client),
        subject.as_bytes(),
        queue,
        sid.as_bytes(),
    );
    let sub = Arc::new(sub);
    list.insert(Arc::clone(&sub));
    sub
}

/// The sids that get a message, sorted.
fn found(list: &Sublist, subject: &str) -> Vec<String> {
    let mut matches = Matches::default();
    list.find(subject.as_bytes(), &mut matches, |_| true);
    let sid = |sub: &Arc<Subscription>| String::from_utf8_lossy(&sub.sid).into_owned();
    let mut sids: Vec<_> = matches.subs.iter().map(sid).collect();
    sids.sort();
    sids
}

#[test]
fn a_group_gets_one_message_however_its_members_subscribed() {
    let (list, client) = (Sublist::default(), client());
    subscribe(&list, &client, "a.b", Some("q"), "literal-1");
    subscribe(&list, &client, "a.b", Some("q"), "literal-2");
    subscribe(&list, &client, "a.*", Some("q"), "any");
    subscribe(&list, &client, ">", Some("q"), "rest");
    subscribe(&list, &client, "a.>", Some("other"), "other");

    let mut counts = HashMap::<String, usize>::new();
    for _ in 0..4000 {
        let sids = found(&list, "a.b");
        assert_eq!(sids.len(), 2, "{sids:?}");
        sids.into_iter()
            .for_each(|sid| *counts.entry(sid).or_default() += 1);
    }
    assert_eq!(counts.remove("other"), Some(4000));
    // Each of the four is due 1000; 200 off is beyond seven standard deviations.
    assert_eq!(counts.len(), 4);
    assert!(
        counts.values().all(|&count| count.abs_diff(1000) < 200),
        "{counts:?}"
    );
}

#[test]
fn a_group_skips_members_that_cannot_take_it() {
    let (list, client) = (Sublist::default(), client());
    for sid in ["1", "2", "3"] {
        subscribe(&list, &client, "a", Some("q"), sid);
    }
    for _ in 0..100 {
        let mut matches = Matches::default();
        list.find(b"a", &mut matches, |sub| *sub.sid == *b"2");
        assert_eq!(matches.subs.len(), 1);
    }
    let mut matches = Matches::default();
    list.find(b"a", &mut matches, |_| false);
    assert!(matches.subs.is_empty());
}

#[test]
fn removing_twice_takes_nobody_else() {
    let (list, client) = (Sublist::default(), client());
    let first = subscribe(&list, &client, "a", None, "1");
    let second = subscribe(&list, &client, "a", None, "2");
    list.remove(&first);
    list.remove(&first);
    assert_eq!(found(&list, "a"), ["2"]);
    list.remove(&second);
    assert!(list.is_empty());
}

fn pattern() -> impl Strategy<Value = String> {
    vec(
        prop_oneof![Just("a"), Just("b"), Just("*"), Just(">")],
        1..5,
    )
    .prop_map(|tokens| tokens.join("."))
    .prop_filter("must be subscribable", |pattern| {
        is_subscribable(pattern.as_bytes())
    })
}

fn subject() -> impl Strategy<Value = String> {
    vec(prop_oneof![Just("a"), Just("b"), Just("c")], 1..5).prop_map(|tokens| tokens.join("."))
}

proptest! {
    #[test]
    fn finds_what_matches(
        patterns in vec((pattern(), any::<bool>()), 0..24),
        subjects in vec(subject(), 1..8),
    ) {
        let (list, client) = (Sublist::default(), client());
        let subs: Vec<_> = patterns
            .iter()
            .enumerate()
            .map(|(i, (pattern, _))| subscribe(&list, &client, pattern, None, &i.to_string()))
            .collect();
        for (sub, _) in subs.iter().zip(&patterns).filter(|(_, (_, keep))| !keep) {
            list.remove(sub);
        }
        for subject in subjects {
            let mut expected: Vec<_> = (0..patterns.len())
                .filter(|&i| patterns[i].1)
                .filter(|&i| oracle(patterns[i].0.as_bytes(), subject.as_bytes()))
                .map(|i| i.to_string())
                .collect();
            expected.sort();
            prop_assert_eq!(found(&list, &subject), expected);
        }
        subs.iter().for_each(|sub| list.remove(sub));
        prop_assert!(list.is_empty());
    }
}
