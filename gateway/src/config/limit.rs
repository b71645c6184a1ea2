//! `[[limit]]`: how many calls a caller may make.

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::DeValue;

use super::function::to_json;
use super::kind::Raw;
use super::mistake::Mistake;
use super::reader::{File, Reader};
use super::source::entry;
use crate::limiter::Limit;

/// The key of the tables in the file.
pub(super) const KEY: &str = "limit";

/// Reads all limits. Those with mistakes are left out.
pub(super) fn read(reader: &mut Reader<'_>) -> Vec<Limit> {
    let Some(file) = reader.file else {
        return Vec::new();
    };
    let Some((offset, value)) = entry(file.table, KEY) else {
        return Vec::new();
    };
    let DeValue::Array(items) = value.get_ref() else {
        let message = "expected tables [[limit]], with two brackets";
        let origin = file.text.origin(offset);
        reader.mistakes.push(Mistake::new(origin, KEY, message));
        return Vec::new();
    };
    let mut limits = Vec::new();
    let mut names = BTreeSet::new();
    for item in items.iter() {
        let Some(limit) = read_one(reader, file, item) else {
            continue;
        };
        if !names.insert(limit.name.clone()) {
            let message = format!("the limit {:?} stands here twice", limit.name);
            let origin = file.text.origin(item.span().start);
            reader.mistakes.push(Mistake::new(origin, KEY, message));
        }
        limits.push(limit);
    }
    limits
}

fn read_one(reader: &mut Reader<'_>, file: File<'_>, item: &Spanned<DeValue<'_>>) -> Option<Limit> {
    let header = item.span().start;
    let DeValue::Table(table) = item.get_ref() else {
        let message = format!("expected a table, got {}", Raw::Toml(item.get_ref()));
        let origin = file.text.origin(header);
        reader.mistakes.push(Mistake::new(origin, KEY, message));
        return None;
    };
    let mut report = |field: &str, message: String| {
        let offset = entry(table, field).map_or(header, |(offset, _)| offset);
        let origin = file.text.origin(offset);
        let option = format!("{KEY}.{field}");
        reader.mistakes.push(Mistake::new(origin, option, message));
    };
    let mut object = Map::new();
    for (key, value) in table.iter() {
        let key = key.get_ref().as_ref();
        match to_json(value.get_ref()) {
            Ok(value) => {
                object.insert(key.to_owned(), value);
            }
            Err(fault) => report(key, fault),
        }
    }
    match Limit::from_json(&Value::Object(object)) {
        Ok(limit) => Some(limit),
        Err(faults) => {
            for fault in faults {
                report(&fault.field, fault.message);
            }
            None
        }
    }
}
