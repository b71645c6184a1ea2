//! What a request's method, path and version lead to.

use std::sync::Arc;

use sluice_protocol::request::named_version;
use sluice_protocol::{ApiVersion, FunctionName, FunctionSpec, ServiceName};

use super::{Form, Owner, segments};
use crate::registry::snapshot::Snapshot;
use crate::registry::wanted::Wanted;

/// What a route leads to.
#[derive(Debug)]
pub enum Lookup {
    /// Nothing is there.
    Nothing,
    /// The path is none that could be a route's.
    Malformed,
    /// Nothing is there, but without the slash at its end there would be.
    WithoutSlash,
    /// Functions are there, but none for this method: those that are allowed, for `Allow`.
    Methods(String),
    /// The route has not the version that is asked for; it has these.
    Version {
        /// `service.function`.
        of: String,
        /// The versions that have the route.
        known: Vec<String>,
    },
    /// A function or a resource.
    Found(Box<Target>),
}

/// A function or resource, and what the path says to it.
#[derive(Debug)]
pub struct Target {
    /// Of which service.
    pub service: ServiceName,
    /// Which.
    pub request_type: FunctionName,
    /// The version to call.
    pub version: Option<String>,
    /// The parameters of the path, decoded.
    pub params: Vec<(String, String)>,
    /// As one of its configs has it: a hint for reading the request.
    pub spec: Arc<FunctionSpec>,
}

impl Snapshot {
    /// Whose route a request takes.
    #[must_use]
    pub fn route(&self, method: &str, path: &str, wanted: &Wanted<'_>) -> Lookup {
        if self.routes.is_empty() {
            return Lookup::Nothing;
        }
        let Ok(segments) = segments(path) else {
            return Lookup::Malformed;
        };
        let Some(found) = self.routes.find(&segments) else {
            let inner = match segments.split_last() {
                Some((last, inner)) if last.is_empty() => inner,
                _ => return Lookup::Nothing,
            };
            return match self.routes.find(inner) {
                Some(_) => Lookup::WithoutSlash,
                None => Lookup::Nothing,
            };
        };
        if !found.is_plain {
            return Lookup::Malformed;
        }
        let place = found.place;
        let Some(owner) = place.resource().or_else(|| place.function(method)) else {
            return Lookup::Methods(place.allow());
        };
        let Some((form, spec)) = self.form(owner, wanted) else {
            let known = owner.versions.iter().filter_map(|f| f.version.as_ref());
            return Lookup::Version {
                of: format!("{}.{}", owner.service, owner.request_type),
                known: known.map(ToString::to_string).collect(),
            };
        };
        let values = found.values.into_iter().map(std::borrow::Cow::into_owned);
        Lookup::Found(Box::new(Target {
            service: owner.service.clone(),
            request_type: owner.request_type.clone(),
            version: form.version.as_ref().map(ToString::to_string),
            params: form.params.iter().cloned().zip(values).collect(),
            spec,
        }))
    }

    /// The version of a route's owner that a request gets. One that names none gets what the
    /// function's own calls get, if that has the route; else the newest that has it.
    fn form<'o>(
        &self,
        owner: &'o Owner,
        wanted: &Wanted<'_>,
    ) -> Option<(&'o Form, Arc<FunctionSpec>)> {
        let (service, name) = (owner.service.as_str(), owner.request_type.as_str());
        let of = |wanted: &Wanted<'_>| self.resolve_wanted(service, name, wanted);
        let function = of(wanted).ok()?;
        let version = function.version.as_ref().map(ApiVersion::as_str);
        if let Some(form) = owner.form(version) {
            return Some((form, function.seen()?.clone()));
        }
        // Whoever names a version wants no other one.
        if named_version(wanted.version)
            .and(wanted.of(self, service, name))
            .is_some()
        {
            return None;
        }
        let stable = |f: &&Form| f.version.as_ref().is_none_or(|v| !v.is_prerelease());
        let form = owner.versions.iter().rev().find(stable)?;
        let newest = Wanted {
            version: form.version.as_ref().map(ApiVersion::as_str),
            ..Wanted::default()
        };
        let spec = of(&newest).ok()?.seen()?.clone();
        Some((form, spec))
    }
}
