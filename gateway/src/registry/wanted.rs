//! Which version a request gets: what it says, what is configured, what is pinned for its caller.

use std::sync::Arc;

use sluice_protocol::FunctionSpec;
use sluice_protocol::request::named_version;

use super::snapshot::{Function, Snapshot, Unresolved};

/// What decides about the version of a request. Whoever reads a request (by its version's types)
/// and whoever resolves it must come to the same one.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted<'a> {
    /// As the client named it.
    pub version: Option<&'a str>,
    /// What those get that name none, where the function has it (`versions.default`).
    pub default: Option<&'a str>,
    /// Whether a version that is not there counts as none (`versions.unknown`).
    pub unknown_is_latest: bool,
    /// Who asks, for pins.
    pub user: Option<&'a str>,
    /// With which API key, for pins.
    pub api_key: Option<&'a str>,
}

impl<'a> Wanted<'a> {
    /// The version that a function is resolved by; `None`: its current one, or the caller's pin.
    pub(crate) fn of(
        &self,
        snapshot: &Snapshot,
        service: &str,
        request_type: &str,
    ) -> Option<&'a str> {
        let resolve = |version| snapshot.resolve(service, request_type, Some(version));
        match named_version(self.version) {
            // Whoever has a version of their own is not everybody.
            None if snapshot.is_pinned(service, request_type, (self.user, self.api_key)) => None,
            None => self.default.filter(|version| resolve(version).is_ok()),
            Some(version) if self.unknown_is_latest => {
                let unknown = matches!(resolve(version), Err(Unresolved::Version(_)));
                Some(version).filter(|_| !unknown)
            }
            named => named,
        }
    }
}

impl Snapshot {
    /// The function that a request gets.
    ///
    /// # Errors
    /// As [`resolve`](Self::resolve).
    pub fn resolve_wanted(
        &self,
        service: &str,
        request_type: &str,
        wanted: &Wanted<'_>,
    ) -> Result<&Arc<Function>, Unresolved> {
        let version = wanted.of(self, service, request_type);
        self.resolve_for(
            service,
            request_type,
            version,
            (wanted.user, wanted.api_key),
        )
    }
}

impl Function {
    /// The function as its clients know it: with their names and types, where their version is
    /// translated. Configs of one function differ during a deploy only, so the first will do.
    #[must_use]
    pub fn seen(&self) -> Option<&Arc<FunctionSpec>> {
        let variant = self.variants.first()?;
        let seen = variant.translation.as_ref().map(|t| &t.seen);
        Some(seen.unwrap_or(&variant.spec))
    }
}
