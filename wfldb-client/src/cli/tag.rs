//! Tags of an object: shown, and set by a copy of the object onto itself.

use serde_json::json;
use wfldb_client::{Client, CopyOptions, CopySource, GetOptions, ObjectInfo};
use wfldb_core::object::{ObjectHeaders, Preconditions, Tags};
use wfldb_core::time::UnixMillis;

use super::args::Tag;
use super::exit::Failure;
use super::output::{Output, shown};
use super::target::Target;

pub(crate) async fn tag(client: &Client, output: &Output, args: &Tag) -> Result<(), Failure> {
    let (bucket, key) = (&args.target.bucket, args.target.key()?);
    let info = client.head(bucket, &key, GetOptions::default()).await?;
    if args.tags.is_empty() {
        return show(output, &args.target, &info, &info.headers.tags);
    }
    let tags = merged(&info.headers.tags, &args.tags, args.replace)?;
    let source = CopySource {
        bucket: bucket.clone(),
        key: key.clone(),
        version: Some(info.version),
    };
    let options = CopyOptions {
        headers: ObjectHeaders {
            tags: tags.clone(),
            ttl_seconds: ttl_left(&info, client.server_time()),
            ..ObjectHeaders::default()
        },
        // Nobody's newer version is buried under the old bytes.
        preconditions: Preconditions {
            if_version: Some(info.version),
            ..Preconditions::default()
        },
    };
    let stored = client.copy(&source, bucket, &key, options).await?;
    let info = ObjectInfo {
        version: stored.version,
        seq: stored.seq,
        ..info
    };
    show(output, &args.target, &info, &tags)
}

/// The object's tags with those that are given, or only these.
fn merged(there: &Tags, given: &[(String, String)], replace: bool) -> Result<Tags, Failure> {
    let usage = |error: wfldb_core::object::ObjectError| Failure::Usage(error.to_string());
    let given = Tags::from_pairs(given.iter().cloned()).map_err(usage)?;
    let stays = |name: &str| !replace && given.iter().all(|(other, _)| other != name);
    let kept = there.iter().filter(|(name, _)| stays(name));
    let all = kept.chain(given.iter());
    Tags::from_pairs(all.map(|(name, value)| (name.to_owned(), value.to_owned()))).map_err(usage)
}

/// A copy has no time to live but the one that it is given: what is left of the object's, so that it ends when it would
/// have.
fn ttl_left(info: &ObjectInfo, now: UnixMillis) -> Option<u64> {
    let ends = info
        .version
        .millis()
        .plus_ms(info.headers.ttl_seconds?.saturating_mul(1000));
    Some(ends.get().saturating_sub(now.get()).div_ceil(1000).max(1))
}

fn show(output: &Output, target: &Target, info: &ObjectInfo, tags: &Tags) -> Result<(), Failure> {
    let human = || {
        let lines: Vec<String> = tags
            .iter()
            .map(|(name, value)| format!("{}={}", shown(name), shown(value)))
            .collect();
        if lines.is_empty() {
            format!("{} has no tags", shown(&target.to_string()))
        } else {
            lines.join("\n")
        }
    };
    let json = || {
        let tags: serde_json::Map<_, _> = tags
            .iter()
            .map(|(name, value)| (name.to_owned(), json!(value)))
            .collect();
        json!({"bucket": target.bucket.as_str(), "key": target.rest, "version": info.version.to_string(), "tags": tags})
    };
    Ok(output.line(human, json)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_that_are_not_named_stay_unless_all_are_replaced() {
        let there = Tags::parse("a=1&b=2").unwrap();
        let given = [("b".to_owned(), "3".to_owned()), ("c".to_owned(), "4".to_owned())];
        let tags = |replace| merged(&there, &given, replace).unwrap().to_string();
        assert_eq!(tags(false), "a=1&b=3&c=4");
        assert_eq!(tags(true), "b=3&c=4");
        let twice = [given[0].clone(), given[0].clone()];
        assert!(
            merged(&there, &twice, false).is_err(),
            "a name given twice has no meaning"
        );
    }
}
