//! `[redis]`

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::kind::number::Millis;
use super::kind::secret::Secret;
use super::kind::text::{List, Optional, ReadableFile, Text, without_secrets};
use super::kind::{Kind, Raw, quoted};
use super::section::section;

section! {
    /// The state that gateways share. Without `url` and `nodes` everything is kept in memory, for
    /// one gateway.
    ["redis"] RedisOptions {
        /// One server: `redis://host:port/db`, `rediss://…` for TLS, `unix:///path`. May hold user
        /// and password.
        url: Option<String> = None, RedisUrl;
        /// What stands behind: one server (`url`), or `nodes` of sentinels or of a cluster.
        mode: RedisMode = RedisMode::Standalone, Mode;
        /// The sentinels, or some nodes of the cluster: `redis://host:port`, or `rediss://…` for
        /// TLS. Without user and password.
        nodes: Vec<String> = Vec::new(), List {
            what: "addresses, redis://host:port or rediss://host:port",
            check: check_node,
        };
        /// The name by which the sentinels know the primary.
        master: Option<String> = None, Optional("text");
        /// User name (ACL).
        username: Option<String> = None, Optional("text");
        /// Password.
        password: Option<String> = None, Secret;
        /// User name at the sentinels.
        sentinel_username: Option<String> = None, Optional("text");
        /// Password at the sentinels.
        sentinel_password: Option<String> = None, Secret;
        /// File with the certificates to trust, PEM; without it those of the system.
        tls_ca: Option<PathBuf> = None, ReadableFile;
        /// File with the client's certificate, PEM.
        tls_cert: Option<PathBuf> = None, ReadableFile;
        /// File with the client's key, PEM.
        tls_key: Option<PathBuf> = None, ReadableFile;
        /// Longest wait for an answer. After one that took longer, Redis counts as away until it
        /// answers a probe; calls that need it are refused at once meanwhile, or go on without.
        timeout: Duration = Duration::from_millis(100), Millis::within(1..=60_000);
        /// First part of all keys. Gateways of one deployment share it.
        prefix: String = "sluice".to_owned(), Text {
            what: "1 to 64 characters of A-Z, a-z, 0-9, - and _",
            check: check_prefix,
        };
    }
}

impl RedisOptions {
    /// Whether there is a Redis to use.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.url.is_some() || !self.nodes.is_empty()
    }

    /// The servers' addresses without users and passwords, fit for logs.
    #[must_use]
    pub fn shown(&self) -> String {
        match &self.url {
            Some(url) => without_secrets(url),
            None => self.nodes.join(","),
        }
    }

    /// Whether connections are encrypted.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        let is_tls = |url: &str| url.starts_with("rediss://");
        self.url.as_deref().is_some_and(is_tls) || self.nodes.iter().any(|n| is_tls(n))
    }
}

/// What stands behind the options.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RedisMode {
    /// One server.
    #[default]
    Standalone,
    /// A primary that sentinels know.
    Sentinel,
    /// A cluster.
    Cluster,
}

impl RedisMode {
    /// As it stands in the config.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Standalone => "standalone",
            Self::Sentinel => "sentinel",
            Self::Cluster => "cluster",
        }
    }
}

struct Mode;

impl Kind for Mode {
    type Value = RedisMode;

    fn describe(&self) -> String {
        "standalone, sentinel or cluster".to_owned()
    }

    fn parse(&self, raw: &Raw<'_>) -> Result<RedisMode, Vec<String>> {
        match raw.text() {
            Some("standalone") => Ok(RedisMode::Standalone),
            Some("sentinel") => Ok(RedisMode::Sentinel),
            Some("cluster") => Ok(RedisMode::Cluster),
            _ => Err(self.unexpected(raw)),
        }
    }

    fn show(&self, value: &RedisMode) -> Option<String> {
        Some(quoted(value.as_str()))
    }
}

/// The address of a server; empty means none. It may hold a password, so it is never shown.
struct RedisUrl;

const EXPECTED: &str =
    "expected redis://host:port, rediss://host:port or unix:///path/of/the/socket";

impl Kind for RedisUrl {
    type Value = Option<String>;
    const SECRET: bool = true;

    fn describe(&self) -> String {
        "the address of a Redis server; better in a file of its own if it holds a password"
            .to_owned()
    }

    fn parse(&self, raw: &Raw<'_>) -> Result<Option<String>, Vec<String>> {
        let text = raw.text().ok_or_else(|| vec![EXPECTED.to_owned()])?.trim();
        if text.is_empty() {
            return Ok(None);
        }
        check_url(text).map_err(|why| vec![why])?;
        Ok(Some(text.to_owned()))
    }

    fn show(&self, _: &Option<String>) -> Option<String> {
        None
    }

    fn json(&self, value: &Option<String>) -> serde_json::Value {
        value.as_deref().map(without_secrets).into()
    }

    fn debug(&self, value: &Option<String>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = value.as_deref().map(without_secrets);
        fmt::Debug::fmt(&shown, f)
    }
}

/// The message repeats nothing of the address: it may hold a password.
fn check_url(url: &str) -> Result<(), String> {
    let known = ["redis://", "rediss://", "unix://", "redis+unix://"];
    if !known.iter().any(|scheme| url.starts_with(scheme)) {
        return Err(EXPECTED.to_owned());
    }
    let parsed: Result<redis::ConnectionInfo, _> = url.parse();
    let info = parsed.map_err(|_| format!("is no address of a Redis server; {EXPECTED}"))?;
    match info.addr() {
        redis::ConnectionAddr::Tcp(host, _) | redis::ConnectionAddr::TcpTls { host, .. }
            if host.is_empty() || host.contains(char::is_whitespace) =>
        {
            Err(format!("names no host; {EXPECTED}"))
        }
        // The part after # switches the check of certificates off.
        redis::ConnectionAddr::TcpTls { insecure: true, .. } => {
            Err("must not end in #insecure: name the certificates to trust in tls_ca".to_owned())
        }
        _ => Ok(()),
    }
}

fn check_node(node: &str) -> Result<(), String> {
    let expected = "expected redis://host:port or rediss://host:port, without user and password";
    let rest = node
        .strip_prefix("redis://")
        .or_else(|| node.strip_prefix("rediss://"));
    if rest.is_none_or(|rest| rest.contains(['@', '/', '#', '?']) || rest.is_empty()) {
        // A password may stand in it.
        return Err(expected.to_owned());
    }
    check_url(node).map_err(|_| format!("{node:?} is no address; {expected}"))
}

fn check_prefix(prefix: &str) -> Result<(), String> {
    let is_right = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if (1..=64).contains(&prefix.len()) && prefix.chars().all(is_right) {
        return Ok(());
    }
    Err(format!(
        "{prefix:?} is none: expected 1 to 64 characters of A-Z, a-z, 0-9, - and _"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_checked_and_never_repeated() {
        let parse = |text| RedisUrl.parse(&Raw::Text(text));
        for good in [
            "redis://127.0.0.1:6379",
            "rediss://:secret@redis.example:6380/2",
            "redis://user:secret@host",
            "unix:///run/redis.sock",
        ] {
            assert_eq!(parse(good), Ok(Some(good.to_owned())), "{good}");
        }
        assert_eq!(parse(""), Ok(None));
        for bad in [
            "http://:secret@h",
            "redis://:secret@",
            "redis://:secret@h:99999",
            "rediss://:secret@h/#insecure",
            "h:6379",
        ] {
            let faults = parse(bad).unwrap_err();
            assert!(!faults.join("").contains("secret"), "{faults:?}");
        }
    }

    #[test]
    fn no_password_is_shown() {
        for url in [
            "redis://user:secret@host:1/2",
            "rediss://:sec@ret@host",
            "unix:///run/redis.sock?user=u&pass=secret",
        ] {
            let options = RedisOptions {
                url: RedisUrl.parse(&Raw::Text(url)).unwrap(),
                ..RedisOptions::default()
            };
            let (shown, debug) = (options.shown(), format!("{options:?}"));
            assert!(
                !shown.contains("sec") && !debug.contains("secret"),
                "{shown} {debug}"
            );
        }
    }

    #[test]
    fn nodes_and_prefixes_are_checked() {
        assert_eq!(check_node("rediss://a:7000"), Ok(()));
        for bad in ["a:7000", "redis://", "redis://u:p@a:1", "redis://a:1/2"] {
            assert!(check_node(bad).is_err(), "{bad}");
        }
        assert_eq!(check_prefix("shop-1"), Ok(()));
        for bad in ["", "a:b", "{a}", "ä"] {
            assert!(check_prefix(bad).is_err(), "{bad}");
        }
    }
}
