//! A worker at run time: its parts brought together, and the handle to it.

use std::sync::Arc;

use sluice_protocol::InstanceId;
use sluice_protocol::registry::Reason;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::builder::{Checked, WorkerBuilder};
use crate::call::Outbound;
use crate::runtime::outbound::NatsOutbound;
use crate::runtime::service::Service;
use crate::runtime::shared::Shared;
use crate::runtime::table::Table;
use crate::runtime::{connection, control, discovery, drain, intake, register, services, ticker};

/// Why a worker does not start, or ends before it was told to.
#[derive(Debug, Clone, thiserror::Error)]
pub enum WorkerError {
    /// It is put together wrongly; every mistake is listed.
    #[error("the worker cannot start:{}", listed(.0))]
    Mistakes(Vec<Reason>),
    /// The address or the credentials of the broker are of no use.
    #[error("the worker cannot connect: {0}")]
    Nats(String),
    /// A gateway refused its config, and [`WorkerBuilder::exit_on_refused`] was set.
    #[error("a gateway refused the config:{}", listed(.0))]
    Refused(Vec<Reason>),
    /// The connection was closed for good.
    #[error("the connection to the broker is closed: {0}")]
    Closed(String),
}

fn listed(reasons: &[Reason]) -> String {
    reasons.iter().map(|r| format!("\n  - {r}")).collect()
}

impl From<async_nats::SubscribeError> for WorkerError {
    fn from(error: async_nats::SubscribeError) -> Self {
        Self::Closed(error.to_string())
    }
}

type Outcome = Option<Result<(), WorkerError>>;

/// A worker that runs in the background: the handle to it.
///
/// Dropping the handle tells the worker to stop, and does not wait for it.
///
/// ```no_run
/// # async fn run() -> Result<(), sluice_worker::WorkerError> {
/// use sluice_worker::Worker;
///
/// let worker = Worker::builder("demo").function("ping", async || "pong").start().await?;
/// worker.ready().await; // a gateway has accepted it
/// // …
/// worker.shutdown().await
/// # }
/// ```
#[derive(Debug)]
pub struct Worker {
    instance: InstanceId,
    stop: CancellationToken,
    joined: Vec<watch::Receiver<bool>>,
    outcome: watch::Receiver<Outcome>,
    table: Arc<Table>,
}

impl Worker {
    /// Puts a worker together, for `service` and maybe others.
    pub fn builder(service: &str) -> WorkerBuilder {
        WorkerBuilder::new(service)
    }

    /// The instance id.
    #[must_use]
    pub fn instance(&self) -> &InstanceId {
        &self.instance
    }

    /// Calls that are held now: at work or queued.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.table.len()
    }

    /// Waits until all services take calls: a gateway has accepted each, and the queue groups are
    /// joined. Returns also when the worker has ended.
    pub async fn ready(&self) {
        for service in &self.joined {
            let (mut service, mut outcome) = (service.clone(), self.outcome.clone());
            tokio::select! {
                _ = service.wait_for(|joined| *joined) => {}
                _ = outcome.wait_for(Option::is_some) => return,
            }
        }
    }

    /// Tells the worker to stop, without waiting for it.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Stops the worker in order: it takes nothing new, finishes what it holds (up to
    /// [`WorkerBuilder::drain_timeout`]), and closes the connection.
    ///
    /// # Errors
    /// As [`Self::wait`].
    pub async fn shutdown(&self) -> Result<(), WorkerError> {
        self.stop.cancel();
        self.wait().await
    }

    /// Waits until the worker has ended.
    ///
    /// # Errors
    /// When it did not end because it was told to.
    pub async fn wait(&self) -> Result<(), WorkerError> {
        let mut outcome = self.outcome.clone();
        let ended = outcome.wait_for(Option::is_some).await;
        match ended {
            Ok(outcome) => outcome.clone().unwrap_or(Ok(())),
            Err(_) => Err(WorkerError::Closed("the worker's task is gone".to_owned())),
        }
    }

    pub(crate) async fn start(checked: Checked) -> Result<Self, WorkerError> {
        let name = checked.instance.as_str();
        let (client, link) = connection::connect(&checked.nats, name).await?;
        let closed = CancellationToken::new();
        let (subjects, instance) = (checked.subjects, checked.instance);
        let outbound: Arc<dyn Outbound> = Arc::new(Arc::new(NatsOutbound::new(
            client.clone(),
            subjects.clone(),
            closed.clone(),
        )));
        let (membership, left) = mpsc::channel(1);
        let places = checked.concurrency.saturating_add(checked.queue);
        let services: Arc<[Arc<Service>]> = checked
            .services
            .into_iter()
            .map(|s| {
                Arc::new(Service::new(
                    s,
                    &subjects,
                    &instance,
                    checked.config_version.clone(),
                ))
            })
            .collect();
        let shared = Arc::new(Shared {
            client,
            subjects,
            instance: instance.clone(),
            table: Arc::default(),
            places: Arc::new(Semaphore::new(places as usize)),
            slots: Arc::new(Semaphore::new(checked.concurrency as usize)),
            capacity: checked.concurrency,
            outbound,
            link,
            leaving: CancellationToken::new(),
            closing: CancellationToken::new(),
            closed,
            readers: TaskTracker::new(),
            refused: watch::Sender::new(None),
            exit_on_refused: checked.exit_on_refused,
            spans: checked.spans.clone(),
            membership: parking_lot::Mutex::new(Some(membership)),
        });
        listen(&shared, &services).await?;
        let (report, outcome) = watch::channel(None);
        let worker = Self {
            instance,
            stop: CancellationToken::new(),
            joined: services.iter().map(|s| s.joined.subscribe()).collect(),
            outcome,
            table: shared.table.clone(),
        };
        let stop = worker.stop.clone();
        tokio::spawn(async move {
            let ended = until_stopped(&shared, &services, &stop).await;
            drain::run(&shared, &services, left, checked.drain_timeout).await;
            report.send_replace(Some(ended));
        });
        Ok(worker)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Subscribes everything but the queue groups, which are joined once a gateway has accepted.
async fn listen(shared: &Arc<Shared>, services: &Arc<[Arc<Service>]>) -> Result<(), WorkerError> {
    for service in services.iter() {
        let subject = shared
            .subjects
            .instance_all(&service.name, &shared.instance);
        let messages = shared.client.subscribe(subject).await?;
        let (asked, service_) = (shared.clone(), service.clone());
        let reader = intake::read(messages, shared.closing(), move |message| {
            control::handle(asked.clone(), service_.clone(), message)
        });
        shared.readers.spawn(reader);
        services::serve(shared, service).await?;
    }
    discovery::serve(shared, services).await?;
    tokio::spawn(ticker::run(shared.clone()));
    Ok(())
}

/// Registers all services, and waits for the end.
async fn until_stopped(
    shared: &Arc<Shared>,
    services: &[Arc<Service>],
    stop: &CancellationToken,
) -> Result<(), WorkerError> {
    let mut registrars = tokio::task::JoinSet::new();
    for service in services {
        registrars.spawn(register::run(shared.clone(), service.clone()));
    }
    let mut refused = shared.refused.subscribe();
    loop {
        tokio::select! {
            () = stop.cancelled() => {
                // They end by themselves when the worker leaves its queue groups.
                registrars.detach_all();
                return Ok(());
            }
            reasons = refused.wait_for(Option::is_some) => {
                let reasons = reasons.ok().and_then(|r| r.clone()).unwrap_or_default();
                registrars.detach_all();
                return Err(WorkerError::Refused(reasons));
            }
            Some(ended) = registrars.join_next() => match ended {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return Err(error),
                Err(panic) => return Err(WorkerError::Closed(panic.to_string())),
            },
        }
    }
}

/// Serves until SIGTERM or ctrl-c, then drains; a second signal ends that too.
pub(crate) async fn run_until_signal(worker: Worker) -> Result<(), WorkerError> {
    tokio::select! {
        () = signal() => tracing::info!("told to stop"),
        ended = worker.wait() => return ended,
    }
    tokio::select! {
        () = signal() => {
            tracing::warn!("told to stop once more, calls are left behind");
            Ok(())
        }
        ended = worker.shutdown() => ended,
    }
}

/// Waits for SIGTERM or ctrl-c.
async fn signal() {
    let interrupt = async {
        if let Err(error) = tokio::signal::ctrl_c().await {
            tracing::warn!(%error, "ctrl-c cannot be heard");
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = interrupt => {}
        () = terminate() => {}
    }
}

#[cfg(unix)]
async fn terminate() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut signal) => {
            signal.recv().await;
        }
        Err(error) => {
            tracing::warn!(%error, "SIGTERM cannot be heard");
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(not(unix))]
async fn terminate() {
    std::future::pending::<()>().await;
}
