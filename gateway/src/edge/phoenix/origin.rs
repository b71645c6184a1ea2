//! Which pages may connect: browsers say where a page came from, and ask nobody (RFC 6455 §10.2).

use http::Uri;

/// Whether a page of `origin` may connect to `host`; both as the headers of that name have them.
///
/// Clients that are no browsers send no origin, and are not asked for one.
pub(super) fn allowed(origin: Option<&str>, host: Option<&str>, allow: &[String]) -> bool {
    let Some(origin) = origin else {
        return true;
    };
    if allow.iter().any(|entry| entry == "*") {
        return true;
    }
    // "null" and the like: a page that hides where it came from.
    let Some(origin) = Origin::parse(origin) else {
        return false;
    };
    if allow.is_empty() {
        return host.is_some_and(|host| origin.is_at(host));
    }
    allow.iter().any(|entry| origin.matches(entry))
}

struct Origin {
    scheme: String,
    host: String,
    port: Option<u16>,
}

impl Origin {
    fn parse(text: &str) -> Option<Self> {
        let uri: Uri = text.parse().ok()?;
        let scheme = uri.scheme_str()?.to_ascii_lowercase();
        Some(Self {
            host: uri.host()?.to_ascii_lowercase(),
            port: uri.port_u16().or_else(|| default_port(&scheme)),
            scheme,
        })
    }

    /// An entry of the list: an origin, or `//host` for any scheme, and any port unless it names
    /// one; `*.` for subdomains.
    fn matches(&self, entry: &str) -> bool {
        let Some((scheme, rest)) = entry.split_once("//") else {
            return false;
        };
        let (host, port) = split_port(rest.trim_end_matches('/'));
        let scheme = scheme.trim_end_matches(':').to_ascii_lowercase();
        let port_fits = match (port, scheme.as_str()) {
            (None, "") => true,
            (None, scheme) => self.port == default_port(scheme),
            (port, _) => self.port == port,
        };
        (scheme.is_empty() || scheme == self.scheme) && port_fits && self.host_matches(host)
    }

    fn host_matches(&self, pattern: &str) -> bool {
        let pattern = pattern.to_ascii_lowercase();
        match pattern.strip_prefix("*.") {
            Some(parent) => self
                .host
                .strip_suffix(parent)
                .is_some_and(|rest| rest.ends_with('.') && rest.len() > 1),
            None => self.host == pattern,
        }
    }

    fn is_at(&self, host: &str) -> bool {
        let (name, port) = split_port(host);
        // A proxy in front may have changed the port, and the scheme with it: without a port in
        // the header, both default ports will do.
        let port_fits = match port {
            Some(port) => self.port == Some(port),
            None => matches!(self.port, Some(80 | 443)),
        };
        port_fits && self.host == name.to_ascii_lowercase()
    }
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" | "ws" => Some(80),
        "https" | "wss" => Some(443),
        _ => None,
    }
}

/// `host:port`, where the host may be an IPv6 address in brackets.
fn split_port(text: &str) -> (&str, Option<u16>) {
    match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => match port.parse() {
            Ok(port) => (host, Some(port)),
            Err(_) => (text, None),
        },
        _ => (text, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(origin: &str, host: &str, allow: &[&str]) -> bool {
        let allow: Vec<String> = allow.iter().map(|&a| a.to_owned()).collect();
        allowed(Some(origin), Some(host), &allow)
    }

    #[test]
    fn without_a_list_only_the_own_host() {
        for (origin, host, ok) in [
            ("http://app.test:4000", "app.test:4000", true),
            ("http://APP.test", "app.test", true),
            ("https://app.test", "app.test", true),
            ("http://[::1]:4000", "[::1]:4000", true),
            ("http://app.test:4001", "app.test:4000", false),
            ("http://app.test:4000", "app.test", false),
            ("http://evil.test", "app.test", false),
            ("http://evil.test", "app.test:80@evil.test", false),
            ("null", "app.test", false),
            ("", "app.test", false),
        ] {
            assert_eq!(check(origin, host, &[]), ok, "{origin} {host}");
        }
        assert!(!allowed(Some("http://app.test"), None, &[]));
        assert!(allowed(None, Some("app.test"), &[]));
    }

    #[test]
    fn entries_name_origins_hosts_or_subdomains() {
        for (origin, entry, ok) in [
            ("https://a.test", "https://a.test", true),
            ("https://a.test", "https://a.test/", true),
            ("http://a.test", "https://a.test", false),
            ("https://a.test:8443", "https://a.test", false),
            ("https://a.test:8443", "https://a.test:8443", true),
            ("http://a.test:8080", "//a.test", true),
            ("http://a.test:8080", "//a.test:80", false),
            ("https://x.y.a.test", "//*.a.test", true),
            ("https://a.test", "//*.a.test", false),
            ("https://eviла.test", "//*.a.test", false),
            ("https://evila.test", "//*.a.test", false),
            ("https://a.test", "a.test", false),
            ("https://anything.test", "*", true),
        ] {
            assert_eq!(
                check(origin, "gateway.test", &[entry]),
                ok,
                "{origin} {entry}"
            );
        }
    }
}
