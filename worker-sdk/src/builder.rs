//! Putting a worker together, and every check of it.

mod service;

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use sluice_protocol::registry::Reason;
use sluice_protocol::{InstanceId, Subjects};

pub use self::service::ServiceBuilder;
use crate::change::Versions;
use crate::function::Function;
use crate::handler::Handler;
use crate::options::NatsOptions;
use crate::runtime::service::CheckedService;
use crate::stream::StreamHandler;
use crate::telemetry::Spans;
use crate::worker::{Worker, WorkerError};

/// Calls that are at work at once, unless told otherwise.
pub const DEFAULT_CONCURRENCY: u32 = 256;
/// Calls that wait for their turn, unless told otherwise.
pub const DEFAULT_QUEUE: u32 = 1024;
/// Most time for the calls at hand when the worker stops, unless told otherwise.
pub const DEFAULT_DRAIN_TIMEOUT: Duration = Duration::from_secs(25);

/// A worker that is being put together; made by [`Worker::builder`].
///
/// ```no_run
/// use std::time::Duration;
/// use serde_json::Value;
/// use sluice_worker::Worker;
///
/// # async fn run() -> Result<(), sluice_worker::WorkerError> {
/// Worker::builder("users")
///     .connect("nats://broker:4222")
///     .user_password("worker", "secret")
///     .concurrency(64)
///     .drain_timeout(Duration::from_secs(10))
///     .function("echo", async |args: Value| args)
///     .service("groups", |s| s.function("ping", async || "pong"))
///     .run()
///     .await
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct WorkerBuilder {
    main: ServiceBuilder,
    others: Vec<ServiceBuilder>,
    nats: NatsOptions,
    instance: Option<String>,
    prefix: Option<String>,
    concurrency: u32,
    queue: u32,
    drain_timeout: Duration,
    config_version: Option<String>,
    exit_on_refused: bool,
    spans: Spans,
}

/// A worker that passed all checks.
pub(crate) struct Checked {
    pub(crate) services: Vec<CheckedService>,
    pub(crate) nats: NatsOptions,
    pub(crate) instance: InstanceId,
    pub(crate) subjects: Subjects,
    pub(crate) concurrency: u32,
    pub(crate) queue: u32,
    pub(crate) drain_timeout: Duration,
    pub(crate) config_version: Option<String>,
    pub(crate) exit_on_refused: bool,
    pub(crate) spans: Spans,
}

impl WorkerBuilder {
    pub(crate) fn new(service: &str) -> Self {
        Self {
            main: ServiceBuilder::new(service),
            others: Vec::new(),
            nats: NatsOptions::default(),
            instance: None,
            prefix: None,
            concurrency: DEFAULT_CONCURRENCY,
            queue: DEFAULT_QUEUE,
            drain_timeout: DEFAULT_DRAIN_TIMEOUT,
            config_version: None,
            exit_on_refused: false,
            spans: Spans::default(),
        }
    }

    fn edit(mut self, edit: impl FnOnce(ServiceBuilder) -> ServiceBuilder) -> Self {
        self.main = edit(self.main);
        self
    }

    /// A function that answers with one result: [`Function::sync`] with all defaults.
    pub fn function<H: Handler<M>, M>(self, name: &str, handler: H) -> Self {
        self.edit(|s| s.function(name, handler))
    }

    /// A function whose result comes later: [`Function::asynchronous`] with all defaults.
    pub fn async_function<H: Handler<M>, M>(self, name: &str, handler: H) -> Self {
        self.edit(|s| s.async_function(name, handler))
    }

    /// A function that answers with items: [`Function::stream`] with all defaults.
    pub fn stream<H: StreamHandler<M>, M>(self, name: &str, handler: H) -> Self {
        self.edit(|s| s.stream(name, handler))
    }

    /// A function without result: [`Function::none`] with all defaults.
    pub fn notify<H: Handler<M>, M>(self, name: &str, handler: H) -> Self {
        self.edit(|s| s.notify(name, handler))
    }

    /// A function with options of its own.
    pub fn function_with(self, function: Function) -> Self {
        self.edit(|s| s.function_with(function))
    }

    /// The version of all functions that have none of their own.
    pub fn version(self, version: &str) -> Self {
        self.edit(|s| s.version(version))
    }

    /// Older versions that today's functions serve, through changes: oldest first, see
    /// [`crate::change`].
    pub fn versions(self, build: impl FnOnce(Versions) -> Versions) -> Self {
        self.edit(|s| s.versions(build))
    }

    /// The secret that signs the service's registry messages; it never travels.
    pub fn secret(self, secret: impl Into<Vec<u8>>) -> Self {
        self.edit(|s| s.secret(secret))
    }

    /// One more service of the same process.
    pub fn service(
        mut self,
        name: &str,
        build: impl FnOnce(ServiceBuilder) -> ServiceBuilder,
    ) -> Self {
        self.others.push(build(ServiceBuilder::new(name)));
        self
    }

    /// The broker: one URL, or several of one cluster joined by commas. Otherwise
    /// `SLUICE_NATS_URL`, else `nats://127.0.0.1:4222`. A user name, password or token in it is
    /// refused when the worker starts: they go into [`user_password`](Self::user_password) and
    /// [`token`](Self::token).
    pub fn connect(mut self, url: &str) -> Self {
        self.nats.url = Some(url.to_owned());
        self
    }

    /// Signs in with a name and a password.
    pub fn user_password(mut self, user: &str, password: &str) -> Self {
        self.nats.user = Some((user.to_owned(), password.to_owned()));
        self
    }

    /// Signs in with a token.
    pub fn token(mut self, token: &str) -> Self {
        self.nats.token = Some(token.to_owned());
        self
    }

    /// Signs in with the seed of a user's NKey (`SU…`): it signs the server's challenge and never
    /// travels.
    pub fn nkey(mut self, seed: &str) -> Self {
        self.nats.nkey = Some(seed.to_owned());
        self
    }

    /// Signs in with a credentials file (JWT and key), read anew for each connection.
    pub fn credentials_file(mut self, path: impl AsRef<Path>) -> Self {
        self.nats.credentials = Some(path.as_ref().to_owned());
        self
    }

    /// Trusts the authorities in this PEM file.
    pub fn tls_ca(mut self, path: impl AsRef<Path>) -> Self {
        self.nats.tls_ca = Some(path.as_ref().to_owned());
        self
    }

    /// Shows this certificate (PEM files).
    pub fn tls_client(mut self, certificate: impl AsRef<Path>, key: impl AsRef<Path>) -> Self {
        let paths = (certificate.as_ref().to_owned(), key.as_ref().to_owned());
        self.nats.tls_client = Some(paths);
        self
    }

    /// Speaks to the broker over TLS or not at all.
    pub fn require_tls(mut self) -> Self {
        self.nats.require_tls = true;
        self
    }

    /// Begins TLS before the server's greeting, as a server with `handshake_first` wants it
    /// (nats-server 2.10 or newer). Says [`Self::require_tls`], too.
    pub fn tls_first(mut self) -> Self {
        self.nats.tls_first = true;
        self.require_tls()
    }

    /// Where the worker hears answers, in place of `_INBOX`.
    pub fn inbox_prefix(mut self, prefix: &str) -> Self {
        self.nats.inbox_prefix = Some(prefix.to_owned());
        self
    }

    /// The instance id; it must be another for each process and each start. Otherwise
    /// `<service>-<8 random hex digits>`.
    pub fn instance(mut self, id: &str) -> Self {
        self.instance = Some(id.to_owned());
        self
    }

    /// What stands before all subjects, in place of `sluice`; the gateways' must be the same.
    pub fn prefix(mut self, prefix: &str) -> Self {
        self.prefix = Some(prefix.to_owned());
        self
    }

    /// Makes a span of each call whose trace is recorded, `worker.call`, as a child of the
    /// gateway's; calls that a handler makes belong to it.
    #[cfg(feature = "otlp")]
    pub fn spans(mut self, spans: sluice_telemetry::Spans) -> Self {
        self.spans = Spans::of(spans);
        self
    }

    /// Calls that are at work at once, of all services together; default
    /// [`DEFAULT_CONCURRENCY`].
    pub fn concurrency(mut self, calls: u32) -> Self {
        self.concurrency = calls;
        self
    }

    /// Calls that wait for their turn; default [`DEFAULT_QUEUE`]. One more is answered with
    /// `overloaded`, and the gateway tries another instance.
    pub fn queue(mut self, calls: u32) -> Self {
        self.queue = calls;
        self
    }

    /// Most time for the calls at hand when the worker stops; default
    /// [`DEFAULT_DRAIN_TIMEOUT`].
    pub fn drain_timeout(mut self, timeout: Duration) -> Self {
        self.drain_timeout = timeout;
        self
    }

    /// A label of the config for people, for example a build number. It decides nothing.
    pub fn config_version(mut self, label: &str) -> Self {
        self.config_version = Some(label.to_owned());
        self
    }

    /// Stops the worker when a gateway refuses its config, in place of trying again.
    pub fn exit_on_refused(mut self) -> Self {
        self.exit_on_refused = true;
        self
    }

    /// Runs the worker until SIGTERM or ctrl-c, then drains it. A second signal ends it at once.
    ///
    /// # Errors
    /// See [`WorkerError`].
    pub async fn run(self) -> Result<(), WorkerError> {
        crate::worker::run_until_signal(self.start().await?).await
    }

    /// Starts the worker in the background. It connects, in its own time, and serves until
    /// [`Worker::shutdown`]; signals are left to the program.
    ///
    /// # Errors
    /// When the worker is put together wrongly, or its credentials cannot be read.
    pub async fn start(self) -> Result<Worker, WorkerError> {
        Worker::start(self.check()?).await
    }

    /// All mistakes at once, or the parts of the worker.
    pub(crate) fn check(self) -> Result<Checked, WorkerError> {
        let mut mistakes = Vec::new();
        let mut complain = |field: &str, message: String| {
            mistakes.push(Reason {
                function: String::new(),
                field: field.to_owned(),
                message,
            });
        };
        let instance = self.instance.unwrap_or_else(|| random_id(&self.main.name));
        let instance = InstanceId::new(&instance)
            .map_err(|fault| complain("instance", fault.to_string()))
            .ok();
        let subjects = self
            .prefix
            .map_or_else(|| Ok(Subjects::default()), |p| Subjects::new(&p));
        let subjects = subjects
            .map_err(|fault| complain("prefix", fault.to_string()))
            .ok();
        if let Err(fault) = self.nats.servers() {
            complain("connect", fault);
        }
        if self.concurrency == 0 {
            complain(
                "concurrency",
                "at least one call must be at work".to_owned(),
            );
        }
        let mut names = HashSet::new();
        for service in [&self.main].into_iter().chain(&self.others) {
            if !names.insert(service.name.as_str()) {
                complain("service", format!("{:?} is declared twice", service.name));
            }
        }
        let services: Vec<_> = [self.main.clone()]
            .into_iter()
            .chain(self.others.clone())
            .filter_map(|service| service.check(&mut mistakes))
            .collect();
        match (instance, subjects) {
            (Some(instance), Some(subjects)) if mistakes.is_empty() => Ok(Checked {
                services,
                nats: self.nats,
                instance,
                subjects,
                concurrency: self.concurrency,
                queue: self.queue,
                drain_timeout: self.drain_timeout,
                config_version: self.config_version,
                exit_on_refused: self.exit_on_refused,
                spans: self.spans,
            }),
            _ => Err(WorkerError::Mistakes(mistakes)),
        }
    }
}

/// `<service>-<8 hex>`, with as much of the service as an id may be long.
fn random_id(service: &str) -> String {
    let end = service.floor_char_boundary(100);
    format!("{}-{:08x}", &service[..end], rand::random::<u32>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Arg;
    use serde_json::Value;

    #[test]
    fn all_mistakes_are_reported_at_once() {
        let error = Worker::builder("demo")
            .prefix("a b")
            .instance("")
            .concurrency(0)
            .connect("ftp://x")
            .function("twice", async || 1)
            .function("twice", async || 2)
            .function_with(Function::sync("", async || 1).version("0.0.0"))
            .function("result", async || -> Result<u8, String> {
                Err("no".into())
            })
            .function_with(Function::sync("hook", async || 1).before_execute("", "check"))
            .function_with(
                Function::sync("args", async |args: Value| args)
                    .args([("x", Arg::pattern("("))])
                    .timeout(Duration::from_millis(1)),
            )
            .function_with(Function::sync("slow", async || 1).timeout(Duration::from_millis(1)))
            .service("demo", |s| s.function("f", async || 1))
            .service("empty", |s| s.secret(""))
            .check()
            .err()
            .unwrap();
        let text = error.to_string();
        for part in [
            "instance: instance must not be empty",
            "prefix: a subject prefix is",
            "connect: \"ftp://x\" is not the address",
            "concurrency: at least one",
            "service: \"demo\" is declared twice",
            "demo.twice: version: this function stands here twice with this version",
            "demo.args: arg_types: x: pattern \"(\" is no regular expression",
            "demo.slow: timeout: ",
            "demo.: request_type: request_type must not be empty",
            "demo.: version: \"0.0.0\" means the latest",
            "demo.result: handler: the handler's error type is Serialize",
            "demo.hook: before_execute: service must not be empty",
            "empty: functions: the service has no function",
            "empty: secret: the secret is empty",
        ] {
            assert!(text.contains(part), "{part:?} is missing in:\n{text}");
        }
    }

    #[test]
    fn two_starts_have_two_ids_and_one_config() {
        let build = || {
            Worker::builder("demo")
                .version("1.0.0")
                .function("echo", async |args: Value| args)
                .check()
                .unwrap_or_else(|e| panic!("{e}"))
        };
        let (a, b) = (build(), build());
        assert_ne!(a.instance, b.instance);
        assert!(a.instance.as_str().starts_with("demo-"));
        assert_eq!(a.services[0].functions[0].0, b.services[0].functions[0].0);
        let version = a.services[0].functions[0].0.version.as_ref();
        assert_eq!(version.map(|v| v.as_str()), Some("1.0.0"));
    }
}
