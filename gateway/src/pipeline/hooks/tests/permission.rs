use sluice_protocol::permission::Permission;
use sluice_protocol::{CallError, ErrorCode, Executed};

use super::{body, names, names_check, refusal, rig};
use crate::dispatch::fake::{Rig, call, error, result, spec};
use crate::dispatch::mailbox::Delivery;
use crate::hooks::Callbacks;

fn guarded() -> sluice_protocol::FunctionSpec {
    let mut guarded = spec();
    guarded.permission_callback = names_check();
    guarded
}

#[tokio::test(start_paused = true)]
async fn true_allows_and_decides_instead_of_the_rule() {
    let mut function = guarded();
    function.check_permission = Permission::Role(vec!["admin".into()]);
    let mut rig = rig(function);
    let running = rig.start(call(r#"{"a":1}"#));
    let asked = rig.sent().await;
    assert_eq!(asked.subject, "sluice.call.s.=.check");
    let question = body(&asked);
    assert_eq!(question["phase"], "permission");
    assert_eq!(question["request"]["args"]["a"], 1);
    assert_eq!(question["extra"]["limit"], 3);
    rig.reply(&asked, result("true"));
    let message = rig.sent().await;
    rig.reply(&message, result("1"));
    assert!(running.await.unwrap().is_ok());
}

/// Every row denies, in the same words.
#[tokio::test(start_paused = true)]
async fn whatever_is_not_true_denies() {
    let deliveries: Vec<(&str, Option<Delivery>)> = vec![
        ("false", Some(Delivery::Frame(result("false")))),
        ("one", Some(Delivery::Frame(result("1")))),
        ("the word", Some(Delivery::Frame(result("\"true\"")))),
        ("null", Some(Delivery::Frame(result("null")))),
        (
            "a before hook's answer",
            Some(Delivery::Frame(result(r#"{"allow": true}"#))),
        ),
        ("a list", Some(Delivery::Frame(result("[true]")))),
        ("an error", Some(Delivery::Frame(error(refusal(), "a")))),
        (
            "a full worker",
            Some(Delivery::Frame(error(
                CallError::new(ErrorCode::Overloaded, "full"),
                "a",
            ))),
        ),
        ("no workers", Some(Delivery::NoResponders)),
        ("nonsense", Some(Delivery::Malformed("x".into()))),
        ("silence", None),
    ];
    for (name, delivery) in deliveries {
        let mut rig = rig(guarded());
        let running = rig.start(call("{}"));
        let asked = rig.sent().await;
        if let Some(delivery) = delivery {
            rig.deliver(&asked, delivery);
        }
        let error = running.await.unwrap().unwrap_err();
        assert_eq!(error.code, ErrorCode::PermissionDenied, "{name}");
        assert_eq!(error.message, "you may not call s.f", "{name}");
        assert_eq!(
            (error.executed, error.can_retry),
            (Executed::No, false),
            "{name}"
        );
        assert!(rig.sent_call_now().is_none(), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_callback_and_args_that_are_none_deny() {
    let mut function = spec();
    function.permission_callback = names("nowhere");
    let rig = Rig::with(vec![function], &["a"], Callbacks::default(), |_| {});
    let error = rig.start(call("{}")).await.unwrap().unwrap_err();
    assert_eq!(error.code, ErrorCode::PermissionDenied);

    let mut rig = super::rig(guarded());
    let error = rig
        .start(call(r#"{}, "user_id": "root""#))
        .await
        .unwrap()
        .unwrap_err();
    assert_eq!(error.code, ErrorCode::PermissionDenied);
    assert!(rig.sent_now().is_none());
}
