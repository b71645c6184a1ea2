//! What may happen to a connection besides its requests.

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Alarm {
    /// The time to drain is up.
    Force,
    /// The gateway begins to leave.
    Drain,
    /// The timer fired.
    Timer,
}

enum Event {
    Alarm(Alarm),
    /// The `n`th setting of the timer.
    Timer(u64),
}

/// Waits for all of them. A connection is polled several times for each request: only what was
/// woken is looked at then, where each look at a token or a timer would take its lock.
pub(super) struct Alarms<'a> {
    pending: FuturesUnordered<BoxFuture<'a, Event>>,
    setting: u64,
    deadline: Instant,
}

impl<'a> Alarms<'a> {
    /// Alarms whose timer fires at `deadline`.
    pub(super) fn new(
        force: &'a CancellationToken,
        drain: &'a CancellationToken,
        deadline: Instant,
    ) -> Self {
        let pending = FuturesUnordered::new();
        let told = |token: &'a CancellationToken, alarm| -> BoxFuture<'a, Event> {
            Box::pin(async move {
                token.cancelled().await;
                Event::Alarm(alarm)
            })
        };
        pending.push(told(force, Alarm::Force));
        pending.push(told(drain, Alarm::Drain));
        let mut alarms = Self {
            pending,
            setting: 0,
            deadline,
        };
        alarms.set_timer(deadline);
        alarms
    }

    /// When the timer fires, or fired.
    pub(super) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Sets the one timer anew.
    pub(super) fn set_timer(&mut self, deadline: Instant) {
        self.setting += 1;
        self.deadline = deadline;
        let setting = self.setting;
        self.pending.push(Box::pin(async move {
            sleep_until(deadline).await;
            Event::Timer(setting)
        }));
    }

    /// The next one. Cancel-safe.
    pub(super) async fn next(&mut self) -> Alarm {
        loop {
            match self.pending.next().await {
                Some(Event::Alarm(alarm)) => return alarm,
                Some(Event::Timer(setting)) if setting == self.setting => return Alarm::Timer,
                // Set anew since.
                Some(Event::Timer(_)) => {}
                None => std::future::pending().await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn the_last_setting_of_the_timer_counts() {
        let (force, drain) = (CancellationToken::new(), CancellationToken::new());
        let began = Instant::now();
        let mut alarms = Alarms::new(&force, &drain, began + Duration::from_secs(10));
        alarms.set_timer(began + Duration::from_secs(20));
        assert_eq!(alarms.next().await, Alarm::Timer);
        assert_eq!(began.elapsed().as_secs(), 20);
        alarms.set_timer(began + Duration::from_secs(30));
        alarms.set_timer(began + Duration::from_secs(25));
        assert_eq!(alarms.next().await, Alarm::Timer);
        assert_eq!(began.elapsed().as_secs(), 25);
    }

    #[tokio::test(start_paused = true)]
    async fn each_token_is_told_once() {
        let (force, drain) = (CancellationToken::new(), CancellationToken::new());
        let later = Instant::now() + Duration::from_secs(60);
        let mut alarms = Alarms::new(&force, &drain, later);
        drain.cancel();
        assert_eq!(alarms.next().await, Alarm::Drain);
        force.cancel();
        assert_eq!(alarms.next().await, Alarm::Force);
        assert_eq!(alarms.next().await, Alarm::Timer);
    }
}
