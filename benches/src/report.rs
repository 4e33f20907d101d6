//! What a run found: rows, ratios, JSON for programs and a table for people.

use std::path::Path;

use serde::Serialize;

use crate::Failure;
use crate::measure::Measured;
use crate::options::Size;

/// One case of one target.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    pub(crate) target: String,
    pub(crate) operation: &'static str,
    pub(crate) size_bytes: u64,
    pub(crate) clients: usize,
    #[serde(flatten)]
    pub(crate) outcome: Outcome,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    Measured(Box<Measured>),
    /// Why it was not tried.
    Skipped(String),
    /// Why it did not work.
    Failed(String),
}

/// Something that was under load, or was not.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct About {
    pub(crate) target: String,
    pub(crate) version: String,
    /// What it promises about writes that it confirmed.
    pub(crate) durability: String,
}

/// A figure over another of the same run, and what it should be.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Ratio {
    pub(crate) of: String,
    pub(crate) to: &'static str,
    /// Absent when one of the two was not measured in this run.
    pub(crate) value: Option<f64>,
    /// What it should be, where something is asked of it.
    pub(crate) wanted: Option<Wanted>,
}

#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Wanted {
    AtMost(f64),
    AtLeast(f64),
}

impl Wanted {
    fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtMost(most) => value <= most,
            Self::AtLeast(least) => value >= least,
        }
    }
}

/// Everything that a run of the suite found.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) cores: usize,
    pub(crate) connections: usize,
    pub(crate) keys: u64,
    pub(crate) seconds: f64,
    pub(crate) verify_strict_us: f64,
    pub(crate) targets: Vec<About>,
    pub(crate) rows: Vec<Row>,
    pub(crate) ratios: Vec<Ratio>,
}

impl Row {
    pub(crate) fn measured(&self) -> Option<&Measured> {
        match &self.outcome {
            Outcome::Measured(measured) => Some(measured),
            Outcome::Skipped(_) | Outcome::Failed(_) => None,
        }
    }

    /// Prints the line of the table.
    pub(crate) fn print(&self) {
        let case = format!(
            "{:<16} {:<7} {:>8} x{:<3}",
            self.target,
            self.operation,
            Size(self.size_bytes).to_string(),
            self.clients
        );
        let m = match &self.outcome {
            Outcome::Skipped(why) => return eprintln!("{case} skipped: {why}"),
            Outcome::Failed(why) => return eprintln!("{case} FAILED: {why}"),
            Outcome::Measured(measured) => measured,
        };
        let or_blank = |value: Option<f64>, digits: usize| {
            value.map_or_else(String::new, |value| format!("{value:.digits$}"))
        };
        eprintln!(
            "{case} {:>9} {:>8.1} {:>8} {:>8} {:>8} {:>8} {:>8} {:>10.1} {:>10} {:>7} {:>7} {:>5.1}%",
            short(m.ops_per_s),
            m.bytes_per_s / 1e6,
            short(m.p50_ms),
            short(m.p95_ms),
            short(m.p99_ms),
            short(m.p999_ms),
            short(m.max_ms),
            m.cpu_us_per_op,
            or_blank(m.generator_cpu_us_per_op, 1),
            m.rss_peak_bytes
                .map_or_else(String::new, |bytes| (bytes >> 20).to_string()),
            or_blank(m.written_per_body_byte, 2),
            m.stolen_share * 100.0
        );
        if m.histograms.len() > 1 {
            for part in &m.histograms {
                let [p50, p95, p99, p999] =
                    [0.5, 0.95, 0.99, 0.999].map(|share| short(part.counts.at_ms(share)));
                eprintln!(
                    "{:<36} {:>4} {:>8} {:>8} {p50:>8} {p95:>8} {p99:>8} {p999:>8} {:>8}",
                    "",
                    part.of,
                    part.counts.count(),
                    "",
                    short(part.counts.max_ms())
                );
            }
        }
    }
}

/// Few digits for large numbers, more for small ones.
fn short(value: f64) -> String {
    if value < 1.0 {
        format!("{value:.3}")
    } else if value < 100.0 {
        format!("{value:.2}")
    } else {
        format!("{value:.0}")
    }
}

pub(crate) fn print_head() {
    eprintln!(
        "{:<38} {:>9} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>10} {:>10} {:>7} {:>7} {:>6}",
        "",
        "ops/s",
        "MB/s",
        "p50 ms",
        "p95",
        "p99",
        "p99.9",
        "max",
        "cpu us/op",
        "generator",
        "MiB",
        "disk x",
        "stolen"
    );
}

impl Ratio {
    pub(crate) fn print(&self) {
        let wanted = match (self.wanted, self.value) {
            (None, _) => String::new(),
            (Some(wanted), value) => {
                let limit = match wanted {
                    Wanted::AtMost(most) => format!("at most {most}"),
                    Wanted::AtLeast(least) => format!("at least {least}"),
                };
                match value {
                    Some(value) if wanted.is_met(value) => format!(", wanted {limit}: met"),
                    Some(_) => format!(", wanted {limit}: NOT MET"),
                    None => format!(", wanted {limit}"),
                }
            }
        };
        match self.value {
            Some(value) => eprintln!("{value:>7.2} x  {} / {}{wanted}", self.of, self.to),
            None => eprintln!(
                "      -    {} / {}: not measured in this run{wanted}",
                self.of, self.to
            ),
        }
    }
}

/// Writes a report, raw histograms and all, to a file, and without them to standard output.
pub(crate) fn publish<R: Serialize>(report: &R, out: &Path) -> Result<(), Failure> {
    save(report, out)?;
    let mut value = serde_json::to_value(report)?;
    strip_histograms(&mut value);
    println!("{}", serde_json::to_string_pretty(&value)?);
    eprintln!("raw histograms: {}", out.display());
    Ok(())
}

/// Writes a report to a file, raw histograms and all.
pub(crate) fn save<R: Serialize>(report: &R, out: &Path) -> Result<(), Failure> {
    Ok(std::fs::write(out, serde_json::to_vec(report)?)?)
}

fn strip_histograms(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Object(members) => {
            members.remove("histograms");
            members.values_mut().for_each(strip_histograms);
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(strip_histograms),
        _ => {}
    }
}
