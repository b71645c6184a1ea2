//! Where the log of one caller stands.

use std::fmt::Write as _;

use crate::config::KeyLayout;
use crate::limiter::store::Demand;

/// Names keys. Those with the same text in braces stand on the same shard of a cluster.
#[derive(Debug)]
pub(super) struct Keys {
    layout: KeyLayout,
    /// `{sluice:limits`, without the closing brace.
    tag: String,
}

impl Keys {
    pub(super) fn new(prefix: &str, layout: KeyLayout) -> Self {
        let tag = format!("{{{prefix}:limits");
        Self { layout, tag }
    }

    pub(super) fn layout(&self) -> KeyLayout {
        self.layout
    }

    /// One key for all callers.
    pub(super) fn shared(&self, name: &str) -> String {
        format!("{}}}:{name}", self.tag)
    }

    /// The key of a log. `log2`: gateways before it wrote logs that look otherwise.
    pub(super) fn write(&self, demand: &Demand, to: &mut String) {
        let mut digits = [0; 32];
        // As many digits as there is room for.
        let _ = hex::encode_to_slice(demand.digest, &mut digits);
        let digest = str::from_utf8(&digits).unwrap_or_default();
        let (name, epoch) = (&demand.rule.limit.name, demand.rule.epoch);
        to.push_str(&self.tag);
        let (open, close) = match self.layout {
            KeyLayout::One => ("}:log2:", ""),
            KeyLayout::Spread => (":log2:", "}"),
        };
        to.push_str(open);
        to.push_str(name);
        // Writing to a String never fails.
        let _ = write!(to, ":{epoch}:");
        to.push_str(digest);
        to.push_str(close);
    }

    pub(super) fn of(&self, demand: &Demand) -> String {
        let mut key = String::new();
        self.write(demand, &mut key);
        key
    }
}
