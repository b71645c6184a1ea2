//! A gateway inside another program: its own tests, or a service that brings its gateway along.

use std::net::SocketAddr;
use std::sync::Arc;

use sluice_protocol::id::InvalidId;
use sluice_worker::{Worker, WorkerBuilder};

use super::AppError;
use super::serve::Running;
use crate::config::Config;
use crate::dispatch::custom::{Selector, Selectors};
use crate::hooks::{Callback, Callbacks};
use crate::middleware::{Chain, Middleware};
use crate::overrides::Steering;
use crate::registry::Registry;
use crate::telemetry::levels::Levels;

/// What an embedding program brings along.
#[derive(Debug, Clone, Default)]
pub(super) struct Extras {
    pub(super) callbacks: Callbacks,
    pub(super) middleware: Chain,
    pub(super) selectors: Selectors,
    pub(super) levels: Option<Arc<Levels>>,
}

impl Extras {
    /// Nothing but the levels of the log.
    pub(super) fn with(levels: Option<Arc<Levels>>) -> Self {
        Self {
            levels,
            ..Self::default()
        }
    }
}

/// A gateway that is being put together.
#[derive(Debug)]
pub struct GatewayBuilder {
    config: Config,
    extras: Extras,
    functions: Vec<WorkerBuilder>,
}

impl GatewayBuilder {
    /// A hook or permission callback of this program, under the name by which functions name it.
    ///
    /// # Errors
    /// When the names are none.
    pub fn callback(
        mut self,
        service: &str,
        function: &str,
        callback: impl Callback,
    ) -> Result<Self, InvalidId> {
        self.extras.callbacks = self.extras.callbacks.with(service, function, callback)?;
        Ok(self)
    }

    /// Code that sees every call first; those that were added earlier see it earlier.
    #[must_use]
    pub fn middleware(mut self, middleware: impl Middleware) -> Self {
        self.extras.middleware.push(middleware);
        self
    }

    /// Code that picks the instance for calls of one function.
    ///
    /// # Errors
    /// When the names are none.
    pub fn selector(
        mut self,
        service: &str,
        function: &str,
        selector: impl Selector,
    ) -> Result<Self, InvalidId> {
        self.extras.selectors = self.extras.selectors.with(service, function, selector)?;
        Ok(self)
    }

    /// Functions of this program: served within this process from the start of the gateway to the
    /// end of its drain, over the gateway's own broker. They are functions like any other, seen by
    /// every gateway of the cluster.
    #[must_use]
    pub fn functions(mut self, worker: WorkerBuilder) -> Self {
        self.functions.push(worker);
        self
    }

    /// Starts it, as `sluice serve` does.
    ///
    /// # Errors
    /// When a part cannot start. A broker that is not there yet is no reason, unless this program
    /// serves functions: those are there when this returns.
    pub async fn start(self) -> Result<Gateway, AppError> {
        let url = self.config.nats.url.clone();
        let running = Running::start_with(self.config, false, self.extras).await?;
        let mut gateway = Gateway {
            running,
            functions: Vec::new(),
        };
        for functions in self.functions {
            match functions.connect(&url).start().await {
                Ok(worker) => gateway.functions.push(worker),
                Err(error) => {
                    gateway.drain().await;
                    return Err(AppError::Functions(error.to_string()));
                }
            }
        }
        Ok(gateway)
    }
}

/// A whole gateway that runs within this process, on threads of its own.
///
/// Dropping it leaves it running until the process ends; [`Gateway::drain`] ends it in order.
pub struct Gateway {
    running: Running,
    functions: Vec<Worker>,
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gateway")
            .field("http", &self.http())
            .finish()
    }
}

impl Gateway {
    /// Starts it, as `sluice serve` does.
    ///
    /// # Errors
    /// When a part cannot start. A broker that is not there yet is no reason: it is waited for.
    pub async fn start(config: Config) -> Result<Self, AppError> {
        Self::builder(config).start().await
    }

    /// Begins to put one together, with code of this program in it.
    #[must_use]
    pub fn builder(config: Config) -> GatewayBuilder {
        GatewayBuilder {
            config,
            extras: Extras::default(),
            functions: Vec::new(),
        }
    }

    /// Where clients connect.
    #[must_use]
    pub fn http(&self) -> SocketAddr {
        self.running.http
    }

    /// Where operators connect.
    #[must_use]
    pub fn admin(&self) -> SocketAddr {
        self.running.admin
    }

    /// What it knows of workers.
    #[must_use]
    pub fn registry(&self) -> &Arc<Registry> {
        &self.running.registry
    }

    /// What operators have decided, and their way to decide more.
    #[must_use]
    pub fn steering(&self) -> &Arc<Steering> {
        &self.running.steering
    }

    /// Ends it: no new connections, then the calls in flight, then the rest.
    pub async fn drain(self) {
        self.running.drain().await;
        // Calls in flight may have needed them.
        for worker in self.functions {
            if let Err(error) = worker.shutdown().await {
                tracing::warn!(%error, "the gateway's own functions ended badly");
            }
        }
    }
}
