//! Background work that outlives its own faults: a panic in one part of the gateway stops that
//! part for a moment, and no other.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// Waits between a panic and a new beginning: twice as long each time.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Work that went well for so long begins anew as soon as the first time.
const WELL: Duration = Duration::from_secs(60);

/// Does `work` until it ends or `stop`; begins it anew when it panics.
pub(crate) async fn supervise<F>(
    what: &'static str,
    stop: CancellationToken,
    mut work: impl FnMut() -> F,
) where
    F: Future<Output = ()>,
{
    let mut pause = FIRST_PAUSE;
    loop {
        let begun = Instant::now();
        // What it shares with others stands behind locks that a panic does not poison.
        let done = AssertUnwindSafe(async { work().await }).catch_unwind();
        match stop.run_until_cancelled(done).await {
            None | Some(Ok(())) => return,
            Some(Err(_)) => {}
        }
        if begun.elapsed() >= WELL {
            pause = FIRST_PAUSE;
        }
        tracing::error!(what, ?pause, "background work panicked and begins anew");
        if stop.run_until_cancelled(sleep(pause)).await.is_none() {
            return;
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_panics_begins_anew_with_growing_waits_and_ends_when_it_is_done() {
        let times = AtomicU32::new(0);
        let begun = Instant::now();
        supervise("test", CancellationToken::new(), || async {
            if times.fetch_add(1, Ordering::Relaxed) < 3 {
                panic!("on purpose");
            }
        })
        .await;
        assert_eq!(times.load(Ordering::Relaxed), 4);
        assert_eq!(begun.elapsed(), Duration::from_millis(100 + 200 + 400));
    }

    #[tokio::test(start_paused = true)]
    async fn it_stops_when_it_is_told_to_whatever_it_does() {
        for hangs in [true, false] {
            let stop = CancellationToken::new();
            let work = supervise("test", stop.clone(), || async move {
                if hangs {
                    std::future::pending::<()>().await;
                }
                panic!("on purpose");
            });
            let later = async {
                sleep(Duration::from_secs(600)).await;
                stop.cancel();
            };
            tokio::join!(work, later);
        }
    }
}
