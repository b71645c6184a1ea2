//! Sockets of the npm package `phoenix` on every gateway: tests/node/restart.mjs sends and keeps the
//! accounts, here gateways are killed and restarted under it.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;

use serde::Deserialize;
use sluice_e2e::{Error, Result, eventually};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::watch;

use crate::stack::addresses;

/// Calls that every socket has to bring home after each fault.
const AGAIN: u64 = 50;

/// A line of the program.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Accounts {
    done: bool,
    pub(crate) sent: u64,
    pub(crate) ok: u64,
    pub(crate) failed: BTreeMap<String, u64>,
    /// Calls whose socket was seen to close.
    pub(crate) cut: u64,
    hung: u64,
    wrong: u64,
    /// Answers after the final one.
    twice: u64,
    /// Answers to calls that nobody made.
    ghosts: u64,
    pub(crate) items: u64,
    sockets: Vec<Socket>,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Socket {
    closes: u64,
    joins: u64,
    ok: u64,
}

impl Accounts {
    pub(crate) fn failed_total(&self) -> u64 {
        self.failed.values().sum()
    }

    /// Calls without their one right answer though their socket stayed open.
    pub(crate) fn lost(&self) -> u64 {
        self.hung + self.wrong + self.twice + self.ghosts
    }

    pub(crate) fn is_balanced(&self) -> bool {
        self.sent == self.ok + self.failed_total() + self.cut + self.hung + self.wrong
    }

    pub(crate) fn rejoined(&self) -> u64 {
        self.sockets.iter().map(|s| s.joins.saturating_sub(1)).sum()
    }
}

/// The program while it runs. Killed when dropped.
pub(crate) struct Drive {
    child: Child,
    stdin: ChildStdin,
    accounts: watch::Receiver<Accounts>,
    gateways: usize,
}

impl Drive {
    /// Starts it on all gateways; returns when every socket has been served.
    pub(crate) async fn start() -> Result<Self> {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("node/restart.mjs");
        let failed = |e| {
            Error::because(
                "node tests/node/restart.mjs (scripts/setup installs its packages)",
                e,
            )
        };
        let addresses = addresses()?;
        let mut child = Command::new("node")
            .arg(program)
            .args(addresses.iter().map(|a| format!("ws://{a}/socket")))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let missing = || Error::new("node has no pipes");
        let stdin = child.stdin.take().ok_or_else(missing)?;
        let mut lines = BufReader::new(child.stdout.take().ok_or_else(missing)?).lines();
        let (sender, accounts) = watch::channel(Accounts::default());
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                if let Ok(accounts) = serde_json::from_str(&line) {
                    sender.send_replace(accounts);
                }
            }
        });
        let drive = Self {
            child,
            stdin,
            accounts,
            gateways: addresses.len(),
        };
        let began = Accounts::default();
        drive
            .wait(&began, |_, before, now| now.joins > before.joins)
            .await?;
        Ok(drive)
    }

    /// What has been counted so far.
    pub(crate) fn accounts(&self) -> Accounts {
        self.accounts.borrow().clone()
    }

    /// Waits until the sockets of that gateway have been closed and joined again by themselves, and all
    /// sockets are served again.
    pub(crate) async fn wait_back(&self, gateway: usize, before: &Accounts) -> Result {
        self.wait(before, |number, before, now| {
            let other = number % self.gateways != gateway;
            other || (now.closes > before.closes && now.joins > before.joins)
        })
        .await?;
        // From here on: answers that came before the fault do not count.
        self.wait(&self.accounts(), |_, _, _| true).await
    }

    async fn wait(
        &self,
        before: &Accounts,
        back: impl Fn(usize, &Socket, &Socket) -> bool,
    ) -> Result {
        eventually("every socket is joined and served", || async {
            let now = self.accounts();
            let none = Socket::default();
            let served = now.sockets.iter().enumerate().all(|(number, socket)| {
                let before = before.sockets.get(number).unwrap_or(&none);
                back(number, before, socket) && socket.ok >= before.ok + AGAIN
            });
            if served && !now.sockets.is_empty() {
                Ok(())
            } else {
                Err(Error::new(format!("{now:?}")))
            }
        })
        .await
    }

    /// No more calls; waits for the answers that are due.
    pub(crate) async fn stop(mut self) -> Result<Accounts> {
        drop(self.stdin);
        let last = self.accounts.wait_for(|accounts| accounts.done).await;
        let last = last
            .map_err(|e| Error::because("restart.mjs ended early", e))?
            .clone();
        self.child
            .wait()
            .await
            .map_err(|e| Error::because("restart.mjs", e))?;
        Ok(last)
    }
}
