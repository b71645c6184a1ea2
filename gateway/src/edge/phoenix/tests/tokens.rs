//! Tokens of live sockets: renewed, expired, revoked; paused time.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::rig::{Rig, options};
use crate::config::Config;
use crate::edge::phoenix::Guard;
use crate::edge::phoenix::frame::Vsn;
use crate::identity::{Credential, Identifier, Revocation};

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

fn token(user: &str, seconds: u64) -> String {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let claims = json!({"sub": user, "iat": now, "exp": now + seconds});
    encode(
        &Header::default(),
        &claims,
        &EncodingKey::from_secret(SECRET),
    )
    .unwrap()
}

fn identifier() -> Arc<Identifier> {
    let mut config = Config::default();
    config.jwt.secret = Some(String::from_utf8(SECRET.to_vec()).unwrap());
    config.jwt.any_audience = true;
    config.jwt.leeway = Duration::ZERO;
    Arc::new(Identifier::new(&config))
}

/// A socket that connected with a token of ann, which lasts for `seconds`, and joined "api:x".
async fn ann(identifier: &Arc<Identifier>, seconds: u64) -> Rig {
    let credential = Credential::Token(token("ann", seconds));
    let session = identifier.identify_now(Some(&credential)).unwrap();
    let guard = Guard(identifier.clone());
    let mut rig = Rig::guarded(options(), Vsn::V2, guard, 64, session);
    rig.join("1", "api:x").await;
    rig
}

/// What a socket says whose token counts no more; the close comes last.
async fn ends(rig: &mut Rig, reason: &str) {
    rig.expect(json!(["1", null, "api:x", "token_expired", {"reason": reason}]))
        .await;
    rig.expect(json!(["1", "1", "api:x", "phx_error", {}]))
        .await;
    rig.closed_with(4001, reason).await;
}

async fn renew(rig: &mut Rig, payload: Value) -> Value {
    rig.send(json!(["1", "9", "api:x", "renew_token", payload]));
    let mut reply = rig.json().await;
    assert_eq!(reply[3], "phx_reply");
    reply[4].take()
}

#[tokio::test(start_paused = true)]
async fn an_idle_socket_ends_when_its_token_does() {
    let identifier = identifier();
    // Shorter than the silence that is borne.
    let mut rig = ann(&identifier, 20).await;
    let begun = Instant::now();
    ends(&mut rig, "token expired").await;
    let after = begun.elapsed();
    assert!(
        after > Duration::from_secs(15) && after < Duration::from_secs(25),
        "{after:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_renewed_token_lasts_as_long_as_it_says() {
    let identifier = identifier();
    let mut rig = ann(&identifier, 20).await;
    let begun = Instant::now();
    let reply = renew(&mut rig, json!({"token": token("ann", 50)})).await;
    assert_eq!(reply, json!({"status": "ok", "response": {}}));
    ends(&mut rig, "token expired").await;
    let after = begun.elapsed();
    assert!(
        after > Duration::from_secs(45) && after < Duration::from_secs(55),
        "{after:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_none_of_the_users_renews_nothing() {
    let identifier = identifier();
    let mut rig = ann(&identifier, 20).await;
    let begun = Instant::now();
    for payload in [
        json!({"token": token("bob", 50)}),
        json!({"token": "garbage"}),
        json!({"token": 5}),
        json!({}),
        json!(null),
    ] {
        let reply = renew(&mut rig, payload.clone()).await;
        assert_eq!(reply["status"], "error", "{payload}");
        assert!(reply["response"]["reason"].is_string(), "{payload}");
    }
    // Calls go on for ann, and the first token's end stays.
    let call = rig.accepted("r").await;
    assert_eq!(call.call.identity.user_id.as_deref(), Some("ann"));
    ends(&mut rig, "token expired").await;
    assert!(begun.elapsed() < Duration::from_secs(25));
}

#[tokio::test(start_paused = true)]
async fn a_revoked_users_sockets_end_at_once() {
    let identifier = identifier();
    let (mut of_ann, mut other) = (ann(&identifier, 500).await, ann(&identifier, 500).await);
    identifier
        .revoke(Revocation::User("bob".to_owned()))
        .unwrap();
    of_ann.quiet().await;
    identifier
        .revoke(Revocation::User("ann".to_owned()))
        .unwrap();
    ends(&mut of_ann, "token revoked").await;
    ends(&mut other, "token revoked").await;
}

#[tokio::test(start_paused = true)]
async fn a_joins_token_counts_for_its_channel() {
    let identifier = identifier();
    let guard = Guard(identifier.clone());
    let mut rig = Rig::guarded(options(), Vsn::V2, guard, 64, Arc::default());
    for wrong in [
        json!({"token": "garbage"}),
        json!({"token": 5}),
        json!({"api_key": "sk_no"}),
    ] {
        rig.send(json!(["1", "1", "api:x", "phx_join", wrong]));
        let reply = rig.json().await;
        assert_eq!(reply[4]["status"], "error", "{reply}");
    }
    rig.send(json!(["1", "1", "api:x", "phx_join", {"token": token("ann", 20)}]));
    assert_eq!(rig.json().await[4]["status"], "ok");
    let call = rig.accepted("r").await;
    assert_eq!(call.call.identity.user_id.as_deref(), Some("ann"));
    assert!(call.call.caller.claims.is_some());
    ends(&mut rig, "token expired").await;
}
