//! Aggregations: a line for each group.

use serde_json::Value;
use wfldb_client::Client;
use wfldb_core::limits::QUERY_BYTES_MAX;

use super::args::Aggregate;
use super::bucket::only_bucket;
use super::exit::Failure;
use super::output::{Output, counted, shown};
use super::target::input;

pub(crate) async fn aggregate(client: &Client, output: &Output, args: &Aggregate) -> Result<(), Failure> {
    let bucket = &only_bucket(&args.bucket)?.bucket;
    let pipeline = parse(&input(&args.pipeline, QUERY_BYTES_MAX)?)?;
    let done = client.aggregate(bucket, &pipeline).await?;
    let groups = done.rows.len() as u64;
    for row in done.rows {
        let row = Value::Object(row);
        output.line(|| shown(&row.to_string()).into_owned(), || row.clone())?;
    }
    if !output.is_json() {
        let documents = counted(done.matched, "document", "documents");
        let groups = counted(groups, "group", "groups");
        output.remark(&format!(
            "{groups} of {documents}, {} looked at, {} ms",
            done.examined, done.took_ms
        ));
    }
    Ok(())
}

/// The list of stages, or the whole body of a request with it.
fn parse(text: &[u8]) -> Result<Value, Failure> {
    let usage = |why: &str| Failure::Usage(format!("the pipeline {why}"));
    match serde_json::from_slice(text) {
        Ok(Value::Object(mut body)) if body.len() == 1 => body
            .remove("pipeline")
            .ok_or_else(|| usage("is a list of stages")),
        Ok(stages @ Value::Array(_)) => Ok(stages),
        Ok(_) => Err(usage("is a list of stages")),
        Err(error) => Err(usage(&format!("is no JSON: {error}"))),
    }
}
