//! `[jwt]`

use std::path::PathBuf;
use std::time::Duration;

use super::kind::number::{Bytes, Count, Flag, Millis};
use super::kind::secret::Secret;
use super::kind::text::{List, ReadableFile, Text, Url};
use super::section::section;

section! {
    /// Tokens that name callers (JSON Web Tokens). Without a key none is accepted.
    ["jwt"] JwtOptions {
        /// The secret of HS256 (at least 32 bytes), HS384 (48) and HS512 (64).
        secret: Option<String> = None, Secret;
        /// A public key in PEM: RSA, EC (P-256, P-384) or Ed25519.
        public_key: Option<String> = None, Secret;
        /// A file with a JSON Web Key Set. It is read again every `jwks_refresh_ms`.
        jwks_file: Option<PathBuf> = None, ReadableFile;
        /// Where a JSON Web Key Set is fetched: `https://`, or `http://` inside a network that is
        /// trusted. May hold a user and a password (HTTP Basic); they are masked wherever it is shown.
        jwks_url: Option<String> = None, Url {
            what: "a URL such as \"https://id.example.com/.well-known/jwks.json\"",
            check: |_| Ok(()),
        };
        /// How often the set is fetched again, or its file read.
        jwks_refresh: Duration = Duration::from_secs(600), Millis::within(1000..=86_400_000);
        /// After a key that nobody knows the set is fetched again, at most once in so long.
        jwks_cooldown: Duration = Duration::from_secs(30), Millis::within(100..=3_600_000);
        /// How long one fetch may take.
        jwks_timeout: Duration = Duration::from_secs(5), Millis::within(100..=60_000);
        /// Most bytes of a set.
        jwks_max_bytes: usize = 256 << 10, Bytes::within(1024..=16 << 20);
        /// The only algorithms that are accepted; empty: all that fit the key's type.
        algorithms: Vec<String> = Vec::new(), List {
            what: "algorithms such as \"RS256\"",
            check: |name| crate::identity::keys::algorithm(name).map(drop),
        };
        /// Who may have issued a token (`iss`); empty: anybody who holds the key.
        issuers: Vec<String> = Vec::new(), List { what: "issuers", check: |_| Ok(()) };
        /// Whom a token must be meant for: one of these stands in its `aud`.
        audiences: Vec<String> = Vec::new(), List { what: "audiences", check: |_| Ok(()) };
        /// Accept tokens whomever they are meant for. One that another service got can then be
        /// used here.
        any_audience: bool = false, Flag;
        /// Refuse tokens without `exp`.
        require_exp: bool = true, Flag;
        /// How far clocks may be apart, for `exp` and `nbf`.
        leeway: Duration = Duration::from_secs(30), Millis::within(0..=600_000);
        /// Most bytes of a token; longer ones are refused unread.
        max_token_bytes: usize = 8 << 10, Bytes::within(256..=64 << 10);
        /// Tokens that are known to be good until they expire, and not verified anew.
        cached_tokens: usize = 10_000, Count::within(0..=10_000_000);
        /// The claim that names the user. Dots lead into objects; a claim whose own name has dots
        /// is found too.
        user_claim: String = "sub".to_owned(), Text { what: "a claim", check: claim };
        /// The claim with the roles: a list, or text with spaces or commas between them.
        roles_claim: String = "roles".to_owned(), Text { what: "a claim such as \"realm_access.roles\"", check: claim };
        /// The claim that names the device.
        device_claim: String = "device_id".to_owned(), Text { what: "a claim", check: claim };
    }
}

impl JwtOptions {
    /// Whether tokens can be verified at all.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.secret.is_some()
            || self.public_key.is_some()
            || self.jwks_file.is_some()
            || self.jwks_url.is_some()
    }
}

fn claim(text: &str) -> Result<(), String> {
    if text.is_empty() || text.split('.').any(str::is_empty) {
        return Err(format!(
            "{text:?} names no claim; write for example \"realm_access.roles\""
        ));
    }
    Ok(())
}
