//! The parser against hostile bytes, and against every way to cut a valid stream into reads.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const MAX_LINE: usize = 128;
const MAX_PAYLOAD: usize = 256;

fn parser() -> Parser {
    Parser::new(MAX_LINE, MAX_PAYLOAD)
}

/// Feeds pieces as a connection does; returns the operations as text, and how it ended.
fn feed<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<String>, Option<Refusal>) {
    let (mut parser, mut buffer, mut ops) = (parser(), Vec::new(), Vec::new());
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            match parser.next(&buffer) {
                Ok(Some((op, len))) => {
                    ops.push(format!("{op:?}"));
                    buffer.drain(..len);
                }
                Ok(None) => break,
                Err(refusal) => return (ops, Some(refusal)),
            }
        }
    }
    (ops, None)
}

fn parse_one(bytes: &[u8]) -> Result<Option<Op<'_>>, Refusal> {
    parser().next(bytes).map(|found| {
        found.map(|(op, len)| {
            assert_eq!(len, bytes.len());
            op
        })
    })
}

#[test]
fn reads_every_operation() {
    let publish = |subject, reply, header_len, body| {
        Op::Publish(Publish {
            subject,
            reply,
            header_len,
            body,
        })
    };
    let cases: [(&[u8], Op<'_>); 15] = [
        (b"PING\r\n", Op::Ping),
        (b"pong\n", Op::Pong),
        (b"CONNECT {\"a\": 1}\r\n", Op::Connect(b"{\"a\": 1}")),
        (b"CONNECT\r\n", Op::Connect(b"")),
        (b"PUB a 2\r\nhi\r\n", publish(b"a", None, None, b"hi")),
        (b"PUB a r 0\r\n\r\n", publish(b"a", Some(b"r"), None, b"")),
        (
            b"pub\ta  r\t2 \r\n\r\n\r\n",
            publish(b"a", Some(b"r"), None, b"\r\n"),
        ),
        (b"HPUB a 1 2\r\nhi\r\n", publish(b"a", None, Some(1), b"hi")),
        (
            b"HPUB a r 2 2\r\nhi\r\n",
            publish(b"a", Some(b"r"), Some(2), b"hi"),
        ),
        (
            b"SUB a.> 1\r\n",
            Op::Subscribe {
                subject: b"a.>",
                queue: None,
                sid: b"1",
            },
        ),
        (
            b"sub a q x\r\n",
            Op::Subscribe {
                subject: b"a",
                queue: Some(b"q"),
                sid: b"x",
            },
        ),
        (b"UNSUB 1\r\n", Op::Unsubscribe { sid: b"1", max: 0 }),
        (b"UNSUB 1 7\r\n", Op::Unsubscribe { sid: b"1", max: 7 }),
        (
            b"UnSub 1 999999999\r\n",
            Op::Unsubscribe {
                sid: b"1",
                max: 999_999_999,
            },
        ),
        (
            b"UNSUB 1 18446744073709551615\r\n",
            Op::Unsubscribe { sid: b"1", max: 0 },
        ),
    ];
    for (bytes, op) in cases {
        assert_eq!(
            parse_one(bytes),
            Ok(Some(op)),
            "{:?}",
            bytes.escape_ascii().to_string()
        );
    }
}

#[test]
fn refuses_by_name() {
    let too_long = [b"SUB ".as_slice(), &[b'a'; 200]].concat();
    let just_too_long = [b"SUB ".as_slice(), &[b'a'; MAX_LINE - 5], b" 1\r\n"].concat();
    let cases: [(&[u8], Refusal); 23] = [
        (b"FOO\r\n", Refusal::UnknownOperation),
        (b"FO", Refusal::UnknownOperation),
        (b"PINGS\r\n", Refusal::UnknownOperation),
        (b"PUBLISH", Refusal::UnknownOperation),
        (b"PI NG", Refusal::UnknownOperation),
        (b"\r\n", Refusal::UnknownOperation),
        (b"\x16\x03\x01", Refusal::Tls),
        (b"GET / HTTP/1.1", Refusal::Http),
        (b"SUB a\r\n", Refusal::Malformed),
        (b"SUB a b c d\r\n", Refusal::Malformed),
        (b"UNSUB\r\n", Refusal::Malformed),
        (b"UNSUB 1 x\r\n", Refusal::Malformed),
        (b"UNSUB 1 123456789x\r\n", Refusal::Malformed),
        (b"PUB a\r\n", Refusal::Malformed),
        (b"PUB a b c 1\r\n", Refusal::Malformed),
        (b"PUB a -1\r\n", Refusal::Malformed),
        (b"PUB a 9999999999\r\n", Refusal::Malformed),
        (b"PUB a 1\r\nabc", Refusal::Malformed),
        (b"HPUB a 3 2\r\nhi\r\n", Refusal::Malformed),
        (b"HPUB a 1\r\n", Refusal::Malformed),
        (b"PUB a 257\r\n", Refusal::MaxPayload),
        (&too_long, Refusal::ControlLine),
        (&just_too_long, Refusal::ControlLine),
    ];
    for (bytes, refusal) in cases {
        assert_eq!(
            parse_one(bytes),
            Err(refusal),
            "{:?}",
            bytes.escape_ascii().to_string()
        );
    }
}

#[test]
fn knows_what_a_payload_still_needs() {
    let mut parser = parser();
    assert_eq!(parser.next(b"PUB a 5\r\nhe"), Ok(None));
    assert_eq!(parser.needed(), b"PUB a 5\r\nhello\r\n".len());
    assert!(parser.next(b"PUB a 5\r\nhello\r\n").unwrap().is_some());
    assert_eq!(parser.needed(), 0);
}

fn word() -> impl Strategy<Value = String> {
    "[a-z*>.$0-9]{1,12}"
}

/// One valid operation, as bytes.
fn operation() -> impl Strategy<Value = Vec<u8>> {
    let body = vec(any::<u8>(), 0..40);
    prop_oneof![
        Just(b"PING\r\n".to_vec()),
        Just(b"pOnG\n".to_vec()),
        Just(b"CONNECT {}\r\n".to_vec()),
        (word(), word()).prop_map(|(subject, sid)| format!("SUB {subject} {sid}\r\n").into()),
        (word(), 0..9u32).prop_map(|(sid, max)| format!("UNSUB {sid} {max}\r\n").into()),
        (word(), word(), body.clone()).prop_map(|(subject, reply, body)| {
            [
                format!("PUB {subject} {reply} {}\r\n", body.len()).as_bytes(),
                &body,
                b"\r\n",
            ]
            .concat()
        }),
        (word(), 0..=100usize, body).prop_map(|(subject, percent, body)| {
            let (headers, total) = (body.len() * percent / 100, body.len());
            let line = format!("HPUB {subject} {headers} {total}\r\n");
            [line.as_bytes(), &body, b"\r\n"].concat()
        }),
    ]
}

/// Cuts `bytes` at the given places.
fn cut<'a>(bytes: &'a [u8], places: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<_> = places
        .iter()
        .map(|place| place.index(bytes.len() + 1))
        .collect();
    places.sort_unstable();
    let mut pieces = Vec::new();
    let mut from = 0;
    for place in places {
        pieces.push(&bytes[from..place]);
        from = place;
    }
    pieces.push(&bytes[from..]);
    pieces
}

proptest! {
    #[test]
    fn splits_do_not_matter(
        ops in vec(operation(), 1..12),
        places in vec(any::<prop::sample::Index>(), 0..24),
    ) {
        let bytes = ops.concat();
        let whole = feed([bytes.as_slice()]);
        prop_assert_eq!(whole.0.len(), ops.len());
        prop_assert_eq!(whole.1, None);
        prop_assert_eq!(&feed(cut(&bytes, &places)), &whole);
        prop_assert_eq!(&feed(bytes.chunks(1)), &whole);
    }

    #[test]
    fn any_bytes_are_survived(bytes in vec(any::<u8>(), 0..600)) {
        let whole = feed([bytes.as_slice()]);
        prop_assert_eq!(feed(bytes.chunks(1)).0, whole.0);
    }

    /// Bytes that look like the protocol get further into the parser than noise does.
    #[test]
    fn damaged_streams_are_survived(
        ops in vec(operation(), 1..8),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = ops.concat();
        for (place, byte) in damage {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        let whole = feed([bytes.as_slice()]);
        prop_assert_eq!(feed(bytes.chunks(1)).0, whole.0);
    }
}
