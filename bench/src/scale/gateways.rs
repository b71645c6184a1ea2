//! The same load on more gateways: what a call costs must not depend on how many there are.

use std::time::Duration;

use sluice_e2e::gateway::Gateway;
use sluice_e2e::nats::{Broker, BrokerKind};
use tokio::task::JoinSet;

use super::registry::{per_call, wait_instances};
use super::{Args, Figures, gateway, workers};
use crate::Result;
use crate::cpu;
use crate::load::http::{Request, closed_loop};
use crate::load::{Window, gather};
use crate::stage::SDK;

const PART: &str = "gateways";
const CONNECTIONS: usize = 64;

pub(super) async fn run(args: &Args, figures: &mut Figures) -> Result {
    let broker = Broker::start(BrokerKind::NatsCurrent).await?;
    let _workers = workers(&broker, 1, 1)?;
    for count in [1, 2, 4] {
        let mut gateways = Vec::new();
        for _ in 0..count {
            let gateway = gateway(&broker).start().await?;
            wait_instances(&gateway, 1).await?;
            gateways.push(gateway);
        }
        let (rate, cpu) = measure(&gateways, args.seconds).await?;
        let name = |what: &str| format!("{count} gateways: {what}");
        figures.add(PART, name("calls per second"), rate, "/s");
        figures.add(PART, name("CPU of all gateways a call"), cpu, "µs");
    }
    Ok(())
}

async fn measure(gateways: &[Gateway], seconds: f64) -> Result<(f64, f64)> {
    let used = || {
        let each = gateways.iter().map(|g| cpu::used(g.process().pid()));
        each.sum::<std::io::Result<Duration>>()
    };
    let before = used()?;
    let window = Window::after(Duration::ZERO, Duration::from_secs_f64(seconds));
    let mut loads = JoinSet::new();
    let each = CONNECTIONS / gateways.len();
    for gateway in gateways {
        let address = gateway.address();
        let body = br#"{"id":42,"message":"probe"}"#;
        let request = Request::post(&format!("/api/{SDK}/f0"), "", body);
        loads.spawn(async move { closed_loop(address, each, &request, window).await });
    }
    let tally = gather(loads).await;
    let cpu = per_call(&tally, used()? - before)?;
    Ok((tally.count as f64 / seconds, cpu))
}
