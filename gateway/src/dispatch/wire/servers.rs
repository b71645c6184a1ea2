//! The servers of the cluster: those of the config, and those that they tell of.

use async_nats::ServerAddr;
use rand::seq::SliceRandom;

/// One server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) address: ServerAddr,
    /// Whom its certificate has to name: for a bare address that a server told, that server's name.
    pub(super) name: String,
    /// Whether it is not spoken to without TLS.
    pub(super) tls: bool,
    /// Told by another one.
    discovered: bool,
    /// Failures in a row.
    failed: u32,
}

/// All that are known.
#[derive(Debug)]
pub(super) struct Servers(Vec<Server>);

impl Servers {
    /// Those of the config.
    pub(super) fn new(addresses: Vec<ServerAddr>, tls: bool) -> Self {
        let server = |address: ServerAddr| Server {
            name: address.host().to_owned(),
            tls: tls || address.tls_required(),
            address,
            discovered: false,
            failed: 0,
        };
        Self(addresses.into_iter().map(server).collect())
    }

    /// In the order in which to try them: those that failed least first, else at random, so that
    /// gateways spread over a cluster.
    pub(super) fn in_turn(&self) -> Vec<Server> {
        let mut all = self.0.clone();
        all.shuffle(&mut rand::rng());
        all.sort_by_key(|server| server.failed);
        all
    }

    pub(super) fn failed(&mut self, server: &Server) {
        self.count(server, |failed| failed.saturating_add(1));
    }

    pub(super) fn succeeded(&mut self, server: &Server) {
        self.count(server, |_| 0);
    }

    fn count(&mut self, server: &Server, change: impl Fn(u32) -> u32) {
        let found = self.0.iter_mut().find(|s| s.address == server.address);
        if let Some(found) = found {
            found.failed = change(found.failed);
        }
    }

    /// What `by` says of its cluster, in place of what was said before.
    pub(super) fn told(&mut self, by: &Server, urls: &[String]) {
        if urls.is_empty() {
            return;
        }
        let told: Vec<ServerAddr> = urls.iter().filter_map(|url| url.parse().ok()).collect();
        self.0
            .retain(|s| !s.discovered || told.contains(&s.address) || s.address == by.address);
        for address in told {
            if self.0.iter().any(|s| s.address == address) {
                continue;
            }
            let host = address.host().trim_matches(['[', ']']);
            let is_ip = host.parse::<std::net::IpAddr>().is_ok();
            self.0.push(Server {
                name: if is_ip { &by.name } else { host }.to_owned(),
                // What is spoken to in secret does not lead to where all can listen.
                tls: by.tls || address.tls_required(),
                address,
                discovered: true,
                failed: 0,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(urls: &[&str]) -> Servers {
        Servers::new(urls.iter().map(|u| u.parse().unwrap()).collect(), false)
    }

    fn known(servers: &Servers) -> Vec<String> {
        let show = |s: &Server| format!("{}:{}", s.address.host(), s.address.port());
        let mut all: Vec<String> = servers.0.iter().map(show).collect();
        all.sort();
        all
    }

    #[test]
    fn those_that_fail_come_last() {
        let mut all = servers(&["a:1", "b:2", "c:3"]);
        let [b, c] = [all.0[1].clone(), all.0[2].clone()];
        all.failed(&b);
        all.failed(&b);
        all.failed(&c);
        let order: Vec<u16> = all.in_turn().iter().map(|s| s.address.port()).collect();
        assert_eq!(order, [1, 3, 2]);
        all.succeeded(&b);
        assert_eq!(all.in_turn()[2].address.port(), 3);
    }

    #[test]
    fn a_cluster_tells_who_is_in_it() {
        let mut all = servers(&["tls://nats.example:4222"]);
        let first = all.0[0].clone();
        let tell = |urls: &[&str]| urls.iter().map(ToString::to_string).collect::<Vec<_>>();
        all.told(
            &first,
            &tell(&["10.0.0.1:4222", "10.0.0.2:4222", "no address"]),
        );
        assert_eq!(
            known(&all),
            ["10.0.0.1:4222", "10.0.0.2:4222", "nats.example:4222"]
        );
        let second = all.0[1].clone();
        assert!(second.tls, "as the one that told of it");
        assert_eq!(second.name, "nats.example");
        // It tells of the others as they are now: one has gone, one has come.
        all.told(&second, &tell(&["10.0.0.1:4222", "other.example:4222"]));
        assert_eq!(
            known(&all),
            ["10.0.0.1:4222", "nats.example:4222", "other.example:4222"]
        );
        assert_eq!(all.0[2].name, "other.example");
        all.told(&second, &[]);
        assert_eq!(
            known(&all).len(),
            3,
            "a server without a cluster says nothing"
        );
    }
}
