//! Handlers called without any broker, for their tests.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use serde_json::{Value, json};
use sluice_protocol::argument;
use sluice_protocol::headers::CallHeaders;
use sluice_protocol::{
    ApiVersion, Encoding, ErrorCode, FunctionSpec, Identity, InstanceId, Payload,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::builder::WorkerBuilder;
use crate::call::{Outbound, Request, Until};
use crate::codec::encode;
use crate::context::{self, Context};
use crate::error::Error;
use crate::function::Body;
use crate::runtime::execute::{Done, invoke};
use crate::runtime::outlet::Sink;
use crate::runtime::running::{EndReason, Opening, Running};
use crate::runtime::service::CheckedService;
use crate::runtime::stream::Lane;

type Answer = Arc<dyn Fn(Value) -> Result<Value, Error> + Send + Sync>;

/// Calls the functions of a worker in memory.
///
/// Args are checked as the gateway would, handlers are run as the worker would: panics are caught,
/// cancellation drops them. Calls to other functions get the answers of [`Self::answer`].
///
/// ```
/// use serde_json::{Value, json};
/// use sluice_worker::{Error, Worker, testing::TestWorker};
///
/// async fn double(args: Value) -> Result<Value, Error> {
///     let n = args["n"].as_i64().ok_or_else(|| Error::invalid_arguments("n is no integer"))?;
///     Ok(json!(n * 2))
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let worker = TestWorker::new(Worker::builder("math").function("double", double));
/// assert_eq!(worker.call("double", json!({ "n": 21 })).await.unwrap(), json!(42));
/// let error = worker.call("double", json!({})).await.unwrap_err();
/// assert_eq!(error.code(), "invalid_arguments");
/// # }
/// ```
#[derive(Clone)]
#[must_use]
pub struct TestWorker {
    services: Arc<Vec<CheckedService>>,
    instance: InstanceId,
    service: Option<String>,
    version: Option<String>,
    identity: Identity,
    timeout: Option<Duration>,
    cancellation: CancellationToken,
    answers: Answers,
}

/// What a stream said.
#[derive(Debug)]
pub struct Collected {
    /// Its items.
    pub items: Vec<Value>,
    /// How it ended.
    pub end: Result<(), Error>,
}

#[derive(Clone, Default)]
struct Answers(HashMap<(String, String), Answer>);

impl TestWorker {
    /// The worker that `builder` describes; it connects to nothing.
    ///
    /// # Panics
    /// When it is put together wrongly, with every mistake.
    pub fn new(builder: WorkerBuilder) -> Self {
        let checked = match builder.check() {
            Ok(checked) => checked,
            Err(mistakes) => panic!("{mistakes}"),
        };
        Self {
            services: Arc::new(checked.services),
            instance: checked.instance,
            service: None,
            version: None,
            identity: Identity::anonymous(),
            timeout: None,
            cancellation: CancellationToken::new(),
            answers: Answers::default(),
        }
    }

    /// Who the following calls are made for. Permissions are the gateway's and are not checked.
    pub fn identity(mut self, identity: Identity) -> Self {
        self.identity = identity;
        self
    }

    /// Time that the following calls have.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Cancels the calls of this worker when `token` is cancelled.
    pub fn cancellation(mut self, token: CancellationToken) -> Self {
        self.cancellation = token;
        self
    }

    /// Which service the following calls are for, where the worker has more than one.
    pub fn service(mut self, name: &str) -> Self {
        self.service = Some(name.to_owned());
        self
    }

    /// Which version the following calls are for; otherwise the latest.
    pub fn version(mut self, version: &str) -> Self {
        self.version = Some(version.to_owned());
        self
    }

    /// How another function answers when a handler calls it.
    pub fn answer(
        mut self,
        service: &str,
        function: &str,
        answer: impl Fn(Value) -> Result<Value, Error> + Send + Sync + 'static,
    ) -> Self {
        let key = (service.to_owned(), function.to_owned());
        self.answers.0.insert(key, Arc::new(answer));
        self
    }

    /// Calls a function.
    ///
    /// # Errors
    /// The function's error; `unknown_function` where there is none; `invalid_arguments`.
    pub async fn call(&self, function: &str, args: Value) -> Result<Value, Error> {
        match self.run(function, args).await.0? {
            Done::Result(payload) => Ok(serde_json::from_slice(&payload.bytes)?),
            Done::End(_) | Done::LastItem | Done::TooLate => Ok(Value::Null),
        }
    }

    /// Calls a stream and collects its items.
    pub async fn stream(&self, function: &str, args: Value) -> Collected {
        let (end, items) = self.run(function, args).await;
        let items = items.iter().map(|item| serde_json::from_slice(item));
        Collected {
            items: items.filter_map(Result::ok).collect(),
            end: end.map(drop),
        }
    }

    async fn run(&self, function: &str, args: Value) -> (Result<Done, Error>, Vec<Bytes>) {
        let items = Arc::<Mutex<Vec<Bytes>>>::default();
        let (spec, body) = match self.find(function) {
            Ok(found) => found,
            Err(error) => return (Err(error), Vec::new()),
        };
        let args = match checked_args(spec, &args) {
            Ok(args) => args,
            Err(error) => return (Err(error), Vec::new()),
        };
        let (call, ctx) = self.open(spec);
        let sink = Sink::Memory(items.clone());
        let lane = Lane::new(call.clone(), sink, Encoding::Json);
        let cancelled = async {
            self.cancellation.cancelled().await;
            call.end(EndReason::Cancelled(String::new()));
            std::future::pending::<Result<Done, Error>>().await
        };
        let outcome = tokio::select! {
            outcome = invoke(body, ctx, args, &call, || lane) => outcome,
            outcome = cancelled => outcome,
        };
        let items = std::mem::take(&mut *items.lock());
        (outcome, items)
    }

    fn find(&self, function: &str) -> Result<&(FunctionSpec, Body), Error> {
        let in_service = |s: &&CheckedService| match &self.service {
            Some(name) => s.name.as_str() == name,
            None => true,
        };
        let wanted = |spec: &FunctionSpec| {
            let version = spec.version.as_ref().map(ApiVersion::as_str);
            spec.request_type.as_str() == function
                && (self.version.is_none() || self.version.as_deref() == version)
        };
        self.services
            .iter()
            .find(in_service)
            .into_iter()
            .flat_map(|service| &service.functions)
            .filter(|(spec, _)| wanted(spec))
            .max_by(|(a, _), (b, _)| a.version.cmp(&b.version))
            .ok_or_else(|| Error::of(ErrorCode::UnknownFunction, format!("no {function:?}")))
    }

    fn open(&self, spec: &FunctionSpec) -> (Arc<Running>, Context) {
        let received = Instant::now();
        let deadline = self.timeout.map(|timeout| received + timeout);
        let call = Arc::new(Running::new(Opening {
            call_id: "test".to_owned(),
            reply: None,
            received,
            deadline,
            response_type: spec.response_type,
            idempotent: spec.idempotent,
            credit: None,
            cancel: CancellationToken::new(),
        }));
        let ctx = Context::new(context::Inner {
            headers: CallHeaders {
                call_id: "test".to_owned(),
                request_id: "test".to_owned(),
                identity: self.identity.clone(),
                deadline_ms: u64::MAX,
                attempt: 1,
                traceparent: None,
                credit: None,
                batch: false,
                encoding: Encoding::Json,
            },
            service: spec.service.clone(),
            function: spec.request_type.clone(),
            version: spec.version.clone(),
            instance: self.instance.clone(),
            deadline,
            cancel: call.cancel.clone(),
            outbound: Arc::new(self.answers.clone()),
        });
        (call, ctx)
    }
}

fn checked_args(spec: &FunctionSpec, args: &Value) -> Result<Payload, Error> {
    let args = encode(args, Encoding::Json)?;
    match argument::check(spec.arg_types.as_ref(), args) {
        Ok(checked) => Ok(checked.into_payload()),
        Err(faults) => {
            Err(Error::invalid_arguments("the args do not fit")
                .details(json!({ "faults": faults })))
        }
    }
}

impl Outbound for Answers {
    fn send(&self, request: Request) -> BoxFuture<'static, Result<Payload, Error>> {
        let key = (request.service.to_string(), request.function.to_string());
        let answer = self.0.get(&key).cloned();
        async move {
            let Some(answer) = answer else {
                let text = format!("nobody serves {}", request.label());
                return Err(Error::of(ErrorCode::NoWorkers, text));
            };
            let args = serde_json::from_slice(&request.args.bytes)?;
            let result = answer(args)?;
            match request.until {
                Until::Result => encode(&result, Encoding::Json),
                Until::Taken => encode(&Value::Null, Encoding::Json),
            }
        }
        .boxed()
    }
}

impl std::fmt::Debug for Answers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.keys()).finish()
    }
}

impl std::fmt::Debug for TestWorker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TestWorker")
            .field("instance", &self.instance)
            .field("answers", &self.answers)
            .finish_non_exhaustive()
    }
}
