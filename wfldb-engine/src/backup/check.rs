//! What is read of a backup's rows, beyond what opening a store looks at: the whole chain, every body, every chunk.

use wfldb_core::id::{BucketId, ChunkHash, ContentHash, LogPosition, VersionId};

use super::chunks::{NamedChunk, named_by_rows};
use super::verify::Findings;
use crate::chunk::Checker;
use crate::row::{ChangeRow, CommitMark, ObjectRow, PartRow, key};
use crate::storage::{Snapshot, Space};

/// How many of what was read.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) changes: u64,
    pub(super) versions: u64,
    pub(super) chunks: super::Tally,
}

/// Walks the chain from the first change to the mark, and compares the evidence that is there with it.
pub(super) fn chain(
    snapshot: &dyn Snapshot,
    mark: &CommitMark,
    findings: &mut Findings,
    counts: &mut Counts,
) {
    let mut position = 0;
    let mut last = [0; 32];
    for row in snapshot.range(Space::Log, &key::change(LogPosition::new(0)), b"d", false) {
        let change =
            row.map_err(|error| error.to_string())
                .and_then(|(_, row)| match ChangeRow::decode(&row) {
                    Ok(change) => Ok((change, *blake3::hash(&row).as_bytes())),
                    Err(error) => Err(error.to_string()),
                });
        let (change, hash) = match change {
            Ok(read) => read,
            Err(error) => return findings.add("ChainBroken", format!("after position {position}: {error}")),
        };
        if change.position.get() != position + 1 || change.prev != last {
            return findings.add("ChainBroken", format!("between position {position} and the next"));
        }
        position += 1;
        last = hash;
        counts.changes += 1;
        evidence(snapshot, &change, findings);
    }
    if position != mark.position.get() || (position > 0 && last != mark.chain) {
        findings.add(
            "ChainBroken",
            format!("it ends at position {position}, the mark is at {}", mark.position),
        );
    }
}

/// Erased evidence leaves no trace but its hash; what is there must have it.
fn evidence(snapshot: &dyn Snapshot, change: &ChangeRow, findings: &mut Findings) {
    match snapshot.get(Space::Log, &key::evidence(change.position)) {
        Ok(Some(row)) if *blake3::hash(&row).as_bytes() != change.evidence => {
            findings.add("EvidenceDamaged", format!("at position {}", change.position));
        }
        Ok(_) => {}
        Err(error) => findings.add("Unreadable", error.to_string()),
    }
}

/// Every version has its bytes: a body of the right hash, or a reference for each of its chunks.
pub(super) fn versions(snapshot: &dyn Snapshot, findings: &mut Findings, counts: &mut Counts) {
    for row in snapshot.range(Space::Versions, &[], &[], false) {
        let read = row.map_err(|error| error.to_string()).and_then(|(key, row)| {
            let bucket = key.first_chunk::<16>().map(|id| BucketId::from_bytes(*id));
            let bucket = bucket.ok_or_else(|| "a key of a version".to_owned())?;
            ObjectRow::decode(&row)
                .map(|row| (bucket, row))
                .map_err(|error| error.to_string())
        });
        match read {
            Ok((bucket, row)) => {
                counts.versions += 1;
                if let Err(what) = bytes_are_there(snapshot, &bucket, &row) {
                    findings.add("BodyDamaged", format!("at position {}: {what}", row.position));
                }
            }
            Err(error) => findings.add("RowDamaged", error),
        }
    }
}

/// Every part of an unfinished upload has a reference for each of its chunks.
pub(super) fn parts(snapshot: &dyn Snapshot, findings: &mut Findings) {
    for row in snapshot.range(Space::Index, &[], &[], false) {
        let checked = row.map_err(|error| error.to_string()).and_then(|(key, row)| {
            let bucket = key.first_chunk::<16>().filter(|_| key::is_part(&key));
            let Some(bucket) = bucket.map(|id| BucketId::from_bytes(*id)) else {
                return Ok(());
            };
            let part = PartRow::decode(&row).map_err(|error| error.to_string())?;
            let bucket_row = snapshot.get(Space::Meta, &key::bucket_row(&bucket));
            if bucket_row.map_err(|error| error.to_string())?.is_none() {
                // Deleted, and its rows are on their way out one space after the other.
                return Ok(());
            }
            references_are_there(snapshot, &bucket, &part.reference, &part.chunks)
        });
        if let Err(what) = checked {
            findings.add("RowDamaged", format!("a part of an upload: {what}"));
        }
    }
}

fn bytes_are_there(snapshot: &dyn Snapshot, bucket: &BucketId, row: &ObjectRow) -> Result<(), String> {
    // A tombstone has none, and neither has an empty body.
    if row.deleted || row.len == 0 {
        return Ok(());
    }
    if row.inline {
        let body = snapshot
            .get(Space::Bodies, &key::body(bucket, &row.version))
            .map_err(|error| error.to_string())?;
        return match body {
            Some(body) if ContentHash::of(&body) == row.etag => Ok(()),
            Some(_) => Err("the body has another hash".to_owned()),
            None => Err("the body is missing".to_owned()),
        };
    }
    references_are_there(snapshot, bucket, &row.version, &row.chunks)
}

fn references_are_there(
    snapshot: &dyn Snapshot,
    bucket: &BucketId,
    version: &VersionId,
    chunks: &[ChunkHash],
) -> Result<(), String> {
    for chunk in chunks {
        let reference = key::chunk_reference(bucket, chunk, version);
        if snapshot
            .get(Space::Chunks, &reference)
            .map_err(|error| error.to_string())?
            .is_none()
        {
            return Err(format!("no reference to its chunk {chunk}"));
        }
    }
    Ok(())
}

/// Every chunk that a row names is where `file` says, with its bytes; and the list is exactly of these.
pub(super) fn chunks(
    snapshot: &dyn Snapshot,
    mut list: impl Iterator<Item = Result<NamedChunk, super::BackupError>>,
    file: impl Fn(&NamedChunk) -> std::path::PathBuf,
    findings: &mut Findings,
    counts: &mut Counts,
) {
    let mut list_is_right = true;
    let checker = Checker::new();
    for chunk in named_by_rows(snapshot) {
        let chunk = match chunk {
            Ok(chunk) => chunk,
            Err(error) => return findings.add("RowDamaged", error.to_string()),
        };
        list_is_right &= matches!(list.next(), Some(Ok(listed)) if listed == chunk);
        let file = file(&chunk);
        counts
            .chunks
            .add(Checker::file_bytes(&file, chunk.len).unwrap_or(0));
        if let Err(error) = checker.check(&file, &chunk.hash, chunk.len) {
            findings.add("ChunkDamaged", format!("{}: {error}", chunk.path().display()));
        }
    }
    if !list_is_right || list.next().is_some() {
        findings.add(
            "ListWrong",
            format!("{} is not what the rows name", super::chunks::NAME),
        );
    }
}
