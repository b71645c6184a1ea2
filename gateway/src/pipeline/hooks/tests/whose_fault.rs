//! Who is told that a refusal was theirs: a hook that is broken gets no client blocked.

use sluice_protocol::function::FunctionSpec;
use sluice_protocol::{CallError, ErrorCode, ErrorSource};

use super::{check, names_check, refusal};
use crate::dispatch::fake::{Rig, call, error, result, spec};
use crate::dispatch::mailbox::Delivery;
use crate::hooks::Callbacks;

/// A rig that blocks an address at its second refusal.
fn strict(function: FunctionSpec) -> Rig {
    let functions = vec![function, check()];
    Rig::with(functions, &["a"], Callbacks::default(), |config| {
        config.limits.refused_per_minute = 1;
    })
}

/// Refuses one call by `delivery`; its error, and whether its caller is blocked now.
async fn refused(function: FunctionSpec, delivery: Option<Delivery>) -> (CallError, bool) {
    let mut rig = strict(function);
    let from = || {
        let mut call = call("{}");
        call.caller.address = Some([192, 0, 2, 1].into());
        call
    };
    let running = rig.start(from());
    let asked = rig.sent().await;
    if let Some(delivery) = delivery {
        rig.deliver(&asked, delivery);
    }
    let error = running.await.unwrap().unwrap_err();
    while rig.sent_now().is_some() {}
    let running = rig.start(from());
    let blocked = tokio::select! {
        again = running => {
            assert_eq!(again.unwrap().unwrap_err().code, ErrorCode::RateLimited);
            true
        }
        _ = rig.sent_call() => false,
    };
    (error, blocked)
}

fn overloaded() -> Delivery {
    let full = CallError::new(ErrorCode::Overloaded, "full");
    Delivery::Frame(error(full, "a"))
}

/// What a worker says of an error or a panic that it did not choose.
fn broke() -> Delivery {
    let failed = CallError::new(ErrorCode::WorkerError, "the function failed");
    Delivery::Frame(error(failed, "a"))
}

fn answered(text: &'static str) -> Option<Delivery> {
    Some(Delivery::Frame(result(text)))
}

#[tokio::test(start_paused = true)]
async fn of_before_hooks() {
    let refusing = Some(Delivery::Frame(error(refusal(), "a")));
    let rows = [
        ("it refused", refusing, true),
        ("false", answered("false"), true),
        ("allow false", answered(r#"{"allow": false}"#), true),
        ("null", answered("null"), false),
        ("nonsense", answered(r#"{"ok": 1}"#), false),
        ("nobody is there", Some(Delivery::NoResponders), false),
        ("it is full", Some(overloaded()), false),
        ("it broke", Some(broke()), false),
        ("silence", None, false),
    ];
    for (name, delivery, of_client) in rows {
        let mut function = spec();
        function.before_execute = names_check();
        let (error, blocked) = refused(function, delivery).await;
        assert_eq!(error.code, ErrorCode::HookRejected, "{name}");
        assert_eq!(error.source == ErrorSource::Client, of_client, "{name}");
        assert_eq!(blocked, of_client, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn of_permission_callbacks() {
    let denial = CallError::new(ErrorCode::PermissionDenied, "not you");
    let rows = [
        ("false", answered("false"), true),
        ("it denied", Some(Delivery::Frame(error(denial, "a"))), true),
        ("null", answered("null"), false),
        (
            "it failed",
            Some(Delivery::Frame(error(refusal(), "a"))),
            false,
        ),
        ("nobody is there", Some(Delivery::NoResponders), false),
        ("it is full", Some(overloaded()), false),
        ("silence", None, false),
    ];
    for (name, delivery, of_client) in rows {
        let mut function = spec();
        function.permission_callback = names_check();
        let (error, blocked) = refused(function, delivery).await;
        assert_eq!(error.code, ErrorCode::PermissionDenied, "{name}");
        assert_eq!(error.source == ErrorSource::Client, of_client, "{name}");
        assert_eq!(blocked, of_client, "{name}");
    }
}
