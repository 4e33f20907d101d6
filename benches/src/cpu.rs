//! CPU time of processes and of the machine, as the kernel counts it.

use std::error::Error;
use std::fs;
use std::time::Duration;

/// What a process spent while a meter ran.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spent {
    /// User and system time of the process.
    pub(crate) cpu: Duration,
    /// Share of the whole machine's time that its host gave to others, between 0 and 1.
    pub(crate) stolen_share: f64,
}

/// Measures a process from its making on.
#[derive(Debug)]
pub(crate) struct Meter {
    pid: u32,
    ticks: u64,
    machine: Machine,
}

/// Ticks of all cores together.
#[derive(Debug, Clone, Copy)]
struct Machine {
    stolen: u64,
    all: u64,
}

impl Meter {
    pub(crate) fn of_process(pid: u32) -> Result<Self, Box<dyn Error>> {
        Ok(Self {
            pid,
            ticks: ticks_of(pid)?,
            machine: Machine::now()?,
        })
    }

    pub(crate) fn of_self() -> Result<Self, Box<dyn Error>> {
        Self::of_process(std::process::id())
    }

    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    pub(crate) fn spent(&self) -> Result<Spent, Box<dyn Error>> {
        let machine = Machine::now()?;
        let stolen = machine.stolen.saturating_sub(self.machine.stolen);
        let all = machine.all.saturating_sub(self.machine.all);
        Ok(Spent {
            // The kernel counts in steps of 10 ms.
            cpu: Duration::from_millis(ticks_of(self.pid)?.saturating_sub(self.ticks) * 10),
            stolen_share: stolen as f64 / all.max(1) as f64,
        })
    }
}

/// User and system time of process `pid` so far.
fn ticks_of(pid: u32) -> Result<u64, Box<dyn Error>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name, in parentheses, can hold anything; the fields behind it cannot.
    let fields = stat.rsplit_once(") ").ok_or("no fields in /proc/pid/stat")?.1;
    let mut ticks = 0;
    for field in fields.split(' ').skip(11).take(2) {
        ticks += field.parse::<u64>()?;
    }
    Ok(ticks)
}

impl Machine {
    fn now() -> Result<Self, Box<dyn Error>> {
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
