//! A pipeline over a broker that answers each call at once.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, ready};
use serde_json::{Value, json};
use sluice_gateway::config::Config;
use sluice_gateway::dispatch::breaker::Suspects;
use sluice_gateway::dispatch::broker::{Broker, Outgoing, PublishError};
use sluice_gateway::dispatch::inbox::Inbox;
use sluice_gateway::dispatch::mailbox::Delivery;
use sluice_gateway::dispatch::{Clock, Dispatcher, Link};
use sluice_gateway::health::Health;
use sluice_gateway::hooks::Callbacks;
use sluice_gateway::pipeline::{Call, Pipeline};
use sluice_gateway::registry::Registry;
use sluice_gateway::registry::connection::BrokerState;
use sluice_gateway::registry::snapshot::{Function, FunctionVersions, Instance, Snapshot};
use sluice_gateway::sticky::memory::MemorySticky;
use sluice_protocol::{
    Frame, FunctionName, FunctionSpec, Identity, InstanceId, Payload, RequestId, ServiceName,
    Subjects,
};

/// 208 bytes of args.
pub(crate) fn args() -> String {
    json!({"id": 42, "message": "x".repeat(183)}).to_string()
}

/// The usual function, with these fields beside.
pub(crate) fn spec(more: Value) -> FunctionSpec {
    let mut fields = json!({
        "request_type": "f",
        "arg_types": {"id": "integer", "message": {"type": "string", "max_bytes": 1000}},
        "check_permission": "any_authenticated",
    });
    let all = fields.as_object_mut().unwrap();
    all.extend(more.as_object().unwrap().clone());
    FunctionSpec::from_json(&ServiceName::new("s").unwrap(), &fields).unwrap()
}

/// It, on so many instances.
pub(crate) fn function(spec: FunctionSpec, instances: usize) -> Function {
    let subjects = Subjects::default();
    let suspects = Arc::<Suspects>::default();
    let instance = |n: usize| {
        let id = InstanceId::new(&format!("i{n:03}")).unwrap();
        let features = ["beat", "cancel"].map(str::to_owned);
        let service = spec.service.clone();
        let instance = Instance::new(id, service, &subjects, &features, &[]);
        Arc::new(instance.among(suspects.clone()))
    };
    let instances = (0..instances).map(instance).collect();
    Function::of(spec.clone(), instances, &subjects)
}

#[derive(Debug)]
struct Echo(Arc<Inbox>);

impl Broker for Echo {
    fn send(&self, message: &Outgoing<'_>) -> Result<(), PublishError> {
        if let Some(reply) = &message.reply {
            let result = Frame::Result(Payload::json(message.body.clone()));
            self.0.deliver(reply.as_bytes(), Delivery::Frame(result));
        }
        Ok(())
    }

    fn room(&self) -> BoxFuture<'_, ()> {
        Box::pin(ready(()))
    }

    fn settle(&self) -> BoxFuture<'_, Result<(), PublishError>> {
        Box::pin(ready(Ok(())))
    }

    fn state(&self) -> BrokerState {
        BrokerState {
            connected: true,
            epoch: 1,
        }
    }

    fn max_payload(&self) -> usize {
        1 << 20
    }
}

/// All stages, for one function on one instance.
pub(crate) fn pipeline(spec: FunctionSpec) -> Pipeline {
    let registry = Arc::new(Registry::default());
    let mut snapshot = Snapshot::default();
    let service = snapshot.services.entry(spec.service.clone()).or_default();
    let versions = FunctionVersions {
        versions: vec![Arc::new(function(spec.clone(), 1))],
        latest: None,
    };
    service.insert(spec.request_type, versions);
    registry.publish(snapshot);
    let subjects = Subjects::default();
    let inbox = Inbox::new(&subjects.inbox("g", 0));
    let link = Link {
        broker: Arc::new(Echo(inbox.clone())),
        inbox,
        clock: Clock::start(),
        subjects: Arc::new(subjects),
    };
    let config = Config::default();
    let dispatcher = Dispatcher::new(
        link,
        registry.clone(),
        Arc::new(MemorySticky::new(Duration::from_secs(60), 1000)),
        config.dispatch.clone(),
        config.breaker.clone(),
    );
    let health = Arc::new(Health::default());
    health.set_discovered();
    Pipeline::new(
        registry,
        dispatcher,
        &config,
        health,
        Arc::new(Callbacks::default()),
    )
}

/// A user's call of it.
pub(crate) fn call(args: String) -> Call {
    Call::new(
        RequestId::new("r1").unwrap(),
        ServiceName::new("s").unwrap(),
        FunctionName::new("f").unwrap(),
        Payload::json(args),
        user(),
    )
}

pub(crate) fn user() -> Identity {
    Identity {
        user_id: Some("u1".to_owned()),
        ..Identity::anonymous()
    }
}
