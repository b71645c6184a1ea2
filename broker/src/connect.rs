//! CONNECT, a client's introduction.

use serde::Deserialize;

use crate::options::Auth;
use crate::refusal::Refusal;

/// What a client asks for. Fields that mean nothing to this broker are ignored.
#[derive(Debug, Deserialize)]
#[serde(default)]
pub(crate) struct Connect {
    pub(crate) verbose: bool,
    pub(crate) pedantic: bool,
    pub(crate) echo: bool,
    pub(crate) headers: bool,
    pub(crate) no_responders: bool,
    tls_required: bool,
    auth_token: Option<String>,
    user: Option<String>,
    pass: Option<String>,
    /// Only other servers send these.
    cluster: Option<String>,
    gateway: Option<String>,
    server_id: Option<String>,
}

/// Before CONNECT, and where it is silent: as in NATS, made for a human with telnet.
impl Default for Connect {
    fn default() -> Self {
        Self {
            verbose: true,
            pedantic: true,
            echo: true,
            headers: false,
            no_responders: false,
            tls_required: false,
            auth_token: None,
            user: None,
            pass: None,
            cluster: None,
            gateway: None,
            server_id: None,
        }
    }
}

impl Connect {
    /// Reads and checks it, credentials included.
    pub(crate) fn parse(json: &[u8], auth: &Auth) -> Result<Self, Refusal> {
        let connect: Self = serde_json::from_slice(json).map_err(|_| Refusal::Malformed)?;
        let is_server = [&connect.cluster, &connect.gateway, &connect.server_id]
            .into_iter()
            .any(|field| field.as_ref().is_some_and(|value| !value.is_empty()));
        if is_server {
            return Err(Refusal::WrongPort);
        }
        if connect.tls_required {
            return Err(Refusal::Tls);
        }
        if !connect.is_authorized(auth) {
            return Err(Refusal::Authorization);
        }
        if connect.no_responders && !connect.headers {
            return Err(Refusal::NoRespondersNeedsHeaders);
        }
        Ok(connect)
    }

    fn is_authorized(&self, auth: &Auth) -> bool {
        let same = |given: &Option<String>, wanted: &str| {
            same_secret(
                given.as_deref().unwrap_or_default().as_bytes(),
                wanted.as_bytes(),
            )
        };
        match auth {
            Auth::Open => true,
            Auth::Token(token) => same(&self.auth_token, token),
            // Both are compared whatever the first says: the time tells nothing.
            Auth::UserPassword { user, password } => {
                same(&self.user, user) & same(&self.pass, password)
            }
        }
    }
}

/// Compares in a time that does not depend on where the difference is.
fn same_secret(given: &[u8], wanted: &[u8]) -> bool {
    let difference = given
        .iter()
        .zip(wanted)
        .fold(0, |sum, (a, b)| sum | (a ^ b));
    given.len() == wanted.len() && std::hint::black_box(difference) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_what_it_is_told() {
        let password = Auth::UserPassword {
            user: "u".into(),
            password: "p".into(),
        };
        let token = Auth::Token("t".into());
        let cases = [
            ("{}", &Auth::Open, Ok(())),
            (
                r#"{"lang":"x","protocol":1,"user":"u","unknown":[1]}"#,
                &Auth::Open,
                Ok(()),
            ),
            ("", &Auth::Open, Err(Refusal::Malformed)),
            ("[1]", &Auth::Open, Err(Refusal::Malformed)),
            (r#"{"verbose":"yes"}"#, &Auth::Open, Err(Refusal::Malformed)),
            (
                r#"{"no_responders":true}"#,
                &Auth::Open,
                Err(Refusal::NoRespondersNeedsHeaders),
            ),
            (r#"{"tls_required":true}"#, &Auth::Open, Err(Refusal::Tls)),
            (r#"{"cluster":"c"}"#, &Auth::Open, Err(Refusal::WrongPort)),
            (r#"{"gateway":"g"}"#, &Auth::Open, Err(Refusal::WrongPort)),
            (
                r#"{"server_id":"leaf"}"#,
                &Auth::Open,
                Err(Refusal::WrongPort),
            ),
            (r#"{"user":"u","pass":"p"}"#, &password, Ok(())),
            (
                r#"{"user":"u","pass":"x"}"#,
                &password,
                Err(Refusal::Authorization),
            ),
            (
                r#"{"user":"u","pass":"pp"}"#,
                &password,
                Err(Refusal::Authorization),
            ),
            ("{}", &password, Err(Refusal::Authorization)),
            (r#"{"auth_token":"t"}"#, &token, Ok(())),
            ("{}", &token, Err(Refusal::Authorization)),
        ];
        for (json, auth, expected) in cases {
            let result = Connect::parse(json.as_bytes(), auth).map(|_| ());
            assert_eq!(result, expected, "{json} {auth:?}");
        }
    }
}
