//! What the gateway says of itself when it connects, and who it is.

use std::io;

use async_nats::{ConnectInfo, Protocol, ServerInfo};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nkeys::KeyPair;

use crate::config::Nats;

/// The `CONNECT` line for a server that greeted with `info`. Files are read anew: a server ends a connection
/// whose JWT has expired, and the next one needs the JWT that has been put there meanwhile.
pub(super) fn connect_line(
    options: &Nats,
    name: &str,
    tls: bool,
    info: &ServerInfo,
) -> io::Result<String> {
    let mut connect = ConnectInfo {
        verbose: false,
        pedantic: false,
        user_jwt: None,
        nkey: None,
        signature: None,
        name: Some(name.to_owned()),
        // A message to ourselves shows that the broker has read all before it.
        echo: true,
        lang: "rust".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        protocol: Protocol::Dynamic,
        tls_required: tls,
        user: options.user.clone(),
        pass: options.password.clone(),
        auth_token: options.token.clone(),
        headers: true,
        no_responders: true,
    };
    let nonce = info.nonce.as_bytes();
    if let Some(path) = &options.credentials {
        let auth = sluice_worker::sign_with_credentials(path, nonce)
            .map_err(|e| io::Error::other(format!("nats.credentials {}: {e}", path.display())))?;
        connect.user_jwt = auth.jwt;
        connect.signature = auth.signature.map(|s| URL_SAFE_NO_PAD.encode(s));
    } else if let Some(seed) = &options.nkey {
        let key = KeyPair::from_seed(seed).map_err(io::Error::other)?;
        let signature = key.sign(nonce).map_err(io::Error::other)?;
        connect.nkey = Some(key.public_key());
        connect.signature = Some(URL_SAFE_NO_PAD.encode(signature));
    }
    let json = serde_json::to_string(&connect).map_err(io::Error::other)?;
    Ok(format!("CONNECT {json}\r\n"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn said(options: &Nats) -> Value {
        let info = ServerInfo {
            nonce: "n0nce".into(),
            ..ServerInfo::default()
        };
        let line = connect_line(options, "g", true, &info).unwrap();
        let text = line.strip_prefix("CONNECT ").unwrap().trim_end();
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn who_it_is() {
        let plain = said(&Nats::default());
        for (field, value) in [
            ("verbose", json!(false)),
            ("echo", json!(true)),
            ("headers", json!(true)),
            ("no_responders", json!(true)),
            ("protocol", json!(1)),
            ("tls_required", json!(true)),
            ("name", json!("g")),
            ("user", Value::Null),
        ] {
            assert_eq!(plain[field], value, "{field}");
        }
        let user = said(&Nats {
            user: Some("ann".into()),
            password: Some("secret".into()),
            ..Nats::default()
        });
        assert_eq!(
            (&user["user"], &user["pass"]),
            (&json!("ann"), &json!("secret"))
        );
        let token = said(&Nats {
            token: Some("t".into()),
            ..Nats::default()
        });
        assert_eq!(token["auth_token"], "t");
    }

    #[test]
    fn the_servers_challenge_is_signed() {
        let pair = KeyPair::new_user();
        let key = said(&Nats {
            nkey: Some(pair.seed().unwrap()),
            ..Nats::default()
        });
        assert_eq!(key["nkey"], json!(pair.public_key()));
        let signature = URL_SAFE_NO_PAD
            .decode(key["sig"].as_str().unwrap())
            .unwrap();
        pair.verify(b"n0nce", &signature).unwrap();
    }

    #[test]
    fn a_file_that_is_gone_is_named() {
        let options = Nats {
            credentials: Some("/no/such.creds".into()),
            ..Nats::default()
        };
        let error = connect_line(&options, "g", false, &ServerInfo::default()).unwrap_err();
        assert!(error.to_string().contains("/no/such.creds"), "{error}");
    }
}
