//! What is measured: one load on one target.

mod catalogue;

use std::time::Duration;

pub(crate) use self::catalogue::all;
use crate::load::http::Request;
use crate::load::socket::Sockets;
use crate::load::{Tally, Window, http, nats, socket};
use crate::stage::{Program, Stage};

/// One row of the table.
#[derive(Debug, Clone)]
pub(crate) struct Variant {
    pub(crate) name: String,
    /// The variant that it is compared with; none: it is a floor.
    pub(crate) against: Option<&'static str>,
    /// Whose CPU counts.
    pub(crate) program: Program,
    load: Load,
}

#[derive(Debug, Clone)]
enum Load {
    Http {
        connections: usize,
        request: Request,
        /// Requests per second of all connections; none: each asks again at once.
        rate: Option<f64>,
    },
    Sockets(Sockets),
    Nats {
        in_flight: usize,
        body: Vec<u8>,
    },
    /// Items of so many streams at once, straight from NATS.
    NatsItems {
        streams: usize,
    },
}

impl Variant {
    /// Runs it once.
    pub(crate) async fn run(&self, stage: &Stage, warm_up: Duration, length: Duration) -> Tally {
        let window = Window::after(warm_up, length);
        let address = || stage.address(self.program);
        match &self.load {
            Load::Http {
                connections,
                request,
                rate: None,
            } => http::closed_loop(address(), *connections, request, window).await,
            Load::Http {
                connections,
                request,
                rate: Some(rate),
            } => http::open_loop(address(), *connections, request, *rate, window).await,
            Load::Sockets(load) => socket::closed_loop(address(), load, window).await,
            Load::Nats { in_flight, body } => {
                nats::closed_loop(&stage.nats(), *in_flight, body, window).await
            }
            Load::NatsItems { streams } => nats::items(&stage.nats(), *streams, window).await,
        }
    }
}
