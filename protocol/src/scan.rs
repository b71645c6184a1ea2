//! Where a JSON value ends, found quickly; and strings, written so.
//!
//! Not a second parser with an opinion of its own: what is accepted here is what `serde_json`
//! accepts, and whatever is not plainly that yields `None`, upon which callers ask `serde_json`,
//! whose verdict and words count. A property test holds one against the other.
//!
//! Everything works on text that is known to be UTF-8.

#[cfg(test)]
mod tests;

/// Deeper values are left to `serde_json`.
const MAX_DEPTH: u32 = 60;

/// Whether `text` is exactly one value; false: ask `serde_json`.
#[must_use]
pub fn is_value(text: &str) -> bool {
    let bytes = text.as_bytes();
    let end = value(bytes, space(bytes, 0));
    end.is_some_and(|end| space(bytes, end) == bytes.len())
}

/// The place after white space.
#[must_use]
#[inline]
pub fn space(text: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\n' | b'\t' | b'\r') = text.get(at) {
        at += 1;
    }
    at
}

/// The place after `byte` and the white space around it.
#[must_use]
#[inline]
pub fn token(text: &[u8], at: usize, byte: u8) -> Option<usize> {
    let at = space(text, at);
    (text.get(at) == Some(&byte)).then(|| space(text, at + 1))
}

/// The string that begins at `at`, and the place after it; only without escapes.
#[must_use]
#[inline]
pub fn plain_string(text: &str, at: usize) -> Option<(&str, usize)> {
    let bytes = text.as_bytes();
    if bytes.get(at) != Some(&b'"') {
        return None;
    }
    let end = plain(bytes, at + 1);
    (bytes.get(end) == Some(&b'"')).then(|| Some((text.get(at + 1..end)?, end + 1)))?
}

/// Appends `text` as a JSON string.
pub fn write_string(out: &mut Vec<u8>, text: &str) {
    if plain(text.as_bytes(), 0) == text.len() {
        out.reserve(text.len() + 2);
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
        return;
    }
    #[expect(clippy::expect_used, reason = "text, into memory")]
    serde_json::to_writer(out, text).expect("text serializes");
}

/// The place after the value that begins at `at`.
#[must_use]
pub fn value(text: &[u8], mut at: usize) -> Option<usize> {
    // One bit for each list or object that is open: whether it is an object.
    let (mut open, mut depth) = (0_u64, 0_u32);
    loop {
        // A value is due.
        match text.get(at)? {
            b'"' => at = string(text, at)?,
            b'{' => {
                at = space(text, at + 1);
                if text.get(at) == Some(&b'}') {
                    at += 1;
                } else {
                    (open, depth) = ((open << 1) | 1, deeper(depth)?);
                    at = key(text, at)?;
                    continue;
                }
            }
            b'[' => {
                at = space(text, at + 1);
                if text.get(at) == Some(&b']') {
                    at += 1;
                } else {
                    (open, depth) = (open << 1, deeper(depth)?);
                    continue;
                }
            }
            b't' => at = literal(text, at, b"true")?,
            b'f' => at = literal(text, at, b"false")?,
            b'n' => at = literal(text, at, b"null")?,
            _ => at = number(text, at)?,
        }
        // It is over; what is it within?
        loop {
            if depth == 0 {
                return Some(at);
            }
            at = space(text, at);
            let object = open & 1 == 1;
            match text.get(at)? {
                b',' if object => at = key(text, space(text, at + 1))?,
                b',' => at = space(text, at + 1),
                b'}' if object => {
                    (open, depth, at) = (open >> 1, depth - 1, at + 1);
                    continue;
                }
                b']' if !object => {
                    (open, depth, at) = (open >> 1, depth - 1, at + 1);
                    continue;
                }
                _ => return None,
            }
            break;
        }
    }
}

fn deeper(depth: u32) -> Option<u32> {
    (depth < MAX_DEPTH).then_some(depth + 1)
}

/// The place of the value whose key begins at `at`.
#[inline]
fn key(text: &[u8], at: usize) -> Option<usize> {
    if text.get(at) != Some(&b'"') {
        return None;
    }
    token(text, string(text, at)?, b':')
}

#[inline]
fn literal(text: &[u8], at: usize, word: &[u8]) -> Option<usize> {
    let end = at + word.len();
    (text.get(at..end)? == word).then_some(end)
}

/// The place after the string that begins at `at`.
fn string(text: &[u8], at: usize) -> Option<usize> {
    let mut at = plain(text, at + 1);
    loop {
        match text.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => {}
            _ => return None,
        }
        at = match text.get(at + 1)? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => at + 2,
            b'u' => {
                let digits = text.get(at + 2..at + 6)?;
                digits.iter().all(u8::is_ascii_hexdigit).then_some(at + 6)?
            }
            _ => return None,
        };
        at = plain(text, at);
    }
}

/// The place of the first byte that ends a run of plain text: a quote, a backslash, a control
/// character, or the end.
#[inline]
fn plain(text: &[u8], mut at: usize) -> usize {
    // Names are short.
    for _ in 0..2 {
        match in_word(text, at) {
            Some(8) => at += 8,
            Some(n) => return at + n,
            None => return in_rest(text, at),
        }
    }
    // Long texts, by instructions that take many bytes at once.
    while let Some(chunk) = text.get(at..).and_then(<[u8]>::first_chunk::<32>) {
        let ends = |found: bool, b: &u8| found | (*b < 0x20) | (*b == b'"') | (*b == b'\\');
        if chunk.iter().fold(false, ends) {
            break;
        }
        at += 32;
    }
    loop {
        match in_word(text, at) {
            Some(8) => at += 8,
            Some(n) => return at + n,
            None => return in_rest(text, at),
        }
    }
}

/// The first such byte of the eight at `at`, 8 if there is none; `None` where fewer are left.
#[inline]
fn in_word(text: &[u8], at: usize) -> Option<usize> {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES << 7;
    let word = u64::from_le_bytes(*text.get(at..)?.first_chunk()?);
    // A borrow may only spoil bytes after the first that is found.
    let zero = |word: u64| word.wrapping_sub(ONES) & !word;
    let quote = zero(word ^ (ONES * 0x22));
    let backslash = zero(word ^ (ONES * 0x5c));
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    Some(((quote | backslash | control) & HIGH).trailing_zeros() as usize / 8)
}

fn in_rest(text: &[u8], at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    let ends = |byte: &u8| *byte < 0x20 || matches!(byte, b'"' | b'\\');
    at + rest.iter().position(ends).unwrap_or(rest.len())
}

/// The place after the number that begins at `at`.
fn number(text: &[u8], mut at: usize) -> Option<usize> {
    if text.get(at) == Some(&b'-') {
        at += 1;
    }
    at = match text.get(at)? {
        b'0' => at + 1,
        b'1'..=b'9' => digits(text, at),
        _ => return None,
    };
    if text.get(at) == Some(&b'.') {
        at = some_digits(text, at + 1)?;
    }
    if let Some(b'e' | b'E') = text.get(at) {
        at += 1;
        if let Some(b'+' | b'-') = text.get(at) {
            at += 1;
        }
        at = some_digits(text, at)?;
    }
    Some(at)
}

fn digits(text: &[u8], mut at: usize) -> usize {
    while text.get(at).is_some_and(u8::is_ascii_digit) {
        at += 1;
    }
    at
}

fn some_digits(text: &[u8], at: usize) -> Option<usize> {
    let end = digits(text, at);
    (end > at).then_some(end)
}
