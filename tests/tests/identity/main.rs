//! Who callers are: tokens and API keys on both edges, with real processes.

#![expect(clippy::unwrap_used, reason = "helpers of tests may do what tests may")]

mod algorithms;
mod guessing;
mod http;
mod keys;
mod revoked;
mod rotation;
mod shown;
mod socket;

use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};
use sluice_e2e::cluster::Cluster;
use sluice_e2e::nats::BrokerKind;

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const KEY: &str = "sk_a-key-of-a-test";
/// Its SHA-256.
const KEY_HASH: &str = "9d948ea400b7607838c73471a08555668a5c3e751d271d3f41c04b9557ce0efd";

/// A token of `user`, which ends in so many seconds from now.
fn token(user: &str, seconds: i64) -> String {
    encode(
        &Header::default(),
        &claims(user, seconds),
        &EncodingKey::from_secret(SECRET.as_bytes()),
    )
    .unwrap()
}

fn claims(user: &str, seconds: i64) -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let exp = i64::try_from(now.as_secs()).unwrap() + seconds;
    json!({"sub": user, "aud": "sluice", "exp": exp, "roles": ["admin"]})
}

/// A token with a name, issued so many seconds after now.
fn issued(user: &str, id: &str, later: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let at = now.as_secs() + later;
    let claims = json!({"sub": user, "jti": id, "iat": at, "exp": at + 600});
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    encode(&Header::default(), &claims, &key).unwrap()
}

/// One gateway that believes tokens and one API key, and one worker.
async fn cluster() -> Cluster {
    let key = format!("[[api_key]]\nid = \"k1\"\nhash = \"{KEY_HASH}\"\nuser_id = \"robot\"\n");
    Cluster::start(BrokerKind::Embedded)
        .gateway(move |_, g| {
            g.option("identity", "trust_client_identity", false)
                .option("jwt", "secret", SECRET)
                .option("jwt", "audiences", vec!["sluice"])
                .option("jwt", "leeway_ms", 0)
                .toml(&key)
        })
        .await
        .unwrap()
}
