//! A real `redis-server` for one test, on a socket in a folder of its own.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::RedisLink;
use crate::config::RedisOptions;

/// A server that ends with the test.
pub(crate) struct TestRedis {
    folder: tempfile::TempDir,
    child: Option<Child>,
}

impl TestRedis {
    /// A place for a server, with none yet.
    pub(crate) fn absent() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            child: None,
        }
    }

    /// A server that starts.
    pub(crate) fn start() -> Self {
        let mut redis = Self::absent();
        redis.spawn();
        redis
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("redis.sock")
    }

    /// Starts the server (again), empty.
    pub(crate) fn spawn(&mut self) {
        let child = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--appendonly", "no"])
            .args(["--maxmemory-policy", "noeviction", "--unixsocket"])
            .arg(self.socket())
            .current_dir(self.folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-server must be installed");
        self.child = Some(child);
    }

    /// Ends it, as a crash would.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Sends the process a signal: `STOP` and `CONT` make it hang and go on.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.as_ref().unwrap().id().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status();
        assert!(sent.unwrap().success());
    }

    /// Options to reach it; patient, because the machine that runs the tests is busy.
    pub(crate) fn options(&self) -> RedisOptions {
        RedisOptions {
            url: Some(format!("unix://{}", self.socket().display())),
            timeout: Duration::from_secs(5),
            ..RedisOptions::default()
        }
    }

    /// A link that is connected.
    pub(crate) async fn link(&self) -> RedisLink {
        let link = RedisLink::open(&self.options()).unwrap();
        until(&link, true).await;
        link
    }
}

impl Drop for TestRedis {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waits until the link has Redis, or has it no more.
pub(crate) async fn until(link: &RedisLink, available: bool) {
    let mut watch = link.watch();
    let changed = watch.wait_for(|is| *is == available);
    let waited = tokio::time::timeout(Duration::from_secs(60), changed).await;
    assert!(
        waited.is_ok(),
        "available is still {}: {link:?}",
        !available
    );
}
