//! Random text that nobody can guess.

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// `N` random hex digits: four bits each.
pub(crate) fn digits<const N: usize>() -> [u8; N] {
    rand::random::<[u8; N]>().map(|byte| DIGITS[usize::from(byte & 0xf)])
}

/// The same as text.
pub(crate) fn text<const N: usize>() -> String {
    String::from_utf8_lossy(&digits::<N>()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_hex_and_differ() {
        let (a, b) = (text::<32>(), text::<32>());
        assert!(
            a.bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        );
        assert_eq!(a.len(), 32);
        assert_ne!(a, b);
    }
}
