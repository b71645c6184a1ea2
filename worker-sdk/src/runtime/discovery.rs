//! Questions of gateways: who is there, and what does this config hash stand for.

use std::sync::Arc;
use std::time::Duration;

use async_nats::Message;
use rand::Rng;
use sluice_protocol::registry::{Message as RegistryMessage, Parsed};
use sluice_protocol::subject::QUEUE_GROUP;
use tokio::sync::Semaphore;

use super::service::Service;
use super::shared::Shared;
use super::{intake, messages};
use crate::worker::WorkerError;

/// Answers are spread over so much time, so that a fleet does not speak at once.
const SPREAD_MS: u64 = 500;
/// Questions that wait to be answered; more are dropped, and asked again.
const MAX_WAITING: usize = 64;

/// Answers discover and pull until the worker is closed.
pub(crate) async fn serve(
    shared: &Arc<Shared>,
    services: &Arc<[Arc<Service>]>,
) -> Result<(), WorkerError> {
    let discover = shared.client.subscribe(shared.subjects.discover()).await?;
    let (asked, all) = (shared.clone(), services.clone());
    let waiting = Arc::new(Semaphore::new(MAX_WAITING));
    let reader = intake::read(discover, shared.closing(), move |message| {
        discovered(&asked, &all, &waiting, &message);
        std::future::ready(())
    });
    shared.readers.spawn(reader);
    for service in services.iter() {
        let subject = messages::pull_subject(&shared.subjects, service);
        let group = QUEUE_GROUP.to_owned();
        let pulls = shared.client.queue_subscribe(subject, group).await?;
        let (asked, service) = (shared.clone(), service.clone());
        let reader = intake::read(pulls, shared.closing(), move |message: Message| {
            let (asked, service) = (asked.clone(), service.clone());
            async move {
                if let Some(reply) = message.reply {
                    messages::config(&asked, &service, reply).await;
                }
            }
        });
        shared.readers.spawn(reader);
    }
    Ok(())
}

fn discovered(
    shared: &Arc<Shared>,
    services: &Arc<[Arc<Service>]>,
    waiting: &Arc<Semaphore>,
    message: &Message,
) {
    match Parsed::parse(&message.payload) {
        Ok(Parsed {
            message: RegistryMessage::Discover { .. },
            ..
        }) => {}
        Ok(_) => return,
        Err(error) => {
            tracing::debug!(%error, "discover ignored");
            return;
        }
    }
    // A gateway that asks may accept what no gateway has accepted yet.
    for service in services.iter().filter(|s| !*s.joined.borrow()) {
        service.poke.notify_one();
    }
    let Ok(place) = waiting.clone().try_acquire_owned() else {
        return;
    };
    let (shared, services, reply) = (shared.clone(), services.clone(), message.reply.clone());
    tokio::spawn(async move {
        let wait = Duration::from_millis(rand::rng().random_range(0..=SPREAD_MS));
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = shared.leaving.cancelled() => return,
        }
        for service in services.iter() {
            messages::heartbeat(&shared, service, reply.clone()).await;
        }
        drop(place);
    });
}
