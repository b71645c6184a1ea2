//! Random text that nobody can guess.

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// `N` random hex digits, an even number of them: four bits each.
pub(crate) fn digits<const N: usize>() -> [u8; N] {
    let mut random = [0_u8; N];
    // A byte for two digits: random bytes are what costs here.
    rand::fill(&mut random[..N / 2]);
    let half = |at: usize| random[at / 2] >> (4 * (at % 2)) & 0xf;
    std::array::from_fn(|at| DIGITS[usize::from(half(at))])
}

/// The same as text.
pub(crate) fn text<const N: usize>() -> String {
    String::from_utf8(digits::<N>().to_vec()).unwrap_or_default()
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
        assert_ne!(a[..16], a[16..]);
    }
}
