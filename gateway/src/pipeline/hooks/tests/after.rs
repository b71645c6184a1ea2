use sluice_protocol::function::ResponseType;
use sluice_protocol::permission::Permission;
use sluice_protocol::response::Answer;
use sluice_protocol::{Encoding, ErrorCode, Frame, Payload};

use super::{body, check, names_check, nothing_more, refusal, result_of, rig};
use crate::dispatch::fake::{Rig, accepted, call, error, item, result, spec};
use crate::dispatch::mailbox::Delivery;
use crate::hooks::Callbacks;
use crate::limiter::testing::limit;
use crate::reply::Reply;

fn hooked(response_type: ResponseType) -> sluice_protocol::FunctionSpec {
    let mut hooked = spec();
    hooked.response_type = response_type;
    hooked.after_execute = names_check();
    hooked
}

#[tokio::test(start_paused = true)]
async fn it_may_change_a_result_and_what_goes_wrong_keeps_it() {
    let rows: Vec<(&str, Option<Delivery>, &str)> = vec![
        (
            "replaced",
            Some(Delivery::Frame(result(r#"{"result": {"n": 2.50}}"#))),
            r#"{"n": 2.50}"#,
        ),
        (
            "replaced by null",
            Some(Delivery::Frame(result(r#"{"result": null}"#))),
            "null",
        ),
        (
            "allowed",
            Some(Delivery::Frame(result(r#"{"allow": true}"#))),
            "1",
        ),
        ("nothing to say", Some(Delivery::Frame(result("null"))), "1"),
        ("odd", Some(Delivery::Frame(result("{}"))), "1"),
        (
            "odd, and more",
            Some(Delivery::Frame(result(
                r#"{"result": 2, "success": false}"#,
            ))),
            "1",
        ),
        (
            "an error",
            Some(Delivery::Frame(error(refusal(), "a"))),
            "1",
        ),
        ("no workers", Some(Delivery::NoResponders), "1"),
        ("silence", None, "1"),
    ];
    for (name, delivery, expected) in rows {
        let mut rig = rig(hooked(ResponseType::Sync));
        let running = rig.start(call(r#"{"a":1}"#));
        let message = rig.sent().await;
        assert_eq!(message.subject, "sluice.call.s.=.f", "{name}");
        rig.reply(&message, result("1"));
        let asked = rig.sent().await;
        let question = body(&asked);
        assert_eq!(question["phase"], "after");
        assert_eq!(question["request"]["args"]["a"], 1);
        assert_eq!(question["response"]["success"], true);
        assert_eq!(question["response"]["result"], 1);
        if let Some(delivery) = delivery {
            rig.deliver(&asked, delivery);
        }
        assert_eq!(
            result_of(running.await.unwrap()),
            Payload::json(expected),
            "{name}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_changed_result_keeps_the_encoding_of_its_call() {
    let mut rig = rig(hooked(ResponseType::Sync));
    let mut request = call("{}");
    let encoding = Encoding::MessagePack;
    request.args = Payload::json("{}").transcode(encoding).unwrap();
    let running = rig.start(request);
    let message = rig.sent().await;
    rig.reply(&message, result("1"));
    let asked = rig.sent().await;
    rig.reply(&asked, result(r#"{"result": 2}"#));
    let payload = result_of(running.await.unwrap());
    assert_eq!(
        payload.transcode(Encoding::Json).unwrap(),
        Payload::json("2")
    );
}

#[tokio::test(start_paused = true)]
async fn it_hears_of_errors_and_nobody_waits_for_it() {
    let mut rig = rig(hooked(ResponseType::Sync));
    let running = rig.start(call("{}"));
    let message = rig.sent().await;
    rig.reply(&message, error(refusal(), "a"));
    assert_eq!(running.await.unwrap().unwrap_err().code_text(), "quota");
    let told = rig.sent().await;
    assert_eq!(body(&told)["phase"], "after");
    assert_eq!(body(&told)["response"]["error_code"], "quota");
    assert_eq!(body(&told)["response"]["success"], false);
    // An answer to that would change nothing; nobody listens any more.
    rig.reply(&told, result(r#"{"result": 1}"#));
}

#[tokio::test(start_paused = true)]
async fn args_that_are_refused_are_told() {
    let mut function = hooked(ResponseType::Sync);
    function.arg_types = Some(Default::default());
    let mut rig = rig(function);
    let refused = rig.start(call(r#"{"x":1}"#)).await.unwrap().unwrap_err();
    assert_eq!(refused.code, ErrorCode::InvalidArguments);
    let told = rig.sent().await;
    assert_eq!(body(&told)["request"]["args"]["x"], 1);
    assert_eq!(body(&told)["response"]["error_code"], "invalid_arguments");
}

/// Each refusal would cost a call of a worker otherwise.
#[tokio::test(start_paused = true)]
async fn of_callers_who_are_not_let_in_it_hears_nothing() {
    let stranger = |rule: Permission| {
        let mut function = hooked(ResponseType::Sync);
        function.check_permission = rule;
        function
    };
    // By `admit`, and by `authorize`.
    for rule in [Permission::AnyAuthenticated, Permission::Arg("id".into())] {
        let mut rig = rig(stranger(rule));
        let refused = rig.start(call(r#"{"id":"u1"}"#)).await.unwrap();
        assert_eq!(refused.unwrap_err().code, ErrorCode::PermissionDenied);
        assert!(nothing_more(&mut rig).await);
    }
    // By a permission callback.
    let mut function = hooked(ResponseType::Sync);
    function.permission_callback = names_check();
    let mut rig = super::rig(function);
    let running = rig.start(call("{}"));
    let asked = rig.sent().await;
    rig.reply(&asked, result("false"));
    let refused = running.await.unwrap().unwrap_err();
    assert_eq!(refused.code, ErrorCode::PermissionDenied);
    assert!(nothing_more(&mut rig).await);
    // By the before hook, which knows.
    let mut function = hooked(ResponseType::Sync);
    function.before_execute = names_check();
    let mut rig = super::rig(function);
    let running = rig.start(call("{}"));
    let asked = rig.sent().await;
    rig.reply(&asked, error(refusal(), "a"));
    let refused = running.await.unwrap().unwrap_err();
    assert_eq!(refused.code, ErrorCode::HookRejected);
    assert!(nothing_more(&mut rig).await);
    // By a limit.
    let mut rig = Rig::with(
        vec![hooked(ResponseType::Sync), check()],
        &["a"],
        Callbacks::default(),
        |config| config.limit = vec![limit("none", "all", 0, 60_000)],
    );
    let refused = rig.start(call("{}")).await.unwrap().unwrap_err();
    assert_eq!(refused.code, ErrorCode::RateLimited);
    assert!(nothing_more(&mut rig).await);
}

#[tokio::test(start_paused = true)]
async fn of_async_calls_and_streams_it_hears_the_end() {
    let mut rig = rig(hooked(ResponseType::Async));
    let running = rig.start(call("{}"));
    let message = rig.sent().await;
    rig.reply(&message, accepted("a"));
    let Ok(Reply::Async(mut answers)) = running.await.unwrap() else {
        panic!("no ack");
    };
    assert!(rig.sent_now().is_none(), "not at the acknowledgement");
    rig.reply(&message, result("7"));
    assert_eq!(
        answers.next().await,
        Some(Answer::Result(Payload::json("7")))
    );
    let told = rig.sent().await;
    assert_eq!(body(&told)["response"]["result"], 7);

    let mut rig = super::rig(hooked(ResponseType::Stream));
    let running = rig.start(call("{}"));
    let message = rig.sent().await;
    rig.reply(&message, item(1));
    let Ok(Reply::Stream(mut answers)) = running.await.unwrap() else {
        panic!("no stream");
    };
    assert!(matches!(answers.next().await, Some(Answer::Item { .. })));
    assert!(rig.sent_call_now().is_none(), "not at an item");
    rig.reply(&message, Frame::End { count: 1 });
    assert_eq!(answers.next().await, Some(Answer::StreamEnd));
    let told = rig.sent_call().await;
    assert_eq!(body(&told)["response"]["success"], true);
    assert_eq!(body(&told)["response"]["has_more"], false);
}

#[tokio::test(start_paused = true)]
async fn of_a_client_that_goes_away_it_hears_that() {
    let mut rig = rig(hooked(ResponseType::Stream));
    let running = rig.start(call("{}"));
    let message = rig.sent().await;
    rig.reply(&message, item(1));
    let reply = running.await.unwrap();
    drop(reply);
    let told = rig.sent_call().await;
    assert_eq!(body(&told)["response"]["error_code"], "cancelled");
}
