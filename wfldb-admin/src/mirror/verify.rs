//! `mirror verify`: whether the files of a mirror are what the store says.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use wfldb_admin::Error;
use wfldb_core::auth::{Authorized, Op, Target};
use wfldb_engine::{Engine, EngineOptions, MirrorReport};

use crate::Done;
use crate::reach::prober;

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// The directory of a store that no server has open. It is only read
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// The mirror; `mirror` in the store's directory when left out
    #[arg(long, value_name = "DIR")]
    mirror: Option<PathBuf>,
}

pub(crate) fn verify(args: &Verify) -> Result<Done, Error> {
    let options = EngineOptions {
        read_only: true,
        prober: prober(),
        ..EngineOptions::default()
    };
    let engine = Engine::open(&args.data, options)?;
    let proof = Authorized::local("wfldb-admin mirror verify", Op::Admin, Target::Store);
    let report = engine.verify_mirror(&proof, args.mirror.as_deref())?;
    Ok(Done {
        human: in_words(&report),
        json: json!(report),
        code: u8::from(!report.sound),
    })
}

fn in_words(report: &MirrorReport) -> String {
    let mut text = format!(
        "{} at position {}: {} files of {} buckets",
        if report.sound { "sound" } else { "NOT SOUND" },
        report.position,
        report.files,
        report.buckets,
    );
    if report.mirror_position < report.position {
        let _ = write!(
            text,
            "; the mirror says it ends at position {}, and what changed since differs",
            report.mirror_position
        );
    }
    match report.log {
        Some(leaves) => {
            let _ = write!(text, "\naudit log: {leaves} leaves");
        }
        None => text.push_str("\naudit log: none"),
    }
    match &report.history {
        Some(head) => {
            let _ = write!(text, "\nhistory: {} commits up to {}", head.commits, head.commit);
        }
        None => text.push_str("\nhistory: none"),
    }
    for finding in &report.findings {
        let _ = write!(text, "\n{:?}: {}: {}", finding.kind, finding.path, finding.detail);
    }
    if report.findings_omitted > 0 {
        let _ = write!(text, "\nand {} more", report.findings_omitted);
    }
    text
}
