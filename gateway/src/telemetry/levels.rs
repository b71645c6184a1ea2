//! The levels of the log, which operators change while the gateway runs.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::Serialize;
use tokio::time::Instant;
use tracing_subscriber::EnvFilter;

use crate::config::check_filter;

/// The longest time after which levels go back by themselves.
pub const LONGEST: Duration = Duration::from_hours(24);

/// What the audit's events are logged as.
pub const AUDIT_TARGET: &str = "sluice::audit";

/// A filter as it is put in force: whatever it says, the audit stays in the log. Otherwise whoever
/// may change levels could change anything else unseen.
///
/// # Errors
/// When the filter is malformed.
pub fn with_audit(filter: &str) -> Result<EnvFilter, String> {
    EnvFilter::try_new(format!("{filter},{AUDIT_TARGET}=info")).map_err(|e| e.to_string())
}

/// Puts a filter in force.
type Apply = Box<dyn Fn(EnvFilter) -> Result<(), String> + Send + Sync>;

/// The filter of this process's log, as it was configured and as it is.
pub struct Levels {
    apply: Apply,
    configured: String,
    now: Mutex<Now>,
}

#[derive(Debug)]
struct Now {
    filter: String,
    /// When it goes back to what was configured.
    until: Option<Instant>,
    /// Counts changes: one that is over undoes itself, and none that came after it.
    changes: u64,
}

/// The levels as they are told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Told {
    /// In force now.
    pub filter: String,
    /// What the configuration says.
    pub configured: String,
    /// Milliseconds until that is in force again; null: until somebody says so.
    pub reverts_in_ms: Option<u64>,
}

/// Why levels were not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LevelsError {
    /// The filter is none, or the time is too long.
    #[error("{0}")]
    Invalid(String),
    /// The log does not take it.
    #[error("the log took no new filter: {0}")]
    Refused(String),
}

impl Levels {
    /// Of a log that takes filters by `apply`, and has the `configured` one now.
    pub fn new(
        configured: impl Into<String>,
        apply: impl Fn(EnvFilter) -> Result<(), String> + Send + Sync + 'static,
    ) -> Arc<Self> {
        let configured = configured.into();
        let now = Now {
            filter: configured.clone(),
            until: None,
            changes: 0,
        };
        Arc::new(Self {
            apply: Box::new(apply),
            configured,
            now: Mutex::new(now),
        })
    }

    /// What is in force.
    #[must_use]
    pub fn told(&self) -> Told {
        let now = self.now.lock();
        let left = |until: Instant| until.saturating_duration_since(Instant::now());
        let ms = |left: Duration| u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
        Told {
            filter: now.filter.clone(),
            configured: self.configured.clone(),
            reverts_in_ms: now.until.map(left).map(ms),
        }
    }

    /// Puts a filter in force, `None`: the configured one; for a time, or until the next change.
    /// Needs a tokio runtime.
    ///
    /// # Errors
    /// When the filter is malformed, or the time longer than [`LONGEST`]. Nothing has changed then.
    pub fn set(
        self: &Arc<Self>,
        filter: Option<&str>,
        during: Option<Duration>,
    ) -> Result<Told, LevelsError> {
        let filter = filter.unwrap_or(&self.configured);
        check_filter(filter).map_err(LevelsError::Invalid)?;
        if during.is_some_and(|time| time.is_zero() || time > LONGEST) {
            let text = format!("for_ms is from 1 to {}", LONGEST.as_millis());
            return Err(LevelsError::Invalid(text));
        }
        let change = {
            let mut now = self.now.lock();
            self.put(&mut now, filter)?;
            now.until = during.map(|time| Instant::now() + time);
            now.until.map(|until| (until, now.changes))
        };
        if let Some((until, change)) = change {
            let levels = self.clone();
            tokio::spawn(async move {
                tokio::time::sleep_until(until).await;
                levels.undo(change);
            });
        }
        Ok(self.told())
    }

    fn put(&self, now: &mut Now, filter: &str) -> Result<(), LevelsError> {
        let parsed = with_audit(filter).map_err(LevelsError::Invalid)?;
        (self.apply)(parsed).map_err(LevelsError::Refused)?;
        filter.clone_into(&mut now.filter);
        now.until = None;
        now.changes += 1;
        Ok(())
    }

    /// The time of this change is over.
    fn undo(&self, change: u64) {
        let undone = {
            let mut now = self.now.lock();
            if now.changes != change {
                return;
            }
            self.put(&mut now, &self.configured)
        };
        match undone {
            Ok(()) => tracing::info!(filter = self.configured, "log levels are back"),
            Err(error) => tracing::error!(%error, "log levels did not go back"),
        }
    }
}

impl std::fmt::Debug for Levels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Levels").field("now", &self.now).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn levels() -> (Arc<Levels>, Arc<Mutex<Vec<String>>>) {
        let applied: Arc<Mutex<Vec<String>>> = Arc::default();
        let to = applied.clone();
        let levels = Levels::new("info", move |filter| {
            to.lock().push(filter.to_string());
            Ok(())
        });
        (levels, applied)
    }

    const MINUTE: Duration = Duration::from_mins(1);

    #[tokio::test(start_paused = true)]
    async fn a_change_for_a_time_goes_back_by_itself() {
        let (levels, applied) = levels();
        let told = levels.set(Some("debug"), Some(MINUTE)).unwrap();
        assert_eq!(
            (told.filter.as_str(), told.reverts_in_ms),
            ("debug", Some(60_000))
        );
        tokio::time::sleep(MINUTE + Duration::from_millis(1)).await;
        let told = levels.told();
        assert_eq!((told.filter.as_str(), told.reverts_in_ms), ("info", None));
        assert_eq!(
            *applied.lock(),
            ["sluice::audit=info,debug", "sluice::audit=info,info"]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_later_change_is_not_undone_by_an_earlier_one() {
        let (levels, applied) = levels();
        levels.set(Some("debug"), Some(MINUTE)).unwrap();
        levels.set(Some("warn"), None).unwrap();
        tokio::time::sleep(MINUTE * 2).await;
        assert_eq!(levels.told().filter, "warn");
        levels.set(None, None).unwrap();
        let now = applied.lock().last().cloned();
        assert_eq!(now.as_deref(), Some("sluice::audit=info,info"));
    }

    #[tokio::test]
    async fn what_makes_no_sense_changes_nothing() {
        let (levels, applied) = levels();
        for (filter, during) in [
            ("ifno", None),
            ("xyz", None),
            ("", None),
            ("hyper=loud", None),
            ("debug", Some(Duration::ZERO)),
            ("debug", Some(LONGEST + MINUTE)),
        ] {
            let refused = levels.set(Some(filter), during);
            assert!(
                matches!(refused, Err(LevelsError::Invalid(_))),
                "{filter} {during:?}"
            );
        }
        assert_eq!(levels.told().filter, "info");
        assert!(applied.lock().is_empty());
    }

    #[tokio::test]
    async fn the_audit_is_logged_at_any_level() {
        use std::sync::atomic::{AtomicUsize, Ordering};
        use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
        struct Count(Arc<AtomicUsize>);
        impl<S: tracing::Subscriber> Layer<S> for Count {
            fn on_event(&self, _: &tracing::Event<'_>, _: Context<'_, S>) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        for filter in [
            "off",
            "warn",
            "sluice::audit=off",
            "sluice_gateway=debug,error",
        ] {
            let seen = Arc::new(AtomicUsize::new(0));
            let layer = Count(seen.clone()).with_filter(with_audit(filter).unwrap());
            let log = tracing_subscriber::registry().with(layer);
            tracing::subscriber::with_default(log, || {
                tracing::info!(target: AUDIT_TARGET, "seen");
                tracing::info!(target: "elsewhere", "not seen");
            });
            assert_eq!(seen.load(Ordering::Relaxed), 1, "{filter}");
        }
    }

    #[tokio::test]
    async fn a_log_that_does_not_take_it_is_told() {
        let levels = Levels::new("info", |_| Err("gone".to_owned()));
        let refused = levels.set(Some("debug"), None).unwrap_err();
        assert!(refused.to_string().contains("gone"), "{refused}");
        assert_eq!(levels.told().filter, "info");
    }
}
