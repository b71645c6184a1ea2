//! `[admin]`

use std::net::SocketAddr;

use super::kind::text::Address;
use super::loopback;
use super::section::section;

section! {
    /// The operator's port.
    ["admin"] Admin {
        /// Where operators connect. Keep it away from clients.
        listen: SocketAddr = loopback(4001), Address;
    }
}
