//! `mirror import`: edits of a mirror's files become versions, through a running server.

mod objects;
mod removed;

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};
use wfldb_admin::Error;
use wfldb_client::{Client, Edited};
use wfldb_core::mirror::{Conflict, Strategy};
use wfldb_core::name::BucketName;
use wfldb_engine::{MirrorSource, MirroredBucket};

use super::{open, refused, refused_json, strategy};
use crate::Done;
use crate::reach::{Reach, connected};

#[derive(Debug, Args)]
pub(crate) struct Import {
    #[command(flatten)]
    reach: Reach,
    /// The mirror's directory
    #[arg(long, value_name = "DIR")]
    mirror: PathBuf,
    /// Only this bucket; repeatable
    #[arg(long, value_name = "BUCKET", value_parser = bucket)]
    bucket: Vec<BucketName>,
    /// What is done where the document has changed since: manual (nothing), last-write-wins (the file wins), fields (members
    /// that only one side changed are taken from that side; the bytes of an object are one value)
    #[arg(long, value_name = "STRATEGY", value_parser = strategy, default_value = "manual")]
    strategy: Strategy,
    /// Delete the keys whose files were removed, if the file was of the newest version. Without it they are only named
    #[arg(long)]
    deletions: bool,
}

fn bucket(text: &str) -> Result<BucketName, String> {
    BucketName::parse(text).map_err(|error| error.to_string())
}

/// What became of the files.
#[derive(Default)]
struct Report {
    unchanged: u64,
    written: Vec<String>,
    conflicts: Vec<(String, Vec<Conflict>)>,
    refused: Vec<(String, String)>,
    deleted: Vec<String>,
    /// Files that are gone and whose keys are not, with why those stay although they were to be deleted.
    removed: Vec<(String, Option<&'static str>)>,
}

impl Report {
    fn refuse(&mut self, path: &str, why: impl std::fmt::Display) {
        self.refused.push((path.to_owned(), why.to_string()));
    }

    /// Takes down what became of a file. Gives back what the next one would fail with too.
    fn take(
        &mut self,
        path: &str,
        edited: Result<Edited, wfldb_client::Error>,
    ) -> Result<(), wfldb_client::Error> {
        match edited {
            Ok(Edited::Unchanged) => self.unchanged += 1,
            Ok(Edited::Written(_)) => self.written.push(path.to_owned()),
            Ok(Edited::Conflict(conflicts)) => self.conflicts.push((path.to_owned(), conflicts)),
            Err(error) if error.stops_everything() => return Err(error),
            Err(error) => self.refuse(path, error),
        }
        Ok(())
    }
}

pub(crate) fn import(args: Import) -> Result<Done, Error> {
    let mirror = open(&args.mirror)?;
    let buckets = mirror.buckets();
    let buckets = buckets.map_err(|(path, error)| Error::Usage(format!("{path}: {error}")))?;
    let (wanted, strategy, deletions) = (args.bucket, args.strategy, args.deletions);
    if let Some(missing) = wanted
        .iter()
        .find(|name| !buckets.iter().any(|bucket| bucket.name == **name))
    {
        return Err(Error::Usage(format!("the mirror has no bucket {missing}")));
    }
    let report = connected(args.reach, async move |client| {
        let mut report = Report::default();
        let is_wanted = |bucket: &&MirroredBucket| wanted.is_empty() || wanted.contains(&bucket.name);
        for bucket in buckets.iter().filter(is_wanted) {
            // Before the files are looked at: what is written meanwhile is in no manifest that we read.
            let written = match mirror.written(bucket) {
                Ok(written) => written,
                Err(error) => {
                    report.refuse(bucket.name.as_str(), error);
                    continue;
                }
            };
            if bucket.holds_documents() {
                documents(client, &mirror, bucket, strategy, &mut report).await?;
            } else {
                objects::edit(client, &mirror, bucket, &written, strategy, &mut report).await?;
            }
            removed::removed(client, &mirror, bucket, &written, deletions, &mut report).await?;
        }
        Ok(report)
    })?;
    Ok(imported(&report))
}

async fn documents(
    client: &Client,
    mirror: &MirrorSource,
    bucket: &MirroredBucket,
    strategy: Strategy,
    report: &mut Report,
) -> Result<(), wfldb_client::Error> {
    let files = match mirror.files(bucket) {
        Ok(files) => files,
        Err(error) => {
            report.refuse(bucket.name.as_str(), error);
            return Ok(());
        }
    };
    for file in files.iter().filter(|file| !file.deleted) {
        match mirror.document(bucket, file) {
            Ok((key, edited)) => {
                let edited = client.edit_document(&bucket.name, &key, &edited, strategy).await;
                report.take(&file.path, edited)?;
            }
            Err(error) => report.refuse(&file.path, error),
        }
    }
    Ok(())
}

fn imported(report: &Report) -> Done {
    let (written, conflicts) = (report.written.len(), report.conflicts.len());
    let mut human = format!(
        "{written} written, {} unchanged, {conflicts} in conflict, {} refused",
        report.unchanged,
        report.refused.len()
    );
    for path in &report.written {
        let _ = write!(human, "\nwritten: {path}");
    }
    for (path, conflicts) in &report.conflicts {
        for conflict in conflicts {
            let place = if conflict.pointer.is_empty() {
                "all of it"
            } else {
                conflict.pointer.as_str()
            };
            let _ = write!(human, "\nin conflict: {path}: {place}");
        }
    }
    for path in &report.deleted {
        let _ = write!(human, "\ndeleted: {path}");
    }
    for (path, why) in &report.removed {
        let why = why.map(|why| format!(": {why}")).unwrap_or_default();
        let _ = write!(human, "\nremoved: {path}{why}");
    }
    refused(&mut human, &report.refused);
    let removed = report
        .removed
        .iter()
        .map(|(path, why)| json!({"path": path, "why": why}));
    let conflicts_json = |conflicts: &[Conflict]| {
        let one = |conflict: &Conflict| {
            json!({
                "pointer": conflict.pointer, "base": conflict.base, "store": conflict.ours, "file": conflict.theirs,
            })
        };
        conflicts.iter().map(one).collect::<Value>()
    };
    let conflicts = report.conflicts.iter();
    let conflicts =
        conflicts.map(|(path, conflicts)| json!({"path": path, "conflicts": conflicts_json(conflicts)}));
    Done {
        json: json!({
            "written": report.written,
            "unchanged": report.unchanged,
            "conflicts": conflicts.collect::<Vec<_>>(),
            "refused": refused_json(&report.refused),
            "deleted": report.deleted,
            "removed": removed.collect::<Vec<_>>(),
        }),
        human,
        code: u8::from(!report.conflicts.is_empty() || !report.refused.is_empty()),
    }
}
