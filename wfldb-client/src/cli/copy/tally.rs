//! What became of each item of a copy, counted, shown while it goes on, and summed up at the end.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};
use wfldb_client::{Error, Progress};

use crate::cli::exit::{Code, Failure, code_of, error_json, sentence};
use crate::cli::output::{Output, counted, shown};

/// Failures beyond this many are counted, not kept: a copy of millions that all fail must not fill memory.
const LISTED_MAX: usize = 10_000;

/// How one item ended.
#[derive(Debug)]
pub(super) enum Outcome {
    /// Moved.
    Copied { name: String, bytes: u64 },
    /// There already, with the same bytes.
    Unchanged { name: String, bytes: u64 },
    /// By rule not copied.
    Skipped { name: String, why: String },
    /// Should have been, and was not.
    Failed { name: String, error: Error },
}

/// Counts, and the bar that shows them.
#[derive(Debug)]
pub(super) struct Tally {
    output: Output,
    bar: ProgressBar,
    verb: &'static str,
    verbose: bool,
    started: Instant,
    copied: u64,
    copied_bytes: u64,
    unchanged: u64,
    skipped: u64,
    failed: u64,
    failures: Vec<String>,
    first_code: Option<Code>,
}

impl Tally {
    pub(super) fn new(output: &Output, verbose: bool, verb: &'static str) -> Self {
        // indicatif draws nothing when standard error is not a terminal.
        let target = if output.is_json() {
            ProgressDrawTarget::hidden()
        } else {
            ProgressDrawTarget::stderr_with_hz(8)
        };
        let bar = ProgressBar::with_draw_target(Some(0), target);
        let template = "{spinner} {msg} [{wide_bar}] {bytes}/{total_bytes} {bytes_per_sec}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.enable_steady_tick(Duration::from_millis(125));
        Self {
            output: output.beside(bar.clone()),
            bar,
            verb,
            verbose,
            started: Instant::now(),
            copied: 0,
            copied_bytes: 0,
            unchanged: 0,
            skipped: 0,
            failed: 0,
            failures: Vec::new(),
            first_code: None,
        }
    }

    /// More to do than was known.
    pub(super) fn expect(&self, bytes: u64) {
        self.bar.inc_length(bytes);
    }

    /// What a transfer tells about its bytes.
    pub(super) fn progress(&self) -> Progress {
        let bar = self.bar.clone();
        Arc::new(move |delta| {
            if delta < 0 {
                bar.dec(delta.unsigned_abs());
            } else {
                bar.inc(delta.unsigned_abs());
            }
        })
    }

    pub(super) fn warn(&self, text: &str) {
        self.output.remark(&if self.output.is_json() {
            json!({"warning": text}).to_string()
        } else {
            format!("wfldb: warning: {}", shown(text))
        });
    }

    pub(super) fn add(&mut self, outcome: &Outcome) -> Result<(), Failure> {
        let line = |human: &str, name: &str, value: Value| {
            if self.verbose || self.output.is_json() {
                self.output.line(|| format!("{human} {}", shown(name)), || value)
            } else {
                Ok(())
            }
        };
        match outcome {
            Outcome::Copied { name, bytes } => {
                line(
                    self.verb,
                    name,
                    json!({"action": self.verb, "item": name, "bytes": bytes}),
                )?;
                self.copied += 1;
                self.copied_bytes += bytes;
            }
            Outcome::Unchanged { name, bytes } => {
                line(
                    "unchanged",
                    name,
                    json!({"action": "unchanged", "item": name, "bytes": bytes}),
                )?;
                self.unchanged += 1;
                self.bar.inc(*bytes);
            }
            Outcome::Skipped { name, why } => {
                line(
                    "skipped",
                    name,
                    json!({"action": "skipped", "item": name, "why": why}),
                )?;
                if !self.output.is_json() {
                    self.warn(&format!("{name}: skipped: {why}"));
                }
                self.skipped += 1;
            }
            Outcome::Failed { name, error } => {
                if self.output.is_json() {
                    let value = json!({"action": "failed", "item": name, "error": error_json(error)});
                    line("failed", name, value)?;
                } else if self.failures.len() < LISTED_MAX {
                    self.failures.push(failure_line(name, error));
                }
                self.failed += 1;
                self.first_code.get_or_insert(code_of(error));
            }
        }
        self.bar
            .set_message(counted(self.copied + self.unchanged, "file", "files"));
        Ok(())
    }

    /// The end: failures, then the summary.
    pub(super) fn report(self, stopped: Option<&Error>) -> Result<(), Failure> {
        self.bar.finish_and_clear();
        if !self.failures.is_empty() {
            self.output.remark("wfldb: these failed:");
        }
        for failure in &self.failures {
            self.output.remark(&format!("  {failure}"));
        }
        let unlisted = usize::try_from(self.failed)
            .unwrap_or(usize::MAX)
            .saturating_sub(self.failures.len());
        if unlisted > 0 && !self.output.is_json() {
            self.output.remark(&format!("  and {unlisted} more"));
        }
        let seconds = self.started.elapsed().as_secs_f64();
        let human = || {
            let mut line = format!(
                "{} {} ({}) in {seconds:.1} s",
                self.verb,
                counted(self.copied, "file", "files"),
                counted(self.copied_bytes, "byte", "bytes")
            );
            for (number, what) in [
                (self.unchanged, "unchanged"),
                (self.skipped, "skipped"),
                (self.failed, "failed"),
            ] {
                if number > 0 {
                    let _ = write!(line, ", {number} {what}");
                }
            }
            line
        };
        let json = || {
            json!({"summary": {"action": self.verb, "copied": self.copied, "bytes": self.copied_bytes,
                "unchanged": self.unchanged, "skipped": self.skipped, "failed": self.failed,
                "seconds": seconds, "complete": stopped.is_none()}})
        };
        self.output.line(human, json)?;
        if let Some(error) = stopped {
            let hint = "stopped before the end: run the same command again to continue";
            self.output.remark(&if self.output.is_json() {
                json!({"error": error_json(error), "advice": hint}).to_string()
            } else {
                format!("wfldb: {}\n  {hint}", sentence(error))
            });
            return Err(Failure::Reported(code_of(error)));
        }
        match (self.failed, self.first_code) {
            (0, _) => Ok(()),
            // A single item's own code says more than "some failed".
            (1, Some(code)) if self.copied + self.unchanged == 0 => Err(Failure::Reported(code)),
            _ => Err(Failure::Reported(Code::Failed)),
        }
    }
}

/// A message about a file begins with its path already.
fn failure_line(name: &str, error: &Error) -> String {
    let text = sentence(error);
    let name = shown(name);
    if text.contains(&*name) {
        text
    } else {
        format!("{name}: {text}")
    }
}
