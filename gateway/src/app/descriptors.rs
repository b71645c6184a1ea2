//! File descriptors: each connection of a client is one, and systems give programs 1024 unless they ask.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors besides connections of clients: broker, Redis, admin, files, the runtime's own.
const OTHERS: u64 = 200;

/// Raises this process' own limit to the system's, as servers do, and warns where that is too few for
/// `http.max_connections`: clients above it would wait unheard.
pub(super) fn raise(max_connections: usize) {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    let current = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(error) => {
            tracing::debug!(%error, "the limit of file descriptors stays as it is");
            limit.current
        }
    };
    if let Some(missing) = missing(current, max_connections) {
        tracing::warn!(
            limit = current,
            max_connections,
            missing,
            "too few file descriptors for http.max_connections: raise the system's limit \
             (LimitNOFILE of systemd, ulimit -n), or lower the option"
        );
    }
}

/// How many descriptors are missing; `None`, as a limit, is no limit.
fn missing(limit: Option<u64>, max_connections: usize) -> Option<u64> {
    let wanted = (max_connections as u64).saturating_add(OTHERS);
    limit
        .and_then(|limit| wanted.checked_sub(limit))
        .filter(|missing| *missing > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_told() {
        assert_eq!(missing(None, 20_000), None);
        assert_eq!(missing(Some(20_200), 20_000), None);
        assert_eq!(missing(Some(1024), 20_000), Some(19_176));
    }

    #[test]
    fn the_limit_is_raised_to_the_systems() {
        raise(10);
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
    }
}
