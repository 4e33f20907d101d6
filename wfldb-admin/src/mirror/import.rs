//! `mirror import`: edits of documents' files become versions, through a running server.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};
use wfldb_admin::Error;
use wfldb_client::{Client, Edited};
use wfldb_core::mirror::{Conflict, Strategy};
use wfldb_core::name::BucketName;
use wfldb_engine::{MirrorSource, MirroredBucket, MirroredFile};

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
    /// that only one side changed are taken from that side)
    #[arg(long, value_name = "STRATEGY", value_parser = strategy, default_value = "manual")]
    strategy: Strategy,
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
}

pub(crate) fn import(args: Import) -> Result<Done, Error> {
    let mirror = open(&args.mirror)?;
    let buckets = mirror.buckets();
    let buckets = buckets.map_err(|(path, error)| Error::Usage(format!("{path}: {error}")))?;
    let (wanted, strategy) = (args.bucket, args.strategy);
    if let Some(missing) = wanted
        .iter()
        .find(|name| !buckets.iter().any(|bucket| bucket.name == **name))
    {
        return Err(Error::Usage(format!("the mirror has no bucket {missing}")));
    }
    let report = connected(args.reach, async move |client| {
        let mut report = Report::default();
        let is_wanted = |bucket: &&MirroredBucket| {
            bucket.holds_documents() && (wanted.is_empty() || wanted.contains(&bucket.name))
        };
        for bucket in buckets.iter().filter(is_wanted) {
            match mirror.files(bucket) {
                Ok(files) => {
                    for file in files.iter().filter(|file| !file.deleted) {
                        edit(client, &mirror, bucket, file, strategy, &mut report).await?;
                    }
                }
                Err(error) => report.refused.push((bucket.name.to_string(), error.to_string())),
            }
        }
        Ok(report)
    })?;
    Ok(imported(&report))
}

async fn edit(
    client: &Client,
    mirror: &MirrorSource,
    bucket: &MirroredBucket,
    file: &MirroredFile,
    strategy: Strategy,
    report: &mut Report,
) -> Result<(), wfldb_client::Error> {
    let path = file.path.clone();
    let (key, edited) = match mirror.document(bucket, file) {
        Ok(read) => read,
        Err(error) => {
            report.refused.push((path, error.to_string()));
            return Ok(());
        }
    };
    match client.edit_document(&bucket.name, &key, &edited, strategy).await {
        Ok(Edited::Unchanged) => report.unchanged += 1,
        Ok(Edited::Written(_)) => report.written.push(path),
        Ok(Edited::Conflict(conflicts)) => report.conflicts.push((path, conflicts)),
        Err(error) if error.stops_everything() => return Err(error),
        Err(error) => report.refused.push((path, error.to_string())),
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
                "the whole document"
            } else {
                conflict.pointer.as_str()
            };
            let _ = write!(human, "\nin conflict: {path}: {place}");
        }
    }
    refused(&mut human, &report.refused);
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
        }),
        human,
        code: u8::from(!report.conflicts.is_empty() || !report.refused.is_empty()),
    }
}
