//! `mirror verify`: whether the files of a mirror are what the store says.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};
use wfldb_admin::Error;
use wfldb_core::auth::{Authorized, Op, Target};
use wfldb_engine::{Engine, EngineOptions};

use crate::Done;
use crate::reach::{Reach, connected, prober};

#[derive(Debug, Args)]
pub(crate) struct Verify {
    #[command(flatten)]
    reach: Reach,
    /// Offline: the directory of a store that no server has open. It is only read; a profile is not used
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Offline: the mirror; `mirror` in the store's directory when left out
    #[arg(long, value_name = "DIR", requires = "data")]
    mirror: Option<PathBuf>,
}

pub(crate) fn verify(args: Verify) -> Result<Done, Error> {
    let report = match args.data {
        Some(data) => {
            let (engine, proof) = stopped(&data, "wfldb-admin mirror verify")?;
            json!(engine.verify_mirror(&proof, args.mirror.as_deref())?)
        }
        None => connected(args.reach, async |client| client.verify_mirror().await)?,
    };
    let sound = report.get("sound") == Some(&Value::Bool(true));
    Ok(Done {
        human: in_words(&report, sound),
        json: report,
        code: u8::from(!sound),
    })
}

/// A store that no server has open, to be read.
pub(super) fn stopped(data: &Path, reason: &'static str) -> Result<(Engine, Authorized), Error> {
    let options = EngineOptions {
        read_only: true,
        prober: prober(),
        ..EngineOptions::default()
    };
    let engine = Engine::open(data, options)?;
    Ok((engine, Authorized::local(reason, Op::Admin, Target::Store)))
}

fn in_words(report: &Value, sound: bool) -> String {
    let number = |name: &str| report.get(name).and_then(Value::as_u64).unwrap_or(0);
    let mut text = format!(
        "{} at position {}: {} files of {} buckets",
        if sound { "sound" } else { "NOT SOUND" },
        number("position"),
        number("files"),
        number("buckets"),
    );
    if number("mirror_position") < number("position") {
        let _ = write!(
            text,
            "; the mirror says it ends at position {}, and what changed since differs",
            number("mirror_position")
        );
    }
    match report.get("log").and_then(Value::as_u64) {
        Some(leaves) => {
            let _ = write!(text, "\naudit log: {leaves} leaves");
        }
        None => text.push_str("\naudit log: none"),
    }
    match report.get("history") {
        Some(head) => {
            let commit = head.get("commit").and_then(Value::as_str).unwrap_or("?");
            let commits = head.get("commits").and_then(Value::as_u64).unwrap_or(0);
            let _ = write!(text, "\nhistory: {commits} commits up to {commit}");
        }
        None => text.push_str("\nhistory: none"),
    }
    for finding in findings(report) {
        let [kind, path, detail] = parts(finding);
        let _ = write!(text, "\n{kind}: {path}: {detail}");
    }
    if number("findings_omitted") > 0 {
        let _ = write!(text, "\nand {} more", number("findings_omitted"));
    }
    if number("undecided") > 0 {
        let _ = write!(
            text,
            "\n{} files could not be compared in time",
            number("undecided")
        );
    }
    text
}

pub(super) fn findings(report: &Value) -> impl Iterator<Item = &Value> {
    report
        .get("findings")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

/// Kind, path and detail of a finding.
pub(super) fn parts(finding: &Value) -> [&str; 3] {
    ["kind", "path", "detail"].map(|name| finding.get(name).and_then(Value::as_str).unwrap_or("?"))
}
