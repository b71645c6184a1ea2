//! A scripted broker: the test sees each message that goes out and plays the workers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::{BoxFuture, pending};
use sluice_protocol::function::FunctionSpec;
use sluice_protocol::headers as h;
use sluice_protocol::{
    CallError, Frame, FunctionName, Identity, InstanceId, Payload, RequestId, ServiceName, Subjects,
};
use tokio::sync::mpsc;

use super::breaker::Suspects;
use super::broker::{Broker, Outgoing, PublishError};
use super::inbox::Inbox;
use super::mailbox::Delivery;
use super::{Clock, Dispatcher, Link};
use crate::config::Config;
use crate::health::Health;
use crate::hooks::Callbacks;
use crate::pipeline::{Call, Pipeline};
use crate::registry::Registry;
use crate::registry::connection::BrokerState;
use crate::registry::routes::Routes;
use crate::registry::snapshot::{Function, FunctionVersions, Instance, Snapshot};
use crate::reply::Reply;
use crate::sticky::memory::MemorySticky;

#[derive(Debug)]
struct FakeBroker {
    sent: mpsc::UnboundedSender<Outgoing<'static>>,
    connected: AtomicBool,
    stuck: AtomicBool,
}

impl Broker for FakeBroker {
    fn send(&self, message: &Outgoing<'_>) -> Result<(), PublishError> {
        if self.stuck.load(Ordering::Relaxed) {
            return Err(PublishError::Full);
        }
        let sent = self.sent.send(message.clone().into_owned());
        sent.map_err(|_| PublishError::NotConnected)
    }

    fn room(&self) -> BoxFuture<'_, ()> {
        Box::pin(pending())
    }

    fn settle(&self) -> BoxFuture<'_, Result<(), PublishError>> {
        Box::pin(async {
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
            Ok(())
        })
    }

    fn state(&self) -> BrokerState {
        BrokerState {
            connected: self.connected.load(Ordering::Relaxed),
            epoch: 1,
        }
    }

    fn max_payload(&self) -> usize {
        10_000
    }
}

/// A pipeline over a scripted broker, with one function `s.f` on some instances.
pub(crate) struct Rig {
    pub(crate) pipeline: Arc<Pipeline>,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) instances: Vec<Arc<Instance>>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) clock: Clock,
    broker: Arc<FakeBroker>,
    sent: mpsc::UnboundedReceiver<Outgoing<'static>>,
    /// What the dispatcher counts with.
    pub(crate) recorder: Arc<crate::telemetry::Recorder>,
}

/// The function that rigs serve, before a test changes it.
pub(crate) fn spec() -> FunctionSpec {
    FunctionSpec::new(
        ServiceName::new("s").unwrap(),
        FunctionName::new("f").unwrap(),
    )
}

/// A call of it.
pub(crate) fn call(args: &'static str) -> Call {
    Call::new(
        RequestId::new("r1").unwrap(),
        ServiceName::new("s").unwrap(),
        FunctionName::new("f").unwrap(),
        Payload::json(args),
        Identity::anonymous(),
    )
}

impl Rig {
    pub(crate) fn new(spec: FunctionSpec, instances: &[&str]) -> Self {
        Self::with(vec![spec], instances, Callbacks::default(), |_| {})
    }

    /// Several functions of one service, embedded callbacks, other options.
    pub(crate) fn with(
        specs: Vec<FunctionSpec>,
        instances: &[&str],
        callbacks: Callbacks,
        options: impl FnOnce(&mut Config),
    ) -> Self {
        let service = specs[0].service.clone();
        let subjects = Subjects::default();
        let features = ["beat", "credit", "cancel"].map(str::to_owned);
        let suspects = Arc::<Suspects>::default();
        let instances: Vec<Arc<Instance>> = instances
            .iter()
            .map(|id| {
                let id = InstanceId::new(id).unwrap();
                let instance = Instance::new(id, service.clone(), &subjects, &features, &[]);
                Arc::new(instance.among(suspects.clone()))
            })
            .collect();
        let registry = Arc::new(Registry::default());
        registry.publish(snapshot(specs, &instances, &subjects));
        let (sender, sent) = mpsc::unbounded_channel();
        let broker = Arc::new(FakeBroker {
            sent: sender,
            connected: AtomicBool::new(true),
            stuck: AtomicBool::new(false),
        });
        let inbox = Inbox::new(&subjects.inbox("g", 0));
        let clock = Clock::start();
        let link = Link {
            broker: broker.clone(),
            inbox: inbox.clone(),
            clock,
            subjects: Arc::new(subjects),
        };
        let mut config = Config::default();
        config.dispatch.stream_items = 8;
        config.dispatch.stream_bytes = 1000;
        options(&mut config);
        let sticky = Arc::new(MemorySticky::new(Duration::from_secs(60), 100));
        let dispatcher = Dispatcher::new(
            link,
            registry.clone(),
            sticky,
            config.dispatch.clone(),
            config.breaker.clone(),
        );
        let recorder = dispatcher.recorder().clone();
        let health = Arc::new(Health::default());
        health.set_discovered();
        let pipeline = Arc::new(Pipeline::new(
            registry.clone(),
            dispatcher,
            &config,
            health,
            Arc::new(callbacks),
        ));
        Self {
            pipeline,
            inbox,
            instances,
            registry,
            clock,
            broker,
            recorder,
            sent,
        }
    }

    /// The same with this store of idempotency keys.
    pub(crate) fn with_once(self, store: Arc<dyn crate::idempotency::OnceStore>) -> Self {
        let pipeline = Arc::into_inner(self.pipeline).unwrap().with_once(store);
        Self {
            pipeline: Arc::new(pipeline),
            ..self
        }
    }

    /// The same, counting with this recorder.
    pub(crate) fn recorded_by(self, recorder: Arc<crate::telemetry::Recorder>) -> Self {
        let pipeline = Arc::into_inner(self.pipeline).unwrap();
        Self {
            pipeline: Arc::new(pipeline.recorded_by(recorder)),
            ..self
        }
    }

    /// Starts a call; it runs while the test plays the worker.
    pub(crate) fn start(&self, call: Call) -> tokio::task::JoinHandle<Result<Reply, CallError>> {
        let pipeline = self.pipeline.clone();
        tokio::spawn(async move { pipeline.run(call).await })
    }

    /// The next message that goes out.
    pub(crate) async fn sent(&mut self) -> Outgoing<'static> {
        self.sent.recv().await.unwrap()
    }

    /// The next message to a call subject; pings on the way there stay unanswered.
    pub(crate) async fn sent_call(&mut self) -> Outgoing<'static> {
        loop {
            let message = self.sent().await;
            if !message.subject.ends_with(".ping") && !message.subject.ends_with(".control") {
                return message;
            }
        }
    }

    /// The next call that has gone out, if there is one; pings and controls are passed over.
    pub(crate) fn sent_call_now(&mut self) -> Option<Outgoing<'static>> {
        std::iter::from_fn(|| self.sent_now())
            .find(|m| !m.subject.ends_with(".ping") && !m.subject.ends_with(".control"))
    }

    /// What has gone out and was not looked at.
    pub(crate) fn sent_now(&mut self) -> Option<Outgoing<'static>> {
        self.sent.try_recv().ok()
    }

    pub(crate) fn deliver(&self, to: &Outgoing<'_>, delivery: Delivery) {
        self.inbox
            .deliver(to.reply.as_deref().unwrap().as_bytes(), delivery);
    }

    pub(crate) fn reply(&self, to: &Outgoing<'_>, frame: Frame) {
        self.deliver(to, Delivery::Frame(frame));
    }

    /// Whether the messages of fixed functions go without headers.
    pub(crate) fn set_bare(&self, bare: bool) {
        let specs = self.registry.snapshot();
        let specs = specs.services.values().flat_map(|all| all.values());
        let specs = specs.map(|all| (*all.versions[0].variants[0].spec).clone());
        let mut next = snapshot(specs.collect(), &[], &Subjects::default());
        for function in next.services.values_mut().flat_map(|all| all.values_mut()) {
            let function = Arc::get_mut(&mut function.versions[0]).unwrap();
            function.variants[0].bare = bare;
        }
        self.registry.publish(next);
    }

    pub(crate) fn set_stuck(&self) {
        self.broker.stuck.store(true, Ordering::Relaxed);
    }

    pub(crate) fn set_connected(&self, connected: bool) {
        self.broker.connected.store(connected, Ordering::Relaxed);
        self.inbox.broadcast(
            &if connected {
                Delivery::Reconnected
            } else {
                Delivery::Disconnected
            },
            u64::MAX,
        );
    }
}

fn snapshot(
    specs: Vec<FunctionSpec>,
    instances: &[Arc<Instance>],
    subjects: &Subjects,
) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for spec in specs {
        let mut function = Function::of(spec.clone(), instances.to_vec(), subjects);
        function.variants[0].fixed_subject = instances.is_empty().then(|| "fixed".to_owned());
        let versions = FunctionVersions {
            versions: vec![Arc::new(function)],
            latest: None,
        };
        let functions = snapshot.services.entry(spec.service).or_default();
        functions.insert(spec.request_type, versions);
    }
    snapshot.routes = Routes::of(&snapshot.services);
    snapshot
}

/// Lets the other tasks do what they can do now.
pub(crate) async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

/// A header of a message that went out.
pub(crate) fn header(message: &Outgoing<'_>, name: &'static str) -> String {
    message
        .headers
        .get(name)
        .map(ToString::to_string)
        .unwrap_or_default()
}

pub(crate) fn call_id(message: &Outgoing<'_>) -> String {
    header(message, h::CALL_ID)
}

pub(crate) fn result(text: &'static str) -> Frame {
    Frame::Result(Payload::json(text))
}

pub(crate) fn accepted(instance: &str) -> Frame {
    Frame::Accepted {
        instance: instance.to_owned(),
    }
}

pub(crate) fn beat(instance: &str, seq: u64) -> Frame {
    Frame::Beat {
        instance: instance.to_owned(),
        seq,
    }
}

pub(crate) fn item(seq: u64) -> Frame {
    Frame::Item {
        seq,
        payload: Payload::json(seq.to_string()),
        last: false,
    }
}

pub(crate) fn error(error: CallError, instance: &str) -> Frame {
    Frame::Error {
        error: Box::new(error),
        instance: Some(instance.to_owned()),
    }
}
