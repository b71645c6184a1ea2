use std::fmt;

/// What went wrong in the harness: a text for the reader of a failed test.
///
/// `Debug` prints the text as it is, so that `unwrap` and a returned error are readable.
pub struct Error(String);

/// Result of everything in the harness that can fail.
pub type Result<T = (), E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error with this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Puts what was being done before the cause: `context: cause`.
    pub fn because(context: impl fmt::Display, cause: impl fmt::Display) -> Self {
        Self(format!("{context}: {cause}"))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}
