//! A whole gateway: registry, shards, admin port, shutdown in order.

use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use sluice_protocol::Subjects;
use tokio_util::sync::CancellationToken;

use super::descriptors;
use super::embedded::Extras;
use super::limits;
use super::shards::{Shards, Shared};
use super::steering;
use crate::admin;
use crate::config::Config;
use crate::dev::page::Page;
use crate::diagnostics::{self, Diagnostics, peers::Peers, trace::Tracer};
use crate::dispatch::Clock;
use crate::dispatch::guards::{Breakers, Bulkheads};
use crate::dispatch::nats::{self, ConnectError};
use crate::edge::capacity::Capacity;
use crate::edge::listener::bind_shards;
use crate::health::Health;
use crate::identity::Identifier;
use crate::live::Live;
use crate::overrides::Steering;
use crate::redis_link::{OpenError, RedisLink};
use crate::registry::fixed::InvalidFixed;
use crate::registry::{Registry, Settings};
use crate::stores::StoreMaker;
use crate::supervise::supervise;
use crate::telemetry::levels::Levels;
use crate::telemetry::{Sources, Telemetry, Tracing};

/// The gateway cannot start, or ended badly.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// A port cannot be bound.
    #[error("cannot listen on {address} ({what}): {reason}")]
    Listen {
        /// Which port.
        what: &'static str,
        /// Where.
        address: SocketAddr,
        /// What the system said.
        reason: std::io::Error,
    },
    /// The broker's options can never work.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The options of Redis can never work.
    #[error(transparent)]
    Redis(#[from] OpenError),
    /// The subject prefix is none.
    #[error("nats.prefix: {0}")]
    Prefix(#[from] sluice_protocol::subject::InvalidPrefix),
    /// A thread or signal handler could not be made.
    #[error("cannot start: {0}")]
    System(#[from] std::io::Error),
    /// The functions of the config file are not usable.
    #[error(transparent)]
    Fixed(#[from] InvalidFixed),
    /// The embedding program's own functions cannot be served.
    #[error("the gateway's own functions: {0}")]
    Functions(String),
    /// Told twice to end.
    #[error("a second signal ended the drain: calls in flight were cut")]
    Interrupted,
    /// Spans cannot be exported as the options have it.
    #[error("telemetry: {0}")]
    Telemetry(#[from] sluice_telemetry::InvalidOptions),
    /// A part of `dev` failed.
    #[error("{0}")]
    Dev(String),
}

/// For the last spans, after the drain.
const LAST_EXPORT: std::time::Duration = std::time::Duration::from_secs(2);

pub(super) async fn run(
    config: Config,
    levels: Option<Arc<Levels>>,
    announce: impl Fn(&str),
) -> Result<(), AppError> {
    // Before anything is announced: whoever reads the lines may send the signal at once.
    let stop = stop_signal()?;
    let scheme = if config.http.tls_cert_file.is_some() {
        "https"
    } else {
        "http"
    };
    descriptors::raise(config.http.max_connections);
    let gateway = Running::start(config, levels).await?;
    announce(&format!("http listening on {scheme}://{}", gateway.http));
    announce(&format!("admin listening on http://{}", gateway.admin));
    stop.await;
    or_second_signal(gateway.drain()).await
}

/// Drains, unless a second signal says that it shall end at once.
pub(super) async fn or_second_signal(drain: impl Future<Output = ()>) -> Result<(), AppError> {
    let again = stop_signal()?;
    tokio::select! {
        () = drain => Ok(()),
        () = again => Err(AppError::Interrupted),
    }
}

/// A future that resolves at SIGTERM or SIGINT.
pub(super) fn stop_signal() -> Result<impl Future<Output = ()>, AppError> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    Ok(async move {
        let name = tokio::select! {
            _ = term.recv() => "SIGTERM",
            _ = int.recv() => "SIGINT",
        };
        tracing::info!(signal = name, "draining");
    })
}

/// A gateway that runs.
pub(super) struct Running {
    pub(super) http: SocketAddr,
    pub(super) admin: SocketAddr,
    pub(super) registry: Arc<Registry>,
    pub(super) steering: Arc<Steering>,
    config: Arc<Config>,
    health: Arc<Health>,
    shards: Shards,
    // Registry and admin port: they go on until the last call is done.
    background: CancellationToken,
    tracing: Option<Arc<Tracing>>,
}

impl Running {
    pub(super) async fn start(
        config: Config,
        levels: Option<Arc<Levels>>,
    ) -> Result<Self, AppError> {
        Self::start_with(config, false, Extras::with(levels)).await
    }

    /// With the page of `sluice dev`.
    pub(super) async fn start_dev(
        config: Config,
        levels: Option<Arc<Levels>>,
    ) -> Result<Self, AppError> {
        Self::start_with(config, true, Extras::with(levels)).await
    }

    /// With what a program that embeds the gateway brings along.
    pub(super) async fn start_with(
        mut config: Config,
        page: bool,
        extras: Extras,
    ) -> Result<Self, AppError> {
        let callbacks = Arc::new(extras.callbacks);
        if config.gateway.id.is_empty() {
            config.gateway.id = crate::random::text::<12>();
        }
        let subjects = Arc::new(Subjects::new(&config.nats.prefix)?);
        let config = Arc::new(config);
        let health = Arc::new(Health::waiting(config.gateway.start_wait));
        let background = CancellationToken::new();
        let (registry, client) = start_registry(&config, &subjects, &health, &background).await?;
        let identifier = Arc::new(Identifier::new(&config));
        identifier.start(&background);
        let peers = Peers::new(client.clone(), subjects.clone(), &config.gateway.id);
        follow_revocations(&identifier, &config, &client, &subjects, &background).await?;
        let steering = steering::start(&config, &registry, &client, &subjects, &background).await?;
        let limits = {
            let refused = identifier.refused();
            limits::start(&config, &registry, client, &subjects, refused, &background)?
        };
        let listen = |what, address| {
            move |reason| AppError::Listen {
                what,
                address,
                reason,
            }
        };
        let count = match config.gateway.shards {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            n => n,
        };
        let listeners = bind_shards(config.http.listen, count)
            .map_err(listen("http.listen", config.http.listen))?;
        let http = listeners
            .first()
            .map_or(Ok(config.http.listen), |l| l.local_addr())?;
        let admin_listener = tokio::net::TcpListener::bind(config.admin.listen)
            .await
            .map_err(listen("admin.listen", config.admin.listen))?;
        let admin = admin_listener.local_addr()?;
        let stores = StoreMaker::start(&config, &health, &background)?;
        let (capacity, clock) = (Arc::new(Capacity::new(&config)), Clock::start());
        let breakers = Breakers::new(registry.clone(), clock, config.breaker.clone());
        let live = Arc::new(Live::default());
        let tracing = Tracing::start(&config)?;
        let sources = Sources {
            registry: registry.clone(),
            health: health.clone(),
            capacity: capacity.clone(),
            limiter: limits.limiter.clone(),
            identifier: identifier.clone(),
            breakers: breakers.clone(),
            tracing: tracing.clone(),
            access_log: config.telemetry.access_log,
        };
        let telemetry = Telemetry::new(sources);
        let by_instance = config.telemetry.instance_series;
        let telemetry = Arc::new(telemetry.with_instance_series(by_instance));
        tokio::spawn(telemetry.clone().sample(background.clone()));
        let tracer = Arc::new(Tracer::of(&config.gateway.id));
        let parts = diagnostics::Parts {
            registry: registry.clone(),
            health: health.clone(),
            config: config.clone(),
            limiter: limits.limiter.clone(),
            callbacks: callbacks.clone(),
            clock,
            http,
            admin,
            telemetry: telemetry.clone(),
            tracer: tracer.clone(),
            levels: extras.levels,
        };
        let diagnostics = Arc::new(Diagnostics::new(parts, peers));
        let answering = diagnostics::peers::answer_others(diagnostics.clone(), background.clone());
        tokio::spawn(answering);
        let router = admin::router(admin::Parts {
            usage: steering::count_callers(&config, &registry, &background)?,
            bulkheads: Bulkheads::new(registry.clone()),
            sticky: stores.open()?.sticky,
            live: live.clone(),
            registry: registry.clone(),
            health: health.clone(),
            config: config.clone(),
            limiter: limits.limiter.clone(),
            identifier: identifier.clone(),
            telemetry: telemetry.clone(),
            steering: steering.clone(),
            diagnostics,
        });
        tokio::spawn(admin::serve(admin_listener, router, background.clone()));
        let shared = Shared {
            subjects,
            clock,
            live,
            tracer,
            registry: registry.clone(),
            stores,
            page: page.then(|| Arc::new(Page::new(registry.clone()))),
            health: health.clone(),
            capacity,
            limits,
            identifier,
            config: config.clone(),
            telemetry,
            callbacks,
            middleware: extras.middleware,
            selectors: extras.selectors,
        };
        let shards = Shards::start(listeners, &shared).await?;
        Ok(Self {
            http,
            admin,
            registry,
            steering,
            config,
            health,
            shards,
            background,
            tracing,
        })
    }

    /// Not ready, then no new connections, then the calls in flight, then the rest.
    pub(super) async fn drain(self) {
        self.health.set_draining();
        // Load balancers ask for readiness now and then; until they have, clients still come.
        tokio::time::sleep(self.config.gateway.drain_delay).await;
        self.shards.drain().await;
        self.background.cancel();
        if let Some(tracing) = &self.tracing {
            tracing.shutdown(LAST_EXPORT).await;
        }
        tracing::info!("drained");
    }
}

/// Returns when the revocations of before are known, or Redis has had its time.
async fn follow_revocations(
    identifier: &Arc<Identifier>,
    config: &Config,
    client: &async_nats::Client,
    subjects: &Arc<Subjects>,
    stop: &CancellationToken,
) -> Result<(), OpenError> {
    let enabled = config.redis.is_enabled();
    let redis = enabled
        .then(|| RedisLink::open(&config.redis))
        .transpose()?;
    let (identifier, client) = (identifier.clone(), client.clone());
    let (subjects, stop) = (subjects.clone(), stop.clone());
    let known = CancellationToken::new();
    let told = known.clone();
    tokio::spawn(supervise("revocations", stop.clone(), move || {
        let (identifier, client, redis) = (identifier.clone(), client.clone(), redis.clone());
        let (subjects, stop, told) = (subjects.clone(), stop.clone(), told.clone());
        async move {
            let follow = identifier.follow_revocations(client, redis, &subjects, stop, &told);
            follow.await;
        }
    }));
    if enabled {
        let most = config.redis.timeout + Duration::from_secs(1);
        if tokio::time::timeout(most, known.cancelled()).await.is_err() {
            tracing::warn!("revocations of before this start are not known until Redis answers");
        }
    }
    Ok(())
}

async fn start_registry(
    config: &Config,
    subjects: &Subjects,
    health: &Arc<Health>,
    stop: &CancellationToken,
) -> Result<(Arc<Registry>, async_nats::Client), AppError> {
    let (registry, follower) = Registry::new(Settings {
        gateway: config.gateway.id.clone(),
        subjects: subjects.clone(),
        options: config.registry.clone(),
        functions: config.functions.clone(),
        taken: crate::edge::taken_paths(config),
    })?;
    let name = format!("sluice-gateway {} registry", config.gateway.id);
    let connection = nats::connect(&config.nats, &name).await?;
    let client = connection.client.clone();
    let (health, stop) = (health.clone(), stop.clone());
    tokio::spawn(async move {
        let run = follower.run(connection.client, connection.state, health.clone(), stop);
        // Its table is lost with it, so that it cannot begin anew: another process can.
        match AssertUnwindSafe(run).catch_unwind().await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::error!(%error, "the registry has ended: new workers are not seen any more");
                health.set_failed();
            }
            Err(_) => {
                tracing::error!("the registry panicked: new workers are not seen any more");
                health.set_failed();
            }
        }
    });
    Ok((registry, client))
}
