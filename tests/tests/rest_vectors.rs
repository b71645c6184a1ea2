//! The vectors of HTTP resources, through the public interface.
//!
//! A vector passes, or stands in `docs/deviations-rest.json` with its reason.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;
use sluice_e2e::vectors::rest;

const FILES: [(&str, usize); 8] = [
    ("conditional", 50),
    ("conneg_charset", 21),
    ("conneg_encoding", 22),
    ("conneg_language", 26),
    ("conneg_media", 48),
    ("decisions", 78),
    ("options_allow", 17),
    ("pipeline", 38),
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[tokio::test]
async fn vectors_pass_or_are_known_deviations() {
    let deviations = read(&root().join("../docs/deviations-rest.json"));
    let deviations = deviations["deviations"].as_array().unwrap().iter();
    let mut deviations: BTreeMap<&str, &str> = deviations
        .map(|entry| {
            (
                entry["id"].as_str().unwrap(),
                entry["reason"].as_str().unwrap(),
            )
        })
        // Those of versions run where all vectors are.
        .filter(|(id, _)| !id.starts_with("ver-"))
        .collect();
    let mut failed = Vec::new();
    for (file, count) in FILES {
        assert!(rest::knows(file));
        let vectors = read(&root().join(format!("tests/rest_vectors/{file}.json")));
        let vectors = vectors.as_array().unwrap();
        assert_eq!(vectors.len(), count, "{file}");
        for vector in vectors {
            let (id, title) = (vector["id"].as_str().unwrap(), &vector["title"]);
            // On a task, as workers serve: the futures have to be Send.
            let own = vector.clone();
            let run = async move { rest::run(file, &own["input"], &own["expect"]).await };
            let outcome = tokio::spawn(run).await.unwrap();
            match (outcome, deviations.remove(id)) {
                (Ok(()), None) | (Err(_), Some(_)) => {}
                (Ok(()), Some(_)) => failed.push(format!("{id} passes, but is a deviation")),
                (Err(got), None) => failed.push(format!(
                    "{id} ({title})\n  expected {}\n  got      {got}",
                    vector["expect"]
                )),
            }
        }
    }
    assert!(
        failed.is_empty(),
        "{} fail:\n{}",
        failed.len(),
        failed.join("\n")
    );
    assert!(deviations.is_empty(), "no vectors are {deviations:?}");
}

/// A runner that passes everything would be worth nothing.
#[tokio::test]
async fn a_wrong_expectation_fails() {
    let vectors = read(&root().join("tests/rest_vectors/decisions.json"));
    for vector in vectors.as_array().unwrap() {
        let mut expect = vector["expect"].clone();
        expect["status"] = 418.into();
        let outcome = rest::run("decisions", &vector["input"], &expect).await;
        assert!(outcome.is_err(), "{}", vector["id"]);
    }
}
