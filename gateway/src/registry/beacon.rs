//! Which gateways are there: each says so every few seconds.

use std::collections::HashMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sluice_protocol::PROTOCOL_VERSION;
use tokio::time::Instant;

/// Time between two beacons of a gateway.
pub(super) const INTERVAL: Duration = Duration::from_secs(5);
/// A gateway counts as there for so long after its last beacon.
const LIVE_FOR: Duration = Duration::from_secs(16);
const MAX_GATEWAYS: usize = 1000;
const MAX_BYTES: usize = 1024;
const MAX_ID_BYTES: usize = 128;

/// What a gateway says on `<prefix>.gateway.beacon`. Unknown fields are ignored.
#[derive(Debug, Serialize, Deserialize)]
struct Beacon {
    #[serde(rename = "type")]
    kind: String,
    protocol: u32,
    gateway: String,
    /// It goes now.
    #[serde(default)]
    leaving: bool,
}

/// A gateway's beacon as JSON.
pub(super) fn beacon(gateway: &str, leaving: bool) -> Vec<u8> {
    let beacon = Beacon {
        kind: "beacon".to_owned(),
        protocol: PROTOCOL_VERSION,
        gateway: gateway.to_owned(),
        leaving,
    };
    serde_json::to_vec(&beacon).unwrap_or_default()
}

/// The gateways that were heard, this one always among them.
#[derive(Debug)]
pub(super) struct Gateways {
    me: String,
    heard: HashMap<String, Instant>,
}

impl Gateways {
    pub(super) fn new(me: String) -> Self {
        Self {
            me,
            heard: HashMap::new(),
        }
    }

    /// Takes a beacon; what is none is ignored.
    pub(super) fn hear(&mut self, body: &[u8], now: Instant) {
        if body.len() > MAX_BYTES {
            return;
        }
        let Ok(beacon) = serde_json::from_slice::<Beacon>(body) else {
            return;
        };
        let id = beacon.gateway;
        if beacon.kind != "beacon" || id == self.me || id.len() > MAX_ID_BYTES {
            return;
        }
        if beacon.leaving {
            self.heard.remove(&id);
        } else if self.heard.len() < MAX_GATEWAYS || self.heard.contains_key(&id) {
            self.heard.insert(id, now);
        }
    }

    /// The others that are there, in order.
    pub(super) fn ids(&mut self, now: Instant) -> Vec<String> {
        self.live(now);
        let mut ids: Vec<String> = self.heard.keys().cloned().collect();
        ids.sort();
        ids
    }

    /// How many gateways there are, with this one.
    pub(super) fn live(&mut self, now: Instant) -> usize {
        self.heard
            .retain(|_, at| now.duration_since(*at) < LIVE_FOR);
        self.heard.len() + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gateways_come_stay_leave_and_time_out() {
        let mut gateways = Gateways::new("me".into());
        let now = Instant::now();
        assert_eq!(gateways.live(now), 1);
        for id in ["me", "a", "b", "a"] {
            gateways.hear(&beacon(id, false), now);
        }
        assert_eq!(gateways.live(now), 3);
        gateways.hear(&beacon("b", true), now);
        assert_eq!(gateways.live(now), 2);
        assert_eq!(gateways.live(now + LIVE_FOR), 1);
    }

    #[test]
    fn noise_is_ignored_and_a_crowd_is_bounded() {
        let mut gateways = Gateways::new("me".into());
        let now = Instant::now();
        let long = "x".repeat(MAX_ID_BYTES + 1);
        for body in [
            &b""[..],
            b"[]",
            b"{}",
            b"\xff",
            &beacon(&long, false),
            &[b' '; 2000],
        ] {
            gateways.hear(body, now);
        }
        gateways.hear(br#"{"type":"other","protocol":1,"gateway":"g"}"#, now);
        assert_eq!(gateways.live(now), 1);
        gateways.hear(
            br#"{"type":"beacon","protocol":9,"gateway":"g","x":1}"#,
            now,
        );
        assert_eq!(gateways.live(now), 2);
        for i in 0..2 * MAX_GATEWAYS {
            gateways.hear(&beacon(&i.to_string(), false), now);
        }
        assert_eq!(gateways.live(now), MAX_GATEWAYS + 1);
    }
}
