//! How sockets hang on the HTTP edge: one path is theirs, the rest is not.

use std::fmt::Debug;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use http::{Request, Response, StatusCode};
use sluice_protocol::CallError;
use tokio_util::sync::CancellationToken;

use super::identity::Peer;
use super::phoenix::auth::{Offer, SocketAuth as _};
use super::phoenix::{self, Drain, Guard, Sockets};
use crate::pipeline::Call;
use crate::reply::Reply;
use crate::shard::Shard;
use crate::telemetry::Recorder;
use crate::telemetry::meters::EdgeKind;

/// Takes requests that want to become sockets.
pub trait Door: Debug + Send + Sync {
    /// Whether requests to `path` are for it.
    fn serves(&self, path: &str) -> bool;

    /// Answers one: 101 and a socket in a task of its own, or why not, as text.
    fn open(&self, request: Request<()>) -> BoxFuture<'_, Response<String>>;

    /// Resolves when all sockets are closed, after the drain has begun.
    fn closed(&self) -> BoxFuture<'static, ()>;
}

/// The calls of sockets: into the same pipeline as all others, and under the same cap.
#[derive(Debug, Clone)]
struct SocketCalls(Arc<Shard>);

impl phoenix::CallService for SocketCalls {
    async fn call(&self, call: Box<Call>) -> Result<Reply, CallError> {
        let refused = |error: &CallError| {
            let meters = &self.0.recorder.meters;
            meters.refused(EdgeKind::Socket, error.code);
        };
        let permit = self.0.capacity.enter().inspect_err(refused)?;
        Ok(self.0.pipeline.run(call).await?.holding(permit))
    }

    fn recorder(&self) -> Option<Arc<Recorder>> {
        Some(self.0.recorder.clone())
    }

    fn has_notices(&self) -> bool {
        self.0.pipeline.has_notices()
    }
}

#[derive(Debug)]
struct PhoenixDoor {
    sockets: Sockets<SocketCalls, Guard>,
    guard: Guard,
    shard: Arc<Shard>,
}

/// The sockets of a shard; they close when `drain` is triggered.
pub(super) fn door(shard: &Arc<Shard>, drain: CancellationToken) -> Arc<dyn Door> {
    let config = &shard.config;
    let drain = Drain {
        token: drain,
        spread: config
            .phoenix
            .drain_spread
            .min(config.gateway.drain_timeout),
        timeout: config.gateway.drain_timeout,
    };
    let guard = Guard(shard.identifier.clone());
    let calls = SocketCalls(shard.clone());
    let sockets = Sockets::new(config.phoenix.options(), calls, guard.clone(), drain)
        .listed_in(shard.live.clone());
    Arc::new(PhoenixDoor {
        sockets,
        guard,
        shard: shard.clone(),
    })
}

impl Door for PhoenixDoor {
    fn serves(&self, path: &str) -> bool {
        self.sockets.serves(path)
    }

    fn open(&self, mut request: Request<()>) -> BoxFuture<'_, Response<String>> {
        Box::pin(async move {
            let peer = request.extensions().get::<Peer>();
            let address = peer.map(|p| self.guard.address(p.0, request.headers()));
            self.guard.prepare(&Offer::of(&request), address).await;
            self.open_now(&mut request)
        })
    }

    fn closed(&self) -> BoxFuture<'static, ()> {
        Box::pin(self.sockets.closed())
    }
}

impl PhoenixDoor {
    fn open_now(&self, request: &mut Request<()>) -> Response<String> {
        // The connection gives its own permit back when it is handed over.
        match self.shard.capacity.connections.clone().try_acquire_owned() {
            Ok(permit) => self.sockets.upgrade(request, permit),
            Err(_) => {
                let text = "the gateway has as many connections as it takes; try again later";
                let mut response = Response::new(text.to_owned());
                *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
                response
            }
        }
    }
}
