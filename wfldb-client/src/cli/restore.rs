//! Bringing back what was deleted or overwritten.

use serde_json::json;
use wfldb_client::{Client, CopyOptions, CopySource, GetOptions};
use wfldb_core::object::Preconditions;

use super::args::Restore;
use super::exit::Failure;
use super::output::{Output, shown};
use super::show::stored_json;

pub(crate) async fn restore(client: &Client, output: &Output, args: &Restore) -> Result<(), Failure> {
    let (bucket, key) = (&args.target.bucket, args.target.key()?);
    let version = match args.at {
        Some(_) => {
            let then = GetOptions {
                at: args.at,
                ..GetOptions::default()
            };
            Some(client.head(bucket, &key, then).await?.version)
        }
        None => args.version,
    };
    let Some(version) = version else {
        let stored = client.undelete(bucket, &key).await?;
        let human = || {
            format!(
                "restored {} as version {}",
                shown(&args.target.to_string()),
                stored.version
            )
        };
        output.line(human, || stored_json(&args.target, &stored))?;
        return Ok(());
    };
    let current = match client.head(bucket, &key, GetOptions::default()).await {
        Ok(info) => Some(info.version),
        Err(error) if error.is_not_found() => None,
        Err(error) => return Err(error.into()),
    };
    if current == Some(version) {
        let human = || format!("version {version} is the newest already");
        output.line(
            human,
            || json!({"key": key.as_str(), "version": version.to_string(), "restored": false}),
        )?;
        return Ok(());
    }
    let source = CopySource {
        bucket: bucket.clone(),
        key: key.clone(),
        version: Some(version),
    };
    // Nobody's newer version is buried: the copy happens only on top of what we saw.
    let options = CopyOptions {
        preconditions: Preconditions {
            if_version: current,
            if_none_match_any: current.is_none(),
            ..Preconditions::default()
        },
        ..CopyOptions::default()
    };
    let stored = client.copy(&source, bucket, &key, options).await?;
    let human = || {
        format!(
            "restored {} from {version} as version {}",
            shown(&args.target.to_string()),
            stored.version
        )
    };
    output.line(human, || stored_json(&args.target, &stored))?;
    Ok(())
}
