//! Everybody at once: what it takes until all gateways know all workers, and what they cost then.

use std::time::Duration;

use serde_json::Value;
use sluice_e2e::nats::{Broker, BrokerKind};
use sluice_e2e::ports::Port;
use tokio::time::Instant;

use super::registry::{reqwest_text, wait_instances};
use super::{Args, Figures, gateway, workers};
use crate::Result;
use crate::cpu;

const PART: &str = "swarm";

/// What the broker has taken in, and sent out.
struct Traffic {
    messages: f64,
    bytes: f64,
}

async fn traffic(monitor: &str) -> Result<Traffic> {
    let text = reqwest_text(&format!("{monitor}/varz")).await?;
    let varz: Value = serde_json::from_str(&text)?;
    let of = |name: &str| varz[name].as_f64().unwrap_or(0.0);
    Ok(Traffic {
        messages: of("in_msgs") + of("out_msgs"),
        bytes: of("in_bytes") + of("out_bytes"),
    })
}

pub(super) async fn run(args: &Args, figures: &mut Figures) -> Result {
    let monitor = Port::lease()?;
    let config = format!("http: \"{}\"\n", monitor.address());
    let broker = Broker::start_with(BrokerKind::NatsCurrent, &config).await?;
    let monitor = format!("http://{}", monitor.address());
    let began = Instant::now();
    let _workers = workers(&broker, 1, args.workers)?;
    let mut gateways = Vec::new();
    for _ in 0..args.gateways {
        gateways.push(gateway(&broker).start().await?);
    }
    for gateway in &gateways {
        wait_instances(gateway, args.workers).await?;
    }
    let ready = began.elapsed();
    let until_ready = traffic(&monitor).await?;
    let who = format!("{} workers, {} gateways", args.workers, args.gateways);
    let name = |what: &str| format!("{who}: {what}");
    figures.add(PART, name("until each knows all"), ready.as_secs_f64(), "s");
    figures.add(PART, name("messages in and out"), until_ready.messages, "");
    figures.add(
        PART,
        name("bytes in and out"),
        until_ready.bytes / 1024.0,
        "KiB",
    );

    let pids: Vec<u32> = gateways.iter().map(|g| g.process().pid()).collect();
    let used = || {
        let each = pids.iter().map(|pid| cpu::used(*pid));
        each.sum::<std::io::Result<Duration>>()
    };
    let before = used()?;
    let rest = Duration::from_secs_f64(args.seconds.max(10.0));
    tokio::time::sleep(rest).await;
    let cpu = (used()? - before).as_secs_f64() / rest.as_secs_f64();
    let at_rest = traffic(&monitor).await?;
    let per_second = (at_rest.messages - until_ready.messages) / rest.as_secs_f64();
    figures.add(PART, name("messages at rest"), per_second, "/s");
    let share = cpu * 100.0 / args.gateways as f64;
    figures.add(PART, name("CPU of a gateway at rest"), share, "% of a core");
    let mut resident = 0;
    for pid in &pids {
        resident += cpu::resident_kib(*pid)?;
    }
    let mean = resident as f64 / 1024.0 / pids.len() as f64;
    figures.add(PART, name("memory of a gateway"), mean, "MiB");
    Ok(())
}
