//! A call through all stages, from the edge's hands back into them.

use divan::Bencher;
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

use crate::rig::{args, call, pipeline, spec};

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn served(bencher: Bencher<'_, '_>, more: Value) {
    let runtime = runtime();
    let pipeline = runtime.block_on(async { pipeline(spec(more)) });
    bencher
        .with_inputs(|| call(args()))
        .bench_local_values(|call| {
            let reply = runtime.block_on(pipeline.run(call));
            assert!(reply.is_ok(), "{reply:?}");
            reply
        });
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

fn refused(bencher: Bencher<'_, '_>, more: Value, args: &str) {
    let runtime = runtime();
    let pipeline = runtime.block_on(async { pipeline(spec(more)) });
    bencher
        .with_inputs(|| call(args.to_owned()))
        .bench_local_values(|call| {
            let reply = runtime.block_on(pipeline.run(call));
            assert!(reply.is_err(), "{reply:?}");
            reply
        });
}

#[divan::bench]
fn refused_invalid(bencher: Bencher<'_, '_>) {
    refused(bencher, json!({}), r#"{"id":"x","message":"m"}"#);
}

#[divan::bench]
fn refused_denied(bencher: Bencher<'_, '_>) {
    let nobody = json!({"check_permission": {"role": ["nobody"]}});
    refused(bencher, nobody, &args());
}
