//! What the machine says of a process.

use sluice_e2e::nats::BrokerKind;
use sluice_e2e::process::Process;

/// Resident memory of a process in bytes; 0 where `/proc` is unknown.
pub(crate) fn rss(process: &Process) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.pid()));
    let status = status.unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|rest| {
        rest.trim()
            .trim_end_matches("kB")
            .trim()
            .parse::<u64>()
            .ok()
    });
    kib.unwrap_or(0) * 1024
}

/// Processor time that a process has had, in hundredths of a second; 0 where `/proc` is unknown.
pub(crate) fn cpu(process: &Process) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.pid()));
    let stat = stat.unwrap_or_default();
    // The name in parentheses may have spaces; user and system time are the 14th and 15th field.
    let fields = stat.rsplit(") ").next().unwrap_or_default();
    let times = fields.split(' ').skip(11).take(2);
    times.filter_map(|ticks| ticks.parse::<u64>().ok()).sum()
}

/// A real nats-server where there is one, ours where there is none.
pub(crate) fn broker() -> BrokerKind {
    let real = [BrokerKind::NatsCurrent, BrokerKind::NatsOld];
    let found = real.into_iter().find(|kind| kind.is_available());
    found.unwrap_or(BrokerKind::Embedded)
}

/// That a process still runs and has never panicked.
pub(crate) fn assert_sound(process: &Process) {
    assert_eq!(process.exited(), None, "{} has ended", process.name());
    let panics = process.log().count(|line| line.contains("panicked"));
    assert_eq!(panics, 0, "{}", process.failure("it has panicked"));
}
