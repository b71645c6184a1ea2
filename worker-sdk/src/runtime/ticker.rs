//! One task that looks after time for all held calls, so that none needs a timer of its own.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use super::shared::Shared;

/// How precise beats and time limits are.
const TICK: Duration = Duration::from_millis(50);

/// Beats for the calls whose beat is due, and ends those that are over time, until closed.
pub(crate) async fn run(shared: Arc<Shared>) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut downs = 0;
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = shared.closed.cancelled() => break,
        }
        let link = *shared.link.borrow();
        if link.downs > downs {
            downs = link.downs;
            shared.table.lose_streams();
        }
        if shared.table.len() == 0 {
            continue;
        }
        for call in shared.table.tick(Instant::now()) {
            // A beat that waits for the broker would hold up the time limits, and be of no use.
            if link.connected {
                let seq = call.sent();
                shared.replier(call.reply.clone()).beat(seq).await;
            }
        }
    }
}
