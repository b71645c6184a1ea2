//! Many Phoenix sockets: what an idle one holds, and calls over all of them now and then.

use std::time::Duration;

use sluice_e2e::nats::{Broker, BrokerKind};
use tokio::time::Instant;

use super::registry::wait_instances;
use super::{Args, Figures, gateway, workers};
use crate::Result;
use crate::cpu;
use crate::load::socket::{Held, Speech};
use crate::stage::SDK;

const PART: &str = "sockets";

pub(super) async fn run(args: &Args, figures: &mut Figures) -> Result {
    let broker = Broker::start(BrokerKind::NatsCurrent).await?;
    let _workers = workers(&broker, 1, 1)?;
    let gateway = gateway(&broker).start().await?;
    wait_instances(&gateway, 1).await?;
    let pid = gateway.process().pid();
    // The first ones pay for what all share.
    let speech = Speech::push(SDK, "f0");
    let warm = Held::open(gateway.address(), &speech, 100).await?;
    let before = cpu::resident_kib(pid)?;
    let began = Instant::now();
    let mut held = Held::open(gateway.address(), &speech, args.sockets).await?;
    let took = began.elapsed();
    let all = cpu::resident_kib(pid)?.saturating_sub(before);
    figures.add(PART, "sockets", args.sockets as f64, "");
    figures.add(PART, "time to join all", took.as_secs_f64(), "s");
    let each = all as f64 / args.sockets as f64;
    figures.add(PART, "gateway memory a joined, idle socket", each, "KiB");

    let (idle, window) = (cpu::used(pid)?, Duration::from_secs_f64(args.seconds));
    tokio::time::sleep(window).await;
    let idle = (cpu::used(pid)? - idle).as_secs_f64() / args.seconds;
    figures.add(
        PART,
        "gateway CPU while all are idle",
        idle * 100.0,
        "% of a core",
    );

    let used = cpu::used(pid)?;
    let tally = held.trickle(Duration::from_secs_f64(args.seconds)).await;
    if let Some(error) = &tally.first_error {
        return Err(format!("{} errors, the first: {error}", tally.errors).into());
    }
    let used = cpu::used(pid)? - used;
    let micros = |q| tally.times.value_at_quantile(q) as f64 / 1000.0;
    figures.add(
        PART,
        "one call a socket, spread: calls",
        tally.count as f64,
        "",
    );
    figures.add(PART, "one call a socket: p50", micros(0.5), "µs");
    figures.add(PART, "one call a socket: p99", micros(0.99), "µs");
    let cpu_us = used.as_secs_f64() * 1e6 / tally.count.max(1) as f64;
    figures.add(PART, "one call a socket: gateway CPU a call", cpu_us, "µs");
    drop((warm, held));
    Ok(())
}
