//! The options of one argument, read by kind of value; what is wrong is told at its place.

use serde_json::{Map, Value};

use super::path::{Path, shorten};
use super::spec::Reader;
use super::{DEFAULT_ITEMS, DEFAULT_STRING_BYTES};

/// The options of one argument.
#[derive(Clone, Copy)]
pub(super) struct Options<'v, 'p> {
    /// None: the argument is the name of a type alone.
    pub(super) map: Option<&'v Map<String, Value>>,
    /// Where they stand.
    pub(super) path: Path<'p>,
}

impl<'v> Options<'v, '_> {
    /// The value of an option.
    pub(super) fn get(&self, name: &str) -> Option<&'v Value> {
        self.map?.get(name)
    }
}

impl Reader<'_> {
    pub(super) fn ordered<T: PartialOrd>(
        &mut self,
        options: Options<'_, '_>,
        min: Option<T>,
        max: Option<T>,
    ) {
        if min.zip(max).is_some_and(|(min, max)| min > max) {
            self.fault(
                Path::Key(&options.path, "max"),
                "must not be less than \"min\"",
            );
        }
    }

    pub(super) fn max_items(&mut self, options: Options<'_, '_>) -> usize {
        self.size(options, "max_items").unwrap_or(DEFAULT_ITEMS)
    }

    pub(super) fn bytes(&mut self, options: Options<'_, '_>, name: &str) -> usize {
        self.size(options, name).unwrap_or(DEFAULT_STRING_BYTES)
    }

    pub(super) fn size(&mut self, options: Options<'_, '_>, name: &str) -> Option<usize> {
        let read = |v: &Value| v.as_u64().and_then(|n| usize::try_from(n).ok());
        self.option(options, name, "a whole number, 0 or more", read)
    }

    pub(super) fn flag(&mut self, options: Options<'_, '_>, name: &str) -> Option<bool> {
        self.option(options, name, "true or false", Value::as_bool)
    }

    pub(super) fn names(
        &mut self,
        options: Options<'_, '_>,
        name: &str,
        most: usize,
    ) -> Vec<String> {
        let read = |v: &Value| {
            let list = v.as_array().filter(|list| list.len() <= most)?;
            let names: Option<Vec<&str>> = list.iter().map(Value::as_str).collect();
            let names = names?;
            let mut sorted = names.clone();
            sorted.sort_unstable();
            let distinct = sorted.windows(2).all(|pair| pair[0] != pair[1]);
            distinct.then(|| names.into_iter().map(str::to_owned).collect())
        };
        let expected = format!("a list of at most {most} different strings");
        self.option(options, name, &expected, read)
            .unwrap_or_default()
    }

    pub(super) fn option<T>(
        &mut self,
        options: Options<'_, '_>,
        name: &str,
        expected: &str,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Option<T> {
        let value = options.get(name)?;
        let read = read(value);
        if read.is_none() {
            let message = format!("must be {expected}, got {}", shorten(&value.to_string()));
            self.fault(Path::Key(&options.path, name), message);
        }
        read
    }
}
