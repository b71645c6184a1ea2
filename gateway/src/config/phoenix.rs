//! `[phoenix]`

use std::time::Duration;

use super::kind::number::{Bytes, Count, Flag, Millis};
use super::kind::text::{List, Text};
use super::section::section;
use crate::edge::phoenix::options::{Phoenix, Respond, Topic};

section! {
    /// Sockets that speak the Phoenix Channels protocol.
    ["phoenix"] PhoenixOptions {
        /// Whether there are sockets at all.
        enabled: bool = true, Flag;
        /// Where clients connect, with the transport's name.
        path: String = "/socket/websocket".to_owned(), Text {
            what: "a path such as \"/socket/websocket\"",
            check: check_path,
        };
        /// What may be joined: each `PATTERN`, or `PATTERN EVENT`, or `PATTERN EVENT reply`. A
        /// pattern is a topic, or its beginning and `*`; the first that matches counts. `EVENT` is
        /// what calls and their responses are pushed as, `phoenix_gen_api` if not said. With
        /// `reply` the response of a sync call is the reply of its push.
        topics: Vec<String> = vec!["api:*".to_owned()], List {
            what: "topics such as \"api:*\" or \"rpc:* call reply\"",
            check: |text| topic(text).map(drop),
        };
        /// Whether calls need a user that the socket or its channel was opened for; without one they
        /// are `unauthenticated`, before their request is read.
        require_user: bool = false, Flag;
        /// Most channels of one socket.
        max_channels: usize = 100, Count::within(1..=100_000);
        /// Most calls of one socket at once, streams included.
        max_in_flight: usize = 512, Count::within(1..=100_000);
        /// Most bytes of one message of a client.
        max_frame_bytes: usize = 1 << 20, Bytes::within(1024..=1 << 30);
        /// Frames that may wait for a client; beyond it its socket is not read and its calls'
        /// answers are not taken. Streams are held back at half of it.
        outbox_frames: usize = 256, Count::within(2..=1_000_000);
        /// Bytes that may wait for a client; like `outbox_frames`.
        outbox_bytes: usize = 4 << 20, Bytes::within(4096..=1 << 30);
        /// How long the reply to a call, which says that it was taken, may wait for the response: both
        /// leave in one write then. 0: it leaves at once.
        reply_delay: Duration = Duration::from_millis(5), Millis::within(0..=1000);
        /// A socket whose outbox stays full for so long is closed.
        write_timeout: Duration = Duration::from_secs(10), Millis::within(100..=3_600_000);
        /// A socket that sends nothing for so long, not even a heartbeat, is closed.
        idle_timeout: Duration = Duration::from_secs(60), Millis::within(1000..=86_400_000);
        /// At shutdown sockets are closed at random moments within so long, so that not all clients
        /// come back to the other gateways at once.
        drain_spread: Duration = Duration::from_secs(5), Millis::within(0..=3_600_000);
        /// Origins of browsers that may connect: `https://app.example.com`, `//app.example.com`,
        /// `//*.example.com`, `*` for any. Empty: only the host that the request was sent to.
        check_origin: Vec<String> = Vec::new(), List {
            what: "origins such as \"https://app.example.com\", or \"*\"",
            check: check_origin,
        };
    }
}

impl PhoenixOptions {
    /// The options as the edge takes them.
    #[must_use]
    pub fn options(&self) -> Phoenix {
        Phoenix {
            enabled: self.enabled,
            path: self.path.clone(),
            // They were checked when they were read.
            topics: self
                .topics
                .iter()
                .filter_map(|text| topic(text).ok())
                .collect(),
            require_user: self.require_user,
            max_channels: self.max_channels,
            max_in_flight: self.max_in_flight,
            max_frame_bytes: self.max_frame_bytes,
            outbox_frames: self.outbox_frames,
            outbox_bytes: self.outbox_bytes,
            reply_delay: self.reply_delay,
            write_timeout: self.write_timeout,
            idle_timeout: self.idle_timeout,
            check_origin: self.check_origin.clone(),
        }
    }
}

fn check_path(text: &str) -> Result<(), String> {
    if text.starts_with('/') && !text.contains(['?', '#', ' ']) {
        return Ok(());
    }
    Err(format!(
        "{text:?} is not a path: it begins with \"/\" and has no query"
    ))
}

fn check_origin(text: &str) -> Result<(), String> {
    if text == "*"
        || text
            .split_once("//")
            .is_some_and(|(_, host)| !host.is_empty())
    {
        return Ok(());
    }
    Err(format!(
        "{text:?} is not an origin; write for example \"//app.example.com\""
    ))
}

fn topic(text: &str) -> Result<Topic, String> {
    let mut words = text.split_whitespace();
    let mut topic = Topic::default();
    words
        .next()
        .unwrap_or_default()
        .clone_into(&mut topic.pattern);
    if let Some(event) = words.next() {
        event.clone_into(&mut topic.event);
    }
    topic.respond = match words.next() {
        None | Some("push") => Respond::Push,
        Some("reply") => Respond::Reply,
        Some(other) => {
            return Err(format!(
                "{other:?} in {text:?}: expected \"push\" or \"reply\""
            ));
        }
    };
    if words.next().is_some() {
        return Err(format!(
            "{text:?} has more than a pattern, an event and \"push\" or \"reply\""
        ));
    }
    let alone = Phoenix {
        topics: vec![topic.clone()],
        ..Phoenix::default()
    };
    match alone.mistakes().into_iter().next() {
        Some(mistake) => Err(mistake),
        None => Ok(topic),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics() {
        let full = topic("rpc:* call reply").unwrap();
        assert_eq!(
            (full.pattern.as_str(), full.event.as_str()),
            ("rpc:*", "call")
        );
        assert_eq!(full.respond, Respond::Reply);
        assert_eq!(topic("api:*").unwrap(), Topic::default());
        for bad in [
            "",
            "a*b",
            "api:* phx_join",
            "api:* call maybe",
            "api:* call reply more",
        ] {
            assert!(topic(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_defaults_are_the_edges_own() {
        assert_eq!(PhoenixOptions::default().options(), Phoenix::default());
    }
}
