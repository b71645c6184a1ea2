//! Who gets a call.

use divan::Bencher;
use futures_util::FutureExt as _;
use serde_json::{Value, json};
use sluice_gateway::dispatch::Clock;
use sluice_gateway::dispatch::select::Selection;
use sluice_gateway::sticky::memory::MemorySticky;
use sluice_protocol::Payload;
use std::time::Duration;

use crate::rig::{args, function, spec, user};

fn pick(bencher: Bencher<'_, '_>, mode: Value, instances: usize) {
    let function = function(spec(json!({"choose_node_mode": mode})), instances);
    let sticky = MemorySticky::new(Duration::from_secs(60), 1000);
    let (args, identity, clock) = (Payload::json(args()), user(), Clock::start());
    bencher.bench_local(|| {
        let selection = Selection {
            function: &function,
            variant: &function.variants[0],
            request_id: "r1",
            args: &args,
            identity: &identity,
            tried: &[],
            clock,
            custom: None,
        };
        // In memory nothing is waited for.
        selection.pick(&sticky).now_or_never().unwrap().ok()
    });
}

#[divan::bench(args = [1, 10, 200])]
fn random(bencher: Bencher<'_, '_>, instances: usize) {
    pick(bencher, json!("random"), instances);
}

#[divan::bench(args = [1, 10, 200])]
fn round_robin(bencher: Bencher<'_, '_>, instances: usize) {
    pick(bencher, json!("round_robin"), instances);
}

#[divan::bench(args = [1, 10, 200])]
fn least_loaded(bencher: Bencher<'_, '_>, instances: usize) {
    pick(bencher, json!("least_loaded"), instances);
}

#[divan::bench(args = [1, 10, 200])]
fn hash(bencher: Bencher<'_, '_>, instances: usize) {
    pick(bencher, json!("hash"), instances);
}

#[divan::bench(args = [1, 10, 200])]
fn sticky(bencher: Bencher<'_, '_>, instances: usize) {
    pick(bencher, json!({"sticky": "id"}), instances);
}
