//! `wfldb watch`: the changes of a bucket, as they come.

use serde_json::{Value, json};
use wfldb_client::{Change, Client, WatchFrom, WatchOptions};

use super::args;
use super::bucket::only_bucket;
use super::exit::Failure;
use super::list::key_prefix;
use super::output::{Output, shown};

pub(crate) async fn watch(client: &Client, output: &Output, args: args::Watch) -> Result<(), Failure> {
    let bucket = &only_bucket(&args.bucket)?.bucket;
    let options = WatchOptions {
        from: args.since,
        prefix: key_prefix(args.prefix.as_deref().unwrap_or_default())?,
        follow: !args.no_follow,
        ..WatchOptions::default()
    };
    let mut left = args.limit.unwrap_or(u64::MAX);
    let mut changes = client.watch(bucket, options);
    while left > 0
        && let Some(change) = changes.next().await?
    {
        left -= 1;
        print(output, &change)?;
    }
    Ok(())
}

fn print(output: &Output, change: &Change) -> std::io::Result<()> {
    let human = || {
        let line = |key: &wfldb_client::KeyChange| {
            let size = key.size.map_or_else(String::new, |size| size.to_string());
            let name = shown(key.key.as_str());
            format!(
                "{:>8}  {}  {:<7}  {size:>12}  {name}",
                change.seq,
                change.at,
                shown(&key.op)
            )
        };
        let lines: Vec<String> = change.changes.iter().map(line).collect();
        lines.join("\n")
    };
    output.line(human, || json_of(change))
}

fn json_of(change: &Change) -> Value {
    let mut value = serde_json::to_value(change).unwrap_or_default();
    if let Some(members) = value.as_object_mut() {
        members.insert("type".to_owned(), json!("change"));
    }
    value
}

/// `--since`.
pub(super) fn since(text: &str) -> Result<WatchFrom, String> {
    if text == "now" {
        return Ok(WatchFrom::Now);
    }
    let seq = text.parse().map_err(|_| "is a seq, or `now`".to_owned());
    seq.map(WatchFrom::Seq)
}
