//! What has come of a call already: taken without a wait, a timer, or a look at the clock for each.

use sluice_protocol::CallError;
use tokio::time::Instant;

use super::{Exchange, Progress};

impl Exchange {
    /// What [`Exchange::next`] would say at once, apart from timers; `None` if it would wait. Who
    /// took anything calls [`Exchange::resume`].
    pub(in crate::dispatch) fn next_waiting(
        &mut self,
        now: Instant,
    ) -> Option<Result<Progress, CallError>> {
        loop {
            let on_break = self.on_break();
            let attempt = self.attempt.as_mut()?;
            let (link, variant) = (&self.context.link, self.call.variant());
            let frame = attempt.next_waiting(link, variant, on_break, now)?;
            let taken = match frame {
                Ok(Some(frame)) => self.take(frame),
                Ok(None) => continue,
                Err(failure) => Err(failure),
            };
            match taken {
                Ok(Some(progress)) => {
                    self.tell_progress(&progress);
                    self.goes_well();
                    return Some(Ok(progress));
                }
                Ok(None) => {}
                // Where it is tried again, that is for those who can wait.
                Err(failure) => return self.after(failure).err().map(Err),
            }
        }
    }
}
