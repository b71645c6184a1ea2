//! `[http]`

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::kind::number::{Bytes, Count, Millis};
use super::kind::text::{Address, List, ReadableFile, Text};
use super::loopback;
use super::section::section;

section! {
    /// The public edge.
    ["http"] Http {
        /// Where clients connect.
        listen: SocketAddr = loopback(4000), Address;
        /// Most bytes of a request body.
        max_body_bytes: usize = 1_000_000, Bytes::within(1..=1 << 30);
        /// Most connections at once; more wait to be accepted.
        max_connections: usize = 20_000, Count::within(1..=10_000_000);
        /// How long a client may take to send a request's header.
        header_timeout: Duration = Duration::from_secs(10), Millis::within(1..=3_600_000);
        /// How long a client may take to send a request's body.
        body_timeout: Duration = Duration::from_secs(30), Millis::within(1..=3_600_000);
        /// Origins that browsers may call from; `*` for any.
        cors_origins: Vec<String> = Vec::new(), List {
            what: "origins such as \"https://app.example.com\", or \"*\"",
            check: check_origin,
        };
        /// Headers that browsers of those origins may send, besides the gateway's own and those of
        /// `versions.sources`; `*` for any.
        cors_headers: Vec<String> = Vec::new(), List {
            what: "names of headers such as \"x-tenant\"",
            check: check_header,
        };
        /// Headers of answers that browsers of those origins may look at, besides the gateway's own;
        /// `*` for any.
        cors_expose: Vec<String> = Vec::new(), List {
            what: "names of headers such as \"x-total\"",
            check: check_header,
        };
        /// Content codings for clients that ask for them, the preferred one first; none: bodies are
        /// sent as they are.
        compression: Vec<String> = vec!["zstd".to_owned(), "br".to_owned(), "gzip".to_owned()], List {
            what: "\"zstd\", \"br\" and \"gzip\"",
            check: |text| match text {
                "zstd" | "br" | "gzip" => Ok(()),
                other => Err(format!("{other:?}: expected \"zstd\", \"br\" or \"gzip\"")),
            },
        };
        /// Bodies with fewer bytes are sent as they are.
        compression_min_bytes: usize = 1024, Bytes::within(0..=1 << 30);
        /// Proxies whose word on a client's address counts: addresses and networks such as
        /// `10.0.0.0/8`.
        trusted_proxies: Vec<String> = Vec::new(), List {
            what: "addresses or networks such as \"10.0.0.0/8\"",
            check: |text| crate::identity::proxies::Network::parse(text).map(drop),
        };
        /// The header by which those proxies name the client. Exactly one, the one that they set
        /// themselves: the other could be the client's own invention.
        forwarded_header: String = "x-forwarded-for".to_owned(), Text {
            what: "\"x-forwarded-for\" or \"forwarded\"",
            check: |text| match text {
                "x-forwarded-for" | "forwarded" => Ok(()),
                other => Err(format!("{other:?}: expected \"x-forwarded-for\" or \"forwarded\"")),
            },
        };
        /// Time between comments on a quiet event stream.
        sse_keep_alive: Duration = Duration::from_secs(15), Millis::within(100..=3_600_000);
        /// Certificate chain in PEM; with it, and its key, clients speak TLS. Read anew when it
        /// changes.
        tls_cert_file: Option<PathBuf> = None, ReadableFile;
        /// Private key in PEM.
        tls_key_file: Option<PathBuf> = None, ReadableFile;
        /// Authorities in PEM; with it, only clients with a certificate of theirs may connect.
        tls_client_ca_file: Option<PathBuf> = None, ReadableFile;
    }
}

fn check_header(text: &str) -> Result<(), String> {
    match http::HeaderName::from_bytes(text.as_bytes()) {
        Ok(_) => Ok(()),
        Err(_) => Err(format!("{text:?} is no name of a header")),
    }
}

/// An origin is a scheme and an authority, nothing more (RFC 6454 §6.2); browsers send exactly
/// that, so anything more would never match.
fn check_origin(text: &str) -> Result<(), String> {
    let fail = |why: &str| {
        Err(format!(
            "{text:?} is not an origin: {why}; write for example \"https://app.example.com\""
        ))
    };
    if text == "*" {
        return Ok(());
    }
    let Some((scheme, authority)) = text.split_once("://") else {
        return fail("it has no scheme");
    };
    if authority.contains(['/', '?', '#']) {
        return fail("it ends after host and port, without slash or path");
    }
    if scheme.is_empty() || authority.is_empty() || text.parse::<http::Uri>().is_err() {
        return fail("scheme or host is malformed");
    }
    if text.chars().any(|c| c.is_ascii_uppercase() || c == '@') {
        return fail("browsers send it in lower case and without user");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check_origin;

    #[test]
    fn origins() {
        for good in ["*", "https://a.example", "http://localhost:3000", "app://x"] {
            assert_eq!(check_origin(good), Ok(()), "{good}");
        }
        for (bad, why) in [
            ("a.example", "no scheme"),
            ("https://a.example/", "without slash"),
            ("https://", "malformed"),
            ("https://a b", "malformed"),
            ("https://A.example", "lower case"),
            ("", "no scheme"),
        ] {
            assert!(check_origin(bad).unwrap_err().contains(why), "{bad}");
        }
    }
}
