//! Bringing back what was deleted or overwritten.

use serde_json::json;
use wfldb_client::{Client, GetOptions, PutOptions};
use wfldb_core::object::Preconditions;

use super::args::Restore;
use super::exit::Failure;
use super::output::{Output, shown};
use super::spool;

pub(crate) async fn restore(client: &Client, output: &Output, args: &Restore) -> Result<(), Failure> {
    let (bucket, key) = (&args.target.bucket, args.target.key()?);
    let Some(version) = args.version else {
        let stored = client.undelete(bucket, &key).await?;
        let human = || {
            format!(
                "restored {} as version {}",
                shown(&args.target.to_string()),
                stored.version
            )
        };
        output.line(human, || super::object::stored_json(&args.target, &stored))?;
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
    let options = GetOptions {
        version: Some(version),
        ..GetOptions::default()
    };
    let mut object = client.get(bucket, &key, options).await?;
    let mut spool = spool::object(&mut object).await?;
    let prepared = spool.prepare().await?;
    // Nobody's newer version is buried: the copy happens only on top of what we saw.
    let preconditions = Preconditions {
        if_version: current,
        if_none_match_any: current.is_none(),
        ..Preconditions::default()
    };
    let options = PutOptions {
        headers: object.info().headers.clone(),
        preconditions,
        progress: None,
    };
    let stored = client.put_prepared(bucket, &key, &prepared, options).await?;
    let human = || {
        format!(
            "restored {} from {version} as version {}",
            shown(&args.target.to_string()),
            stored.version
        )
    };
    output.line(human, || super::object::stored_json(&args.target, &stored))?;
    Ok(())
}
