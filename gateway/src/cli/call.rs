//! `sluice call`: calls a function through the public edge, as any client would.

pub(super) mod arguments;
mod envelope;
mod events;
#[cfg(test)]
mod tests;

use std::time::Duration;

use http::StatusCode;
use http::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER,
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{RequestBuilder, Url};
use serde_json::Value;

use self::envelope::Printer;
use self::events::EventReader;
use super::client::{Answer, Gateway, is_event_stream};
use super::{Exit, Failure, Terminal};

/// Arguments of `sluice call`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The service.
    service: String,
    /// The function.
    function: String,
    /// Arguments of the function. `key=value` takes numbers, true, false and null as such and all
    /// else as text; a value in double quotes (`id='"42"'`) is text in any case. `key:=JSON` takes
    /// any JSON value.
    #[arg(value_name = "KEY=VALUE")]
    pairs: Vec<String>,
    /// All arguments as one JSON object; KEY=VALUE adds to it.
    #[arg(long, value_name = "JSON")]
    args: Option<String>,
    /// Follow the items of a stream and print each as it comes, one a line.
    #[arg(long)]
    stream: bool,
    /// The gateway's address for clients.
    #[arg(
        long,
        value_name = "URL",
        env = "SLUICE_URL",
        hide_env_values = true,
        default_value = "http://127.0.0.1:4000"
    )]
    url: String,
    /// Sent as `Authorization: Bearer`.
    #[arg(long, env = "SLUICE_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// The function's version; without it the latest.
    #[arg(long)]
    version: Option<String>,
    /// Milliseconds that the call may take; can only shorten the function's own timeout.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    timeout_ms: Option<u64>,
    /// Print the gateway's whole answers, one JSON object a line.
    #[arg(long)]
    json: bool,
    /// The user to call as. Only gateways that trust their clients (`sluice dev`) believe it.
    #[arg(long)]
    user: Option<String>,
    /// A role of the user; may stand several times.
    #[arg(long, value_name = "ROLE")]
    role: Vec<String>,
}

/// Everything in a path segment but the unreserved characters (RFC 3986 §2.3).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Calls the function and prints its answer.
///
/// # Errors
/// When the command line is wrong, or no gateway answers.
pub(super) async fn run(args: &Args, terminal: &mut Terminal<'_>) -> Result<Exit, Failure> {
    let gateway = Gateway::at("--url", &args.url)?;
    let headers = headers(args)?;
    let (url, body) = request(args, &gateway)?;
    let mut printer = Printer::new(terminal, args.json);
    let accept = if args.stream {
        "text/event-stream, application/json"
    } else {
        "application/json"
    };
    let request = gateway
        .post(url, body)
        .headers(headers.clone())
        .header(ACCEPT, accept);
    let response = gateway.open(request).await?;
    if is_event_stream(response.headers()) {
        return follow_stream(&gateway, response, &mut printer).await;
    }
    if is_lines(response.headers()) {
        // Unread: it may have no end.
        let text = format!(
            "{}.{} is a stream: add --stream",
            args.service, args.function
        );
        return Err(Failure::Usage(text));
    }
    let mut answer = gateway.read(response).await?;
    if let Some(location) = pending_at(&answer) {
        let url = gateway.location(location)?;
        printer.note(&format!(
            "accepted; waiting for the result at {}",
            url.path()
        ))?;
        let poll = || gateway.get(url.clone()).headers(headers.clone());
        answer = wait_for_result(&gateway, poll, answer).await?;
    }
    let exit = printer.answer(&answer)?;
    if answer.status == StatusCode::NOT_ACCEPTABLE && !args.stream {
        printer.note("a function that streams wants --stream")?;
    }
    Ok(exit)
}

fn is_lines(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok());
    value.is_some_and(|v| v.starts_with("application/x-ndjson"))
}

/// Where to send the call, and its body.
fn request(args: &Args, gateway: &Gateway) -> Result<(Url, String), Failure> {
    let call_args = arguments::parse(args.args.as_deref(), &args.pairs).map_err(Failure::Usage)?;
    for (what, name) in [("SERVICE", &args.service), ("FUNCTION", &args.function)] {
        if name.is_empty() {
            return Err(Failure::Usage(format!("{what} must not be empty")));
        }
    }
    // `.` and `..` vanish from the path of a URL, however they are encoded.
    let fits_path = |name: &str| !matches!(name, "." | "..");
    if args.version.is_none() && fits_path(&args.service) && fits_path(&args.function) {
        let encoded = |name| utf8_percent_encode(name, SEGMENT);
        let (service, function) = (encoded(&args.service), encoded(&args.function));
        return Ok((
            gateway.url(&format!("/api/{service}/{function}"))?,
            call_args,
        ));
    }
    let quoted = |text: &str| Value::from(text).to_string();
    let body = format!(
        r#"{{"service":{},"request_type":{},"version":{},"args":{call_args}}}"#,
        quoted(&args.service),
        quoted(&args.function),
        args.version
            .as_deref()
            .map_or_else(|| "null".to_owned(), quoted),
    );
    Ok((gateway.url("/api")?, body))
}

/// What goes with the call and with each question for its result.
fn headers(args: &Args) -> Result<HeaderMap, Failure> {
    let mut headers = HeaderMap::new();
    let bearer = args.token.as_ref().map(|token| format!("Bearer {token}"));
    let roles = (!args.role.is_empty()).then(|| args.role.join(","));
    for (name, value) in [
        (AUTHORIZATION, bearer),
        (HeaderName::from_static("x-user-id"), args.user.clone()),
        (HeaderName::from_static("x-user-roles"), roles),
        (
            HeaderName::from_static("x-timeout-ms"),
            args.timeout_ms.map(|ms| ms.to_string()),
        ),
    ] {
        let Some(value) = value else { continue };
        let value = HeaderValue::from_bytes(value.as_bytes())
            .map_err(|_| Failure::Usage(format!("what {name} is to carry has line ends in it")))?;
        headers.insert(name, value);
    }
    Ok(headers)
}

/// Where the result of an async call will be; `None`: the answer is final.
fn pending_at(answer: &Answer) -> Option<&str> {
    (answer.status == StatusCode::ACCEPTED)
        .then(|| answer.header(LOCATION))
        .flatten()
}

/// Asks until the call has ended, as often as the gateway wants to be asked.
async fn wait_for_result(
    gateway: &Gateway,
    poll: impl Fn() -> RequestBuilder,
    mut answer: Answer,
) -> Result<Answer, Failure> {
    while answer.status == StatusCode::ACCEPTED {
        let pause = answer
            .header(RETRY_AFTER)
            .and_then(|seconds| seconds.parse().ok())
            .map_or(Duration::from_millis(500), Duration::from_secs)
            .clamp(Duration::from_millis(50), Duration::from_secs(30));
        tokio::time::sleep(pause).await;
        answer = gateway.send(poll()).await?;
    }
    Ok(answer)
}

/// Prints what a stream brings, until it ends.
async fn follow_stream(
    gateway: &Gateway,
    mut response: reqwest::Response,
    printer: &mut Printer<'_, '_>,
) -> Result<Exit, Failure> {
    let mut reader = EventReader::default();
    while let Some(chunk) = gateway.chunk(&mut response).await? {
        reader.push(&chunk);
        while let Some(event) = reader.next_event()? {
            if let Some(exit) = printer.event(&event)? {
                return Ok(exit);
            }
        }
    }
    Err(Failure::Failed(
        "the stream broke off without an end; items may be missing".to_owned(),
    ))
}
