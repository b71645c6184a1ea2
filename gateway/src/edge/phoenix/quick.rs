//! Frames that are plainly calls, taken apart without being read twice.
//!
//! The names of a text frame of version 2 are found where clients put them, and its payload is
//! what lies between them and the last bracket: it is no more than probably one object. Whoever
//! reads it finds out. If it is not, or if anything is unusual, the frame goes to
//! [`super::text::decode`], whose verdict and words count.

use std::borrow::Cow;

use sluice_protocol::Payload;
use sluice_protocol::scan::{plain_string, token};
use tokio_tungstenite::tungstenite::protocol::frame::Utf8Bytes;

use super::frame::{Frame, MAX_NAME_BYTES, Ref};

/// A frame whose payload begins and ends like an object, and the payload's text.
pub(super) fn array(text: &Utf8Bytes) -> Option<(Frame<'_>, &str)> {
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
    let whole: &bytes::Bytes = text.as_ref();
    let frame = Frame {
        join_ref,
        reference,
        topic: Cow::Borrowed(topic),
        event: Cow::Borrowed(event),
        payload: Payload::json(whole.slice(start..start + payload.len())),
    };
    Some((frame, payload))
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
    use sluice_protocol::Request;

    use super::*;
    use crate::edge::phoenix::frame::Vsn;
    use crate::edge::phoenix::text;

    /// Where the quick way is taken to its end, both ways have read the same.
    fn agrees(frame: &str) -> bool {
        let text = Utf8Bytes::from(frame.to_owned());
        let quick = array(&text).filter(|(frame, payload)| {
            assert_eq!(frame.payload.bytes, payload.as_bytes());
            Request::from_plain_text(payload, text.as_ref()).is_some()
        });
        if let Some((quick, _)) = &quick {
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
