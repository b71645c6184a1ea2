//! What goes together, when it leaves, and what becomes of it if it cannot.

use futures_util::FutureExt;
use sluice_protocol::function::ResponseType;
use tokio::sync::Semaphore;

use super::*;
use crate::runtime::running::opening;

struct Rig {
    outlet: Outlet,
    call: Arc<Running>,
    frames: Arc<SyncMutex<Vec<Frame>>>,
    gate: Arc<Semaphore>,
}

fn rig(batches: bool, permits: usize) -> Rig {
    rig_of(batches, permits, MAX_BYTES)
}

fn rig_of(batches: bool, permits: usize, limit: usize) -> Rig {
    let call = Arc::new(Running::new(opening(ResponseType::Stream, None)));
    let frames = Arc::<SyncMutex<Vec<Frame>>>::default();
    let gate = Arc::new(Semaphore::new(permits));
    let sink = Sink::Gated(frames.clone(), gate.clone(), limit);
    let mut outlet = Outlet::new(call.clone(), sink, Encoding::Json);
    outlet.set_batching(batches);
    Rig {
        outlet,
        call,
        frames,
        gate,
    }
}

/// An item that is there now, and that there is room for.
fn item(seq: u64, payload: Payload, last: bool) -> Item {
    let made = Instant::now();
    Item {
        seq,
        payload,
        last,
        made,
        taken: made,
    }
}

impl Rig {
    async fn put(&self, seqs: impl IntoIterator<Item = u64>) {
        for seq in seqs {
            let item = item(seq, Payload::json(seq.to_string()), false);
            self.outlet.put(item).await.unwrap();
        }
    }

    /// Of each message: the number of its first item, how many there are, and the last mark.
    fn messages(&self) -> Vec<(u64, usize, bool)> {
        let message = |frame: &Frame| match frame {
            Frame::Item { seq, last, .. } => (*seq, 1, *last),
            Frame::Items { first, items, last } => (*first, items.len(), *last),
            other => panic!("{other:?}"),
        };
        self.frames.lock().iter().map(message).collect()
    }

    /// What the caller reads.
    fn items(&self) -> Vec<String> {
        let items = |frame: &Frame| match frame {
            Frame::Item { payload, .. } => vec![payload.clone()],
            Frame::Items { items, .. } => items.items().collect(),
            other => panic!("{other:?}"),
        };
        let items = self
            .frames
            .lock()
            .iter()
            .flat_map(items)
            .collect::<Vec<_>>();
        let text = |item: Payload| String::from_utf8(item.bytes.to_vec()).unwrap();
        items.into_iter().map(text).collect()
    }
}

#[tokio::test]
async fn what_is_ready_together_goes_together_and_a_lone_item_as_an_item() {
    let rig = rig(true, 10);
    let flow = rig.outlet.flow();
    tokio::pin!(flow);
    rig.put([1]).await;
    assert_eq!((rig.messages(), rig.call.sent()), (vec![], 0));
    assert!(flow.as_mut().now_or_never().is_none());
    assert_eq!((rig.messages(), rig.call.sent()), (vec![(1, 1, false)], 1));
    rig.put(2..=4).await;
    assert!(flow.as_mut().now_or_never().is_none());
    assert_eq!(rig.messages()[1..], [(2, 3, false)]);
    assert_eq!(rig.call.sent(), 4);
    assert_eq!(rig.items(), ["1", "2", "3", "4"]);
}

#[tokio::test(start_paused = true)]
async fn only_items_that_follow_closely_wait_for_each_other() {
    let rig = rig(true, 10);
    let put = async |seq, last| {
        let item = item(seq, Payload::json("1"), last);
        rig.outlet.put(item).await.unwrap()
    };
    assert!(put(1, false).await, "the first one");
    assert!(!put(2, false).await);
    tokio::time::advance(CLOSE / 2).await;
    assert!(!put(3, false).await);
    tokio::time::advance(CLOSE).await;
    assert!(put(4, false).await, "it took long");
    assert!(!put(5, false).await);
    assert!(put(6, true).await, "the last one");
}

#[tokio::test]
async fn a_message_has_so_many_items_and_bytes_and_larger_items_go_alone() {
    let rig = rig_of(true, 1000, 1000);
    let text = |size: usize| Payload::json(format!("\"{}\"", "x".repeat(size - 2)));
    // Lengths included, a message has 1000 bytes at most.
    for (seq, size) in (1..).zip([400, 400, 400, 997, 30, 996, 30]) {
        let item = item(seq, text(size), seq == 7);
        rig.outlet.put(item).await.unwrap();
    }
    rig.outlet.flush().await.unwrap();
    let expected = [
        (1, 2, false),
        (3, 1, false),
        (4, 1, false),
        (5, 1, false),
        (6, 1, false),
        (7, 1, true),
    ];
    assert_eq!(rig.messages(), expected);
    let many = self::rig(true, 1000);
    let limit = MAX_ITEMS as u64;
    for seq in 1..=limit + 36 {
        let item = item(seq, Payload::json(""), false);
        many.outlet.put(item).await.unwrap();
    }
    many.outlet.flush().await.unwrap();
    let expected = [(1, MAX_ITEMS, false), (limit + 1, 36, false)];
    assert_eq!(many.messages(), expected);
    assert_eq!(many.call.sent(), limit + 36);
}

#[tokio::test]
async fn who_never_waits_lets_others_have_their_turn_after_each_full_message() {
    let rig = rig(true, 10);
    let other = tokio::spawn(async {});
    rig.put(1..=MAX_ITEMS as u64).await;
    assert!(!other.is_finished(), "so far nothing made it wait");
    rig.put([MAX_ITEMS as u64 + 1]).await;
    assert!(other.is_finished());
}

#[tokio::test]
async fn without_batches_each_item_goes_at_once_and_by_itself() {
    let rig = rig(false, 10);
    rig.put(1..=3).await;
    assert_eq!(
        rig.messages(),
        [(1, 1, false), (2, 1, false), (3, 1, false)]
    );
    assert_eq!(rig.call.sent(), 3);
}

#[tokio::test]
async fn whoever_is_dropped_while_it_hands_over_loses_nothing() {
    let rig = rig(true, 0);
    rig.put(1..=2).await;
    assert!(rig.outlet.flush().now_or_never().is_none());
    rig.put(3..=4).await;
    assert!(rig.outlet.flush().now_or_never().is_none());
    assert_eq!(rig.call.sent(), 0, "a beat must not run ahead");
    rig.gate.add_permits(10);
    rig.outlet.flush().await.unwrap();
    assert_eq!(rig.messages(), [(1, 2, false), (3, 2, false)]);
    assert_eq!(rig.call.sent(), 4);
}

#[tokio::test]
async fn after_a_loss_nothing_is_taken() {
    let rig = rig(true, 0);
    rig.put(1..=2).await;
    rig.gate.close();
    let lost = rig.outlet.flush().await.unwrap_err();
    assert_eq!(lost.code(), "stream_lost");
    let refused = rig.outlet.put(item(3, Payload::json("3"), false)).await;
    assert_eq!(refused.unwrap_err().code(), "stream_lost");
    assert_eq!(rig.call.sent(), 0);
}
