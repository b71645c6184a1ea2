//! Bytes of a NATS server to operations. Pure and bounded; whatever comes, it never panics.

use std::ops::Range;

use async_nats::ServerInfo;

/// Longest line: a subject, or the addresses of a large cluster.
const MAX_LINE: usize = 256 * 1024;
/// Largest message: more no NATS server can be set to take.
const MAX_MESSAGE: usize = 64 * 1024 * 1024;

/// One operation of a server.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Op {
    /// What the server is and can do: its greeting, and whenever that changes.
    Info(Box<ServerInfo>),
    Ping,
    Pong,
    /// Nothing to do: `+OK`.
    Ok,
    /// `-ERR`: what is wrong.
    Err(String),
    Message(Message),
}

/// A message, as ranges of the bytes that it was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) subject: Range<usize>,
    /// Empty: it has no headers.
    pub(super) headers: Range<usize>,
    pub(super) payload: Range<usize>,
}

/// What the bytes begin with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    /// An operation of that many bytes.
    Op(Op, usize),
    /// The begin of one; it has at least that many bytes.
    Part(usize),
}

/// The server speaks something else: the connection cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the server does not speak the NATS protocol: {0}")]
pub(super) struct NotNats(&'static str);

/// The first operation in `bytes`.
pub(super) fn first(bytes: &[u8]) -> Result<Parsed, NotNats> {
    let Some(newline) = memchr::memchr(b'\n', &bytes[..bytes.len().min(MAX_LINE)]) else {
        return if bytes.len() >= MAX_LINE {
            Err(NotNats("a line without end"))
        } else {
            Ok(Parsed::Part(bytes.len() + 1))
        };
    };
    let after = newline + 1;
    let line = bytes[..newline].trim_ascii_end();
    let verb_end = line.iter().position(u8::is_ascii_whitespace);
    let (verb, args) = line.split_at(verb_end.unwrap_or(line.len()));
    let op = match verb {
        b"MSG" => return message(bytes, line, after, 3, false),
        b"HMSG" => return message(bytes, line, after, 4, true),
        b"PING" => Op::Ping,
        b"PONG" => Op::Pong,
        b"+OK" => Op::Ok,
        b"-ERR" => Op::Err(text(args)),
        b"INFO" => match serde_json::from_slice(args) {
            Ok(info) => Op::Info(Box::new(info)),
            Err(_) => return Err(NotNats("its INFO is none")),
        },
        _ => return Err(NotNats("an operation that is none")),
    };
    Ok(Parsed::Op(op, after))
}

/// `MSG subject sid [reply] size`, `HMSG subject sid [reply] header_size size`.
fn message(
    bytes: &[u8],
    line: &[u8],
    body: usize,
    verb: usize,
    has_headers: bool,
) -> Result<Parsed, NotNats> {
    const WRONG: NotNats = NotNats("a message whose line is none");
    let mut words = [0..0, 0..0, 0..0, 0..0, 0..0];
    let mut count = 0;
    let mut at = verb;
    while at < line.len() {
        if line[at] == b' ' || line[at] == b'\t' {
            at += 1;
            continue;
        }
        let rest = &line[at..];
        let end = memchr::memchr2(b' ', b'\t', rest).map_or(line.len(), |n| at + n);
        *words.get_mut(count).ok_or(WRONG)? = at..end;
        count += 1;
        at = end;
    }
    let sizes = if has_headers { 2 } else { 1 };
    if !(2 + sizes..=3 + sizes).contains(&count) {
        return Err(WRONG);
    }
    let size = |n: usize| number(&line[words[n].clone()]).ok_or(WRONG);
    let total = size(count - 1)?;
    let head = if has_headers { size(count - 2)? } else { 0 };
    if total > MAX_MESSAGE || head > total {
        return Err(NotNats("a message whose sizes are none"));
    }
    let end = body + total;
    if bytes.len() < end + 2 {
        return Ok(Parsed::Part(end + 2));
    }
    if &bytes[end..end + 2] != b"\r\n" {
        return Err(NotNats("a message that is longer than it says"));
    }
    let message = Message {
        subject: words[0].clone(),
        headers: body..body + head,
        payload: body + head..end,
    };
    Ok(Parsed::Op(Op::Message(message), end + 2))
}

/// At most nine digits, so nothing can overflow.
fn number(digits: &[u8]) -> Option<usize> {
    if digits.is_empty() || digits.len() > 9 {
        return None;
    }
    digits.iter().try_fold(0, |value, digit| match digit {
        b'0'..=b'9' => Some(value * 10 + usize::from(digit - b'0')),
        _ => None,
    })
}

fn text(args: &[u8]) -> String {
    let text = String::from_utf8_lossy(args);
    text.trim().trim_matches('\'').to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn op(text: &str) -> Op {
        match first(text.as_bytes()) {
            Ok(Parsed::Op(op, length)) => {
                assert_eq!(length, text.len(), "{text:?}");
                op
            }
            other => panic!("{text:?}: {other:?}"),
        }
    }

    fn parts(text: &str) -> (&str, &str, &str) {
        let Op::Message(m) = op(text) else {
            panic!("{text:?} is no message")
        };
        (&text[m.subject], &text[m.headers], &text[m.payload])
    }

    #[test]
    fn operations() {
        assert_eq!(op("PING\r\n"), Op::Ping);
        assert_eq!(op("PONG\r\n"), Op::Pong);
        assert_eq!(op("+OK\r\n"), Op::Ok);
        let error = "Permissions Violation for Publish to \"a\"";
        assert_eq!(op(&format!("-ERR '{error}'\r\n")), Op::Err(error.into()));
        let Op::Info(info) = op("INFO {\"max_payload\":9,\"nonce\":\"n\",\"new\":[]}\r\n") else {
            panic!("no INFO")
        };
        assert_eq!((info.max_payload, info.nonce.as_str()), (9, "n"));
    }

    #[test]
    fn messages() {
        for (text, expected) in [
            ("MSG a.b 1 5\r\nhello\r\n", ("a.b", "", "hello")),
            ("MSG a 1 reply.to 2\r\n\r\n\r\n", ("a", "", "\r\n")),
            ("MSG  a\t1  0 \r\n\r\n", ("a", "", "")),
            (
                "HMSG a 1 12 14\r\nNATS/1.0\r\n\r\nok\r\n",
                ("a", "NATS/1.0\r\n\r\n", "ok"),
            ),
            (
                "HMSG a 1 r 16 16\r\nNATS/1.0 503\r\n\r\n\r\n",
                ("a", "NATS/1.0 503\r\n\r\n", ""),
            ),
        ] {
            assert_eq!(parts(text), expected, "{text:?}");
        }
    }

    #[test]
    fn parts_are_awaited() {
        let whole = "HMSG a 1 12 14\r\nNATS/1.0\r\n\r\nok\r\n";
        for length in 0..whole.len() {
            match first(&whole.as_bytes()[..length]) {
                Ok(Parsed::Part(needed)) => assert!((length + 1..=whole.len()).contains(&needed)),
                other => panic!("{length}: {other:?}"),
            }
        }
    }

    #[test]
    fn what_is_not_nats() {
        for text in [
            "HTTP/1.1 400\r\n",
            "\r\n",
            "INFO {\r\n",
            "MSG a 1\r\n",
            "MSG a 1 r x 5\r\nhello\r\n",
            "MSG a 1 -5\r\n",
            "MSG a 1 9999999999\r\n",
            "MSG a 1 99999999\r\n",
            "MSG a 1 2\r\nhello\r\n",
            "HMSG a 1 5\r\nhello\r\n",
            "HMSG a 1 6 5\r\nhello\r\n",
        ] {
            assert!(first(text.as_bytes()).is_err(), "{text:?}");
        }
        assert!(first(&vec![b'a'; MAX_LINE]).is_err());
    }

    proptest! {
        #[test]
        fn strangers_bytes_never_panic(
            verb in "(MSG|HMSG|INFO|PING|-ERR|[A-Z+-]{0,4})",
            rest in proptest::collection::vec(prop_oneof![Just(b' '), Just(b'\r'), Just(b'\n'), b'0'..=b'9', any::<u8>()], 0..40),
        ) {
            let bytes = [verb.as_bytes(), &rest].concat();
            if let Ok(Parsed::Op(op, length)) = first(&bytes) {
                prop_assert!(length <= bytes.len());
                if let Op::Message(m) = op {
                    prop_assert!(m.subject.end <= m.headers.start && m.payload.end <= length);
                }
            }
        }
    }
}
