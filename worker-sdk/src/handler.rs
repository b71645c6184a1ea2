//! Handlers: plain async functions, in the forms that [`Handler`] lists.

use std::future::Future;

use futures_util::future::BoxFuture;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sluice_protocol::argument::ArgTypes;
use sluice_protocol::{Encoding, Payload};

use crate::args;
use crate::codec::{decode_args, encode};
use crate::context::Context;
use crate::error::Error;

/// An async function that answers a call with one result.
///
/// These forms are handlers, as functions and as closures:
///
/// - `async fn f() -> R`
/// - `async fn f(args: T) -> R`
/// - `async fn f(ctx: Context) -> R`
/// - `async fn f(ctx: Context, args: T) -> R`
///
/// `T` is any `Deserialize + JsonSchema`: the schema becomes the function's `arg_types`, which the
/// gateway checks before it calls. `R` is any `Serialize`, or a `Result<S, E>` of a `Serialize`
/// and anything that turns into an [`Error`], which every `std::error::Error` does.
///
/// ```
/// use schemars::JsonSchema;
/// use serde::Deserialize;
/// use serde_json::{Value, json};
/// use sluice_worker::{Context, Error, Worker};
///
/// #[derive(Deserialize, JsonSchema)]
/// struct Greet {
///     name: String,
/// }
///
/// async fn greet(ctx: Context, args: Greet) -> Result<Value, Error> {
///     Ok(json!({ "text": format!("hello {}", args.name), "from": ctx.instance() }))
/// }
///
/// let worker = Worker::builder("demo")
///     .function("greet", greet)
///     .function("version", async || "1.0.0");
/// # let _ = worker;
/// ```
///
/// `M` tells the forms apart; the compiler finds it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handler",
    note = "a handler is an async function of (), (args), (ctx) or (ctx, args); \
            args must be Deserialize + JsonSchema, the result Serialize or Result<Serialize, impl Into<Error>>"
)]
pub trait Handler<M>: Send + Sync + 'static {
    /// What the handler's form says about itself.
    #[doc(hidden)]
    fn facts() -> Facts;

    /// Decodes, runs, encodes.
    #[doc(hidden)]
    fn call(&self, ctx: Context, args: Payload) -> BoxFuture<'static, Result<Payload, Error>>;
}

/// What the types of a handler tell about its function.
#[doc(hidden)]
#[derive(Debug)]
pub struct Facts {
    pub(crate) arg_types: Option<ArgTypes>,
    pub(crate) mistake: Option<String>,
}

impl Facts {
    pub(crate) fn of<T: JsonSchema, O>() -> Self {
        Self {
            arg_types: args::derive::<T>(),
            mistake: result_mistake::<O>(),
        }
    }

    pub(crate) fn without_args<O>() -> Self {
        Self {
            arg_types: Some(ArgTypes::default()),
            mistake: result_mistake::<O>(),
        }
    }
}

/// Names of the forms.
pub(crate) mod form {
    /// `f()`
    #[derive(Debug)]
    pub enum NoArgs {}
    /// `f(args)`
    #[derive(Debug)]
    pub enum Args {}
    /// `f(ctx)`
    #[derive(Debug)]
    pub enum Ctx {}
    /// `f(ctx, args)`
    #[derive(Debug)]
    pub enum CtxArgs {}
    /// The result itself.
    #[derive(Debug)]
    pub enum Plain {}
    /// A `Result`.
    #[derive(Debug)]
    pub enum Fallible {}
}

/// What a handler may return.
#[doc(hidden)]
pub trait Outcome<M>: Send {
    /// The result's bytes, or the error.
    fn into_payload(self, encoding: Encoding) -> Result<Payload, Error>;
}

impl<T: Serialize + Send> Outcome<form::Plain> for T {
    fn into_payload(self, encoding: Encoding) -> Result<Payload, Error> {
        encode(&self, encoding)
    }
}

impl<T: Serialize + Send, E: Into<Error> + Send> Outcome<form::Fallible> for Result<T, E> {
    fn into_payload(self, encoding: Encoding) -> Result<Payload, Error> {
        encode(&self.map_err(Into::into)?, encoding)
    }
}

/// `Result<T, String>` is `Serialize` too, and would be sent as `{"Err": …}` in a success.
fn result_mistake<O>() -> Option<String> {
    let name = std::any::type_name::<O>();
    name.starts_with("core::result::Result<").then(|| {
        "the handler's error type is Serialize and does not turn into sluice_worker::Error, so a \
         failure would be sent as a success: return Result<_, sluice_worker::Error>"
            .to_owned()
    })
}

/// The type to look at for [`result_mistake`]: none for results that are taken apart.
#[doc(hidden)]
pub trait Seen {
    /// It.
    type As<R>;
}

impl Seen for form::Plain {
    type As<R> = R;
}

impl Seen for form::Fallible {
    type As<R> = ();
}

impl<F, Fut, O> Handler<(form::NoArgs, O)> for F
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future + Send + 'static,
    Fut::Output: Outcome<O>,
    O: Seen,
{
    fn facts() -> Facts {
        Facts::without_args::<O::As<Fut::Output>>()
    }

    fn call(&self, _: Context, args: Payload) -> BoxFuture<'static, Result<Payload, Error>> {
        let work = self();
        Box::pin(async move { work.await.into_payload(args.encoding) })
    }
}

impl<F, Fut, T, O> Handler<(form::Args, T, O)> for F
where
    F: Fn(T) -> Fut + Send + Sync + 'static,
    Fut: Future + Send + 'static,
    T: DeserializeOwned + JsonSchema + 'static,
    Fut::Output: Outcome<O>,
    O: Seen,
{
    fn facts() -> Facts {
        Facts::of::<T, O::As<Fut::Output>>()
    }

    fn call(&self, _: Context, args: Payload) -> BoxFuture<'static, Result<Payload, Error>> {
        let work = decode_args(&args).map(self);
        Box::pin(async move { work?.await.into_payload(args.encoding) })
    }
}

impl<F, Fut, O> Handler<(form::Ctx, O)> for F
where
    F: Fn(Context) -> Fut + Send + Sync + 'static,
    Fut: Future + Send + 'static,
    Fut::Output: Outcome<O>,
    O: Seen,
{
    fn facts() -> Facts {
        Facts::without_args::<O::As<Fut::Output>>()
    }

    fn call(&self, ctx: Context, args: Payload) -> BoxFuture<'static, Result<Payload, Error>> {
        let work = self(ctx);
        Box::pin(async move { work.await.into_payload(args.encoding) })
    }
}

impl<F, Fut, T, O> Handler<(form::CtxArgs, T, O)> for F
where
    F: Fn(Context, T) -> Fut + Send + Sync + 'static,
    Fut: Future + Send + 'static,
    T: DeserializeOwned + JsonSchema + 'static,
    Fut::Output: Outcome<O>,
    O: Seen,
{
    fn facts() -> Facts {
        Facts::of::<T, O::As<Fut::Output>>()
    }

    fn call(&self, ctx: Context, args: Payload) -> BoxFuture<'static, Result<Payload, Error>> {
        let work = decode_args(&args).map(|args| self(ctx, args));
        Box::pin(async move { work?.await.into_payload(args.encoding) })
    }
}
