//! A whole installation for one test: broker, Redis, gateways and workers.

use std::pin::Pin;

use serde_json::{Value, json};

use crate::gateway::{Gateway, GatewayBuilder};
use crate::nats::{Broker, BrokerKind};
use crate::redis::Redis;
use crate::worker::{Worker, WorkerBuilder, wait_joined};
use crate::{Error, Result, eventually};

/// What to start; `.await` starts it.
pub struct ClusterBuilder {
    kind: BrokerKind,
    nats_config: String,
    redis: bool,
    gateways: usize,
    workers: usize,
    shape_gateway: Shape<GatewayBuilder>,
    shape_worker: Shape<WorkerBuilder>,
    probe: (String, String, Value),
}

/// A last word of the test on each gateway or worker; gets its number.
type Shape<B> = Box<dyn Fn(usize, B) -> B + Send>;

impl ClusterBuilder {
    /// Number of gateways; 1 if not said.
    pub fn gateways(mut self, count: usize) -> Self {
        self.gateways = count;
        self
    }

    /// Number of demo workers, instances `w0`, `w1`, …; 1 if not said.
    pub fn workers(mut self, count: usize) -> Self {
        self.workers = count;
        self
    }

    /// With a Redis, which the gateways know.
    pub fn redis(mut self) -> Self {
        self.redis = true;
        self
    }

    /// Text for the configuration file of a real nats-server.
    pub fn nats_config(mut self, config: &str) -> Self {
        self.nats_config = config.to_owned();
        self
    }

    /// Changes each gateway: `.gateway(|i, g| g.option("gateway", "drain_delay_ms", 200))`.
    pub fn gateway(
        mut self,
        shape: impl Fn(usize, GatewayBuilder) -> GatewayBuilder + Send + 'static,
    ) -> Self {
        self.shape_gateway = Box::new(shape);
        self
    }

    /// Changes each worker: `.worker(|i, w| w.version("1.1.0"))`.
    pub fn worker(
        mut self,
        shape: impl Fn(usize, WorkerBuilder) -> WorkerBuilder + Send + 'static,
    ) -> Self {
        self.shape_worker = Box::new(shape);
        self
    }

    /// The call that has to succeed through each gateway before the cluster counts as started;
    /// `demo/echo` if not said. Not used where there is no worker.
    pub fn probe(mut self, service: &str, function: &str, args: Value) -> Self {
        self.probe = (service.to_owned(), function.to_owned(), args);
        self
    }

    async fn start(self) -> Result<Cluster> {
        let broker = Broker::start_with(self.kind, &self.nats_config).await?;
        let redis = if self.redis {
            Some(Redis::start().await?)
        } else {
            None
        };
        let mut cluster = Cluster {
            gateways: Vec::new(),
            workers: Vec::new(),
            broker,
            redis,
        };
        for i in 0..self.gateways {
            let builder = (self.shape_gateway)(i, cluster.gateway_builder(i));
            cluster.gateways.push(builder.start().await?);
        }
        for i in 0..self.workers {
            let builder = (self.shape_worker)(i, cluster.worker_builder(&format!("w{i}")));
            cluster.workers.push(builder.start()?);
        }
        for gateway in &cluster.gateways {
            gateway.wait_ready().await?;
        }
        if self.workers > 0 {
            wait_joined(&cluster.broker.client().await?, self.workers).await?;
            let (service, function, args) = &self.probe;
            cluster.wait_served(service, function, args).await?;
        }
        Ok(cluster)
    }
}

impl IntoFuture for ClusterBuilder {
    type Output = Result<Cluster>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.start())
    }
}

/// A running installation. What is in it ends when it is dropped, gateways and workers before the
/// broker.
pub struct Cluster {
    gateways: Vec<Gateway>,
    workers: Vec<Worker>,
    redis: Option<Redis>,
    broker: Broker,
}

impl Cluster {
    /// Begins to describe a cluster; `.await` starts it and waits until each gateway is ready, each
    /// worker answers on the broker, and the probe call succeeds through each gateway.
    pub fn start(kind: BrokerKind) -> ClusterBuilder {
        ClusterBuilder {
            kind,
            nats_config: String::new(),
            redis: false,
            gateways: 1,
            workers: 1,
            shape_gateway: Box::new(|_, builder| builder),
            shape_worker: Box::new(|_, builder| builder),
            probe: (
                "demo".to_owned(),
                "echo".to_owned(),
                json!({"message": "probe"}),
            ),
        }
    }

    /// Gateway number `i`.
    pub fn gateway(&self, i: usize) -> &Gateway {
        &self.gateways[i]
    }

    /// All gateways.
    pub fn gateways(&self) -> &[Gateway] {
        &self.gateways
    }

    /// All gateways, to restart one or to add one.
    pub fn gateways_mut(&mut self) -> &mut Vec<Gateway> {
        &mut self.gateways
    }

    /// Worker number `i`.
    pub fn worker(&self, i: usize) -> &Worker {
        &self.workers[i]
    }

    /// All workers, to restart one or to add one.
    pub fn workers_mut(&mut self) -> &mut Vec<Worker> {
        &mut self.workers
    }

    /// The broker.
    pub fn broker(&self) -> &Broker {
        &self.broker
    }

    /// The broker, to restart it.
    pub fn broker_mut(&mut self) -> &mut Broker {
        &mut self.broker
    }

    /// Redis; an error if the cluster was started without.
    pub fn redis_mut(&mut self) -> Result<&mut Redis> {
        self.redis
            .as_mut()
            .ok_or_else(|| Error::new("this cluster was started without redis()"))
    }

    /// A gateway like those of the cluster, not started yet.
    pub fn gateway_builder(&self, i: usize) -> GatewayBuilder {
        let builder = Gateway::builder(self.broker.url()).name(format!("gateway {i}"));
        match &self.redis {
            Some(redis) => builder.option("redis", "url", redis.url()),
            None => builder,
        }
    }

    /// A worker like those of the cluster, not started yet.
    pub fn worker_builder(&self, instance: &str) -> WorkerBuilder {
        Worker::builder(self.broker.url()).instance(instance)
    }

    /// Waits until this call succeeds through each gateway.
    pub async fn wait_served(&self, service: &str, function: &str, args: &Value) -> Result {
        for gateway in &self.gateways {
            let client = gateway.client()?;
            let what = format!("{service}/{function} is served");
            let served = eventually(&what, || async {
                match client.call(service, function, args.clone()).await? {
                    (_, envelope) if envelope.success => Ok(()),
                    (status, envelope) => Err(Error::new(format!("{status} {envelope:?}"))),
                }
            });
            served
                .await
                .map_err(|error| gateway.process().failure(&error.to_string()))?;
        }
        Ok(())
    }
}
