//! All variants, in the order of the table.
//!
//! What is compared with a floor has the floor's own responder behind the gateway, by a fixed
//! function: the difference is the gateway. The worker that is written with the SDK has rows of its
//! own, compared with those.

use super::{Load, Variant};
use crate::floor::ITEM_BYTES;
use crate::load::http::Request;
use crate::load::socket::{Sockets, Speech};
use crate::stage::{FIXED, Program, SDK};

const RAW: &str = "floor a: raw NATS, 64 in flight";
const RAW_ONE: &str = "floor a: raw NATS, one at a time";
const RAW_ITEMS: &str = "floor a: NATS publishes, one stream";
const RAW_ITEMS_200: &str = "floor a: NATS publishes, 200 streams";
const HTTP: &str = "floor b: axum + client.request, 64 connections";
const HTTP_ONE: &str = "floor b: one call at a time";
const HTTP_4K: &str = "floor b: 4 KiB";
const HTTP_256K: &str = "floor b: 256 KiB";
const HTTP_OPEN: &str = "floor b: open loop, 10,000/s";
const SOCKET: &str = "floor c: WebSocket, 1 in flight";
const SOCKET_16: &str = "floor c: WebSocket, 16 in flight";
const CHECKED: &str = "HTTP sync, args checked";
const GUARDED: &str = "HTTP sync, args and permission";
const REPLY_16: &str = "Phoenix reply only, 16 in flight";
const UNLIMITED: &str = "Redis: no limit on the call";
const SDK_CHECKED: &str = "SDK worker: args checked, random";

/// Bytes of the usual args.
const USUAL: usize = 208;
/// Connections, and sockets.
const MANY: usize = 64;

/// A user for each connection.
const USER: &str = "x-user-id: user-{n}\r\n";
/// A trace that its client records: all of them are, whatever the sampling.
const SAMPLED: &str = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n";

/// JSON args of about so many bytes.
fn args(bytes: usize) -> String {
    format!(
        r#"{{"id":42,"message":"{}"}}"#,
        "x".repeat(bytes.saturating_sub(25))
    )
}

impl Variant {
    fn http(name: impl Into<String>, connections: usize, request: Request) -> Self {
        Self {
            name: name.into(),
            against: None,
            program: Program::FloorHttp,
            load: Load::Http {
                connections,
                request,
                rate: None,
            },
        }
    }

    fn sockets(name: &str, in_flight: usize, speech: Speech) -> Self {
        Self {
            name: name.to_owned(),
            against: None,
            program: Program::FloorSocket,
            load: Load::Sockets(Sockets {
                speech,
                sockets: MANY,
                in_flight,
                args: args(USUAL),
            }),
        }
    }

    fn raw(name: &str, load: Load) -> Self {
        Self {
            name: name.to_owned(),
            against: None,
            program: Program::Responder,
            load,
        }
    }

    /// The gateway's, compared with this.
    fn against(mut self, other: &'static str) -> Self {
        self.against = Some(other);
        if matches!(self.program, Program::FloorHttp | Program::FloorSocket) {
            self.program = Program::Gateway;
        }
        self
    }

    /// The same at another program.
    fn at(mut self, program: Program) -> Self {
        self.program = program;
        self
    }

    /// The same at so many requests per second.
    fn paced(mut self, per_second: f64) -> Self {
        if let Load::Http { rate, .. } = &mut self.load {
            *rate = Some(per_second);
        }
        self
    }
}

fn call(service: &str, function: &str, headers: &str, bytes: usize) -> Request {
    let body = args(bytes);
    Request::post(
        &format!("/api/{service}/{function}"),
        headers,
        body.as_bytes(),
    )
}

/// A call of a fixed function by some user.
fn fixed(function: &str, bytes: usize) -> Request {
    call(FIXED, function, USER, bytes)
}

pub(crate) fn all() -> Vec<Variant> {
    [
        floors(),
        plain_calls(),
        refused(),
        sockets(),
        limits(),
        workers(),
        streams(),
        telemetry(),
    ]
    .concat()
}

fn floors() -> Vec<Variant> {
    let echo = |bytes| Request::post("/echo", "", args(bytes).as_bytes());
    let raw = |name, in_flight| {
        let body = args(USUAL).into_bytes();
        Variant::raw(name, Load::Nats { in_flight, body })
    };
    let items = |name, streams| Variant::raw(name, Load::NatsItems { streams });
    vec![
        raw(RAW, MANY),
        raw(RAW_ONE, 1),
        items(RAW_ITEMS, 1),
        items(RAW_ITEMS_200, 200),
        Variant::http(HTTP, MANY, echo(USUAL)),
        Variant::http(HTTP_ONE, 1, echo(USUAL)),
        Variant::http(HTTP_4K, MANY, echo(4 << 10)),
        Variant::http(HTTP_256K, MANY, echo(256 << 10)),
        Variant::http(HTTP_OPEN, MANY, echo(USUAL)).paced(10_000.0),
        Variant::sockets(SOCKET, 1, Speech::Plain),
        Variant::sockets(SOCKET_16, 16, Speech::Plain),
    ]
}

fn plain_calls() -> Vec<Variant> {
    let many = |name: &str, request| Variant::http(name, MANY, request);
    vec![
        many("HTTP sync, args unchecked", fixed("plain", USUAL)).against(HTTP),
        many(CHECKED, fixed("checked", USUAL)).against(HTTP),
        many(GUARDED, fixed("guarded", USUAL)).against(HTTP),
        Variant::http("HTTP one call at a time", 1, fixed("guarded", USUAL)).against(HTTP_ONE),
        many("HTTP sync, 4 KiB", fixed("guarded", 4 << 10)).against(HTTP_4K),
        many("HTTP sync, 256 KiB", fixed("guarded", 256 << 10)).against(HTTP_256K),
        many("HTTP open loop, 10,000/s", fixed("guarded", USUAL))
            .against(HTTP_OPEN)
            .paced(10_000.0),
        many("HTTP sync, built-in broker", fixed("guarded", USUAL))
            .against(HTTP)
            .at(Program::Embedded),
    ]
}

/// What is refused should cost less than what is served.
fn refused() -> Vec<Variant> {
    let refused = |name: &str, function: &str, body: &str, status, code: &str| {
        let path = format!("/api/{FIXED}/{function}");
        let request = Request::post(&path, USER, body.as_bytes()).expecting(status, code);
        Variant::http(name, MANY, request).against(GUARDED)
    };
    let good = args(USUAL);
    let invalid = good.replacen("42", r#""x""#, 1);
    vec![
        refused("refused: denied", "denied", &good, 403, "permission_denied"),
        refused(
            "refused: invalid",
            "checked",
            &invalid,
            422,
            "invalid_arguments",
        ),
        refused(
            "refused: unknown",
            "nothing",
            &good,
            404,
            "unknown_function",
        ),
        refused(
            "refused: over its limit",
            "over",
            &good,
            429,
            "rate_limited",
        )
        .at(Program::Limited),
    ]
}

fn sockets() -> Vec<Variant> {
    let push = || Speech::push(FIXED, "checked");
    let reply = || Speech::reply(FIXED, "checked");
    vec![
        Variant::sockets("Phoenix push + reply, 1 in flight", 1, push()).against(SOCKET),
        Variant::sockets("Phoenix push + reply, 16 in flight", 16, push()).against(SOCKET_16),
        Variant::sockets("Phoenix reply only, 1 in flight", 1, reply()).against(SOCKET),
        Variant::sockets(REPLY_16, 16, reply()).against(SOCKET_16),
    ]
}

fn limits() -> Vec<Variant> {
    let limited = |name: &str, function: &str, against| {
        Variant::http(name, MANY, fixed(function, USUAL))
            .against(against)
            .at(Program::Limited)
    };
    vec![
        limited(UNLIMITED, "checked", CHECKED),
        limited("Redis: one limit on the call", "limited_1", UNLIMITED),
        limited("Redis: three limits on the call", "limited_3", UNLIMITED),
        limited(
            "all of it: args, permission, three limits",
            "everything",
            HTTP,
        ),
    ]
}

fn workers() -> Vec<Variant> {
    let of = |name: &str, function: &str| {
        Variant::http(name, MANY, call(SDK, function, USER, USUAL)).against(SDK_CHECKED)
    };
    let mut all = vec![of(SDK_CHECKED, "checked").against(CHECKED)];
    for mode in ["round_robin", "least_loaded", "hash", "sticky"] {
        all.push(of(&format!("SDK worker: {mode}"), mode));
    }
    let version = "sluice-version: 1\r\n";
    let old = args(USUAL).replace("message", "text");
    let renamed = |name: &str, headers: &str, body: &str| {
        let request = Request::post("/api/old/renamed", headers, body.as_bytes());
        Variant::http(name, MANY, request).against(SDK_CHECKED)
    };
    let today = args(USUAL);
    all.extend([
        renamed("SDK worker: today's version", "", &today),
        renamed("SDK worker: version 1, translated", version, &old),
        Variant::http(
            "SDK worker: a resource, GET",
            MANY,
            Request::get("/things/42", r#""id":42"#),
        )
        .against(SDK_CHECKED),
    ]);
    let media = "accept: application/msgpack\r\n";
    let packed = Request::post_as(
        &format!("/api/{SDK}/checked"),
        "application/msgpack",
        media,
        &message_pack(USUAL),
    )
    .expecting(200, &"x".repeat(USUAL - 25));
    all.push(Variant::http("SDK worker: MessagePack", MANY, packed).against(SDK_CHECKED));
    all
}

/// The usual args in MessagePack: a map of two.
fn message_pack(bytes: usize) -> Vec<u8> {
    let message = "x".repeat(bytes - 25);
    let length = u8::try_from(message.len()).unwrap_or(u8::MAX);
    let mut all = b"\x82\xa2id\x2a\xa7message\xd9".to_vec();
    all.push(length);
    all.extend_from_slice(&message.as_bytes()[..length.into()]);
    all
}

fn streams() -> Vec<Variant> {
    let of = |name: &str, streams, against| {
        let speech = Speech::stream(SDK, "items");
        let mut variant = Variant::sockets(name, 1, speech).against(against);
        if let Load::Sockets(load) = &mut variant.load {
            load.sockets = streams;
            load.args = format!(r#"{{"count":{},"bytes":{ITEM_BYTES}}}"#, 20_000 / streams);
        }
        variant
    };
    vec![
        of("items of one stream, Phoenix", 1, RAW_ITEMS),
        of("items of 200 streams, Phoenix", 200, RAW_ITEMS_200),
    ]
}

/// The same gateway with and without a collector for its spans.
fn telemetry() -> Vec<Variant> {
    let http = |name: &str, headers: &str| {
        let request = call(FIXED, "checked", &format!("{USER}{headers}"), USUAL);
        Variant::http(name, MANY, request)
            .against(CHECKED)
            .at(Program::Traced)
    };
    let speech = Speech::reply(FIXED, "checked");
    vec![
        http("telemetry: HTTP, default sampling", ""),
        http("telemetry: HTTP, every call traced", SAMPLED),
        Variant::sockets("telemetry: Phoenix, default sampling", 16, speech)
            .against(REPLY_16)
            .at(Program::Traced),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_compared_has_its_counterpart_before_it() {
        let all = all();
        for (index, variant) in all.iter().enumerate() {
            let Some(floor) = variant.against else {
                continue;
            };
            let before = all[..index].iter().any(|v| v.name == floor);
            assert!(before, "{} has no {floor}", variant.name);
        }
    }
}
