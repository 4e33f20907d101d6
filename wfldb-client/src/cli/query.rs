//! `wfldb query`: documents that a selector wants, one line of JSON each.

use serde_json::Value;
use wfldb_client::{Client, ExplainAnswer, Query};
use wfldb_core::id::Seq;

use super::args::QueryArgs;
use super::bucket::only_bucket;
use super::exit::Failure;
use super::output::{Output, counted, shown};

pub(crate) async fn query(client: &Client, output: &Output, args: &QueryArgs) -> Result<(), Failure> {
    let bucket = &only_bucket(&args.bucket)?.bucket;
    let query = built(args)?;
    if args.explain {
        let answer = client.explain(bucket, &query).await?;
        let json = || serde_json::to_value(&answer).unwrap_or_default();
        output.line(|| words(&answer), json)?;
        return Ok(());
    }
    if args.count {
        let count = client.count(bucket, &query).await?;
        let json = || serde_json::json!({ "count": count });
        output.line(|| counted(count, "document", "documents"), json)?;
        return Ok(());
    }
    let mut documents = client.find(bucket, &query);
    while let Some(document) = documents.next().await? {
        output.line(|| shown(&document.to_string()).into_owned(), || document.clone())?;
    }
    Ok(())
}

fn built(args: &QueryArgs) -> Result<Query, Failure> {
    let selector: Value = serde_json::from_str(&args.selector)
        .map_err(|_| Failure::Usage("SELECTOR is not JSON".to_owned()))?;
    let mut query = Query::all()
        .filter(selector)
        .projection(args.fields.iter().cloned());
    for field in &args.sort {
        query = match field.strip_suffix(":desc") {
            Some(name) => query.sort_descending(name),
            None => query.sort(field.strip_suffix(":asc").unwrap_or(field)),
        };
    }
    if let Some(search) = &args.text {
        query = query.text(search);
    }
    if let Some(seq) = args.wait {
        query = query.wait(Seq::new(seq));
    }
    if let Some(limit) = args.limit {
        query = query.limit(limit);
    }
    if let Some(skip) = args.skip {
        query = query.skip(skip);
    }
    if let Some(name) = &args.use_index {
        query = query.use_index(name);
    }
    Ok(query)
}

fn words(answer: &ExplainAnswer) -> String {
    let stats = &answer.execution_stats;
    let way = if answer.reverse { ", from the end" } else { "" };
    let order = if answer.in_order {
        "in the order that is wanted"
    } else {
        "sorted in memory"
    };
    let mut lines = vec![
        format!(
            "index      {}, {}{way}",
            shown(&answer.index),
            counted(answer.ranges, "range", "ranges")
        ),
        format!("order      {order}"),
        format!(
            "examined   {}, {}",
            counted(stats.total_keys_examined.unwrap_or_default(), "key", "keys"),
            counted(
                stats.total_docs_examined.unwrap_or_default(),
                "document",
                "documents"
            )
        ),
        format!(
            "returned   {} in {}.{:03} ms",
            stats.results_returned,
            stats.execution_time_us / 1000,
            stats.execution_time_us % 1000
        ),
    ];
    if answer.over_budget {
        lines.push("refused    it costs more than a question may".to_owned());
    }
    if let Some(wish) = &answer.wish {
        lines.push(format!("better     {}", shown(&wish.to_string())));
    }
    lines.join("\n")
}
