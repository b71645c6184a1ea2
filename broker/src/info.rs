//! INFO, the broker's greeting.

use std::net::{IpAddr, SocketAddr};

use serde::Serialize;

use crate::options::BrokerOptions;

/// The feature level that clients may count on: core NATS as of this `nats-server` version.
const SPEAKS: &str = "2.10.0";

#[derive(Serialize)]
struct Info<'a> {
    server_id: &'a str,
    server_name: &'a str,
    version: &'a str,
    proto: u32,
    host: IpAddr,
    port: u16,
    headers: bool,
    max_payload: usize,
    auth_required: bool,
    tls_required: bool,
    tls_available: bool,
    jetstream: bool,
    client_id: u64,
    client_ip: IpAddr,
}

/// The protocol line for one client.
pub(crate) fn info_line(
    options: &BrokerOptions,
    server_id: &str,
    local: SocketAddr,
    client_id: u64,
    client_ip: IpAddr,
) -> serde_json::Result<String> {
    let info = Info {
        server_id,
        server_name: &options.server_name,
        version: SPEAKS,
        proto: 1,
        host: local.ip(),
        port: local.port(),
        headers: true,
        max_payload: options.max_payload,
        auth_required: options.auth.is_required(),
        tls_required: false,
        tls_available: false,
        jetstream: false,
        client_id,
        client_ip,
    };
    Ok(format!("INFO {}\r\n", serde_json::to_string(&info)?))
}
