//! Content negotiation: which of the declared alternatives a client likes best.
//!
//! Pure functions over header values and declared alternatives. The rules are RFC 9110 section
//! 12; where it is silent: equal qualities go to what was declared first, a `q` that cannot be read
//! is 0.001, one above 1 is 1. The spelling of the declaration is returned.

mod language;
mod list;
mod media;
mod token;

use std::fmt;

pub use language::{Languages, language};
pub use list::joined;
pub(crate) use list::says_something;
pub use media::media_type;
pub(crate) use media::{MediaType, same_type};
pub use token::{charset, encoding};
pub(crate) use token::{is_identity, with_identity};

/// What is negotiated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dimension {
    /// By `Accept`.
    MediaType,
    /// By `Accept-Language`.
    Language,
    /// By `Accept-Charset`.
    Charset,
    /// By `Accept-Encoding`.
    Encoding,
}

impl Dimension {
    /// All of them, in the order in which they are negotiated.
    pub const ALL: [Self; 4] = [
        Self::MediaType,
        Self::Language,
        Self::Charset,
        Self::Encoding,
    ];

    /// The header by which a client says what it takes.
    #[must_use]
    pub fn header(self) -> &'static str {
        match self {
            Self::MediaType => "Accept",
            Self::Language => "Accept-Language",
            Self::Charset => "Accept-Charset",
            Self::Encoding => "Accept-Encoding",
        }
    }
}

/// A declared alternative cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{declared:?} is no {what}")]
pub struct Undeclarable {
    /// What was declared.
    pub declared: String,
    /// What it should be.
    pub what: Noun,
}

/// What an alternative should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Noun(pub(crate) &'static str);

impl fmt::Display for Noun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// A quality in millionths: 1 is [`FULL`].
pub(crate) type Quality = u32;

pub(crate) const FULL: Quality = 1_000_000;
/// Of a `q` that cannot be read.
pub(crate) const UNREADABLE: Quality = 1_000;
/// Of what is acceptable without being listed: an identity coding, a neutral language.
pub(crate) const UNLISTED: Quality = 1;

/// The best candidate: by quality, then by the server's weight, then by order of declaration.
fn best<T>(candidates: impl Iterator<Item = (T, Quality, Quality)>) -> Option<T> {
    let mut best: Option<(T, Quality, Quality)> = None;
    for candidate in candidates.filter(|(_, quality, _)| *quality > 0) {
        let better = best
            .as_ref()
            .is_none_or(|(_, quality, weight)| (candidate.1, candidate.2) > (*quality, *weight));
        if better {
            best = Some(candidate);
        }
    }
    best.map(|(winner, _, _)| winner)
}
