//! A call through all stages, from the edge's hands back into them.

use divan::Bencher;
use serde_json::{Value, json};
use tokio::runtime::Builder;

use crate::rig::{args, call, pipeline, spec};

/// Runs calls with `args` of the usual function with `more`; all of them are `served`, or none.
fn run(bencher: Bencher<'_, '_>, more: Value, args: &str, served: bool) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let pipeline = runtime.block_on(async { pipeline(spec(more)) });
    bencher
        .with_inputs(|| call(args.to_owned()))
        .bench_local_values(|call| {
            let reply = runtime.block_on(pipeline.run(call));
            assert_eq!(reply.is_ok(), served, "{reply:?}");
            reply
        });
}

fn served(bencher: Bencher<'_, '_>, more: Value) {
    run(bencher, more, &args(), true);
}

#[divan::bench]
fn sync(bencher: Bencher<'_, '_>) {
    served(bencher, json!({}));
}

#[divan::bench]
fn without_arg_types(bencher: Bencher<'_, '_>) {
    served(bencher, json!({"arg_types": null}));
}

#[divan::bench]
fn round_robin(bencher: Bencher<'_, '_>) {
    served(bencher, json!({"choose_node_mode": "round_robin"}));
}

#[divan::bench]
fn refused_invalid(bencher: Bencher<'_, '_>) {
    run(bencher, json!({}), r#"{"id":"x","message":"m"}"#, false);
}

#[divan::bench]
fn refused_denied(bencher: Bencher<'_, '_>) {
    let nobody = json!({"check_permission": {"role": ["nobody"]}});
    run(bencher, nobody, &args(), false);
}
