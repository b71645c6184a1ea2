//! Bodies of resources that come in pieces: JSON lines come down one by one, other JSON as a whole,
//! and anything else as it is.

use bytes::{Bytes, BytesMut};
use sluice_protocol::Payload;
use sluice_protocol::change::{Chain, MAX_ADDED_BYTES, TranslateError};
use sluice_protocol::http::ResponseHead;

use super::resource;

/// The longest line, and the largest body of other JSON, that is held back until it is whole.
pub(super) const MAX_HELD_BYTES: usize = 1024 * 1024;

/// Why no more of a body can come down.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Broken {
    #[error(
        "has a line of more than {MAX_HELD_BYTES} bytes, which is too long to be translated; the \
         response is cut off and a retry will not help"
    )]
    Line,
    #[error(
        "has more than {MAX_HELD_BYTES} bytes of JSON, which is too much to be translated; the \
         response is cut off and a retry will not help"
    )]
    Body,
    #[error(
        "grows by more than {MAX_ADDED_BYTES} bytes at once when it is translated; the response is \
         cut off and a retry will not help"
    )]
    Grown,
}

/// What is known of a body whose pieces pass.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    kind: Kind,
    /// Of an unfinished line, or the whole body so far.
    held: BytesMut,
    warned: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The head has not come yet.
    #[default]
    Unknown,
    /// A value a line.
    Lines,
    /// One value.
    Whole {
        /// Whether it is an error.
        fault: bool,
    },
    /// No JSON that can be read.
    Other,
}

impl Pieces {
    /// Whether something has to go out before the end.
    pub(super) fn hold_something(&self) -> bool {
        !self.held.is_empty()
    }

    /// A piece as the client's version has it. What is not whole yet waits for the next.
    pub(super) fn down(
        &mut self,
        chain: &Chain,
        piece: Payload,
        last: bool,
    ) -> Result<Payload, Broken> {
        let first = self.kind == Kind::Unknown;
        if first {
            self.kind = Kind::of(&piece);
        }
        let head = first.then(|| resource::head_down(chain, &piece)).flatten();
        let Some((_, body)) = piece.split_http() else {
            return Ok(piece);
        };
        let body = match self.kind {
            Kind::Unknown | Kind::Other => body,
            Kind::Lines => self.lines(chain, body, last)?,
            Kind::Whole { fault } => self.whole(chain, &body, fault, last)?,
        };
        Ok(match head {
            Some(head) => Payload::http(&head, &body),
            // No head that can be read: the edge says so.
            None if first => return Ok(piece),
            None => resource::chunk(&body),
        })
    }

    fn lines(&mut self, chain: &Chain, bytes: Bytes, last: bool) -> Result<Bytes, Broken> {
        let mut out = BytesMut::new();
        let mut rest = &bytes[..];
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let (line, after) = rest.split_at(end);
            self.hold(line, Broken::Line)?;
            self.flush(chain, &mut out);
            out.extend_from_slice(b"\n");
            // Changes may add to each line, and a piece may have very many.
            if out.len() > MAX_HELD_BYTES + bytes.len() + MAX_ADDED_BYTES {
                return Err(Broken::Grown);
            }
            rest = &after[1..];
        }
        self.hold(rest, Broken::Line)?;
        if last {
            self.flush(chain, &mut out);
        }
        Ok(out.freeze())
    }

    /// The line that is held. One that cannot be translated goes on as it is.
    fn flush(&mut self, chain: &Chain, out: &mut BytesMut) {
        let line = self.held.split().freeze();
        let value = line.slice(..line.trim_ascii_end().len());
        if value.is_empty() {
            out.extend_from_slice(&line);
            return;
        }
        match chain.response(&Payload::json(value.clone())) {
            Ok(down) => out.extend_from_slice(&down.bytes),
            Err(error) => {
                self.warn(chain, &error);
                out.extend_from_slice(&value);
            }
        }
        // A line may end with a carriage return.
        out.extend_from_slice(&line[value.len()..]);
    }

    fn whole(
        &mut self,
        chain: &Chain,
        bytes: &[u8],
        fault: bool,
        last: bool,
    ) -> Result<Bytes, Broken> {
        self.hold(bytes, Broken::Body)?;
        if !last {
            return Ok(Bytes::new());
        }
        let whole = self.held.split().freeze();
        Ok(match resource::body_down(chain, whole.clone(), fault) {
            Ok(down) => down,
            Err(error) => {
                self.warn(chain, &error);
                whole
            }
        })
    }

    fn hold(&mut self, bytes: &[u8], full: Broken) -> Result<(), Broken> {
        if self.held.len() + bytes.len() > MAX_HELD_BYTES {
            self.held.clear();
            return Err(full);
        }
        self.held.extend_from_slice(bytes);
        Ok(())
    }

    /// Once a body: it may have a million lines.
    fn warn(&mut self, chain: &Chain, error: &TranslateError) {
        if !std::mem::replace(&mut self.warned, true) {
            tracing::warn!(
                version = %chain.from(),
                %error,
                "part of a response could not be translated down and goes out in today's shape"
            );
        }
    }
}

impl Kind {
    fn of(first: &Payload) -> Self {
        let head = first.split_http();
        let head = head.and_then(|(head, _)| ResponseHead::parse(head).ok());
        let Some(head) = head else {
            return Self::Other;
        };
        let succeeded = (200..300).contains(&head.status);
        if resource::is_json(&head.headers) {
            Self::Whole { fault: !succeeded }
        } else if succeeded && resource::is_lines(&head.headers) {
            Self::Lines
        } else {
            Self::Other
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sluice_protocol::change::Versions;

    use super::*;

    fn chain() -> Chain {
        let versions = Versions::from_json(&serde_json::json!([
            {"version": "1", "changes": [{"name": "names", "functions": ["*"],
                "request": [{"op": "rename", "from": "name", "to": "title"}],
                "response": {"reverse": [""]}}]},
            {"version": "2"},
        ]));
        versions.unwrap().chain("1", None, "shelf").unwrap()
    }

    fn first(status: u16, media_type: &str, body: &str) -> Payload {
        let head = ResponseHead {
            status,
            headers: vec![
                ("content-type".into(), media_type.into()),
                ("etag".into(), "\"a\"".into()),
            ],
        };
        Payload::http(&head.to_value().unwrap(), body.as_bytes())
    }

    /// What a client reads of a body that came in `cuts` pieces; at its end with the last of them.
    fn read(media_type: &str, body: &str, cuts: &[usize]) -> Result<String, Broken> {
        let mut pieces = Pieces::default();
        let mut out = Vec::new();
        let mut pass = |pieces: &mut Pieces, piece, last| {
            let down = pieces.down(&chain(), piece, last)?;
            out.extend_from_slice(&down.split_http().unwrap().1);
            Ok(())
        };
        pass(&mut pieces, first(200, media_type, ""), false)?;
        let mut rest = body;
        for cut in cuts {
            let (piece, after) = rest.split_at((*cut).min(rest.len()));
            pass(&mut pieces, resource::chunk(piece.as_bytes()), false)?;
            rest = after;
        }
        pass(&mut pieces, resource::chunk(rest.as_bytes()), true)?;
        Ok(String::from_utf8(out).unwrap())
    }

    const LINES: &str = "application/x-ndjson; charset=utf-8";

    #[test]
    fn each_line_comes_down_and_nothing_else() {
        let body = "{\"title\":1.50}\n\n[\"title\"]\r\nno json\n{\"title\":2}";
        let down = "{\"name\":1.50}\n\n[\"title\"]\r\nno json\n{\"name\":2}";
        assert_eq!(read(LINES, body, &[]).unwrap(), down);
        assert_eq!(read("text/csv", body, &[3]).unwrap(), body);
        let json = "{\"title\":\n1}";
        assert_eq!(
            read("application/json", json, &[3, 2]).unwrap(),
            "{\"name\":1}"
        );
    }

    #[test]
    fn heads_and_errors_come_down_too() {
        let mut pieces = Pieces::default();
        let down = pieces.down(&chain(), first(200, LINES, "{\"title\":1}\n"), false);
        let down = down.unwrap();
        let (head, body) = down.split_http().unwrap();
        assert_eq!(body, "{\"name\":1}\n");
        let head = ResponseHead::parse(head).unwrap();
        assert_eq!(head.headers[1].1, "\"a;v=1\"", "a tag of this version");
        let fault = r#"{"faults":[{"path":"/title","message":"\"title\" is missing"}]}"#;
        let fault = first(422, "application/problem+json", fault);
        let down = Pieces::default().down(&chain(), fault, true).unwrap();
        let (_, body) = down.split_http().unwrap();
        assert_eq!(
            body,
            r#"{"faults":[{"path":"/name","message":"\"name\" is missing"}]}"#
        );
    }

    #[test]
    fn what_never_ends_is_not_held_for_ever() {
        let long = format!("\"{}", "x".repeat(MAX_HELD_BYTES));
        assert_eq!(read(LINES, &long, &[60_000; 16]), Err(Broken::Line));
        assert_eq!(
            read("application/json", &long, &[60_000; 16]),
            Err(Broken::Body)
        );
        assert!(read("text/plain", &long, &[60_000; 16]).is_ok());
        let many = "{\"title\":1}\n".repeat(MAX_HELD_BYTES / 4);
        assert!(
            read(LINES, &many, &[60_000; 16]).is_ok(),
            "lines are bounded, bodies not"
        );
    }

    #[test]
    fn many_small_lines_do_not_grow_without_bound() {
        let literal = "x".repeat(4000);
        let versions = Versions::from_json(&serde_json::json!([
            {"version": "1", "changes": [{"name": "more", "functions": ["*"],
                "response": [{"op": "set", "path": "/a", "value": literal}]}]},
            {"version": "2"},
        ]));
        let chain = versions.unwrap().chain("1", None, "shelf").unwrap();
        let of = |lines: usize| {
            let mut pieces = Pieces::default();
            pieces.down(&chain, first(200, LINES, &"{}\n".repeat(lines)), false)
        };
        assert!(of(1000).is_ok());
        assert_eq!(of(100_000), Err(Broken::Grown));
    }

    proptest! {
        #[test]
        fn where_a_body_is_cut_makes_no_difference(
            cuts in proptest::collection::vec(0_usize..12, 0..12),
        ) {
            let body = "{\"title\":1}\n{\"x\":[2]}\n\n{\"title\":\"\\n\"}";
            let down = "{\"name\":1}\n{\"x\":[2]}\n\n{\"name\":\"\\n\"}";
            prop_assert_eq!(read(LINES, body, &cuts).unwrap(), down);
        }
    }
}
