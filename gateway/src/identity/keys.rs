//! Keys that verify tokens. What a key is decides which algorithms it takes; a token's header only
//! picks among them.

use std::str::FromStr as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

use crate::config::JwtOptions;

/// Most keys of a set.
const MAX_KEYS: usize = 64;
/// Keys that are tried for a token that names none: each costs a verification.
const MAX_TRIED: usize = 4;
/// The smallest RSA modulus, in bytes (RFC 7518 §3.3).
const MIN_RSA_BYTES: usize = 256;
/// The object identifiers of the curves, as DER has them.
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];

const RSA: [Algorithm; 6] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];

/// An algorithm by its name; `none` is no algorithm.
///
/// # Errors
/// When it is none that the gateway verifies.
pub fn algorithm(name: &str) -> Result<Algorithm, String> {
    Algorithm::from_str(name).map_err(|_| {
        format!(
            "{name:?} is none of HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, \
             ES256, ES384, EdDSA"
        )
    })
}

/// One key.
#[derive(Clone)]
pub struct Key {
    kid: Option<String>,
    algorithms: Vec<Algorithm>,
    decoding: DecodingKey,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key")
            .field("kid", &self.kid)
            .field("algorithms", &self.algorithms)
            .finish_non_exhaustive()
    }
}

impl Key {
    /// A shared secret: it takes the algorithms whose hash is not longer than itself (RFC 7518
    /// §3.2).
    ///
    /// # Errors
    /// When it is too short for all of them.
    pub fn secret(secret: &[u8]) -> Result<Self, String> {
        let takes = [
            (Algorithm::HS256, 32),
            (Algorithm::HS384, 48),
            (Algorithm::HS512, 64),
        ];
        let algorithms = takes.iter().filter(|(_, bytes)| secret.len() >= *bytes);
        let algorithms: Vec<_> = algorithms.map(|(a, _)| *a).collect();
        if algorithms.is_empty() {
            return Err(format!(
                "has {} bytes, and HS256 needs at least 32 (HS384 48, HS512 64); make one with \
                 `openssl rand -hex 32`",
                secret.len()
            ));
        }
        Ok(Self {
            kid: None,
            algorithms,
            decoding: DecodingKey::from_secret(secret),
        })
    }

    /// A public key in PEM.
    ///
    /// # Errors
    /// When it is none, a private one, or of a kind that is not known.
    pub fn pem(pem: &str) -> Result<Self, String> {
        if pem.contains("PRIVATE KEY") {
            return Err("is a private key; the gateway needs the public one alone".to_owned());
        }
        let (algorithms, decoding) = if let Ok(key) = DecodingKey::from_rsa_pem(pem.as_bytes()) {
            // Two integers and few bytes around them.
            if key.as_bytes().len() < MIN_RSA_BYTES + 8 {
                return Err("an RSA key needs at least 2048 bits".to_owned());
            }
            (RSA.to_vec(), key)
        } else if let Ok(key) = DecodingKey::from_ec_pem(pem.as_bytes()) {
            (vec![curve_of(pem)?], key)
        } else if let Ok(key) = DecodingKey::from_ed_pem(pem.as_bytes()) {
            (vec![Algorithm::EdDSA], key)
        } else {
            let kinds = "RSA, EC (P-256 or P-384) or Ed25519";
            return Err(format!("is no public key in PEM; expected {kinds}"));
        };
        Ok(Self {
            kid: None,
            algorithms,
            decoding,
        })
    }

    /// A key of a set.
    fn jwk(jwk: &Jwk) -> Result<Self, String> {
        if jwk.common.public_key_use == Some(PublicKeyUse::Encryption) {
            return Err("is for encryption".to_owned());
        }
        let bytes = |text: &str| URL_SAFE_NO_PAD.decode(text.trim_end_matches('='));
        let mut algorithms = match &jwk.algorithm {
            AlgorithmParameters::RSA(key) => match bytes(&key.n) {
                Ok(n) if n.len() >= MIN_RSA_BYTES => RSA.to_vec(),
                Ok(_) => return Err("an RSA key needs at least 2048 bits".to_owned()),
                Err(_) => return Err("its modulus is no base64url".to_owned()),
            },
            AlgorithmParameters::EllipticCurve(key) => match key.curve {
                EllipticCurve::P256 => vec![Algorithm::ES256],
                EllipticCurve::P384 => vec![Algorithm::ES384],
                _ => return Err("its curve is not supported".to_owned()),
            },
            AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
                vec![Algorithm::EdDSA]
            }
            AlgorithmParameters::OctetKeyPair(_) => {
                return Err("its curve is not supported".to_owned());
            }
            AlgorithmParameters::OctetKey(key) => {
                let secret = bytes(&key.value).map_err(|_| "its secret is no base64url")?;
                Self::secret(&secret)?.algorithms
            }
        };
        if let Some(alg) = jwk.common.key_algorithm {
            let alg = algorithm(&alg.to_string())?;
            algorithms.retain(|a| *a == alg);
            if algorithms.is_empty() {
                return Err(format!("its \"alg\", {alg:?}, does not fit its type"));
            }
        }
        Ok(Self {
            kid: jwk.common.key_id.clone(),
            algorithms,
            decoding: DecodingKey::from_jwk(jwk).map_err(|e| e.to_string())?,
        })
    }

    /// Whether `signature` is this key's, of `message`, by an algorithm that it takes.
    #[must_use]
    pub(super) fn verifies(&self, alg: Algorithm, message: &[u8], signature: &str) -> bool {
        self.algorithms.contains(&alg)
            && jsonwebtoken::crypto::verify(signature, message, &self.decoding, alg)
                .unwrap_or(false)
    }
}

fn curve_of(pem: &str) -> Result<Algorithm, String> {
    let lines = pem.lines().filter(|line| !line.starts_with("-----"));
    let base64: String = lines.flat_map(|line| line.trim().chars()).collect();
    let der = base64::engine::general_purpose::STANDARD.decode(base64);
    let der = der.map_err(|_| "is no PEM".to_owned())?;
    let has = |oid: &[u8]| der.windows(oid.len()).any(|part| part == oid);
    match (has(P256), has(P384)) {
        (true, false) => Ok(Algorithm::ES256),
        (false, true) => Ok(Algorithm::ES384),
        _ => Err("is on a curve that is not supported: expected P-256 or P-384".to_owned()),
    }
}

/// All keys of one source.
#[derive(Debug, Clone, Default)]
pub struct KeySet {
    keys: Vec<Key>,
}

impl KeySet {
    /// Reads a JSON Web Key Set. Keys that cannot be used are left out, with the reasons.
    ///
    /// # Errors
    /// When it is no set, or none of its keys can be used.
    pub fn from_jwks(json: &[u8]) -> Result<(Self, Vec<String>), String> {
        #[derive(Deserialize)]
        struct Raw {
            keys: Vec<Value>,
        }
        let raw: Raw =
            serde_json::from_slice(json).map_err(|e| format!("is no JSON Web Key Set: {e}"))?;
        if raw.keys.len() > MAX_KEYS {
            return Err(format!("has more than {MAX_KEYS} keys"));
        }
        let (mut keys, mut left_out) = (Vec::new(), Vec::new());
        for (n, value) in raw.keys.into_iter().enumerate() {
            // The parser's message would repeat values, and a secret may be one.
            let jwk = serde_json::from_value::<Jwk>(value);
            let jwk = jwk.map_err(|_| "is of a kind that is not known".to_owned());
            match jwk.and_then(|jwk| Key::jwk(&jwk)) {
                Ok(key) => keys.push(key),
                Err(reason) => left_out.push(format!("key {} {reason}", n + 1)),
            }
        }
        if keys.is_empty() {
            return Err(format!("has no usable key: {}", left_out.join("; ")));
        }
        Ok((Self { keys }, left_out))
    }

    /// Whether there is no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Keys that a token may be of; an empty list means that its key is not known.
    pub(super) fn candidates(&self, kid: Option<&str>, alg: Algorithm) -> Vec<&Key> {
        let fits = self.keys.iter().filter(|key| key.algorithms.contains(&alg));
        match kid {
            Some(kid) => {
                // A key without a name is the only one of its source: it is meant for any.
                let named = |key: &&Key| key.kid.as_deref().is_none_or(|k| k == kid);
                fits.filter(named).take(MAX_TRIED).collect()
            }
            None => fits.take(MAX_TRIED).collect(),
        }
    }

    /// Whether a key has this name, whatever it is for.
    pub(super) fn has(&self, kid: &str) -> bool {
        self.keys.iter().any(|key| key.kid.as_deref() == Some(kid))
    }

    fn narrowed(mut self, only: &[Algorithm]) -> Self {
        if !only.is_empty() {
            for key in &mut self.keys {
                key.algorithms.retain(|a| only.contains(a));
            }
            self.keys.retain(|key| !key.algorithms.is_empty());
        }
        self
    }

    /// These keys, and those of `other`.
    #[must_use]
    pub(super) fn with(&self, other: &Self) -> Self {
        let keys = self.keys.iter().chain(&other.keys).cloned().collect();
        Self { keys }
    }

    /// Only what `jwt.algorithms` lets in.
    #[must_use]
    pub fn allowed(self, options: &JwtOptions) -> Self {
        let only = options.algorithms.iter().filter_map(|n| algorithm(n).ok());
        self.narrowed(&only.collect::<Vec<_>>())
    }
}

/// The option that names a file with a set.
const FILE: &str = "jwt.jwks_file";

/// One source of keys that stand in the configuration: its option, and what came of it.
type Source = (&'static str, Result<KeySet, String>);

fn sources(options: &JwtOptions) -> Vec<Source> {
    let one = |key: Key| KeySet { keys: vec![key] };
    let mut found: Vec<Source> = Vec::new();
    if let Some(secret) = &options.secret {
        found.push(("jwt.secret", Key::secret(secret.as_bytes()).map(one)));
    }
    if let Some(pem) = &options.public_key {
        found.push(("jwt.public_key", Key::pem(pem).map(one)));
    }
    if let Some(path) = &options.jwks_file {
        let read = read_bounded(path, options.jwks_max_bytes);
        found.push((FILE, read.and_then(|json| of_file(&json))));
    }
    found
}

fn of_file(json: &[u8]) -> Result<KeySet, String> {
    KeySet::from_jwks(json).map(|(set, _)| set)
}

/// What is wrong where `jwt.algorithms` lets none of the keys in.
const NONE_ALLOWED: &str = "takes none of jwt.algorithms";

/// The set of a file, as read.
///
/// # Errors
/// When it is no set, or takes none of `jwt.algorithms`.
pub(super) fn from_file(json: &[u8], options: &JwtOptions) -> Result<KeySet, String> {
    let set = of_file(json)?.allowed(options);
    match set.is_empty() {
        true => Err(NONE_ALLOWED.to_owned()),
        false => Ok(set),
    }
}

pub(super) fn read_bounded(path: &std::path::Path, most: usize) -> Result<Vec<u8>, String> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(most as u64 + 1).read_to_end(&mut bytes))
        .map_err(|e| format!("cannot read {}: {e}", path.display()))?;
    if bytes.len() > most {
        return Err(format!("{} is larger than {most} bytes", path.display()));
    }
    Ok(bytes)
}

/// The keys of the configuration itself; those with mistakes are left out. Those of a file are apart:
/// they may change.
#[must_use]
pub fn configured(options: &JwtOptions) -> (KeySet, KeySet) {
    let (mut own, mut file) = (KeySet::default(), KeySet::default());
    for (option, set) in sources(options) {
        let to = match option {
            FILE => &mut file,
            _ => &mut own,
        };
        to.keys.extend(set.map(|set| set.keys).unwrap_or_default());
    }
    (own.allowed(options), file.allowed(options))
}

/// What is wrong with the configuration's keys: each option, and its fault.
pub(crate) fn mistakes(options: &JwtOptions) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    for (option, set) in sources(options) {
        match set {
            Err(fault) => found.push((option, fault)),
            Ok(set) if set.clone().allowed(options).is_empty() => {
                found.push((option, NONE_ALLOWED.to_owned()));
            }
            Ok(_) => {}
        }
    }
    if let Some(url) = &options.jwks_url {
        let parsed = reqwest::Url::parse(url);
        let is_http = |u: &reqwest::Url| matches!(u.scheme(), "http" | "https") && u.has_host();
        if !parsed.is_ok_and(|u| is_http(&u)) {
            let url = crate::config::without_secrets(url);
            let fault = format!("{url:?} is no address: it begins with https:// or http://");
            found.push(("jwt.jwks_url", fault));
        }
    }
    found
}
