//! What operators and configuration have decided about a call before any stage looks at it: which
//! version it gets, which instances get nothing.

use std::sync::Arc;

use sluice_protocol::request::named_version;

use super::look::Explanation;
use super::{Depth, Explainer, Outcome};
use crate::pipeline::resolve::{self, Resolved};
use crate::pipeline::{Call, translate};
use crate::registry::snapshot::Snapshot;

/// Why a call that names no version gets the one it gets, if anybody decided that.
pub(super) fn version(
    snapshot: &Snapshot,
    call: &mut Call,
    default: Option<&str>,
) -> Option<String> {
    if named_version(call.version.as_deref()).is_some() {
        return None;
    }
    if let Some(version) = default {
        resolve::by_default(snapshot, call, version);
        if call.version.as_deref() == Some(version) {
            return Some(format!("versions.default is {version}"));
        }
    }
    let pin = snapshot.pins.find(
        call.identity.user_id.as_deref(),
        call.caller.api_key.as_deref(),
        call.service.as_str(),
        call.request_type.as_str(),
    )?;
    Some(format!("the caller is pinned to {}", pin.version))
}

/// How a version is served that a newer one serves.
pub(super) fn translation(call: &Resolved) -> Option<String> {
    let translation = call.variant().translation.as_ref()?;
    let chain = &translation.chain;
    let steps = chain.steps().iter();
    let steps = steps.map(|step| match step.code {
        true => format!("{} ({}, in code)", step.version, step.name),
        false => format!("{} ({})", step.version, step.name),
    });
    let steps: Vec<String> = steps.collect();
    let place = match chain.has_code() {
        true => "the worker",
        false => "the gateway",
    };
    let steps = match steps.is_empty() {
        true => "no change concerns it".to_owned(),
        false => steps.join(", "),
    };
    Some(format!(
        "{} is served as {}, translated by {place}: {steps}",
        chain.from(),
        call.spec().label()
    ))
}

impl Explainer {
    /// The args in the shape of the client's version.
    pub(super) fn in_its_version(told: &mut Explanation, call: &mut Resolved, depth: Depth) {
        let Some(translation) = call.variant().translation.clone() else {
            return;
        };
        let Some(types) = translation.chain.arg_types() else {
            return;
        };
        let names: Vec<&str> = types.names().collect();
        let text = format!("args of {}: {}", translation.chain.from(), names.join(", "));
        told.judge("check in its version", depth, text, || {
            translate::declared(call)
        });
    }

    /// Up to the shape that is served today.
    pub(super) fn climb(told: &mut Explanation, call: &mut Resolved, depth: Depth) {
        if let Some(text) = translation(call) {
            told.judge("translate", depth, text, || translate::climb(call));
        }
    }

    /// The instances that an operator has drained.
    pub(super) async fn drained(&self, call: &Resolved) -> Vec<String> {
        let status = self.registry.services().await;
        let services = status.map(|s| s.services).unwrap_or_default();
        let own =
            |s: &&crate::registry::status::ServiceStatus| s.service == call.call.service.as_str();
        let instances = services.iter().find(own).map(|s| &s.instances);
        let drained = instances.into_iter().flatten().filter(|i| i.drained);
        drained.map(|i| i.instance.clone()).collect()
    }

    /// Says what a deprecation says.
    pub(super) fn deprecated(told: &mut Explanation, call: &Resolved) {
        if let Some(notice) = &call.function.notice {
            let text = format!("clients are told that it is deprecated: {}", notice.field);
            told.step("notice", Outcome::Passes, text);
        }
    }

    /// What the registry knows now.
    pub(super) fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.registry.snapshot())
    }
}
