//! The gateway's answers, for people and for programs.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::super::client::{Answer, shortened};
use super::super::json::{Layout, lay_out};
use super::super::terminal::printable;
use super::super::{Exit, Failure, Terminal};
use super::events::Event;

/// The envelope that every answer is (`docs/client-protocol.md`).
#[derive(Debug, Deserialize)]
struct Envelope<'a> {
    request_id: String,
    success: bool,
    #[serde(borrow)]
    result: &'a RawValue,
    error: String,
    has_more: bool,
    can_retry: bool,
    error_code: Option<String>,
    error_source: Option<String>,
    #[serde(default)]
    details: Map<String, Value>,
}

/// Prints answers.
pub(super) struct Printer<'p, 't> {
    terminal: &'p mut Terminal<'t>,
    json: bool,
}

impl<'p, 't> Printer<'p, 't> {
    /// With `json`, whole envelopes go out, one a line.
    pub(super) fn new(terminal: &'p mut Terminal<'t>, json: bool) -> Self {
        Self { terminal, json }
    }

    /// Tells people what goes on.
    pub(super) fn note(&mut self, text: &str) -> Result<(), Failure> {
        if !self.json {
            writeln!(self.terminal.err, "{}", printable(text))?;
        }
        Ok(())
    }

    /// Prints the one answer of a call that does not stream.
    pub(super) fn answer(&mut self, answer: &Answer) -> Result<Exit, Failure> {
        let text = std::str::from_utf8(&answer.body).unwrap_or_default();
        let envelope: Envelope<'_> = serde_json::from_str(text).map_err(|_| {
            let (status, text) = (answer.status, answer.text());
            Failure::Failed(format!(
                "this is no answer of a Sluice gateway (is the URL right?): HTTP {status}\n{}",
                text.trim()
            ))
        })?;
        if self.json {
            writeln!(self.terminal.out, "{}", lay_out(text, Layout::OneLine))?;
        } else if !envelope.success {
            self.error(&envelope)?;
        } else if answer.status == http::StatusCode::ACCEPTED {
            self.note("accepted; this function sends no result")?;
        } else {
            let result = lay_out(envelope.result.get(), Layout::Indented);
            writeln!(self.terminal.out, "{result}")?;
        }
        Ok(exit_of(&envelope))
    }

    /// Prints an event of a stream; `Some`: it was the last one.
    pub(super) fn event(&mut self, event: &Event) -> Result<Option<Exit>, Failure> {
        // Other kinds may be added to the protocol one day.
        if !matches!(event.kind.as_str(), "ack" | "item" | "end" | "error") {
            return Ok(None);
        }
        let envelope: Envelope<'_> = serde_json::from_str(&event.data).map_err(|e| {
            let data = shortened(&event.data);
            Failure::Failed(format!(
                "the stream brought no answer of a Sluice gateway: {e}\n{data}"
            ))
        })?;
        if self.json {
            writeln!(
                self.terminal.out,
                "{}",
                lay_out(&event.data, Layout::OneLine)
            )?;
        } else if !envelope.success {
            self.error(&envelope)?;
        } else if event.kind == "item" {
            let item = lay_out(envelope.result.get(), Layout::OneLine);
            writeln!(self.terminal.out, "{item}")?;
        }
        self.terminal.out.flush()?;
        Ok((!envelope.has_more).then(|| exit_of(&envelope)))
    }

    fn error(&mut self, envelope: &Envelope<'_>) -> Result<(), Failure> {
        let code = envelope.error_code.as_deref().unwrap_or("error");
        self.terminal
            .error(&format!("{code}: {}", envelope.error))?;
        for line in detail_lines(&envelope.details) {
            writeln!(self.terminal.err, "  {}", printable(&line))?;
        }
        let source = envelope.error_source.as_deref().unwrap_or("unknown");
        let origin = format!("source: {source}, request id: {}", envelope.request_id);
        writeln!(self.terminal.err, "{}", printable(&origin))?;
        writeln!(self.terminal.err, "{}", retry_advice(envelope))?;
        Ok(())
    }
}

fn exit_of(envelope: &Envelope<'_>) -> Exit {
    if envelope.success {
        Exit::Ok
    } else {
        Exit::Failed
    }
}

/// Faults one a line, then all that the last lines do not say anyway.
fn detail_lines(details: &Map<String, Value>) -> Vec<String> {
    let faults = details.get("faults").and_then(Value::as_array);
    let mut lines: Vec<String> = faults
        .into_iter()
        .flatten()
        .map(
            |fault| match (fault["path"].as_str(), fault["message"].as_str()) {
                (Some(""), Some(message)) => message.to_owned(),
                (Some(path), Some(message)) => format!("{path}: {message}"),
                _ => fault.to_string(),
            },
        )
        .collect();
    for (key, value) in details {
        let said_elsewhere = matches!(key.as_str(), "executed" | "retry_after_ms")
            || (key == "faults" && faults.is_some());
        match value {
            _ if said_elsewhere => {}
            Value::String(text) => lines.push(format!("{key}: {text}")),
            value => lines.push(format!("{key}: {value}")),
        }
    }
    lines
}

fn retry_advice(envelope: &Envelope<'_>) -> String {
    let executed = envelope.details.get("executed").and_then(Value::as_str);
    let after = envelope
        .details
        .get("retry_after_ms")
        .and_then(Value::as_u64);
    match (envelope.can_retry, executed) {
        (true, _) => match after {
            Some(ms) => format!("retry: safe, after {ms} ms"),
            None => "retry: safe".to_owned(),
        },
        (false, Some("unknown")) => "retry: not safe, the call may have run".to_owned(),
        (false, Some("yes")) => "retry: not safe, the call has run".to_owned(),
        (false, _) => "retry: the same request would fail again".to_owned(),
    }
}
