//! What is measured: one load on one target.

use std::time::Duration;

use crate::load::http::Request;
use crate::load::socket::{Sockets, Speech};
use crate::load::{Tally, Window, http, nats, socket};
use crate::stage::{Program, SERVICE, Stage};

/// One row of the table.
#[derive(Debug, Clone)]
pub(crate) struct Variant {
    pub(crate) name: String,
    /// The variant that it is compared with; none: it is a floor.
    pub(crate) against: Option<&'static str>,
    /// Whose CPU counts.
    pub(crate) program: Program,
    load: Load,
}

#[derive(Debug, Clone)]
enum Load {
    Http {
        connections: usize,
        request: Request,
    },
    Sockets(Sockets),
    Nats {
        in_flight: usize,
        body: Vec<u8>,
    },
}

/// Names of the floors.
pub(crate) const RAW: &str = "floor a: raw NATS, 64 in flight";
const RAW_ONE: &str = "floor a: raw NATS, 1 in flight";
const HTTP: &str = "floor b: axum + client.request, 64 connections";
const HTTP_ONE: &str = "floor b: one call at a time";
const SOCKET: &str = "floor c: WebSocket, 1 in flight";
const SOCKET_16: &str = "floor c: WebSocket, 16 in flight";

const CHECKED: &str = "HTTP sync, args checked";
const REPLY_16: &str = "Phoenix reply only, 16 in flight";

/// JSON args of about so many bytes.
fn args(bytes: usize) -> String {
    format!(
        r#"{{"id":42,"message":"{}"}}"#,
        "x".repeat(bytes.saturating_sub(25))
    )
}

impl Variant {
    fn http(
        name: impl Into<String>,
        against: Option<&'static str>,
        connections: usize,
        request: Request,
    ) -> Self {
        let program = if against.is_some() {
            Program::Gateway
        } else {
            Program::FloorHttp
        };
        Self {
            name: name.into(),
            against,
            program,
            load: Load::Http {
                connections,
                request,
            },
        }
    }

    fn sockets(
        name: &str,
        against: Option<&'static str>,
        in_flight: usize,
        speech: Speech,
    ) -> Self {
        let program = if against.is_some() {
            Program::Gateway
        } else {
            Program::FloorSocket
        };
        Self {
            name: name.to_owned(),
            against,
            program,
            load: Load::Sockets(Sockets {
                speech,
                sockets: 64,
                in_flight,
                args: args(208),
            }),
        }
    }

    fn nats(name: &str, in_flight: usize) -> Self {
        Self {
            name: name.to_owned(),
            against: None,
            program: Program::Responder,
            load: Load::Nats {
                in_flight,
                body: args(208).into_bytes(),
            },
        }
    }

    /// The same at another program.
    fn at(mut self, program: Program) -> Self {
        self.program = program;
        self
    }

    /// Runs it once.
    pub(crate) async fn run(&self, stage: &Stage, warm_up: Duration, length: Duration) -> Tally {
        let window = Window::after(warm_up, length);
        match &self.load {
            Load::Http {
                connections,
                request,
            } => {
                http::closed_loop(stage.address(self.program), *connections, request, window).await
            }
            Load::Sockets(load) => {
                socket::closed_loop(stage.address(self.program), load, window).await
            }
            Load::Nats { in_flight, body } => {
                nats::closed_loop(&stage.nats(), *in_flight, body, window).await
            }
        }
    }
}

fn call(function: &str, headers: &str, bytes: usize) -> Request {
    Request::post(
        &format!("/api/{SERVICE}/{function}"),
        headers,
        args(bytes).as_bytes(),
    )
}

const USER: &str = "x-user-id: u\r\n";

/// All of them, in the order of the table.
pub(crate) fn all() -> Vec<Variant> {
    let floor = || Request::post("/echo", "", args(208).as_bytes());
    let ours = |name: &str, request: Request| Variant::http(name, Some(HTTP), 64, request);
    let push = |function: &str| Speech::PhoenixPush {
        function: function.to_owned(),
    };
    let reply = |function: &str| Speech::PhoenixReply {
        function: function.to_owned(),
    };
    let mut variants = vec![
        Variant::nats(RAW, 64),
        Variant::nats(RAW_ONE, 1),
        Variant::http(HTTP, None, 64, floor()),
        Variant::http(HTTP_ONE, None, 1, floor()),
        Variant::sockets(SOCKET, None, 1, Speech::Plain),
        Variant::sockets(SOCKET_16, None, 16, Speech::Plain),
        ours("HTTP sync, args unchecked", call("plain", "", 208)),
        ours(CHECKED, call("checked", "", 208)),
        ours("HTTP sync, args and permission", call("guarded", USER, 208)),
        Variant::http(
            "HTTP one call at a time",
            Some(HTTP_ONE),
            1,
            call("guarded", USER, 208),
        ),
    ];
    for mode in ["round_robin", "least_loaded", "hash", "sticky"] {
        variants.push(ours(&format!("HTTP sync, {mode}"), call(mode, "", 208)));
    }
    for (name, bytes) in [("4 KiB", 4 << 10), ("256 KiB", 256 << 10)] {
        variants.push(ours(
            &format!("HTTP sync, {name}"),
            call("checked", "", bytes),
        ));
    }
    let refused = |name: &str, function: &str, body: &str, status, code: &str| {
        let path = format!("/api/{SERVICE}/{function}");
        ours(
            name,
            Request::post(&path, "", body.as_bytes()).expecting(status, code),
        )
    };
    let good = args(208);
    variants.extend([
        refused("refused: denied", "denied", &good, 403, "permission_denied"),
        refused(
            "refused: invalid",
            "checked",
            r#"{"id":"x","message":"y"}"#,
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
        Variant::sockets(
            "Phoenix push + reply, 1 in flight",
            Some(SOCKET),
            1,
            push("checked"),
        ),
        Variant::sockets(
            "Phoenix push + reply, 16 in flight",
            Some(SOCKET_16),
            16,
            push("checked"),
        ),
        Variant::sockets(
            "Phoenix reply only, 1 in flight",
            Some(SOCKET),
            1,
            reply("checked"),
        ),
        Variant::sockets(REPLY_16, Some(SOCKET_16), 16, reply("checked")),
    ]);
    variants.extend(telemetry());
    variants
}

/// A trace that its client records: all of them are, whatever the sampling.
const SAMPLED: &str = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n";

/// The same gateway with and without a collector for its spans.
fn telemetry() -> [Variant; 3] {
    let http = |name: &str, headers: &str| {
        Variant::http(name, Some(CHECKED), 64, call("checked", headers, 208)).at(Program::Traced)
    };
    let speech = Speech::PhoenixReply {
        function: "checked".to_owned(),
    };
    [
        http("telemetry: HTTP, default sampling", ""),
        http("telemetry: HTTP, every call traced", SAMPLED),
        Variant::sockets(
            "telemetry: Phoenix, default sampling",
            Some(REPLY_16),
            16,
            speech,
        )
        .at(Program::Traced),
    ]
}
