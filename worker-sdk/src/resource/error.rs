//! What can be wrong with a resource, known when it is built.

use http::Method;

use super::negotiate::Undeclarable;
use super::{Action, Decision};

/// A resource cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A method is allowed, but nothing implements it.
    #[error("{} is allowed, but the resource has no action {}", .0.method(), .0.name())]
    NoAction(Action),
    /// Decisions with constant answers delegate to each other.
    #[error("from {} constant decisions lead in a circle", .0.name())]
    Loop(Decision),
    /// A media type cannot be read.
    #[error(transparent)]
    Undeclarable(#[from] Undeclarable),
    /// The challenge is not the value of a header.
    #[error("the challenge cannot be the value of a header")]
    Challenge,
    /// A pipeline says something twice.
    #[error("the pipeline {pipeline} declares {what} twice")]
    Twice {
        /// The name of the pipeline.
        pipeline: String,
        /// What it declares.
        what: String,
    },
    /// A pipeline has a method that answers with the entity, but no entity.
    #[error("the pipeline {pipeline} answers {method} with the entity, but has none")]
    NoEntity {
        /// The name of the pipeline.
        pipeline: String,
        /// The method.
        method: Method,
    },
    /// A pipeline has neither methods nor another pipeline to go on with.
    #[error("the pipeline {0} has no methods, and does not go on with another one")]
    NoMethods(String),
    /// Pipelines are told apart by their names, and `start` is the first one.
    #[error("there are two pipelines of the name {0}")]
    SameName(String),
}
