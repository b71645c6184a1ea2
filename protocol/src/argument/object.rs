//! Objects within args: of declared fields, or of any keys.

use serde::de::MapAccess;

use super::keys::{KeySet, Name, Named, Seen, Text, Unread};
use super::path::{Path, shorten};
use super::rule::Rule;
use super::value::ValueSeed;
use super::walk::{Top, Walk};
use super::{ArgTypes, MapRule, category};
use crate::suggest::did_you_mean;

/// Reads an object that has these fields and no others.
pub(super) fn declared<'de, A: MapAccess<'de>>(
    walk: &mut Walk,
    path: Path<'_>,
    types: &ArgTypes,
    mut map: A,
) -> Result<Top, A::Error> {
    let mut top = Top {
        seen: Seen::default(),
        entries: 0,
    };
    let mut likely = 0;
    while let Some(name) = map.next_key_seed(Name { types, likely })? {
        top.entries += 1;
        let key = match &name {
            Named::Field(index) => types.0[*index].0.as_str(),
            Named::Other(key) => key,
        };
        let path = Path::Key(&path, key);
        let mut rule = Rule::Anything;
        match &name {
            Named::Field(index) if top.seen.mark(*index) => {
                likely = index + 1;
                rule = Rule::Spec(&types.0[*index].1);
            }
            Named::Field(_) => walk.fault(path, category::DUPLICATE, "stands twice")?,
            Named::Other(key) => walk.fault(path, category::UNKNOWN, unknown(key, types))?,
        }
        map.next_value_seed(ValueSeed {
            walk: &mut *walk,
            path,
            rule,
        })?;
    }
    for (index, (name, spec)) in types.0.iter().enumerate() {
        if !top.seen.has(index) && !spec.may_be_absent() {
            let path = Path::Key(&path, name);
            walk.fault(path, category::MISSING, format!("{name:?} is missing"))?;
        }
    }
    Ok(top)
}

fn unknown(key: &str, types: &ArgTypes) -> String {
    if types.0.is_empty() {
        return format!("{:?} is not known: there are no arguments", shorten(key));
    }
    let hint = did_you_mean(key, types.names());
    format!("{:?} is not known{hint}", shorten(key))
}

/// Reads an object of any keys.
pub(super) fn map<'de, A: MapAccess<'de>>(
    walk: &mut Walk,
    path: Path<'_>,
    rule: &MapRule,
    mut map: A,
) -> Result<(), A::Error> {
    if *rule == MapRule::free(usize::MAX) {
        return unread(walk, path, &mut map);
    }
    let values = if rule.flat {
        Rule::Flat
    } else {
        Rule::Anything
    };
    let mut keys = KeySet::default();
    let mut required = Seen::default();
    let mut count = 0;
    while let Some(key) = map.next_key_seed(Text)? {
        count += 1;
        if count > rule.max_items {
            let message = format!("too many entries: max {} items", rule.max_items);
            walk.fault(path, category::TOO_MANY_ITEMS, message)?;
            map.next_value_seed(anything(walk, path))?;
            unread(walk, path, &mut map)?;
            // What else is required may have been among those.
            return Ok(());
        }
        let place = Path::Key(&path, &key);
        map.next_value_seed(ValueSeed {
            walk: &mut *walk,
            path: place,
            rule: values,
        })?;
        if !rule.accept.is_empty() && !rule.accept.iter().any(|a| *a == key) {
            let hint = did_you_mean(&key, rule.accept.iter().map(String::as_str));
            let message = format!("{:?} is a rejected key{hint}", shorten(&key));
            walk.fault(place, category::UNKNOWN, message)?;
        }
        if let Some(index) = rule.required.iter().position(|r| *r == key) {
            required.mark(index);
        }
        if !keys.insert(key.clone()) {
            walk.fault(place, category::DUPLICATE, "stands twice")?;
        }
    }
    for (index, name) in rule.required.iter().enumerate() {
        if !required.has(index) {
            let path = Path::Key(&path, name);
            walk.fault(path, category::MISSING, format!("{name:?} is missing"))?;
        }
    }
    Ok(())
}

/// Reads the rest of an object that no rule looks into.
pub(super) fn unread<'de, A: MapAccess<'de>>(
    walk: &mut Walk,
    path: Path<'_>,
    map: &mut A,
) -> Result<(), A::Error> {
    while map.next_key_seed(Unread)?.is_some() {
        map.next_value_seed(anything(walk, path))?;
    }
    Ok(())
}

fn anything<'w>(walk: &'w mut Walk, path: Path<'w>) -> ValueSeed<'w, 'static> {
    ValueSeed {
        walk,
        path,
        rule: Rule::Anything,
    }
}
