//! The ordered stages that every call passes, from whatever edge it came.

mod authorize;
pub mod explain;
mod hooks;
mod limit;
mod once;
mod resolve;
mod translate;
mod validate;

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use sluice_protocol::http::RequestHead;
use sluice_protocol::payload::Payload;
use sluice_protocol::trace::TraceContext;
use sluice_protocol::{CallError, ErrorCode, FunctionName, Identity, RequestId, ServiceName};
use tokio::time::Instant;

use self::authorize::Admitted;
use self::hooks::{After, Hooks};
use self::limit::Limited;
use self::resolve::Resolved;
pub(crate) use self::translate::each_tag;
pub use self::validate::Ready;
use crate::config::Config;
use crate::diagnostics::trace::{Traced, Tracer, told};
use crate::dispatch::Dispatcher;
use crate::health::Health;
use crate::hooks::Callbacks;
use crate::idempotency::OnceStore;
use crate::idempotency::memory::MemoryOnce;
use crate::limiter::{Limiter, Quota, Refused, Who};
use crate::middleware::Chain;
use crate::overrides::Notice;
use crate::registry::Registry;
use crate::registry::wanted::Wanted;
use crate::reply::Reply;
use crate::telemetry::names::Series;
use crate::telemetry::{CallRecord, Recorder};

/// A call as an edge made it: well-formed, its caller identified, nothing else checked.
#[derive(Debug, Clone)]
pub struct Call {
    /// Echoed in every response.
    pub request_id: RequestId,
    /// Of which service.
    pub service: ServiceName,
    /// Which function.
    pub request_type: FunctionName,
    /// Which version, as the client named it.
    pub version: Option<String>,
    /// The args: said to be an object, not yet parsed.
    pub args: Payload,
    /// For whom.
    pub identity: Identity,
    /// The trace that the call belongs to: the client's, or that of the call's own span.
    pub trace: Option<TraceContext>,
    /// Milliseconds; may only shorten the function's own timeout.
    pub timeout_ms: Option<u64>,
    /// Whether the edge allows only functions that are idempotent (GET).
    pub idempotent_only: bool,
    /// The client's `Idempotency-Key`: printable ASCII, checked by the edge.
    pub idempotency_key: Option<String>,
    /// The request as it came, where a resource is called. Its args are the path's parameters.
    pub http: Option<Arc<HttpRequest>>,
    /// What else is known of the caller.
    pub caller: Caller,
}

impl Call {
    /// A call of the version that a client gets who names none; of its caller only `identity` is known.
    #[must_use]
    pub fn new(
        request_id: RequestId,
        service: ServiceName,
        request_type: FunctionName,
        args: Payload,
        identity: Identity,
    ) -> Self {
        Self {
            request_id,
            service,
            request_type,
            version: None,
            args,
            identity,
            trace: None,
            timeout_ms: None,
            idempotent_only: false,
            idempotency_key: None,
            http: None,
            caller: Caller::default(),
        }
    }

    /// What it says of its version, and for whom.
    pub(crate) fn wanted(&self) -> Wanted<'_> {
        Wanted {
            version: self.version.as_deref(),
            user: self.identity.user_id.as_deref(),
            api_key: self.caller.api_key.as_deref(),
            ..Wanted::default()
        }
    }
}

/// An HTTP request to a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpRequest {
    /// Method, path, query and fields.
    pub head: RequestHead,
    /// The whole body.
    pub body: Bytes,
}

impl HttpRequest {
    /// Whether running it twice does no harm (RFC 9110 §9.2.2).
    #[must_use]
    pub fn is_idempotent(&self) -> bool {
        let idempotent = ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"];
        idempotent.contains(&self.head.method.as_str())
    }
}

/// What is known of a caller beside its identity; limits may count by it. Never sent to workers.
#[derive(Debug, Clone, Default)]
pub struct Caller {
    /// The client's address, trusted proxies seen through.
    pub address: Option<IpAddr>,
    /// The id (never the secret) of the API key that was used.
    pub api_key: Option<Arc<str>>,
    /// The limits that this key names.
    pub limits: Option<Arc<[String]>>,
    /// The claims of the verified token.
    pub claims: Option<Arc<serde_json::Map<String, serde_json::Value>>>,
    /// Where an edge wants to hear what the tightest limit has left.
    pub quota: Option<Arc<OnceLock<Quota>>>,
    /// Where an edge wants to hear that the version is on its way out.
    pub notice: Option<Arc<OnceLock<Arc<Notice>>>>,
    /// Where a live trace wants to hear what happens to the call.
    pub traced: Option<Arc<Traced>>,
}

/// What the gateway allows at most, whatever a function asks for.
#[derive(Debug, Clone, Copy)]
struct Limits {
    timeout: Duration,
    stream: Duration,
    suggest: bool,
    unknown_is_latest: bool,
}

impl Limits {
    fn of(config: &Config) -> Self {
        Self {
            timeout: config.gateway.max_timeout,
            stream: config.gateway.max_stream_duration,
            suggest: config.gateway.detail_error,
            unknown_is_latest: config.versions.unknown == "latest",
        }
    }
}

/// Takes calls through all stages. One for each shard.
#[derive(Debug)]
pub struct Pipeline {
    registry: Arc<Registry>,
    dispatcher: Dispatcher,
    limits: Limits,
    hooks: Hooks,
    health: Arc<Health>,
    once: once::Once,
    limiter: Arc<Limiter>,
    refused: Arc<Refused>,
    recorder: Arc<Recorder>,
    /// Under which number its callers are counted.
    shard: usize,
    tracer: Arc<Tracer>,
    middleware: Chain,
    default_version: Option<String>,
}

impl Pipeline {
    /// The stages over what the registry knows and the dispatcher reaches. Hooks of the names in
    /// `callbacks` are asked there.
    #[must_use]
    pub fn new(
        registry: Arc<Registry>,
        dispatcher: Dispatcher,
        config: &Config,
        health: Arc<Health>,
        callbacks: Arc<Callbacks>,
    ) -> Self {
        let limits = Limits::of(config);
        let hooks = Hooks::new(registry.clone(), dispatcher.clone(), callbacks, limits);
        Self {
            registry,
            dispatcher,
            limits,
            hooks,
            health,
            once: once::Once::new(
                Arc::new(MemoryOnce::new(&config.idempotency)),
                config.idempotency.max_answer_bytes,
            ),
            limiter: Arc::new(Limiter::in_memory(&config.limit, &config.limits)),
            refused: Arc::new(Refused::new(config.limits.refused_per_minute)),
            recorder: Arc::default(),
            shard: 0,
            tracer: Arc::default(),
            middleware: Chain::default(),
            default_version: Some(config.versions.default.clone()).filter(|v| !v.is_empty()),
        }
    }

    /// The same for this shard.
    #[must_use]
    pub fn of_shard(mut self, shard: usize) -> Self {
        self.shard = shard;
        self
    }

    /// The same, with code of an embedding program before all stages.
    #[must_use]
    pub fn behind(mut self, middleware: Chain) -> Self {
        self.middleware = middleware;
        self
    }

    /// The same, telling this tracer of the calls that somebody watches.
    #[must_use]
    pub fn traced_by(mut self, tracer: Arc<Tracer>) -> Self {
        self.tracer = tracer;
        self
    }

    /// The same with this store of idempotency keys, instead of one in memory.
    #[must_use]
    pub fn with_once(mut self, store: Arc<dyn OnceStore>) -> Self {
        self.once = self.once.over(store);
        self
    }

    /// With limits that are shared with other pipelines.
    #[must_use]
    pub fn limited_by(mut self, limiter: Arc<Limiter>, refused: Arc<Refused>) -> Self {
        self.limiter = limiter;
        self.refused = refused;
        self
    }

    /// Counting with this recorder.
    #[must_use]
    pub fn recorded_by(mut self, recorder: Arc<Recorder>) -> Self {
        self.once = self.once.recorded_by(recorder.clone());
        self.recorder = recorder;
        self
    }

    /// A gateway that has never heard from a worker does not know that a function is unknown.
    fn unless_deaf(&self, error: CallError) -> CallError {
        if error.code != ErrorCode::UnknownFunction || self.health.has_discovered() {
            return error;
        }
        let text = "the gateway has not heard from the broker yet; the call did not run";
        CallError::new(ErrorCode::BrokerUnavailable, text)
    }

    /// Of a gateway that has just started: until it is linked, within the call's own time.
    async fn wait_linked(&self, call: &mut Call) {
        let began = Instant::now();
        let most = call.timeout_ms.map(Duration::from_millis);
        self.health.wait_linked(most).await;
        let waited = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        call.timeout_ms = call.timeout_ms.map(|ms| ms.saturating_sub(waited).max(1));
    }

    /// Whether there is any limit at all.
    #[must_use]
    pub fn has_limits(&self) -> bool {
        self.limiter.has_rules()
    }

    /// Whether any version is on its way out, so that answers may have to say so.
    #[must_use]
    pub fn has_notices(&self) -> bool {
        self.registry.snapshot().has_notices
    }

    /// Completes what decides about a request's version by what is configured, as [`run`](Self::run)
    /// would decide.
    #[must_use]
    pub fn wanted<'a>(&'a self, request: Wanted<'a>) -> Wanted<'a> {
        Wanted {
            default: self.default_version.as_deref(),
            unknown_is_latest: self.limits.unknown_is_latest,
            ..request
        }
    }

    /// What the stages resolve against.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Takes one call through every stage, in order, and returns its first answer.
    ///
    /// # Errors
    /// Whatever refuses it, or its failure.
    pub async fn run(&self, call: impl Into<Box<Call>>) -> Result<Reply, CallError> {
        let mut call: Box<Call> = call.into();
        if !self.health.is_linked() {
            Box::pin(self.wait_linked(&mut call)).await;
        }
        let mut record = self.recorder.begin(&mut call);
        self.tracer.mark(&mut call);
        let outcome = match call.caller.traced.clone() {
            None => self.answer(call, &mut record).await,
            Some(traced) => {
                let outcome = Box::pin(self.answer(call, &mut record)).await;
                traced.stage("answered", &outcome);
                outcome
            }
        };
        record.finish(outcome)
    }

    async fn answer(
        &self,
        mut call: Box<Call>,
        record: &mut CallRecord,
    ) -> Result<Reply, CallError> {
        let who = self.refused.who(&call.caller, &call.identity);
        let checked = self.refused.check(who);
        checked.inspect_err(|_| self.recorder.inc(Series::RefusedWindow))?;
        if !self.middleware.is_empty() {
            let passed = self.middleware.pass(&mut call).await;
            passed.inspect_err(|error| self.refused.note(who, error))?;
        }
        let snapshot = self.registry.snapshot();
        if let Some(version) = &self.default_version {
            resolve::by_default(&snapshot, &mut call, version);
        }
        // All later stages need the function's spec.
        let call = resolve::resolve(&snapshot, call, self.limits, record)
            .map_err(|error| self.unless_deaf(error))
            .inspect_err(|error| self.refused.note(who, error))?;
        // As the client asked: later stages may change the args.
        let asked = once::Asked::of(&call);
        let after = After::of(&self.hooks, &call);
        let down = translate::Down::of(&call);
        // A caller who is not let in has no after hook: else each refusal would cost a worker's
        // time.
        let (outcome, after) = match self.let_in(call, record).await {
            Ok(call) => {
                let outcome = match self.ready(call, who, record) {
                    Ok(call) => self.send(asked, call).await,
                    Err(error) => Err(error),
                };
                (outcome, after)
            }
            Err(error) => {
                self.refused.note(who, &error);
                (Err(error), None)
            }
        };
        // Before the after hook: it hears what the caller hears, in the caller's version.
        let outcome = match down {
            Some(down) => down.finish(outcome),
            None => outcome,
        };
        // Last, and whatever the outcome: it hears what the caller hears.
        match after {
            // Boxed, as most calls have none.
            Some(after) => Box::pin(after.finish(outcome)).await,
            None => outcome,
        }
    }

    /// Waits for what goes on behind the callers' backs: after hooks, and answers on their way to
    /// the store of idempotency keys. For a gateway that takes no calls any more.
    pub async fn settled(&self) {
        self.hooks.settled().await;
        self.once.settled().await;
    }

    /// The stages that decide about a caller, in order.
    async fn let_in(&self, call: Resolved, record: &mut CallRecord) -> Result<Limited, CallError> {
        let to = call.call.caller.traced.clone();
        // Before anything is told about args or done for it: a stranger learns nothing, and costs
        // no worker anything.
        let call = told(&to, "admit", self.admit(call))?;
        record.passed("admitted");
        // As the client's version declares them, before anything is made of them.
        let call = told(&to, "check in its version", translate::check(call))?;
        // Before all that looks at args: it may change them.
        let call = told(&to, "before hook", hooks::before(&self.hooks, call).await)?;
        record.passed("hooked");
        // After the hook, which knows the client's version, and before all that knows only today's.
        let call = told(&to, "translate", translate::up(call))?;
        record.passed("translated");
        // On the args that are sent, not on those that came.
        let call = told(
            &to,
            "authorize",
            authorize::authorize(&self.hooks, call).await,
        )?;
        record.passed("permitted");
        // After authorize: a call that is denied uses up no quota.
        let limited = limit::limit(&self.limiter, &self.recorder.meters, call).await;
        let call = told(&to, "limit", limited)?;
        record.passed("limited");
        Ok(call)
    }

    /// What can be decided at once, before anything is counted and anybody asked.
    fn admit(&self, call: Resolved) -> Result<Admitted, CallError> {
        let call = authorize::admit(call)?;
        // After that: of strangers' keys and limits nobody hears.
        once::takes_key(&call)?;
        limit::known(&self.limiter, &self.recorder.meters, &call)?;
        Ok(call)
    }

    /// What is left to find out about the call of a caller who is let in.
    fn ready(&self, call: Limited, who: Who, record: &mut CallRecord) -> Result<Ready, CallError> {
        let to = call.traced();
        // Before any acknowledgement: every fault is reported while it can be.
        let call = told(&to, "validate", validate::validate(call))
            .inspect_err(|error| self.refused.note(who, error))?;
        record.passed("validated");
        call.count_caller(self.shard);
        Ok(call)
    }

    /// Takes `Ready` and nothing earlier: a stage that is left out does not compile.
    ///
    /// Boxed here, where most calls that are refused have been: what a future has room for is
    /// moved with it each time.
    fn send(
        &self,
        asked: Option<once::Asked>,
        call: Ready,
    ) -> BoxFuture<'_, Result<Reply, CallError>> {
        let Some(asked) = asked else {
            return Box::pin(self.dispatcher.send(call));
        };
        let dispatcher = self.dispatcher.clone();
        Box::pin(
            self.once
                .run(asked, call, move |call| dispatcher.send(call)),
        )
    }
}
