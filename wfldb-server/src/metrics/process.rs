//! Figures of the process itself, as the operating system counts them.

use prometheus_client::registry::Registry;

use super::gauge;

/// Clock ticks of a second in `/proc`: `USER_HZ`, which is 100 on every Linux that we run on.
const TICKS_PER_SECOND: f64 = 100.0;

/// Adds CPU time and resident memory; nothing where there is no `/proc`.
pub(super) fn register(registry: &mut Registry) {
    if let Some(seconds) = cpu_seconds() {
        let cpu =
            prometheus_client::metrics::counter::Counter::<f64, std::sync::atomic::AtomicU64>::default();
        cpu.inc_by(seconds);
        registry.register("process_cpu_seconds", "CPU time of the process", cpu);
    }
    if let Some(bytes) = resident_bytes() {
        registry.register(
            "process_resident_memory_bytes",
            "Resident memory of the process",
            gauge(bytes),
        );
    }
}

fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the program's name in parentheses and may hold anything.
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ').skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    Some((f64::from(user) + f64::from(system)) / TICKS_PER_SECOND)
}

fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_has_memory_and_time() {
        assert!(resident_bytes().unwrap() > 0);
        assert!(cpu_seconds().unwrap() >= 0.0);
    }
}
