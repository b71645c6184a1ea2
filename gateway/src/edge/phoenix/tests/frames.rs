//! The decoders, given anything.

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::edge::phoenix::binary;
use crate::edge::phoenix::frame::{Frame, FrameError, Head, Ref, Vsn};
use crate::edge::phoenix::text::{begin, decode, finish};

fn decoded(vsn: Vsn, text: &str) -> Result<(Value, Value, String, String, String), FrameError> {
    let text = Utf8Bytes::from(text);
    let frame = decode(vsn, &text)?;
    Ok((
        value(frame.join_ref.as_ref()),
        value(frame.reference.as_ref()),
        frame.topic.into_owned(),
        frame.event.into_owned(),
        std::str::from_utf8(&frame.payload.bytes)
            .unwrap()
            .to_owned(),
    ))
}

fn value(reference: Option<&Ref<'_>>) -> Value {
    match reference {
        None => Value::Null,
        Some(Ref::Text(text)) => json!(text),
        Some(Ref::Number(number)) => serde_json::from_str(number).unwrap(),
    }
}

#[test]
fn frames_are_taken_apart() {
    let whole = |join_ref: Value, reference: Value, payload: &str| {
        let (topic, event) = ("api:x".to_owned(), "e".to_owned());
        Ok((join_ref, reference, topic, event, payload.to_owned()))
    };
    let (null, one, two) = (Value::Null, json!("1"), json!("2"));
    for (text, expected) in [
        (
            r#"["1","2","api:x","e",{"a": 1.0}]"#,
            whole(one.clone(), two.clone(), r#"{"a": 1.0}"#),
        ),
        (
            r#" [ null , null , "api:x" , "e" , null ] "#,
            whole(null.clone(), null.clone(), "null"),
        ),
        (
            r#"[1,-2.5,"api:\u0078","e",[]]"#,
            whole(json!(1), json!(-2.5), "[]"),
        ),
        (
            r#"["\u0031","2","api:x","e","",7]"#,
            whole(one.clone(), two.clone(), "\"\""),
        ),
    ] {
        assert_eq!(decoded(Vsn::V2, text), expected, "{text}");
    }
    for (text, expected) in [
        (
            r#"{"topic":"api:x","event":"e","payload":{},"ref":"2","join_ref":"1","more":[]}"#,
            whole(one, two, "{}"),
        ),
        (
            r#"{"ref":null,"payload":5,"topic":"api:x","event":"e"}"#,
            whole(null.clone(), null, "5"),
        ),
    ] {
        assert_eq!(decoded(Vsn::V1, text), expected, "{text}");
    }
}

#[test]
fn objects_that_lack_or_repeat_a_key_are_refused() {
    for text in [
        r#"{"event":"e","payload":{},"ref":"2"}"#,
        r#"{"topic":"t","payload":{},"ref":"2"}"#,
        r#"{"topic":"t","event":"e","ref":"2"}"#,
        r#"{"topic":"t","topic":"t","event":"e","payload":{},"ref":"2"}"#,
        r#"["1","2","t","e",{}]"#,
    ] {
        let error = decoded(Vsn::V1, text).unwrap_err();
        assert!(
            matches!(error, FrameError::Malformed { .. }),
            "{text}: {error}"
        );
    }
}

#[test]
fn payloads_are_slices_of_their_message() {
    let text = Utf8Bytes::from(r#"["1","2","t","e",{"long":"payload"}]"#);
    let frame = decode(Vsn::V2, &text).unwrap();
    let range = text.as_str().as_bytes().as_ptr_range();
    assert!(range.contains(&frame.payload.bytes.as_ptr()));
    let bytes = Bytes::from_static(&[0, 1, 1, 1, 1, b'1', b'2', b't', b'e', 7, 8]);
    let frame = binary::decode(&bytes).unwrap();
    assert_eq!(frame.payload.bytes.as_ptr(), bytes[9..].as_ptr());
}

fn any_ref() -> impl Strategy<Value = Option<Ref<'static>>> {
    prop_oneof![
        Just(None),
        "\\PC{0,40}".prop_map(|text| Some(Ref::Text(text.into()))),
        any::<i64>().prop_map(|n| Some(Ref::Number(n.to_string().into()))),
    ]
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(255)]
}

proptest! {
    #[test]
    fn any_text_decodes_or_does_not(text in "\\PC{0,200}") {
        for vsn in [Vsn::V1, Vsn::V2] {
            let _ = decode(vsn, &Utf8Bytes::from(text.clone()));
        }
    }

    #[test]
    fn text_that_is_nearly_a_frame(text in r#"[\[\]{}",:0-9a-z\\ -]{0,60}"#) {
        for text in [text.clone(), format!("[{text}"), format!("[null,null,\"t\",{text}"), format!("{{\"topic\":{text}")] {
            for vsn in [Vsn::V1, Vsn::V2] {
                let _ = decode(vsn, &Utf8Bytes::from(text.clone()));
            }
        }
    }

    #[test]
    fn any_bytes_decode_or_do_not(mut bytes in proptest::collection::vec(any::<u8>(), 0..80), push in any::<bool>()) {
        if let Some(kind) = bytes.first_mut().filter(|_| push) {
            *kind = 0;
        }
        let bytes = Bytes::from(bytes);
        if let Ok(Frame { join_ref, reference, topic, event, payload }) = binary::decode(&bytes) {
            let names = [join_ref.as_ref().map_or("", Ref::as_str), reference.as_ref().map_or("", Ref::as_str), &topic, &event];
            let sizes: usize = names.iter().map(|n| n.len()).sum();
            prop_assert_eq!(5 + sizes + payload.bytes.len(), bytes.len());
        }
    }

    #[test]
    fn text_frames_are_read_back(join_ref in any_ref(), reference in any_ref(), topic in "\\PC{0,80}", event in "\\PC{0,80}", payload in "\\PC{0,80}") {
        let head = Head { join_ref: join_ref.as_ref(), reference: reference.as_ref(), topic: cut(&topic), event: cut(&event) };
        let payload = json!({ "text": payload }).to_string();
        for vsn in [Vsn::V1, Vsn::V2] {
            let mut out = Vec::new();
            begin(vsn, &head, &mut out);
            out.extend_from_slice(payload.as_bytes());
            finish(vsn, &mut out);
            let text = Utf8Bytes::from(String::from_utf8(out).unwrap());
            let frame = decode(vsn, &text).unwrap();
            prop_assert_eq!(frame.reference.as_ref(), head.reference);
            // Version 1 does not say it.
            prop_assert_eq!(frame.join_ref.as_ref(), head.join_ref.filter(|_| vsn == Vsn::V2));
            prop_assert_eq!(frame.topic.as_ref(), head.topic);
            prop_assert_eq!(frame.event.as_ref(), head.event);
            prop_assert_eq!(&frame.payload.bytes, payload.as_bytes());
        }
    }

    #[test]
    fn binary_frames_have_sound_lengths(join_ref in any_ref(), topic in "\\PC{0,400}", event in "\\PC{0,80}", payload in proptest::collection::vec(any::<u8>(), 0..80)) {
        let head = Head { join_ref: join_ref.as_ref(), reference: None, topic: &topic, event: &event };
        for (frame, count) in [(binary::push(&head, &payload), 3), (binary::reply(&head, "ok", &payload), 4)] {
            let sizes: usize = frame[1..=count].iter().map(|&n| usize::from(n)).sum();
            prop_assert_eq!(&frame[1 + count + sizes..], &payload[..]);
        }
    }
}
