//! Reads server-sent events (WHATWG HTML §9.2) from bytes as they come.

use super::super::Failure;
use super::super::client::MAX_ANSWER_BYTES;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Event {
    /// `event`; absent: `message`.
    pub(super) kind: String,
    /// All `data` lines, joined by line feeds.
    pub(super) data: String,
}

/// Collects bytes until they make an event.
#[derive(Debug, Default)]
pub(super) struct EventReader {
    buffer: Vec<u8>,
    /// How much of `buffer` has been read as lines.
    read: usize,
    /// Where in `buffer` no end of line has been seen yet: nothing is searched twice.
    searched: usize,
    kind: Option<String>,
    data: Option<String>,
}

impl EventReader {
    /// Takes more bytes.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.read);
        self.searched -= self.read;
        self.read = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next event; `None`: more bytes are needed.
    pub(super) fn next_event(&mut self) -> Result<Option<Event>, Failure> {
        while let Some(line) = self.next_line() {
            if !line.is_empty() {
                self.field(&line);
            } else if let Some(data) = self.data.take() {
                let kind = self.kind.take().unwrap_or_else(|| "message".to_owned());
                return Ok(Some(Event { kind, data }));
            } else {
                // An event without data is none.
                self.kind = None;
            }
        }
        let held = self.buffer.len() - self.read + self.data.as_ref().map_or(0, String::len);
        if held > MAX_ANSWER_BYTES {
            let text = format!("an event of the stream is larger than {MAX_ANSWER_BYTES} bytes");
            return Err(Failure::Failed(text));
        }
        Ok(None)
    }

    /// The next whole line. CR, LF and CRLF end one.
    fn next_line(&mut self) -> Option<String> {
        let rest = &self.buffer[self.searched..];
        let Some(at) = rest.iter().position(|b| matches!(b, b'\n' | b'\r')) else {
            self.searched = self.buffer.len();
            return None;
        };
        let end = self.searched + at;
        let mut next = end + 1;
        if self.buffer[end] == b'\r' {
            // Whether a LF belongs to it shows with the next byte.
            let following = self.buffer.get(next)?;
            next += usize::from(*following == b'\n');
        }
        let line = String::from_utf8_lossy(&self.buffer[self.read..end]).into_owned();
        self.read = next;
        self.searched = next;
        Some(line)
    }

    fn field(&mut self, line: &str) {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "event" => self.kind = Some(value.to_owned()),
            "data" => match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.data = Some(value.to_owned()),
            },
            // Comments have no name; ids are for those who reconnect.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(chunks: &[&[u8]]) -> Vec<(String, String)> {
        let mut reader = EventReader::default();
        let mut events = Vec::new();
        for chunk in chunks {
            reader.push(chunk);
            while let Some(event) = reader.next_event().unwrap() {
                events.push((event.kind, event.data));
            }
        }
        events
    }

    fn event(kind: &str, data: &str) -> (String, String) {
        (kind.to_owned(), data.to_owned())
    }

    #[test]
    fn events_are_read_as_the_standard_says() {
        let text =
            b": hello\n\nevent: item\r\nid: 1\r\ndata: {\"a\":\rdata: 1}\n\nevent: x\n\ndata\n\n\
                     data:no space\n\nevent: unfinished\ndata: x\n";
        assert_eq!(
            all(&[text]),
            [
                event("item", "{\"a\":\n1}"),
                event("message", ""),
                event("message", "no space"),
            ]
        );
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_bytes_are_cut(
            text in "(event: a\n|data: x\n|data:y\r|\n|\r\n|: c\n|é){0,30}",
            cut in prop::collection::vec(1_usize..5, 0..60),
        ) {
            let whole = all(&[text.as_bytes(), b"\n"]);
            let mut chunks = Vec::new();
            let mut rest = text.as_bytes();
            for size in cut {
                let (chunk, tail) = rest.split_at(size.min(rest.len()));
                chunks.push(chunk);
                rest = tail;
            }
            chunks.push(rest);
            chunks.push(b"\n");
            prop_assert_eq!(all(&chunks), whole);
        }

        #[test]
        fn strangers_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            all(&[&bytes]);
        }
    }
}
