//! What is known about a bucket or an object, in words and in JSON.

use serde_json::{Value, json};
use wfldb_client::{Client, GetOptions, ObjectInfo, Stored};
use wfldb_core::object::HeaderText;

use super::args::{Stat, Which};
use super::exit::Failure;
use super::output::{Output, shown};
use super::target::Target;

/// What to read by the arguments.
pub(crate) fn which(which: &Which) -> GetOptions {
    GetOptions {
        version: which.version,
        at: which.at,
        ..GetOptions::default()
    }
}

/// A bucket's configuration and usage.
pub(crate) async fn bucket(client: &Client, output: &Output, target: &Target) -> Result<(), Failure> {
    let bucket = client.bucket(&target.bucket).await?;
    let value = serde_json::to_value(&bucket).unwrap_or_default();
    Ok(output.line(|| members(&value), || value.clone())?)
}

pub(crate) async fn stat(client: &Client, output: &Output, args: &Stat) -> Result<(), Failure> {
    if args.target.rest.is_empty() {
        if args.which.version.is_some() || args.which.at.is_some() {
            return Err(Failure::Usage("--version and --at speak of an object".to_owned()));
        }
        return bucket(client, output, &args.target).await;
    }
    let info = client
        .head(&args.target.bucket, &args.target.key()?, which(&args.which))
        .await?;
    let value = info_json(&args.target, &info);
    Ok(output.line(|| members(&value), || value.clone())?)
}

pub(super) fn info_json(target: &Target, info: &ObjectInfo) -> Value {
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
pub(super) fn members(value: &Value) -> String {
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

pub(crate) fn stored_json(target: &Target, stored: &Stored) -> Value {
    json!({"bucket": target.bucket.as_str(), "key": target.rest, "version": stored.version.to_string(),
        "seq": stored.seq.get(), "etag": stored.etag.to_string(), "created": stored.created})
}
