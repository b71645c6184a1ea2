//! Why Redis did not do what it was asked.

use std::time::Duration;

/// Why Redis did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// No answer in time. The command may have run.
    #[error("Redis did not answer within {} ms", .0.as_millis())]
    TimedOut(Duration),
    /// The connection broke before the answer. The command may have run.
    #[error("the connection to Redis is lost: {0}")]
    Lost(String),
    /// A replica, or a server that still loads: it takes no writes. The command did not run.
    #[error("Redis takes no writes: {0}")]
    ReadOnly(String),
    /// Known to be away since an earlier failure, which this repeats. Nothing was sent.
    #[error("Redis is away: {0}")]
    Away(String),
    /// Redis answered with an error; it is there.
    #[error("Redis refused the command: {0}")]
    Refused(String),
    /// The answer is of another type than the command has.
    #[error("Redis answered something unexpected: {0}")]
    Unexpected(String),
}

impl Unavailable {
    /// Whether the command may have run all the same.
    #[must_use]
    pub fn may_have_run(&self) -> bool {
        match self {
            Self::TimedOut(_) | Self::Lost(_) | Self::Unexpected(_) => true,
            Self::ReadOnly(_) | Self::Away(_) | Self::Refused(_) => false,
        }
    }

    /// Whether the connection is of no more use.
    pub(super) fn is_fatal(&self) -> bool {
        match self {
            Self::TimedOut(_) | Self::Lost(_) | Self::ReadOnly(_) => true,
            Self::Away(_) | Self::Refused(_) | Self::Unexpected(_) => false,
        }
    }
}
