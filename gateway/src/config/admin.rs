//! `[admin]`

use std::net::SocketAddr;

use super::kind::number::Flag;
use super::kind::operators::OperatorTokens;
use super::kind::text::Address;
use super::loopback;
use super::section::section;
use crate::admin::access::OperatorToken;

section! {
    /// The operator's port.
    ["admin"] Admin {
        /// Where operators connect. Keep it away from clients.
        listen: SocketAddr = loopback(4001), Address;
        /// Who may look and change, by token, and what: `services`, `versions`, `instances`, `sticky`,
        /// `connections`, `limits`, `breakers`, `log`, `metrics`, `identity`, `config`, `cluster` and
        /// `audit`, each with `:read`, `:write` or `:*`; `*` for all. Without tokens only health and
        /// `/metrics` are answered.
        tokens: Vec<OperatorToken> = Vec::new(), OperatorTokens;
        /// Whether whoever reaches the port may look without a token. For development.
        anonymous_read: bool = false, Flag;
        /// Whether `/metrics` is answered without a token, as scrapers expect; otherwise it takes
        /// one with `metrics:read`.
        metrics_open: bool = true, Flag;
    }
}
