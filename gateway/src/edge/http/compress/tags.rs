//! Entity tags of packed bodies.
//!
//! A strong tag stands for bytes, so the packed form needs another one: `"1"` goes out as
//! `"1-gzip"`, and comes back in as `"1"`. A tag of the resource's own that ends so goes out as
//! `"1-gzip-identity"`: each tag that goes out comes back as the one that it was.

use http::header::{ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue};
use sluice_protocol::http::field_text;

use super::Coding;
use crate::pipeline::each_tag;

/// What stands for bytes as they are, where something must.
const AS_IS: &str = "identity";

/// The tag of a packed body.
pub(super) fn packed(headers: &mut HeaderMap, coding: Coding) {
    change(headers, |tag| {
        // Weak tags do not stand for bytes.
        if tag.starts_with("W/") {
            as_is_tag(tag)
        } else {
            Some(marked(tag, coding.name()))
        }
    });
}

/// The tag of a body that is sent as it is.
pub(super) fn as_is(headers: &mut HeaderMap) {
    change(headers, as_is_tag);
}

/// The tag of a 304: as the client has named what it has, since that is what stays with it.
pub(super) fn name_as_asked(request: &HeaderMap, response: &mut HeaderMap, coding: Option<Coding>) {
    let mut asked: Vec<String> = Vec::new();
    for line in request.get_all(IF_NONE_MATCH) {
        each_tag(&field_text(line.as_bytes()), |tag| {
            asked.push(tag.to_owned());
            String::new()
        });
    }
    change(response, |own| {
        let opaque = |tag: &str| tag.trim_start_matches("W/").to_owned();
        let mut known = asked
            .iter()
            .map(|tag| opaque(tag))
            .filter(|tag| unmarked(tag) == opaque(own));
        let first = known.next();
        let preferred = coding.map(|coding| marked(&opaque(own), coding.name()));
        let known = known.find(|tag| Some(tag) == preferred.as_ref()).or(first);
        let weak = if own.starts_with("W/") { "W/" } else { "" };
        known
            .map(|tag| format!("{weak}{tag}"))
            .or_else(|| as_is_tag(own))
    });
}

/// `If-Match` and `If-None-Match` as the resource understands them.
pub(in crate::edge::http) fn own_tags(list: &str) -> String {
    each_tag(list, unmarked)
}

/// `If-Range` as the resource understands it: parts are given of bytes as they are, so the tag of a
/// packed form must not match.
pub(in crate::edge::http) fn own_tags_of_range(value: &str) -> String {
    match split(value) {
        Some((_, AS_IS)) => unmarked(value),
        _ => value.to_owned(),
    }
}

fn change(headers: &mut HeaderMap, mut change: impl FnMut(&str) -> Option<String>) {
    let Some(tag) = headers.get(ETAG).and_then(|tag| tag.to_str().ok()) else {
        return;
    };
    let changed = change(tag.trim()).and_then(|tag| HeaderValue::from_str(&tag).ok());
    if let Some(changed) = changed {
        headers.insert(ETAG, changed);
    }
}

fn as_is_tag(tag: &str) -> Option<String> {
    split(tag).map(|_| marked(tag, AS_IS))
}

fn marked(tag: &str, mark: &str) -> String {
    match tag.strip_suffix('"') {
        Some(open) => format!("{open}-{mark}\""),
        None => tag.to_owned(),
    }
}

fn unmarked(tag: &str) -> String {
    match split(tag) {
        Some((own, _)) => format!("{own}\""),
        None => tag.to_owned(),
    }
}

/// What stands before the mark, and the mark.
fn split(tag: &str) -> Option<(&str, &str)> {
    let (own, mark) = tag.strip_suffix('"')?.rsplit_once('-')?;
    let is_mark = mark == AS_IS || Coding::parse(mark).is_some();
    (is_mark && own.contains('"')).then_some((own, mark))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tag(text: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(ETAG, text.parse().unwrap());
        headers
    }

    #[test]
    fn a_packed_body_has_a_tag_of_its_own() {
        for (own, out) in [
            ("\"1\"", "\"1-gzip\""),
            ("\"\"", "\"-gzip\""),
            ("\"a-gzip\"", "\"a-gzip-gzip\""),
            ("W/\"1\"", "W/\"1\""),
            ("W/\"1-br\"", "W/\"1-br-identity\""),
            ("1", "1"),
        ] {
            let mut headers = tag(own);
            packed(&mut headers, Coding::Gzip);
            assert_eq!(headers[ETAG], out);
        }
        for (own, out) in [("\"1\"", "\"1\""), ("\"a-zstd\"", "\"a-zstd-identity\"")] {
            let mut headers = tag(own);
            as_is(&mut headers);
            assert_eq!(headers[ETAG], out);
        }
    }

    #[test]
    fn conditions_name_the_resources_own_tags() {
        for (asked, own) in [
            ("\"1-gzip\"", "\"1\""),
            ("\"1\", W/\"2-br\",\"a,b-zstd\"", "\"1\", W/\"2\", \"a,b\""),
            ("\"a-gzip-identity\"", "\"a-gzip\""),
            ("\"x-deflate\"", "\"x-deflate\""),
            ("*", "*"),
            ("-gzip\"", "-gzip\""),
        ] {
            assert_eq!(own_tags(asked), own, "{asked}");
        }
        assert_eq!(own_tags_of_range("\"1-gzip\""), "\"1-gzip\"");
        assert_eq!(own_tags_of_range("\"1-br-identity\""), "\"1-br\"");
    }

    #[test]
    fn a_304_names_what_the_client_has() {
        for (asked, own, coding, out) in [
            ("\"1-gzip\"", "\"1\"", None, "\"1-gzip\""),
            ("\"1\"", "\"1\"", Some(Coding::Gzip), "\"1\""),
            ("\"1\", \"1-br\"", "\"1\"", Some(Coding::Brotli), "\"1-br\""),
            ("W/\"1-gzip\"", "\"1\"", None, "\"1-gzip\""),
            ("\"2\"", "W/\"1\"", None, "W/\"1\""),
            ("*", "\"1\"", None, "\"1\""),
        ] {
            let mut request = HeaderMap::new();
            request.insert(IF_NONE_MATCH, asked.parse().unwrap());
            let mut response = tag(own);
            name_as_asked(&request, &mut response, coding);
            assert_eq!(response[ETAG], out, "{asked}");
        }
    }

    proptest! {
        #[test]
        fn every_tag_comes_back_as_it_was(own in "(W/)?\"[a-c,]{0,3}(-(gzip|br|zstd|identity|x)){0,3}\"", coding in 0_usize..4) {
            let mut headers = tag(&own);
            match Coding::ALL.get(coding) {
                Some(coding) => packed(&mut headers, *coding),
                None => as_is(&mut headers),
            }
            let out = headers[ETAG].to_str().unwrap().to_owned();
            prop_assert_eq!(own_tags(&out), own);
        }
    }
}
