//! Calls from a handler to other functions.

use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sluice_protocol::headers::CallHeaders;
use sluice_protocol::{ApiVersion, Encoding, ErrorCode, FunctionName, Payload, ServiceName};

use crate::codec::{decode_result, encode};
use crate::context::Context;
use crate::error::Error;

/// How long a call may take if neither its caller nor the call says so.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

/// A call to another function, not sent before it is awaited.
///
/// It goes to any worker of the function, by the broker's choice. Without [`Self::version`] it
/// reaches the function that was registered *without* a version, and no other: the latest version
/// is a matter of the gateway, which this call passes by.
///
/// A stream cannot be called this way. An async function's final result is awaited.
///
/// # Errors
/// The callee's error as it is; besides, `no_workers` when nobody serves the function in this
/// version, `timeout`, and `worker_lost` when the worker fell silent.
#[must_use = "a call is sent when it is awaited"]
pub struct Call<T> {
    request: Result<Request, Error>,
    outbound: Arc<dyn Outbound>,
    result: PhantomData<fn() -> T>,
}

/// A call on its way out.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) service: ServiceName,
    pub(crate) function: FunctionName,
    pub(crate) version: Option<ApiVersion>,
    pub(crate) args: Payload,
    /// Complete but for the call id.
    pub(crate) headers: CallHeaders,
    pub(crate) until: Until,
}

/// When a call is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Until {
    /// With its final reply.
    Result,
    /// As soon as a worker has taken it.
    Taken,
}

impl Request {
    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_millis(self.headers.deadline_ms)
    }

    /// `service.function@version`, for messages.
    pub(crate) fn label(&self) -> String {
        match &self.version {
            Some(version) => format!("{}.{}@{version}", self.service, self.function),
            None => format!("{}.{} (no version)", self.service, self.function),
        }
    }
}

/// Where calls go: NATS, or a test's answers.
pub(crate) trait Outbound: Send + Sync + std::fmt::Debug {
    /// Sends the call and waits for its result; `null` where only [`Until::Taken`] was asked.
    fn send(&self, request: Request) -> BoxFuture<'static, Result<Payload, Error>>;
}

impl<T> Call<T> {
    pub(crate) fn new(ctx: &Context, service: &str, function: &str, args: &impl Serialize) -> Self {
        let request = (|| {
            let left = ctx.remaining().unwrap_or(DEFAULT_TIMEOUT);
            Ok(Request {
                service: ServiceName::new(service).map_err(Error::internal)?,
                function: FunctionName::new(function).map_err(Error::internal)?,
                version: None,
                args: encode(args, Encoding::Json)?,
                headers: CallHeaders {
                    call_id: String::new(),
                    deadline_ms: millis(left),
                    attempt: 1,
                    credit: None,
                    batch: false,
                    encoding: Encoding::Json,
                    ..ctx.headers().clone()
                },
                until: Until::Result,
            })
        })();
        Self {
            request,
            outbound: ctx.outbound().clone(),
            result: PhantomData,
        }
    }

    /// The version to call.
    pub fn version(mut self, version: &str) -> Self {
        self.request = self.request.and_then(|mut request| {
            request.version = Some(ApiVersion::new(version).map_err(Error::internal)?);
            Ok(request)
        });
        self
    }

    /// Most time for the call; never more than the caller has left.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        if let Ok(request) = &mut self.request {
            let headers = &mut request.headers;
            headers.deadline_ms = headers.deadline_ms.min(millis(timeout));
        }
        self
    }

    /// Waits only until a worker has taken the call: for functions without result.
    ///
    /// # Errors
    /// As for the call itself; what fails after that shows in the worker's log alone.
    pub fn taken(self) -> impl Future<Output = Result<(), Error>> + Send {
        let request = self.request.map(|request| Request {
            until: Until::Taken,
            ..request
        });
        let outbound = self.outbound;
        async move { outbound.send(request?).await.map(drop) }
    }
}

impl<T: DeserializeOwned + 'static> IntoFuture for Call<T> {
    type Output = Result<T, Error>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        async move {
            let request = self.request?;
            if request.headers.deadline_ms == 0 {
                return Err(Error::of(ErrorCode::Timeout, "no time is left for a call"));
            }
            decode_result(&self.outbound.send(request).await?)
        }
        .boxed()
    }
}

impl<T> std::fmt::Debug for Call<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Call")
            .field("request", &self.request)
            .finish_non_exhaustive()
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
