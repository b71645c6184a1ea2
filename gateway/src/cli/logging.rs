//! Where the log goes, and in which form.

use std::io::IsTerminal;
use std::sync::Arc;

use super::Failure;
use crate::config::Log;
use crate::telemetry::levels::{Levels, with_audit};

/// Sends the log of the whole process to standard error. `None`: one runs already, and stays.
///
/// # Errors
/// When the filter is malformed.
pub(super) fn start(log: &Log) -> Result<Option<Arc<Levels>>, Failure> {
    let filter = with_audit(&log.filter)
        .map_err(|e| Failure::Usage(format!("the log filter {:?}: {e}", log.filter)))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    // Two types, which differ in how they write; what changes their levels is alike.
    let (started, levels) = if log.json {
        let builder = builder.json().flatten_event(true).with_filter_reloading();
        let handle = builder.reload_handle();
        let apply = move |filter| handle.reload(filter).map_err(|e| e.to_string());
        (builder.try_init(), Levels::new(&log.filter, apply))
    } else {
        let builder = builder.with_filter_reloading();
        let handle = builder.reload_handle();
        let apply = move |filter| handle.reload(filter).map_err(|e| e.to_string());
        (builder.try_init(), Levels::new(&log.filter, apply))
    };
    // One that runs already is that of a program around this library.
    Ok(started.is_ok().then_some(levels))
}
