//! Aggregations: a line for each group.

use std::io::Read;

use serde_json::Value;
use wfldb_client::{Client, Error};
use wfldb_core::limits::QUERY_BYTES_MAX;

use super::args::Aggregate;
use super::bucket::only_bucket;
use super::exit::Failure;
use super::output::{Output, counted, shown};

pub(crate) async fn aggregate(client: &Client, output: &Output, args: &Aggregate) -> Result<(), Failure> {
    let bucket = &only_bucket(&args.bucket)?.bucket;
    let pipeline = parse(&read(&args.pipeline)?)?;
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

fn read(argument: &str) -> Result<Vec<u8>, Failure> {
    let max = QUERY_BYTES_MAX as u64 + 1;
    let mut text = Vec::new();
    let read = match argument.strip_prefix('@') {
        Some(path) => std::fs::File::open(path)
            .and_then(|file| file.take(max).read_to_end(&mut text))
            .map_err(|error| Error::Local(format!("cannot read {path}: {error}"))),
        None if argument == "-" => std::io::stdin()
            .lock()
            .take(max)
            .read_to_end(&mut text)
            .map_err(|error| Error::Local(format!("cannot read standard input: {error}"))),
        None => return Ok(argument.as_bytes().to_vec()),
    };
    read?;
    Ok(text)
}

/// The list of stages, or the whole body of a request with it.
fn parse(text: &[u8]) -> Result<Value, Failure> {
    let usage = |why: &str| Failure::Usage(format!("the pipeline {why}"));
    if text.len() > QUERY_BYTES_MAX {
        return Err(usage("is longer than 65536 bytes"));
    }
    match serde_json::from_slice(text) {
        Ok(Value::Object(mut body)) if body.len() == 1 => body
            .remove("pipeline")
            .ok_or_else(|| usage("is a list of stages")),
        Ok(stages @ Value::Array(_)) => Ok(stages),
        Ok(_) => Err(usage("is a list of stages")),
        Err(error) => Err(usage(&format!("is no JSON: {error}"))),
    }
}
