//! The floors: the same libraries, default settings, nothing of ours.

pub(crate) mod http;
pub(crate) mod responder;
pub(crate) mod socket;

use crate::Result;

/// The subject that floors send to.
pub(crate) const SUBJECT: &str = "floor.echo";

/// Who asks here for a number of items gets them at its reply subject.
pub(crate) const ITEMS_SUBJECT: &str = "floor.items";
/// Bytes of an item.
pub(crate) const ITEM_BYTES: usize = 208;

/// What each helper process is told.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The broker.
    #[arg(long)]
    pub(crate) nats: String,
}

/// Listens on a free port of loopback and says where, as the harness waits for it.
#[expect(
    clippy::print_stdout,
    reason = "the harness reads the address from here"
)]
async fn listen() -> Result<tokio::net::TcpListener> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("http listening on http://{}", listener.local_addr()?);
    Ok(listener)
}
