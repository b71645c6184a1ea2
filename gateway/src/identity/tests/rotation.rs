//! Keys that are fetched from a server, which changes them, fails, and sends too much.

use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;

use super::*;

/// A server of key sets: what it answers next, and how often it was asked.
struct Server {
    answer: Arc<Mutex<(StatusCode, String)>>,
    asked: Arc<AtomicUsize>,
    url: String,
}

impl Server {
    async fn start() -> Self {
        let answer = Arc::new(Mutex::new((StatusCode::OK, String::new())));
        let asked = Arc::new(AtomicUsize::new(0));
        let (next, count) = (answer.clone(), asked.clone());
        let router = Router::new().route(
            "/jwks.json",
            get(move || async move {
                count.fetch_add(1, Ordering::SeqCst);
                next.lock().clone()
            }),
        );
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/jwks.json", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { answer, asked, url }
    }

    fn serve(&self, keys: &[&str]) {
        let keys: Vec<_> = keys.iter().map(|kid| jwk(kid)).collect();
        *self.answer.lock() = (StatusCode::OK, json!({"keys": keys}).to_string());
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn identifier(&self, cooldown: Duration) -> (Arc<Identifier>, CancellationToken) {
        let mut config = config();
        config.jwt.secret = None;
        config.jwt.jwks_url = Some(self.url.clone());
        config.jwt.jwks_cooldown = cooldown;
        config.jwt.jwks_timeout = Duration::from_secs(20);
        let identifier = Arc::new(Identifier::new(&config));
        let stop = CancellationToken::new();
        identifier.start(&stop);
        (identifier, stop)
    }
}

fn secret(kid: &str) -> Vec<u8> {
    format!("{kid:-<40}").into_bytes()
}

fn jwk(kid: &str) -> Value {
    json!({"kty": "oct", "kid": kid, "k": URL_SAFE_NO_PAD.encode(secret(kid))})
}

fn token_of(kid: &str) -> Credential {
    let mut header = Header::new(Algorithm::HS256);
    header.kid = Some(kid.to_owned());
    let key = EncodingKey::from_secret(&secret(kid));
    Credential::Token(encode(&header, &claims(json!({})), &key).unwrap())
}

#[tokio::test]
async fn a_new_key_is_fetched_when_it_is_met() {
    let server = Server::start().await;
    server.serve(&["old"]);
    let (identifier, _stop) = server.identifier(Duration::ZERO);
    // The first fetch is waited for.
    identifier.identify(Some(&token_of("old"))).await.unwrap();
    server.serve(&["new"]);
    identifier.identify(Some(&token_of("new"))).await.unwrap();
    // The old one was withdrawn: what it verified counts no more, in the cache or out of it.
    let error = identifier
        .identify(Some(&token_of("old")))
        .await
        .unwrap_err();
    assert_eq!(error.code, ErrorCode::Unauthenticated);
    // Whatever goes wrong with a fetch, the keys that there were go on.
    for broken in [
        (StatusCode::INTERNAL_SERVER_ERROR, String::new()),
        (StatusCode::OK, "{".to_owned()),
        (StatusCode::OK, "x".repeat(1 << 20)),
        (StatusCode::FOUND, String::new()),
    ] {
        *server.answer.lock() = broken;
        let before = server.asked();
        let error = identifier
            .identify(Some(&token_of("third")))
            .await
            .unwrap_err();
        assert_eq!(error.code, ErrorCode::Unauthenticated);
        assert!(server.asked() > before);
        identifier.identify(Some(&token_of("new"))).await.unwrap();
    }
}

#[tokio::test]
async fn invented_keys_cause_no_more_than_one_fetch() {
    let server = Server::start().await;
    server.serve(&["a"]);
    let (identifier, _stop) = server.identifier(Duration::from_secs(3600));
    identifier.identify(Some(&token_of("a"))).await.unwrap();
    for n in 0..200 {
        let invented = token_of(&format!("invented-{n}"));
        let error = identifier.identify(Some(&invented)).await.unwrap_err();
        assert!(error.message.contains("not known"), "{error:?}");
    }
    assert_eq!(server.asked(), 1);
}

#[tokio::test]
async fn without_keys_nothing_is_said_of_a_token() {
    let server = Server::start().await;
    *server.answer.lock() = (StatusCode::NOT_FOUND, String::new());
    let (identifier, _stop) = server.identifier(Duration::from_secs(3600));
    let error = identifier.identify(Some(&token_of("a"))).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Overloaded);
    identifier.identify(None).await.unwrap();
}

#[tokio::test]
async fn keys_in_a_file_change_with_it_and_a_bad_one_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jwks.json");
    let write = |text: &str| {
        // Replaced at once, as whoever rotates keys should.
        let new = folder.path().join("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(&new, &path).unwrap();
    };
    let holding = |kid: &str| write(&json!({"keys": [jwk(kid)]}).to_string());
    let holds = async |identifier: &Identifier, kid: &str| {
        let limit = Duration::from_secs(60);
        let looked = async {
            while identifier.identify(Some(&token_of(kid))).await.is_err() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        assert!(tokio::time::timeout(limit, looked).await.is_ok(), "{kid}");
    };
    holding("old");
    let mut config = config();
    config.jwt.jwks_file = Some(path.clone());
    config.jwt.jwks_refresh = Duration::from_millis(20);
    let identifier = Arc::new(Identifier::new(&config));
    // From the start, before anything is read again.
    identifier.identify_now(Some(&token_of("old"))).unwrap();
    let stop = CancellationToken::new();
    identifier.start(&stop);
    holding("new");
    holds(&identifier, "new").await;
    assert!(identifier.identify(Some(&token_of("old"))).await.is_err());
    write("{");
    for _ in 0..10 {
        identifier.identify(Some(&token_of("new"))).await.unwrap();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // The secret of the configuration counts all the while.
    let own = Credential::Token(signed(json!({})));
    identifier.identify(Some(&own)).await.unwrap();
    holding("newer");
    holds(&identifier, "newer").await;
    assert!(identifier.identify(Some(&token_of("new"))).await.is_err());
    stop.cancel();
}
