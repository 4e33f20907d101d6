//! `mirror sync`: a store brought together with others through a git remote.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;
use wfldb_admin::Error;
use wfldb_core::auth::{Authorized, Op, Target};
use wfldb_core::id::PublicKey;
use wfldb_core::mirror::Strategy;
use wfldb_core::name::{BucketName, ObjectKey};
use wfldb_engine::{Engine, EngineOptions, Mirror, MirrorOptions, SyncNamed, SyncOptions, SyncReport};

use super::{node_key, refused, strategy};
use crate::Done;
use crate::reach::prober;

#[derive(Debug, Args)]
pub(crate) struct Sync {
    /// The remote, as git takes it: a bare repository's directory, `host:path`, or a URL of ssh, git, http or https. The
    /// user's own git reaches it, with its keys and helpers
    #[arg(value_name = "REMOTE")]
    remote: String,
    /// The directory of a store that no server has open
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// The mirror; `mirror` in the store's directory when left out
    #[arg(long, value_name = "DIR")]
    mirror: Option<PathBuf>,
    /// What is done where both sides changed a document: manual (people decide), last-write-wins (the later one wins), fields
    /// (members that only one side changed are taken from that side)
    #[arg(long, value_name = "STRATEGY", value_parser = strategy, default_value = "manual")]
    strategy: Strategy,
    /// Key of a store (wn1…) whose documents and commits are believed, now and later; repeatable
    #[arg(long, value_name = "ID", value_parser = node_key)]
    trust: Vec<PublicKey>,
    /// Where our side is right, whatever the strategy: a bucket or one key of it; repeatable
    #[arg(long, value_name = "BUCKET[/KEY]", value_parser = named)]
    ours: Vec<SyncNamed>,
    /// Where their side is right; repeatable
    #[arg(long, value_name = "BUCKET[/KEY]", value_parser = named)]
    theirs: Vec<SyncNamed>,
    /// Say what would be done; nothing is written or pushed
    #[arg(long)]
    dry_run: bool,
}

fn named(text: &str) -> Result<SyncNamed, String> {
    let (bucket, key) = match text.split_once('/') {
        Some((bucket, key)) => (bucket, Some(key)),
        None => (text, None),
    };
    Ok(SyncNamed {
        bucket: BucketName::parse(bucket).map_err(|error| error.to_string())?,
        key: key
            .map(ObjectKey::parse)
            .transpose()
            .map_err(|error| error.to_string())?,
    })
}

/// A directory is meant from where the command is run; git is run from elsewhere.
fn place(remote: &str) -> String {
    let there = Path::new(remote)
        .is_dir()
        .then(|| Path::new(remote).canonicalize());
    match there {
        Some(Ok(path)) => path.display().to_string(),
        _ => remote.to_owned(),
    }
}

pub(crate) fn sync(args: Sync) -> Result<Done, Error> {
    let engine = EngineOptions {
        prober: prober(),
        ..EngineOptions::default()
    };
    let engine = Engine::open(&args.data, engine)?;
    let options = MirrorOptions {
        dir: args.mirror,
        ..MirrorOptions::default()
    };
    let mirror = Mirror::start(&engine, options).map_err(|error| Error::Usage(error.to_string()))?;
    let options = SyncOptions {
        trusted: args.trust,
        ours: args.ours,
        theirs: args.theirs,
        dry_run: args.dry_run,
        ..SyncOptions::new(place(&args.remote), args.strategy)
    };
    let proof = Authorized::local("wfldb-admin mirror sync", Op::Admin, Target::Store);
    let report = mirror.sync(&proof, &options).map_err(|error| match error {
        wfldb_engine::SyncError::Untrusted(_) => {
            Error::Usage(format!("{error}; if it is a store of yours: --trust ID"))
        }
        wfldb_engine::SyncError::Engine(error) => error.into(),
        error => Error::Usage(error.to_string()),
    })?;
    Ok(synced(&report, args.dry_run))
}

fn synced(report: &SyncReport, dry_run: bool) -> Done {
    Done {
        human: in_words(report, dry_run),
        json: json!(report),
        code: u8::from(!report.settled),
    }
}

fn in_words(report: &SyncReport, dry_run: bool) -> String {
    let mut text = format!(
        "{}{}: {} commits fetched; {} keys taken over, {} merged, {} ahead here, {} in conflict, {} refused",
        if dry_run { "would be " } else { "" },
        if report.settled { "settled" } else { "NOT SETTLED" },
        report.fetched,
        report.taken,
        report.written,
        report.kept,
        report.conflicts.len(),
        report.refused.len(),
    );
    for conflict in &report.conflicts {
        for one in &conflict.conflicts {
            let place = if one.pointer.is_empty() {
                "the whole document"
            } else {
                one.pointer.as_str()
            };
            let _ = write!(
                text,
                "\nin conflict: {}/{}: {place}",
                conflict.bucket, conflict.key
            );
        }
    }
    for (bucket, why) in &report.undecided {
        let _ = write!(text, "\nto decide: {bucket}: {why}");
    }
    refused(&mut text, &report.refused);
    for (path, why) in &report.noted {
        let _ = write!(text, "\nnote: {path}: {why}");
    }
    match &report.head {
        Some(head) if report.pushed => {
            let _ = write!(text, "\npushed {head}");
        }
        Some(_) if report.settled && !dry_run => text.push_str("\nthe remote has everything"),
        _ if !report.settled => {
            text.push_str(
                "\nnothing was pushed: decide with --ours BUCKET/KEY, --theirs BUCKET/KEY or another --strategy",
            );
        }
        _ => {}
    }
    text
}
