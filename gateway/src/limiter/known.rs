//! Callers of whom this gateway knows already that they are over a limit.

use tokio::time::Instant;

use super::store::Demand;
use super::{Asking, Limiter, Refusal, refused};

impl Limiter {
    /// Whether a limit that was looked at lately still refuses this caller. Nothing is counted, and
    /// nobody is asked: for a look before work is done for a call. Limits that count by an arg are
    /// left to [`admit`](Self::admit), since its args may still change.
    ///
    /// # Errors
    /// `Refusal::Limited`, as `admit` would say it.
    pub fn known(&self, asking: &Asking<'_>) -> Result<(), Refusal> {
        if self.denied.is_empty() {
            return Ok(());
        }
        let now = Instant::now();
        let rules = self.rules.load();
        for rule in rules.of(asking.service, asking.function) {
            let limit = &rule.limit;
            if limit.shadow || limit.key.reads_args() || !limit.concerns(asking.caller) {
                continue;
            }
            let Some(digest) = limit.key.of(asking) else {
                continue;
            };
            let demand = Demand::new(rule, digest);
            if let Some(wait) = self.denied.wait(&demand, rules.generation, now) {
                return Err(refused(demand.rule, wait));
            }
        }
        Ok(())
    }
}
