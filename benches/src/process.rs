//! What processes and the machine spent, as the kernel counts it: CPU, memory, bytes written.

use std::fs;
use std::time::Duration;

use crate::Failure;

/// What a process and its descendants spent while a meter ran.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spent {
    /// User and system time.
    pub(crate) cpu: Duration,
    /// Most memory they had at once; for several processes the sum of each one's peak. Absent when not readable.
    pub(crate) rss_peak_bytes: Option<u64>,
    /// Bytes that they caused to be written to a disk. Absent when not readable.
    pub(crate) written_bytes: Option<u64>,
    /// Share of the whole machine's time that its host gave to others, between 0 and 1.
    pub(crate) stolen_share: f64,
}

/// Measures a process, and those that it started, from the meter's making on.
#[derive(Debug)]
pub(crate) struct Meter {
    root: u32,
    ticks: u64,
    written: Option<u64>,
    machine: Machine,
}

/// Ticks of all cores together.
#[derive(Debug, Clone, Copy)]
struct Machine {
    stolen: u64,
    all: u64,
}

impl Meter {
    pub(crate) fn of_tree(root: u32) -> Result<Self, Failure> {
        let pids = tree(root)?;
        for pid in &pids {
            // The peak starts anew. Where that is not allowed, it is the peak since the process began.
            let _ = fs::write(format!("/proc/{pid}/clear_refs"), "5");
        }
        Ok(Self {
            root,
            ticks: sum(&pids, ticks_of).ok_or("the process is gone")?,
            written: sum(&pids, written_by),
            machine: Machine::now()?,
        })
    }

    pub(crate) fn of_self() -> Result<Self, Failure> {
        Self::of_tree(std::process::id())
    }

    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    pub(crate) fn spent(&self) -> Result<Spent, Failure> {
        let machine = Machine::now()?;
        let stolen = machine.stolen.saturating_sub(self.machine.stolen);
        let all = machine.all.saturating_sub(self.machine.all);
        let pids = tree(self.root)?;
        let ticks = sum(&pids, ticks_of).ok_or("the process is gone")?;
        Ok(Spent {
            // The kernel counts in steps of 10 ms.
            cpu: Duration::from_millis(ticks.saturating_sub(self.ticks) * 10),
            rss_peak_bytes: sum(&pids, |pid| memory_of(pid, "VmHWM:")),
            written_bytes: sum(&pids, written_by)
                .zip(self.written)
                .map(|(now, then)| now.saturating_sub(then)),
            stolen_share: stolen as f64 / all.max(1) as f64,
        })
    }
}

/// The sum over the first process, which must be there, and those of the others that still are.
fn sum(pids: &[u32], of: impl Fn(u32) -> Result<u64, Failure>) -> Option<u64> {
    let (root, others) = pids.split_first()?;
    let others: u64 = others.iter().filter_map(|pid| of(*pid).ok()).sum();
    Some(of(*root).ok()? + others)
}

/// A process and its descendants.
fn tree(root: u32) -> Result<Vec<u32>, Failure> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let Ok(pid) = entry?.file_name().to_string_lossy().parse::<u32>() else {
            continue;
        };
        // It may have ended since.
        if let Ok(fields) = stat_fields(pid)
            && let Some(parent) = fields.get(1).and_then(|field| field.parse::<u32>().ok())
        {
            parents.push((pid, parent));
        }
    }
    let mut found = vec![root];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        found.extend(
            parents
                .iter()
                .filter(|(_, of)| *of == parent)
                .map(|(pid, _)| *pid),
        );
        next += 1;
    }
    Ok(found)
}

/// The fields of /proc/pid/stat behind the name: state, parent, …
fn stat_fields(pid: u32) -> Result<Vec<String>, Failure> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name, in parentheses, can hold anything; the fields behind it cannot.
    let fields = stat.rsplit_once(") ").ok_or("no fields in /proc/pid/stat")?.1;
    Ok(fields.split(' ').map(str::to_owned).collect())
}

/// User and system time of process `pid` so far, with that of its children that have ended: so a child that ends while
/// a meter runs stays counted.
fn ticks_of(pid: u32) -> Result<u64, Failure> {
    let mut ticks = 0;
    for field in stat_fields(pid)?.iter().skip(11).take(4) {
        ticks += field.parse::<u64>()?;
    }
    Ok(ticks)
}

fn written_by(pid: u32) -> Result<u64, Failure> {
    labelled(&fs::read_to_string(format!("/proc/{pid}/io"))?, "write_bytes:")
}

fn memory_of(pid: u32, label: &str) -> Result<u64, Failure> {
    Ok(labelled(&fs::read_to_string(format!("/proc/{pid}/status"))?, label)? * 1024)
}

/// Resident memory of a process now, in bytes.
pub(crate) fn resident_bytes(pid: u32) -> Result<u64, Failure> {
    memory_of(pid, "VmRSS:")
}

/// The number behind a label at the start of a line.
fn labelled(text: &str, label: &str) -> Result<u64, Failure> {
    let line = text.lines().find_map(|line| line.strip_prefix(label));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number.ok_or("a label is missing in /proc")?.parse()?)
}

impl Machine {
    fn now() -> Result<Self, Failure> {
        let stat = fs::read_to_string("/proc/stat")?;
        let line = stat.lines().next().ok_or("/proc/stat is empty")?;
        // user, nice, system, idle, iowait, irq, softirq, steal; what follows is counted in them already.
        let fields: Vec<u64> = line
            .split_whitespace()
            .skip(1)
            .take(8)
            .map(str::parse)
            .collect::<Result<_, _>>()?;
        Ok(Self {
            stolen: fields.get(7).copied().unwrap_or(0),
            all: fields.iter().sum(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_matched_at_the_start_of_a_line_only() {
        let io = "cancelled_write_bytes: 7\nwrite_bytes: 4096\n";
        assert_eq!(labelled(io, "write_bytes:").unwrap(), 4096);
        assert!(labelled(io, "read_bytes:").is_err());
    }

    #[test]
    fn a_process_can_be_measured() {
        let meter = Meter::of_self().unwrap();
        let spent = meter.spent().unwrap();
        assert!(resident_bytes(std::process::id()).unwrap() > 0);
        assert!(spent.rss_peak_bytes.unwrap() > 0);
    }
}
