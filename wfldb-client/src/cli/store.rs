//! The store as its operator sees it.

use wfldb_client::{Client, Compacted};

use super::args::Stats;
use super::bucket::only_bucket;
use super::exit::Failure;
use super::output::{Output, counted};
use super::show::{bucket, members};

pub(crate) async fn stats(client: &Client, output: &Output, args: &Stats) -> Result<(), Failure> {
    if let Some(target) = &args.bucket {
        return bucket(client, output, only_bucket(target)?).await;
    }
    let value = serde_json::to_value(client.stats().await?).unwrap_or_default();
    Ok(output.line(|| members(&value), || value.clone())?)
}

pub(crate) async fn compact(client: &Client, output: &Output) -> Result<(), Failure> {
    let compacted = client.compact().await?;
    let json = || serde_json::to_value(&compacted).unwrap_or_default();
    Ok(output.line(|| words(&compacted), json)?)
}

fn words(compacted: &Compacted) -> String {
    format!(
        "storage: {} before, {} now; removed {} ({})",
        counted(compacted.storage_bytes_before, "byte", "bytes"),
        counted(compacted.storage_bytes, "byte", "bytes"),
        counted(compacted.chunk_files_removed, "chunk file", "chunk files"),
        counted(compacted.chunk_bytes_removed, "byte", "bytes"),
    )
}
