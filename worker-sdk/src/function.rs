//! One function as a worker offers it: a handler, and everything that the gateway should know.

mod fields;

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use sluice_protocol::function::{Kind, ResponseType};
use sluice_protocol::registry::Reason;
use sluice_protocol::{ApiVersion, FunctionName, FunctionSpec, Payload, ServiceName};

use crate::context::Context;
use crate::error::Error;
use crate::handler::{Facts, Handler};
use crate::resource::{Resource, serve};
use crate::runtime::stream::Lane;
use crate::stream::StreamHandler;

type Unary =
    Arc<dyn Fn(Context, Payload) -> BoxFuture<'static, Result<Payload, Error>> + Send + Sync>;
type Streaming =
    Arc<dyn Fn(Context, Payload, Lane) -> BoxFuture<'static, Result<(), Error>> + Send + Sync>;

/// A handler without its type.
#[derive(Clone)]
pub(crate) enum Body {
    Unary(Unary),
    Stream(Streaming),
}

/// A function: made with [`Self::sync`], [`Self::asynchronous`], [`Self::stream`] or
/// [`Self::none`], refined by the methods, given to
/// [`crate::WorkerBuilder::function_with`].
///
/// Mistakes are reported all at once when the worker starts.
///
/// ```
/// use serde_json::Value;
/// use std::time::Duration;
/// use sluice_worker::{Function, Worker};
///
/// async fn close_account(args: Value) -> bool {
///     !args.is_null()
/// }
///
/// let worker = Worker::builder("accounts").function_with(
///     Function::sync("close", close_account)
///         .version("1.2.0")
///         .description("closes an account for good")
///         .timeout(Duration::from_secs(10))
///         .sticky("account_id")
///         .require_role("admin")
///         .before_execute("auth", "check")
///         .max_in_flight(20),
/// );
/// # let _ = worker;
/// ```
#[derive(Clone)]
#[must_use]
pub struct Function {
    name: String,
    version: Option<String>,
    /// Complete but for its names, which are checked at the start.
    draft: FunctionSpec,
    mistakes: Vec<(&'static str, String)>,
    body: Body,
}

impl Function {
    /// A function that answers with one result while the caller waits.
    pub fn sync<H: Handler<M>, M>(name: &str, handler: H) -> Self {
        Self::unary(name, ResponseType::Sync, handler)
    }

    /// A function whose caller gets an acknowledgement at once and the result later.
    pub fn asynchronous<H: Handler<M>, M>(name: &str, handler: H) -> Self {
        Self::unary(name, ResponseType::Async, handler)
    }

    /// A function whose caller gets nothing on success. Errors are only logged.
    pub fn none<H: Handler<M>, M>(name: &str, handler: H) -> Self {
        Self::unary(name, ResponseType::None, handler)
    }

    /// A function that answers with items.
    pub fn stream<H: StreamHandler<M>, M>(name: &str, handler: H) -> Self {
        let body = Body::Stream(Arc::new(move |ctx, args, lane| {
            handler.run(ctx, args, lane)
        }));
        Self::new(name, ResponseType::Stream, H::facts(), body)
    }

    /// An HTTP resource, at the path of a route: `/books/{id}`, or `/files/{*path}` for all below.
    /// Said again with [`Self::route`], one more path.
    ///
    /// The gateway passes on every request at that path, whatever its method, and the resource
    /// answers it.
    ///
    /// ```
    /// use sluice_worker::resource::{Reply, Resource, with};
    /// use sluice_worker::{Function, Worker};
    ///
    /// let book = Resource::graph()
    ///     .get(with(|visit| Reply::text(visit.text_param("id"))))
    ///     .build()?;
    /// let worker = Worker::builder("library")
    ///     .function_with(Function::resource("book", "/books/{id}", book));
    /// # let _ = worker;
    /// # Ok::<(), sluice_worker::resource::BuildError>(())
    /// ```
    pub fn resource(name: &str, path: &str, resource: Resource) -> Self {
        Self::of_resource(name, path, ResponseType::Sync, serve::whole(resource))
    }

    /// An HTTP resource whose responses are sent in pieces: bodies may be larger than a message of
    /// the broker, and may come bit by bit ([`crate::resource::Reply::stream`]).
    pub fn streaming_resource(name: &str, path: &str, resource: Resource) -> Self {
        Self::of_resource(name, path, ResponseType::Stream, serve::in_pieces(resource))
    }

    fn of_resource(name: &str, path: &str, response_type: ResponseType, body: Body) -> Self {
        let facts = Facts {
            arg_types: None,
            mistake: None,
        };
        let mut function = Self::new(name, response_type, facts, body);
        function.draft.kind = Kind::Resource;
        function.route(path)
    }

    fn unary<H: Handler<M>, M>(name: &str, response_type: ResponseType, handler: H) -> Self {
        let body = Body::Unary(Arc::new(move |ctx, args| handler.call(ctx, args)));
        Self::new(name, response_type, H::facts(), body)
    }

    fn new(name: &str, response_type: ResponseType, facts: Facts, body: Body) -> Self {
        let mut function = Self {
            name: name.to_owned(),
            version: None,
            draft: nameless(),
            mistakes: facts.mistake.map(|m| ("handler", m)).into_iter().collect(),
            body,
        };
        function.draft.response_type = response_type;
        function.draft.arg_types = facts.arg_types;
        function
    }

    /// The finished function of `service`, whose version stands in where it has none of its own.
    pub(crate) fn finish(
        self,
        service: &ServiceName,
        default_version: Option<&str>,
    ) -> Result<(FunctionSpec, Body), Vec<Reason>> {
        let mut mistakes = self.mistakes;
        let mut take = |field, fault: &dyn fmt::Display| mistakes.push((field, fault.to_string()));
        let mut spec = self.draft;
        spec.service = service.clone();
        match FunctionName::new(&self.name) {
            Ok(name) => spec.request_type = name,
            Err(fault) => take("request_type", &fault),
        }
        match self.version.as_deref().or(default_version) {
            Some(sluice_protocol::version::LATEST) => {
                take("version", &"\"0.0.0\" means the latest and is no version");
            }
            Some(version) => match ApiVersion::new(version) {
                Ok(version) => spec.version = Some(version),
                Err(fault) => take("version", &fault),
            },
            None => {}
        }
        if mistakes.is_empty() {
            return Ok((spec, self.body));
        }
        let label = format!("{service}.{}", self.name);
        Err(mistakes
            .into_iter()
            .map(|(field, message)| Reason {
                function: label.clone(),
                field: field.to_owned(),
                message,
            })
            .collect())
    }
}

fn nameless() -> FunctionSpec {
    #[expect(clippy::expect_used, reason = "the constant is a name")]
    let names = (
        ServiceName::new("-").expect("a name"),
        FunctionName::new("-").expect("a name"),
    );
    FunctionSpec::new(names.0, names.1)
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Function")
            .field("name", &self.name)
            .field("version", &self.version)
            .field("spec", &self.draft)
            .finish_non_exhaustive()
    }
}
