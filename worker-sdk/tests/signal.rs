//! SIGTERM drains a worker. Alone in its file: a signal is for the whole process.
#![allow(clippy::unwrap_used, reason = "a test's helpers")]
#![cfg(unix)]

mod support;

use serde_json::{Value, json};
use sluice_protocol::registry::{InstanceState, Message};
use sluice_worker::Worker;
use support::{Gateway, NatsServer, soon};
use tokio::sync::oneshot;

#[tokio::test]
async fn sigterm_lets_the_call_at_hand_finish_and_ends_the_worker() {
    let server = NatsServer::start();
    let mut gateway = Gateway::start(&server).await;
    let (release, released) = oneshot::channel::<()>();
    let released = std::sync::Mutex::new(Some(released));
    let worker = Worker::builder("s")
        .connect(&server.url())
        .function("wait", move || {
            let released = released.lock().unwrap().take();
            async move { released.unwrap().await.is_ok() }
        });
    let running = tokio::spawn(worker.run());
    let in_state = |wanted| {
        move |heard: &support::Heard| match &heard.message {
            Message::Heartbeat(instance) if instance.state == wanted => Some(instance.clone()),
            _ => None,
        }
    };
    let instance = gateway.hear_until(in_state(InstanceState::Ready)).await;
    let mut call = gateway.call("wait", json!({})).await;
    soon("the call is held", async {
        while gateway.ping(&instance.instance, "").await["in_flight"] == json!(0) {}
    })
    .await;
    let pid = std::process::id().to_string();
    let kill = std::process::Command::new("kill")
        .args(["-TERM", &pid])
        .status();
    assert!(kill.unwrap().success());
    gateway.hear_until(in_state(InstanceState::Draining)).await;
    assert!(!running.is_finished());
    release.send(()).unwrap();
    assert_eq!(call.result().await, Value::Bool(true));
    soon("the end", running).await.unwrap().unwrap();
}
