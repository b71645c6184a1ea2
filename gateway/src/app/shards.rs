//! The threads that serve clients: one runtime, listener, connection and pipeline each.

use std::net::TcpListener;
use std::sync::Arc;
use std::thread::JoinHandle;

use sluice_protocol::Subjects;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::AppError;
use super::limits::Limits;
use crate::config::Config;
use crate::dev::page::Page;
use crate::diagnostics::trace::Tracer;
use crate::dispatch::broker::Broker;
use crate::dispatch::custom::Selectors;
use crate::dispatch::inbox::Inbox;
use crate::dispatch::wire::NatsBroker;
use crate::dispatch::{Clock, Dispatcher, Link};
use crate::edge;
use crate::edge::capacity::Capacity;
use crate::health::Health;
use crate::hooks::Callbacks;
use crate::identity::Identifier;
use crate::live::Live;
use crate::middleware::Chain;
use crate::pipeline::Pipeline;
use crate::registry::Registry;
use crate::shard::Shard;
use crate::stores::{StoreMaker, Stores};
use crate::telemetry::Telemetry;

/// What all shards share.
#[derive(Debug, Clone)]
pub(super) struct Shared {
    pub(super) subjects: Arc<Subjects>,
    pub(super) clock: Clock,
    pub(super) registry: Arc<Registry>,
    pub(super) stores: StoreMaker,
    pub(super) page: Option<Arc<Page>>,
    pub(super) health: Arc<Health>,
    pub(super) capacity: Arc<Capacity>,
    pub(super) limits: Limits,
    pub(super) identifier: Arc<Identifier>,
    pub(super) config: Arc<Config>,
    pub(super) callbacks: Arc<Callbacks>,
    pub(super) telemetry: Arc<Telemetry>,
    pub(super) live: Arc<Live>,
    pub(super) tracer: Arc<Tracer>,
    pub(super) middleware: Chain,
    pub(super) selectors: Selectors,
}

/// Between two ticks of a shard's pulse: shorter than most timers of calls.
const PULSE: std::time::Duration = std::time::Duration::from_millis(250);
/// For what goes on behind the callers' backs, after the last call.
const SETTLE_WITHIN: std::time::Duration = std::time::Duration::from_secs(5);
/// For the last messages, after the drain.
const FLUSH_WITHIN: std::time::Duration = std::time::Duration::from_secs(1);

/// All shards of a gateway.
pub(super) struct Shards {
    drain: CancellationToken,
    threads: Vec<(JoinHandle<()>, oneshot::Receiver<()>)>,
}

impl Shards {
    /// Starts one thread for each listener; returns when all can serve.
    pub(super) async fn start(
        listeners: Vec<TcpListener>,
        shared: &Shared,
    ) -> Result<Self, AppError> {
        let drain = CancellationToken::new();
        let mut threads = Vec::with_capacity(listeners.len());
        let mut starting = Vec::with_capacity(listeners.len());
        for (id, listener) in listeners.into_iter().enumerate() {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            let (started, has_started) = oneshot::channel();
            let (ended, has_ended) = oneshot::channel();
            let (shared, drain) = (shared.clone(), drain.clone());
            let thread = std::thread::Builder::new()
                .name(format!("shard-{id}"))
                .spawn(move || {
                    runtime.block_on(run(id, listener, shared, drain, started));
                    // Nobody waits any more if the gateway's start failed.
                    let _ = ended.send(());
                })?;
            threads.push((thread, has_ended));
            starting.push(has_started);
        }
        for started in starting {
            let lost = || AppError::System(std::io::Error::other("a shard's thread has died"));
            started.await.map_err(|_| lost())??;
        }
        Ok(Self { drain, threads })
    }

    /// Stops accepting and waits until every call is done or the time to drain is up.
    pub(super) async fn drain(self) {
        self.drain.cancel();
        for (thread, ended) in self.threads {
            // The channel closes also when the thread panicked.
            let _ = ended.await;
            if thread.join().is_err() {
                tracing::error!("a shard's thread panicked");
            }
        }
    }
}

async fn run(
    id: usize,
    listener: TcpListener,
    shared: Shared,
    drain: CancellationToken,
    started: oneshot::Sender<Result<(), AppError>>,
) {
    let stop = CancellationToken::new();
    tokio::spawn(stop.clone().run_until_cancelled_owned(pulse()));
    let broker = match connect(id, &shared, &stop) {
        Ok(broker) => broker,
        Err(error) => {
            let _ = started.send(Err(error));
            return;
        }
    };
    let stores = match shared.stores.open() {
        Ok(stores) => stores,
        Err(error) => {
            let _ = started.send(Err(error.into()));
            return;
        }
    };
    let shard = shard(id, &shared, stores, broker.clone());
    if started.send(Ok(())).is_err() {
        return;
    }
    let (pipeline, within) = (shard.clone(), shared.config.gateway.drain_timeout);
    edge::serve(listener, shard, drain).await;
    let settled = tokio::time::timeout(within.min(SETTLE_WITHIN), pipeline.pipeline.settled());
    if settled.await.is_err() {
        tracing::warn!(shard = id, "after hooks still ran when the gateway ended");
    }
    drop(pipeline);
    let flushed = tokio::time::timeout(FLUSH_WITHIN, broker.settle()).await;
    if !matches!(flushed, Ok(Ok(()))) {
        tracing::warn!(shard = id, "the last messages may not have gone out");
    }
    stop.cancel();
}

/// Keeps a timer that is due soon. Tokio's time driver wakes its own thread through an eventfd,
/// which takes two system calls, whenever a timer is set that is due before all others: a shard
/// that serves one call at a time would do so for each.
async fn pulse() {
    let mut pulse = tokio::time::interval(PULSE);
    pulse.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        pulse.tick().await;
    }
}

fn connect(
    id: usize,
    shared: &Shared,
    stop: &CancellationToken,
) -> Result<Arc<NatsBroker>, AppError> {
    let gateway = &shared.config.gateway.id;
    let name = format!("sluice-gateway {gateway} shard {id}");
    let inbox = Inbox::new(&shared.subjects.inbox(gateway, id));
    let broker = NatsBroker::start(&shared.config.nats, &name, inbox, stop.clone())?;
    let health = shared.health.register_shard();
    let mut state = broker.watch();
    tokio::spawn(stop.clone().run_until_cancelled_owned(async move {
        // Ready means that every shard has had a connection once.
        if state.wait_for(|s| s.connected).await.is_ok() {
            health.connected();
        }
    }));
    Ok(Arc::new(broker))
}

fn shard(id: usize, shared: &Shared, stores: Stores, broker: Arc<NatsBroker>) -> Arc<Shard> {
    let recorder = shared.telemetry.recorder(id);
    shared.telemetry.watch(broker.inbox().clone());
    let limiter = shared.limits.of_shard(stores.redis.clone());
    let link = Link {
        inbox: broker.inbox().clone(),
        broker,
        clock: shared.clock,
        subjects: shared.subjects.clone(),
    };
    let options = shared.config.dispatch.clone();
    let dispatcher = Dispatcher::new(
        link,
        shared.registry.clone(),
        stores.sticky,
        options,
        shared.config.breaker.clone(),
    )
    .recorded_by(recorder.clone())
    .listed_in(shared.live.clone())
    .selecting_by(shared.selectors.clone());
    Arc::new(Shard {
        id,
        pipeline: Pipeline::new(
            shared.registry.clone(),
            dispatcher,
            &shared.config,
            shared.health.clone(),
            shared.callbacks.clone(),
        )
        .with_once(stores.once)
        .of_shard(id)
        .limited_by(limiter, shared.limits.refused.clone())
        .traced_by(shared.tracer.clone())
        .behind(shared.middleware.clone())
        .recorded_by(recorder.clone()),
        recorder,
        results: stores.results,
        page: shared.page.clone(),
        health: shared.health.clone(),
        capacity: shared.capacity.clone(),
        identifier: shared.identifier.clone(),
        live: shared.live.clone(),
        config: shared.config.clone(),
    })
}
