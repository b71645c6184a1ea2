//! What the table does with messages that admission let through, or did not.

use std::collections::HashMap;

use sluice_protocol::registry::{
    ConfigText, Instance as Heard, InstanceState, Message, Reason, feature,
};
use sluice_protocol::{InstanceId, ServiceName};
use tokio::time::Instant;

use super::{Effects, Table};
use crate::registry::denied::{DenialKind, Denied};
use crate::registry::pulls::ConfigKey;
use crate::registry::refused::{Refused, Source, bounded, reason};
use crate::telemetry::names::Series;

impl Table {
    /// An instance says what it serves.
    pub(super) fn announce(
        &mut self,
        heard: &Heard,
        config: &ConfigText,
        force: bool,
        reply: Option<&str>,
        now: Instant,
    ) -> Effects {
        let (service, hash) = (&heard.service, &heard.config_hash);
        let known = self.configs.contains(service, hash) && !force;
        let taken = if known {
            Ok(())
        } else {
            self.take(service, hash, config, now)
        };
        if let Err(reasons) = taken {
            let key = ConfigKey {
                service: service.clone(),
                hash: hash.clone(),
            };
            let from = Some(&heard.instance);
            let reasons = self.refuse(&key, from, config, Source::Announce, reasons, now);
            return self.answer_refused(reply, hash, reasons);
        }
        if let Err(why) = self.can_translate(heard) {
            return self.answer_refused(reply, hash, vec![why]);
        }
        let mut effects = self.heartbeat(heard, reply, now);
        if effects.replies.is_empty()
            && let Some(to) = reply.filter(|r| is_inbox(r))
        {
            effects.replies.push((
                to.to_owned(),
                Message::Accepted {
                    gateway: self.gateway.clone(),
                    config_hash: hash.clone(),
                },
            ));
        }
        effects
    }

    /// An instance says that it lives, and what it runs.
    pub(super) fn heartbeat(
        &mut self,
        heard: &Heard,
        reply: Option<&str>,
        now: Instant,
    ) -> Effects {
        if let Err(why) = self.can_translate(heard) {
            let mut denied = Denied::new(DenialKind::Malformed, why.message);
            denied.sender = Some((heard.service.clone(), heard.instance.clone()));
            denied.config_hash.clone_from(&heard.config_hash);
            return self.deny(denied, reply, now);
        }
        let (subjects, limits) = (&self.admission.subjects, &self.admission.limits);
        let known = self.instances.len();
        let heard_of = self.instances.hear(heard, subjects, limits, now);
        let joined = self.instances.len() - known;
        self.meters.add(Series::InstanceJoined, joined as u64);
        match heard_of {
            Err(full) => {
                let mut denied = Denied::new(DenialKind::Limit, full);
                denied.sender = Some((heard.service.clone(), heard.instance.clone()));
                denied.config_hash.clone_from(&heard.config_hash);
                return self.deny(denied, reply, now);
            }
            Ok(true) => {
                self.dirty.insert(heard.service.clone());
            }
            Ok(false) => {}
        }
        let (service, hash) = (&heard.service, &heard.config_hash);
        // What an instance runs that goes is not worth asking for, nor is it the latest.
        if heard.state != InstanceState::Draining {
            if self.configs.contains(service, hash) {
                self.configs.used(service, hash, now);
            } else {
                let (service, hash) = (service.clone(), hash.clone());
                self.pulls.want(ConfigKey { service, hash }, now);
            }
        }
        self.pull(now)
    }

    /// Only workers that translate may run a config whose changes are in code.
    fn can_translate(&self, heard: &Heard) -> Result<(), Reason> {
        let able = heard.features.iter().any(|f| f == feature::PENDING);
        if able || !self.configs.has_code(&heard.service, &heard.config_hash) {
            return Ok(());
        }
        Err(Reason {
            field: "features".to_owned(),
            ..reason("must list \"pending\": the config has changes in code, which its workers run")
        })
    }

    pub(super) fn leave(&mut self, service: &ServiceName, instance: &InstanceId) {
        if self.instances.leave(service, instance) {
            self.meters.inc(Series::InstanceLeft);
            self.dirty.insert(service.clone());
        }
    }

    /// Puts a config in force.
    pub(super) fn take(
        &mut self,
        service: &ServiceName,
        hash: &str,
        config: &ConfigText,
        now: Instant,
    ) -> Result<(), Vec<Reason>> {
        let fixed = self.fixed.values().flat_map(HashMap::values);
        let fixed: Vec<_> = fixed.map(|fixed| fixed.spec.clone()).collect();
        let limits = &self.admission.limits;
        // Also a config that is refused by a cap may have made room.
        self.dirty.insert(service.clone());
        self.configs
            .take(service, hash, config, &fixed, limits, now)?;
        let (service, hash) = (service.clone(), hash.to_owned());
        self.refused.forget(service.as_str(), &hash);
        self.turned_away.forget(service.as_str(), &hash);
        self.meters.inc(Series::ConfigAccepted);
        tracing::info!(%service, config = hash, label = config.config_version, "took a config");
        self.pulls.done(&ConfigKey { service, hash });
        Ok(())
    }

    /// A config is not taken: kept for the operator with every reason, logged now and then.
    pub(super) fn refuse(
        &mut self,
        key: &ConfigKey,
        instance: Option<&InstanceId>,
        config: &ConfigText,
        source: Source,
        reasons: Vec<Reason>,
        now: Instant,
    ) -> Vec<Reason> {
        let ConfigKey { service, hash } = key;
        let reasons = bounded(reasons);
        self.meters.inc(Series::ConfigRefused);
        if self.admission.may_log(service, instance, now) {
            tracing::warn!(
                %service,
                instance = instance.map(tracing::field::display),
                config = hash,
                first = reasons.first().map(tracing::field::display),
                count = reasons.len(),
                "refused a config"
            );
        }
        let label = config.config_version.as_deref().unwrap_or_default();
        self.touched = true;
        self.refused.add(
            Refused {
                service: service.to_string(),
                instance: instance.map(InstanceId::to_string),
                config_hash: hash.clone(),
                config_version: Some(label.chars().take(128).collect())
                    .filter(|l: &String| !l.is_empty()),
                source,
                reasons: reasons.clone(),
                times: 1,
                first_ms_ago: 0,
                last_ms_ago: 0,
            },
            now,
        );
        reasons
    }

    /// A message that is not taken: counted, logged now and then, kept for the operator, and
    /// answered.
    pub(super) fn deny(&mut self, denied: Denied, reply: Option<&str>, now: Instant) -> Effects {
        if self.admission.denied(&denied, now) {
            let sender = denied.sender.as_ref().map(|(s, i)| format!("{s}.{i}"));
            tracing::warn!(sender, reason = denied.message, "denied a registry message");
        }
        // Who plays an old message again is not the one who wants an answer to it; and one of two
        // messages that overtook each other on two subjects is simply sent again.
        if denied.kind == DenialKind::Replay {
            return Effects::default();
        }
        self.touched = true;
        let (service, instance) = denied.sender.unzip();
        let reasons = bounded(vec![reason(denied.message)]);
        self.turned_away.add(
            Refused {
                service: service.map(|s| s.to_string()).unwrap_or_default(),
                instance: instance.map(|i| i.to_string()),
                config_hash: denied.config_hash.clone(),
                config_version: None,
                source: Source::Sender,
                reasons: reasons.clone(),
                times: 1,
                first_ms_ago: 0,
                last_ms_ago: 0,
            },
            now,
        );
        self.answer_refused(reply, &denied.config_hash, reasons)
    }

    fn answer_refused(&self, reply: Option<&str>, hash: &str, reasons: Vec<Reason>) -> Effects {
        let mut effects = Effects::default();
        if let Some(to) = reply.filter(|r| is_inbox(r)) {
            effects.replies.push((
                to.to_owned(),
                Message::Refused {
                    gateway: self.gateway.clone(),
                    config_hash: hash.to_owned(),
                    reasons,
                },
            ));
        }
        effects
    }
}

/// Only inboxes are answered: a worker must not make the gateway publish where it may not itself.
fn is_inbox(subject: &str) -> bool {
    let tokens = || subject.split('.');
    subject.starts_with("_INBOX")
        && subject.len() <= 512
        && tokens().count() > 1
        && tokens().all(|t| {
            !t.is_empty()
                && t.chars()
                    .all(|c| c.is_ascii_graphic() && c != '*' && c != '>')
        })
}
