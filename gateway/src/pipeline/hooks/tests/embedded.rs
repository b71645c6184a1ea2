use std::time::Duration;

use serde_json::json;
use sluice_protocol::{CallError, ErrorCode, Payload};

use super::{check, names_check, result_of};
use crate::dispatch::fake::{Rig, call, result, spec};
use crate::hooks::{Callbacks, Phase, Question};

/// `s.check` is this; the worker's function of that name is not asked.
fn rig_with(
    callback: impl crate::hooks::Callback,
    shape: fn(&mut sluice_protocol::FunctionSpec),
) -> Rig {
    let mut function = spec();
    shape(&mut function);
    let callbacks = Callbacks::default().with("s", "check", callback).unwrap();
    Rig::with(vec![function, check()], &["a"], callbacks, |_| {})
}

#[tokio::test(start_paused = true)]
async fn one_function_serves_all_three_phases_in_place_of_a_worker() {
    let ask = |question: Question| async move {
        assert_eq!(question.extra, Some(json!({"limit": 3})));
        Ok(match question.phase {
            Phase::Permission => json!(question.args.bytes == r#"{"n":2}"#),
            Phase::Before => json!({"args": {"n": 2}}),
            Phase::After => json!({"result": question.response.is_some()}),
        })
    };
    let mut rig = rig_with(ask, |f| {
        f.before_execute = names_check();
        f.permission_callback = names_check();
        f.after_execute = names_check();
    });
    let running = rig.start(call(r#"{"n":1}"#));
    let message = rig.sent().await;
    assert_eq!(
        (&*message.subject, &*message.body),
        ("sluice.call.s.=.f", &b"{\"n\":2}"[..])
    );
    rig.reply(&message, result("1"));
    assert_eq!(result_of(running.await.unwrap()), Payload::json("true"));
}

#[tokio::test(start_paused = true)]
async fn one_that_panics_errs_or_hangs_denies() {
    let guard: fn(&mut sluice_protocol::FunctionSpec) = |f| f.permission_callback = names_check();
    let panics = rig_with(|_| async { panic!("on purpose") }, guard);
    let errs = rig_with(
        |_| async { Err(CallError::new(ErrorCode::Internal, "no")) },
        guard,
    );
    let hangs = rig_with(
        |_| async {
            tokio::time::sleep(Duration::from_secs(3600)).await;
            Ok(json!(true))
        },
        guard,
    );
    for mut rig in [panics, errs, hangs] {
        let error = rig.start(call("{}")).await.unwrap().unwrap_err();
        assert_eq!(error.code, ErrorCode::PermissionDenied);
        assert!(rig.sent_now().is_none());
    }
}
