//! A child process: started, watched, signalled and ended by the test that owns it.

use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::timeout;

use crate::log::Log;
use crate::{Error, LIMIT, Result, eventually, eventually_within};

/// Lines of a child's log in a failure message.
const TAIL: usize = 60;

/// A child process with piped output. It is killed when this is dropped.
///
/// All methods take `&self`, so that a test can kill what a load runs against.
pub struct Process {
    name: String,
    pid: u32,
    /// Stays unreaped until somebody looks through this lock: so long the pid is ours.
    child: Mutex<Child>,
    log: Arc<Log>,
}

impl Process {
    /// Starts `command`; `name` is how messages call it.
    ///
    /// `SLUICE_*` variables of the test's own environment are not passed on: a test decides alone
    /// about the configuration of what it starts.
    pub fn spawn(name: impl Into<String>, mut command: Command) -> Result<Self> {
        let name = name.into();
        let given: Vec<_> = command.get_envs().map(|(key, _)| key.to_owned()).collect();
        for (key, _) in std::env::vars_os() {
            let ours = key.to_str().is_some_and(|key| key.starts_with("SLUICE_"));
            if ours && !given.contains(&key) {
                command.env_remove(key);
            }
        }
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| {
            let program = command.get_program().display();
            Error::because(format!("cannot start {name} ({program})"), error)
        })?;
        let log = Log::new();
        if let Some(stdout) = child.stdout.take() {
            log.follow(stdout);
        }
        if let Some(stderr) = child.stderr.take() {
            log.follow(stderr);
        }
        Ok(Self {
            name,
            pid: child.id(),
            child: Mutex::new(child),
            log,
        })
    }

    /// How messages call this process.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// What it printed.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Waits for a line for which `wanted` holds, from the start of the log on.
    pub async fn wait_line(&self, what: &str, wanted: impl Fn(&str) -> bool) -> Result<String> {
        self.wait_line_within(LIMIT, what, wanted).await
    }

    /// [`wait_line`](Self::wait_line) with a limit of its own.
    pub async fn wait_line_within(
        &self,
        limit: Duration,
        what: &str,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<String> {
        match timeout(limit, self.log.find(wanted)).await {
            Ok(Some(line)) => Ok(line),
            Ok(None) => Err(self.failure(&format!("ended without {what}"))),
            Err(_) => Err(self.failure(&format!("no {what} within {limit:?}"))),
        }
    }

    /// Waits for the line `<prefix><address>` that our binaries print, and returns the address.
    pub async fn wait_address(&self, prefix: &str) -> Result<SocketAddr> {
        let address = |line: &str| -> Option<SocketAddr> {
            line.trim()
                .strip_prefix(prefix)?
                .trim_end_matches('/')
                .parse()
                .ok()
        };
        let what = format!("line `{prefix}ADDR`");
        let line = self
            .wait_line(&what, |line| address(line).is_some())
            .await?;
        address(&line).ok_or_else(|| self.failure("an address that does not parse"))
    }

    /// The exit status if it has ended.
    pub fn exited(&self) -> Option<ExitStatus> {
        self.child().try_wait().ok().flatten()
    }

    /// Waits until it ends by itself, and for the rest of its output.
    pub async fn wait_exit(&self) -> Result<ExitStatus> {
        self.wait_exit_within(LIMIT).await
    }

    /// [`wait_exit`](Self::wait_exit) with a limit of its own.
    pub async fn wait_exit_within(&self, limit: Duration) -> Result<ExitStatus> {
        let look = || std::future::ready(self.exited());
        let status = eventually_within(limit, "exit", look)
            .await
            .map_err(|_| self.failure(&format!("still running after {limit:?}")))?;
        // A grandchild may hold the pipes open: the rest of the log is wanted, not needed.
        let _ = timeout(Duration::from_secs(1), self.log.ended()).await;
        Ok(status)
    }

    /// `kill -9`, and reaps it.
    pub fn kill9(&self) -> Result {
        let mut child = self.child();
        child
            .kill()
            .and_then(|()| child.wait())
            .map_err(|error| self.failure(&error.to_string()))?;
        Ok(())
    }

    /// SIGTERM: asks it to drain and end. [`wait_exit`](Self::wait_exit) tells how that went.
    pub fn terminate(&self) -> Result {
        self.signal("TERM")
    }

    /// SIGTERM, then expects exit code 0.
    pub async fn drain(&self) -> Result {
        self.terminate()?;
        let status = self.wait_exit().await?;
        if status.success() {
            return Ok(());
        }
        Err(self.failure(&format!("ended with {status} after SIGTERM, not with 0")))
    }

    /// SIGSTOP: stands still with its connections open, like a machine that hangs.
    pub async fn freeze(&self) -> Result {
        self.signal("STOP")?;
        // The signal is out before its last thread has stopped.
        let tasks = format!("/proc/{}/task", self.pid());
        eventually("every thread stands still", || async {
            let threads = std::fs::read_dir(&tasks)?;
            let stopped = |thread: std::fs::DirEntry| {
                let stat = std::fs::read_to_string(thread.path().join("stat"))?;
                // The state follows the name in parentheses, which may hold anything.
                let state = stat
                    .rsplit_once(") ")
                    .map(|(_, rest)| rest.starts_with('T'));
                Ok(state.unwrap_or(false))
            };
            threads
                .map(|t| stopped(t?))
                .collect::<std::io::Result<Vec<bool>>>()
                .map(|all| all.iter().all(|s| *s))
        })
        .await
    }

    /// SIGCONT: goes on after [`freeze`](Self::freeze).
    pub fn thaw(&self) -> Result {
        self.signal("CONT")
    }

    /// Sends a signal through the shell, whose `kill` is built in: no unsafe code, no extra package.
    fn signal(&self, signal: &str) -> Result {
        let mut child = self.child();
        // Not reaped before the signal is out: the pid cannot have gone to somebody else.
        if let Ok(Some(status)) = child.try_wait() {
            return Err(self.failure(&format!("cannot send SIG{signal}: ended with {status}")));
        }
        let sent = Command::new("sh")
            .args([
                "-c",
                "kill -s \"$1\" \"$2\"",
                "sh",
                signal,
                &self.pid.to_string(),
            ])
            .status();
        if sent.is_ok_and(|status| status.success()) {
            return Ok(());
        }
        Err(self.failure(&format!("cannot send SIG{signal}")))
    }

    /// An error that names the process and ends with its last lines.
    pub fn failure(&self, what: &str) -> Error {
        let Self { name, pid, .. } = self;
        let tail = self.log.tail(TAIL);
        Error::new(format!(
            "{name} (pid {pid}): {what}\n--- log of {name} ---\n{tail}\n---"
        ))
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Process {
    #[expect(
        clippy::print_stderr,
        reason = "the log of a failed test belongs into its output"
    )]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.failure("as the test failed"));
        }
        let child = self.child.get_mut().unwrap_or_else(PoisonError::into_inner);
        let _ = child.kill();
        let _ = child.wait();
    }
}
