//! What a handler may know of its call, and the way to other functions.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sluice_protocol::headers::CallHeaders;
use sluice_protocol::{ApiVersion, FunctionName, Identity, InstanceId, ServiceName};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::call::{Call, Outbound};

/// The call that a handler serves. Cloning is cheap; clones may outlive the handler.
///
/// ```
/// use std::time::Duration;
/// use serde_json::{Value, json};
/// use sluice_worker::{Context, Error};
///
/// async fn profile(ctx: Context) -> Result<Value, Error> {
///     let user = ctx.identity().user_id.clone().unwrap_or_default();
///     let orders: Vec<Value> = ctx
///         .call("orders", "list", json!({ "user": user }))
///         .version("1.0.0")
///         .timeout(Duration::from_secs(1))
///         .await?;
///     Ok(json!({ "user": user, "orders": orders }))
/// }
/// # let _ = profile;
/// ```
#[derive(Debug, Clone)]
pub struct Context(Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) headers: CallHeaders,
    pub(crate) service: ServiceName,
    pub(crate) function: FunctionName,
    pub(crate) version: Option<ApiVersion>,
    pub(crate) instance: InstanceId,
    pub(crate) deadline: Option<Instant>,
    pub(crate) cancel: CancellationToken,
    pub(crate) outbound: Arc<dyn Outbound>,
}

impl Context {
    pub(crate) fn new(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }

    /// The client's id of its request.
    #[must_use]
    pub fn request_id(&self) -> &str {
        &self.0.headers.request_id
    }

    /// The gateway's id of the call, the same in each attempt: a key for doing things once.
    #[must_use]
    pub fn call_id(&self) -> &str {
        &self.0.headers.call_id
    }

    /// For whom, as the gateway has verified it.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.0.headers.identity
    }

    /// 1 for the first attempt, 2 for the first retry.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.0.headers.attempt
    }

    /// W3C Trace Context of the caller, where it sent one.
    #[must_use]
    pub fn traceparent(&self) -> Option<&str> {
        self.0.headers.traceparent.as_deref()
    }

    /// Time that is left until the caller gives up; `None`: no limit is known.
    ///
    /// Sync and async handlers that go on a second longer are dropped.
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        self.0
            .deadline
            .map(|d| d.saturating_duration_since(Instant::now()))
    }

    /// When the caller gives up.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.0.deadline
    }

    /// Resolves when nobody waits for the call any more.
    ///
    /// The handler's future is dropped at that moment in any case; this is for tasks and threads
    /// that it has started.
    ///
    /// ```
    /// use sluice_worker::{Context, Error};
    ///
    /// async fn work(ctx: Context) -> Result<(), Error> {
    ///     let helper = ctx.clone();
    ///     tokio::spawn(async move {
    ///         helper.cancelled().await; // tidy up
    ///     });
    ///     Ok(())
    /// }
    /// # let _ = work;
    /// ```
    pub async fn cancelled(&self) {
        self.0.cancel.cancelled().await;
    }

    /// Whether nobody waits any more; for loops in blocking code.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.cancel.is_cancelled()
    }

    /// [`Self::cancelled`] as a token, to pass on.
    #[must_use]
    pub fn cancellation(&self) -> CancellationToken {
        self.0.cancel.clone()
    }

    /// The instance that serves the call: this one.
    #[must_use]
    pub fn instance(&self) -> &InstanceId {
        &self.0.instance
    }

    /// The service that was called.
    #[must_use]
    pub fn service(&self) -> &ServiceName {
        &self.0.service
    }

    /// The function that was called.
    #[must_use]
    pub fn function(&self) -> &FunctionName {
        &self.0.function
    }

    /// Its version.
    #[must_use]
    pub fn version(&self) -> Option<&ApiVersion> {
        self.0.version.as_ref()
    }

    /// Calls a function of any worker, over NATS: see [`Call`].
    ///
    /// The callee sees the same identity, request id and trace, and no more time than is left
    /// here. The call passes by the gateway: no permission, limit, hook or argument rule of the
    /// function is applied.
    pub fn call<T: DeserializeOwned>(
        &self,
        service: &str,
        function: &str,
        args: impl Serialize,
    ) -> Call<T> {
        Call::new(self, service, function, &args)
    }

    pub(crate) fn headers(&self) -> &CallHeaders {
        &self.0.headers
    }

    pub(crate) fn outbound(&self) -> &Arc<dyn Outbound> {
        &self.0.outbound
    }
}
