//! The follower answers operators.

use tokio::time::Instant;

use super::Follower;
use crate::registry::command::Command;

impl Follower {
    /// Answers a question, or carries out an order and says so once it is in force.
    pub(super) fn command(&mut self, command: Command) {
        let now = Instant::now();
        // Whoever asked may be gone: then nobody needs the answer.
        match command {
            Command::Status(answer) => _ = answer.send(self.table.status(now)),
            Command::Gateways(answer) => _ = answer.send(self.gateways.ids(now)),
            Command::Refused(filter, answer) => {
                _ = answer.send(self.table.refused(&filter, now));
            }
            Command::ClearRefused(filter, answer) => {
                _ = answer.send(self.table.clear_refused(&filter));
            }
            Command::SetOverrides(overrides, done) => {
                self.table.set_overrides(overrides);
                self.publish();
                _ = done.send(());
            }
        }
    }
}
