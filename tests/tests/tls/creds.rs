//! An operator of NATS as far as a server needs one: accounts and users as signed JWTs.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use nkeys::KeyPair;
use serde_json::{Value, json};

/// An operator with one account.
pub(crate) struct Operator {
    operator: KeyPair,
    account: KeyPair,
}

impl Operator {
    pub(crate) fn new() -> Self {
        Self {
            operator: KeyPair::new_operator(),
            account: KeyPair::new_account(),
        }
    }

    /// Lines for nats.conf: users of the account may sign in, nobody else.
    pub(crate) fn config(&self) -> String {
        let operator = json!({"type": "operator", "version": 2});
        let all = json!({
            "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true,
            "conn": -1, "leaf": -1,
        });
        let account = json!({"type": "account", "version": 2, "limits": all});
        let account_key = self.account.public_key();
        format!(
            "operator: {}\nresolver: MEMORY\nresolver_preload: {{ {account_key}: {} }}\n",
            jwt(&self.operator, &self.operator.public_key(), &operator),
            jwt(&self.operator, &account_key, &account),
        )
    }

    /// A credentials file for a new user.
    pub(crate) fn user(&self) -> String {
        let user = KeyPair::new_user();
        let claims = json!({
            "type": "user", "version": 2, "pub": {}, "sub": {}, "subs": -1, "data": -1, "payload": -1,
        });
        let token = jwt(&self.account, &user.public_key(), &claims);
        let seed = user.seed().unwrap();
        format!(
            "-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        )
    }
}

fn jwt(issuer: &KeyPair, subject: &str, claims: &Value) -> String {
    let part = |value: Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let body = json!({
        "jti": subject, "iat": 1_700_000_000, "iss": issuer.public_key(), "name": subject, "sub": subject,
        "nats": claims,
    });
    let text = [
        part(json!({"typ": "JWT", "alg": "ed25519-nkey"})),
        part(body),
    ]
    .join(".");
    let signature = issuer.sign(text.as_bytes()).unwrap();
    format!("{text}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}
