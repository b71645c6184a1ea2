//! Closed-loop load that accounts for each request: none is forgotten, none is sent twice.

mod report;
mod wire;

pub use report::Report;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::http::Envelope;
use crate::{Result, eventually};
use report::Fate;
use wire::{Connection, Fault, Reply};

/// How long a client waits before it connects again after a refusal.
const BACK_OFF: Duration = Duration::from_millis(10);

/// If a result (second) is right for the arguments (first).
type Check = Box<dyn Fn(&Value, &Value) -> bool + Send + Sync>;

/// What to send; [`start`](Self::start) sends it.
///
/// Each task has one keep-alive connection and sends its next call when the last one has its answer.
/// A task whose gateway refuses or closes goes to the next address, as behind a load balancer.
pub struct Load {
    targets: Vec<SocketAddr>,
    path: String,
    args: Box<dyn Fn(u64) -> Value + Send + Sync>,
    check: Check,
    tasks: usize,
    limit: Duration,
    pause: Duration,
    max_calls: u64,
    max_time: Duration,
}

impl Load {
    /// Load on these gateways: `POST /api/{service}/{function}`, four tasks, at most two minutes.
    pub fn on(
        targets: impl IntoIterator<Item = SocketAddr>,
        service: &str,
        function: &str,
    ) -> Self {
        Self {
            targets: targets.into_iter().collect(),
            path: format!("/api/{service}/{function}"),
            args: Box::new(|number| json!({"message": number.to_string()})),
            check: Box::new(|_, _| true),
            tasks: 4,
            limit: Duration::from_secs(20),
            pause: Duration::ZERO,
            max_calls: 1_000_000,
            max_time: Duration::from_secs(120),
        }
    }

    /// Arguments of call number `n`.
    pub fn args(mut self, args: impl Fn(u64) -> Value + Send + Sync + 'static) -> Self {
        self.args = Box::new(args);
        self
    }

    /// If a result is right for its arguments; what is not counts as `wrong`.
    pub fn check(mut self, check: impl Fn(&Value, &Value) -> bool + Send + Sync + 'static) -> Self {
        self.check = Box::new(check);
        self
    }

    /// Calls at a time.
    pub fn tasks(mut self, tasks: usize) -> Self {
        self.tasks = tasks;
        self
    }

    /// How long a call may wait for its final answer before it counts as hung. Longer than the
    /// function's own timeout: that one is a clear answer.
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Pause of a task between two calls.
    pub fn pause(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    /// Ends after so many calls.
    pub fn max_calls(mut self, calls: u64) -> Self {
        self.max_calls = calls;
        self
    }

    /// Ends after this time.
    pub fn max_time(mut self, time: Duration) -> Self {
        self.max_time = time;
        self
    }

    /// Starts to send.
    pub fn start(self) -> Running {
        assert!(!self.targets.is_empty(), "load needs a gateway to send to");
        let state = Arc::new(State {
            deadline: Instant::now() + self.max_time,
            load: self,
            next: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
            report: Mutex::new(Report::new()),
        });
        let mut tasks = JoinSet::new();
        for number in 0..state.load.tasks {
            tasks.spawn(Arc::clone(&state).run_task(number));
        }
        Running { state, tasks }
    }

    /// Sends until a bound is reached.
    pub async fn run(self) -> Report {
        self.start().finish().await
    }
}

/// A load under way. Dropping it aborts it.
pub struct Running {
    state: Arc<State>,
    tasks: JoinSet<()>,
}

impl Running {
    /// The accounts up to now.
    pub fn so_far(&self) -> Report {
        self.state.report().clone()
    }

    /// Waits until `more` calls have been answered well from now on: the load flows (again).
    pub async fn wait_ok(&self, more: u64) -> Result {
        let goal = self.state.report().ok + more;
        eventually(&format!("{more} more good answers"), || async {
            let report = self.so_far();
            if report.ok >= goal {
                Ok(())
            } else {
                Err(report.to_string())
            }
        })
        .await
    }

    /// Lets each task finish its call, and returns the accounts.
    pub async fn stop(self) -> Report {
        self.state.stopped.store(true, Ordering::Relaxed);
        self.finish().await
    }

    /// Waits until a bound is reached, and returns the accounts.
    pub async fn finish(mut self) -> Report {
        while let Some(ended) = self.tasks.join_next().await {
            // A panic in `args` or `check` is the test's own: it must not pass for a clean run.
            if let Err(error) = ended
                && let Ok(panic) = error.try_into_panic()
            {
                std::panic::resume_unwind(panic);
            }
        }
        self.so_far()
    }
}

struct State {
    load: Load,
    deadline: Instant,
    next: AtomicU64,
    stopped: AtomicBool,
    report: Mutex<Report>,
}

impl State {
    async fn run_task(self: Arc<Self>, mut target: usize) {
        let targets = &self.load.targets;
        let mut connection = None;
        while let Some(number) = self.claim() {
            // A claimed call is sent: only time or `stop` can still drop it, uncounted.
            let Some(mut open) = self.connected(connection.take(), &mut target).await else {
                return;
            };
            let started = Instant::now();
            let (fate, keep) = self.call(&mut open, number).await;
            if keep {
                connection = Some(open);
            } else if !matches!(fate, Fate::Ok | Fate::Failed(_)) {
                target = (target + 1) % targets.len();
            }
            self.report().count(fate, started.elapsed());
            if !self.load.pause.is_zero() {
                sleep(self.load.pause).await;
            }
        }
    }

    /// The number of the next call, unless the load is over.
    fn claim(&self) -> Option<u64> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        (number < self.load.max_calls && !self.over()).then_some(number)
    }

    fn over(&self) -> bool {
        self.stopped.load(Ordering::Relaxed) || Instant::now() >= self.deadline
    }

    /// The connection at hand, or a new one to the first gateway that takes it.
    async fn connected(&self, open: Option<Connection>, target: &mut usize) -> Option<Connection> {
        if open.is_some() {
            return open;
        }
        let targets = &self.load.targets;
        while !self.over() {
            *target %= targets.len();
            match Connection::open(targets[*target], self.load.limit).await {
                Ok(connection) => return Some(connection),
                Err(_) => self.report().refused += 1,
            }
            *target += 1;
            sleep(BACK_OFF).await;
        }
        None
    }

    /// One call: what became of it, and if the connection can take another.
    async fn call(&self, connection: &mut Connection, number: u64) -> (Fate, bool) {
        let Load { path, limit, .. } = &self.load;
        let args = (self.load.args)(number);
        let id = format!("load-{number}");
        let reused = connection.is_reused();
        match connection.post(path, &id, &args.to_string(), *limit).await {
            Ok(reply) => (self.judge(&id, &args, &reply), reply.keep_alive),
            Err(Fault::Hung) => (Fate::Hung, false),
            Err(Fault::Closed) if reused => (Fate::ClosedIdle, false),
            Err(Fault::Closed | Fault::Cut) => (Fate::Cut, false),
            Err(Fault::Malformed(why)) => (Fate::Unclear(why), false),
        }
    }

    fn judge(&self, id: &str, args: &Value, reply: &Reply) -> Fate {
        let envelope = match Envelope::parse(&reply.body) {
            Ok(envelope) => envelope,
            Err(why) => return Fate::Unclear(format!("status {}: {why}", reply.status)),
        };
        if envelope.request_id.as_deref() != Some(id) {
            return Fate::Wrong(format!("asked as {id}, answered {envelope:?}"));
        }
        if !envelope.is_final() {
            return Fate::NotFinal;
        }
        if !envelope.success {
            return Fate::Failed(envelope.code().to_owned());
        }
        if (self.load.check)(args, &envelope.result) {
            return Fate::Ok;
        }
        Fate::Wrong(format!("asked {args}, answered {}", envelope.result))
    }

    fn report(&self) -> MutexGuard<'_, Report> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
