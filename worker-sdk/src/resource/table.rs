//! The decision graph, as data: every decision, where yes and no lead, every handler.
//!
//! This table is the graph. The walk follows it, the pictures are drawn from it
//! ([`graph`](super::graph)), and a test walks it: every node is reachable, every edge ends, and
//! there is no cycle. RFC 9110 decides the order, above all that of the preconditions (13.2.2).

use super::negotiate::Dimension;
use super::nodes::Edge::{self, ByAction};
use super::nodes::{Action, Handler, Node};

/// The node where a walk begins, unless a resource has another entry point.
pub const ENTRY: Node = Node::Decision(Decision::ServiceAvailable);

/// Where an error in a function of the application leads.
pub const ON_ERROR: Node = Node::Handler(Handler::Exception);

/// One decision of the graph.
#[derive(Debug)]
pub struct Row {
    /// Which decision this is.
    pub decision: Decision,
    /// Its name, in traces and pictures.
    pub name: &'static str,
    /// What it asks.
    pub asks: &'static str,
    /// How it is answered where the resource does not say.
    pub rule: Rule,
    /// Where yes leads.
    pub yes: Edge,
    /// Where no leads.
    pub no: Edge,
    /// The part of the graph that it belongs to.
    pub part: Part,
}

/// How a decision is answered where the resource does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// The application's decision, with this default.
    Ask(bool),
    /// A test of the request against the resource's properties.
    Test(Test),
}

/// A test that the graph itself does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Test {
    /// The method is one of `known_methods`.
    KnownMethod,
    /// The method is one of `allowed_methods`.
    AllowedMethod,
    /// The body of a PATCH has one of `patch_types`, if there are any.
    PatchType,
    /// The method is this one.
    Method(&'static str),
    /// The method is GET or HEAD.
    GetOrHead,
    /// The request has a header that negotiates this dimension.
    Accepts(Dimension),
    /// An acceptable alternative of this dimension is declared.
    Negotiates(Dimension),
    /// The request has this header, and its method is one with preconditions.
    Has(&'static str),
    /// The request has this header, and is a GET or HEAD.
    HasOnRead(&'static str),
    /// The value of this header is `*`.
    IsStar(&'static str),
    /// The value of this header is a date.
    IsDate(&'static str),
    /// `If-Match` has the current entity tag, by strong comparison.
    StrongMatch,
    /// `If-None-Match` has the current entity tag, by weak comparison.
    WeakMatch,
    /// Not modified after `If-Unmodified-Since`.
    Unmodified,
    /// Modified after `If-Modified-Since`.
    Modified,
}

macro_rules! decisions {
    ($( $part:ident: $title:literal {
        $( #[doc = $doc:literal] $name:ident $text:literal $rule:expr => $yes:expr, $no:expr; )*
    } )*) => {
        /// A decision of the graph.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Decision {
            $($( #[doc = $doc] $name, )*)*
        }

        /// A part of the graph: one column of its picture.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Part {
            $( #[doc = $title] $part, )*
        }

        impl Part {
            /// All parts, in the order of a walk.
            pub const ALL: &[Self] = &[$( Self::$part, )*];

            /// What the part is about.
            #[must_use]
            pub fn title(self) -> &'static str {
                match self {
                    $( Self::$part => $title, )*
                }
            }
        }

        /// The graph: one row for each [`Decision`], at the decision's own index.
        pub static TABLE: &[Row] = &[
            $($( Row {
                decision: Decision::$name,
                name: $text,
                asks: $doc,
                rule: $rule,
                yes: $yes,
                no: $no,
                part: Part::$part,
            }, )*)*
        ];
    };
}

use Action as A;
use Decision as D;
use Handler as H;
use Rule::{Ask, Test as Is};
use Test::*;

const fn d(decision: Decision) -> Edge {
    Edge::To(Node::Decision(decision))
}

const fn h(handler: Handler) -> Edge {
    Edge::To(Node::Handler(handler))
}

const fn a(action: Action) -> Edge {
    Edge::To(Node::Action(action))
}

/// Where an action leads. Its result never selects a branch.
pub(crate) const fn after(action: Action) -> Edge {
    match action {
        A::Post | A::Put => d(D::New),
        A::Patch => d(D::PatchEnacted),
        A::Delete => d(D::DeleteEnacted),
    }
}

decisions! {
    Request: "The request" {
        /// Is the service available?
        ServiceAvailable "service_available?" Ask(true) => d(D::KnownMethod), h(H::ServiceNotAvailable);
        /// Is the method one of the known methods?
        KnownMethod "known_method?" Is(KnownMethod) => d(D::UriTooLong), h(H::UnknownMethod);
        /// Is the address too long?
        UriTooLong "uri_too_long?" Ask(false) => h(H::UriTooLong), d(D::MethodAllowed);
        /// Is the method one of the allowed methods?
        MethodAllowed "method_allowed?" Is(AllowedMethod) => d(D::Malformed), h(H::MethodNotAllowed);
        /// Is the request malformed?
        Malformed "malformed?" Ask(false) => h(H::Malformed), d(D::Authorized);
        /// Is it known who asks?
        Authorized "authorized?" Ask(true) => d(D::Allowed), h(H::Unauthorized);
        /// May who asks do this?
        Allowed "allowed?" Ask(true) => d(D::ValidContentHeader), h(H::Forbidden);
        /// Are the Content-* headers understood?
        ValidContentHeader "valid_content_header?" Ask(true) => d(D::KnownContentType), h(H::NotImplemented);
        /// Is the media type of the body understood? (PATCH: one of the patch types, if declared.)
        KnownContentType "known_content_type?" Is(PatchType) => d(D::ValidEntityLength), h(H::UnsupportedMediaType);
        /// Is the body short enough?
        ValidEntityLength "valid_entity_length?" Ask(true) => d(D::MethodOptions), h(H::RequestEntityTooLarge);
        /// Is the method OPTIONS?
        MethodOptions "method_options?" Is(Method("OPTIONS")) => h(H::Options), d(D::AcceptExists);
    }
    Negotiation: "Negotiation" {
        /// Does the client say which media types it takes?
        AcceptExists "accept_exists?" Is(Accepts(Dimension::MediaType)) => d(D::MediaTypeAvailable), d(D::AcceptLanguageExists);
        /// Is one of them declared?
        MediaTypeAvailable "media_type_available?" Is(Negotiates(Dimension::MediaType)) => d(D::AcceptLanguageExists), h(H::NotAcceptable);
        /// Does the client say which languages it takes?
        AcceptLanguageExists "accept_language_exists?" Is(Accepts(Dimension::Language)) => d(D::LanguageAvailable), d(D::AcceptCharsetExists);
        /// Is one of them declared?
        LanguageAvailable "language_available?" Is(Negotiates(Dimension::Language)) => d(D::AcceptCharsetExists), h(H::NotAcceptable);
        /// Does the client say which charsets it takes?
        AcceptCharsetExists "accept_charset_exists?" Is(Accepts(Dimension::Charset)) => d(D::CharsetAvailable), d(D::AcceptEncodingExists);
        /// Is one of them declared?
        CharsetAvailable "charset_available?" Is(Negotiates(Dimension::Charset)) => d(D::AcceptEncodingExists), h(H::NotAcceptable);
        /// Does the client say which content codings it takes?
        AcceptEncodingExists "accept_encoding_exists?" Is(Accepts(Dimension::Encoding)) => d(D::EncodingAvailable), d(D::Processable);
        /// Is one of them declared?
        EncodingAvailable "encoding_available?" Is(Negotiates(Dimension::Encoding)) => d(D::Processable), h(H::NotAcceptable);
        /// Does the request make sense?
        Processable "processable?" Ask(true) => d(D::Exists), h(H::UnprocessableEntity);
        /// Does the resource exist?
        Exists "exists?" Ask(true) => d(D::IfMatchExists), d(D::MethodPut);
    }
    Preconditions: "It exists: preconditions" {
        /// Is there an If-Match?
        IfMatchExists "if_match_exists?" Is(Has("if-match")) => d(D::IfMatchStar), d(D::IfUnmodifiedSinceExists);
        /// Is it `*`?
        IfMatchStar "if_match_star?" Is(IsStar("if-match")) => d(D::IfNoneMatchExists), d(D::EtagMatchesForIfMatch);
        /// Does it list the current entity tag?
        EtagMatchesForIfMatch "etag_matches_for_if_match?" Is(StrongMatch) => d(D::IfNoneMatchExists), h(H::PreconditionFailed);
        /// Is there an If-Unmodified-Since?
        IfUnmodifiedSinceExists "if_unmodified_since_exists?" Is(Has("if-unmodified-since")) => d(D::IfUnmodifiedSinceValidDate), d(D::IfNoneMatchExists);
        /// Is it a date?
        IfUnmodifiedSinceValidDate "if_unmodified_since_valid_date?" Is(IsDate("if-unmodified-since")) => d(D::UnmodifiedSince), d(D::IfNoneMatchExists);
        /// Is the resource unmodified since then?
        UnmodifiedSince "unmodified_since?" Is(Unmodified) => d(D::IfNoneMatchExists), h(H::PreconditionFailed);
        /// Is there an If-None-Match?
        IfNoneMatchExists "if_none_match_exists?" Is(Has("if-none-match")) => d(D::IfNoneMatchStar), d(D::IfModifiedSinceExists);
        /// Is it `*`?
        IfNoneMatchStar "if_none_match_star?" Is(IsStar("if-none-match")) => d(D::MethodGetOrHead), d(D::EtagMatchesForIfNone);
        /// Does it list the current entity tag?
        EtagMatchesForIfNone "etag_matches_for_if_none?" Is(WeakMatch) => d(D::MethodGetOrHead), d(D::MethodDelete);
        /// Is the method GET or HEAD?
        MethodGetOrHead "method_get_or_head?" Is(GetOrHead) => h(H::NotModified), h(H::PreconditionFailed);
        /// Is there an If-Modified-Since, on a GET or HEAD?
        IfModifiedSinceExists "if_modified_since_exists?" Is(HasOnRead("if-modified-since")) => d(D::IfModifiedSinceValidDate), d(D::MethodDelete);
        /// Is it a date?
        IfModifiedSinceValidDate "if_modified_since_valid_date?" Is(IsDate("if-modified-since")) => d(D::ModifiedSince), d(D::MethodDelete);
        /// Is the resource modified since then?
        ModifiedSince "modified_since?" Is(Modified) => d(D::MethodDelete), h(H::NotModified);
    }
    Missing: "It does not exist" {
        /// Is the method PUT?
        MethodPut "method_put?" Is(Method("PUT")) => d(D::PutToDifferentUrl), d(D::Existed);
        /// Should it be put elsewhere?
        PutToDifferentUrl "put_to_different_url?" Ask(false) => h(H::MovedPermanently), d(D::CanPutToMissing);
        /// May a PUT create it?
        CanPutToMissing "can_put_to_missing?" Ask(true) => d(D::IfMatchExistsForMissing), h(H::NotImplemented);
        /// Did it exist once?
        Existed "existed?" Ask(false) => d(D::MovedPermanently), d(D::PostToMissing);
        /// Did it move for good?
        MovedPermanently "moved_permanently?" Ask(false) => h(H::MovedPermanently), d(D::MovedTemporarily);
        /// Did it move for a time?
        MovedTemporarily "moved_temporarily?" Ask(false) => h(H::MovedTemporarily), d(D::PostToGone);
        /// Is the method POST?
        PostToGone "post_to_gone?" Is(Method("POST")) => d(D::CanPostToGone), h(H::Gone);
        /// May a POST revive what is gone?
        CanPostToGone "can_post_to_gone?" Ask(true) => d(D::IfMatchExistsForMissing), h(H::Gone);
        /// Is the method POST?
        PostToMissing "post_to_missing?" Is(Method("POST")) => d(D::CanPostToMissing), h(H::NotFound);
        /// May a POST go to what is missing?
        CanPostToMissing "can_post_to_missing?" Ask(true) => d(D::IfMatchExistsForMissing), h(H::NotFound);
        /// Is there an If-Match, which nothing missing can satisfy?
        IfMatchExistsForMissing "if_match_exists_for_missing?" Is(Has("if-match")) => h(H::PreconditionFailed),
            ByAction { post: Node::Action(A::Post), put: Node::Decision(D::Conflict) };
    }
    Method: "The method" {
        /// Is the method DELETE?
        MethodDelete "method_delete?" Is(Method("DELETE")) => a(A::Delete), d(D::MethodPatch);
        /// Is the method PATCH?
        MethodPatch "method_patch?" Is(Method("PATCH")) => a(A::Patch), d(D::PostToExisting);
        /// Is the method POST?
        PostToExisting "post_to_existing?" Is(Method("POST")) => d(D::Conflict), d(D::PutToExisting);
        /// Is the method PUT?
        PutToExisting "put_to_existing?" Is(Method("PUT")) => d(D::Conflict), d(D::MultipleRepresentations);
        /// Is there a conflict with the current state?
        Conflict "conflict?" Ask(false) => h(H::Conflict),
            ByAction { post: Node::Action(A::Post), put: Node::Action(A::Put) };
    }
    Answer: "After the action" {
        /// Was something new created?
        New "new?" Ask(true) => d(D::CreateEnacted), d(D::RespondWithEntity);
        /// Is the creation done?
        CreateEnacted "create_enacted?" Ask(true) => h(H::Created),
            ByAction { post: Node::Decision(D::RedirectWhenCreatePostponed), put: Node::Handler(H::Accepted) };
        /// Should the client look elsewhere for a creation that is not done?
        RedirectWhenCreatePostponed "redirect_when_create_postponed?" Ask(false) => h(H::SeeOther), h(H::Accepted);
        /// Is the PATCH done?
        PatchEnacted "patch_enacted?" Ask(true) => d(D::RespondWithEntity), h(H::Accepted);
        /// Is the DELETE done?
        DeleteEnacted "delete_enacted?" Ask(true) => d(D::RespondWithEntity), h(H::Accepted);
        /// Does the answer to a change carry the resource?
        RespondWithEntity "respond_with_entity?" Ask(false) => d(D::MultipleRepresentations), h(H::NoContent);
        /// Has the resource several representations to choose from?
        MultipleRepresentations "multiple_representations?" Ask(false) => h(H::MultipleRepresentations), h(H::Ok);
    }
}

impl Decision {
    /// Its row of the table.
    #[must_use]
    pub fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }

    /// Its name, such as `exists?`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// Every decision, in the order of the table.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|row| row.decision)
    }
}
