//! Mistakes that only show where options are seen together.

use std::net::SocketAddr;
use std::time::Duration;

use super::reader::Reader;
use super::{Config, RedisMode};

/// Checks options against each other. Options that are wrong by themselves are left alone: what
/// stands in for them is a default, which contradicts nothing that anybody wrote.
pub(super) fn check(config: &Config, reader: &mut Reader<'_>) {
    listeners(config, reader);
    sign_in(config, reader);
    client_certificate(config, reader);
    redis(config, reader);
    registration(config, reader);
    expiry(config, reader);
    origins(config, reader);
    identity(config, reader);
}

fn listeners(config: &Config, reader: &mut Reader<'_>) {
    let (http, admin) = (config.http.listen, config.admin.listen);
    if reader.are_right(&["http.listen", "admin.listen"]) && collide(http, admin) {
        reader.mistake(
            "admin.listen",
            format!("{admin} collides with http.listen, {http}: the operator's port is its own"),
        );
    }
}

fn collide(a: SocketAddr, b: SocketAddr) -> bool {
    let same_host = a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified();
    // Port 0 is another one each time.
    a.port() == b.port() && a.port() != 0 && same_host
}

fn sign_in(config: &Config, reader: &mut Reader<'_>) {
    let names = [
        "nats.user",
        "nats.password",
        "nats.token",
        "nats.nkey",
        "nats.credentials",
    ];
    if !reader.are_right(&names) {
        return;
    }
    let nats = &config.nats;
    match (&nats.user, &nats.password) {
        (None, Some(_)) => reader.mistake("nats.password", "stands without nats.user"),
        (Some(_), None) => reader.mistake(
            "nats.user",
            "stands without nats.password (or nats.password_file)",
        ),
        _ => {}
    }
    let ways = [
        (nats.user.is_some(), "nats.user"),
        (nats.token.is_some(), "nats.token"),
        (nats.nkey.is_some(), "nats.nkey"),
        (nats.credentials.is_some(), "nats.credentials"),
    ];
    let mut given = ways.iter().filter(|(given, _)| *given).map(|(_, n)| *n);
    let first = given.next();
    if let (Some(first), Some(second)) = (first, given.next()) {
        reader.mistake(
            second,
            format!("{first} is given too: keep one way to sign in"),
        );
    }
}

fn client_certificate(config: &Config, reader: &mut Reader<'_>) {
    if !reader.are_right(&["nats.tls_cert", "nats.tls_key"]) {
        return;
    }
    match (&config.nats.tls_cert, &config.nats.tls_key) {
        (Some(_), None) => reader.mistake("nats.tls_cert", "stands without nats.tls_key"),
        (None, Some(_)) => reader.mistake("nats.tls_key", "stands without nats.tls_cert"),
        _ => {}
    }
}

fn redis(config: &Config, reader: &mut Reader<'_>) {
    let redis = &config.redis;
    let names = [
        "redis.url",
        "redis.mode",
        "redis.nodes",
        "redis.master",
        "redis.username",
        "redis.password",
        "redis.tls_ca",
        "redis.tls_cert",
        "redis.tls_key",
    ];
    if !reader.are_right(&names) {
        return;
    }
    let mode = redis.mode.as_str();
    if redis.mode == RedisMode::Standalone {
        if !redis.nodes.is_empty() {
            let why = "stands in mode \"standalone\": name the server in redis.url, or set \
                       redis.mode to sentinel or cluster";
            reader.mistake("redis.nodes", why);
        }
    } else {
        if redis.nodes.is_empty() {
            reader.mistake("redis.nodes", format!("is empty in mode {mode:?}"));
        }
        if redis.url.is_some() {
            let why = format!("stands in mode {mode:?}: name the servers in redis.nodes");
            reader.mistake("redis.url", why);
        }
    }
    match (redis.mode == RedisMode::Sentinel, &redis.master) {
        (true, None) => reader.mistake("redis.master", "is missing in mode \"sentinel\""),
        (false, Some(_)) => {
            reader.mistake("redis.master", format!("stands in mode {mode:?}"));
        }
        _ => {}
    }
    if redis.username.is_some() && redis.password.is_none() {
        let why = "stands without redis.password (or redis.password_file)";
        reader.mistake("redis.username", why);
    }
    match (&redis.tls_cert, &redis.tls_key) {
        (Some(_), None) => reader.mistake("redis.tls_cert", "stands without redis.tls_key"),
        (None, Some(_)) => reader.mistake("redis.tls_key", "stands without redis.tls_cert"),
        _ => {}
    }
    for (given, name) in [
        (redis.tls_ca.is_some(), "redis.tls_ca"),
        (redis.tls_cert.is_some(), "redis.tls_cert"),
    ] {
        if given && !redis.is_tls() {
            let why = "has no effect: the connection is not encrypted; write rediss://";
            reader.mistake(name, why);
        }
    }
}

fn registration(config: &Config, reader: &mut Reader<'_>) {
    let registry = &config.registry;
    if !reader.are_right(&["registry.open", "registry.secrets", "registry.services"]) {
        return;
    }
    let fixed_only = !config.functions.is_empty();
    if !registry.open && registry.secrets.is_empty() && !fixed_only {
        reader.mistake(
            "registry.secrets",
            "no worker could register: give each service a secret, or let any worker in with \
             registry.open = true",
        );
    }
    for service in &registry.services {
        if !registry.open && !registry.secrets.is_empty() && !registry.secrets.contains_key(service)
        {
            reader.mistake(
                "registry.services",
                format!(
                    "{service:?} has no secret in registry.secrets, and registry.open is false"
                ),
            );
        }
    }
    for (service, secret) in &registry.secrets {
        if !registry.services.is_empty() && !registry.services.contains(service) {
            reader.mistake(
                "registry.secrets",
                format!("{service:?} has a secret, and registry.services does not let it in"),
            );
        }
        if secret.len() < 16 {
            reader.warning(
                "registry.secrets",
                format!(
                    "the secret of {service:?} is shorter than 16 bytes; make one with \
                     `openssl rand -hex 32`"
                ),
            );
        }
    }
}

fn expiry(config: &Config, reader: &mut Reader<'_>) {
    // Two heartbeats, the later one as late as it may be.
    let least = Duration::from_secs(12);
    if reader.is_given("registry.expiry_ms") && config.registry.expiry < least {
        reader.warning(
            "registry.expiry_ms",
            "below 12000 an instance is gone after one lost heartbeat",
        );
    }
}

fn origins(config: &Config, reader: &mut Reader<'_>) {
    let origins = &config.http.cors_origins;
    if origins.len() > 1 && origins.iter().any(|o| o == "*") {
        reader.mistake(
            "http.cors_origins",
            "\"*\" lets in every origin: keep it alone, or leave it out",
        );
    }
}

fn identity(config: &Config, reader: &mut Reader<'_>) {
    if config.identity.trust_client_identity && !config.http.listen.ip().is_loopback() {
        reader.warning(
            "identity.trust_client_identity",
            format!(
                "whoever reaches {} can claim to be any user with any role",
                config.http.listen
            ),
        );
    }
}
