//! The files of objects: their bytes, and what stands beside them.

use std::path::{Path, PathBuf};

use wfldb_client::tree::walk::content_type;
use wfldb_client::{Client, Edited, Error, ObjectFile, Prepared};
use wfldb_core::mirror::Strategy;
use wfldb_core::object::{HeaderText, ObjectHeaders};
use wfldb_engine::{EditedObject, MirrorSource, MirroredBucket, MirroredFile, SaidOfObject, Written};

use super::Report;

/// Takes the files of a bucket's objects.
pub(super) async fn edit(
    client: &Client,
    mirror: &MirrorSource,
    bucket: &MirroredBucket,
    written: &Written,
    strategy: Strategy,
    report: &mut Report,
) -> Result<(), Error> {
    let files = match mirror.files(bucket) {
        Ok(files) => files,
        Err(error) => {
            report.refuse(bucket.name.as_str(), error);
            return Ok(());
        }
    };
    for file in files.iter().filter(|file| !file.deleted) {
        let edited = match mirror.edited_object(bucket, file, written) {
            Ok(object) => one(client, bucket, file, object, strategy).await,
            Err(error) => {
                report.refuse(&file.path, error);
                continue;
            }
        };
        report.take(&file.path, edited)?;
    }
    Ok(())
}

async fn one(
    client: &Client,
    bucket: &MirroredBucket,
    file: &MirroredFile,
    object: EditedObject,
    strategy: Strategy,
) -> Result<Edited, Error> {
    let EditedObject { key, said, body } = object;
    let bytes = Prepared::open_file(body, PathBuf::from(&file.path)).await?;
    if said
        .as_ref()
        .is_some_and(|said| said.as_written && said.etag == bytes.etag())
    {
        return Ok(Edited::Unchanged);
    }
    let begun_with = said.as_ref().map(|said| said.version);
    let headers = said.map_or_else(|| guessed(key.as_str()), |said: SaidOfObject| said.headers);
    let edited = ObjectFile {
        bytes,
        headers,
        begun_with,
    };
    client.edit_object(&bucket.name, &key, &edited, strategy).await
}

/// What is said of an object of which somebody gave the bytes only.
fn guessed(name: &str) -> ObjectHeaders {
    let kind = content_type(Path::new(name));
    ObjectHeaders {
        content_type: kind.and_then(|kind| HeaderText::parse(kind).ok()),
        ..ObjectHeaders::default()
    }
}
