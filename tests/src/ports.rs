//! Ports that stay ours: leased across processes, also while their server is down.

use std::fs::{File, create_dir_all};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use rand::Rng;

use crate::{Error, Result};

/// Below the range from which Linux takes the ports of outgoing connections (32768 and up). From that
/// range, a client that reconnects could take the port of a server that restarts, or meet itself.
const RANGE: std::ops::Range<u16> = 12_000..32_000;

/// A port on loopback that no other test gets until this is dropped.
pub struct Port {
    number: u16,
    /// Locked while the lease lasts; the kernel unlocks it when the process ends, however it ends.
    _lock: File,
}

impl Port {
    /// Leases a port on which nobody listens.
    pub fn lease() -> Result<Self> {
        let dir = std::env::temp_dir().join("sluice-e2e-ports");
        create_dir_all(&dir).map_err(|error| Error::because(dir.display(), error))?;
        for _ in 0..1000 {
            let number = rand::rng().random_range(RANGE);
            let path = dir.join(number.to_string());
            let lock = File::create(&path).map_err(|e| Error::because(path.display(), e))?;
            let free = || TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok();
            if lock.try_lock().is_ok() && free() {
                return Ok(Self {
                    number,
                    _lock: lock,
                });
            }
        }
        Err(Error::new(format!("no free port in {RANGE:?}")))
    }

    /// The number.
    pub fn number(&self) -> u16 {
        self.number
    }

    /// The address on loopback.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.number).into()
    }
}
