//! What a call costs when much is registered: a lookup must not depend on how much there is.

use std::time::Duration;

use serde_json::json;
use sluice_e2e::gateway::Gateway;
use sluice_e2e::nats::{Broker, BrokerKind};
use sluice_e2e::process::Process;
use sluice_e2e::{Error, LIMIT, eventually_within};

use super::{Args, Figures, gateway, workers};
use crate::Result;
use crate::compare::median;
use crate::cpu;
use crate::load::http::{Request, closed_loop};
use crate::load::{Tally, Window};
use crate::stage::SDK;

const PART: &str = "registry";
/// Rounds; the two are interleaved.
const ROUNDS: usize = 7;
const CONNECTIONS: usize = 64;

struct Side {
    gateway: Gateway,
    request: Request,
    cpu_us: Vec<f64>,
    _workers: Process,
    _broker: Broker,
}

impl Side {
    async fn start(functions: usize, instances: usize) -> Result<Self> {
        let broker = Broker::start(BrokerKind::NatsCurrent).await?;
        let gateway = gateway(&broker).start().await?;
        let workers = workers(&broker, functions, instances)?;
        wait_instances(&gateway, instances).await?;
        let last = format!("f{}", functions - 1);
        let body = br#"{"id":42,"message":"probe"}"#;
        Ok(Self {
            gateway,
            request: Request::post(&format!("/api/{SDK}/{last}"), "", body),
            cpu_us: Vec::new(),
            _workers: workers,
            _broker: broker,
        })
    }

    async fn measure(&mut self, length: Duration) -> Result {
        let pid = self.gateway.process().pid();
        let before = cpu::used(pid)?;
        let window = Window::after(Duration::ZERO, length);
        let address = self.gateway.address();
        let tally = closed_loop(address, CONNECTIONS, &self.request, window).await;
        let used = cpu::used(pid)? - before;
        self.cpu_us.push(per_call(&tally, used)?);
        Ok(())
    }
}

/// CPU microseconds a call.
pub(super) fn per_call(tally: &Tally, used: Duration) -> Result<f64> {
    if let Some(error) = &tally.first_error {
        return Err(format!("{} errors, the first: {error}", tally.errors).into());
    }
    Ok(used.as_secs_f64() * 1e6 / (tally.count as f64).max(1.0))
}

/// Waits until the gateway knows so many instances and one answers.
pub(super) async fn wait_instances(gateway: &Gateway, wanted: usize) -> Result {
    gateway.wait_ready().await?;
    let url = format!("{}/metrics", gateway.admin_url());
    eventually_within(LIMIT * 4, "all instances are known", || async {
        let text = async { reqwest_text(&url).await };
        let text = text.await.map_err(|e| Error::new(e.to_string()))?;
        let known = text
            .lines()
            .filter(|line| line.starts_with("sluice_instance_in_flight"))
            .count();
        if known >= wanted {
            Ok(())
        } else {
            Err(Error::new(format!("{known} of {wanted}")))
        }
    })
    .await?;
    let client = gateway.client()?;
    eventually_within(LIMIT, "a call is served", || async {
        let args = json!({"id": 1, "message": "probe"});
        match client.call(SDK, "f0", args).await? {
            (200, _) => Ok(()),
            (status, envelope) => Err(Error::new(format!("{status} {envelope:?}"))),
        }
    })
    .await?;
    Ok(())
}

pub(super) async fn reqwest_text(url: &str) -> Result<String> {
    let base = url.rsplit_once('/').map_or(url, |(base, _)| base);
    let path = &url[base.len()..];
    let client = sluice_e2e::http::Client::new(base)?;
    Ok(client.get(path).send().await?.text().await?)
}

pub(super) async fn run(args: &Args, figures: &mut Figures) -> Result {
    let mut sides = [Side::start(1, 1).await?, Side::start(1000, 200).await?];
    let length = Duration::from_secs_f64(args.seconds);
    for _ in 0..ROUNDS {
        for side in &mut sides {
            side.measure(length).await?;
        }
    }
    let [few, many] = sides.map(|side| side.cpu_us);
    // Each to the run just before: the machine drifts.
    let ratios = few.iter().zip(&many).map(|(few, many)| many / few);
    let ratio = median(ratios.collect());
    let (few, many) = (median(few), median(many));
    figures.add(
        PART,
        "gateway CPU a call, 1 function, 1 instance",
        few,
        "µs",
    );
    figures.add(
        PART,
        "gateway CPU a call, 1,000 functions, 200 instances",
        many,
        "µs",
    );
    figures.add(PART, "ratio, each to the run just before", ratio, "");
    Ok(())
}
