//! A gateway inside another program: its own tests, or a service that brings its gateway along.

use std::net::SocketAddr;
use std::sync::Arc;

use super::AppError;
use super::serve::Running;
use crate::config::Config;
use crate::overrides::Steering;
use crate::registry::Registry;

/// A whole gateway that runs within this process, on threads of its own.
///
/// Dropping it leaves it running until the process ends; [`Gateway::drain`] ends it in order.
pub struct Gateway(Running);

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
        Running::start(config).await.map(Self)
    }

    /// Where clients connect.
    #[must_use]
    pub fn http(&self) -> SocketAddr {
        self.0.http
    }

    /// Where operators connect.
    #[must_use]
    pub fn admin(&self) -> SocketAddr {
        self.0.admin
    }

    /// What it knows of workers.
    #[must_use]
    pub fn registry(&self) -> &Arc<Registry> {
        &self.0.registry
    }

    /// What operators have decided, and their way to decide more.
    #[must_use]
    pub fn steering(&self) -> &Arc<Steering> {
        &self.0.steering
    }

    /// Ends it: no new connections, then the calls in flight, then the rest.
    pub async fn drain(self) {
        self.0.drain().await;
    }
}
