//! What commands share that ask all gateways at once.

use reqwest::Method;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::client::Answer;
use super::operator::decode;
use super::steer::{Asked, Common};
use super::terminal::printable;
use super::{Failure, Terminal};

/// The answers of all gateways, that of the one that was asked first.
#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "T: DeserializeOwned"))]
pub(super) struct Answers<T> {
    pub(super) gateways: Vec<Said<T>>,
}

/// What one gateway said, or why it said nothing.
#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "T: DeserializeOwned"))]
pub(super) struct Said<T> {
    pub(super) gateway: String,
    pub(super) answer: Option<T>,
    pub(super) error: Option<String>,
}

impl<T> Answers<T> {
    /// What the gateway said that was asked.
    pub(super) fn own(&self) -> Result<&T, Failure> {
        let first = self.gateways.first().and_then(|said| said.answer.as_ref());
        first.ok_or_else(|| Failure::Failed("the gateway said nothing of itself".to_owned()))
    }

    /// All that said something, with their names.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, &T)> {
        let said = self.gateways.iter();
        said.filter_map(|s| Some((s.gateway.as_str(), s.answer.as_ref()?)))
    }

    /// Tells of the gateways that said nothing; whether all did.
    pub(super) fn tell_silent(&self, terminal: &mut Terminal<'_>) -> Result<bool, Failure> {
        let mut all = true;
        for said in &self.gateways {
            if let Some(error) = &said.error {
                let line = format!("gateway {}: {error}", said.gateway);
                writeln!(terminal.err, "{}", printable(&line))?;
                all = false;
            }
        }
        Ok(all)
    }
}

/// Asks with GET, and reads the answers.
pub(super) async fn ask<T: DeserializeOwned>(
    common: &Common,
    asked: &Asked<'_>,
) -> Result<(Answer, Answers<T>), Failure> {
    let answer = common.ask(asked).await?;
    let answers = decode(&answer)?;
    Ok((answer, answers))
}

/// A question without a body.
pub(super) fn get<'a>(path: impl IntoIterator<Item = &'a str>) -> Asked<'a> {
    Asked::new(Method::GET, path)
}

/// A time for people: `950 ms`, `12.5 s`, `3 min`, `5 h`, `2 d`.
pub(super) fn span(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..120_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        120_000..7_200_000 => format!("{} min", ms / 60_000),
        7_200_000..172_800_000 => format!("{} h", ms / 3_600_000),
        _ => format!("{} d", ms / 86_400_000),
    }
}
