//! Making and removing buckets.

use serde_json::json;
use wfldb_client::{ApiError, Client, Error};
use wfldb_core::object::BucketConfig;

use super::args::{Mb, Rb};
use super::exit::Failure;
use super::output::Output;
use super::target::Target;

pub(crate) async fn make(client: &Client, output: &Output, args: &Mb) -> Result<(), Failure> {
    let bucket = &only_bucket(&args.bucket)?.bucket;
    // The wire's PUT would silently replace the configuration of a bucket that exists. Nobody means that by `mb`.
    if !args.configure && client.bucket(bucket).await.is_ok() {
        return Err(Failure::Client(Error::Api(Box::new(ApiError {
            status: 409,
            code: "BucketExists".to_owned(),
            hint: None,
            request_id: None,
            detail: format!("the bucket {bucket} exists; --configure replaces its configuration"),
        }))));
    }
    let config = BucketConfig {
        quota_bytes: args.quota_bytes,
        quota_objects: args.quota_objects,
        object_bytes_max: args.object_bytes_max,
        require_signature: args.require_signature,
        ..BucketConfig::default()
    };
    let created = client.create_bucket(bucket, &config).await?;
    let human = || {
        format!(
            "{} bucket {bucket}",
            if created { "created" } else { "configured" }
        )
    };
    output.line(human, || json!({"bucket": bucket.as_str(), "created": created}))?;
    Ok(())
}

pub(crate) async fn remove(client: &Client, output: &Output, args: &Rb) -> Result<(), Failure> {
    let bucket = &only_bucket(&args.bucket)?.bucket;
    client.delete_bucket(bucket, args.force).await?;
    output.line(
        || format!("removed bucket {bucket}"),
        || json!({"bucket": bucket.as_str(), "removed": true}),
    )?;
    Ok(())
}

pub(crate) fn only_bucket(target: &Target) -> Result<&Target, Failure> {
    if target.rest.is_empty() {
        Ok(target)
    } else {
        Err(Failure::Usage(format!("`{target}` is not a bucket")))
    }
}
