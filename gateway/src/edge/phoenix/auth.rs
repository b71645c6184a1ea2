//! Who a socket speaks for: what [`crate::identity`] says of the credential that it shows, or what
//! it says of itself where clients are trusted.
//!
//! A credential stands in a sub-protocol (`base64url.bearer.phx.…`), in the query (`token`,
//! `api_key`), in a header, or in the payload of a join (`token`, `api_key`).

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use http::header::SEC_WEBSOCKET_PROTOCOL;
use http::{HeaderMap, Request};
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use sluice_protocol::payload::Encoding;
use sluice_protocol::{CallError, Identity, Payload};
use tokio::sync::watch;

use crate::identity::{Credential, Identifier, Session, credential, over};

/// What a client says when it connects.
#[derive(Debug, Clone, Copy)]
pub struct Offer<'a> {
    /// The query of the request, still encoded.
    pub query: &'a str,
    /// Its headers.
    pub headers: &'a HeaderMap,
}

impl<'a> Offer<'a> {
    /// What `request` says.
    pub fn of<B>(request: &'a Request<B>) -> Self {
        Self {
            query: request.uri().query().unwrap_or_default(),
            headers: request.headers(),
        }
    }

    /// The parameters of the query, decoded, in their order.
    pub fn params(&self) -> impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)> + use<'a> {
        let pairs = self.query.split('&').filter(|pair| !pair.is_empty());
        pairs.map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(key), decode(value))
        })
    }

    /// The sub-protocols, in their order.
    pub fn protocols(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let headers = self.headers.get_all(SEC_WEBSOCKET_PROTOCOL);
        headers
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(str::trim)
    }

    /// The one credential that it shows.
    fn credential(&self) -> Result<Option<Credential>, CallError> {
        let mut found = credential::from_headers(self.headers)?;
        for protocol in self.protocols() {
            if let Some(next) = Credential::of_sub_protocol(protocol)? {
                credential::one(&mut found, next)?;
            }
        }
        for (key, value) in self.params().filter(|(_, value)| !value.is_empty()) {
            match key.as_ref() {
                "token" => credential::one(&mut found, Credential::Token(value.into_owned()))?,
                "api_key" => credential::one(&mut found, Credential::ApiKey(value.into_owned()))?,
                _ => {}
            }
        }
        Ok(found)
    }
}

fn decode(text: &str) -> Cow<'_, str> {
    if !text.contains(['%', '+']) {
        return Cow::Borrowed(text);
    }
    let spaced = text.replace('+', " ");
    Cow::Owned(percent_decode_str(&spaced).decode_utf8_lossy().into_owned())
}

/// Decides who a connection, a channel and a call speak for.
pub trait SocketAuth: Clone + Send + Sync + 'static {
    /// Who connects.
    ///
    /// # Errors
    /// Answered with its status, and its text.
    fn connect(&self, offer: &Offer<'_>) -> Result<Arc<Session>, CallError>;

    /// Who joins `topic`, on a connection of `socket`: the same session, or one of its own.
    ///
    /// # Errors
    /// Answered with an error reply that says the reason.
    fn join(
        &self,
        socket: &Arc<Session>,
        topic: &str,
        params: &Payload,
    ) -> Result<Arc<Session>, CallError>;

    /// For whom a call of `session` is made, which itself claims `claim`.
    ///
    /// # Errors
    /// Answered as the call's own.
    fn call(&self, session: &Session, claim: Identity) -> Result<Identity, CallError>;

    /// A newer token for `session`.
    ///
    /// # Errors
    /// Answered with an error reply that says the reason.
    fn renew(&self, _session: &Session, _token: &str) -> Result<Arc<Session>, CallError> {
        Err(credential::refused("there is no token to renew"))
    }

    /// Whether a session is let in no more.
    fn is_revoked(&self, _session: &Session) -> bool {
        false
    }

    /// Changes when sessions may have been revoked.
    fn revocations(&self) -> Option<watch::Receiver<u64>> {
        None
    }

    /// Whether anything may be asked from this address now.
    ///
    /// # Errors
    /// `rate_limited`, after too many refusals.
    fn admits(&self, _address: Option<IpAddr>) -> Result<(), CallError> {
        Ok(())
    }

    /// Counts what was refused to an address before it became a call.
    fn note(&self, _address: Option<IpAddr>, _error: &CallError) {}

    /// The client's address, where its connection comes from `peer`.
    fn address(&self, peer: IpAddr, _headers: &HeaderMap) -> IpAddr {
        peer
    }
}

/// The rule with credentials.
#[derive(Debug, Clone)]
pub struct Guard(pub Arc<Identifier>);

impl Guard {
    fn claims(&self) -> Claims {
        Claims {
            trusted: self.0.trusts_clients(),
        }
    }

    /// Waits, if the key of the credential is to be fetched first.
    pub async fn prepare(&self, offer: &Offer<'_>, address: Option<IpAddr>) {
        if self.admits(address).is_ok()
            && let Ok(Some(credential)) = offer.credential()
        {
            // `connect` says what became of it.
            let _ = self.0.identify(Some(&credential)).await;
        }
    }
}

impl SocketAuth for Guard {
    fn connect(&self, offer: &Offer<'_>) -> Result<Arc<Session>, CallError> {
        match offer.credential()? {
            Some(credential) => self.0.identify_now(Some(&credential)),
            None => self.claims().connect(offer),
        }
    }

    fn join(
        &self,
        socket: &Arc<Session>,
        topic: &str,
        params: &Payload,
    ) -> Result<Arc<Session>, CallError> {
        match credential_of_join(params)? {
            Some(credential) => self.0.identify_now(Some(&credential)),
            None if socket.is_verified() => Ok(socket.clone()),
            None => self.claims().join(socket, topic, params),
        }
    }

    fn call(&self, session: &Session, claim: Identity) -> Result<Identity, CallError> {
        self.0.acting(session, claim)
    }

    fn renew(&self, session: &Session, token: &str) -> Result<Arc<Session>, CallError> {
        self.0.renew(session, token)
    }

    fn is_revoked(&self, session: &Session) -> bool {
        self.0.is_revoked(session)
    }

    fn revocations(&self) -> Option<watch::Receiver<u64>> {
        Some(self.0.revocations())
    }

    fn admits(&self, address: Option<IpAddr>) -> Result<(), CallError> {
        self.0.refused().check(address)
    }

    fn note(&self, address: Option<IpAddr>, error: &CallError) {
        self.0.refused().note(address, error);
    }

    fn address(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        self.0.address(peer, headers)
    }
}

fn credential_of_join(params: &Payload) -> Result<Option<Credential>, CallError> {
    #[derive(Default, Deserialize)]
    struct Shown {
        #[serde(default)]
        token: serde_json::Value,
        #[serde(default)]
        api_key: serde_json::Value,
    }
    // Params that are no object show nothing.
    let shown: Shown = match params.encoding {
        Encoding::Json => serde_json::from_slice(&params.bytes).unwrap_or_default(),
        Encoding::MessagePack | Encoding::Http => {
            rmp_serde::from_slice(&params.bytes).unwrap_or_default()
        }
    };
    let text = |value: serde_json::Value, name: &str| match value {
        serde_json::Value::Null => Ok(None),
        serde_json::Value::String(text) => Ok(Some(text).filter(|t| !t.is_empty())),
        _ => Err(credential::refused(format!(
            "{name} of the join is no text"
        ))),
    };
    let mut found = None;
    if let Some(token) = text(shown.token, "token")? {
        credential::one(&mut found, Credential::Token(token))?;
    }
    if let Some(key) = text(shown.api_key, "api_key")? {
        credential::one(&mut found, Credential::ApiKey(key))?;
    }
    Ok(found)
}

/// The rule without credentials: what clients say of themselves counts, or nothing does.
#[derive(Debug, Clone, Copy)]
pub struct Claims {
    /// `identity.trust_client_identity`.
    pub trusted: bool,
}

impl SocketAuth for Claims {
    fn connect(&self, offer: &Offer<'_>) -> Result<Arc<Session>, CallError> {
        let mut claim = Identity::anonymous();
        if self.trusted {
            for (key, value) in offer.params() {
                match key.as_ref() {
                    "user_id" => claim.user_id = said(value),
                    "device_id" => claim.device_id = said(value),
                    // The npm package writes an array as `user_roles[0]=…&user_roles[1]=…`.
                    key if key == "user_roles" || key.starts_with("user_roles[") => {
                        let roles = value.split(',').filter(|role| !role.is_empty());
                        claim.roles.extend(roles.map(str::to_owned));
                    }
                    _ => {}
                }
            }
        }
        Ok(Arc::new(Session::claimed(claim)))
    }

    fn join(
        &self,
        socket: &Arc<Session>,
        _topic: &str,
        params: &Payload,
    ) -> Result<Arc<Session>, CallError> {
        if !self.trusted {
            return Ok(socket.clone());
        }
        // Params that say something else are no claim, and no mistake.
        let said: Said = match params.encoding {
            Encoding::Json => serde_json::from_slice(&params.bytes).unwrap_or_default(),
            Encoding::MessagePack | Encoding::Http => {
                rmp_serde::from_slice(&params.bytes).unwrap_or_default()
            }
        };
        let identity = over(said.into(), socket.identity.clone());
        Ok(Arc::new(Session::claimed(identity)))
    }

    fn call(&self, session: &Session, claim: Identity) -> Result<Identity, CallError> {
        Ok(if self.trusted {
            // Who the socket is counts more than what a request says.
            over(session.identity.clone(), claim)
        } else {
            Identity::anonymous()
        })
    }
}

fn said(value: Cow<'_, str>) -> Option<String> {
    (!value.is_empty()).then(|| value.into_owned())
}

/// What the payload of a join says of its sender.
#[derive(Default, Deserialize)]
struct Said {
    user_id: Option<String>,
    device_id: Option<String>,
    user_roles: Option<Vec<String>>,
}

impl From<Said> for Identity {
    fn from(said: Said) -> Self {
        let roles = said.user_roles.unwrap_or_default();
        Self {
            user_id: said.user_id.filter(|id| !id.is_empty()),
            device_id: said.device_id.filter(|id| !id.is_empty()),
            roles: roles.into_iter().filter(|role| !role.is_empty()).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connect(query: &str, trusted: bool) -> Identity {
        let headers = HeaderMap::new();
        let offer = Offer {
            query,
            headers: &headers,
        };
        Claims { trusted }.connect(&offer).unwrap().identity.clone()
    }

    fn identity(user: &str, device: Option<&str>, roles: &[&str]) -> Identity {
        Identity {
            user_id: Some(user.to_owned()),
            device_id: device.map(str::to_owned),
            roles: roles.iter().map(|&r| r.to_owned()).collect(),
        }
    }

    #[test]
    fn nobody_is_believed_unless_told_so() {
        let claims = Claims { trusted: false };
        let params = Payload::json(r#"{"user_id":"u"}"#);
        let socket = connect("user_id=u&user_roles=admin", false);
        assert_eq!(socket, Identity::anonymous());
        let socket = Arc::new(Session::claimed(socket));
        let channel = claims.join(&socket, "api:x", &params).unwrap();
        assert_eq!(channel.identity, Identity::anonymous());
        let claim = identity("u", None, &["admin"]);
        assert_eq!(claims.call(&channel, claim), Ok(Identity::anonymous()));
    }

    #[test]
    fn the_channel_counts_more_than_the_request_and_the_join_more_than_the_query() {
        let claims = Claims { trusted: true };
        let socket = connect("vsn=2.0.0&user_id=a%20b+c&device_id=d&x", true);
        assert_eq!(socket, identity("a b c", Some("d"), &[]));
        let socket = Arc::new(Session::claimed(socket));
        for params in [
            Payload::json(r#"{"user_id":"u2","user_roles":["r",""],"other":1}"#),
            Payload::json(r#"{"user_id":"u2","user_roles":["r",""],"other":1}"#)
                .transcode(Encoding::MessagePack)
                .unwrap(),
        ] {
            let channel = claims.join(&socket, "api:x", &params).unwrap();
            assert_eq!(channel.identity, identity("u2", Some("d"), &["r"]));
        }
        for odd in ["null", "[]", r#"{"user_id":5}"#, "{"] {
            let channel = claims.join(&socket, "api:x", &Payload::json(odd)).unwrap();
            assert_eq!(channel.identity, socket.identity, "{odd}");
        }
        let claim = identity("mine", Some("phone"), &["admin"]);
        assert_eq!(
            claims.call(&socket, claim.clone()),
            Ok(identity("a b c", Some("d"), &["admin"]))
        );
        let nobody = Session::default();
        assert_eq!(claims.call(&nobody, claim.clone()), Ok(claim));
    }

    #[test]
    fn roles_of_the_query_come_in_any_form() {
        for query in [
            "user_roles=a,b",
            "user_roles[]=a&user_roles[]=b",
            "user_roles%5B0%5D=a&user_roles%5B1%5D=b",
        ] {
            assert_eq!(connect(query, true).roles, ["a", "b"], "{query}");
        }
    }

    #[test]
    fn sub_protocols_are_listed() {
        let mut headers = HeaderMap::new();
        headers.append(SEC_WEBSOCKET_PROTOCOL, "phoenix, x".parse().unwrap());
        headers.append(SEC_WEBSOCKET_PROTOCOL, "y".parse().unwrap());
        let offer = Offer {
            query: "",
            headers: &headers,
        };
        assert_eq!(offer.protocols().collect::<Vec<_>>(), ["phoenix", "x", "y"]);
    }
}
