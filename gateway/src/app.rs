//! Wires the parts from the configuration and owns their tasks.

use std::net::SocketAddr;

use crate::config::Config;

/// Why the gateway could not start, or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The operating system refused something.
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

/// What `sluice dev` starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DevOptions {
    /// Where clients connect.
    pub http: SocketAddr,
    /// Where operators connect.
    pub admin: SocketAddr,
    /// Where the embedded broker listens.
    pub nats: SocketAddr,
    /// Whether to start the demo worker.
    pub demo: bool,
}

/// Runs a gateway until it is told to stop. Lines for the operator go to `announce`.
///
/// # Errors
/// When it cannot start.
pub fn run_serve(config: Config, announce: impl Fn(&str)) -> Result<(), AppError> {
    let _ = (config, announce);
    until_signal()
}

/// Runs everything in one process until it is told to stop.
///
/// # Errors
/// When it cannot start.
pub fn run_dev(options: DevOptions, announce: impl Fn(&str)) -> Result<(), AppError> {
    let _ = (options, announce);
    until_signal()
}

/// Runs the embedded broker alone until it is told to stop.
///
/// # Errors
/// When it cannot listen.
pub fn run_broker(listen: SocketAddr, announce: impl Fn(&str)) -> Result<(), AppError> {
    let _ = (listen, announce);
    until_signal()
}

fn until_signal() -> Result<(), AppError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut terminate =
            tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::select! {
            done = tokio::signal::ctrl_c() => done?,
            _ = terminate.recv() => {}
        }
        Ok(())
    })
}
