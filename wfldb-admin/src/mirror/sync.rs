//! `mirror sync`: a store brought together with others through a git remote.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};
use wfldb_admin::Error;
use wfldb_core::auth::{Authorized, Op, Target};
use wfldb_core::id::PublicKey;
use wfldb_core::mirror::Strategy;
use wfldb_engine::{
    Engine, EngineOptions, Mirror, MirrorOptions, SyncError, SyncNamed, SyncOptions, SyncReport,
};

use super::{node_key, strategy};
use crate::Done;
use crate::reach::{Reach, connected, prober};

#[derive(Debug, Args)]
pub(crate) struct Sync {
    #[command(flatten)]
    reach: Reach,
    /// Offline: the remote, as git takes it: a bare repository's directory, `host:path`, or a URL of ssh, git, http or
    /// https. The user's own git reaches it, with its keys and helpers. A server has its own (`--mirror-remote`)
    #[arg(value_name = "REMOTE", requires = "data")]
    remote: Option<String>,
    /// Offline: the directory of a store that no server has open; a profile is not used
    #[arg(long, value_name = "DIR", requires = "remote")]
    data: Option<PathBuf>,
    /// Offline: the mirror; `mirror` in the store's directory when left out
    #[arg(long, value_name = "DIR", requires = "data")]
    mirror: Option<PathBuf>,
    /// What is done where both sides changed a document: manual (people decide), last-write-wins (the later one wins), fields
    /// (members that only one side changed are taken from that side)
    #[arg(long, value_name = "STRATEGY", value_parser = strategy, default_value = "manual")]
    strategy: Strategy,
    /// Offline: key of a store (wn1…) whose documents and commits are believed, now and later; repeatable. A server has
    /// `--mirror-trust`
    #[arg(long, value_name = "ID", value_parser = node_key, requires = "data")]
    trust: Vec<PublicKey>,
    /// Where our side is right, whatever the strategy: a bucket or one key of it; repeatable
    #[arg(long, value_name = "BUCKET[/KEY]", value_parser = SyncNamed::parse)]
    ours: Vec<SyncNamed>,
    /// Where their side is right; repeatable
    #[arg(long, value_name = "BUCKET[/KEY]", value_parser = SyncNamed::parse)]
    theirs: Vec<SyncNamed>,
    /// Say what would be done; nothing is written or pushed
    #[arg(long)]
    dry_run: bool,
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
    let dry_run = args.dry_run;
    let report = if let (Some(data), Some(remote)) = (args.data, args.remote) {
        let options = SyncOptions {
            trusted: args.trust,
            ours: args.ours,
            theirs: args.theirs,
            dry_run,
            ..SyncOptions::new(place(&remote), args.strategy)
        };
        json!(of_stopped(&data, args.mirror, &options)?)
    } else {
        let names = |named: Vec<SyncNamed>| named.iter().map(spelled).collect::<Vec<_>>();
        let how = json!({
            "strategy": args.strategy.name(), "ours": names(args.ours), "theirs": names(args.theirs), "dry_run": dry_run,
        });
        connected(args.reach, async |client| client.sync_mirror(&how).await)?
    };
    let settled = report.get("settled") == Some(&Value::Bool(true));
    Ok(Done {
        human: in_words(&report, settled, dry_run),
        json: report,
        code: u8::from(!settled),
    })
}

fn spelled(named: &SyncNamed) -> String {
    match &named.key {
        Some(key) => format!("{}/{key}", named.bucket),
        None => named.bucket.to_string(),
    }
}

fn of_stopped(data: &Path, mirror: Option<PathBuf>, options: &SyncOptions) -> Result<SyncReport, Error> {
    let engine = EngineOptions {
        prober: prober(),
        ..EngineOptions::default()
    };
    let engine = Engine::open(data, engine)?;
    let kept = MirrorOptions {
        dir: mirror,
        ..MirrorOptions::default()
    };
    let mirror = Mirror::start(&engine, kept).map_err(|error| Error::Usage(error.to_string()))?;
    let proof = Authorized::local("wfldb-admin mirror sync", Op::Admin, Target::Store);
    mirror.syncs().sync(&proof, options).map_err(|error| match error {
        SyncError::Untrusted(_) => Error::Usage(format!("{error}; if it is a store of yours: --trust ID")),
        SyncError::Engine(error) => error.into(),
        error => Error::Usage(error.to_string()),
    })
}

fn in_words(report: &Value, settled: bool, dry_run: bool) -> String {
    let number = |name: &str| report.get(name).and_then(Value::as_u64).unwrap_or(0);
    let list = |name: &str| {
        report
            .get(name)
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default()
    };
    let text = |value: &Value, name: &str| {
        let text = value.get(name).and_then(Value::as_str);
        text.unwrap_or_default().to_owned()
    };
    let mut said = format!(
        "{}{}: {} commits fetched; {} keys taken over, {} merged, {} ahead here, {} in conflict, {} refused",
        if dry_run { "would be " } else { "" },
        if settled { "settled" } else { "NOT SETTLED" },
        number("fetched"),
        number("taken"),
        number("written"),
        number("kept"),
        list("conflicts").len(),
        list("refused").len(),
    );
    for conflict in list("conflicts") {
        let (bucket, key) = (text(&conflict, "bucket"), text(&conflict, "key"));
        for one in conflict
            .get("conflicts")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            let pointer = text(one, "pointer");
            let place = if pointer.is_empty() {
                "the whole of it"
            } else {
                &pointer
            };
            let _ = write!(said, "\nin conflict: {bucket}/{key}: {place}");
        }
    }
    for (name, word) in [
        ("undecided", "to decide"),
        ("refused", "refused"),
        ("noted", "note"),
    ] {
        for pair in list(name) {
            let part = |at: usize| pair.get(at).and_then(Value::as_str).unwrap_or_default();
            let _ = write!(said, "\n{word}: {}: {}", part(0), part(1));
        }
    }
    let pushed = report.get("pushed") == Some(&Value::Bool(true));
    if pushed {
        let _ = write!(said, "\npushed {}", text(report, "head"));
    } else if settled && !dry_run {
        said.push_str("\nthe remote has everything");
    } else if !settled {
        said.push_str(
            "\nnothing was pushed: decide with --ours BUCKET/KEY, --theirs BUCKET/KEY or another --strategy",
        );
    }
    said
}
