//! Frames that are plainly calls, taken apart without being read twice.
//!
//! The names of a text frame of version 2 are found where clients put them, and its payload is
//! what lies between them and the last bracket: it is no more than probably one object. Whoever
//! reads it finds out. If it is not, or if anything is unusual, the frame goes to
//! [`super::text::decode`], whose verdict and words count.

use std::borrow::Cow;

use sluice_protocol::scan::{plain_string, token};

use super::frame::{MAX_NAME_BYTES, Ref};

/// The parts of a frame.
pub(super) struct Parts<'a> {
    pub(super) join_ref: Option<Ref<'a>>,
    pub(super) reference: Option<Ref<'a>>,
    pub(super) topic: &'a str,
    pub(super) event: &'a str,
    /// It begins and ends like an object.
    pub(super) payload: &'a str,
}

/// A frame whose payload is probably an object.
pub(super) fn array(text: &str) -> Option<Parts<'_>> {
    let bytes = text.as_bytes();
    let at = token(bytes, 0, b'[')?;
    let (join_ref, at) = reference(text, at)?;
    let (reference, at) = reference(text, token(bytes, at, b',')?)?;
    let (topic, at) = name(text, token(bytes, at, b',')?)?;
    let (event, at) = name(text, token(bytes, at, b',')?)?;
    let start = token(bytes, at, b',')?;
    let rest = text.get(start..)?.trim_end_matches(SPACE);
    let payload = rest.strip_suffix(']')?.trim_end_matches(SPACE);
    if !(payload.starts_with('{') && payload.ends_with('}')) {
        return None;
    }
    Some(Parts {
        join_ref,
        reference,
        topic,
        event,
        payload,
    })
}

/// White space as JSON has it.
const SPACE: [char; 4] = [' ', '\n', '\t', '\r'];

fn name(text: &str, at: usize) -> Option<(&str, usize)> {
    plain_string(text, at).filter(|(name, _)| name.len() <= MAX_NAME_BYTES)
}

fn reference(text: &str, at: usize) -> Option<(Option<Ref<'_>>, usize)> {
    const NULL: &str = "null";
    if text.get(at..)?.starts_with(NULL) {
        return Some((None, at + NULL.len()));
    }
    let (text, end) = name(text, at)?;
    Some((Some(Ref::Text(Cow::Borrowed(text))), end))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sluice_protocol::{Payload, Request};
    use tokio_tungstenite::tungstenite::protocol::frame::Utf8Bytes;

    use super::*;
    use crate::edge::phoenix::frame::{Frame, Vsn};
    use crate::edge::phoenix::text;

    /// Where the quick way is taken to its end, both ways have read the same.
    fn agrees(frame: &str) -> bool {
        let text = Utf8Bytes::from(frame.to_owned());
        let quick = array(&text)
            .filter(|parts| Request::from_plain_text(parts.payload, text.as_ref()).is_some())
            .map(|parts| Frame {
                join_ref: parts.join_ref,
                reference: parts.reference,
                topic: Cow::Borrowed(parts.topic),
                event: Cow::Borrowed(parts.event),
                payload: Payload::json(parts.payload.to_owned()),
            });
        if let Some(quick) = &quick {
            assert_eq!(text::decode(Vsn::V2, &text).as_ref(), Ok(quick), "{frame}");
        }
        quick.is_some()
    }

    const REQUEST: &str = r#"{"service":"s","request_type":"f","args":{"a":"]"}}"#;

    #[test]
    fn plain_calls_are_taken_and_the_others_left() {
        for (frame, taken) in [
            (format!(r#"["1","2","api:x","call",{REQUEST}]"#), true),
            (
                format!(r#" [ null , null,"api:x" ,"call", {REQUEST} ] "#),
                true,
            ),
            (format!(r#"["1",null,"é","call",{REQUEST}]"#), true),
            // These are frames as well, and for the other reader.
            (format!(r#"["1",2,"api:x","call",{REQUEST}]"#), false),
            (format!(r#"["1","2","api:\u0078","call",{REQUEST}]"#), false),
            (
                format!(r#"["1","2","api:x","call",{REQUEST},{{"more":1}}]"#),
                false,
            ),
            (format!(r#"["1","2","api:x","call",{REQUEST},7]"#), false),
            (r#"["1","2","api:x","call",{}]"#.to_owned(), false),
            // These are none.
            (format!(r#"["1","2","api:x","call",{REQUEST}"#), false),
            (format!(r#"["1","2","api:x","call",{REQUEST}]]"#), false),
            (format!(r#"["1","2","api:x","call"{REQUEST}]"#), false),
            (format!(r#"["1","2","api:x",{REQUEST}]"#), false),
            (
                format!(r#"["1","2","{}","call",{REQUEST}]"#, "x".repeat(256)),
                false,
            ),
            (format!(r#"["1",nullx,"api:x","call",{REQUEST}]"#), false),
            (String::new(), false),
        ] {
            assert_eq!(agrees(&frame), taken, "{frame}");
        }
    }

    proptest! {
        #[test]
        fn both_ways_agree_on_frames_with_a_fault_or_two(
            faults in prop::collection::vec((any::<prop::sample::Index>(), any::<char>()), 0..3),
            space in "[ \n\t]{0,2}",
            more in prop_oneof![Just(""), Just(",1"), Just(",{}"), Just("]"), Just(",{\"a\":[]}")],
        ) {
            let frame = format!(r#"["1",{space}"2","api:x","call"{space},{REQUEST}{more}{space}]"#);
            let mut chars: Vec<char> = frame.chars().collect();
            for (at, with) in faults {
                let at = at.index(chars.len());
                chars[at] = with;
            }
            agrees(&chars.into_iter().collect::<String>());
        }

        #[test]
        fn both_ways_agree_on_pieces(pieces in prop::collection::vec(prop_oneof![
            Just("["), Just("]"), Just("\"1\""), Just(","), Just("null"), Just("{}"), Just(REQUEST),
            Just(" "), Just("1"), Just("\"\\n\""), Just("{"), Just("}"),
        ], 0..14)) {
            agrees(&pieces.concat());
        }
    }
}
