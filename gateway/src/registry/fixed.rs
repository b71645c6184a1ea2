//! Functions of the gateway's own config file: always there, served by plain NATS responders.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;
use sluice_protocol::{FunctionSpec, ServiceName};

use super::configs::{FunctionId, function_id};
use super::supported::not_served;
use crate::config::FixedFunction;

/// What stands in a snapshot where other functions have the hash of their config.
pub const CONFIG_FILE: &str = "config-file";

/// Mistakes in the `[[function]]` tables, all of them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("; "))]
pub struct InvalidFixed(pub Vec<String>);

/// One of them.
#[derive(Debug)]
pub(super) struct Fixed {
    pub(super) spec: Arc<FunctionSpec>,
    pub(super) subject: String,
    pub(super) headers: bool,
}

/// All of them, by service.
pub(super) type FixedFunctions = HashMap<ServiceName, HashMap<FunctionId, Fixed>>;

/// Reads and checks the tables.
pub(super) fn parse(
    tables: &[FixedFunction],
    taken: &dyn Fn(&str) -> Option<String>,
) -> Result<FixedFunctions, InvalidFixed> {
    let mut all = FixedFunctions::new();
    let mut mistakes = Vec::new();
    for (index, table) in tables.iter().enumerate() {
        let place = format!("function[{index}]");
        match one(table, taken) {
            Ok(fixed) => {
                let of_service = all.entry(fixed.spec.service.clone()).or_default();
                let label = fixed.spec.label();
                if of_service.insert(function_id(&fixed.spec), fixed).is_some() {
                    mistakes.push(format!("{place}: {label} is defined twice"));
                }
            }
            Err(faults) => mistakes.extend(faults.into_iter().map(|f| format!("{place}: {f}"))),
        }
    }
    if mistakes.is_empty() {
        Ok(all)
    } else {
        Err(InvalidFixed(mistakes))
    }
}

fn one(
    table: &FixedFunction,
    taken: &dyn Fn(&str) -> Option<String>,
) -> Result<Fixed, Vec<String>> {
    let mut faults = Vec::new();
    if !is_plain_subject(&table.subject) {
        faults.push(format!(
            "subject must be tokens without space, * and > joined by dots, got {:?}",
            table.subject
        ));
    }
    let spec = match ServiceName::new(&table.service) {
        Err(e) => Err(vec![e.to_string()]),
        Ok(service) => function(&service, &table.spec, taken),
    };
    match spec {
        Ok(spec) if faults.is_empty() => Ok(Fixed {
            spec: Arc::new(spec),
            subject: table.subject.clone(),
            headers: table.headers,
        }),
        Ok(_) => Err(faults),
        Err(more) => {
            faults.extend(more);
            Err(faults)
        }
    }
}

fn function(
    service: &ServiceName,
    spec: &Value,
    taken: &dyn Fn(&str) -> Option<String>,
) -> Result<FunctionSpec, Vec<String>> {
    let fault = |field: &str, message: &str| format!("{field}: {message}");
    let spec = FunctionSpec::from_json(service, spec).map_err(|all| {
        let faults = all.iter().map(|f| fault(&f.field, &f.message));
        faults.collect::<Vec<_>>()
    })?;
    let unserved: Vec<_> = not_served(&spec, taken)
        .iter()
        .map(|r| fault(&r.field, &r.message))
        .collect();
    if unserved.is_empty() {
        Ok(spec)
    } else {
        Err(unserved)
    }
}

fn is_plain_subject(subject: &str) -> bool {
    let plain = |token: &str| {
        !token.is_empty()
            && token
                .chars()
                .all(|c| !c.is_whitespace() && !c.is_control() && c != '*' && c != '>')
    };
    subject.len() <= 1024 && subject.split('.').all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parse(tables: &[FixedFunction]) -> Result<FixedFunctions, InvalidFixed> {
        super::parse(tables, &|_| None)
    }

    fn table(service: &str, subject: &str, name: &str) -> FixedFunction {
        FixedFunction {
            service: service.into(),
            subject: subject.into(),
            headers: true,
            spec: json!({ "request_type": name }),
        }
    }

    #[test]
    fn good_tables_become_functions() {
        let all = parse(&[table("legacy", "old.time", "time")]).unwrap();
        let of_service = &all[&ServiceName::new("legacy").unwrap()];
        assert_eq!(of_service.values().next().unwrap().subject, "old.time");
    }

    #[test]
    fn what_would_silently_not_hold_is_refused() {
        let mut asks_for_more = table("legacy", "a", "x");
        asks_for_more.spec["routes"] = json!(["POST /health/x"]);
        let faults = parse(&[asks_for_more]).unwrap_err().0;
        assert_eq!(faults.len(), 1);
        assert!(
            faults[0].starts_with("function[0]: routes/0: "),
            "{faults:?}"
        );
    }

    #[test]
    fn every_mistake_is_told() {
        let faults = parse(&[
            table("legacy", "old.*", ""),
            table("", "a b", "x"),
            table("legacy", "a", "y"),
            table("legacy", "b", "y"),
        ])
        .unwrap_err()
        .0;
        assert!(faults.len() >= 5, "{faults:?}");
        assert!(
            faults[0].starts_with("function[0]: subject must be"),
            "{faults:?}"
        );
        assert!(faults.iter().any(|f| f.starts_with("function[1]: service")));
        assert_eq!(
            faults.last().unwrap(),
            "function[3]: legacy.y is defined twice"
        );
    }
}
