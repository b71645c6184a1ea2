//! Signatures on registry messages: HMAC-SHA-256 (RFC 2104) with a secret per service.
//!
//! The signed text is subject, line feed, nonce, line feed, body. The nonce is
//! `<counter>-<random>`; the counter grows with each message of an instance, so that a recorded
//! message cannot be played again without any clock being compared. The secret never travels.

use hmac::{Hmac, Mac};
use sha2::Sha256;

/// The signature of one message, in lower-case hex.
#[must_use]
pub fn sign(secret: &[u8], subject: &str, nonce: &str, body: &[u8]) -> String {
    hex::encode(mac(secret, subject, nonce, body).finalize().into_bytes())
}

/// Whether `signature` is the one of this message; compared in constant time.
#[must_use]
pub fn verify(secret: &[u8], subject: &str, nonce: &str, body: &[u8], signature: &str) -> bool {
    let Ok(signature) = hex::decode(signature) else {
        return false;
    };
    mac(secret, subject, nonce, body)
        .verify_slice(&signature)
        .is_ok()
}

/// The counter at the front of a nonce.
#[must_use]
pub fn nonce_counter(nonce: &str) -> Option<u64> {
    nonce.split_once('-')?.0.parse().ok()
}

fn mac(secret: &[u8], subject: &str, nonce: &str, body: &[u8]) -> Hmac<Sha256> {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
    mac.update(subject.as_bytes());
    mac.update(b"\n");
    mac.update(nonce.as_bytes());
    mac.update(b"\n");
    mac.update(body);
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_covers_subject_nonce_and_body() {
        let good = sign(b"secret", "s", "1-a", b"body");
        assert!(verify(b"secret", "s", "1-a", b"body", &good));
        assert!(!verify(b"other", "s", "1-a", b"body", &good));
        assert!(!verify(b"secret", "t", "1-a", b"body", &good));
        assert!(!verify(b"secret", "s", "2-a", b"body", &good));
        assert!(!verify(b"secret", "s", "1-a", b"other", &good));
        assert!(!verify(b"secret", "s", "1-a", b"body", "zz"));
    }

    #[test]
    fn counters_are_read_from_the_front() {
        assert_eq!(nonce_counter("17-abc"), Some(17));
        assert_eq!(nonce_counter("abc"), None);
        assert_eq!(nonce_counter("-1-abc"), None);
    }
}
