//! Callers who are known to be over their limit cost no question.

use sluice_protocol::ErrorCode;
use sluice_protocol::function::{Callback, FunctionSpec};

use super::{check, names_check, nothing_more};
use crate::dispatch::fake::{Rig, call, result, spec};
use crate::hooks::Callbacks;
use crate::limiter::testing::limit;
use crate::pipeline::Call;

/// The function whose only call in a minute is taken, by its key.
async fn used_up(function: FunctionSpec, key: &str, args: &'static str) -> Rig {
    let questions = [&function.before_execute, &function.permission_callback];
    let questions = questions.into_iter().filter_map(Option::as_ref).count();
    let mut rig = Rig::with(
        vec![function, check()],
        &["a"],
        Callbacks::default(),
        |config| config.limit = vec![limit("one", key, 1, 60_000)],
    );
    let running = rig.start(from(1, args));
    answer(&mut rig, questions).await;
    let message = rig.sent().await;
    rig.reply(&message, result("1"));
    assert!(running.await.unwrap().is_ok());
    // The first that is over it: that nobody knows yet.
    let running = rig.start(from(1, args));
    answer(&mut rig, questions).await;
    let refused = running.await.unwrap().unwrap_err();
    assert_eq!(refused.code, ErrorCode::RateLimited);
    rig
}

async fn answer(rig: &mut Rig, questions: usize) {
    for _ in 0..questions {
        let asked = rig.sent().await;
        assert_eq!(asked.subject, "sluice.call.s.=.check");
        let is_before = super::body(&asked)["phase"] == "before";
        let yes = if is_before {
            r#"{"allow": true}"#
        } else {
            "true"
        };
        rig.reply(&asked, result(yes));
    }
}

fn from(host: u8, args: &'static str) -> Call {
    let mut call = call(args);
    call.caller.address = Some([192, 0, 2, host].into());
    call
}

fn asking(before: Option<Callback>, permission: Option<Callback>) -> FunctionSpec {
    let mut function = spec();
    function.before_execute = before;
    function.permission_callback = permission;
    function
}

#[tokio::test(start_paused = true)]
async fn nobody_is_asked_about_them_until_their_time_is_over() {
    for (before, permission) in [
        (names_check(), None),
        (None, names_check()),
        (names_check(), names_check()),
    ] {
        let mut rig = used_up(asking(before, permission), "ip_address", "{}").await;
        let refused = rig.start(from(1, "{}")).await.unwrap().unwrap_err();
        assert_eq!(refused.code, ErrorCode::RateLimited);
        let details = refused.details.unwrap();
        assert_eq!(details["limit"], "one");
        assert!(details["retry_after_ms"].as_u64().unwrap() > 0);
        assert!(nothing_more(&mut rig).await, "nobody is asked");
        // Somebody else is.
        let running = rig.start(from(2, "{}"));
        assert_eq!(rig.sent().await.subject, "sluice.call.s.=.check");
        running.abort();
    }
    let mut rig = used_up(asking(names_check(), None), "ip_address", "{}").await;
    tokio::time::advance(std::time::Duration::from_secs(60)).await;
    let running = rig.start(from(1, "{}"));
    assert_eq!(rig.sent().await.subject, "sluice.call.s.=.check");
    running.abort();
}

/// The hook may change the arg that the limit counts by.
#[tokio::test(start_paused = true)]
async fn a_limit_by_an_arg_is_not_looked_at_before_the_hook() {
    let args = r#"{"tenant": "a"}"#;
    let mut rig = used_up(asking(names_check(), None), "arg:tenant", args).await;
    let running = rig.start(from(1, args));
    let asked = rig.sent().await;
    rig.reply(&asked, result(r#"{"args": {"tenant": "b"}}"#));
    let message = rig.sent().await;
    assert_eq!(message.subject, "sluice.call.s.=.f");
    rig.reply(&message, result("1"));
    assert!(running.await.unwrap().is_ok());
}
