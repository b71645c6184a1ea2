//! NATS credentials files that change while a program runs.

use std::io;
use std::path::Path;

use async_nats::{Auth, AuthError, ConnectOptions};
use nkeys::KeyPair;

/// Options for a NATS client that signs in with a credentials file (JWT and seed), read anew for each
/// connection: a server ends a connection whose JWT has expired, and the next one needs the new JWT that
/// has been put there meanwhile. What workers do with
/// [`WorkerBuilder::credentials_file`](crate::WorkerBuilder::credentials_file), for clients of your own.
///
/// # Errors
/// When the file cannot be read, or holds no credentials, now. Later, the connection fails and the client
/// tries again.
pub fn credentials_file(path: impl AsRef<Path>) -> io::Result<ConnectOptions> {
    let path = path.as_ref().to_owned();
    Credentials::read(&path)?;
    Ok(ConnectOptions::with_auth_callback(move |nonce| {
        // A small local file, and at most once for each connection.
        let signed = sign_with_credentials(&path, &nonce);
        std::future::ready(signed.map_err(|error| {
            tracing::warn!(path = %path.display(), %error, "the NATS credentials cannot be used");
            AuthError::new(error)
        }))
    }))
}

/// Signs a server's challenge with a credentials file, for clients that speak the protocol of NATS themselves:
/// the JWT, and the signature of `nonce` (64 bytes, Ed25519).
///
/// # Errors
/// When the file cannot be read, or holds no credentials.
pub fn sign_with_credentials(path: impl AsRef<Path>, nonce: &[u8]) -> io::Result<Auth> {
    Credentials::read(path.as_ref())?.sign(nonce)
}

struct Credentials {
    jwt: String,
    key: KeyPair,
}

impl Credentials {
    fn read(path: &Path) -> io::Result<Self> {
        Self::parse(&std::fs::read_to_string(path)?)
    }

    fn parse(text: &str) -> io::Result<Self> {
        let block = |name: &str| {
            block(text, name).ok_or_else(|| io::Error::other(format!("there is no {name} in it")))
        };
        let jwt = block("NATS USER JWT")?.to_owned();
        // The message repeats nothing of it.
        let key = KeyPair::from_seed(block("USER NKEY SEED")?)
            .map_err(|_| io::Error::other("its seed is none"))?;
        Ok(Self { jwt, key })
    }

    fn sign(self, nonce: &[u8]) -> io::Result<Auth> {
        let mut auth = Auth::new();
        auth.signature = Some(self.key.sign(nonce).map_err(io::Error::other)?);
        auth.jwt = Some(self.jwt);
        Ok(auth)
    }
}

/// What stands between the lines `-----BEGIN name-----` and `------END name------`.
fn block<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("-BEGIN {name}-"))?;
    let (inside, _) = rest.split_once(&format!("-END {name}-"))?;
    let inside = inside.trim_matches(|c: char| c == '-' || c.is_whitespace());
    (!inside.is_empty()).then_some(inside)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(jwt: &str, seed: &str) -> String {
        format!(
            "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\r\n\n\
             ************************* IMPORTANT *************************\n\n\
             -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        )
    }

    #[test]
    fn a_file_is_read_and_signs() {
        let user = KeyPair::new_user();
        let text = file("a.b-.c_", &user.seed().unwrap());
        let auth = Credentials::parse(&text).unwrap().sign(b"nonce").unwrap();
        assert_eq!(auth.jwt.as_deref(), Some("a.b-.c_"));
        assert!(user.verify(b"nonce", &auth.signature.unwrap()).is_ok());
    }

    #[test]
    fn mistakes_are_told_without_the_secret() {
        let told = |text: &str| Credentials::parse(text).err().unwrap().to_string();
        assert!(told("").contains("NATS USER JWT"));
        assert!(told(&file("", "SU")).contains("NATS USER JWT"));
        assert!(told(&file("a.b.c", "")).contains("USER NKEY SEED"));
        let wrong = told(&file("a.b.c", "SUNOTASEED"));
        assert!(!wrong.contains("NOTASEED"), "{wrong}");
        assert!(credentials_file("/no/such").is_err());
    }
}
