//! Key pairs of tests, made anew each time, and the tokens that they sign.

use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::claims;

/// A key pair.
pub(crate) struct Pair {
    pub(crate) kid: &'static str,
    /// The public key in PEM.
    pub(crate) public: String,
    /// The public key in a set.
    pub(crate) jwk: Value,
    pub(crate) algorithms: Vec<Algorithm>,
    signing: EncodingKey,
}

impl Pair {
    /// A token of `user`, signed by this key; the header names it, or does not.
    pub(crate) fn token(&self, algorithm: Algorithm, user: &str, named: bool) -> String {
        let mut header = Header::new(algorithm);
        header.kid = named.then(|| self.kid.to_owned());
        encode(&header, &claims(user, 600), &self.signing).unwrap()
    }

    /// EC P-256 or P-384.
    pub(crate) fn elliptic(kid: &'static str, algorithm: Algorithm) -> Self {
        let (curve, kind) = match algorithm {
            Algorithm::ES256 => ("P-256", &rcgen::PKCS_ECDSA_P256_SHA256),
            _ => ("P-384", &rcgen::PKCS_ECDSA_P384_SHA384),
        };
        let pair = rcgen::KeyPair::generate_for(kind).unwrap();
        // 04, x, y.
        let point = &pair.public_key_raw()[1..];
        let (x, y) = point.split_at(point.len() / 2);
        Self {
            kid,
            public: pair.public_key_pem(),
            jwk: json!({
                "kty": "EC", "kid": kid, "crv": curve, "x": encoded(x), "y": encoded(y),
            }),
            algorithms: vec![algorithm],
            signing: EncodingKey::from_ec_pem(pair.serialize_pem().as_bytes()).unwrap(),
        }
    }

    /// Ed25519.
    pub(crate) fn edwards(kid: &'static str) -> Self {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        Self {
            kid,
            public: pair.public_key_pem(),
            jwk: json!({
                "kty": "OKP", "kid": kid, "crv": "Ed25519",
                "x": encoded(pair.public_key_raw()),
            }),
            algorithms: vec![Algorithm::EdDSA],
            signing: EncodingKey::from_ed_pem(pair.serialize_pem().as_bytes()).unwrap(),
        }
    }

    /// RSA, 2048 bits, by the command `openssl`.
    pub(crate) fn rsa(kid: &'static str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let private = folder.path().join("private.pem");
        let openssl = |args: &[&str]| {
            let output = Command::new("openssl").args(args).output();
            let output = output.expect("openssl must be installed");
            assert!(output.status.success(), "{output:?}");
            String::from_utf8(output.stdout).unwrap()
        };
        let path = private.to_str().unwrap();
        openssl(&["genpkey", "-algorithm", "RSA", "-out", path]);
        let public = openssl(&["pkey", "-in", path, "-pubout"]);
        let modulus = openssl(&["rsa", "-in", path, "-noout", "-modulus"]);
        let (_, modulus) = modulus.trim().split_once('=').unwrap();
        let modulus = hex::decode(modulus).unwrap();
        let pem = std::fs::read(&private).unwrap();
        Self {
            kid,
            public,
            jwk: json!({"kty": "RSA", "kid": kid, "n": encoded(&modulus), "e": "AQAB"}),
            algorithms: vec![Algorithm::RS256, Algorithm::PS256],
            signing: EncodingKey::from_rsa_pem(&pem).unwrap(),
        }
    }
}

fn encoded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A key set.
pub(crate) fn set(pairs: &[&Pair]) -> String {
    let keys: Vec<&Value> = pairs.iter().map(|pair| &pair.jwk).collect();
    json!({ "keys": keys }).to_string()
}
