//! Listings: buckets, one level, all keys, versions.

use serde_json::{Value, json};
use wfldb_client::{Client, ScanQuery};
use wfldb_core::name::KeyPrefix;
use wfldb_core::object::Tags;
use wfldb_net::listing::Item;

use super::args::{Ls, ScanArgs, Versions};
use super::bucket::only_bucket;
use super::exit::Failure;
use super::output::{Output, shown};

pub(crate) async fn ls(client: &Client, output: &Output, args: &Ls) -> Result<(), Failure> {
    let Some(target) = &args.target else {
        return buckets(client, output).await;
    };
    let query = ScanQuery {
        prefix: key_prefix(&target.rest)?,
        delimiter: Some("/".to_owned()),
        ..ScanQuery::default()
    };
    // What stands before the last `/` of the prefix is the directory we look into; names are shown without it.
    let directory = target.rest.rfind('/').map_or(0, |at| at + 1);
    pages(client, output, target.bucket.clone(), &query, None, directory).await
}

async fn buckets(client: &Client, output: &Output) -> Result<(), Failure> {
    for bucket in client.buckets().await? {
        let created = bucket.created.clone().unwrap_or_default();
        let human = || format!("{created:24}  {}/", shown(&bucket.name));
        let json = || {
            let mut value = serde_json::to_value(&bucket).unwrap_or_default();
            mark(&mut value, "bucket");
            value
        };
        output.line(human, json)?;
    }
    Ok(())
}

pub(crate) async fn scan(client: &Client, output: &Output, args: ScanArgs) -> Result<(), Failure> {
    let target = only_bucket(&args.bucket)?;
    let page = args
        .limit
        .and_then(|limit| usize::try_from(limit).ok())
        .unwrap_or(usize::MAX);
    if page == 0 {
        return Ok(());
    }
    let query = ScanQuery {
        prefix: key_prefix(args.prefix.as_deref().unwrap_or_default())?,
        after: args.after,
        delimiter: args.delimiter,
        reverse: args.reverse,
        tags: Tags::from_pairs(args.tag).map_err(|error| Failure::Usage(format!("--tag: {error}")))?,
        page,
    };
    pages(client, output, target.bucket.clone(), &query, args.limit, 0).await
}

async fn pages(
    client: &Client,
    output: &Output,
    bucket: wfldb_core::name::BucketName,
    query: &ScanQuery,
    limit: Option<u64>,
    hidden: usize,
) -> Result<(), Failure> {
    let mut left = limit.unwrap_or(u64::MAX);
    let mut scan = client.scan(&bucket, query);
    while let Some(page) = scan.next_page().await? {
        let mut prefixes = page.prefixes.iter().peekable();
        let before = |prefix: &String, item: &Item| (prefix.as_str() < item.key.as_str()) != query.reverse;
        for item in &page.items {
            while left > 0
                && let Some(prefix) = prefixes.next_if(|prefix| before(prefix, item))
            {
                print_prefix(output, prefix, hidden)?;
                left -= 1;
            }
            if left == 0 {
                return Ok(());
            }
            print_item(output, item, "object", hidden)?;
            left -= 1;
        }
        for prefix in prefixes {
            if left == 0 {
                return Ok(());
            }
            print_prefix(output, prefix, hidden)?;
            left -= 1;
        }
        if left == 0 {
            return Ok(());
        }
    }
    Ok(())
}

fn print_prefix(output: &Output, prefix: &str, hidden: usize) -> std::io::Result<()> {
    let human = || {
        format!(
            "{:24}  {:>12}  {}",
            "",
            "",
            shown(prefix.get(hidden..).unwrap_or(prefix))
        )
    };
    output.line(human, || json!({"type": "prefix", "prefix": prefix}))
}

fn print_item(output: &Output, item: &Item, kind: &str, hidden: usize) -> std::io::Result<()> {
    let key = item.key.as_str();
    let human = || {
        format!(
            "{}  {:>12}  {}",
            item.modified,
            item.size,
            shown(key.get(hidden..).unwrap_or(key))
        )
    };
    output.line(human, || item_json(item, kind))
}

fn item_json(item: &Item, kind: &str) -> Value {
    let mut value = serde_json::to_value(item).unwrap_or_default();
    mark(&mut value, kind);
    value
}

fn mark(value: &mut Value, kind: &str) {
    if let Some(members) = value.as_object_mut() {
        members.insert("type".to_owned(), json!(kind));
    }
}

pub(crate) async fn versions(client: &Client, output: &Output, args: &Versions) -> Result<(), Failure> {
    let key = args.target.key()?;
    let mut versions = client.versions(&args.target.bucket, &key);
    while let Some(item) = versions.next().await? {
        let human = || match &item.etag {
            Some(etag) if !item.deleted => {
                format!("{}  {}  {:>12}  {etag}", item.version, item.modified, item.size)
            }
            _ => format!("{}  {}  {:>12}  (deleted)", item.version, item.modified, ""),
        };
        output.line(human, || item_json(&item, "version"))?;
    }
    Ok(())
}

pub(crate) fn key_prefix(text: &str) -> Result<KeyPrefix, Failure> {
    KeyPrefix::parse(text).map_err(|error| Failure::Usage(format!("`{text}`: {error}")))
}
