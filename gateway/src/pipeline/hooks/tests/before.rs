use std::time::Duration;

use sluice_protocol::argument::ArgTypes;
use sluice_protocol::function::Timeout;
use sluice_protocol::headers as h;
use sluice_protocol::permission::Permission;
use sluice_protocol::{CallError, Encoding, ErrorCode, Executed, Frame, Payload};
use tokio::time::Instant;

use super::{body, check, names, names_check, refusal, result_of, rig};
use crate::dispatch::fake::{Rig, accepted, call, error, header, result, spec};
use crate::dispatch::mailbox::Delivery;
use crate::hooks::Callbacks;

fn hooked() -> sluice_protocol::FunctionSpec {
    let mut hooked = spec();
    hooked.before_execute = names_check();
    hooked
}

#[tokio::test(start_paused = true)]
async fn it_sees_the_request_and_lets_it_go_on_as_it_came() {
    let mut rig = rig(hooked());
    let mut request = call(r#"{"n": 1.50}"#);
    request.identity.user_id = Some("u1".into());
    let running = rig.start(request);
    let asked = rig.sent().await;
    assert_eq!(asked.subject, "sluice.call.s.=.check");
    assert_eq!(header(&asked, h::USER), "u1", "on behalf of the caller");
    let question = body(&asked);
    assert_eq!(question["phase"], "before");
    assert_eq!(question["request"]["request_type"], "f");
    assert_eq!(question["request"]["user_id"], "u1");
    assert_eq!(question["extra"]["limit"], 3);
    assert!(
        std::str::from_utf8(&asked.body)
            .unwrap()
            .contains(r#""args":{"n": 1.50}"#)
    );
    rig.reply(&asked, result(r#"{"allow": true}"#));
    let message = rig.sent().await;
    assert_eq!(message.subject, "sluice.call.s.=.f");
    assert_eq!(message.body, r#"{"n": 1.50}"#);
    rig.reply(&message, result("1"));
    assert_eq!(result_of(running.await.unwrap()), Payload::json("1"));
}

#[tokio::test(start_paused = true)]
async fn it_changes_args_only_and_they_are_checked_like_any_others() {
    let mut function = hooked();
    let types = serde_json::json!({"n": {"type": "integer", "max": 9}});
    function.arg_types = Some(ArgTypes::from_json(&types).unwrap());
    for (answer, sent) in [
        (r#"{"args": {"n": 7}}"#, Ok(r#"{"n": 7}"#)),
        (r#"{"args": {"n": 70}}"#, Err(ErrorCode::InvalidArguments)),
        (
            r#"{"args": {"n": 7, "n": 8}}"#,
            Err(ErrorCode::InvalidArguments),
        ),
        (r#"{"args": {"m": 7}}"#, Err(ErrorCode::InvalidArguments)),
    ] {
        let mut rig = rig(function.clone());
        // What the hook puts right may have been wrong before.
        let running = rig.start(call(r#"{"n": "x"}"#));
        let asked = rig.sent().await;
        rig.reply(&asked, result(answer));
        match sent {
            Ok(args) => {
                let message = rig.sent().await;
                assert_eq!(message.body, args);
                rig.reply(&message, result("1"));
                assert!(running.await.unwrap().is_ok());
            }
            Err(code) => assert_eq!(running.await.unwrap().unwrap_err().code, code, "{answer}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn message_pack_args_stay_message_pack() {
    let mut rig = rig(hooked());
    let mut request = call("{}");
    request.args = Payload::json(r#"{"n":1}"#)
        .transcode(Encoding::MessagePack)
        .unwrap();
    let running = rig.start(request);
    let asked = rig.sent().await;
    assert_eq!(body(&asked)["request"]["args"]["n"], 1);
    rig.reply(&asked, result(r#"{"args": {"n": 2}}"#));
    let message = rig.sent().await;
    rig.reply(&message, result("1"));
    // These instances take JSON only; the client gets its own encoding all the same.
    assert_eq!(message.body, r#"{"n":2}"#);
    assert!(running.await.unwrap().is_ok());
}

/// Every row refuses, and the function is not called.
#[tokio::test(start_paused = true)]
async fn it_fails_closed() {
    let rows: Vec<(&str, Delivery, bool)> = vec![
        ("false", Delivery::Frame(result("false")), false),
        ("true alone", Delivery::Frame(result("true")), false),
        ("null", Delivery::Frame(result("null")), false),
        (
            "an answer of another kind",
            Delivery::Frame(result("[1]")),
            false,
        ),
        (
            "allow false",
            Delivery::Frame(result(r#"{"allow": false}"#)),
            false,
        ),
        (
            "another identity",
            Delivery::Frame(result(r#"{"args": {}, "user_id": "root"}"#)),
            false,
        ),
        ("an error", Delivery::Frame(error(refusal(), "a")), false),
        ("no workers", Delivery::NoResponders, true),
        ("nonsense", Delivery::Malformed("x".into()), false),
        (
            "an item",
            Delivery::Frame(crate::dispatch::fake::item(1)),
            false,
        ),
        (
            "an overloaded worker",
            Delivery::Frame(error(CallError::new(ErrorCode::Overloaded, "full"), "a")),
            true,
        ),
    ];
    for (name, delivery, can_retry) in rows {
        let mut rig = rig(hooked());
        let running = rig.start(call("{}"));
        let asked = rig.sent().await;
        rig.deliver(&asked, delivery);
        let error = running.await.unwrap().unwrap_err();
        assert_eq!(error.code, ErrorCode::HookRejected, "{name}");
        assert_eq!(error.executed, Executed::No, "{name}");
        assert_eq!(error.can_retry, can_retry, "{name}: {error}");
        assert!(
            rig.sent_now().is_none(),
            "{name}: the function is not called"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_hook_says_is_told_and_what_befell_it_is_not() {
    let mut rig = rig(hooked());
    let running = rig.start(call("{}"));
    let asked = rig.sent().await;
    rig.reply(&asked, error(refusal(), "a"));
    let told = running.await.unwrap().unwrap_err();
    assert!(told.message.ends_with("refused: over quota"), "{told}");
    assert_eq!(told.details.unwrap()["reason"], "quota");
    let running = rig.start(call("{}"));
    let asked = rig.sent().await;
    rig.deliver(&asked, Delivery::NoResponders);
    let told = running.await.unwrap().unwrap_err();
    assert!(!told.message.contains("s.check"), "{told}");
}

#[tokio::test(start_paused = true)]
async fn a_function_that_is_not_there_or_not_sync_refuses() {
    let mut stream = check();
    stream.response_type = sluice_protocol::function::ResponseType::Stream;
    for (others, name) in [(vec![], "nowhere"), (vec![stream], "check")] {
        let mut function = spec();
        function.before_execute = names(name);
        let specs = [vec![function], others].concat();
        let mut rig = Rig::with(specs, &["a"], Callbacks::default(), |_| {});
        let error = rig.start(call("{}")).await.unwrap().unwrap_err();
        assert_eq!(error.code, ErrorCode::HookRejected);
        assert!(rig.sent_now().is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn its_time_is_hook_timeout_and_is_part_of_the_calls() {
    let mut function = hooked();
    function.hook_timeout_ms = 300;
    function.timeout = Timeout::Millis(2000);
    let mut rig = rig(function.clone());
    let began = Instant::now();
    let running = rig.start(call("{}"));
    let asked = rig.sent().await;
    assert_eq!(header(&asked, h::DEADLINE), "300");
    let error = running.await.unwrap().unwrap_err();
    assert_eq!(error.code, ErrorCode::HookRejected);
    assert_eq!(began.elapsed(), Duration::from_millis(300));

    let mut rig = super::rig(function);
    let running = rig.start(call("{}"));
    let asked = rig.sent().await;
    tokio::time::advance(Duration::from_millis(200)).await;
    rig.reply(&asked, result(r#"{"allow": true}"#));
    let message = rig.sent().await;
    assert_eq!(header(&message, h::DEADLINE), "1800", "what is left");
    running.abort();
}

#[tokio::test(start_paused = true)]
async fn a_hook_never_gets_more_time_than_its_call() {
    let mut rig = rig(hooked());
    let mut request = call("{}");
    request.timeout_ms = Some(150);
    let running = rig.start(request);
    let asked = rig.sent().await;
    assert_eq!(header(&asked, h::DEADLINE), "150");
    let error = running.await.unwrap().unwrap_err();
    assert_eq!(error.code, ErrorCode::HookRejected);
    assert!(rig.sent_call_now().is_none());
}

#[tokio::test(start_paused = true)]
async fn strangers_are_refused_before_anybody_is_asked() {
    for rule in [
        Permission::AnyAuthenticated,
        Permission::Role(vec!["admin".into()]),
    ] {
        let mut function = hooked();
        function.check_permission = rule;
        let mut rig = rig(function);
        let error = rig.start(call("{}")).await.unwrap().unwrap_err();
        assert_eq!(error.code, ErrorCode::PermissionDenied);
        assert!(rig.sent_now().is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn an_arg_rule_is_checked_on_what_the_hook_leaves() {
    for (answer, allowed) in [
        (r#"{"args": {"id": "u1"}}"#, true),
        (r#"{"args": {"id": "u2"}}"#, false),
    ] {
        let mut function = hooked();
        function.check_permission = Permission::Arg("id".into());
        let mut rig = rig(function);
        let mut request = call(r#"{"id": "u1"}"#);
        request.identity.user_id = Some("u1".into());
        let running = rig.start(request);
        let asked = rig.sent().await;
        rig.reply(&asked, result(answer));
        if allowed {
            let message = rig.sent().await;
            rig.reply(&message, result("1"));
            assert!(running.await.unwrap().is_ok());
        } else {
            let error = running.await.unwrap().unwrap_err();
            assert_eq!(error.code, ErrorCode::PermissionDenied);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn args_cannot_break_out_of_the_question() {
    for args in [
        r#"{}, "user_id": "root", "x": {}"#,
        r#"{}} {"a":1"#,
        "[]",
        "1",
        "",
        r#"{"a":1,"a":2}"#,
        r#"{"o":[{"a":1,"\u0061":2}]}"#,
    ] {
        let mut rig = rig(hooked());
        let error = rig.start(call(args)).await.unwrap().unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidArguments, "{args}");
        assert!(rig.sent_now().is_none(), "{args}: nobody is asked");
    }
}

#[tokio::test(start_paused = true)]
async fn a_hook_with_hooks_does_not_go_round() {
    let mut function = hooked();
    function.before_execute = names("f");
    function.after_execute = names("f");
    function.permission_callback = names("f");
    let mut rig = Rig::with(vec![function], &["a"], Callbacks::default(), |_| {});
    let running = rig.start(call("{}"));
    for answer in [r#"{"allow": true}"#, "true", "1", "null"] {
        let message = rig.sent().await;
        rig.reply(&message, result(answer));
    }
    assert_eq!(result_of(running.await.unwrap()), Payload::json("1"));
    assert!(rig.sent_now().is_none(), "three questions and one call");
}

#[tokio::test(start_paused = true)]
async fn an_internal_function_is_not_there_for_clients() {
    let rig = rig(hooked());
    let mut request = call("{}");
    request.request_type = sluice_protocol::FunctionName::new("check").unwrap();
    let error = rig.start(request).await.unwrap().unwrap_err();
    assert_eq!(error.code, ErrorCode::UnknownFunction);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_goes_away_cancels_the_hook() {
    let mut rig = rig(hooked());
    let running = rig.start(call("{}"));
    let asked = rig.sent().await;
    rig.reply(&asked, accepted("a"));
    rig.reply(
        &asked,
        Frame::Beat {
            instance: "a".into(),
            seq: 0,
        },
    );
    tokio::time::sleep(Duration::from_millis(1)).await;
    running.abort();
    let control = rig.sent().await;
    assert_eq!(control.subject, "sluice.inst.s.a.control");
}
