//! How much CPU a process has had, from the OS.

use std::time::Duration;

/// User and system time of all threads that the process has now, from `/proc`: nanoseconds, not
/// clock ticks. A thread that ended takes its time with it; those of our processes stay.
pub(crate) fn used(pid: u32) -> std::io::Result<Duration> {
    let mut nanos = 0u64;
    for task in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let text = std::fs::read_to_string(task?.path().join("schedstat"))?;
        let run = text.split_whitespace().next().unwrap_or("0");
        nanos += run.parse::<u64>().unwrap_or(0);
    }
    Ok(Duration::from_nanos(nanos))
}

/// Resident memory of a process, from `/proc`.
pub(crate) fn resident_kib(pid: u32) -> std::io::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
    let kib = line.and_then(|l| l.split_whitespace().next()?.parse().ok());
    kib.ok_or_else(|| std::io::Error::other("no VmRSS in /proc"))
}
