//! Limits in memory: what `limits` cost where no Redis is asked.

use std::cell::Cell;

use divan::Bencher;
use futures_util::FutureExt as _;
use serde_json::json;
use sluice_gateway::config::LimitOptions;
use sluice_gateway::limiter::{Asking, CountedArgs, Limit, Limiter};
use sluice_gateway::pipeline::Caller;
use sluice_protocol::Identity;

use crate::rig::user;

fn limiter(limits: usize) -> Limiter {
    let limit = |n: usize| {
        let fields = json!({
            "name": format!("l{n}"), "key": "user_id", "max_requests": 1_000_000, "window_ms": 1000,
        });
        Limit::from_json(&fields).unwrap()
    };
    let limits: Vec<Limit> = (0..limits).map(limit).collect();
    Limiter::in_memory(&limits, &LimitOptions::default())
}

fn admit(limiter: &Limiter, identity: &Identity) {
    let asking = Asking {
        service: "s",
        function: "f",
        identity,
        caller: &Caller::default(),
        args: CountedArgs::Unknown,
    };
    // In memory nothing is waited for.
    limiter.admit(&asking).now_or_never().unwrap().unwrap();
}

#[divan::bench(args = [1, 3])]
fn one_caller(bencher: Bencher<'_, '_>, limits: usize) {
    let (limiter, user) = (limiter(limits), user());
    bencher.bench_local(|| admit(&limiter, &user));
}

#[divan::bench(args = [1, 3])]
fn ten_thousand_callers(bencher: Bencher<'_, '_>, limits: usize) {
    let limiter = limiter(limits);
    let next = Cell::new(0);
    bencher
        .with_inputs(|| {
            next.set((next.get() + 1) % 10_000);
            Identity {
                user_id: Some(format!("u{}", next.get())),
                ..user()
            }
        })
        .bench_local_refs(|user| admit(&limiter, user));
}
