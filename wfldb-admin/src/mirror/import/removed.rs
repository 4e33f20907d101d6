//! Files that somebody removed: their keys are deleted where that is asked for, and where the file was of the version that
//! is the newest one.
//!
//! Whether it was is told by the manifest, which has SHA-256 of what the mirror wrote there last. A file that the mirror has
//! not written yet is in no manifest, so that a mirror which is behind, or is being made, deletes nothing.

use sha2::{Digest as _, Sha256};
use wfldb_client::{Client, Error, GetOptions, Item, ScanQuery};
use wfldb_core::mirror::pretty;
use wfldb_core::object::Preconditions;
use wfldb_engine::{MirrorSource, MirroredBucket, Written};

use super::Report;

/// Why a key whose file is gone stays.
const NEWER: &str = "the store has another version than the mirror had; it stays";

/// Looks for the keys of files that are gone; `delete`: and deletes them.
pub(super) async fn removed(
    client: &Client,
    mirror: &MirrorSource,
    bucket: &MirroredBucket,
    written: &Written,
    delete: bool,
    report: &mut Report,
) -> Result<(), Error> {
    let gone = match mirror.removed(bucket, written) {
        Ok(gone) => gone,
        Err(error) => {
            report.refuse(bucket.name.as_str(), error);
            return Ok(());
        }
    };
    if gone.is_empty() {
        return Ok(());
    }
    // A file's name does not say whose it is, but a key says what its file is called.
    let mut keys = client.scan(&bucket.name, &ScanQuery::default());
    loop {
        let item = match keys.next().await {
            Ok(Some(item)) => item,
            Ok(None) => return Ok(()),
            Err(error) if error.stops_everything() => return Err(error),
            Err(error) => {
                report.refuse(bucket.name.as_str(), error);
                return Ok(());
            }
        };
        let path = bucket.path_of(&item.key);
        let Some(hash) = gone.get(&path) else { continue };
        // The mirror writes on meanwhile.
        match mirror.holds(bucket, &item.key) {
            Ok(true) => continue,
            Ok(false) => {}
            Err(error) => {
                report.refuse(&path, error);
                continue;
            }
        }
        match one(client, mirror, bucket, &item, hash, delete).await {
            Ok(Fate::Deleted) => report.deleted.push(path),
            Ok(Fate::Found) => report.removed.push((path, None)),
            Ok(Fate::Newer) => report.removed.push((path, Some(NEWER))),
            Err(error) if error.stops_everything() => return Err(error),
            Err(error) => report.refuse(&path, error),
        }
    }
}

/// What becomes of a key whose file is gone.
enum Fate {
    /// It was deleted.
    Deleted,
    /// It could be.
    Found,
    /// The file was of another version.
    Newer,
}

async fn one(
    client: &Client,
    mirror: &MirrorSource,
    bucket: &MirroredBucket,
    item: &Item,
    hash: &[u8; 32],
    delete: bool,
) -> Result<Fate, Error> {
    let was_newest = if bucket.holds_documents() {
        // The signed document names its bucket, key and version.
        let then = GetOptions::version(item.version);
        let document = client.document(&bucket.name, &item.key, then).await?;
        sha256(&pretty(&document.json)) == *hash
    } else {
        match mirror.version_beside(bucket, &item.key) {
            Ok(Some(version)) => version == item.version,
            Ok(None) => bytes_have(client, bucket, item, hash).await?,
            Err(error) => return Err(Error::Local(error.to_string())),
        }
    };
    if !was_newest {
        return Ok(Fate::Newer);
    }
    if !delete {
        return Ok(Fate::Found);
    }
    let only = Preconditions {
        if_version: Some(item.version),
        ..Preconditions::default()
    };
    match client.delete(&bucket.name, &item.key, &only).await {
        Ok(_) => Ok(Fate::Deleted),
        Err(error) if error.is_precondition() => Ok(Fate::Newer),
        Err(error) => Err(error),
    }
}

/// Whether the bytes of a version have this hash. Both files of the object are gone, so nothing else says what they were.
async fn bytes_have(
    client: &Client,
    bucket: &MirroredBucket,
    item: &Item,
    hash: &[u8; 32],
) -> Result<bool, Error> {
    let then = GetOptions::version(item.version);
    let mut object = client.get(&bucket.name, &item.key, then).await?;
    let mut hasher = Sha256::new();
    while let Some(piece) = object.chunk().await? {
        hasher.update(&piece);
    }
    let found: [u8; 32] = hasher.finalize().into();
    Ok(found == *hash)
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}
