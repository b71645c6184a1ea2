//! What a worker of service `a` may not do.

use futures_util::{FutureExt, StreamExt};
use sluice_e2e::nats::Broker;

use crate::{client, on_each_server};

/// Subjects on which a worker of `a` would hear what is not for it.
const NOT_TO_HEAR: [&str; 16] = [
    // Calls for another service, by queue group or by instance, and its control messages.
    "sluice.call.b.>",
    "sluice.call.>",
    "sluice.inst.b.>",
    "sluice.inst.b.wb.control",
    "sluice.inst.>",
    // Replies to gateways, to other workers, to operators.
    "_INBOX.sluice.>",
    "_INBOX.sluice.g.0.*",
    "_INBOX.worker.b.>",
    "_INBOX.worker.>",
    "_INBOX.operator.>",
    "_INBOX.>",
    // The registry: what others announce, and pulls meant for another service.
    "sluice.registry.announce.>",
    "sluice.registry.pull.b.*",
    "sluice.gateway.>",
    "$SRV.PING.b",
    ">",
];

/// Subjects on which a worker of `a` would speak in another's name.
const NOT_TO_SAY: [&str; 12] = [
    "sluice.registry.announce.b.wb",
    "sluice.registry.announce.b.other",
    "sluice.registry.discover",
    "sluice.registry.pull.b.hash",
    "sluice.registry.pull.a.hash",
    // Control messages and calls come from gateways alone, also for its own service.
    "sluice.inst.b.wb.control",
    "sluice.inst.a.wa.control",
    "sluice.inst.b.wb.1_0_0.echo",
    "sluice.call.b.1_0_0.echo",
    "sluice.gateway.event",
    "sluice.gateway.beacon",
    "_INBOX.worker.b.x",
];

on_each_server!(a_worker_of_one_service_cannot_touch_another);

async fn test(broker: &Broker) {
    let a = client(broker, "a").await;
    for subject in NOT_TO_HEAR {
        let mut heard = a.subscribe(subject).await.unwrap();
        refused(broker, "Subscription", subject).await;
        // The server has said no: what is sent there after this does not arrive.
        let eyes = client(broker, "eyes").await;
        let sent = subject.replace(['>', '*'], "x");
        eyes.publish(sent, "secret".into()).await.unwrap();
        settle(&eyes).await;
        let mark = "_INBOX.worker.a.mark";
        let mut own = a.subscribe(mark).await.unwrap();
        settle(&a).await;
        eyes.publish(mark, "mark".into()).await.unwrap();
        eyes.flush().await.unwrap();
        own.next().await.unwrap();
        assert!(
            heard.next().now_or_never().flatten().is_none(),
            "{subject} was heard"
        );
    }

    let eyes = client(broker, "eyes").await;
    let mut everything = eyes.subscribe(">").await.unwrap();
    settle(&eyes).await;
    for subject in NOT_TO_SAY {
        a.publish(subject, "forged".into()).await.unwrap();
        refused(broker, "Publish", subject).await;
    }
    // All that the test's eyes saw is a last word that is allowed.
    a.publish("sluice.registry.announce.a.wa", "mine".into())
        .await
        .unwrap();
    a.flush().await.unwrap();
    loop {
        let message = everything.next().await.unwrap();
        if message.subject.starts_with("_INBOX.eyes") || message.payload.is_empty() {
            continue; // the round trips of `settle`
        }
        assert_eq!(message.subject.as_str(), "sluice.registry.announce.a.wa");
        break;
    }
}

/// Waits until the server has logged that it refused this to user `a`.
async fn refused(broker: &Broker, what: &str, subject: &str) {
    let said = |line: &str| {
        line.contains(&format!("{what} Violation"))
            && ["user:a\"", "User \"a\""]
                .iter()
                .any(|user| line.contains(user))
            && line.contains(&format!("Subject \"{subject}\""))
    };
    let what = format!("refusal of {what} to {subject}");
    broker.process().wait_line(&what, said).await.unwrap();
}

/// Waits until the server has handled what this client has sent: its own inbox makes a round trip.
async fn settle(client: &async_nats::Client) {
    let inbox = client.new_inbox();
    let mut own = client.subscribe(inbox.clone()).await.unwrap();
    client.publish(inbox, "".into()).await.unwrap();
    client.flush().await.unwrap();
    own.next().await.unwrap();
}
