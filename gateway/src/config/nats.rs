//! `[nats]`

use std::fmt;
use std::path::PathBuf;

use sluice_protocol::Subjects;

use super::kind::number::Flag;
use super::kind::secret::Secret;
use super::kind::text::{Optional, ReadableFile, Text};
use super::kind::{Kind, Raw, quoted};
use super::section::section;

section! {
    /// The broker: a NATS server, or several of one cluster.
    ["nats"] Nats {
        /// `nats://host:port` or `tls://host:port`; several separated by commas.
        url: String = "nats://127.0.0.1:4222".to_owned(), Urls;
        /// User name.
        user: Option<String> = None, Optional("text");
        /// Password of `user`.
        password: Option<String> = None, Secret;
        /// Token.
        token: Option<String> = None, Secret;
        /// Seed of an NKey, `SU…`: the gateway signs the server's challenge with it.
        nkey: Option<String> = None, Seed;
        /// File with NATS credentials (JWT and seed); read anew for each connection.
        credentials: Option<PathBuf> = None, ReadableFile;
        /// Whether a server without TLS is refused. `tls://` in `url` says the same.
        tls_require: bool = false, Flag;
        /// Whether TLS begins before the server's greeting (`handshake_first` there).
        tls_first: bool = false, Flag;
        /// File with the certificates to trust, PEM.
        tls_ca: Option<PathBuf> = None, ReadableFile;
        /// File with the client's certificate, PEM.
        tls_cert: Option<PathBuf> = None, ReadableFile;
        /// File with the client's key, PEM.
        tls_key: Option<PathBuf> = None, ReadableFile;
        /// First part of all subjects. Gateways and workers of one deployment share it.
        prefix: String = sluice_protocol::subject::DEFAULT_PREFIX.to_owned(), Text {
            what: "tokens of A-Z, a-z, 0-9, - and _, joined by dots",
            check: |prefix| Subjects::new(prefix).map(drop).map_err(|e| e.to_string()),
        };
    }
}

/// The seed of a user's NKey.
struct Seed;

impl Kind for Seed {
    type Value = Option<String>;
    const SECRET: bool = true;

    fn describe(&self) -> String {
        "the seed of a user's NKey; better in a file of its own".to_owned()
    }

    fn parse(&self, raw: &Raw<'_>) -> Result<Option<String>, Vec<String>> {
        let seed = Secret.parse(raw)?;
        let Some(text) = seed.as_deref().map(str::trim) else {
            return Ok(None);
        };
        // The message repeats nothing of it.
        let expected = "expected the seed of a user's NKey, which begins with SU";
        match nkeys::KeyPair::from_seed(text) {
            Ok(pair) if matches!(pair.key_pair_type(), nkeys::KeyPairType::User) => {
                Ok(Some(text.to_owned()))
            }
            Ok(_) => Err(vec![format!("is another kind of NKey; {expected}")]),
            Err(_) => Err(vec![format!("is no NKey; {expected}")]),
        }
    }

    fn show(&self, _: &Option<String>) -> Option<String> {
        None
    }

    fn json(&self, value: &Option<String>) -> serde_json::Value {
        Secret.json(value)
    }

    fn debug(&self, value: &Option<String>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Secret.debug(value, f)
    }
}

/// Addresses of NATS servers.
struct Urls;

impl Urls {
    fn check(url: &str) -> Result<(), String> {
        let shown = without_password(url);
        let expected = "expected nats://host:port or tls://host:port";
        if let Some((scheme, _)) = url.split_once("://")
            && !matches!(scheme, "nats" | "tls")
        {
            return Err(format!("{shown:?} has the scheme {scheme:?}; {expected}"));
        }
        let address: async_nats::ServerAddr = url
            .parse()
            .map_err(|_| format!("{shown:?} is no address of a NATS server; {expected}"))?;
        if address.host().is_empty() || address.host().contains(char::is_whitespace) {
            return Err(format!("{shown:?} names no host; {expected}"));
        }
        // The client would ignore them, and addresses stand in logs.
        if address.has_user_pass() || address.password().is_some() {
            return Err(format!(
                "{shown:?} holds a user name, password or token: they go into nats.user and \
                 nats.password, or nats.token"
            ));
        }
        Ok(())
    }
}

impl Kind for Urls {
    type Value = String;

    fn describe(&self) -> String {
        "addresses of NATS servers, separated by commas".to_owned()
    }

    fn parse(&self, raw: &Raw<'_>) -> Result<String, Vec<String>> {
        let text = raw.text().ok_or_else(|| self.unexpected(raw))?;
        let faults: Vec<String> = text
            .split(',')
            .filter_map(|url| Self::check(url.trim()).err())
            .collect();
        if faults.is_empty() {
            Ok(text.to_owned())
        } else {
            Err(faults)
        }
    }

    fn show(&self, value: &String) -> Option<String> {
        Some(quoted(&without_password(value)))
    }

    fn debug(&self, value: &String, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&without_password(value), f)
    }
}

/// The addresses without users and passwords, fit for logs.
#[must_use]
pub fn without_password(urls: &str) -> String {
    let masked = urls.split(',').map(|url| {
        let (scheme, rest) = match url.split_once("://") {
            Some((scheme, rest)) => (format!("{scheme}://"), rest),
            None => (String::new(), url),
        };
        match rest.rsplit_once('@') {
            Some((_, host)) => format!("{scheme}***@{host}"),
            None => url.to_owned(),
        }
    });
    masked.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_checked_one_by_one() {
        let parse = |text| Urls.parse(&Raw::Text(text));
        for good in [
            "nats://127.0.0.1:4222",
            "tls://nats.example",
            "localhost:4222",
            "nats://a:1, nats://b:2",
        ] {
            assert!(parse(good).is_ok(), "{good}");
        }
        let faults = parse("redis://u:pass@h:1,nats://,nats://h:99999").unwrap_err();
        assert_eq!(faults.len(), 3, "{faults:?}");
        assert!(faults[0].contains("\"redis\""));
        assert!(!faults.join("").contains("pass"), "{faults:?}");
    }

    #[test]
    fn nobody_signs_in_by_the_address() {
        for url in [
            "nats://ann:hunter2@a:1",
            "nats://hunter2@a",
            "tls://:hunter2@a",
        ] {
            let fault = Urls.parse(&Raw::Text(url)).unwrap_err().remove(0);
            assert!(fault.contains("nats.password"), "{url}: {fault}");
            assert!(!fault.contains("hunter2"), "{fault}");
        }
    }

    #[test]
    fn passwords_in_urls_are_masked() {
        assert_eq!(
            without_password("nats://u:p@ss@a:1,b:2,tok@c"),
            "nats://***@a:1,b:2,***@c"
        );
    }
}
