//! What operators ask of the registry; the follower answers between two messages.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::Registry;
use super::refused::{Refused, RefusedFilter};
use super::status::Status;
use crate::overrides::Overrides;

/// Nothing follows the workers: the gateway shuts down, or never started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the registry does not run")]
pub struct RegistryStopped;

/// One question or order.
#[derive(Debug)]
pub(super) enum Command {
    Status(oneshot::Sender<Status>),
    Refused(RefusedFilter, oneshot::Sender<Vec<Refused>>),
    ClearRefused(RefusedFilter, oneshot::Sender<usize>),
    SetOverrides(Arc<Overrides>, oneshot::Sender<()>),
    Gateways(oneshot::Sender<Vec<String>>),
}

impl Registry {
    /// Everything that is known, for operators.
    ///
    /// # Errors
    /// When nothing follows the workers.
    pub async fn services(&self) -> Result<Status, RegistryStopped> {
        self.ask(Command::Status).await
    }

    /// The ids of the other gateways that were heard of late, in order.
    ///
    /// # Errors
    /// When nothing follows the workers.
    pub async fn other_gateways(&self) -> Result<Vec<String>, RegistryStopped> {
        self.ask(Command::Gateways).await
    }

    /// The configs that were refused, newest first.
    ///
    /// # Errors
    /// When nothing follows the workers.
    pub async fn refused(&self, filter: RefusedFilter) -> Result<Vec<Refused>, RegistryStopped> {
        self.ask(|answer| Command::Refused(filter, answer)).await
    }

    /// Forgets refused configs, the filter's limit aside; returns how many.
    ///
    /// # Errors
    /// When nothing follows the workers.
    pub async fn clear_refused(&self, filter: RefusedFilter) -> Result<usize, RegistryStopped> {
        self.ask(|answer| Command::ClearRefused(filter, answer))
            .await
    }

    /// Puts what operators have decided in place of what they had decided before; in force when
    /// this returns, whatever workers announce.
    ///
    /// # Errors
    /// When nothing follows the workers.
    pub async fn set_overrides(&self, overrides: Arc<Overrides>) -> Result<(), RegistryStopped> {
        self.ask(|done| Command::SetOverrides(overrides, done))
            .await
    }

    async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T, RegistryStopped> {
        let (answer, answered) = oneshot::channel();
        let sent = self.commands.send(command(answer)).await;
        sent.map_err(|_| RegistryStopped)?;
        answered.await.map_err(|_| RegistryStopped)
    }
}

#[cfg(test)]
impl Registry {
    /// A registry that takes overrides and knows nothing else.
    pub(crate) fn taking_overrides() -> Arc<Self> {
        use super::snapshot::Snapshot;
        let (commands, mut inbox) = tokio::sync::mpsc::channel(8);
        let registry = Arc::new(Self::with_commands(commands, Arc::default()));
        let weak = Arc::downgrade(&registry);
        tokio::spawn(async move {
            while let Some(command) = inbox.recv().await {
                let Some(registry) = weak.upgrade() else {
                    return;
                };
                match command {
                    Command::SetOverrides(overrides, done) => {
                        registry.publish(Snapshot {
                            pins: overrides.pins().clone(),
                            has_notices: overrides.has_notices(),
                            ..Snapshot::default()
                        });
                        _ = done.send(());
                    }
                    Command::Status(answer) => _ = answer.send(Status::default()),
                    Command::Gateways(answer) => _ = answer.send(Vec::new()),
                    Command::Refused(_, answer) => _ = answer.send(Vec::new()),
                    Command::ClearRefused(_, answer) => _ = answer.send(0),
                }
            }
        });
        registry
    }
}
