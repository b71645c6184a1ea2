//! `[phoenix]`: the options of sockets.

use std::time::Duration;

use super::frame::MAX_NAME_BYTES;

/// Sockets that speak the Phoenix Channels protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phoenix {
    /// Whether there are sockets at all.
    pub enabled: bool,
    /// Where clients connect, with the transport's name: `/socket/websocket`.
    pub path: String,
    /// What may be joined; the first pattern that matches counts.
    pub topics: Vec<Topic>,
    /// Whether calls need a user that the socket or its channel was opened for.
    pub require_user: bool,
    /// Most channels of one socket.
    pub max_channels: usize,
    /// Most calls of one socket at once, streams included.
    pub max_in_flight: usize,
    /// Most bytes of one message of a client.
    pub max_frame_bytes: usize,
    /// Frames that may wait for a client; beyond it, its socket is not read and its calls' answers
    /// are not taken. Streams are held back at half of it.
    pub outbox_frames: usize,
    /// Bytes that may wait for a client; like [`Self::outbox_frames`].
    pub outbox_bytes: usize,
    /// How long the reply that a call was taken may wait for what follows it; zero: it leaves at
    /// once.
    pub reply_delay: Duration,
    /// A socket whose outbox stays full for so long is closed.
    pub write_timeout: Duration,
    /// A socket that sends nothing for so long, not even a heartbeat, is closed.
    pub idle_timeout: Duration,
    /// Origins of browsers that may connect: `https://app.example.com`, `//app.example.com`,
    /// `//*.example.com`, `*` for any. Empty: only the host that the request was sent to.
    pub check_origin: Vec<String>,
}

/// A family of topics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// A topic, or its beginning and `*`.
    pub pattern: String,
    /// The event of calls and of their responses.
    pub event: String,
    /// Where a sync call's response goes.
    pub respond: Respond,
}

/// Where a sync call's response goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Respond {
    /// Pushed as the event of its call; the `phx_reply` only says that the call was taken.
    #[default]
    Push,
    /// Into the `phx_reply` of its call.
    Reply,
}

impl Default for Phoenix {
    fn default() -> Self {
        Self {
            enabled: true,
            path: "/socket/websocket".to_owned(),
            topics: vec![Topic::default()],
            require_user: false,
            max_channels: 100,
            max_in_flight: 512,
            max_frame_bytes: 1 << 20,
            outbox_frames: 256,
            outbox_bytes: 4 << 20,
            reply_delay: Duration::from_millis(5),
            write_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            check_origin: Vec::new(),
        }
    }
}

impl Default for Topic {
    fn default() -> Self {
        Self {
            pattern: "api:*".to_owned(),
            event: "phoenix_gen_api".to_owned(),
            respond: Respond::Push,
        }
    }
}

impl Topic {
    /// Whether `topic` is of this family.
    #[must_use]
    pub fn matches(&self, topic: &str) -> bool {
        match self.pattern.strip_suffix('*') {
            Some(beginning) => topic.starts_with(beginning),
            None => topic == self.pattern,
        }
    }
}

impl Phoenix {
    /// Every mistake that the types let pass, as `option: what is wrong`.
    #[must_use]
    pub fn mistakes(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut check = |ok: bool, text: String| {
            if !ok {
                found.push(text);
            }
        };
        check(
            self.path.starts_with('/'),
            format!("path: {:?} must begin with \"/\"", self.path),
        );
        for (name, value) in [
            ("max_channels", self.max_channels),
            ("max_in_flight", self.max_in_flight),
            ("max_frame_bytes", self.max_frame_bytes),
            // Half of it is for streams.
            ("outbox_frames", self.outbox_frames / 2),
            ("outbox_bytes", self.outbox_bytes / 2),
        ] {
            check(value > 0, format!("{name}: too small"));
        }
        for (name, value) in [
            ("write_timeout", self.write_timeout),
            ("idle_timeout", self.idle_timeout),
        ] {
            check(!value.is_zero(), format!("{name}: must not be zero"));
        }
        for topic in &self.topics {
            for (name, text) in [("pattern", &topic.pattern), ("event", &topic.event)] {
                check(
                    (1..=MAX_NAME_BYTES).contains(&text.len()),
                    format!("topics: {name} {text:?} must have 1 to {MAX_NAME_BYTES} bytes"),
                );
            }
            let stem = topic.pattern.strip_suffix('*').unwrap_or(&topic.pattern);
            check(
                !stem.contains('*'),
                format!(
                    "topics: pattern {:?} may have \"*\" only at its end",
                    topic.pattern
                ),
            );
            check(
                !topic.event.starts_with("phx_") && topic.event != super::frame::STOP_STREAM,
                format!(
                    "topics: event {:?} has a meaning of its own already",
                    topic.event
                ),
            );
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_topics_or_beginnings() {
        let topic = |pattern: &str| Topic {
            pattern: pattern.to_owned(),
            ..Topic::default()
        };
        assert!(topic("api:*").matches("api:"));
        assert!(topic("api:*").matches("api:lobby"));
        assert!(!topic("api:*").matches("api"));
        assert!(!topic("api").matches("api:"));
        assert!(topic("*").matches("anything"));
    }

    #[test]
    fn every_mistake_is_reported() {
        assert_eq!(Phoenix::default().mistakes(), Vec::<String>::new());
        let bad = Phoenix {
            path: "socket".to_owned(),
            outbox_frames: 1,
            idle_timeout: Duration::ZERO,
            topics: vec![Topic {
                pattern: "a*b".to_owned(),
                event: "phx_join".to_owned(),
                respond: Respond::Push,
            }],
            ..Phoenix::default()
        };
        assert_eq!(bad.mistakes().len(), 5, "{:?}", bad.mistakes());
    }
}
