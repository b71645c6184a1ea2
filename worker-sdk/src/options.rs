//! How a worker reaches the broker.

use std::path::PathBuf;

use async_nats::{ConnectOptions, ServerAddr};

/// The environment variable that names the broker where the program does not.
pub const NATS_URL_ENV: &str = "SLUICE_NATS_URL";
/// Where the broker is if nobody says so.
pub const DEFAULT_NATS_URL: &str = "nats://127.0.0.1:4222";

/// Address and credentials; see the methods of [`crate::WorkerBuilder`].
#[derive(Clone, Default)]
pub(crate) struct NatsOptions {
    pub(crate) url: Option<String>,
    pub(crate) user: Option<(String, String)>,
    pub(crate) token: Option<String>,
    pub(crate) nkey: Option<String>,
    pub(crate) credentials: Option<PathBuf>,
    pub(crate) tls_ca: Option<PathBuf>,
    pub(crate) tls_client: Option<(PathBuf, PathBuf)>,
    pub(crate) require_tls: bool,
    pub(crate) tls_first: bool,
    pub(crate) inbox_prefix: Option<String>,
}

impl NatsOptions {
    /// The servers: told, or from the environment, or the default.
    pub(crate) fn servers(&self) -> Result<Vec<ServerAddr>, String> {
        let from_env = || std::env::var(NATS_URL_ENV).ok().filter(|u| !u.is_empty());
        let url = self.url.clone().or_else(from_env);
        let url = url.as_deref().unwrap_or(DEFAULT_NATS_URL);
        url.split(',')
            .map(|one| {
                let one = one.trim();
                // What stands before an @ may be a secret: it is not shown.
                let shown = one.rsplit_once('@').map_or(one, |(_, host)| host);
                let address: ServerAddr = one
                    .parse()
                    .map_err(|e| format!("{shown:?} is not the address of a NATS server: {e}"))?;
                // The client would ignore them, and addresses stand in logs.
                if address.has_user_pass() || address.password().is_some() {
                    return Err(format!(
                        "the address of the NATS server {shown:?} holds a user name, password or \
                         token: give them to user_password() or token()"
                    ));
                }
                Ok(address)
            })
            .collect()
    }

    /// The client's options, all but its name and its callbacks.
    pub(crate) fn to_client(&self) -> Result<ConnectOptions, String> {
        let options = match &self.credentials {
            Some(path) => crate::credentials_file(path)
                .map_err(|e| format!("credentials file {}: {e}", path.display()))?,
            None => ConnectOptions::new(),
        };
        let mut options = options.require_tls(self.require_tls);
        if let Some((user, password)) = &self.user {
            options = options.user_and_password(user.clone(), password.clone());
        }
        if let Some(token) = &self.token {
            options = options.token(token.clone());
        }
        if let Some(seed) = &self.nkey {
            options = options.nkey(seed.trim().to_owned());
        }
        if let Some(path) = &self.tls_ca {
            options = options.add_root_certificates(path.clone());
        }
        if let Some((certificate, key)) = &self.tls_client {
            options = options.add_client_certificate(certificate.clone(), key.clone());
        }
        if self.tls_first {
            options = options.tls_first();
        }
        if let Some(prefix) = &self.inbox_prefix {
            options = options.custom_inbox_prefix(prefix);
        }
        Ok(options)
    }
}

// Passwords and tokens stay out of logs.
impl std::fmt::Debug for NatsOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NatsOptions")
            .field("tls_ca", &self.tls_ca)
            .field("require_tls", &self.require_tls)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_servers_may_be_named_and_a_mistake_is_shown() {
        let of = |url: &str| NatsOptions {
            url: Some(url.into()),
            ..NatsOptions::default()
        };
        let servers = of("nats://a:1, tls://b:2").servers().unwrap();
        let hosts: Vec<&str> = servers.iter().map(ServerAddr::host).collect();
        assert_eq!(hosts, ["a", "b"]);
        let fault = of("http://a").servers().unwrap_err();
        assert!(fault.contains("\"http://a\""), "{fault}");
    }

    #[test]
    fn nobody_signs_in_by_the_address() {
        for url in [
            "nats://ann:hunter2@a:1",
            "b, nats://hunter2@a",
            "tls://:hunter2@a",
        ] {
            let options = NatsOptions {
                url: Some(url.into()),
                ..NatsOptions::default()
            };
            let fault = options.servers().unwrap_err();
            assert!(
                fault.contains("\"a") && fault.contains("user_password"),
                "{fault}"
            );
            assert!(!fault.contains("hunter2"), "{fault}");
        }
    }
}
