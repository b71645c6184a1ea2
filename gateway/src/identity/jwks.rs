//! A key set that is fetched, and fetched again when keys rotate.
//!
//! One task fetches; whoever meets a key that is not known asks it to, and waits for no longer
//! than one fetch. Between two fetches lies at least the cooldown, so tokens with invented keys
//! cause no more traffic than that, and are refused at once meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::keys::KeySet;
use crate::config::{JwtOptions, without_secrets};

/// Asks for fetches, and waits for them.
#[derive(Debug)]
pub(super) struct Fetcher {
    url: String,
    options: JwtOptions,
    wanted: Notify,
    fetching: AtomicBool,
    begun: Mutex<Option<Instant>>,
    done: watch::Sender<u64>,
}

impl Fetcher {
    pub(super) fn new(url: String, options: &JwtOptions) -> Self {
        Self {
            url,
            options: options.clone(),
            wanted: Notify::new(),
            // From the start on the first one is under way.
            fetching: AtomicBool::new(true),
            begun: Mutex::new(None),
            done: watch::Sender::new(0),
        }
    }

    fn is_cool(&self) -> bool {
        let begun = *self.begun.lock();
        begun.is_none_or(|at| at.elapsed() >= self.options.jwks_cooldown)
    }

    /// Asks for a fetch, unless there was one just now; false: there was.
    pub(super) fn want(&self) -> bool {
        if self.fetching.load(Ordering::Acquire) {
            return true;
        }
        let cool = self.is_cool();
        if cool {
            self.wanted.notify_one();
        }
        cool
    }

    /// The same, and waits until it is done; false: nothing new is to be expected.
    pub(super) async fn fetched(&self) -> bool {
        // Before it is asked for, so that its end is not missed.
        let mut done = self.done.subscribe();
        if !self.want() {
            return false;
        }
        let patience = self.options.jwks_timeout + Duration::from_millis(500);
        tokio::time::timeout(patience, done.changed())
            .await
            .is_ok_and(|changed| changed.is_ok())
    }

    /// Fetches now, at each interval, and when asked to; `apply` gets each set that came.
    pub(super) async fn run(self: Arc<Self>, apply: impl Fn(KeySet)) {
        let client = match client(self.options.jwks_timeout) {
            Ok(client) => client,
            Err(error) => {
                tracing::error!(error, "jwt.jwks_url: no HTTP client");
                return;
            }
        };
        loop {
            self.fetching.store(true, Ordering::Release);
            *self.begun.lock() = Some(Instant::now());
            let fetched = fetch(&client, &self.url, self.options.jwks_max_bytes).await;
            let next = match fetched.and_then(|json| KeySet::from_jwks(&json)) {
                Ok((set, left_out)) => {
                    for reason in left_out {
                        tracing::debug!(
                            url = without_secrets(&self.url),
                            reason,
                            "a key is not used"
                        );
                    }
                    apply(set);
                    self.options.jwks_refresh
                }
                Err(error) => {
                    tracing::warn!(
                        url = without_secrets(&self.url),
                        error,
                        "cannot fetch keys: the former ones go on"
                    );
                    self.options.jwks_refresh.min(self.options.jwks_cooldown)
                }
            };
            self.fetching.store(false, Ordering::Release);
            self.done.send_modify(|n| *n += 1);
            let _ = tokio::time::timeout(next, self.asked()).await;
        }
    }

    /// Resolves when somebody wants a fetch and there was none just now.
    async fn asked(&self) {
        loop {
            self.wanted.notified().await;
            if self.is_cool() {
                return;
            }
        }
    }
}

fn client(timeout: Duration) -> Result<reqwest::Client, String> {
    // The TLS library wants one to be chosen; a second choice is refused and changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .user_agent(concat!("sluice/", env!("CARGO_PKG_VERSION")))
        .timeout(timeout)
        // Keys come from the address that the operator wrote, or not at all.
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(|e| e.to_string())
}

async fn fetch(client: &reqwest::Client, url: &str, most: usize) -> Result<Vec<u8>, String> {
    let mut response = client.get(url).send().await.map_err(|e| causes(&e))?;
    if !response.status().is_success() {
        return Err(format!("it answers {}", response.status()));
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|e| causes(&e))? {
        if bytes.len() + chunk.len() > most {
            return Err(format!("it sends more than {most} bytes"));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn causes(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
