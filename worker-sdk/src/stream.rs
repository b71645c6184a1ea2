//! Streams: handlers that send items, and the sender that makes them wait for the client.

use std::future::Future;
use std::marker::PhantomData;

use futures_util::future::BoxFuture;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sluice_protocol::Payload;

use crate::codec::{decode_args, encode_sized};
use crate::context::Context;
use crate::error::Error;
use crate::handler::{Facts, Outcome, Seen, form};
use crate::runtime::stream::Lane;

/// An async function that answers a call with items.
///
/// These forms are stream handlers, as functions and as closures:
///
/// - `async fn f(out: StreamSender<I>) -> R`
/// - `async fn f(args: T, out: StreamSender<I>) -> R`
/// - `async fn f(ctx: Context, args: T, out: StreamSender<I>) -> R`
///
/// `R` is `()` or a `Result<(), E>` as for a [`crate::Handler`]. The stream ends when the handler
/// returns; an error ends it with that error.
///
/// ```
/// use schemars::JsonSchema;
/// use serde::Deserialize;
/// use sluice_worker::{Context, Error, StreamSender, Worker};
///
/// #[derive(Deserialize, JsonSchema)]
/// struct Count {
///     to: u64,
/// }
///
/// async fn count(_ctx: Context, args: Count, out: StreamSender<u64>) -> Result<(), Error> {
///     for n in 1..=args.to {
///         out.send(n).await?;
///     }
///     Ok(())
/// }
///
/// let worker = Worker::builder("demo").stream("count", count);
/// # let _ = worker;
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a stream handler",
    note = "a stream handler is an async function of (out), (args, out) or (ctx, args, out); \
            args must be Deserialize + JsonSchema, out a StreamSender, the result () or Result<(), impl Into<Error>>"
)]
pub trait StreamHandler<M>: Send + Sync + 'static {
    /// What the handler's form says about itself.
    #[doc(hidden)]
    fn facts() -> Facts;

    /// Decodes and runs.
    #[doc(hidden)]
    fn run(&self, ctx: Context, args: Payload, lane: Lane)
    -> BoxFuture<'static, Result<(), Error>>;
}

/// Sends the items of one stream. Clones send into the same stream.
#[derive(Debug)]
pub struct StreamSender<I> {
    lane: Lane,
    items: PhantomData<fn(I)>,
}

impl<I> Clone for StreamSender<I> {
    fn clone(&self) -> Self {
        Self::new(self.lane.clone())
    }
}

impl<I> StreamSender<I> {
    fn new(lane: Lane) -> Self {
        Self {
            lane,
            items: PhantomData,
        }
    }

    /// How many items were sent.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.lane.sent()
    }
}

impl<I: Serialize> StreamSender<I> {
    /// Sends one item, as soon as the client has room for it.
    ///
    /// Items that follow each other closely may travel together; they leave as soon as the handler
    /// waits for anything.
    ///
    /// # Errors
    /// - `cancelled`, `stream_lost` or `timeout` when nobody listens any more; leave the handler
    ///   with it. (The handler's future is dropped too: this shows in tasks of its own.)
    /// - `payload_too_large` when the item is larger than the broker takes. Nothing was sent, and
    ///   the stream may go on.
    /// - `stream_closed` when the stream has ended already.
    pub async fn send(&self, item: I) -> Result<(), Error> {
        self.lane.send(self.encoded(&item)?, false).await
    }

    /// Sends the last item: it is marked as such, and the stream ends with it.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub async fn send_last(&self, item: I) -> Result<(), Error> {
        self.lane.send(self.encoded(&item)?, true).await
    }

    fn encoded(&self, item: &I) -> Result<Payload, Error> {
        encode_sized(item, self.lane.encoding(), self.lane.usual_size())
    }
}

impl<F, Fut, I, O> StreamHandler<(form::NoArgs, I, O)> for F
where
    F: Fn(StreamSender<I>) -> Fut + Send + Sync + 'static,
    Fut: Future + Send + 'static,
    I: Serialize + 'static,
    Fut::Output: Outcome<O>,
    O: Seen,
{
    fn facts() -> Facts {
        Facts::without_args::<O::As<Fut::Output>>()
    }

    fn run(&self, _: Context, _: Payload, lane: Lane) -> BoxFuture<'static, Result<(), Error>> {
        let encoding = lane.encoding();
        let work = self(StreamSender::new(lane));
        Box::pin(async move { work.await.into_payload(encoding).map(drop) })
    }
}

impl<F, Fut, T, I, O> StreamHandler<(form::Args, T, I, O)> for F
where
    F: Fn(T, StreamSender<I>) -> Fut + Send + Sync + 'static,
    Fut: Future + Send + 'static,
    T: DeserializeOwned + JsonSchema + 'static,
    I: Serialize + 'static,
    Fut::Output: Outcome<O>,
    O: Seen,
{
    fn facts() -> Facts {
        Facts::of::<T, O::As<Fut::Output>>()
    }

    fn run(&self, _: Context, args: Payload, lane: Lane) -> BoxFuture<'static, Result<(), Error>> {
        let encoding = lane.encoding();
        let work = decode_args(&args).map(|args| self(args, StreamSender::new(lane)));
        Box::pin(async move { work?.await.into_payload(encoding).map(drop) })
    }
}

impl<F, Fut, T, I, O> StreamHandler<(form::CtxArgs, T, I, O)> for F
where
    F: Fn(Context, T, StreamSender<I>) -> Fut + Send + Sync + 'static,
    Fut: Future + Send + 'static,
    T: DeserializeOwned + JsonSchema + 'static,
    I: Serialize + 'static,
    Fut::Output: Outcome<O>,
    O: Seen,
{
    fn facts() -> Facts {
        Facts::of::<T, O::As<Fut::Output>>()
    }

    fn run(
        &self,
        ctx: Context,
        args: Payload,
        lane: Lane,
    ) -> BoxFuture<'static, Result<(), Error>> {
        let encoding = lane.encoding();
        let work = decode_args(&args).map(|args| self(ctx, args, StreamSender::new(lane)));
        Box::pin(async move { work?.await.into_payload(encoding).map(drop) })
    }
}
