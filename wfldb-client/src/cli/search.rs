//! Searching the documents of a bucket by their words.

use serde_json::json;
use wfldb_client::{Client, Operator, SearchItem, SearchRequest};
use wfldb_core::id::Seq;

use super::args::Search;
use super::bucket::only_bucket;
use super::exit::Failure;
use super::output::{Output, shown};
use super::show::members;

pub(crate) async fn search(client: &Client, output: &Output, args: &Search) -> Result<(), Failure> {
    let bucket = &only_bucket(&args.bucket)?.bucket;
    if args.status {
        let value = serde_json::to_value(client.search_status(bucket).await?).unwrap_or_default();
        return Ok(output.line(|| members(&value), || value.clone())?);
    }
    if args.rebuild {
        client.rebuild_search(bucket).await?;
        let human = || format!("the full-text index of {bucket} is made anew");
        return Ok(output.line(human, || json!({"bucket": bucket.as_str(), "rebuild": true}))?);
    }
    let request = SearchRequest {
        operator: if args.all { Operator::And } else { Operator::Or },
        field: args.field.clone(),
        limit: args.limit,
        skip: args.skip,
        highlight: args.highlight,
        documents: args.documents,
        ..SearchRequest::new(args.query.clone().unwrap_or_default())
    };
    let answer = client.search(bucket, &request, args.wait.map(Seq::new)).await?;
    for item in &answer.items {
        output.line(|| words(item), || serde_json::to_value(item).unwrap_or_default())?;
    }
    if answer.more && !output.is_json() {
        let next = args.skip + answer.items.len();
        output.remark(&format!("more match: --skip {next}"));
    }
    Ok(())
}

fn words(item: &SearchItem) -> String {
    let mut lines = vec![format!("{:8.3}  {}", item.score, shown(item.key.as_str()))];
    for place in &item.highlights {
        let mut text = format!("          {}: ", shown(&place.field));
        for (number, piece) in place.pieces.iter().enumerate() {
            // As in a text: no colours, which a pipe would not want.
            let piece = shown(piece);
            match number % 2 {
                0 => text.push_str(&piece),
                _ => text.extend(["[", &piece, "]"]),
            }
        }
        lines.push(text);
    }
    if let Some(document) = &item.document {
        lines.push(format!("          {}", shown(&document.to_string())));
    }
    lines.join("\n")
}
