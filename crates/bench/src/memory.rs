//! What the process truly occupies and spends, as Linux counts it.

use std::fs;
use std::time::Duration;

fn field(name: &str) -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with(name))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Resident memory now, in KiB; `None` where the system does not say.
pub(crate) fn resident_kib() -> Option<u64> {
    field("VmRSS:")
}

/// The most that was resident since [`forget_peak`], in KiB.
pub(crate) fn peak_kib() -> Option<u64> {
    field("VmHWM:")
}

/// From now on the peak is counted anew, where the system lets us.
pub(crate) fn forget_peak() {
    // proc(5), /proc/pid/clear_refs: 5 resets the peak resident set size.
    let _ = fs::write("/proc/self/clear_refs", "5");
}

/// Processor time of this process so far.
pub(crate) fn processor_time() -> Option<Duration> {
    let stat = fs::read_to_string("/proc/self/schedstat").ok()?;
    // Documentation/scheduler/sched-stats.rst: the first number is the time spent on a processor,
    // in nanoseconds.
    stat.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}
