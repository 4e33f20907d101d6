//! Files on their way up: by one request, or in parts that a later run can go on with.

use std::future::Future;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use wfldb_client::{
    Client, Error, GetOptions, Prepared, PutOptions, SINGLE_PUT_BYTES_MAX, Stored, UploadOptions, Uploaded,
    default_upload_state,
};
use wfldb_core::id::ContentHash;
use wfldb_core::name::{BucketName, ObjectKey};

/// How often a write whose outcome is unknown is looked up and, when it did not happen, made again.
const UNKNOWN_ATTEMPTS_MAX: u32 = 3;

/// Where interrupted uploads are noted; `None` without a home directory.
pub(super) fn state_directory() -> Option<PathBuf> {
    let variable = |name| std::env::var_os(name);
    default_upload_state(variable("XDG_STATE_HOME").as_deref(), variable("HOME").as_deref())
}

/// Whether a file of this length goes up in parts.
pub(super) fn is_large(len: u64) -> bool {
    len > SINGLE_PUT_BYTES_MAX
}

/// Uploads a large file in parts.
pub(super) async fn large(
    client: &Client,
    bucket: &BucketName,
    key: &ObjectKey,
    path: &Path,
    put: PutOptions,
) -> Result<Uploaded, Error> {
    let options = UploadOptions {
        put,
        state: state_directory(),
        ..UploadOptions::default()
    };
    client.upload_file(bucket, key, path, options).await
}

/// Stores what was prepared, by [`surely`].
pub(super) async fn small(
    client: &Client,
    bucket: &BucketName,
    key: &ObjectKey,
    prepared: &Prepared,
    options: PutOptions,
) -> Result<(), Error> {
    let put = || client.put_prepared(bucket, key, prepared, options.clone());
    surely(client, bucket, key, prepared.etag(), put).await
}

/// Writes; when the outcome is unknown, reads back, and writes again only if what was written is not there.
pub(super) async fn surely<F>(
    client: &Client,
    bucket: &BucketName,
    key: &ObjectKey,
    etag: ContentHash,
    write: impl Fn() -> F,
) -> Result<(), Error>
where
    F: Future<Output = Result<Stored, Error>>,
{
    let mut attempt = 1;
    loop {
        match write().await {
            Err(Error::OutcomeUnknown(why)) if attempt < UNKNOWN_ATTEMPTS_MAX => {
                match client.head(bucket, key, GetOptions::default()).await {
                    Ok(info) if info.etag == etag => return Ok(()),
                    Ok(_) => {}
                    Err(error) if error.is_not_found() => {}
                    Err(error) if error.stops_everything() => return Err(error),
                    Err(_) => return Err(Error::OutcomeUnknown(why)),
                }
            }
            Err(error) => return Err(error),
            Ok(_) => return Ok(()),
        }
        attempt += 1;
    }
}

/// What people are told about a resumed upload.
pub(super) fn kept_words(uploaded: &Uploaded) -> String {
    match (uploaded.parts, uploaded.parts_kept) {
        (_, 0) => String::new(),
        (parts, kept) => format!(" (resumed: {kept} of {parts} parts were there)"),
    }
}

/// The same for programs.
pub(super) fn mark(value: &mut Value, uploaded: &Uploaded) {
    if let Some(members) = value.as_object_mut().filter(|_| uploaded.parts > 0) {
        members.insert("parts".to_owned(), json!(uploaded.parts));
        members.insert("parts_kept".to_owned(), json!(uploaded.parts_kept));
    }
}
