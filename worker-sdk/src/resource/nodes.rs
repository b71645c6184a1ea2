//! What the decision graph is made of: decisions, actions, handlers, and edges between them.

use std::fmt;

use super::table::Decision;

/// A node of the graph: what a walk stands at, and what a decision may delegate to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Node {
    /// Asks, and goes on by the answer.
    Decision(Decision),
    /// Changes something, and goes on.
    Action(Action),
    /// Answers: the end of a walk.
    Handler(Handler),
}

/// Where an answer leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edge {
    /// To this node.
    To(Node),
    /// To `post` if the walk is a POST, to `put` if it is anything else.
    ///
    /// Which it is says the action that has run, or else the request's method.
    ByAction {
        /// For a POST.
        post: Node,
        /// For a PUT.
        put: Node,
    },
}

impl Edge {
    /// Every node that it may lead to.
    pub fn ends(self) -> impl Iterator<Item = Node> {
        let (first, second) = match self {
            Self::To(node) => (node, None),
            Self::ByAction { post, put } => (post, Some(put)),
        };
        std::iter::once(first).chain(second)
    }

    pub(crate) fn end(self, post: bool) -> Node {
        match self {
            Self::To(node) => node,
            Self::ByAction { post: node, .. } if post => node,
            Self::ByAction { put, .. } => put,
        }
    }
}

macro_rules! names {
    ($(#[$meta:meta])* $type:ident { $( $(#[$doc:meta])* $name:ident $text:literal, )* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $type {
            $( $(#[$doc])* $name, )*
        }

        impl $type {
            /// All of them.
            pub const ALL: &[Self] = &[$( Self::$name, )*];

            /// The name, in traces and pictures.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $( Self::$name => $text, )*
                }
            }
        }
    };
}

names! {
    /// What changes a resource: one for each method that does.
    Action {
        /// Creates below the resource, or processes.
        Post "post",
        /// Replaces or creates the resource.
        Put "put",
        /// Changes the resource.
        Patch "patch",
        /// Deletes the resource.
        Delete "delete",
    }
}

impl Action {
    /// The method that it belongs to.
    #[must_use]
    pub fn method(self) -> http::Method {
        match self {
            Self::Post => http::Method::POST,
            Self::Put => http::Method::PUT,
            Self::Patch => http::Method::PATCH,
            Self::Delete => http::Method::DELETE,
        }
    }
}

macro_rules! handlers {
    ($( $name:ident $text:literal $status:literal $body:literal; )*) => {
        names! {
            /// What answers: the end of a walk. Each can be overridden.
            Handler { $( #[doc = concat!("Answers ", $status, ".")] $name $text, )* }
        }

        impl Handler {
            /// The status that it answers with.
            #[must_use]
            pub fn status(self) -> u16 {
                match self {
                    $( Self::$name => $status, )*
                }
            }

            /// The sentence that it answers with unless it is overridden.
            #[must_use]
            pub fn default_body(self) -> &'static str {
                match self {
                    $( Self::$name => $body, )*
                }
            }
        }
    };
}

handlers! {
    Ok "handle_ok" 200 "OK";
    Options "handle_options" 200 "";
    Created "handle_created" 201 "";
    Accepted "handle_accepted" 202 "Accepted.";
    NoContent "handle_no_content" 204 "";
    MultipleRepresentations "handle_multiple_representations" 300 "";
    MovedPermanently "handle_moved_permanently" 301 "";
    SeeOther "handle_see_other" 303 "";
    NotModified "handle_not_modified" 304 "";
    MovedTemporarily "handle_moved_temporarily" 307 "";
    Malformed "handle_malformed" 400 "Bad request.";
    Unauthorized "handle_unauthorized" 401 "Not authorized.";
    Forbidden "handle_forbidden" 403 "Forbidden.";
    NotFound "handle_not_found" 404 "Resource not found.";
    MethodNotAllowed "handle_method_not_allowed" 405 "Method not allowed.";
    NotAcceptable "handle_not_acceptable" 406 "No acceptable resource available.";
    Conflict "handle_conflict" 409 "Conflict.";
    Gone "handle_gone" 410 "Resource is gone.";
    PreconditionFailed "handle_precondition_failed" 412 "Precondition failed.";
    RequestEntityTooLarge "handle_request_entity_too_large" 413 "Request entity too large.";
    UriTooLong "handle_uri_too_long" 414 "Request URI too long.";
    UnsupportedMediaType "handle_unsupported_media_type" 415 "Unsupported media type.";
    UnprocessableEntity "handle_unprocessable_entity" 422 "Unprocessable entity.";
    Exception "handle_exception" 500 "Internal server error.";
    NotImplemented "handle_not_implemented" 501 "Not implemented.";
    UnknownMethod "handle_unknown_method" 501 "Unknown method.";
    ServiceNotAvailable "handle_service_not_available" 503 "Service not available.";
}

impl Node {
    /// Every node of the graph.
    pub fn all() -> impl Iterator<Item = Self> {
        let actions = Action::ALL.iter().copied().map(Self::Action);
        let handlers = Handler::ALL.iter().copied().map(Self::Handler);
        Decision::all()
            .map(Self::Decision)
            .chain(actions)
            .chain(handlers)
    }

    /// The node of this name, such as `exists?`, `put` or `handle_ok`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::all().find(|node| node.name() == name)
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Decision(decision) => decision.name(),
            Self::Action(action) => action.name(),
            Self::Handler(handler) => handler.name(),
        }
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl From<Decision> for Node {
    fn from(decision: Decision) -> Self {
        Self::Decision(decision)
    }
}

impl From<Action> for Node {
    fn from(action: Action) -> Self {
        Self::Action(action)
    }
}

impl From<Handler> for Node {
    fn from(handler: Handler) -> Self {
        Self::Handler(handler)
    }
}
