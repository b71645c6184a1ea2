//! What translating one value may take: bytes, places and time are bounded, whatever a worker
//! declares and a client sends.

use super::TranslateError;

/// The most bytes that the literals of changes may add to one value: with `*`, a small literal is
/// written once for each element that a client sent.
pub const MAX_ADDED_BYTES: usize = 4 * 1024 * 1024;
/// The most lists and objects that changes may look into in one value: each that is opened takes
/// much more memory than its bytes.
pub const MAX_OPENED: usize = 100_000;
/// How many levels deeper than it came changes may nest one value, all of a chain together.
pub const MAX_DEEPER: usize = 32;
/// The most fields, elements and pieces of text that changes may look at in one value, all of a
/// chain together: a fraction of a second.
const MAX_WORK: usize = 32_000_000;

/// What is left of it.
#[derive(Debug)]
pub(super) struct Room {
    bytes: usize,
    opened: usize,
    levels: usize,
    work: usize,
}

impl Default for Room {
    fn default() -> Self {
        Self {
            bytes: MAX_ADDED_BYTES,
            opened: MAX_OPENED,
            levels: MAX_DEEPER,
            work: MAX_WORK,
        }
    }
}

impl Room {
    /// Adds bytes to the value. Nothing is free: keys, quotes and commas count as well.
    pub(super) fn take(&mut self, bytes: usize) -> Result<(), TranslateError> {
        spend(&mut self.bytes, bytes + 8, "changes add too much to it")
    }

    /// Opens one list or object.
    pub(super) fn open(&mut self) -> Result<(), TranslateError> {
        let why = "changes look into too many lists and objects of it";
        spend(&mut self.opened, 1, why)
    }

    /// Nests what it is done to so many levels deeper.
    pub(super) fn deepen(&mut self, levels: usize) -> Result<(), TranslateError> {
        spend(&mut self.levels, levels, "changes nest it too deep")
    }

    /// Looks at so many fields.
    pub(super) fn look(&mut self, fields: usize) -> Result<(), TranslateError> {
        spend(&mut self.work, fields + 1, "changes have too much to do")
    }

    /// Whether anything has been nested deeper.
    pub(super) fn deepened(&self) -> bool {
        self.levels < MAX_DEEPER
    }
}

fn spend(left: &mut usize, amount: usize, why: &'static str) -> Result<(), TranslateError> {
    *left = left
        .checked_sub(amount)
        .ok_or(TranslateError::TooLarge(why))?;
    Ok(())
}
