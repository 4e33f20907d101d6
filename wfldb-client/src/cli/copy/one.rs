//! A single file up, down, or from key to key.

use std::path::{Path, PathBuf};

use serde_json::json;
use wfldb_client::tree::meta::FileMeta;
use wfldb_client::tree::name::key_of;
use wfldb_client::tree::part::PartFile;
use wfldb_client::{
    Client, CopyOptions, CopySource, Error, GetOptions, ObjectInfo, Prepared, PutOptions, Uploaded,
};

use super::up::headers;
use crate::cli::args::Cp;
use crate::cli::exit::Failure;
use crate::cli::object::{file_for, file_meta};
use crate::cli::output::{Output, counted, shown};
use crate::cli::target::Target;
use crate::cli::upload;

pub(super) async fn up(
    client: &Client,
    output: &Output,
    args: &Cp,
    from: &Path,
    mut to: Target,
) -> Result<(), Failure> {
    let metadata = std::fs::metadata(from)
        .map_err(|error| Error::Local(format!("cannot read {}: {error}", from.display())))?;
    if metadata.is_dir() {
        return Err(Failure::Usage(format!(
            "{} is a directory: cp -r copies it",
            from.display()
        )));
    }
    if to.rest.is_empty() || to.rest.ends_with('/') {
        let name = from
            .file_name()
            .ok_or_else(|| Failure::Usage(format!("{} has no name", from.display())))?;
        let key = key_of(&to.rest, Path::new(name)).map_err(|error| Failure::Usage(error.to_string()))?;
        to.rest = key.to_string();
    }
    let meta = if args.no_preserve {
        FileMeta::default()
    } else {
        FileMeta::of(&metadata)
    };
    let options = PutOptions {
        headers: headers(Some(from), meta),
        ..PutOptions::default()
    };
    let key = to.key()?;
    let (bytes, uploaded) = if upload::is_large(metadata.len()) {
        let uploaded = upload::large(client, &to.bucket, &key, from, options).await?;
        (uploaded.bytes, Some(uploaded))
    } else {
        let prepared = Prepared::file(from).await?;
        upload::small(client, &to.bucket, &key, &prepared, options).await?;
        (prepared.len(), None)
    };
    copied(
        output,
        &from.to_string_lossy(),
        &to.to_string(),
        bytes,
        uploaded.as_ref(),
    )
}

pub(super) async fn down(
    client: &Client,
    output: &Output,
    args: &Cp,
    from: &Target,
    to: PathBuf,
) -> Result<(), Failure> {
    let path = file_for(from, Some(to))?;
    let place = path.clone();
    let begin = move || PartFile::at(&place);
    let preserve = !args.no_preserve;
    let meta = move |info: &ObjectInfo| {
        if preserve {
            file_meta(info)
        } else {
            FileMeta::default()
        }
    };
    let info = client
        .get_to_part(&from.bucket, &from.key()?, GetOptions::default(), begin, meta)
        .await?;
    copied(output, &from.to_string(), &path.to_string_lossy(), info.len, None)
}

pub(super) async fn across(
    client: &Client,
    output: &Output,
    from: &Target,
    mut to: Target,
) -> Result<(), Failure> {
    if to.rest.is_empty() || to.rest.ends_with('/') {
        to.rest.push_str(from.rest.rsplit('/').next().unwrap_or_default());
    }
    let (source, key) = (from.key()?, to.key()?);
    let info = client.head(&from.bucket, &source, GetOptions::default()).await?;
    let source = CopySource {
        bucket: from.bucket.clone(),
        key: source,
        version: Some(info.version),
    };
    let copy = || client.copy(&source, &to.bucket, &key, CopyOptions::default());
    upload::surely(client, &to.bucket, &key, info.etag, copy).await?;
    copied(output, &from.to_string(), &to.to_string(), info.len, None)
}

fn copied(
    output: &Output,
    from: &str,
    to: &str,
    bytes: u64,
    uploaded: Option<&Uploaded>,
) -> Result<(), Failure> {
    let human = || {
        format!(
            "copied {} to {} ({}){}",
            shown(from),
            shown(to),
            counted(bytes, "byte", "bytes"),
            uploaded.map(upload::kept_words).unwrap_or_default()
        )
    };
    let json = || {
        let mut value = json!({"action": "copied", "from": from, "to": to, "bytes": bytes});
        if let Some(uploaded) = uploaded {
            upload::mark(&mut value, uploaded);
        }
        value
    };
    Ok(output.line(human, json)?)
}
