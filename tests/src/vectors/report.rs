//! What passed, what did not, and what may differ.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::{NO_COUNTERPART, Outcome, Vector};
use crate::{Error, Result};

/// The vectors that this project means to differ from, each with its reason.
#[derive(Debug, Default)]
pub struct Deviations(BTreeMap<String, String>);

impl Deviations {
    /// Reads `{"deviations": [{"id", "reason"}]}`.
    pub fn load(path: &Path) -> Result<Self> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Entry {
            id: String,
            reason: String,
        }
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct File {
            deviations: Vec<Entry>,
        }
        let because = |e: &dyn std::fmt::Display| Error::because(path.display(), e);
        let text = std::fs::read_to_string(path).map_err(|e| because(&e))?;
        let file: File = serde_json::from_str(&text).map_err(|e| because(&e))?;
        let mut all = BTreeMap::new();
        for Entry { id, reason } in file.deviations {
            if reason.trim().is_empty() {
                return Err(because(&format!("{id} has no reason")));
            }
            if all.insert(id.clone(), reason).is_some() {
                return Err(because(&format!("{id} stands there twice")));
            }
        }
        Ok(Self(all))
    }
}

/// Counts outcomes, and keeps what is to be told.
#[derive(Debug)]
pub struct Report {
    deviations: Deviations,
    passed: usize,
    skipped: usize,
    failed: Vec<String>,
    deviated: Vec<String>,
    notes: Vec<String>,
}

impl Report {
    /// Nothing ran yet.
    #[must_use]
    pub fn new(deviations: Deviations) -> Self {
        Self {
            deviations,
            passed: 0,
            skipped: 0,
            failed: Vec::new(),
            deviated: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Takes the outcome of one vector.
    pub fn add(&mut self, vector: &Vector, outcome: Outcome) {
        let Vector { id, title, .. } = vector;
        let reason = self.deviations.0.get(id);
        match (outcome, reason) {
            (Ok(()), None) => self.passed += 1,
            (Ok(()), Some(_)) => {
                self.passed += 1;
                self.notes
                    .push(format!("STALE {id}: passes, but is listed as a deviation"));
            }
            (Err(_), Some(reason)) => {
                self.deviated
                    .push(format!("DEVIATION {id} ({title}): {reason}"));
            }
            (Err(got), None) if got[NO_COUNTERPART].is_string() => {
                self.skipped += 1;
                let why = got[NO_COUNTERPART].as_str().unwrap_or_default();
                self.notes.push(format!("SKIPPED {id} ({title}): {why}"));
            }
            (Err(got), None) => {
                let marks: String = vector.marks.iter().map(|m| format!("\n    {m}")).collect();
                let (expected, got) = (shown(&vector.expect), shown(&got));
                self.failed.push(format!(
                    "FAIL {id} ({title})\n    expected {expected}\n    got      {got}{marks}"
                ));
            }
        }
    }

    /// Takes a file that nothing here knows.
    pub fn skip(&mut self, file: &Path, vectors: usize) {
        self.skipped += vectors;
        self.notes.push(format!(
            "SKIPPED {}: {vectors} vectors of a kind that the runner does not know",
            file.display()
        ));
    }

    /// Whether every failure is a known deviation.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.failed.is_empty()
    }

    /// What is to be told, before the counts.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let all = self.deviated.iter().chain(&self.notes).chain(&self.failed);
        all.cloned().collect()
    }

    /// How many there were of each.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            passed: self.passed,
            failed: self.failed.len(),
            skipped: self.skipped,
            deviated: self.deviated.len(),
        }
    }
}

/// Vectors by what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// As expected.
    pub passed: usize,
    /// Otherwise than expected, and not meant so.
    pub failed: usize,
    /// Without counterpart here, or of a kind that is not known.
    pub skipped: usize,
    /// Otherwise than expected, and meant so.
    pub deviated: usize,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.deviated += other.deviated;
    }
}

impl Counts {
    /// Those of one folder, deviations apart.
    #[must_use]
    pub fn of_folder(&self, name: &str) -> String {
        let Self {
            passed,
            failed,
            skipped,
            deviated,
        } = self;
        format!(
            "{name}: {passed} passed, {failed} failed, {skipped} skipped, {deviated} deviations"
        )
    }

    /// The last line of a run. Deviations are held against nothing: they are among the skipped, so that
    /// the three add up to all vectors.
    #[must_use]
    pub fn in_all(&self) -> String {
        let skipped = self.skipped + self.deviated;
        format!(
            "{} passed, {} failed, {skipped} skipped",
            self.passed, self.failed
        )
    }
}

/// A value as text that fits a screen.
fn shown(value: &Value) -> String {
    const MOST: usize = 2000;
    let mut text = value.to_string();
    if text.len() > MOST {
        text.truncate(text.floor_char_boundary(MOST));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn vector(id: &str) -> Vector {
        Vector {
            id: id.to_owned(),
            title: "t".to_owned(),
            input: Value::Null,
            expect: json!(1),
            marks: vec!["questionable: why".to_owned()],
        }
    }

    #[test]
    fn what_differs_fails_unless_it_is_known_to() {
        let known = ["b", "c"].map(|id| (id.to_owned(), "because".to_owned()));
        let mut report = Report::new(Deviations(known.into()));
        report.add(&vector("a"), Ok(()));
        report.add(&vector("b"), Err(json!(2)));
        report.add(&vector("c"), Ok(()));
        report.skip(Path::new("x.json"), 7);
        assert!(report.is_good());
        let lines = report.lines().join("\n");
        let counts = report.counts();
        assert_eq!(
            counts.of_folder("x"),
            "x: 2 passed, 0 failed, 7 skipped, 1 deviations"
        );
        let mut all = Counts::default();
        all += counts;
        all += counts;
        assert_eq!(all.in_all(), "4 passed, 0 failed, 16 skipped");
        assert!(lines.contains("STALE c") && lines.contains("DEVIATION b (t): because"));
        report.add(
            &vector("e"),
            Err(json!({ NO_COUNTERPART: "there is none" })),
        );
        assert!(report.is_good());
        let lines = report.lines().join("\n");
        assert!(lines.contains("SKIPPED e (t): there is none"), "{lines}");
        report.add(&vector("d"), Err(json!(2)));
        assert!(!report.is_good());
        let lines = report.lines().join("\n");
        assert!(
            lines.contains("FAIL d (t)\n    expected 1\n    got      2\n    questionable: why")
        );
    }
}
