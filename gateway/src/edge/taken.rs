//! Paths that are answered before any route is looked for.

use std::sync::Arc;

use super::version_source::VersionSources;
use crate::config::Config;
use crate::registry::TakenPaths;

/// Says of a path who takes it, by `versions.sources` and `phoenix.path`.
#[must_use]
pub fn taken_paths(config: &Config) -> TakenPaths {
    let versions = VersionSources::new(&config.versions.sources);
    let socket = config.phoenix.enabled.then(|| config.phoenix.path.clone());
    Arc::new(move |path| {
        if versions.takes(path) {
            let why = "its path begins with a version, which versions.sources takes off it";
            return Some(why.to_owned());
        }
        let is_socket = socket.as_deref() == Some(path);
        is_socket.then(|| "its path is that of sockets (phoenix.path)".to_owned())
    })
}
