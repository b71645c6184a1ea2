//! NATS' own service discovery (ADR-32), so that `nats service ls|info|stats` know workers.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_nats::Message;
use serde_json::{Value, json};
use sluice_protocol::subject::QUEUE_GROUP;

use super::intake;
use super::service::{Entry, Service};
use super::shared::Shared;
use crate::worker::WorkerError;

const VERBS: [Verb; 3] = [Verb::Ping, Verb::Info, Verb::Stats];

#[derive(Debug, Clone, Copy)]
enum Verb {
    Ping,
    Info,
    Stats,
}

impl Verb {
    fn subject(self) -> &'static str {
        match self {
            Self::Ping => "$SRV.PING",
            Self::Info => "$SRV.INFO",
            Self::Stats => "$SRV.STATS",
        }
    }

    fn response(self) -> &'static str {
        match self {
            Self::Ping => "io.nats.micro.v1.ping_response",
            Self::Info => "io.nats.micro.v1.info_response",
            Self::Stats => "io.nats.micro.v1.stats_response",
        }
    }
}

/// Answers for one service until the worker is closed.
pub(crate) async fn serve(shared: &Arc<Shared>, service: &Arc<Service>) -> Result<(), WorkerError> {
    let (name, id) = (
        plain(service.name.as_str()),
        plain(shared.instance.as_str()),
    );
    let started = rfc3339(SystemTime::now());
    for verb in VERBS {
        let all = verb.subject();
        for subject in [
            all.to_owned(),
            format!("{all}.{name}"),
            format!("{all}.{name}.{id}"),
        ] {
            let questions = shared.client.subscribe(subject).await?;
            let (asked, service, started) = (shared.clone(), service.clone(), started.clone());
            let reader = intake::read(questions, shared.closing(), move |message: Message| {
                let body = answer(verb, &asked, &service, &started);
                let client = asked.client.clone();
                async move {
                    if let Some(reply) = message.reply {
                        let _ = client.publish(reply, body.to_string().into()).await;
                    }
                }
            });
            shared.readers.spawn(reader);
        }
    }
    Ok(())
}

fn answer(verb: Verb, shared: &Shared, service: &Service, started: &str) -> Value {
    let mut body = json!({
        "type": verb.response(),
        "name": plain(service.name.as_str()),
        "id": plain(shared.instance.as_str()),
        "version": semantic_version(service),
        "metadata": {
            "sluice.service": service.name,
            "sluice.instance": shared.instance,
            "sluice.config_hash": service.config_hash,
        },
    });
    match verb {
        Verb::Ping => {}
        Verb::Info => {
            body["description"] = json!("a Sluice worker");
            body["endpoints"] = service.entries.iter().map(|e| info(service, e)).collect();
        }
        Verb::Stats => {
            body["started"] = json!(started);
            body["endpoints"] = service.entries.iter().map(|e| stats(service, e)).collect();
        }
    }
    body
}

fn info(service: &Service, entry: &Entry) -> Value {
    let version = entry.spec.version.as_ref().map(|v| v.as_str());
    json!({
        "name": endpoint_name(service, entry),
        "subject": entry.subject,
        "queue_group": QUEUE_GROUP,
        "metadata": {
            "sluice.function": entry.spec.request_type,
            "sluice.version": version.unwrap_or_default(),
        },
    })
}

fn stats(service: &Service, entry: &Entry) -> Value {
    let counted = entry.stats.read();
    json!({
        "name": endpoint_name(service, entry),
        "subject": entry.subject,
        "queue_group": QUEUE_GROUP,
        "num_requests": counted.requests,
        "num_errors": counted.errors,
        "last_error": counted.last_error,
        "processing_time": counted.nanos,
        "average_processing_time": counted.nanos.checked_div(counted.requests).unwrap_or(0),
    })
}

/// The function's name; with its version where there is more than one of that name.
fn endpoint_name(service: &Service, entry: &Entry) -> String {
    let name = &entry.spec.request_type;
    let twins = service.entries.iter();
    let twins = twins.filter(|other| other.spec.request_type == *name);
    match &entry.spec.version {
        Some(version) if twins.count() > 1 => plain(&format!("{name}-{version}")),
        _ => plain(name.as_str()),
    }
}

/// ADR-32 allows letters, digits, `-` and `_` in names.
fn plain(name: &str) -> String {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    name.chars()
        .map(|c| if fine(c) { c } else { '-' })
        .collect()
}

/// The highest version of a function that is semantic in full; ADR-32 takes no other.
fn semantic_version(service: &Service) -> String {
    let versions = service
        .entries
        .iter()
        .filter_map(|e| e.spec.version.as_ref());
    versions
        .filter(|v| is_semantic(v.as_str()))
        .max()
        .map_or_else(|| "0.0.0".to_owned(), ToString::to_string)
}

fn is_semantic(version: &str) -> bool {
    let core = version.split(['-', '+']).next().unwrap_or_default();
    let parts: Vec<&str> = core.split('.').collect();
    let number = |p: &&str| {
        let digits = !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit());
        digits && (p.len() == 1 || !p.starts_with('0'))
    };
    parts.len() == 3 && parts.iter().all(number)
}

/// The time in UTC, to the second (RFC 3339).
fn rfc3339(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let (days, secs) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (hour, minute, second) = (secs / 3600, secs / 60 % 60, secs % 60);
    let (year, month, day) = civil(days);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// The date of a day since 1970-01-01, counted in eras of 400 years that begin in March.
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_rfc_3339_says() {
        let at = |secs| rfc3339(UNIX_EPOCH + Duration::from_secs(secs));
        assert_eq!(at(0), "1970-01-01T00:00:00Z");
        assert_eq!(at(951_827_696), "2000-02-29T12:34:56Z");
        assert_eq!(at(1_735_689_599), "2024-12-31T23:59:59Z");
        assert_eq!(at(4_107_542_400), "2100-03-01T00:00:00Z");
    }

    #[test]
    fn names_and_versions_are_such_as_adr_32_takes() {
        assert_eq!(plain("a.b c_d-é"), "a-b-c_d--");
        for (version, fine) in [
            ("1.2.3", true),
            ("1.2.3-rc.1+b", true),
            ("1.2", false),
            ("v1.2.3", false),
            ("01.2.3", false),
            ("2024-06-01", false),
        ] {
            assert_eq!(is_semantic(version), fine, "{version}");
        }
    }
}
