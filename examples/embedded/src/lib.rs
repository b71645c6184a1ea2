//! A gateway inside another program: what a program can bring along, each in a few lines.
//!
//! | | |
//! |---|---|
//! | [`functions`] | functions of this program, served like any worker's |
//! | [`may_see`] | a permission callback |
//! | [`note`] | a before hook that changes args |
//! | [`Tenants`] | edge middleware: decides who calls before any stage |
//! | [`canary`] | selection of instances |

mod middleware;
mod orders;

use sluice_gateway::app::{Gateway, GatewayBuilder};
use sluice_gateway::config::Config;
use sluice_protocol::id::InvalidId;

pub use middleware::Tenants;
pub use orders::{canary, functions, may_see, note};

/// The gateway with all of it, not started yet.
///
/// # Errors
/// When a name is none.
pub fn gateway(config: Config) -> Result<GatewayBuilder, InvalidId> {
    Ok(Gateway::builder(config)
        .middleware(Tenants)
        .callback("orders", "may_see", may_see)?
        .callback("orders", "note", note)?
        .selector("orders", "place", canary)?
        .functions(functions("main"))
        .functions(functions("canary")))
}
