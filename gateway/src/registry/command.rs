//! What operators ask of the registry; the follower answers between two messages.

use sluice_protocol::{ApiVersion, FunctionName, ServiceName};
use tokio::sync::oneshot;

use super::Registry;
use super::configs::FunctionId;
use super::refused::{Refused, RefusedFilter};
use super::status::Status;

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
    Gateways(oneshot::Sender<Vec<String>>),
    SetDisabled {
        service: ServiceName,
        function: FunctionId,
        disabled: bool,
        known: oneshot::Sender<bool>,
    },
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

    /// Switches a function off or on at this gateway. It stays so when its workers announce it
    /// anew, and is in force when this returns. Returns whether such a function is known now.
    ///
    /// # Errors
    /// When nothing follows the workers.
    pub async fn set_disabled(
        &self,
        service: &ServiceName,
        function: &FunctionName,
        version: Option<&ApiVersion>,
        disabled: bool,
    ) -> Result<bool, RegistryStopped> {
        self.ask(|known| Command::SetDisabled {
            service: service.clone(),
            function: (function.clone(), version.cloned()),
            disabled,
            known,
        })
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
