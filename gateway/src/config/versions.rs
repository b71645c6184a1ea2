//! `[versions]`

use super::kind::text::{List, Text};
use super::section::section;
use crate::edge::version_source::Source;

section! {
    /// Where the version of a request comes from, and what those get that name none.
    ["versions"] VersionOptions {
        /// Where HTTP requests may name a version; the first that does counts. `field` (of a whole
        /// request), `header:NAME`, `query:NAME`, and patterns with `{version}`:
        /// `path:/v{version}` or `path:/api/{version}` for a segment that is taken out of the path, and
        /// `accept:application/vnd.acme.v{version}+json`. Sockets have the field, and for all their
        /// requests the headers and the query with which they were opened.
        sources: Vec<String> = vec!["field".to_owned(), "header:sluice-version".to_owned()], List {
            what: "places such as \"field\", \"header:sluice-version\", \"path:/v{version}\"",
            check: |text| Source::parse(text).map(drop),
        };
        /// The version of requests that name none, where the function has it; empty: the latest.
        default: String = String::new(), Text {
            what: "a version, or \"\" for the latest",
            check: |text| match text.is_empty() {
                true => Ok(()),
                false => sluice_protocol::ApiVersion::new(text).map(drop).map_err(|e| e.to_string()),
            },
        };
        /// What requests get that name a version which does not exist: `refuse`
        /// (`unknown_version`, which lists those that do), or `latest`.
        unknown: String = "refuse".to_owned(), Text {
            what: "\"refuse\" or \"latest\"",
            check: |text| match text {
                "refuse" | "latest" => Ok(()),
                other => Err(format!("{other:?}: expected \"refuse\" or \"latest\"")),
            },
        };
    }
}
