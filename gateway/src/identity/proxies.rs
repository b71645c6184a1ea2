//! A client's address, seen through the proxies that are trusted to name it.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::header::FORWARDED;
use http::{HeaderMap, HeaderName};
use parking_lot::Mutex;
use tokio::time::Instant;

/// The proxies' header that is not in a standard.
static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// Most addresses that are looked at: a client can send as many as it likes.
const MAX_HOPS: usize = 64;

/// A network: an address and how many of its bits count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// Reads `10.0.0.0/8`, `::1/128`, or one address.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        let fault = || {
            format!("{text:?} is no network; write for example \"10.0.0.0/8\" or \"192.168.1.7\"")
        };
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.trim().parse().map_err(|_| fault())?;
        let most = match address {
            IpAddr::V4(_) => 32,
            IpAddr::V6(_) => 128,
        };
        let bits = match bits {
            Some(bits) => bits.trim().parse().map_err(|_| fault())?,
            None => most,
        };
        if bits > most {
            return Err(fault());
        }
        Ok(Self { address, bits })
    }

    fn contains(&self, address: IpAddr) -> bool {
        let shifted = |value: u128, width: u8| {
            // A shift by the whole width is none.
            let by = u32::from(width - self.bits);
            value.checked_shr(by).unwrap_or(0)
        };
        match (self.address, address) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                shifted(u32::from(a).into(), 32) == shifted(u32::from(b).into(), 32)
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => {
                shifted(u128::from(a), 128) == shifted(u128::from(b), 128)
            }
            _ => false,
        }
    }
}

/// How often it is said at most that a header is not believed.
const TELL_EVERY: Duration = Duration::from_secs(600);

/// Which proxies are trusted, and by which header they name the client.
#[derive(Debug, Default)]
pub struct Proxies {
    trusted: Vec<Network>,
    forwarded: bool,
    /// Requests whose header came from somebody who is not trusted.
    ignored: AtomicU64,
    told: Mutex<Option<Instant>>,
}

impl Proxies {
    /// The proxies of the configuration.
    #[must_use]
    pub fn new(http: &crate::config::Http) -> Self {
        let networks = http.trusted_proxies.iter();
        Self {
            // They were checked when they were read.
            trusted: networks.filter_map(|n| Network::parse(n).ok()).collect(),
            forwarded: http.forwarded_header == "forwarded",
            ..Self::default()
        }
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(address))
    }

    /// Whose request it is that came from `peer`: the last address that no trusted proxy has. What
    /// stands left of it is the client's own word.
    #[must_use]
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        let name = match self.forwarded {
            true => &FORWARDED,
            false => &X_FORWARDED_FOR,
        };
        if !self.trusts(client) {
            if headers.contains_key(name) {
                self.tell_of_ignored(client, name.as_str());
            }
            return client;
        }
        let lines = headers.get_all(name).iter().rev();
        // A line that is no text says nothing, and nothing left of it is to be believed.
        let lines = lines.map(|line| line.to_str().unwrap_or(""));
        let hops = lines.flat_map(|line| line.rsplit(',')).take(MAX_HOPS);
        for hop in hops {
            let named = match self.forwarded {
                true => forwarded_for(hop).and_then(address),
                false => address(hop),
            };
            let Some(named) = named else {
                return client;
            };
            client = named;
            if !self.trusts(client) {
                return client;
            }
        }
        client
    }
}

impl Proxies {
    /// Requests so far whose header named a client and was not believed.
    #[must_use]
    pub fn ignored(&self) -> u64 {
        self.ignored.load(Ordering::Relaxed)
    }

    /// Either a client invents it, or a proxy stands before the gateway that nobody told it of: then
    /// all clients have one address, and one quota.
    fn tell_of_ignored(&self, peer: IpAddr, header: &str) {
        self.ignored.fetch_add(1, Ordering::Relaxed);
        // Whoever cannot look now leaves it to whoever does.
        let Some(mut told) = self.told.try_lock() else {
            return;
        };
        if told.is_some_and(|at| at.elapsed() < TELL_EVERY) {
            return;
        }
        *told = Some(Instant::now());
        tracing::warn!(
            %peer,
            header,
            "a peer that is not among http.trusted_proxies names its client's address, and is not believed: if it \
             is a proxy of yours, its clients all count as one"
        );
    }
}

/// The `for` of one element of a `Forwarded` header (RFC 7239).
fn forwarded_for(element: &str) -> Option<&str> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        let value = value.trim();
        name.trim()
            .eq_ignore_ascii_case("for")
            .then(|| value.trim_matches('"'))
    })
}

/// An address, with or without port and brackets.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|t| t.split_once(']'));
    let found = match bare {
        Some((v6, _)) => v6.parse().ok(),
        None => text.parse().ok().or_else(|| {
            let (v4, port) = text.rsplit_once(':')?;
            port.parse::<u16>().ok()?;
            v4.parse::<std::net::Ipv4Addr>().ok().map(IpAddr::V4)
        }),
    };
    found.map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Http;

    fn client(header: &str, peer: &str, lines: &[(&'static str, &str)]) -> String {
        let http = Http {
            trusted_proxies: vec!["10.0.0.0/8".to_owned(), "fd00::/8".to_owned()],
            forwarded_header: header.to_owned(),
            ..Http::default()
        };
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        let peer = peer.parse().unwrap();
        Proxies::new(&http).client(peer, &headers).to_string()
    }

    #[test]
    fn the_last_address_that_is_no_proxy_counts() {
        let xff = X_FORWARDED_FOR.as_str();
        for (peer, lines, expected) in [
            // A stranger's word counts nothing.
            ("9.9.9.9", vec![(xff, "1.1.1.1")], "9.9.9.9"),
            ("10.0.0.1", vec![], "10.0.0.1"),
            (
                "10.0.0.1",
                vec![(xff, "6.6.6.6, 1.1.1.1, 10.2.2.2")],
                "1.1.1.1",
            ),
            (
                "10.0.0.1",
                vec![(xff, "6.6.6.6"), (xff, "1.1.1.1:80")],
                "1.1.1.1",
            ),
            (
                "::ffff:10.0.0.1",
                vec![(xff, "[2001:db8::1]:443")],
                "2001:db8::1",
            ),
            ("fd00::1", vec![(xff, "::ffff:1.1.1.1")], "1.1.1.1"),
            (
                "10.0.0.1",
                vec![(xff, "1.1.1.1, unknown, 10.2.2.2")],
                "10.2.2.2",
            ),
            ("10.0.0.1", vec![(xff, "10.1.1.1, 10.2.2.2")], "10.1.1.1"),
            // The client's own header of the other kind is not looked at.
            ("10.0.0.1", vec![("forwarded", "for=6.6.6.6")], "10.0.0.1"),
        ] {
            assert_eq!(client(xff, peer, &lines), expected, "{lines:?}");
        }
        let forwarded = "for=6.6.6.6, For=\"[2001:db8::2]:1\";proto=https, for=10.9.9.9";
        let lines = [(xff, "1.1.1.1"), ("forwarded", forwarded)];
        assert_eq!(client("forwarded", "10.0.0.1", &lines), "2001:db8::2");
    }

    #[tokio::test(start_paused = true)]
    async fn a_stranger_who_names_a_client_is_counted_and_told_of_now_and_then() {
        let proxies = Proxies::new(&Http {
            trusted_proxies: vec!["10.0.0.0/8".to_owned()],
            ..Http::default()
        });
        let from = |peer: &str, header: &'static str| {
            let mut headers = HeaderMap::new();
            headers.append(header, "1.1.1.1".parse().unwrap());
            proxies.client(peer.parse().unwrap(), &headers)
        };
        from("10.0.0.1", X_FORWARDED_FOR.as_str());
        from("9.9.9.9", "forwarded");
        assert_eq!((proxies.ignored(), *proxies.told.lock()), (0, None));
        from("9.9.9.9", X_FORWARDED_FOR.as_str());
        let first = *proxies.told.lock();
        assert!(first.is_some());
        tokio::time::advance(TELL_EVERY - Duration::from_secs(1)).await;
        from("9.9.9.8", X_FORWARDED_FOR.as_str());
        assert_eq!((proxies.ignored(), *proxies.told.lock()), (2, first));
        tokio::time::advance(Duration::from_secs(1)).await;
        from("9.9.9.8", X_FORWARDED_FOR.as_str());
        assert!(*proxies.told.lock() > first);
    }

    #[test]
    fn networks() {
        for bad in ["", "10.0.0.0/33", "x", "10.0.0.0/", "::/129", "10.0.0.0/-1"] {
            assert!(Network::parse(bad).is_err(), "{bad}");
        }
        let any = Network::parse("0.0.0.0/0").unwrap();
        assert!(any.contains([1, 2, 3, 4].into()));
        assert!(!any.contains("::1".parse().unwrap()));
        let all = Network::parse("::/0").unwrap();
        assert!(all.contains("ff::1".parse().unwrap()));
    }
}
