//! Who may say what: size, form, subject, allowlist, signature. Nothing here changes what the
//! registry knows but the counters of nonces.

use std::collections::BTreeMap;

use sluice_protocol::registry::{ConfigText, Instance, Message, Parsed};
use sluice_protocol::{InstanceId, ServiceName, Subjects, sign};
use tokio::time::Instant;

use super::denied::{DenialKind, Denied, is_hash, sender};
use super::limits::{Limits, NAME_BYTES};
use super::nonces::Nonces;
use super::throttle::Throttle;
use crate::config::RegistryOptions;

/// A message as it came from the broker.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Inbound<'a> {
    pub(super) subject: &'a str,
    pub(super) reply: Option<&'a str>,
    pub(super) nonce: Option<&'a str>,
    pub(super) signature: Option<&'a str>,
    pub(super) body: &'a [u8],
}

/// The rules of admission, and what has been denied so far.
pub(super) struct Admission {
    pub(super) subjects: Subjects,
    pub(super) options: RegistryOptions,
    pub(super) limits: Limits,
    nonces: Nonces,
    throttle: Throttle,
    denied: BTreeMap<DenialKind, u64>,
}

impl Admission {
    pub(super) fn new(subjects: Subjects, options: RegistryOptions, limits: Limits) -> Self {
        Self {
            subjects,
            options,
            limits,
            nonces: Nonces::default(),
            throttle: Throttle::default(),
            denied: BTreeMap::new(),
        }
    }

    /// A message on an announce subject: an announce, a heartbeat or a leave of the service and
    /// instance that the subject names.
    pub(super) fn announced(
        &mut self,
        inbound: Inbound<'_>,
        now: Instant,
    ) -> Result<Message, Denied> {
        let claimed = self.subjects.parse_announce(inbound.subject);
        let named = |mut denied: Denied| {
            denied.sender.clone_from(&claimed);
            denied
        };
        let message = self.parse(inbound, now).map_err(named)?;
        let Some((service, instance)) = sender(&message) else {
            let denied = Denied::new(
                DenialKind::Unexpected,
                "only announce, heartbeat and leave belong on an announce subject",
            );
            return Err(named(denied));
        };
        let checked = if claimed.as_ref() == Some(&(service.clone(), instance.clone())) {
            self.sender_may(inbound, inbound.subject, &service, &instance, now)
        } else {
            Err(Denied::new(
                DenialKind::Disagrees,
                format!(
                    "the message speaks for instance {instance} of service {service}, its subject does not"
                ),
            ))
        };
        checked.map_err(|denied| denied.of(&message))?;
        Ok(message)
    }

    /// An answer to discover: a heartbeat. Its inbox names nobody, so the signature covers the
    /// announce subject of whom it speaks for.
    pub(super) fn discovered(
        &mut self,
        inbound: Inbound<'_>,
        now: Instant,
    ) -> Result<Instance, Denied> {
        match self.parse(inbound, now)? {
            Message::Heartbeat(instance) => {
                let subject = self
                    .subjects
                    .announce(&instance.service, &instance.instance);
                self.sender_may(
                    inbound,
                    &subject,
                    &instance.service,
                    &instance.instance,
                    now,
                )
                .map_err(|d| d.of(&Message::Heartbeat(instance.clone())))?;
                Ok(instance)
            }
            other => Err(unexpected("discover is answered by a heartbeat").of(&other)),
        }
    }

    /// The answer to a pull: the config that was asked for. No counter is compared: the message
    /// names no instance, and a config that its hash names is the same whenever it was said.
    pub(super) fn pulled(
        &mut self,
        service: &ServiceName,
        hash: &str,
        inbound: Inbound<'_>,
        now: Instant,
    ) -> Result<ConfigText, Denied> {
        match self.parse(inbound, now)? {
            Message::Config {
                service: of,
                config_hash,
                config,
            } if of == *service && config_hash == hash => {
                let subject = self.subjects.pull(service, hash);
                self.service_allowed(service)?;
                self.signed(inbound, &subject, service)?;
                Ok(config)
            }
            other => Err(unexpected("the answer is not the config that was asked for").of(&other)),
        }
    }

    /// Counts a denial; says whether it may be logged.
    pub(super) fn denied(&mut self, denied: &Denied, now: Instant) -> bool {
        *self.denied.entry(denied.kind).or_default() += 1;
        match &denied.sender {
            Some((service, instance)) => self.may_log(service, Some(instance), now),
            None => self.throttle.allows(denied.kind.name(), now),
        }
    }

    /// Whether trouble with an instance may be logged.
    pub(super) fn may_log(
        &mut self,
        service: &ServiceName,
        instance: Option<&InstanceId>,
        now: Instant,
    ) -> bool {
        let instance = instance.map(InstanceId::as_str).unwrap_or_default();
        self.throttle.allows(&format!("{service}.{instance}"), now)
    }

    /// How many messages were denied, by kind.
    pub(super) fn denials(&self) -> BTreeMap<String, u64> {
        let named = |(kind, n): (&DenialKind, &u64)| (kind.name().to_owned(), *n);
        self.denied.iter().map(named).collect()
    }

    pub(super) fn purge(&mut self, now: Instant) {
        self.nonces.purge(now);
    }

    fn parse(&mut self, inbound: Inbound<'_>, now: Instant) -> Result<Message, Denied> {
        let too_large = |what: &str, max: usize| {
            let got = inbound.body.len();
            let message = format!("{what} must be at most {max} bytes, got {got}");
            Err(Denied::new(DenialKind::TooLarge, message))
        };
        if inbound.body.len() > self.limits.announce_bytes {
            return too_large("a registry message", self.limits.announce_bytes);
        }
        let parsed = Parsed::parse(inbound.body).map_err(|e| {
            let text: String = e.to_string().chars().take(500).collect();
            Denied::new(DenialKind::Malformed, text)
        })?;
        if !parsed.ignored.is_empty() && self.throttle.allows(inbound.subject, now) {
            tracing::warn!(
                subject = inbound.subject,
                fields = ?parsed.ignored.iter().take(10).collect::<Vec<_>>(),
                "ignored fields of a newer registry message"
            );
        }
        let message = parsed.message;
        let small = matches!(message, Message::Heartbeat(_) | Message::Leave { .. });
        if small && inbound.body.len() > self.limits.heartbeat_bytes {
            return too_large("a heartbeat or leave", self.limits.heartbeat_bytes)
                .map_err(|d: Denied| d.of(&message));
        }
        if let Message::Announce { instance, .. } | Message::Heartbeat(instance) = &message {
            self.plausible(instance).map_err(|d| d.of(&message))?;
        }
        Ok(message)
    }

    fn plausible(&self, instance: &Instance) -> Result<(), Denied> {
        if !is_hash(&instance.config_hash) {
            return Err(Denied::new(
                DenialKind::Malformed,
                "field \"config_hash\": must be the first 32 hex digits, in lower case, of the config's SHA-256",
            ));
        }
        for (field, list) in [
            ("features", &instance.features),
            ("encodings", &instance.encodings),
        ] {
            let max = self.limits.names_per_list;
            if list.len() > max || list.iter().any(|name| name.len() > NAME_BYTES) {
                return Err(Denied::new(
                    DenialKind::Malformed,
                    format!("field {field:?}: at most {max} names of at most {NAME_BYTES} bytes"),
                ));
            }
        }
        Ok(())
    }

    fn sender_may(
        &mut self,
        inbound: Inbound<'_>,
        subject: &str,
        service: &ServiceName,
        instance: &InstanceId,
        now: Instant,
    ) -> Result<(), Denied> {
        self.service_allowed(service)?;
        let Some(counter) = self.signed(inbound, subject, service)? else {
            return Ok(());
        };
        let max = self.limits.nonces;
        if self.nonces.take(service, instance, counter, now, max) {
            return Ok(());
        }
        Err(Denied::new(
            DenialKind::Replay,
            "the nonce's counter is not above the last one of this instance: it must grow with each message",
        ))
    }

    fn service_allowed(&self, service: &ServiceName) -> Result<(), Denied> {
        let allowed = &self.options.services;
        if allowed.is_empty() || allowed.iter().any(|s| s == service.as_str()) {
            return Ok(());
        }
        Err(Denied::new(
            DenialKind::NotAllowed,
            format!("service {service} is not in the gateway's registry.services"),
        ))
    }

    /// Checks the signature where the service has a secret, and returns the nonce's counter.
    fn signed(
        &self,
        inbound: Inbound<'_>,
        subject: &str,
        service: &ServiceName,
    ) -> Result<Option<u64>, Denied> {
        let deny = |kind, message: String| Err(Denied::new(kind, message));
        let Some(secret) = self.options.secrets.get(service.as_str()) else {
            if self.options.open {
                return Ok(None);
            }
            return deny(
                DenialKind::NotAllowed,
                format!(
                    "the gateway has no secret for service {service} in registry.secrets, and registry.open is off"
                ),
            );
        };
        if secret.is_empty() {
            let message = format!("the gateway's secret for service {service} is empty");
            return deny(DenialKind::NotAllowed, message);
        }
        let (Some(nonce), Some(signature)) = (inbound.nonce, inbound.signature) else {
            return deny(
                DenialKind::Signature,
                format!(
                    "service {service} needs signed messages: headers {} and {}",
                    sluice_protocol::headers::NONCE,
                    sluice_protocol::headers::SIGNATURE
                ),
            );
        };
        if !sign::verify(secret.as_bytes(), subject, nonce, inbound.body, signature) {
            return deny(
                DenialKind::Signature,
                format!(
                    "the signature does not hold: has the worker the same secret for service {service} as the gateway?"
                ),
            );
        }
        match sign::nonce_counter(nonce) {
            Some(counter) => Ok(Some(counter)),
            None => deny(
                DenialKind::Signature,
                "the nonce must be <counter>-<random>".to_owned(),
            ),
        }
    }
}

fn unexpected(message: &str) -> Denied {
    Denied::new(DenialKind::Unexpected, message)
}
