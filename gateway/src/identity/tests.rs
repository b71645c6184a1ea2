//! Tokens, keys and sessions, without sockets.

mod hostile;
mod rotation;
mod sessions;
mod shared_list;

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use sluice_protocol::{CallError, ErrorCode};

use super::*;

/// 64 bytes: long enough for all of HS.
const SECRET: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn now() -> u64 {
    since_1970().as_secs()
}

fn config() -> Config {
    let mut config = Config::default();
    config.jwt.secret = Some(SECRET.to_owned());
    config.jwt.audiences = vec!["sluice".to_owned()];
    config.jwt.issuers = vec!["https://id.example.com".to_owned()];
    config
}

/// Claims that hold, and `more` over them.
fn claims(more: Value) -> Value {
    let mut claims = json!({
        "sub": "ann", "aud": "sluice", "iss": "https://id.example.com", "exp": now() + 600,
        "iat": now(), "roles": ["admin"],
    });
    for (key, value) in more.as_object().unwrap() {
        claims[key] = value.clone();
    }
    claims
}

fn hs(algorithm: Algorithm, claims: &Value) -> String {
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    encode(&Header::new(algorithm), claims, &key).unwrap()
}

fn signed(more: Value) -> String {
    hs(Algorithm::HS256, &claims(more))
}

fn admit(identifier: &Identifier, token: &str) -> Result<Arc<Session>, CallError> {
    identifier.identify_now(Some(&Credential::Token(token.to_owned())))
}
