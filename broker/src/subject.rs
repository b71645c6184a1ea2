//! Subjects: dot-separated tokens, of which `*` and `>` are wildcards.

/// The most tokens a subscription may have. It bounds the depth of the index, which is walked
/// recursively; real subjects have a tenth of it.
pub(crate) const MAX_TOKENS: usize = 256;

/// Splits off the first token. `None` as the rest means that it was the last.
pub(crate) fn split_token(subject: &[u8]) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(b'.', subject) {
        Some(dot) => (&subject[..dot], Some(&subject[dot + 1..])),
        None => (subject, None),
    }
}

/// Whether a subscription may use it: no empty token, `>` only at the end, not too deep. A
/// wildcard inside a longer token (`a*`) is an ordinary character, as in NATS.
pub(crate) fn is_subscribable(subject: &[u8]) -> bool {
    let mut rest = Some(subject);
    let mut tokens = 0;
    while let Some(subject) = rest {
        let (token, tail) = split_token(subject);
        tokens += 1;
        if token.is_empty() || (token == b">" && tail.is_some()) || tokens > MAX_TOKENS {
            return false;
        }
        rest = tail;
    }
    true
}

/// Whether a message can reach anyone under it. Wildcards are allowed, as in NATS: `a.*` reaches
/// those who subscribed to `a.*`.
pub(crate) fn is_routable(subject: &[u8]) -> bool {
    let mut previous = b'.';
    for &byte in subject {
        if byte == b'.' && previous == b'.' {
            return false;
        }
        previous = byte;
    }
    previous != b'.'
}

/// Whether it is one subject, without wildcards: what pedantic clients must publish to.
pub(crate) fn is_literal(subject: &[u8]) -> bool {
    is_routable(subject)
        && subject
            .split(|&b| b == b'.')
            .all(|token| token != b"*" && token != b">")
}

/// The definition of a match, in its plainest form; the index is tested against it.
#[cfg(test)]
pub(crate) fn matches(pattern: &[u8], subject: &[u8]) -> bool {
    let mut tokens = subject.split(|&b| b == b'.');
    for wanted in pattern.split(|&b| b == b'.') {
        match (wanted, tokens.next()) {
            (_, None) => return false,
            (b">", Some(_)) => return true,
            (b"*", Some(_)) => {}
            (wanted, Some(token)) if wanted == token => {}
            _ => return false,
        }
    }
    tokens.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subscribable() {
        for good in [
            "a",
            "a.b",
            "*",
            ">",
            "a.*.b",
            "a.>",
            "a*.b>c",
            "$SRV.PING",
            "ü.ß",
        ] {
            assert!(is_subscribable(good.as_bytes()), "{good}");
        }
        for bad in ["", ".", "a.", ".a", "a..b", ">.a", "a.>.b"] {
            assert!(!is_subscribable(bad.as_bytes()), "{bad}");
        }
        assert!(is_subscribable(
            "a.".repeat(MAX_TOKENS).trim_end_matches('.').as_bytes()
        ));
        assert!(!is_subscribable(
            format!("{}a", "a.".repeat(MAX_TOKENS)).as_bytes()
        ));
    }

    #[test]
    fn routable_and_literal() {
        for good in ["a", "a.b", "a*b"] {
            assert!(
                is_routable(good.as_bytes()) && is_literal(good.as_bytes()),
                "{good}"
            );
        }
        for wild in ["*", "a.>", "a.*.b"] {
            assert!(
                is_routable(wild.as_bytes()) && !is_literal(wild.as_bytes()),
                "{wild}"
            );
        }
        for bad in ["", ".", "a.", ".a", "a..b"] {
            assert!(
                !is_routable(bad.as_bytes()) && !is_literal(bad.as_bytes()),
                "{bad}"
            );
        }
    }

    #[test]
    fn the_oracle_matches() {
        let yes = [
            ("a", "a"),
            ("*", "a"),
            (">", "a.b"),
            ("a.*.c", "a.b.c"),
            ("a.>", "a.b.c"),
        ];
        let no = [
            ("a", "b"),
            ("*", "a.b"),
            ("a.>", "a"),
            ("a.*", "a"),
            ("a.b", "a.b.c"),
        ];
        assert!(yes.iter().all(|(p, s)| matches(p.as_bytes(), s.as_bytes())));
        assert!(!no.iter().any(|(p, s)| matches(p.as_bytes(), s.as_bytes())));
    }
}
