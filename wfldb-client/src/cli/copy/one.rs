//! A single file up, down, or from key to key.

use std::path::{Path, PathBuf};

use serde_json::json;
use wfldb_client::tree::meta::FileMeta;
use wfldb_client::tree::name::key_of;
use wfldb_client::tree::part::PartFile;
use wfldb_client::{Client, Error, GetOptions, ObjectInfo, Prepared, PutOptions};

use super::up::{headers, put_surely};
use crate::cli::args::Cp;
use crate::cli::exit::Failure;
use crate::cli::object::{file_for, file_meta};
use crate::cli::output::{Output, counted, shown};
use crate::cli::spool;
use crate::cli::target::Target;

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
    let prepared = Prepared::file(from).await?;
    let options = PutOptions {
        headers: headers(Some(from), meta),
        ..PutOptions::default()
    };
    put_surely(client, &to.bucket, &to.key()?, &prepared, options).await?;
    copied(output, &from.to_string_lossy(), &to.to_string(), prepared.len())
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
    copied(output, &from.to_string(), &path.to_string_lossy(), info.len)
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
    let mut object = client
        .get(&from.bucket, &from.key()?, GetOptions::default())
        .await?;
    let mut spool = spool::object(&mut object).await?;
    let prepared = spool.prepare().await?;
    let options = PutOptions {
        headers: object.info().headers.clone(),
        ..PutOptions::default()
    };
    put_surely(client, &to.bucket, &to.key()?, &prepared, options).await?;
    copied(output, &from.to_string(), &to.to_string(), prepared.len())
}

fn copied(output: &Output, from: &str, to: &str, bytes: u64) -> Result<(), Failure> {
    let human = || {
        format!(
            "copied {} to {} ({})",
            shown(from),
            shown(to),
            counted(bytes, "byte", "bytes")
        )
    };
    Ok(output.line(
        human,
        || json!({"action": "copied", "from": from, "to": to, "bytes": bytes}),
    )?)
}
