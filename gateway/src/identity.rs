//! Who calls: credentials are verified here, for all edges.
//!
//! ```text
//! credential   where it stands          token     a JSON Web Token: read, then verified
//! keys, jwks, key_file   what verifies tokens   claims    what a verified one says
//! cache        verified ones            revoked   who is let in no more
//! proxies      from which address          revoked_elsewhere   … as other gateways know it
//! ```
//!
//! No credential: anonymous. A credential that does not hold is always refused: it never turns
//! its bearer into an anonymous caller.

mod cache;
mod claims;
pub mod credential;
mod jwks;
mod key_file;
pub mod keys;
pub mod proxies;
mod revoked;
mod revoked_elsewhere;
mod revoked_store;
#[cfg(test)]
mod tests;
pub mod token;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use http::HeaderMap;
use parking_lot::Mutex;
use sluice_protocol::{CallError, ErrorCode, Identity};
use subtle::ConstantTimeEq as _;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use self::credential::Credential;
pub use self::revoked::{Revocation, RevokeError, Revoked};

use self::cache::Cache;
use self::jwks::Fetcher;
use self::key_file::KeyFile;
use self::keys::KeySet;
use self::proxies::Proxies;
use self::revoked::Revocations;
use self::token::TokenError;
use crate::config::{Config, IdentityOptions, JwtOptions};
use crate::limiter::Refused;
use crate::pipeline::Caller;
use crate::supervise::supervise;

/// Later than this no token expires, whatever it says: ten years.
const FOREVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// A caller who was let in.
#[derive(Debug, Clone, Default)]
pub struct Session {
    /// Who it is.
    pub identity: Identity,
    /// What else is known; the address is not, it is another one for each connection.
    pub caller: Caller,
    /// Until when.
    pub expires: Option<Instant>,
    /// When its token was issued, in seconds since 1970.
    pub(crate) issued: Option<u64>,
    /// The token's `jti`.
    pub(crate) token_id: Option<String>,
}

impl Session {
    /// Somebody who is only said to be this.
    #[must_use]
    pub fn claimed(identity: Identity) -> Self {
        Self {
            identity,
            ..Self::default()
        }
    }

    /// Whether a token or an API key stands behind it.
    #[must_use]
    pub fn is_verified(&self) -> bool {
        self.caller.api_key.is_some() || self.caller.claims.is_some()
    }

    /// What limits may count by, of this session at `address`.
    #[must_use]
    pub fn caller_at(&self, address: Option<IpAddr>) -> Caller {
        Caller {
            address,
            ..self.caller.clone()
        }
    }
}

/// The keys of each source.
#[derive(Debug, Default)]
struct KeySources {
    configured: KeySet,
    file: KeySet,
    fetched: KeySet,
}

impl KeySources {
    fn all(&self) -> KeySet {
        self.configured.with(&self.file).with(&self.fetched)
    }
}

/// Lets callers in. One for all shards.
#[derive(Debug)]
pub struct Identifier {
    options: IdentityOptions,
    jwt: JwtOptions,
    /// By where they come from.
    sources: Mutex<KeySources>,
    /// All of them.
    keys: ArcSwap<KeySet>,
    fetcher: Option<Arc<Fetcher>>,
    cache: Cache,
    api_keys: HashMap<[u8; 32], Arc<Session>>,
    revocations: Revocations,
    proxies: Proxies,
    refused: Arc<Refused>,
    anonymous: Arc<Session>,
}

impl Identifier {
    /// From a configuration that was checked. Keys that are fetched are fetched by
    /// [`start`](Self::start).
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let (configured, file) = keys::configured(&config.jwt);
        let sources = KeySources {
            configured,
            file,
            fetched: KeySet::default(),
        };
        let api_keys = config.api_keys.iter().map(|key| {
            let mut session = Session::claimed(Identity {
                user_id: Some(key.user_id.clone()),
                device_id: None,
                roles: key.roles.clone(),
            });
            session.caller.api_key = Some(Arc::from(key.id.as_str()));
            session.caller.limits = (!key.limits.is_empty()).then(|| key.limits.clone().into());
            (key.hash, Arc::new(session))
        });
        let url = config.jwt.jwks_url.clone();
        Self {
            keys: ArcSwap::from_pointee(sources.all()),
            sources: Mutex::new(sources),
            fetcher: url.map(|url| Arc::new(Fetcher::new(url, &config.jwt))),
            cache: Cache::new(config.jwt.cached_tokens),
            api_keys: api_keys.collect(),
            revocations: Revocations::new(
                config.identity.revocation_ttl,
                config.identity.max_revocations,
            ),
            proxies: Proxies::new(&config.http),
            refused: Arc::new(Refused::new(config.limits.refused_per_minute)),
            anonymous: Arc::default(),
            options: config.identity.clone(),
            jwt: config.jwt.clone(),
        }
    }

    /// Says aloud what is dangerous, and keeps keys current until `stop`.
    pub fn start(self: &Arc<Self>, stop: &CancellationToken) {
        if self.options.trust_client_identity {
            tracing::warn!(
                "identity.trust_client_identity is on: whoever reaches this gateway can be any \
                 user with any role; never in production"
            );
        }
        if let Some(fetcher) = self.fetcher.clone() {
            let this = self.clone();
            tokio::spawn(supervise("keys of tokens", stop.clone(), move || {
                let this = this.clone();
                let apply = move |set: KeySet| {
                    let set = set.allowed(&this.jwt);
                    this.replace_keys(|sources| sources.fetched = set);
                };
                fetcher.clone().run(apply)
            }));
        }
        if self.jwt.jwks_file.is_some() {
            let this = self.clone();
            tokio::spawn(supervise("the file of keys", stop.clone(), move || {
                let this = this.clone();
                async move {
                    if let Some(file) = KeyFile::new(&this.jwt) {
                        let apply = |set| this.replace_keys(|sources| sources.file = set);
                        file.run(apply).await;
                    }
                }
            }));
        }
    }

    fn replace_keys(&self, change: impl FnOnce(&mut KeySources)) {
        let mut sources = self.sources.lock();
        change(&mut sources);
        self.keys.store(Arc::new(sources.all()));
        // A key that was withdrawn counts no longer, for tokens that it verified either.
        self.cache.clear();
    }

    /// Whether clients are believed who they say they are.
    #[must_use]
    pub fn trusts_clients(&self) -> bool {
        self.options.trust_client_identity
    }

    /// The client's address: the peer's, or what trusted proxies say.
    #[must_use]
    pub fn address(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        self.proxies.client(peer, headers)
    }

    /// Requests whose peer named another address as the client's without being trusted to.
    #[must_use]
    pub fn ignored_forwarded(&self) -> u64 {
        self.proxies.ignored()
    }

    /// Who was refused lately, also by the pipeline.
    #[must_use]
    pub fn refused(&self) -> &Arc<Refused> {
        &self.refused
    }

    /// Lets a credential's bearer in, or somebody anonymous without one. Waits at most for one
    /// fetch of keys.
    ///
    /// # Errors
    /// `unauthenticated` when the credential does not hold; `overloaded` when nothing can be
    /// said of it yet.
    pub async fn identify(
        &self,
        credential: Option<&Credential>,
    ) -> Result<Arc<Session>, CallError> {
        match self.verify(credential) {
            Err(TokenError::UnknownKey | TokenError::NoKeys) if self.refetched().await => {
                self.verify(credential)
            }
            verified => verified,
        }
        .map_err(refusal)
    }

    async fn refetched(&self) -> bool {
        match &self.fetcher {
            Some(fetcher) => fetcher.fetched().await,
            None => false,
        }
    }

    /// The same with the keys that are there: a fetch may be asked for, but nothing waits.
    ///
    /// # Errors
    /// As [`identify`](Self::identify).
    pub fn identify_now(&self, credential: Option<&Credential>) -> Result<Arc<Session>, CallError> {
        self.verify(credential).map_err(|error| {
            if matches!(error, TokenError::UnknownKey | TokenError::NoKeys)
                && let Some(fetcher) = &self.fetcher
                && fetcher.want()
            {
                // It is on its way.
                return refusal(TokenError::NoKeys);
            }
            refusal(error)
        })
    }

    fn verify(&self, credential: Option<&Credential>) -> Result<Arc<Session>, TokenError> {
        let session = match credential {
            None => return Ok(self.anonymous.clone()),
            // Clients that always send something connect to a gateway for development too.
            Some(_) if self.believes_all() => return Ok(self.anonymous.clone()),
            Some(Credential::ApiKey(key)) => self.api_key(key)?,
            Some(Credential::Token(token)) => self.token(token)?,
        };
        if self.revocations.holds(&session) {
            return Err(TokenError::Revoked);
        }
        Ok(session)
    }

    /// Whether clients are believed who they say they are, and nothing could prove it.
    fn believes_all(&self) -> bool {
        self.trusts_clients()
            && self.api_keys.is_empty()
            && self.fetcher.is_none()
            && self.keys.load().is_empty()
    }

    /// Looked up by its hash: where two hashes begin to differ tells nothing of any key.
    fn api_key(&self, key: &str) -> Result<Arc<Session>, TokenError> {
        let hash = cache::hash(key);
        let found = self.api_keys.get_key_value(&hash);
        found
            .filter(|(known, _)| bool::from(known.ct_eq(&hash)))
            .map(|(_, session)| session.clone())
            .ok_or(TokenError::UnknownApiKey)
    }

    fn token(&self, token: &str) -> Result<Arc<Session>, TokenError> {
        // Its length first: nothing else is done with what is too long.
        if token.len() > self.jwt.max_token_bytes {
            return Err(TokenError::Malformed("it is too long"));
        }
        let hash = cache::hash(token);
        if let Some(session) = self.cache.get(&hash) {
            if session.expires.is_none_or(|at| at > Instant::now()) {
                return Ok(session);
            }
            self.cache.remove(&hash);
        }
        let unverified = token::parse(token, self.jwt.max_token_bytes)?;
        let keys = self.keys.load();
        if keys.is_empty() {
            return Err(match self.fetcher {
                Some(_) => TokenError::NoKeys,
                None => TokenError::Claim(
                    "it accepts no tokens until [jwt] names a secret, public_key or jwks_url"
                        .to_owned(),
                ),
            });
        }
        let claims = unverified.verify(&keys)?;
        let now = since_1970();
        let times = claims::check(&claims, &self.jwt, now)?;
        let left = times.expires.map(|at| {
            let left = Duration::from_secs(at).saturating_sub(now);
            Instant::now() + left.min(FOREVER)
        });
        let session = Arc::new(Session {
            identity: claims::identity(&claims, &self.jwt)?,
            expires: left,
            issued: times.issued,
            token_id: claims
                .get("jti")
                .and_then(|id| id.as_str())
                .map(str::to_owned),
            caller: Caller {
                claims: Some(Arc::new(claims)),
                ..Caller::default()
            },
        });
        self.cache.put(hash, session.clone());
        Ok(session)
    }

    /// For whom a call of `session` is made that itself says it is for `claim`.
    ///
    /// # Errors
    /// `permission_denied` when it names another user and `identity.override_user_id` is off;
    /// `unauthenticated` when a user is required and none is known.
    pub fn acting(&self, session: &Session, claim: Identity) -> Result<Identity, CallError> {
        let identity = if session.is_verified() {
            let verified = session.identity.clone();
            if !self.options.override_user_id
                && claim.user_id.is_some()
                && claim.user_id != verified.user_id
            {
                let text = "the request's user_id is not the caller's; the call did not run";
                return Err(CallError::new(ErrorCode::PermissionDenied, text));
            }
            verified
        } else if self.options.trust_client_identity {
            over(session.identity.clone(), claim)
        } else {
            Identity::anonymous()
        };
        if self.options.require_verified_user_id && !identity.is_authenticated() {
            return Err(credential::refused(
                "this gateway lets nobody call without a token or an API key",
            ));
        }
        Ok(identity)
    }

    /// A newer token for `session`, of the same user.
    ///
    /// # Errors
    /// When it does not hold, or is another user's.
    pub fn renew(&self, session: &Session, token: &str) -> Result<Arc<Session>, CallError> {
        if session.caller.claims.is_none() {
            let text = "there is no token to renew: join with one";
            return Err(credential::refused(text));
        }
        let renewed = self.identify_now(Some(&Credential::Token(token.to_owned())))?;
        if renewed.identity.user_id != session.identity.user_id {
            return Err(credential::refused("the token is for another user"));
        }
        Ok(renewed)
    }

    /// Lets somebody in no more: calls are refused from now on, and sockets closed. Other gateways
    /// hear of it where this one [follows](Self::follow_revocations) them.
    ///
    /// # Errors
    /// When it is an API key that is not configured here, or for which there is no room; nothing was
    /// changed then.
    pub fn revoke(&self, what: Revocation) -> Result<Revoked, RevokeError> {
        if let Revocation::ApiKey(id) = &what {
            let ids = self.api_keys.values().map(|s| s.caller.api_key.as_deref());
            if !ids.into_iter().any(|known| known == Some(id.as_str())) {
                return Err(RevokeError::UnknownApiKey(id.clone()));
            }
        }
        let full = RevokeError::Full {
            id: what.value().to_owned(),
            most: self.revocations.most,
        };
        let revoked = self.revocations.make(what, since_1970()).ok_or(full)?;
        tracing::info!(what = ?revoked.what, "revoked");
        Ok(revoked)
    }

    /// Takes a revocation back, on all gateways; false: this one knew of none.
    pub fn restore(&self, what: Revocation) -> bool {
        tracing::info!(?what, "revoked no longer");
        self.revocations.take_back(what, since_1970())
    }

    /// Who is let in no more, as far as this gateway knows; newest first.
    #[must_use]
    pub fn revoked(&self) -> Vec<Revoked> {
        self.revocations.all()
    }

    /// Whether a session that was let in is so no longer.
    #[must_use]
    pub fn is_revoked(&self, session: &Session) -> bool {
        self.revocations.holds(session)
    }

    /// Changes with each revocation.
    pub(crate) fn revocations(&self) -> watch::Receiver<u64> {
        self.revocations.changes()
    }
}

/// Each field of `first`, else that of `second`.
pub(crate) fn over(first: Identity, second: Identity) -> Identity {
    Identity {
        user_id: first.user_id.or(second.user_id),
        device_id: first.device_id.or(second.device_id),
        roles: if first.roles.is_empty() {
            second.roles
        } else {
            first.roles
        },
    }
}

fn since_1970() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

/// What a client is told of its credential.
fn refusal(error: TokenError) -> CallError {
    match error {
        TokenError::NoKeys => CallError::new(ErrorCode::Overloaded, error.to_string()),
        error => credential::refused(error.to_string()),
    }
}
