//! Content codings, and which one a client wants.

use http::HeaderMap;
use http::header::ACCEPT_ENCODING;

use crate::edge::http::accept::{parse_quality, split_unquoted};

/// A way to pack bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coding {
    /// RFC 8878
    Zstd,
    /// RFC 7932
    Brotli,
    /// RFC 1952
    Gzip,
}

impl Coding {
    pub(crate) const ALL: [Self; 3] = [Self::Zstd, Self::Brotli, Self::Gzip];

    /// As `Content-Encoding` names it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        }
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|coding| coding.name() == name)
    }
}

/// What a client wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Wanted {
    /// The coding that it gets; `None`: bytes as they are.
    pub(super) coding: Option<Coding>,
    /// Whether it refuses bytes as they are.
    pub(super) needs_coding: bool,
}

impl Wanted {
    /// Reads `Accept-Encoding`. Of codings that are wanted the same, the first `offered` one; without
    /// the field, none. Elements that are malformed count for nothing.
    pub(super) fn of(headers: &HeaderMap, offered: &[Coding]) -> Self {
        if offered.is_empty() || !headers.contains_key(ACCEPT_ENCODING) {
            return Self::default();
        }
        let elements: Vec<(&str, u16)> = headers
            .get_all(ACCEPT_ENCODING)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| split_unquoted(value, ','))
            .filter_map(element)
            .collect();
        let named = |name: &str| {
            let mut elements = elements.iter();
            let found = elements.find(|(own, _)| own.eq_ignore_ascii_case(name));
            found.map(|(_, quality)| *quality)
        };
        let any = named("*");
        let quality = |coding: Coding| {
            let old = || (coding == Coding::Gzip).then(|| named("x-gzip")).flatten();
            named(coding.name()).or_else(old).or(any).unwrap_or(0)
        };
        let identity = named("identity");
        // `max_by_key` would take the last of equals.
        let best = offered.iter().copied().rev().max_by_key(|c| quality(*c));
        let best = best.filter(|coding| {
            let own = quality(*coding);
            own > 0 && identity.is_none_or(|identity| own >= identity)
        });
        Self {
            coding: best,
            needs_coding: identity.or(any.filter(|any| *any == 0)) == Some(0),
        }
    }
}

/// A value of `Accept-Encoding` that takes bytes as they are.
pub(super) fn with_identity(value: &str) -> String {
    let refuses = |element_of: &str| {
        let named = element(element_of);
        named.is_some_and(|(name, quality)| {
            quality == 0 && (name == "*" || name.eq_ignore_ascii_case("identity"))
        })
    };
    let kept = split_unquoted(value, ',').filter(|e| !refuses(e));
    let kept: Vec<&str> = kept.filter(|e| !e.is_empty()).collect();
    if kept.is_empty() {
        return "identity".to_owned();
    }
    kept.join(", ")
}

/// `name;q=0.5`: name and thousandths.
fn element(text: &str) -> Option<(&str, u16)> {
    let mut parts = split_unquoted(text, ';');
    let name = parts.next().filter(|name| !name.is_empty())?;
    match parts.next() {
        None => Some((name, 1000)),
        Some(weight) => {
            let (q, value) = weight.split_once('=')?;
            let is_weight = q.trim().eq_ignore_ascii_case("q");
            Some((name, parse_quality(value.trim())?)).filter(|_| is_weight)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wanted(accept: &str) -> Wanted {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_ENCODING, accept.parse().unwrap());
        Wanted::of(&headers, &Coding::ALL)
    }

    #[test]
    fn what_each_client_gets() {
        use Coding::{Brotli, Gzip, Zstd};
        for (accept, coding, needs_coding) in [
            ("", None, false),
            ("gzip", Some(Gzip), false),
            ("GZIP", Some(Gzip), false),
            ("x-gzip", Some(Gzip), false),
            ("gzip, deflate, br, zstd", Some(Zstd), false),
            ("gzip, deflate, br", Some(Brotli), false),
            ("br;q=0.5, gzip;q=0.8", Some(Gzip), false),
            ("br;q=0, gzip;q=0.001", Some(Gzip), false),
            ("gzip ; q=0.5 , br;Q=0.7", Some(Brotli), false),
            ("*", Some(Zstd), false),
            ("*;q=0.5, gzip", Some(Gzip), false),
            ("zstd;q=0, *", Some(Brotli), false),
            ("identity", None, false),
            ("identity, gzip;q=0.5", None, false),
            ("identity;q=0.5, gzip", Some(Gzip), false),
            ("identity;q=0", None, true),
            ("identity;q=0, gzip", Some(Gzip), true),
            ("gzip, *;q=0", Some(Gzip), true),
            ("*;q=0", None, true),
            ("identity, *;q=0", None, false),
            ("deflate, compress", None, false),
            ("gzip;q=2", None, false),
            ("gzip;x=1", None, false),
            ("\"gzip", None, false),
        ] {
            let expected = Wanted {
                coding,
                needs_coding,
            };
            assert_eq!(wanted(accept), expected, "{accept:?}");
        }
    }

    #[test]
    fn what_is_refused_is_taken_instead() {
        for (value, expected) in [
            ("gzip, identity;q=0", "gzip"),
            ("gzip;q=0.5, *;q=0,br", "gzip;q=0.5, br"),
            ("Identity; q=0.000", "identity"),
            ("identity;q=0.1, br;q=0", "identity;q=0.1, br;q=0"),
        ] {
            assert_eq!(with_identity(value), expected, "{value}");
        }
    }

    #[test]
    fn the_gateways_order_decides_among_equals() {
        let mut headers = HeaderMap::new();
        headers.append(ACCEPT_ENCODING, "zstd".parse().unwrap());
        headers.append(ACCEPT_ENCODING, "gzip, br".parse().unwrap());
        let of = |offered: &[Coding]| Wanted::of(&headers, offered).coding;
        assert_eq!(of(&[Coding::Gzip, Coding::Zstd]), Some(Coding::Gzip));
        assert_eq!(of(&[Coding::Brotli]), Some(Coding::Brotli));
        assert_eq!(of(&[]), None);
        assert_eq!(
            Wanted::of(&HeaderMap::new(), &Coding::ALL),
            Wanted::default()
        );
    }

    proptest! {
        #[test]
        fn strangers_fields_never_panic(text in "[ -~]{0,60}") {
            wanted(&text);
        }
    }
}
