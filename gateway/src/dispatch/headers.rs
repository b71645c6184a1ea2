//! Blocks of NATS headers (ADR-4 of NATS), written and read as they stand on the wire.
//!
//! A call writes a handful of short headers and a reply is asked for a handful of names, once each:
//! a map would cost more than the bytes do.

/// What a block begins with; a status may follow.
const VERSION: &str = "NATS/1.0";

/// A block on its way out. Empty: the message goes without headers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers(Vec<u8>);

impl Headers {
    /// Adds a header. Names are ours; what cannot stand in a value, a line break, becomes a space.
    pub fn insert(&mut self, name: &'static str, value: &str) {
        if self.0.is_empty() {
            self.0.reserve(256);
            self.0.extend_from_slice(VERSION.as_bytes());
            self.0.extend_from_slice(b"\r\n");
        }
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b": ");
        let start = self.0.len();
        self.0.extend_from_slice(value.as_bytes());
        for byte in &mut self.0[start..] {
            if matches!(byte, b'\r' | b'\n') {
                *byte = b' ';
            }
        }
        self.0.extend_from_slice(b"\r\n");
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The lines so far; on the wire an empty one follows.
    #[must_use]
    pub fn lines(&self) -> &[u8] {
        &self.0
    }

    /// The value of a header.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let text = std::str::from_utf8(&self.0).ok()?;
        Block::parse(text)?.get(name)
    }
}

/// A block that came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block<'a> {
    status: &'a str,
    lines: &'a str,
}

impl<'a> Block<'a> {
    /// The block that `text` is; `None` if it is none.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let (first, lines) = text.strip_prefix(VERSION)?.split_once("\r\n")?;
        let status = first.trim_ascii();
        let status = status.split_once(' ').map_or(status, |(code, _)| code);
        Some(Self { status, lines })
    }

    /// Whether it is the broker's word that nobody listens (ADR-4: status 503).
    #[must_use]
    pub fn is_no_responders(&self) -> bool {
        self.status == "503"
    }

    /// The first value of a header; names are told apart by case.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a str> {
        let mut rest = self.lines;
        loop {
            let (line, more) = rest.split_once('\n')?;
            let value = line.strip_prefix(name).and_then(|v| v.strip_prefix(':'));
            if let Some(value) = value {
                return Some(value.trim_ascii());
            }
            rest = more;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut headers = Headers::default();
        assert!(headers.is_empty());
        headers.insert("Sluice-Call", "c1");
        headers.insert("Sluice-User", "u,1");
        assert_eq!(
            headers.lines(),
            b"NATS/1.0\r\nSluice-Call: c1\r\nSluice-User: u,1\r\n"
        );
        assert_eq!(headers.get("Sluice-User"), Some("u,1"));
        assert_eq!(headers.get("Sluice"), None);
        assert_eq!(headers.get("sluice-user"), None);
    }

    #[test]
    fn blocks_of_other_clients() {
        for (text, name, value) in [
            ("NATS/1.0\r\nA:1\r\n\r\n", "A", Some("1")),
            ("NATS/1.0\r\nA: \t1 2 \r\nA: 3\r\n\r\n", "A", Some("1 2")),
            ("NATS/1.0\r\nAB: 1\r\nA: 2\r\n\r\n", "A", Some("2")),
            ("NATS/1.0\r\nA:\r\n\r\n", "A", Some("")),
            ("NATS/1.0\r\nB: A: 1\r\n\r\n", "A", None),
            ("NATS/1.0 100 Idle\r\n\r\n", "A", None),
        ] {
            assert_eq!(Block::parse(text).unwrap().get(name), value, "{text:?}");
        }
        for none in ["", "NATS/1.0", "HTTP/1.1\r\n\r\n", "\r\n"] {
            assert_eq!(Block::parse(none), None, "{none:?}");
        }
    }

    #[test]
    fn nobody_listens() {
        let says = |text| Block::parse(text).unwrap().is_no_responders();
        assert!(says("NATS/1.0 503\r\n\r\n"));
        assert!(says("NATS/1.0 503 No Responders\r\n\r\n"));
        assert!(!says("NATS/1.0\r\n\r\n"));
        assert!(!says("NATS/1.0 5031\r\n\r\n"));
    }

    proptest! {
        #[test]
        fn a_value_adds_no_line(value in ".{0,30}|[\r\na-c: ]{0,30}") {
            let mut headers = Headers::default();
            headers.insert("A", &value);
            headers.insert("Z", "last");
            let lines = headers.lines().iter().filter(|b| **b == b'\n').count();
            prop_assert_eq!(lines, 3);
            prop_assert_eq!(headers.get("Z"), Some("last"));
        }

        #[test]
        fn strangers_blocks_never_panic(text in "(NATS/1.0)?[ \r\nA-C0-9:é]{0,60}") {
            if let Some(block) = Block::parse(&text) {
                let _ = (block.get("A"), block.get(""), block.is_no_responders());
            }
        }
    }
}
