//! Every `-ERR` the broker sends.

use thiserror::Error;

/// Why an operation or a connection is refused. The text goes to the client as it stands; clients
/// match on the wording, so where NATS has one it is used.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub(crate) enum Refusal {
    #[error("Unknown Protocol Operation")]
    UnknownOperation,
    #[error("Parser Error")]
    Malformed,
    #[error("maximum control line exceeded")]
    ControlLine,
    #[error("Maximum Payload Violation")]
    MaxPayload,
    #[error("Invalid Subject")]
    InvalidSubject,
    #[error("Invalid Publish Subject")]
    InvalidPublishSubject,
    #[error("maximum subscriptions exceeded")]
    MaxSubscriptions,
    #[error("maximum connections exceeded")]
    MaxConnections,
    #[error("message headers not supported")]
    HeadersNotEnabled,
    #[error("no responders requires headers support")]
    NoRespondersNeedsHeaders,
    #[error("Authorization Violation")]
    Authorization,
    #[error("Authentication Timeout")]
    AuthTimeout,
    #[error("Stale Connection")]
    Stale,
    #[error("Slow Consumer")]
    SlowConsumer,
    #[error(
        "Attempted To Connect To Wrong Port: Routes, Gateways And Leaf Nodes Are Not Supported"
    )]
    WrongPort,
    #[error("TLS Is Not Supported")]
    Tls,
    #[error("HTTP And WebSocket Are Not Supported")]
    Http,
}

impl Refusal {
    /// Whether the connection ends with it. The ones that do not are answers to one operation,
    /// which has no effect; the stream of operations stays in step.
    pub(crate) fn closes(self) -> bool {
        match self {
            Self::InvalidSubject | Self::InvalidPublishSubject | Self::MaxSubscriptions => false,
            Self::UnknownOperation
            | Self::Malformed
            | Self::ControlLine
            | Self::MaxPayload
            | Self::MaxConnections
            | Self::HeadersNotEnabled
            | Self::NoRespondersNeedsHeaders
            | Self::Authorization
            | Self::AuthTimeout
            | Self::Stale
            | Self::SlowConsumer
            | Self::WrongPort
            | Self::Tls
            | Self::Http => true,
        }
    }

    /// The protocol line.
    pub(crate) fn line(self) -> String {
        format!("-ERR '{self}'\r\n")
    }

    /// Names bytes that are no operation of ours, so that a developer who pointed the wrong thing
    /// at this port reads what went wrong.
    pub(crate) fn for_unknown(bytes: &[u8]) -> Self {
        const HTTP: [&[u8]; 7] = [
            b"GET ",
            b"HEAD ",
            b"POST ",
            b"PUT ",
            b"DELETE ",
            b"OPTIONS ",
            b"PRI * ",
        ];
        const SERVER: [&[u8]; 5] = [b"INFO ", b"RS+ ", b"RMSG ", b"LS+ ", b"LMSG "];
        const TLS_HANDSHAKE: u8 = 0x16;

        if bytes.first() == Some(&TLS_HANDSHAKE) {
            Self::Tls
        } else if HTTP.iter().any(|verb| bytes.starts_with(verb)) {
            Self::Http
        } else if SERVER.iter().any(|verb| bytes.starts_with(verb)) {
            Self::WrongPort
        } else {
            Self::UnknownOperation
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_are_named() {
        let cases: [(&[u8], Refusal); 6] = [
            (b"\x16\x03\x01\x02\x00", Refusal::Tls),
            (b"GET / HTTP/1.1\r\n", Refusal::Http),
            (b"PRI * HTTP/2.0\r\n", Refusal::Http),
            (b"INFO {}\r\n", Refusal::WrongPort),
            (b"LS+ foo\r\n", Refusal::WrongPort),
            (b"", Refusal::UnknownOperation),
        ];
        for (bytes, refusal) in cases {
            assert_eq!(Refusal::for_unknown(bytes), refusal, "{bytes:?}");
        }
    }
}
