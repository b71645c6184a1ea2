//! In which form to answer: one envelope, or a stream of them.

use http::HeaderMap;
use http::header::ACCEPT;
use sluice_protocol::function::ResponseType;
use sluice_protocol::{CallError, Encoding, ErrorCode};

use super::accept::{Accept, Match, Media, Precision};

/// How a stream is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StreamFormat {
    /// `text/event-stream`
    Events,
    /// `application/x-ndjson`
    Lines,
}

/// The forms that a client takes; `None`: none of that kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Formats {
    /// For one envelope.
    pub(super) single: Option<Encoding>,
    /// For a stream.
    pub(super) stream: Option<StreamFormat>,
    /// Whether an event stream is wanted by name, at least as much as one envelope: an async
    /// result is followed then.
    pub(super) prefers_events: bool,
}

impl Formats {
    /// What fits best. Where the client has no preference, answers are encoded as the request.
    pub(super) fn negotiate(headers: &HeaderMap, request: Encoding) -> Self {
        let Some(value) = headers.get(ACCEPT) else {
            return Self::any(request);
        };
        // What most clients send; anything else is looked at closely.
        match value.as_bytes() {
            b"*/*" if headers.get_all(ACCEPT).iter().count() == 1 => Self::any(request),
            b"application/json" if headers.get_all(ACCEPT).iter().count() == 1 => {
                Self::any(Encoding::Json)
            }
            _ => Self::of(&Accept::from_headers(headers), request),
        }
    }

    fn any(single: Encoding) -> Self {
        Self {
            single: Some(single),
            stream: Some(StreamFormat::Lines),
            prefers_events: false,
        }
    }

    fn of(accept: &Accept, request: Encoding) -> Self {
        let json = accept.of(Media::Json);
        let message_pack = accept.of(Media::MessagePack);
        let single = match json.cmp(&message_pack) {
            std::cmp::Ordering::Greater => (json, Encoding::Json),
            std::cmp::Ordering::Less => (message_pack, Encoding::MessagePack),
            std::cmp::Ordering::Equal => (json, request),
        };
        let events = accept.of(Media::EventStream);
        let lines = lines(accept.of(Media::LineStream), json);
        let stream = match events > lines {
            true => (events, StreamFormat::Events),
            false => (lines, StreamFormat::Lines),
        };
        Self {
            single: (single.0.quality > 0).then_some(single.1),
            stream: (stream.0.quality > 0).then_some(stream.1),
            prefers_events: events.precision == Precision::Exact
                && events.quality > 0
                && events.quality >= single.0.quality,
        }
    }

    /// The encoding of errors: they are told even where the client wants to hear nothing of ours.
    pub(super) fn for_errors(&self) -> Encoding {
        self.single.unwrap_or_default()
    }

    /// Whether every kind of function can be answered.
    pub(super) fn suit_all(&self) -> bool {
        self.single.is_some() && self.stream.is_some()
    }

    /// Whether a function that answers so can be answered.
    ///
    /// # Errors
    /// `not_acceptable`.
    pub(super) fn check(&self, response_type: ResponseType) -> Result<(), CallError> {
        let (fits, offer) = match response_type {
            ResponseType::Stream => (
                self.stream.is_some(),
                "text/event-stream, application/x-ndjson or application/json",
            ),
            ResponseType::Sync | ResponseType::Async | ResponseType::None => (
                self.single.is_some(),
                "application/json or application/msgpack",
            ),
        };
        if fits {
            return Ok(());
        }
        let text = format!("the answer can be had as {offer}; Accept allows none of them");
        Err(CallError::new(ErrorCode::NotAcceptable, text))
    }
}

/// Who takes JSON takes lines of JSON too, unless they are refused by name.
fn lines(lines: Match, json: Match) -> Match {
    if lines.precision == Precision::Exact {
        return lines;
    }
    lines.max(Match {
        quality: json.quality,
        precision: Precision::None,
    })
}

#[cfg(test)]
mod tests {
    use super::StreamFormat::{Events, Lines};
    use super::*;
    use Encoding::{Json, MessagePack};

    #[test]
    fn what_each_accept_gets() {
        type Row = (
            &'static str,
            Encoding,
            Option<Encoding>,
            Option<StreamFormat>,
        );
        let rows: [Row; 20] = [
            ("*/*", Json, Some(Json), Some(Lines)),
            ("*/*", MessagePack, Some(MessagePack), Some(Lines)),
            ("application/json", MessagePack, Some(Json), Some(Lines)),
            ("application/*", MessagePack, Some(MessagePack), Some(Lines)),
            ("application/msgpack", Json, Some(MessagePack), None),
            (
                "application/vnd.msgpack, */*",
                Json,
                Some(MessagePack),
                Some(Lines),
            ),
            (
                "application/json, application/msgpack",
                MessagePack,
                Some(MessagePack),
                Some(Lines),
            ),
            (
                "application/json;q=0.9, application/msgpack",
                Json,
                Some(MessagePack),
                Some(Lines),
            ),
            ("text/event-stream", Json, None, Some(Events)),
            ("text/*", Json, None, Some(Events)),
            (
                "text/event-stream, application/json",
                Json,
                Some(Json),
                Some(Events),
            ),
            (
                "text/event-stream, */*;q=0.1",
                Json,
                Some(Json),
                Some(Events),
            ),
            (
                "text/event-stream;q=0.5, application/x-ndjson",
                Json,
                None,
                Some(Lines),
            ),
            (
                "text/event-stream, application/x-ndjson",
                Json,
                None,
                Some(Lines),
            ),
            (
                "application/x-ndjson;q=0, application/json",
                Json,
                Some(Json),
                None,
            ),
            ("text/event-stream;q=0, */*", Json, Some(Json), Some(Lines)),
            (
                "application/json;q=0, */*",
                Json,
                Some(MessagePack),
                Some(Lines),
            ),
            ("text/html", Json, None, None),
            ("garbage", Json, None, None),
            (
                "text/html, application/xhtml+xml, application/xml;q=0.9, */*;q=0.8",
                Json,
                Some(Json),
                Some(Lines),
            ),
        ];
        for (accept, request, single, stream) in rows {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, accept.parse().unwrap());
            let formats = Formats::negotiate(&headers, request);
            assert_eq!(
                (formats.single, formats.stream),
                (single, stream),
                "{accept}"
            );
        }
    }

    #[test]
    fn events_are_preferred_only_by_name() {
        for (accept, expected) in [
            ("text/event-stream", true),
            ("application/json, text/event-stream", true),
            ("application/json, text/event-stream;q=0.5", false),
            ("text/event-stream;q=0", false),
            ("text/*", false),
            ("*/*", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, accept.parse().unwrap());
            let formats = Formats::negotiate(&headers, Json);
            assert_eq!(formats.prefers_events, expected, "{accept}");
        }
    }

    #[test]
    fn several_headers_are_one_list() {
        let mut headers = HeaderMap::new();
        headers.append(ACCEPT, "application/json".parse().unwrap());
        headers.append(ACCEPT, "text/event-stream".parse().unwrap());
        assert_eq!(Formats::negotiate(&headers, Json).stream, Some(Events));
    }
}
