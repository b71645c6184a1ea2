//! Is a service served in the version that was rolled out?

use serde::{Deserialize, Serialize};

use super::Diagnostics;

/// What a gateway says of a service's config version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// All in all.
    pub result: Verdict,
    /// The versions that live instances run, or, where none lives, that are known; in order.
    pub versions: Vec<String>,
    /// How many live instances run the expected version.
    pub matching_instances: usize,
    /// How many live instances there are.
    pub live_instances: usize,
}

/// All in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Every live instance runs the expected version.
    Matched,
    /// Some or all run another one.
    Mismatch,
    /// No such service is known.
    NotFound,
    /// There is such a service, and its workers announce no `config_version`.
    NoVersion,
    /// The service is known, and no instance of it lives.
    NoInstances,
}

impl Diagnostics {
    pub(super) async fn verify(&self, service: &str, version: &str) -> Result<Verified, String> {
        let status = self.parts.registry.services().await;
        let status = status.map_err(|e| e.to_string())?;
        let found = status.services.into_iter().find(|s| s.service == service);
        let configs: Vec<(Option<String>, usize)> = found
            .map(|s| s.configs)
            .unwrap_or_default()
            .into_iter()
            .map(|c| (c.config_version, c.live_instances))
            .collect();
        Ok(judge(&configs, version))
    }
}

/// `configs`: the label of each and how many live instances run it.
fn judge(configs: &[(Option<String>, usize)], expected: &str) -> Verified {
    let live: usize = configs.iter().map(|(_, live)| live).sum();
    // Configs of instances that have gone do not count while others live.
    let counts = |live_there: usize| live == 0 || live_there > 0;
    let now: Vec<_> = configs.iter().filter(|(_, n)| counts(*n)).collect();
    let matches = |label: &Option<String>| label.as_deref() == Some(expected);
    let mut versions: Vec<String> = now.iter().filter_map(|(label, _)| label.clone()).collect();
    versions.sort();
    versions.dedup();
    let result = if configs.is_empty() {
        Verdict::NotFound
    } else if versions.is_empty() {
        Verdict::NoVersion
    } else if live == 0 {
        Verdict::NoInstances
    } else if now.iter().all(|(label, _)| matches(label)) {
        Verdict::Matched
    } else {
        Verdict::Mismatch
    };
    let matching = now.iter().filter(|(label, _)| matches(label));
    Verified {
        result,
        versions,
        matching_instances: matching.map(|(_, live)| live).sum(),
        live_instances: live,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_runs_now_counts() {
        let label = |text: &str| Some(text.to_owned());
        for (configs, result) in [
            (vec![], Verdict::NotFound),
            (vec![(None, 2)], Verdict::NoVersion),
            (vec![(None, 0)], Verdict::NoVersion),
            (vec![(label("1"), 2)], Verdict::Matched),
            (vec![(label("2"), 2)], Verdict::Mismatch),
            // The old one has gone.
            (vec![(label("0"), 0), (label("1"), 1)], Verdict::Matched),
            // A deploy goes on.
            (vec![(label("0"), 1), (label("1"), 1)], Verdict::Mismatch),
            (vec![(None, 1), (label("1"), 1)], Verdict::Mismatch),
            // What nobody runs is not rolled out.
            (vec![(label("1"), 0)], Verdict::NoInstances),
        ] {
            assert_eq!(judge(&configs, "1").result, result, "{configs:?}");
        }
    }
}
