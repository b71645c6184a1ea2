//! `sluice trace`: what happens to live calls, as it happens, at all gateways.

use std::time::Duration;

use bytes::BytesMut;
use serde_json::Value;

use super::client::MAX_ANSWER_BYTES;
use super::everybody::span;
use super::steer::Common;
use super::terminal::printable;
use super::{Exit, Failure, Terminal};

/// Arguments of `sluice trace`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Calls of this service; needs a function.
    #[arg(requires = "function")]
    service: Option<String>,
    /// Calls of this function.
    function: Option<String>,
    /// Calls of this user.
    #[arg(long)]
    user: Option<String>,
    /// The call with this id.
    #[arg(long)]
    request_id: Option<String>,
    /// For how long; it also ends with Ctrl-C.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// End after so many lines.
    #[arg(long, value_name = "N")]
    lines: Option<u64>,
    #[command(flatten)]
    common: Common,
}

/// What every event has: not among the details.
const HEAD: [&str; 10] = [
    "gateway",
    "call",
    "request_id",
    "service",
    "function",
    "version",
    "user",
    "at_ms",
    "elapsed_us",
    "event",
];

/// Prints events as they come, until the time is up.
pub(super) async fn run(args: &Args, terminal: &mut Terminal<'_>) -> Result<Exit, Failure> {
    let gateway = args.common.admin.gateway()?;
    let mut url = gateway.url("/v1/trace")?;
    let seconds = args.seconds.to_string();
    let named = [
        ("service", args.service.as_deref()),
        ("function", args.function.as_deref()),
        ("user", args.user.as_deref()),
        ("request_id", args.request_id.as_deref()),
        ("seconds", Some(seconds.as_str())),
    ];
    let pairs = named.iter().filter_map(|(name, v)| Some((name, (*v)?)));
    url.query_pairs_mut().extend_pairs(pairs);
    let time = Duration::from_secs(args.seconds) + Duration::from_secs(10);
    let request = gateway.get(url).timeout(time);
    let mut response = args.common.admin.open(&gateway, request).await?;
    let mut lines = 0_u64;
    let mut buffer = BytesMut::new();
    while let Some(chunk) = gateway.chunk(&mut response).await? {
        buffer.extend_from_slice(&chunk);
        while let Some(end) = buffer.iter().position(|b| *b == b'\n') {
            let line = buffer.split_to(end + 1);
            show(&String::from_utf8_lossy(&line), args.common.json, terminal)?;
            lines += 1;
            // The first line tells who watches.
            if args.lines.is_some_and(|most| lines > most) {
                return Ok(Exit::Ok);
            }
        }
        if buffer.len() > MAX_ANSWER_BYTES {
            return Err(Failure::Failed("a line of the trace has no end".to_owned()));
        }
    }
    Ok(Exit::Ok)
}

fn show(line: &str, json: bool, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    if json {
        writeln!(terminal.out, "{}", printable(line.trim_end()))?;
    } else if let Ok(event) = serde_json::from_str::<Value>(line) {
        let text = match event["event"] == "watching" {
            true => watching(&event),
            false => told(&event),
        };
        writeln!(terminal.out, "{}", printable(&text))?;
    }
    terminal.out.flush()?;
    Ok(())
}

fn watching(event: &Value) -> String {
    let others = event["others"].as_array().map_or(&[][..], Vec::as_slice);
    let silent = others.iter().filter(|o| o["error"].is_string());
    let silent: Vec<&str> = silent.filter_map(|o| o["gateway"].as_str()).collect();
    let count = 1 + others.len() - silent.len();
    let time = span(event["for_ms"].as_u64().unwrap_or(0));
    match silent.is_empty() {
        true => format!("watching at {count} gateways for {time}"),
        false => format!(
            "watching at {count} gateways for {time}, not at {}",
            silent.join(", ")
        ),
    }
}

/// `gateway#call  +12.345 ms  request-id  event  detail=value …`
fn told(event: &Value) -> String {
    let text = |name: &str| event[name].as_str().unwrap_or("-").to_owned();
    let elapsed = event["elapsed_us"].as_f64().unwrap_or(0.0) / 1000.0;
    let call = event["call"].as_u64().unwrap_or(0);
    let mut details = Vec::new();
    if event["event"] == "received" {
        let user = event["user"].as_str().unwrap_or("anonymous");
        details.push(format!(
            "{}.{} by {user}",
            text("service"),
            text("function")
        ));
    }
    for (name, value) in event.as_object().into_iter().flatten() {
        if HEAD.contains(&name.as_str()) || value.is_null() {
            continue;
        }
        let value = match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        details.push(format!("{name}={value}"));
    }
    let line = format!(
        "{}#{call:<5} {elapsed:>9.3} ms  {}  {:<16} {}",
        text("gateway"),
        text("request_id"),
        text("event"),
        details.join(" ")
    );
    line.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn events_are_lines() {
        let event = json!({
            "gateway": "g1", "call": 7, "request_id": "r1", "service": "demo", "function": "echo",
            "version": null, "user": null, "at_ms": 1, "elapsed_us": 1234,
            "event": "attempt", "attempt": 1, "to": "w0",
        });
        assert_eq!(
            told(&event),
            "g1#7         1.234 ms  r1  attempt          attempt=1 to=w0"
        );
        let first = json!({
            "for_ms": 60_000,
            "others": [{"gateway": "b", "answer": true}, {"gateway": "c", "error": "silent"}],
        });
        assert_eq!(
            watching(&first),
            "watching at 2 gateways for 60.0 s, not at c"
        );
    }
}
