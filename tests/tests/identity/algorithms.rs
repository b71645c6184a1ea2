//! Tokens by each kind of key, and the same keys used wrongly.

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::json;
use sluice_e2e::cluster::Cluster;
use sluice_e2e::gateway::Gateway;
use sluice_e2e::nats::BrokerKind;

use crate::claims;
use crate::keys::{Pair, set};

/// Whom a gateway takes the bearer of a token for, or the status of its refusal.
async fn bearer(gateway: &Gateway, token: &str) -> Result<String, u16> {
    let client = gateway.client().unwrap();
    let client = client.header("authorization", &format!("Bearer {token}"));
    let (status, answer) = client.call("demo", "whoami", json!({})).await.unwrap();
    match answer.result["user_id"].as_str() {
        Some(user) => Ok(user.to_owned()),
        None => Err(status),
    }
}

/// A token of the HMAC family whose secret is a public key: the classic confusion.
fn confused(algorithm: Algorithm, pair: &Pair, named: bool) -> Vec<String> {
    let mut header = Header::new(algorithm);
    header.kid = named.then(|| pair.kid.to_owned());
    let secrets = [pair.public.as_str(), pair.public.trim()];
    let tokens = secrets.map(|secret| {
        let key = EncodingKey::from_secret(secret.as_bytes());
        encode(&header, &claims("root", 600), &key).unwrap()
    });
    tokens.to_vec()
}

#[tokio::test]
async fn each_kind_of_key_signs_tokens_and_is_no_secret_of_another_kind() {
    let pairs = [
        Pair::rsa("rsa"),
        Pair::elliptic("p256", Algorithm::ES256),
        Pair::elliptic("p384", Algorithm::ES384),
        Pair::edwards("ed"),
    ];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    std::fs::write(&path, set(&pairs.each_ref())).unwrap();
    let publics = pairs.each_ref().map(|pair| pair.public.clone());
    // The first gateway has all keys in a set, each other one has one of them in PEM.
    let cluster = Cluster::start(BrokerKind::Embedded)
        .gateways(1 + publics.len())
        .gateway(move |i, g| {
            let g = g.option("identity", "trust_client_identity", false).option(
                "jwt",
                "audiences",
                vec!["sluice"],
            );
            match i.checked_sub(1) {
                None => g.option("jwt", "jwks_file", path.to_str().unwrap()),
                Some(i) => g.option("jwt", "public_key", publics[i].as_str()),
            }
        })
        .await
        .unwrap();
    for (i, pair) in pairs.iter().enumerate() {
        let (all, own) = (cluster.gateway(0), cluster.gateway(1 + i));
        let other = cluster.gateway(1 + (i + 1) % pairs.len());
        for algorithm in &pair.algorithms {
            let ann = Ok("ann".to_owned());
            for named in [true, false] {
                let token = pair.token(*algorithm, "ann", named);
                assert_eq!(bearer(all, &token).await, ann, "{algorithm:?} {named}");
            }
            let token = pair.token(*algorithm, "ann", false);
            assert_eq!(bearer(own, &token).await, ann, "{algorithm:?}");
            assert_eq!(bearer(other, &token).await, Err(401), "{algorithm:?}");
            let broken = token.replacen('.', ".A", 1);
            assert_eq!(bearer(own, &broken).await, Err(401), "{algorithm:?}");
        }
        for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
            for named in [true, false] {
                for token in confused(algorithm, pair, named) {
                    for gateway in [all, own] {
                        let found = bearer(gateway, &token).await;
                        assert_eq!(found, Err(401), "{algorithm:?} by {}", pair.kid);
                    }
                }
            }
        }
    }
}
