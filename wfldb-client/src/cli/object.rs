//! Single objects: get, cat, rm.

use std::io::Write;
use std::path::PathBuf;

use serde_json::json;
use wfldb_client::tree::meta::FileMeta;
use wfldb_client::tree::name::path_of;
use wfldb_client::{Client, Error, Object, ObjectInfo, ScanQuery};
use wfldb_core::id::{ContentHash, VersionId};
use wfldb_core::object::{EtagCondition, Preconditions};

use super::args::{Cat, Conditions, Get, Rm};
use super::exit::{Code, Failure};
use super::list::key_prefix;
use super::output::{Output, counted, shown};
use super::receipt;
use super::show::{info_json, which};
use super::target::Target;

pub(crate) fn preconditions(conditions: &Conditions) -> Result<Preconditions, Failure> {
    let etag = |text: &String| match text.as_str() {
        "*" => Ok(EtagCondition::Any),
        text => ContentHash::parse(text.trim_matches('"'))
            .map(EtagCondition::Is)
            .map_err(|_| Failure::Usage("--if-match takes 64 lower-case hex digits or *".to_owned())),
    };
    Ok(Preconditions {
        if_match: conditions.if_match.as_ref().map(etag).transpose()?,
        if_none_match_any: false,
        if_version: conditions.if_version,
    })
}

pub(crate) async fn get(client: &Client, output: &Output, args: Get) -> Result<(), Failure> {
    let key = args.target.key()?;
    let options = which(&args.which);
    if args.file.as_ref().is_some_and(|file| file.as_os_str() == "-") {
        return write_out(&mut client.get(&args.target.bucket, &key, options).await?).await;
    }
    let path = file_for(&args.target, args.file)?;
    let info = client
        .get_to_file(&args.target.bucket, &key, &path, options)
        .await?;
    let human = || {
        format!(
            "wrote {} ({})",
            shown(&path.to_string_lossy()),
            counted(info.len, "byte", "bytes")
        )
    };
    output.line(human, || {
        let mut value = info_json(&args.target, &info);
        if let Some(members) = value.as_object_mut() {
            members.insert("path".to_owned(), json!(path.to_string_lossy()));
        }
        value
    })?;
    Ok(())
}

/// Where an object goes when a file, a directory or nothing is named.
pub(crate) fn file_for(target: &Target, named: Option<PathBuf>) -> Result<PathBuf, Failure> {
    let into = match named {
        Some(path) if path.is_dir() || path.as_os_str().as_encoded_bytes().ends_with(b"/") => path,
        Some(path) => return Ok(path),
        None => PathBuf::new(),
    };
    let (above, last) = target.rest.rsplit_once('/').unwrap_or(("", &target.rest));
    let prefix = if above.is_empty() { "" } else { "inside/" };
    let local = path_of(prefix, last).map_err(|error| Failure::Usage(format!("{error}: name a file")))?;
    Ok(into.join(local.path))
}

pub(crate) async fn cat(client: &Client, _: &Output, args: &Cat) -> Result<(), Failure> {
    for target in &args.targets {
        let options = which(&args.which);
        let mut object = client.get(&target.bucket, &target.key()?, options).await?;
        write_out(&mut object).await?;
    }
    Ok(())
}

/// What has been written when a hash turns out wrong cannot be taken back; the exit code says so.
async fn write_out(object: &mut Object) -> Result<(), Failure> {
    while let Some(piece) = object.chunk().await? {
        std::io::stdout().lock().write_all(&piece)?;
    }
    Ok(std::io::stdout().lock().flush()?)
}

pub(crate) async fn remove(client: &Client, output: &Output, args: Rm) -> Result<(), Failure> {
    let conditions = preconditions(&args.conditions)?;
    if let Some(version) = &args.version {
        let [target] = args.targets.as_slice() else {
            return Err(Failure::Usage("--version speaks of one object".to_owned()));
        };
        let (bucket, key) = (&target.bucket, target.key()?);
        let file = args.receipt.as_deref().map(receipt::new_file).transpose()?;
        let erased = match file {
            None => client.erase(bucket, &key, version, &conditions).await?,
            Some(file) => {
                let erased = client
                    .erase_with_receipt(bucket, &key, version, &conditions)
                    .await?;
                receipt::keep(client, erased, file).await?
            }
        };
        let human = || match erased {
            Some(_) => format!("erased version {version} of {}", shown(&target.to_string())),
            None => format!("no version {version} at {}", shown(&target.to_string())),
        };
        return Ok(output.line(human, || {
            json!({"bucket": target.bucket.as_str(), "key": target.rest, "erased": erased.is_some(),
                "version": version.to_string()})
        })?);
    }
    if !args.recursive {
        for target in &args.targets {
            let deleted = client.delete(&target.bucket, &target.key()?, &conditions).await?;
            removed(output, target, deleted.as_ref().map(|(version, _)| version))?;
        }
        return Ok(());
    }
    if !conditions.is_empty() {
        return Err(Failure::Usage(
            "conditions speak of one object and do not go with -r".to_owned(),
        ));
    }
    let mut failed = 0_u64;
    for target in &args.targets {
        failed += remove_below(client, output, target).await?;
    }
    if failed > 0 {
        Err(Failure::Reported(Code::Failed))
    } else {
        Ok(())
    }
}

/// Deletes a page's keys at a time, together; says how many failed.
async fn remove_below(client: &Client, output: &Output, target: &Target) -> Result<u64, Failure> {
    let query = ScanQuery {
        prefix: key_prefix(&target.directory_prefix())?,
        page: 100,
        ..ScanQuery::default()
    };
    let mut scan = client.scan(&target.bucket, &query);
    let mut failed = 0;
    while let Some(page) = scan.next_page().await? {
        let mut deleting = tokio::task::JoinSet::new();
        for item in page.items {
            let (client, bucket) = (client.clone(), target.bucket.clone());
            deleting.spawn(async move {
                let deleted = client.delete(&bucket, &item.key, &Preconditions::default()).await;
                (item.key, deleted)
            });
        }
        let mut stopped = None;
        while let Some(Ok((key, deleted))) = deleting.join_next().await {
            let target = Target {
                bucket: target.bucket.clone(),
                rest: key.to_string(),
            };
            match deleted {
                Ok(deleted) => removed(output, &target, deleted.as_ref().map(|(version, _)| version))?,
                Err(error) if error.stops_everything() => stopped = Some(error),
                Err(error) => {
                    failed += 1;
                    output.remark(&failed_item(output, &target.to_string(), &error));
                }
            }
        }
        if let Some(error) = stopped {
            return Err(error.into());
        }
    }
    Ok(failed)
}

/// The report on one of several items.
pub(crate) fn failed_item(output: &Output, name: &str, error: &Error) -> String {
    if output.is_json() {
        json!({"item": name, "error": super::exit::error_json(error)}).to_string()
    } else {
        format!("wfldb: {}: {}", shown(name), super::exit::sentence(error))
    }
}

fn removed(output: &Output, target: &Target, tombstone: Option<&VersionId>) -> std::io::Result<()> {
    let human = || match &tombstone {
        Some(_) => format!("deleted {}", shown(&target.to_string())),
        None => format!("nothing was at {}", shown(&target.to_string())),
    };
    output.line(human, || {
        json!({"bucket": target.bucket.as_str(), "key": target.rest, "deleted": tombstone.is_some(),
            "version": tombstone.map(VersionId::to_string)})
    })
}

/// Time and mode of an object that was a file.
pub(crate) fn file_meta(info: &ObjectInfo) -> FileMeta {
    FileMeta::from_pairs(
        info.headers
            .meta
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str())),
    )
}
