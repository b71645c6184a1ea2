//! Who a socket speaks for.
//!
//! This is the one place that decides it. Today there are two rules: everybody is anonymous, or
//! everybody is who they say they are. Tokens will be a third implementation of [`SocketAuth`]:
//! it finds them in [`Offer::protocols`] (`base64url.bearer.phx.…`), in the query, or in the
//! payload of a join, and its refusals are already answered as Phoenix answers them.

use std::borrow::Cow;

use http::HeaderMap;
use http::header::SEC_WEBSOCKET_PROTOCOL;
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use sluice_protocol::payload::Encoding;
use sluice_protocol::{Identity, Payload};

/// What a client says when it connects.
#[derive(Debug, Clone, Copy)]
pub struct Offer<'a> {
    /// The query of the request, still encoded.
    pub query: &'a str,
    /// Its headers.
    pub headers: &'a HeaderMap,
}

impl<'a> Offer<'a> {
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
}

fn decode(text: &str) -> Cow<'_, str> {
    if !text.contains(['%', '+']) {
        return Cow::Borrowed(text);
    }
    let spaced = text.replace('+', " ");
    Cow::Owned(percent_decode_str(&spaced).decode_utf8_lossy().into_owned())
}

/// Why a connection or a join is refused: the `reason` that its client is told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(pub String);

/// Decides who a connection, a channel and a call speak for.
pub trait SocketAuth: Clone + Send + Sync + 'static {
    /// Who connects.
    ///
    /// # Errors
    /// Answered with status 403, as Phoenix does.
    fn connect(&self, offer: &Offer<'_>) -> Result<Identity, Refusal>;

    /// Who joins `topic`, on a connection of `socket`.
    ///
    /// # Errors
    /// Answered with an error reply that says the reason.
    fn join(&self, socket: &Identity, topic: &str, params: &Payload) -> Result<Identity, Refusal>;

    /// For whom a call on a channel of `channel` is made, which itself claims `claim`.
    fn call(&self, channel: &Identity, claim: Identity) -> Identity;
}

/// The rule without tokens: what clients say of themselves counts, or nothing does.
#[derive(Debug, Clone, Copy)]
pub struct Claims {
    /// `identity.trust_client_identity`.
    pub trusted: bool,
}

impl SocketAuth for Claims {
    fn connect(&self, offer: &Offer<'_>) -> Result<Identity, Refusal> {
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
        Ok(claim)
    }

    fn join(&self, socket: &Identity, _topic: &str, params: &Payload) -> Result<Identity, Refusal> {
        if !self.trusted {
            return Ok(Identity::anonymous());
        }
        // Params that say something else are no claim, and no mistake.
        let said: Said = match params.encoding {
            Encoding::Json => serde_json::from_slice(&params.bytes).unwrap_or_default(),
            Encoding::MessagePack => rmp_serde::from_slice(&params.bytes).unwrap_or_default(),
        };
        Ok(over(said.into(), socket.clone()))
    }

    fn call(&self, channel: &Identity, claim: Identity) -> Identity {
        if self.trusted {
            // As the ancestor had it: who the socket is counts more than what a request says.
            over(channel.clone(), claim)
        } else {
            Identity::anonymous()
        }
    }
}

fn said(value: Cow<'_, str>) -> Option<String> {
    (!value.is_empty()).then(|| value.into_owned())
}

/// Each field of `first`, else that of `second`.
fn over(first: Identity, second: Identity) -> Identity {
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
        Claims { trusted }.connect(&offer).unwrap()
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
        let channel = claims.join(&socket, "api:x", &params).unwrap();
        assert_eq!(channel, Identity::anonymous());
        let claim = identity("u", None, &["admin"]);
        assert_eq!(claims.call(&channel, claim), Identity::anonymous());
    }

    #[test]
    fn the_channel_counts_more_than_the_request_and_the_join_more_than_the_query() {
        let claims = Claims { trusted: true };
        let socket = connect("vsn=2.0.0&user_id=a%20b+c&device_id=d&x", true);
        assert_eq!(socket, identity("a b c", Some("d"), &[]));
        for params in [
            Payload::json(r#"{"user_id":"u2","user_roles":["r",""],"other":1}"#),
            Payload::json(r#"{"user_id":"u2","user_roles":["r",""],"other":1}"#)
                .transcode(Encoding::MessagePack)
                .unwrap(),
        ] {
            let channel = claims.join(&socket, "api:x", &params).unwrap();
            assert_eq!(channel, identity("u2", Some("d"), &["r"]));
        }
        for odd in ["null", "[]", r#"{"user_id":5}"#, "{"] {
            let channel = claims.join(&socket, "api:x", &Payload::json(odd)).unwrap();
            assert_eq!(channel, socket, "{odd}");
        }
        let claim = identity("mine", Some("phone"), &["admin"]);
        assert_eq!(
            claims.call(&socket, claim.clone()),
            identity("a b c", Some("d"), &["admin"])
        );
        assert_eq!(claims.call(&Identity::anonymous(), claim.clone()), claim);
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
