//! Stage 1: service, function and version become a spec, and the config that serves this call.

use std::sync::Arc;
use std::time::Duration;

use sluice_protocol::function::{FunctionSpec, ResponseType};
use sluice_protocol::request::named_version;
use sluice_protocol::suggest::edits;
use sluice_protocol::{ApiVersion, CallError, ErrorCode};

use tokio::time::Instant;

use super::{Call, Limits};
use crate::dispatch::select::pick_variant;
use crate::limiter::CountedArgs;
use crate::registry::snapshot::{Function, Snapshot, Unresolved, Variant};
use crate::registry::wanted::Wanted;
use crate::telemetry::CallRecord;

/// A call whose function is known.
#[derive(Debug)]
pub(super) struct Resolved {
    /// Boxed: it goes through many hands.
    pub(super) call: Box<Call>,
    pub(super) function: Arc<Function>,
    pub(super) variant: usize,
    pub(super) limits: Limits,
    /// When its time began: hooks, queues, attempts and back-offs all share it.
    pub(super) started: Instant,
}

impl Resolved {
    pub(super) fn variant(&self) -> &Variant {
        &self.function.variants[self.variant]
    }

    /// Takes over who serves the picked config now. Checks were made for that config, so another
    /// one does not do.
    pub(super) fn refresh(&mut self, snapshot: &Snapshot) {
        let Some(now) = snapshot.same(&self.function) else {
            return;
        };
        let hash = &self.variant().config_hash;
        if let Some(index) = now.variants.iter().position(|v| v.config_hash == *hash) {
            self.function = now.clone();
            self.variant = index;
        }
    }

    pub(super) fn spec(&self) -> &FunctionSpec {
        &self.variant().spec
    }

    /// The args as limits count by them.
    pub(super) fn counted_args(&self) -> CountedArgs<'_> {
        match self.translated_by_worker() {
            Some(_) => CountedArgs::Unknown,
            None => CountedArgs::Today {
                given: &self.call.args,
                types: self.spec().arg_types.as_ref(),
            },
        }
    }

    /// The function in the version that was asked for, for people. Its spec is that of today's
    /// where an older one is translated.
    pub(super) fn label(&self) -> String {
        let Function {
            service,
            request_type,
            version,
            ..
        } = &*self.function;
        match version {
            Some(version) => format!("{service}.{request_type}@{version}"),
            None => format!("{service}.{request_type}"),
        }
    }

    /// The client's version, where the worker translates.
    pub(super) fn translated_by_worker(&self) -> Option<&ApiVersion> {
        let chain = &self.variant().translation.as_ref()?.chain;
        chain.has_code().then(|| chain.from())
    }
}

/// Finds the function; refuses what cannot be called at all.
pub(super) fn resolve(
    snapshot: &Snapshot,
    call: Box<Call>,
    limits: Limits,
    record: &mut CallRecord,
) -> Result<Resolved, CallError> {
    let resolved = find(snapshot, call, limits, record.started())?;
    record.resolved(&resolved.function);
    open(snapshot, &resolved)?;
    Ok(resolved)
}

/// Whether clients may call what was found, at all.
pub(super) fn open(snapshot: &Snapshot, resolved: &Resolved) -> Result<(), CallError> {
    // An internal function does not exist for clients.
    if resolved.spec().internal {
        return Err(unknown_function(snapshot, &resolved.call, false));
    }
    callable(resolved)
}

/// Finds the function of a hook or permission callback: internal ones too, but only sync ones.
pub(super) fn resolve_callback(
    snapshot: &Snapshot,
    call: Box<Call>,
    limits: Limits,
) -> Result<Resolved, CallError> {
    let resolved = find(snapshot, call, limits, Instant::now())?;
    callable(&resolved)?;
    if resolved.spec().response_type != ResponseType::Sync {
        let text = format!("{} is no sync function", resolved.label());
        return Err(CallError::new(ErrorCode::MethodNotAllowed, text));
    }
    Ok(resolved)
}

/// Gives a call that names no version the configured one, where that is what it gets.
pub(super) fn by_default(snapshot: &Snapshot, call: &mut Call, version: &str) {
    if named_version(call.version.as_deref()).is_some() {
        return;
    }
    let wanted = Wanted {
        default: Some(version),
        ..call.wanted()
    };
    let (service, name) = (call.service.as_str(), call.request_type.as_str());
    if let Some(version) = wanted.of(snapshot, service, name) {
        call.version = Some(version.to_owned());
    }
}

/// The function by its name, whether or not it can be called. The call's time began at `started`.
pub(super) fn find(
    snapshot: &Snapshot,
    call: Box<Call>,
    limits: Limits,
    started: Instant,
) -> Result<Resolved, CallError> {
    let (service, name) = (call.service.as_str(), call.request_type.as_str());
    // The default was filled in where it came to be: `by_default`.
    let wanted = Wanted {
        unknown_is_latest: limits.unknown_is_latest,
        ..call.wanted()
    };
    let found = snapshot.resolve_wanted(service, name, &wanted);
    let function = match found {
        Ok(function) => function.clone(),
        Err(Unresolved::Version(known)) => return Err(unknown_version(&call, known)),
        Err(Unresolved::Function) => return Err(unknown_function(snapshot, &call, limits.suggest)),
    };
    if let (Some(notice), Some(place)) = (&function.notice, &call.caller.notice) {
        // A call has one version.
        let _ = place.set(notice.clone());
    }
    let variant = pick_variant(&function);
    Ok(Resolved {
        call,
        function,
        variant,
        limits,
        started,
    })
}

fn callable(resolved: &Resolved) -> Result<(), CallError> {
    let spec = resolved.spec();
    if resolved.function.disabled || spec.disabled {
        return Err(CallError::new(
            ErrorCode::FunctionDisabled,
            format!("{} is disabled", resolved.label()),
        ));
    }
    // Whoever calls a resource has a request for it.
    if spec.is_resource() != resolved.call.http.is_some() {
        let text = if spec.is_resource() {
            let routes = spec.routes.join(", ");
            format!("{} is an HTTP resource: request {routes}", resolved.label())
        } else {
            format!("{} is no HTTP resource any more", resolved.label())
        };
        return Err(CallError::new(ErrorCode::MethodNotAllowed, text));
    }
    if resolved.call.idempotent_only && !spec.idempotent {
        return Err(CallError::new(
            ErrorCode::MethodNotAllowed,
            format!("{} is not idempotent: call it with POST", resolved.label()),
        ));
    }
    let served = resolved.variant();
    if served.instances.is_empty() && served.fixed_subject.is_none() {
        return Err(CallError::new(
            ErrorCode::NoWorkers,
            format!("no worker serves {} now; it did not run", resolved.label()),
        ));
    }
    Ok(())
}

fn unknown_version(call: &Call, known: Vec<String>) -> CallError {
    let text = format!(
        "{}.{} has no version {:?}",
        call.service,
        call.request_type,
        call.version.as_deref().unwrap_or_default()
    );
    CallError::new(ErrorCode::UnknownVersion, text).with_detail("versions", known)
}

fn unknown_function(snapshot: &Snapshot, call: &Call, suggest: bool) -> CallError {
    let mut text = format!(
        "there is no function {}.{}",
        call.service, call.request_type
    );
    let near = suggest.then(|| nearest(snapshot, call)).flatten();
    if let Some(near) = &near {
        text = format!("{text}; did you mean {near}?");
    }
    let error = CallError::new(ErrorCode::UnknownFunction, text);
    match near {
        Some(near) => error.with_detail("did_you_mean", near),
        None => error,
    }
}

/// The callable function whose name differs least; only for development, where it is told.
fn nearest(snapshot: &Snapshot, call: &Call) -> Option<String> {
    let wanted = format!("{}.{}", call.service, call.request_type);
    let names = snapshot.services.iter().flat_map(|(service, functions)| {
        functions
            .iter()
            .filter(|(_, all)| {
                all.versions
                    .iter()
                    .any(|f| f.variants.iter().any(|v| !v.spec.internal))
            })
            .map(move |(name, _)| format!("{service}.{name}"))
    });
    let near = names.map(|name| (edits(&wanted, &name), name)).min()?;
    (near.0 <= 2 + wanted.len() / 5).then_some(near.1)
}

impl Resolved {
    /// How long the call may take in all.
    pub(super) fn time_limit(&self) -> Duration {
        let spec = self.spec();
        if spec.response_type == ResponseType::Stream {
            let own = spec
                .max_duration_ms
                .map_or(self.limits.stream, Duration::from_millis);
            return own.min(self.limits.stream);
        }
        self.frame_timeout()
    }

    /// When its time is up.
    pub(super) fn deadline(&self) -> Instant {
        self.started + self.time_limit()
    }

    /// Until when the first thing has to be heard of it: for streams that is sooner than the end.
    pub(super) fn first_by(&self) -> Instant {
        self.deadline().min(self.started + self.frame_timeout())
    }

    /// How long each answer may take as the function says.
    pub(super) fn own_timeout(&self) -> Duration {
        crate::dispatch::timeout_of(self.spec().timeout, self.limits.timeout)
    }

    /// How long each answer may take; the client may shorten it.
    pub(super) fn frame_timeout(&self) -> Duration {
        let own = self.own_timeout();
        self.call
            .timeout_ms
            .map_or(own, |ms| own.min(Duration::from_millis(ms)))
    }
}
