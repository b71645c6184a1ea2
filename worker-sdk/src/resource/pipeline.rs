//! Resources in pipeline style: what runs is written in the order in which it runs.
//!
//! A pipeline is a list of plugs, negotiations and filters, which run as declared; then the method
//! is dispatched: OPTIONS and 405, the validators, the preconditions, the action, the entity.
//! A pipeline may instead go on with another one (`decant`), by the negotiated media type, say.

mod builder;
mod run;

use std::collections::HashMap;

use http::Method;

use super::facts::{Alternatives, Facts, Validators};
use super::{Handler, IntoSource, Languages, Outcome, Reply, Source};

pub use builder::{Pipeline, PipelineBuilder};

/// The name of the first pipeline.
const START: &str = "start";

/// The pipelines of one resource.
#[derive(Debug)]
pub(crate) struct Pipelines {
    all: HashMap<String, Built>,
}

/// A pipeline that was checked.
#[derive(Debug)]
struct Built {
    steps: Vec<PipelineStep>,
    validators: Validators,
    entity: Option<(String, Source<Reply>)>,
    methods: HashMap<Method, MethodRule>,
    decant: Option<Source<Option<String>>>,
    facts: Facts,
}

/// What runs before the method is dispatched.
#[derive(Debug)]
enum PipelineStep {
    Plug(String, Source<Outcome>),
    Negotiate(Alternatives),
    Filter(Filter, Source<bool>),
}

/// How a method is served.
#[derive(Debug)]
struct MethodRule {
    action: Option<Source<Outcome>>,
    send_entity: SendEntity,
}

/// Whether the answer to a change carries the entity.
#[derive(Debug)]
pub enum SendEntity {
    /// 200 with the entity.
    Yes,
    /// 204.
    No,
    /// What this says, asked after the action.
    If(Source<bool>),
}

impl SendEntity {
    /// What a function says, asked after the action.
    pub fn when(by: impl IntoSource<bool>) -> Self {
        Self::If(by.into_source())
    }
}

macro_rules! filters {
    ($( $name:ident $text:literal $passes:literal $handler:ident; )*) => {
        /// A question that a pipeline asks, and the handler that answers if it does not pass.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Filter {
            $( #[doc = concat!("`", $text, "`: passes if ", $passes, ".")] $name, )*
        }

        impl Filter {
            /// All filters.
            pub const ALL: &[Self] = &[$( Self::$name, )*];

            /// Its name.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $( Self::$name => $text, )*
                }
            }

            /// The answer with which a visit goes on.
            #[must_use]
            pub fn passes(self) -> bool {
                match self {
                    $( Self::$name => $passes, )*
                }
            }

            /// The handler that answers otherwise.
            #[must_use]
            pub fn handler(self) -> Handler {
                match self {
                    $( Self::$name => Handler::$handler, )*
                }
            }
        }
    };
}

filters! {
    ServiceAvailable "service_available?" true ServiceNotAvailable;
    KnownMethod "known_method?" true UnknownMethod;
    MethodAllowed "method_allowed?" true MethodNotAllowed;
    Authorized "authorized?" true Unauthorized;
    Allowed "allowed?" true Forbidden;
    ValidContentHeader "valid_content_header?" true NotImplemented;
    KnownContentType "known_content_type?" true UnsupportedMediaType;
    ValidEntityLength "valid_entity_length?" true RequestEntityTooLarge;
    Exists "exists?" true NotFound;
    UriTooLong "uri_too_long?" false UriTooLong;
    Malformed "malformed?" false Malformed;
    MultipleRepresentations "multiple_representations?" false MultipleRepresentations;
    MethodOptions "method_options?" false Options;
    Gone "gone?" false Gone;
}

impl Filter {
    /// The filter of this name, such as `exists?`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|filter| filter.name() == name)
    }
}

/// What a pipeline negotiates: only the dimensions that are declared.
#[derive(Debug)]
#[must_use]
pub struct Negotiate(Alternatives);

impl Default for Negotiate {
    fn default() -> Self {
        Self::new()
    }
}

impl Negotiate {
    /// Negotiates nothing yet.
    pub fn new() -> Self {
        Self(Alternatives {
            media_types: None,
            languages: None,
            charsets: None,
            encodings: None,
            lenient_language: false,
        })
    }

    /// By media type, the preferred one first.
    pub fn media_types(mut self, types: impl IntoSource<Vec<String>>) -> Self {
        self.0.media_types = Some(types.into_source());
        self
    }

    /// By language, the preferred one first.
    pub fn languages(mut self, languages: impl IntoSource<Vec<Languages>>) -> Self {
        self.0.languages = Some(languages.into_source());
        self
    }

    /// Answers in the first language rather than with 406 if none is acceptable.
    pub fn lenient_language(mut self) -> Self {
        self.0.lenient_language = true;
        self
    }

    /// By charset, the preferred one first.
    pub fn charsets(mut self, charsets: impl IntoSource<Vec<String>>) -> Self {
        self.0.charsets = Some(charsets.into_source());
        self
    }

    /// By content coding, the preferred one first. The entity's function encodes.
    pub fn encodings(mut self, encodings: impl IntoSource<Vec<String>>) -> Self {
        self.0.encodings = Some(encodings.into_source());
        self
    }
}
