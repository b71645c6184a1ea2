//! Where the log goes, and in which form.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use super::Failure;
use crate::config::Log;

/// Sends the log of the whole process to standard error.
///
/// # Errors
/// When the filter is malformed.
pub(super) fn start(log: &Log) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(&log.filter)
        .map_err(|e| Failure::Usage(format!("the log filter {:?}: {e}", log.filter)))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    let started = if log.json {
        builder.json().flatten_event(true).try_init()
    } else {
        builder.try_init()
    };
    // One that runs already is that of a program around this library: it stays.
    drop(started);
    Ok(())
}
