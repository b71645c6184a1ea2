//! Where the programs are that tests start.

use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// Our own binary `name` (`sluice`, `demo`): in `SLUICE_BIN_DIR`, else beside the running test.
pub fn ours(name: &str) -> Result<PathBuf> {
    let dir = match std::env::var_os("SLUICE_BIN_DIR") {
        Some(dir) => PathBuf::from(dir),
        None => profile_dir()?,
    };
    let path = dir.join(name);
    if path.is_file() {
        return Ok(path);
    }
    Err(Error::new(format!(
        "no {}: run `cargo build --workspace --bins` first (./scripts/test does)",
        path.display()
    )))
}

/// `target/<profile>`: programs run from there, tests from `deps` in it.
fn profile_dir() -> Result<PathBuf> {
    let program = std::env::current_exe().map_err(|e| Error::because("path of the test", e))?;
    let dir = program.parent().map(Path::to_owned);
    let dir = dir.ok_or_else(|| Error::new(format!("{} has no parent", program.display())))?;
    match dir.parent() {
        Some(profile) if dir.ends_with("deps") => Ok(profile.to_owned()),
        _ => Ok(dir),
    }
}

/// The current nats-server: `SLUICE_NATS_SERVER`, else the one that `scripts/setup` fetched.
pub fn nats_current() -> Result<PathBuf> {
    let candidates = [
        from_env("SLUICE_NATS_SERVER"),
        Some(tools_dir().join("bin/nats-server")),
    ];
    first_file("a current nats-server", candidates)
}

/// The distribution's nats-server, an older release: `SLUICE_NATS_SERVER_OLD`, else from the path.
pub fn nats_old() -> Result<PathBuf> {
    let candidates = [from_env("SLUICE_NATS_SERVER_OLD"), in_path("nats-server")];
    first_file("nats-server in the path", candidates)
}

/// redis-server: `SLUICE_REDIS_SERVER`, else from the path.
pub fn redis() -> Result<PathBuf> {
    let candidates = [from_env("SLUICE_REDIS_SERVER"), in_path("redis-server")];
    first_file("redis-server", candidates)
}

/// Where `scripts/setup` puts programs: `SLUICE_TOOLS_DIR`, else `.tools` at the root.
pub fn tools_dir() -> PathBuf {
    from_env("SLUICE_TOOLS_DIR")
        .unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools"))
}

fn from_env(name: &str) -> Option<PathBuf> {
    std::env::var_os(name)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}

/// Looks through `PATH` and the system folders, which an ordinary user's path may leave out.
fn in_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    std::env::split_paths(&path)
        .chain(system)
        .map(|dir| dir.join(name))
        .find(|path| path.is_file())
}

fn first_file(
    what: &str,
    candidates: impl IntoIterator<Item = Option<PathBuf>>,
) -> Result<PathBuf> {
    let mut candidates = candidates.into_iter().flatten();
    candidates.find(|path| path.is_file()).ok_or_else(|| {
        Error::new(format!(
            "{what} is not installed: run ./scripts/setup, which says what it needs"
        ))
    })
}
