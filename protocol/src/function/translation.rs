//! The versions of a service beside its functions: which of them are served by which function.

use serde_json::Value;

use super::{ChooseNodeMode, FunctionSpec};
use crate::change::{Chain, Versions};
use crate::registry::Reason;
use crate::version::ApiVersion;

/// A version of a function that is served by a newer one, through changes.
#[derive(Debug, Clone, PartialEq)]
pub struct Translated {
    /// The version that clients name.
    pub version: ApiVersion,
    /// Which of the functions serves it, by its place among them.
    pub function: usize,
    /// What lies in between.
    pub chain: Chain,
}

/// Every version of every function that is listed and has no function of its own. A request climbs
/// to the next newer listed version that has one, else to the function without version.
pub(super) fn translated(functions: &[FunctionSpec], versions: &Versions) -> Vec<Translated> {
    let mut all = Vec::new();
    if versions.is_empty() {
        return all;
    }
    let names: Vec<&ApiVersion> = versions.names().collect();
    let own = |spec: &FunctionSpec, version: Option<&ApiVersion>| {
        functions.iter().position(|other| {
            other.request_type == spec.request_type && other.version.as_ref() == version
        })
    };
    for (index, spec) in functions.iter().enumerate() {
        // Once for each name, whatever versions of it stand there.
        let first = functions
            .iter()
            .position(|other| other.request_type == spec.request_type);
        if first != Some(index) {
            continue;
        }
        for (place, version) in names.iter().enumerate() {
            if own(spec, Some(version)).is_some() {
                continue;
            }
            let newer = names[place..].iter();
            let served = newer
                .filter_map(|name| Some((own(spec, Some(name))?, Some(name.as_str()))))
                .next()
                .or_else(|| Some((own(spec, None)?, None)));
            let name = spec.request_type.as_str();
            let chain = served.and_then(|(function, to)| {
                let chain = versions.chain(version.as_str(), to, name)?;
                Some(Translated {
                    version: (*version).clone(),
                    function,
                    chain,
                })
            });
            all.extend(chain);
        }
    }
    all
}

/// Reads the versions of a config, and checks what they say of its functions.
pub(super) fn read(value: &Value, functions: &[FunctionSpec]) -> Result<Versions, Vec<Reason>> {
    let versions = Versions::from_json(value).map_err(|faults| {
        let reason = |fault: super::FieldFault| Reason {
            function: String::new(),
            field: format!("versions/{}", fault.field)
                .trim_end_matches('/')
                .to_owned(),
            message: fault.message,
        };
        faults.into_iter().map(reason).collect::<Vec<_>>()
    })?;
    let mut reasons: Vec<Reason> = Vec::new();
    for translated in translated(functions, &versions) {
        let spec = &functions[translated.function];
        if translated.chain.has_code() {
            reasons.extend(in_code(spec, &translated));
        }
    }
    if reasons.is_empty() {
        Ok(versions)
    } else {
        Err(reasons)
    }
}

/// Changes in code reach today's shape in the worker: nothing that reads args can stand before.
fn in_code(spec: &FunctionSpec, translated: &Translated) -> Vec<Reason> {
    let by_arg = matches!(
        spec.choose_node_mode,
        ChooseNodeMode::HashArg(_) | ChooseNodeMode::Sticky(_)
    );
    let fields = [
        ("permission_callback", spec.permission_callback.is_some()),
        ("choose_node_mode", by_arg),
    ];
    let change = translated.chain.steps().iter().find(|step| step.code);
    let change = change.map_or("", |step| step.name.as_str());
    if spec.is_resource() {
        let text = format!(
            "its requests are translated in the gateway, which cannot for version {}: change {change:?} is in code",
            translated.version
        );
        return vec![Reason {
            function: spec.label(),
            field: "kind".to_owned(),
            message: text,
        }];
    }
    fields
        .into_iter()
        .filter(|(_, set)| *set)
        .map(|(field, _)| Reason {
            function: spec.label(),
            field: field.to_owned(),
            message: format!(
                "reads args in the gateway, which never sees them in today's shape for version {}: change {change:?} is in code",
                translated.version
            ),
        })
        .collect()
}
