//! One thread's share of the gateway: its pipeline, its connection to the broker, its limits.

use std::sync::Arc;

use crate::config::Config;
use crate::dev::page::Page;
use crate::edge::capacity::Capacity;
use crate::health::Health;
use crate::identity::Identifier;
use crate::live::Live;
use crate::pipeline::Pipeline;
use crate::results::ResultStore;
use crate::telemetry::Recorder;

/// What the code of edge, pipeline and dispatch works with: passed to it, never global.
#[derive(Debug)]
pub struct Shard {
    /// From 0.
    pub id: usize,
    /// The stages.
    pub pipeline: Pipeline,
    /// Results of async calls, shared by all shards.
    pub results: Arc<dyn ResultStore>,
    /// The page of `sluice dev`; none elsewhere.
    pub page: Option<Arc<Page>>,
    /// Whether the gateway is alive and ready, shared by all shards.
    pub health: Arc<Health>,
    /// How much is taken at once, shared by all shards.
    pub capacity: Arc<Capacity>,
    /// Lets callers in, shared by all shards.
    pub identifier: Arc<Identifier>,
    /// Counts what this shard does.
    pub recorder: Arc<Recorder>,
    /// What is open now, shared by all shards.
    pub live: Arc<Live>,
    /// The configuration, shared by all shards.
    pub config: Arc<Config>,
}
