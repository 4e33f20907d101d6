//! `backup` and `restore`: of a running server through the client, of a stopped store and of backups on their files.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;
use wfldb_admin::Error;
use wfldb_client::{BackupFiles, TakenBackup};
use wfldb_core::auth::{Authorized, Op, Target};
use wfldb_core::limits::SKEW_MS_MAX;
use wfldb_core::time::UnixMillis;
use wfldb_engine::{
    BackupReport, BackupVerdict, Engine, EngineOptions, RestoreOptions, list_backups, pick_backup,
    verify_backup,
};

use crate::reach::{Reach, connected, prober};
use crate::{Done, now};

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Backup {
    #[command(subcommand)]
    command: Option<BackupCommand>,
    /// Directory of the series of backups. Online: an absolute path on the server's machine, below its --backup-dir
    #[arg(required = true)]
    path: Option<PathBuf>,
    #[command(flatten)]
    reach: Reach,
    /// Offline: the directory of a store that no server has open
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum BackupCommand {
    /// Read a backup (of a series: the newest) from end to end; exit code 1 when anything is wrong with it
    Verify {
        /// A backup, or a series
        path: PathBuf,
    },
    /// List the backups of a series, oldest first
    List {
        /// The series
        path: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Restore {
    /// A backup, or a series
    path: PathBuf,
    /// Of a series, take the newest backup from this time or before: 2026-01-02T03:04:05.006Z
    timestamp: Option<String>,
    /// The directory to make, which is new or empty
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// Seconds that requests could be stamped in the future on the server that took the backup (its --skew-future).
    /// The restored store refuses what is stamped up to now and this, and is ready after it
    #[arg(long, value_name = "SECONDS", default_value_t = SKEW_MS_MAX / 1000)]
    skew_future: u64,
}

pub(crate) fn backup(args: Backup) -> Result<Done, Error> {
    match (args.command, args.path) {
        (Some(BackupCommand::Verify { path }), _) => verify(&path),
        (Some(BackupCommand::List { path }), _) => list(&path),
        (None, Some(path)) => {
            let taken = match args.data {
                Some(data) => offline(&data, &path)?,
                None => online(args.reach, &path)?,
            };
            Ok(done(&taken))
        }
        (None, None) => Err(Error::Usage("the directory of the series is needed".to_owned())),
    }
}

fn done(taken: &TakenBackup) -> Done {
    let mut human = format!("{}\nposition {}, {}\n", taken.path, taken.position, taken.time);
    let _ = write!(
        human,
        "copied {}, linked {}; chunks: {}; commits waited {} ms",
        size(taken.copied),
        size(taken.linked),
        size(taken.chunks),
        // Tenths of a millisecond are enough for people.
        format_args!("{}.{}", taken.pause_us / 1000, taken.pause_us % 1000 / 100),
    );
    Done {
        human,
        json: json!(taken),
        code: 0,
    }
}

fn size(files: BackupFiles) -> String {
    format!("{} bytes in {} files", files.bytes, files.files)
}

fn online(reach: Reach, path: &Path) -> Result<TakenBackup, Error> {
    let path = path.to_str().filter(|_| path.is_absolute()).ok_or_else(|| {
        let why = "an absolute path on the server's machine is needed (or --data DIR for a stopped store)";
        Error::Usage(format!("{}: {why}", path.display()))
    })?;
    connected(reach, async |client| client.backup(path).await)
}

fn offline(data: &Path, path: &Path) -> Result<TakenBackup, Error> {
    // Opening makes a store where there is none; a wrong path must not.
    if !data.join("STORE").is_file() {
        return Err(Error::Usage(format!("{}: there is no store", data.display())));
    }
    let options = EngineOptions {
        prober: prober(),
        ..EngineOptions::default()
    };
    let engine = Engine::open(data, options)?;
    if let Err(unready) = engine.health().writable
        && !matches!(unready, wfldb_engine::Unready::LowSpace)
    {
        return Err(Error::Usage(format!("{}: {unready}", data.display())));
    }
    let proof = Authorized::local("wfldb-admin backup", Op::Admin, Target::Store);
    let report = engine.backup(&proof, path)?;
    engine.close()?;
    Ok(taken(&report))
}

fn taken(report: &BackupReport) -> TakenBackup {
    let micros = |time: std::time::Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let files = |tally: wfldb_engine::Tally| BackupFiles {
        files: tally.files,
        bytes: tally.bytes,
    };
    TakenBackup {
        path: report.path.to_string_lossy().into_owned(),
        store: report.store.clone(),
        realm: report.realm.clone(),
        time: report.time.to_string(),
        position: report.position,
        commit: report.commit,
        pause_us: micros(report.pause),
        took_us: micros(report.took),
        copied: files(report.copied),
        linked: files(report.linked),
        chunks: files(report.chunks),
    }
}

fn verify(path: &Path) -> Result<Done, Error> {
    let verdict = verify_backup(&pick_backup(path, None)?, &prober())?;
    Ok(Done {
        human: verdict_in_words(&verdict),
        json: json!(verdict),
        code: u8::from(!verdict.sound),
    })
}

fn verdict_in_words(verdict: &BackupVerdict) -> String {
    let mut text = format!(
        "{}\n{} at position {}, {}: {} files, {} chunks",
        verdict.path.display(),
        if verdict.sound { "sound" } else { "NOT SOUND" },
        verdict.position,
        verdict.time,
        verdict.files.files,
        verdict.chunks.files,
    );
    for finding in &verdict.findings {
        let _ = write!(text, "\n{}: {}", finding.code, finding.what);
    }
    let more = verdict
        .findings_count
        .saturating_sub(verdict.findings.len() as u64);
    if more > 0 {
        let _ = write!(text, "\nand {more} more");
    }
    text
}

fn list(path: &Path) -> Result<Done, Error> {
    let found = list_backups(path)?;
    let line = |info: &wfldb_engine::BackupInfo| {
        format!(
            "{}  position {}  {} chunks  {}",
            info.time,
            info.position,
            info.chunks.files,
            info.path.display()
        )
    };
    let human = if found.is_empty() {
        "no backups".to_owned()
    } else {
        found.iter().map(line).collect::<Vec<_>>().join("\n")
    };
    Ok(Done {
        human,
        json: json!({ "backups": found }),
        code: 0,
    })
}

pub(crate) fn restore(args: &Restore) -> Result<Done, Error> {
    let at = args.timestamp.as_deref().map(UnixMillis::parse).transpose();
    let at = at.map_err(|error| Error::Usage(format!("TIMESTAMP: {error}")))?;
    if args.skew_future > SKEW_MS_MAX / 1000 {
        return Err(Error::Usage("--skew-future: at most 300 seconds".to_owned()));
    }
    let picked = pick_backup(&args.path, at)?;
    let options = RestoreOptions {
        skew_future_ms: args.skew_future * 1000,
        prober: prober(),
        ..RestoreOptions::new(now())
    };
    let report = wfldb_engine::restore(&picked, &args.to, &options)?;
    Ok(Done {
        human: format!(
            "{}\nrestored from {}: position {}, {} bytes in {} files\nit is ready after {}; until then no request is \
             accepted",
            report.path.display(),
            report.backup.display(),
            report.position,
            report.copied.bytes,
            report.copied.files,
            report.replay_mark,
        ),
        json: json!(report),
        code: 0,
    })
}
