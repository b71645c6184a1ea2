//! Where commands write to.

use std::io::{self, Write};

/// Standard output and standard error, or what a test puts in their place.
pub struct Terminal<'a> {
    /// For what was asked for.
    pub out: &'a mut dyn Write,
    /// For all else.
    pub err: &'a mut dyn Write,
}

impl<'a> Terminal<'a> {
    /// A terminal of two writers.
    pub fn new(out: &'a mut dyn Write, err: &'a mut dyn Write) -> Self {
        Self { out, err }
    }

    /// Says what went wrong.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn error(&mut self, message: &str) -> io::Result<()> {
        writeln!(self.err, "error: {}", printable(message))
    }
}

/// Text of strangers, fit for a terminal: control characters are escaped, so that nobody's
/// answer moves the cursor or hides what follows.
pub(crate) fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && c != '\n' {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(
            printable("a\x1b[2Jb\u{9b}c\r\nd é"),
            "a\\u{1b}[2Jb\\u{9b}c\\r\nd é"
        );
    }
}
