//! Rendezvous hashing: when one of N instances leaves, only its keys move.

/// A key's score at an instance; the highest wins.
///
/// FNV-1a over both texts, then the finalizer of MurmurHash3, so that nearby texts spread. All
/// gateways and versions must agree on it, so it is pinned by a test.
#[must_use]
pub fn score(key: &[u8], instance: &str) -> u64 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let fnv = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(PRIME);
    // The separator keeps ("ab", "c") and ("a", "bc") apart.
    let hash = key
        .iter()
        .chain(&[0xff])
        .chain(instance.as_bytes())
        .fold(OFFSET, fnv);
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pick<'a>(key: &str, instances: &[&'a str]) -> &'a str {
        instances
            .iter()
            .max_by_key(|i| score(key.as_bytes(), i))
            .unwrap()
    }

    #[test]
    fn only_the_keys_of_the_instance_that_left_move() {
        let three = ["a-1", "b-2", "c-3"];
        let mut counts = [0_u32; 3];
        for n in 0..3000 {
            let key = format!("user-{n}");
            let owner = pick(&key, &three);
            counts[three.iter().position(|i| *i == owner).unwrap()] += 1;
            if owner != "c-3" {
                assert_eq!(pick(&key, &three[..2]), owner);
            }
        }
        assert!(counts.iter().all(|c| (850..1150).contains(c)), "{counts:?}");
    }

    #[test]
    fn scores_are_pinned() {
        assert_eq!(score(b"key", "instance"), 0xcbf5356bd8243cfe);
        assert_eq!(score(b"", ""), 0x1bbd5c813c69a8d7);
    }
}
