//! What routes share that ask or change something at every gateway.

use serde::Deserialize;
use serde_json::{Value, json};

use super::Desk;
use super::steer::Fault;
use crate::diagnostics::{Answer, Question};

/// At which gateways.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct Where {
    /// Only at the one that was asked.
    pub(super) here: Option<bool>,
}

/// Asks this gateway, and if it has an answer the others; its own answer is the first.
pub(super) async fn ask(
    desk: &Desk,
    question: &Question,
    place: Where,
) -> Result<Vec<Answer>, Fault> {
    let diagnostics = &desk.parts.diagnostics;
    let own = diagnostics.answer(question).await;
    // What is wrong with the question is wrong everywhere: nothing is changed anywhere then.
    let own = own.map_err(Fault::Invalid)?;
    let mut answers = vec![Answer::of(diagnostics.gateway(), Ok(own))];
    if place.here != Some(true) {
        answers.extend(diagnostics.ask_others(question).await);
    }
    Ok(answers)
}

/// Those that said nothing, and why.
pub(super) fn silent(answers: &[Answer]) -> Vec<Value> {
    let silent = answers.iter().filter_map(|answer| {
        let error = answer.error.as_ref()?;
        Some(json!({ "gateway": answer.gateway, "error": error }))
    });
    silent.collect()
}
