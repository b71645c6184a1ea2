//! Messages to the instance that holds a call: cancel and credit.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sluice_protocol::headers::Credit;
use sluice_protocol::registry::feature;
use sluice_protocol::{Frame, InstanceId, ServiceName};

use super::Link;
use super::broker::Outgoing;
use super::inbox::Ticket;
use super::mailbox::Delivery;
use crate::registry::snapshot::Instance;

/// A worker that takes a call says so within a beat; after that nobody will.
const HOLDER_LIMIT: Duration = Duration::from_secs(3);

fn message<'a>(instance: &'a Instance, body: &serde_json::Value) -> Outgoing<'a> {
    let body = Bytes::from(body.to_string());
    Outgoing::bare(&*instance.control_subject, None, body)
}

/// Grants a stream credit. Grants are cumulative and repeated, so a lost one does no harm.
pub(super) async fn grant(link: &Link, instance: &Instance, call_id: &str, credit: Credit) {
    let body = serde_json::json!({
        "type": "credit", "call": call_id, "items": credit.items, "bytes": credit.bytes,
    });
    if let Err(error) = link.broker.publish(&message(instance, &body)).await {
        tracing::debug!(%error, call = call_id, "credit was not sent");
    }
}

/// An instance that the call's snapshot does not know yet: one that has just joined. It can only
/// be of the same service, because that is what its subjects are built from.
pub(super) fn stranger(link: &Link, service: &ServiceName, name: &str) -> Option<Arc<Instance>> {
    let id = InstanceId::new(name).ok()?;
    let features = [feature::BEAT, feature::CREDIT, feature::CANCEL].map(str::to_owned);
    Some(Arc::new(Instance::new(
        id,
        service.clone(),
        &link.subjects,
        &features,
        &[],
    )))
}

/// Tells whoever holds the call to give it up; waits in the background for a holder that is not
/// known yet.
pub(super) fn cancel(
    link: Link,
    ticket: Ticket,
    holder: Option<Arc<Instance>>,
    service: ServiceName,
    call_id: String,
    reason: &'static str,
) {
    // Without a runtime the process is ending, and the connection with it.
    let Ok(runtime) = tokio::runtime::Handle::try_current() else {
        return;
    };
    runtime.spawn(async move {
        let holder = match holder {
            Some(holder) => Some(holder),
            None => {
                let found = find_holder(&link, &ticket, &service);
                tokio::time::timeout(HOLDER_LIMIT, found)
                    .await
                    .ok()
                    .flatten()
            }
        };
        let Some(holder) = holder.filter(|h| h.cancel) else {
            return;
        };
        let body = serde_json::json!({ "type": "cancel", "call": call_id, "reason": reason });
        if let Err(error) = link.broker.publish(&message(&holder, &body)).await {
            tracing::debug!(%error, call = call_id, "cancel was not sent");
        }
    });
}

/// Reads replies until one names its sender; `None` once the call has ended by itself.
async fn find_holder(link: &Link, ticket: &Ticket, service: &ServiceName) -> Option<Arc<Instance>> {
    loop {
        match ticket.mailbox().next().await {
            Delivery::Frame(Frame::Beat { instance, .. } | Frame::Accepted { instance }) => {
                return stranger(link, service, &instance);
            }
            Delivery::Frame(Frame::Item { last: false, .. }) | Delivery::Reconnected => {}
            _ => return None,
        }
    }
}
