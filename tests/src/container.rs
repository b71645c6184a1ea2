//! Broker and Redis in containers, by testcontainers; local processes where no Docker engine answers.
//!
//! Images: `SLUICE_NATS_IMAGE` and `SLUICE_REDIS_IMAGE`, by default the names that docker-compose.yml has
//! and `scripts/images` builds. With `SLUICE_REQUIRE_CONTAINERS` nothing else will do: `.ci/run` sets it once
//! it has an engine and the images. `SLUICE_CONTAINERS_LOG` names a file that gets a line for each server, by
//! which `scripts/test` says what the tests ran against.

use std::io::Write;

use testcontainers::core::{IntoContainerPort, WaitFor};
use testcontainers::runners::AsyncRunner;
use testcontainers::{ContainerAsync, GenericImage, ImageExt};

use crate::nats::{Broker, BrokerKind};
use crate::redis::Redis;
use crate::{Error, LIMIT, Result};

/// A server in a container, else the same as a local process. Ended when dropped.
pub struct Server<P> {
    url: String,
    home: Home<P>,
}

/// What keeps the server alive.
enum Home<P> {
    #[expect(dead_code, reason = "its drop removes the container")]
    Container(Box<ContainerAsync<GenericImage>>),
    Process(P),
}

impl<P> Server<P> {
    /// Where it listens on this machine, with its scheme.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// If it runs in a container.
    pub fn is_container(&self) -> bool {
        matches!(self.home, Home::Container(_))
    }

    /// The process, where it is none of a container.
    pub fn process(&self) -> Option<&P> {
        match &self.home {
            Home::Process(process) => Some(process),
            Home::Container(_) => None,
        }
    }
}

/// A nats-server.
pub async fn nats() -> Result<Server<Broker>> {
    let image = image(
        "SLUICE_NATS_IMAGE",
        "nats:2.12-alpine",
        4222,
        WaitFor::message_on_stderr("Server is ready"),
    );
    match start(image, 4222, &["--addr", "0.0.0.0"]).await {
        Ok((container, address)) => {
            note("container", "NATS");
            Ok(Server {
                url: format!("nats://{address}"),
                home: Home::Container(Box::new(container)),
            })
        }
        Err(why) => {
            local("NATS", why)?;
            let broker = Broker::start(BrokerKind::NatsCurrent).await?;
            Ok(Server {
                url: broker.url(),
                home: Home::Process(broker),
            })
        }
    }
}

/// A redis-server that forgets all when it ends.
pub async fn redis() -> Result<Server<Redis>> {
    let image = image(
        "SLUICE_REDIS_IMAGE",
        "redis:7-alpine",
        6379,
        WaitFor::message_on_stdout("Ready to accept connections"),
    );
    let command = ["redis-server", "--save", "", "--protected-mode", "no"];
    match start(image, 6379, &command).await {
        Ok((container, address)) => {
            note("container", "Redis");
            Ok(Server {
                url: format!("redis://{address}"),
                home: Home::Container(Box::new(container)),
            })
        }
        Err(why) => {
            local("Redis", why)?;
            let redis = Redis::start().await?;
            Ok(Server {
                url: redis.url(),
                home: Home::Process(redis),
            })
        }
    }
}

fn image(variable: &str, default: &str, port: u16, ready: WaitFor) -> GenericImage {
    let name = std::env::var(variable).unwrap_or_else(|_| default.to_owned());
    // A colon before the last slash is a registry's port, no tag.
    let (name, tag) = match name.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name.to_owned(), tag.to_owned()),
        _ => (name, "latest".to_owned()),
    };
    GenericImage::new(name, tag)
        .with_exposed_port(port.tcp())
        .with_wait_for(ready)
}

async fn start(
    image: GenericImage,
    port: u16,
    command: &[&str],
) -> Result<(ContainerAsync<GenericImage>, String)> {
    let failed = |error| Error::because("container", error);
    let request = image
        .with_cmd(command.iter().copied())
        .with_startup_timeout(LIMIT);
    let container = request.start().await.map_err(failed)?;
    let host = container.get_host().await.map_err(failed)?;
    let port = container.get_host_port_ipv4(port).await.map_err(failed)?;
    Ok((container, format!("{host}:{port}")))
}

/// Says aloud that a process stands in for a container, or that none may.
#[expect(clippy::print_stderr, reason = "a test says what it ran against")]
fn local(what: &str, why: Error) -> Result {
    if std::env::var_os("SLUICE_REQUIRE_CONTAINERS").is_some() {
        return Err(why);
    }
    eprintln!("no container for {what}, a local process instead: {why}");
    note("process", what);
    Ok(())
}

/// A line for `scripts/test`, which sees no output of tests that pass. One write, as tests run side by side.
fn note(kind: &str, what: &str) {
    let Some(path) = std::env::var_os("SLUICE_CONTAINERS_LOG") else {
        return;
    };
    let file = std::fs::File::options()
        .append(true)
        .create(true)
        .open(path);
    // Nothing but that summary depends on it.
    let _ = file.and_then(|mut file| file.write_all(format!("{kind} {what}\n").as_bytes()));
}
