//! One call, however its frame is written.

use serde_json::json;

use super::rig::{Rig, options, success};
use crate::edge::phoenix::frame::Vsn;

const REQUEST: &str = r#""request_id":"r","service":"s","request_type":"f""#;

#[tokio::test(start_paused = true)]
async fn a_call_is_the_same_however_its_frame_is_written() {
    let mut rig = Rig::joined("api:x").await;
    let args = r#""args":{"a":"]}"}"#;
    for frame in [
        format!(r#"["1","r","api:x","phoenix_gen_api",{{{REQUEST},{args}}}]"#),
        format!(" [\n\"1\" , \"r\",\t\"api:x\", \"phoenix_gen_api\" , {{ {args} ,{REQUEST}}} ] "),
        format!(r#"[null,"r","api:x","phoenix_gen_api",{{{REQUEST},{args}}}]"#),
        format!(r#"["1","r","api:\u0078","phoenix_gen_api",{{{REQUEST},{args}}}]"#),
        format!(r#"["1","r","api:x","phoenix_gen_api",{{{REQUEST},"\u0061rgs":{{"a":"]}}"}}}}]"#),
        // What later versions may add is ignored, also where it looks like a payload.
        format!(r#"["1","r","api:x","phoenix_gen_api",{{{REQUEST},{args}}},{{"more":1}}]"#),
        format!(r#"["1","r","api:x","phoenix_gen_api",{{{REQUEST},{args}}},[],7]"#),
    ] {
        rig.text(&frame);
        rig.expect(json!(["1", "r", "api:x", "phx_reply", {"status": "ok", "response": "f"}]))
            .await;
        let asked = rig.asked().await;
        assert_eq!(asked.call.args.bytes, r#"{"a":"]}"}"#, "{frame}");
        asked.result("1");
        assert_eq!(rig.response().await, success("r", [false, false], json!(1)));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_with_a_request_is_said_however_plain_it_looks() {
    let mut rig = Rig::joined("api:x").await;
    for (fields, text) in [
        (format!(r#"{REQUEST},"service":"s""#), "stands twice"),
        (format!(r#"{REQUEST},"args":[]"#), "must be an object"),
        (format!(r#"{REQUEST},"timeout_ms":-1"#), "timeout_ms"),
        (r#""request_id":"r""#.to_owned(), "missing required fields"),
    ] {
        rig.text(&format!(
            r#"["1","r","api:x","phoenix_gen_api",{{{fields}}}]"#
        ));
        let reply = rig.json().await;
        assert_eq!(reply[4]["status"], "error", "{fields}");
        let response = rig.response().await;
        assert_eq!(response["error_code"], "invalid_request");
        let error = response["error"].as_str().unwrap();
        assert!(error.contains(text), "{fields}: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_reply_of_version_1_names_its_push() {
    let mut rig = Rig::start(options(), Vsn::V1, true, 64);
    let push = |event: &str, reference: &str, payload| json!({"topic": "rpc:x", "event": event, "ref": reference, "payload": payload});
    rig.send(push("phx_join", "1", json!({})));
    rig.expect(push(
        "phx_reply",
        "1",
        json!({"status": "ok", "response": {}}),
    ))
    .await;
    let request = json!({"request_id": "r", "service": "s", "request_type": "f"});
    rig.send(push("call", "7", request));
    rig.asked().await.result("1");
    let response = success("r", [false, false], json!(1));
    let payload = json!({"status": "ok", "response": response});
    rig.expect(push("phx_reply", "7", payload)).await;
}
