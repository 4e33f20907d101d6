//! Single objects: put, get, cat, rm, stat.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use wfldb_client::tree::meta::FileMeta;
use wfldb_client::tree::name::path_of;
use wfldb_client::tree::walk::content_type;
use wfldb_client::{Client, Error, GetOptions, Object, ObjectInfo, Prepared, PutOptions, ScanQuery, Stored};
use wfldb_core::id::{ContentHash, VersionId};
use wfldb_core::object::{EtagCondition, HeaderText, ObjectHeaders, Preconditions, Tags};

use super::args::{Cat, Conditions, Get, Put, Rm, Stat};
use super::exit::{Code, Failure};
use super::list::key_prefix;
use super::output::{Output, counted, shown};
use super::spool;
use super::target::Target;

pub(crate) async fn put(client: &Client, output: &Output, args: Put) -> Result<(), Failure> {
    let mut target = args.target.clone();
    let from_stdin = args.file.as_os_str() == "-";
    if target.rest.is_empty() || target.rest.ends_with('/') {
        let name = args
            .file
            .file_name()
            .and_then(|name| name.to_str())
            .filter(|_| !from_stdin);
        target
            .rest
            .push_str(name.ok_or_else(|| Failure::Usage("BUCKET/KEY needs a key".to_owned()))?);
    }
    let key = target.key()?;
    let headers = headers(&args, key.as_str())?;
    let preconditions = Preconditions {
        if_none_match_any: args.if_none_match,
        ..preconditions(&args.conditions)?
    };
    let options = PutOptions {
        headers,
        preconditions,
        progress: None,
    };
    let stored = if from_stdin {
        let mut spool = spool::stdin().await?;
        let prepared = spool.prepare().await?;
        client
            .put_prepared(&target.bucket, &key, &prepared, options)
            .await?
    } else {
        let prepared = Prepared::file(&args.file).await?;
        client
            .put_prepared(&target.bucket, &key, &prepared, options)
            .await?
    };
    let human = || {
        format!(
            "stored {} as version {}",
            shown(&target.to_string()),
            stored.version
        )
    };
    output.line(human, || stored_json(&target, &stored))?;
    Ok(())
}

fn headers(args: &Put, key: &str) -> Result<ObjectHeaders, Failure> {
    let usage = |what: &str, why: &dyn std::fmt::Display| Failure::Usage(format!("{what}: {why}"));
    let text = |flag: &str, value: &Option<String>| {
        let parse = |value: &String| HeaderText::parse(value).map_err(|error| usage(flag, &error));
        value.as_ref().map(parse).transpose()
    };
    let named = if args.file.as_os_str() == "-" {
        Path::new(key)
    } else {
        &args.file
    };
    let guessed = content_type(named).map(str::to_owned);
    let meta = |(name, value): &(String, String)| {
        let value = HeaderText::parse(value).map_err(|error| usage("--meta", &error))?;
        Ok::<_, Failure>((name.to_ascii_lowercase(), value))
    };
    let mut headers = ObjectHeaders {
        content_type: text("--content-type", &args.content_type.clone().or(guessed))?,
        cache_control: text("--cache-control", &args.cache_control)?,
        expires: text("--expires", &args.expires)?,
        meta: args.meta.iter().map(meta).collect::<Result<_, _>>()?,
        tags: Tags::from_pairs(args.tag.iter().cloned()).map_err(|error| usage("--tag", &error))?,
        ttl_seconds: args.ttl,
    };
    headers.meta.sort_unstable();
    headers
        .check()
        .map_err(|error| Failure::Usage(error.to_string()))?;
    Ok(headers)
}

fn preconditions(conditions: &Conditions) -> Result<Preconditions, Failure> {
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

pub(crate) fn stored_json(target: &Target, stored: &Stored) -> Value {
    json!({"bucket": target.bucket.as_str(), "key": target.rest, "version": stored.version.to_string(),
        "seq": stored.seq.get(), "etag": stored.etag.to_string(), "created": stored.created})
}

pub(crate) async fn get(client: &Client, output: &Output, args: Get) -> Result<(), Failure> {
    let key = args.target.key()?;
    let options = GetOptions {
        version: args.version,
        ..GetOptions::default()
    };
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
        let options = GetOptions {
            version: args.version,
            ..GetOptions::default()
        };
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
        let erased = client
            .erase(&target.bucket, &target.key()?, version, &conditions)
            .await?;
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

pub(crate) async fn stat(client: &Client, output: &Output, args: &Stat) -> Result<(), Failure> {
    if args.target.rest.is_empty() {
        let bucket = client.bucket(&args.target.bucket).await?;
        let value = serde_json::to_value(&bucket).unwrap_or_default();
        return Ok(output.line(|| members(&value), || value.clone())?);
    }
    let options = GetOptions {
        version: args.version,
        ..GetOptions::default()
    };
    let info = client
        .head(&args.target.bucket, &args.target.key()?, options)
        .await?;
    let value = info_json(&args.target, &info);
    Ok(output.line(|| members(&value), || value.clone())?)
}

fn info_json(target: &Target, info: &ObjectInfo) -> Value {
    let text = |value: &Option<HeaderText>| value.as_ref().map(HeaderText::as_str).map(str::to_owned);
    let meta: serde_json::Map<String, Value> = info
        .headers
        .meta
        .iter()
        .map(|(name, value)| (name.clone(), json!(value.as_str())))
        .collect();
    let tags: serde_json::Map<String, Value> = info
        .headers
        .tags
        .iter()
        .map(|(name, value)| (name.to_owned(), json!(value)))
        .collect();
    let mut value = json!({
        "bucket": target.bucket.as_str(),
        "key": target.rest,
        "size": info.len,
        "etag": info.etag.to_string(),
        "version": info.version.to_string(),
        "seq": info.seq.get(),
        "modified": info.modified,
        "content_type": text(&info.headers.content_type),
        "cache_control": text(&info.headers.cache_control),
        "expires": text(&info.headers.expires),
        "ttl": info.headers.ttl_seconds,
        "meta": meta,
        "tags": tags,
    });
    if let Some(members) = value.as_object_mut() {
        members.retain(|_, member| !member.is_null() && *member != json!({}));
    }
    value
}

/// An object's members, one to a line; inner objects are written `outer.inner`.
fn members(value: &Value) -> String {
    fn collect(lines: &mut Vec<(String, String)>, name: &str, value: &Value) {
        match value {
            Value::Object(inner) => {
                for (member, value) in inner {
                    let name = if name.is_empty() {
                        member.clone()
                    } else {
                        format!("{name}.{member}")
                    };
                    collect(lines, &name, value);
                }
            }
            Value::String(text) => lines.push((name.to_owned(), text.clone())),
            other => lines.push((name.to_owned(), other.to_string())),
        }
    }
    let mut lines = Vec::new();
    collect(&mut lines, "", value);
    let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let rows: Vec<String> = lines
        .iter()
        .map(|(name, value)| format!("{:width$}  {}", shown(name), shown(value)))
        .collect();
    rows.join("\n")
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
