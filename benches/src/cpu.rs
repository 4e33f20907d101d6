//! CPU time of processes, as the kernel counts it.

use std::error::Error;
use std::fs;
use std::time::Duration;

/// User and system time of process `pid` so far. Counted by the kernel in steps of 10 ms.
pub(crate) fn of_process(pid: u32) -> Result<Duration, Box<dyn Error>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name, in parentheses, can hold anything; the fields behind it cannot.
    let fields = stat.rsplit_once(") ").ok_or("no fields in /proc/pid/stat")?.1;
    let mut ticks = 0;
    for field in fields.split(' ').skip(11).take(2) {
        ticks += field.parse::<u64>()?;
    }
    Ok(Duration::from_millis(ticks * 10))
}

/// User and system time of this process so far.
pub(crate) fn of_self() -> Result<Duration, Box<dyn Error>> {
    of_process(std::process::id())
}
