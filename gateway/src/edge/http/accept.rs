//! Reads `Accept` (RFC 9110 §12.5.1): how much a client wants each of our media types.

use http::HeaderMap;
use http::header::ACCEPT;

/// The media types that the edge can answer in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Media {
    Json,
    MessagePack,
    EventStream,
    LineStream,
}

impl Media {
    const ALL: [Self; 4] = [
        Self::Json,
        Self::MessagePack,
        Self::EventStream,
        Self::LineStream,
    ];

    /// Type and the subtypes that name it; the first is the one that answers carry.
    fn names(self) -> (&'static str, &'static [&'static str]) {
        match self {
            Self::Json => ("application", &["json"]),
            Self::MessagePack => ("application", &["msgpack", "x-msgpack", "vnd.msgpack"]),
            Self::EventStream => ("text", &["event-stream"]),
            Self::LineStream => ("application", &["x-ndjson", "ndjson"]),
        }
    }
}

/// How well a media type matches: first how much it is wanted, then how plainly it was named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Match {
    /// Thousandths; 0: not acceptable.
    pub(super) quality: u16,
    /// How much of the name the client gave.
    pub(super) precision: Precision,
}

/// How much of a media type's name a range gives. The most precise range decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) enum Precision {
    /// No range matches, or it follows from another type's range.
    #[default]
    None,
    /// `*/*`
    Any,
    /// `application/*`
    Type,
    /// `application/json`
    Exact,
}

/// What a client accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Accept([Match; 4]);

impl Accept {
    /// Anything: what a request without `Accept` says.
    const ANYTHING: Self = Self(
        [Match {
            quality: 1000,
            precision: Precision::Any,
        }; 4],
    );

    /// Reads all `Accept` headers of a request. Ranges that are malformed count for nothing.
    pub(super) fn from_headers(headers: &HeaderMap) -> Self {
        let mut accept = Self([Match::default(); 4]);
        let mut ranges = 0_usize;
        for value in headers.get_all(ACCEPT) {
            // Whatever is not text is no media range either.
            let value = value.to_str().unwrap_or("?");
            for range in split_unquoted(value, ',').filter(|r| !r.is_empty()) {
                ranges += 1;
                accept.add(range);
            }
        }
        if ranges == 0 { Self::ANYTHING } else { accept }
    }

    pub(super) fn of(&self, media: Media) -> Match {
        self.0[media as usize]
    }

    fn add(&mut self, range: &str) {
        let Some((kind, subtype, quality)) = parse_range(range) else {
            return;
        };
        for media in Media::ALL {
            let precision = precision(media, kind, subtype);
            if precision == Precision::None {
                continue;
            }
            let known = &mut self.0[media as usize];
            if precision > known.precision {
                *known = Match { quality, precision };
            } else if precision == known.precision {
                known.quality = known.quality.max(quality);
            }
        }
    }
}

fn precision(media: Media, kind: &str, subtype: &str) -> Precision {
    let (own_kind, own_subtypes) = media.names();
    if kind == "*" {
        return Precision::Any;
    }
    if !kind.eq_ignore_ascii_case(own_kind) {
        return Precision::None;
    }
    if subtype == "*" {
        return Precision::Type;
    }
    // `application/vnd.acme.v2+json` is JSON (RFC 6839): vendors name versions so.
    let suffix = subtype.rsplit_once('+').map(|(_, suffix)| suffix);
    let names = |name: &str| own_subtypes.iter().any(|s| name.eq_ignore_ascii_case(s));
    match names(subtype) || suffix.is_some_and(names) {
        true => Precision::Exact,
        false => Precision::None,
    }
}

/// `type/subtype;…;q=0.5`: type, subtype and thousandths. Other parameters do not matter to us.
fn parse_range(range: &str) -> Option<(&str, &str, u16)> {
    let mut parts = split_unquoted(range, ';');
    let (kind, subtype) = parts.next()?.split_once('/')?;
    let is_token = |t: &str| !t.is_empty() && t.bytes().all(is_token_byte);
    if !is_token(kind) || !is_token(subtype) || (kind == "*" && subtype != "*") {
        return None;
    }
    for parameter in parts {
        if let Some(("q" | "Q", value)) = parameter.split_once('=') {
            return Some((kind, subtype, parse_quality(value)?));
        }
    }
    Some((kind, subtype, 1000))
}

/// RFC 9110 §5.6.2.
fn is_token_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)
}

/// `0`, `0.123`, `1`, `1.000` (RFC 9110 §12.4.2), in thousandths.
pub(super) fn parse_quality(text: &str) -> Option<u16> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let thousandths: u16 = format!("{fraction:0<3}").parse().ok()?;
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(1000),
        _ => None,
    }
}

/// The parts between separators that do not stand in quotes, without white space around them.
pub(super) fn split_unquoted(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |c| {
        if escaped {
            escaped = false;
        } else if quoted && c == '\\' {
            escaped = true;
        } else if c == '"' {
            quoted = !quoted;
        }
        c == separator && !quoted
    })
    .map(|part| part.trim_matches([' ', '\t']))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    fn accept(values: &[&str]) -> Accept {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(ACCEPT, HeaderValue::from_str(value).unwrap());
        }
        Accept::from_headers(&headers)
    }

    /// Thousandths of JSON, MessagePack, event stream, line stream.
    fn qualities(values: &[&str]) -> [u16; 4] {
        accept(values).0.map(|m| m.quality)
    }

    #[test]
    fn the_most_precise_range_decides() {
        for (values, expected) in [
            (&[][..], [1000, 1000, 1000, 1000]),
            (&[""], [1000, 1000, 1000, 1000]),
            (&[" , ,"], [1000, 1000, 1000, 1000]),
            (&["*/*"], [1000, 1000, 1000, 1000]),
            (&["application/json"], [1000, 0, 0, 0]),
            (&["Application/JSON; charset=utf-8"], [1000, 0, 0, 0]),
            (&["application/x-msgpack;q=0.5"], [0, 500, 0, 0]),
            (&["application/*;q=0.25, text/*"], [250, 250, 1000, 250]),
            (&["*/*;q=0.1", "application/json;q=0"], [0, 100, 100, 100]),
            (&["application/json;q=0,*/*;q=0.1"], [0, 100, 100, 100]),
            (
                &["application/json;q=0.1, application/json;q=0.9"],
                [900, 0, 0, 0],
            ),
            (&["text/html, image/webp"], [0, 0, 0, 0]),
            (&["application/json ; Q=0.001"], [1, 0, 0, 0]),
            (&["application/json;a=\"x,y;q=0\";q=0.7"], [700, 0, 0, 0]),
            (
                &["application/json;a=\"\\\",\", text/event-stream"],
                [1000, 0, 1000, 0],
            ),
        ] {
            assert_eq!(qualities(values), expected, "{values:?}");
        }
    }

    #[test]
    fn malformed_ranges_count_for_nothing() {
        for bad in [
            "application",
            "/json",
            "application/",
            "*/json",
            "application/json;q=2",
            "application/json;q=1.001",
            "application/json;q=0.1234",
            "application/json;q=-0.1",
            "application/json;q=",
            "application/json;q=.5",
            "application/j son",
            "application//json",
        ] {
            assert_eq!(qualities(&[bad]), [0, 0, 0, 0], "{bad}");
            let both = format!("{bad}, application/msgpack;q=0.5");
            assert_eq!(qualities(&[&both]), [0, 500, 0, 0], "{both}");
        }
    }

    proptest! {
        #[test]
        fn strangers_headers_never_panic(value in proptest::collection::vec(any::<u8>(), 0..120)) {
            let mut headers = HeaderMap::new();
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                headers.insert(ACCEPT, value);
            }
            let accept = Accept::from_headers(&headers);
            prop_assert!(accept.0.iter().all(|m| m.quality <= 1000));
        }

        #[test]
        fn every_quality_is_read(thousandths in 0_u16..=1000) {
            let text = format!("{}.{:03}", thousandths / 1000, thousandths % 1000);
            prop_assert_eq!(parse_quality(&text), Some(thousandths));
            let short = text.trim_end_matches('0');
            prop_assert_eq!(parse_quality(short), Some(thousandths));
        }

        #[test]
        fn order_does_not_matter(
            mut ranges in proptest::collection::vec(
                "(application|text|\\*)/(json|msgpack|event-stream|\\*)(;q=0\\.[0-9])?", 1..6)
        ) {
            let refs = |r: &[String]| qualities(&r.iter().map(String::as_str).collect::<Vec<_>>());
            let before = refs(&ranges);
            ranges.reverse();
            prop_assert_eq!(refs(&ranges), before);
        }
    }
}
