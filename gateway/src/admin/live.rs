//! What is open now at this gateway, on the operator's port: sockets and streams; one is closed.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Extension;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Desk;
use super::access::Operator;
use super::action::{Action, Area};
use super::audit::Entry;
use super::steer::{self, Fault};
use crate::live::{Open, Socket, Stream, Table};

const CHANGE: Action = Action::write(Area::Connections);
/// A close frame has room for no more, with what the gateway says itself.
const MAX_REASON_BYTES: usize = 90;
/// As many as a list has without `limit`, and at most.
const LISTED: (usize, usize) = (1000, 10_000);

/// Which part of a list, of whom.
#[derive(Debug, Deserialize)]
pub(super) struct Filter {
    user: Option<String>,
    service: Option<String>,
    /// The last number of the part before.
    after: Option<u64>,
    limit: Option<usize>,
}

/// Why one is closed.
#[derive(Debug, Deserialize)]
pub(super) struct Why {
    #[serde(default)]
    reason: String,
}

/// `GET /v1/sockets?user=&after=&limit=`
pub(super) async fn sockets(State(desk): State<Desk>, Query(filter): Query<Filter>) -> Response {
    let wanted = |s: &Socket| filter.user.is_none() || filter.user == s.user;
    let table = &desk.parts.live.sockets;
    list(&desk, "sockets", table, &filter, wanted, tell_socket)
}

/// `GET /v1/streams?user=&service=&after=&limit=`
pub(super) async fn streams(State(desk): State<Desk>, Query(filter): Query<Filter>) -> Response {
    let wanted = |s: &Stream| {
        (filter.user.is_none() || filter.user == s.user)
            && filter
                .service
                .as_ref()
                .is_none_or(|f| f == s.service.as_str())
    };
    let table = &desk.parts.live.streams;
    list(&desk, "streams", table, &filter, wanted, tell_stream)
}

/// `DELETE /v1/sockets/{id}?reason=`: closed with code 1008.
pub(super) async fn close_socket(
    State(desk): State<Desk>,
    Extension(Operator(operator)): Extension<Operator>,
    Path(id): Path<String>,
    Query(why): Query<Why>,
) -> Result<Response, Fault> {
    let table = desk.parts.live.sockets.clone();
    close(&desk, &operator, "socket", &table, (id, why), tell_socket)
}

/// `DELETE /v1/streams/{id}?reason=`: its client gets the error `cancelled`.
pub(super) async fn close_stream(
    State(desk): State<Desk>,
    Extension(Operator(operator)): Extension<Operator>,
    Path(id): Path<String>,
    Query(why): Query<Why>,
) -> Result<Response, Fault> {
    let table = desk.parts.live.streams.clone();
    close(&desk, &operator, "stream", &table, (id, why), tell_stream)
}

fn list<T>(
    desk: &Desk,
    name: &str,
    table: &Table<T>,
    filter: &Filter,
    wanted: impl Fn(&T) -> bool,
    tell: fn(&str, &Open<T>) -> Value,
) -> Response {
    let gateway = desk.parts.diagnostics.gateway();
    let limit = filter.limit.unwrap_or(LISTED.0).min(LISTED.1);
    let all = table.list(filter.after.unwrap_or(0), limit, wanted);
    let next = all
        .last()
        .filter(|_| all.len() == limit)
        .map(|open| open.id);
    let told: Vec<Value> = all.iter().map(|open| tell(gateway, open)).collect();
    steer::told(&json!({ (name): told, "total": table.count(), "next_after": next }))
}

fn close<T>(
    desk: &Desk,
    operator: &str,
    what: &str,
    table: &Arc<Table<T>>,
    (id, Why { reason }): (String, Why),
    tell: fn(&str, &Open<T>) -> Value,
) -> Result<Response, Fault> {
    if reason.len() > MAX_REASON_BYTES || reason.chars().any(char::is_control) {
        let text = format!("reason: at most {MAX_REASON_BYTES} bytes without control characters");
        return Err(Fault::Invalid(text));
    }
    let gateway = desk.parts.diagnostics.gateway();
    let number = number(&id, gateway, what)?;
    let missing = || Fault::Missing(format!("{what} {id} is not open"));
    let open = table.close(number, &reason).ok_or_else(missing)?;
    let before = tell(gateway, &open);
    let after = json!({ "closed": id, "reason": reason });
    let target = format!("{what} {id}");
    let entry = Entry::changed(operator, CHANGE, &target, before, after.clone());
    desk.audit.add(entry);
    Ok(steer::told(&after))
}

/// The number of a socket or stream whose id names its gateway: each counts for itself, and the
/// same number stands for somebody else's at another one.
fn number(id: &str, gateway: &str, what: &str) -> Result<u64, Fault> {
    let wrong = || {
        Fault::Invalid(format!(
            "{id:?} is no id of a {what}: write <gateway>-<number>"
        ))
    };
    let (owner, number) = id.rsplit_once('-').ok_or_else(wrong)?;
    let number = number.parse().map_err(|_| wrong())?;
    if owner != gateway {
        let text =
            format!("{what} {id} is of gateway {owner}, and this is {gateway}: ask that one");
        return Err(Fault::Missing(text));
    }
    Ok(number)
}

fn tell_socket(gateway: &str, open: &Open<Socket>) -> Value {
    let socket = &open.what;
    json!({
        "id": format!("{gateway}-{}", open.id),
        "open_ms": age(open),
        "user": socket.user,
        "api_key": socket.api_key.as_deref(),
        "address": socket.address,
        "channels": socket.channels.load(Ordering::Relaxed),
        "calls": socket.calls.load(Ordering::Relaxed),
    })
}

fn tell_stream(gateway: &str, open: &Open<Stream>) -> Value {
    let stream = &open.what;
    json!({
        "id": format!("{gateway}-{}", open.id),
        "open_ms": age(open),
        "service": stream.service,
        "function": stream.function,
        "version": stream.version,
        "request_id": stream.request_id,
        "user": stream.user,
        "items": stream.items.load(Ordering::Relaxed),
    })
}

fn age<T>(open: &Open<T>) -> u64 {
    u64::try_from(open.since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
