//! Making, configuring and removing buckets.

use serde_json::json;
use wfldb_client::{ApiError, BucketInfo, Client, Error};
use wfldb_core::object::{BucketConfig, BucketKind, Retention};
use wfldb_core::text::TextConfig;

use super::args::{Limit, Mb, Rb};
use super::exit::Failure;
use super::output::Output;
use super::receipt;
use super::target::Target;

pub(crate) async fn make(client: &Client, output: &Output, args: &Mb) -> Result<(), Failure> {
    let bucket = &only_bucket(&args.bucket)?.bucket;
    // The wire's PUT replaces the whole configuration of a bucket that exists. Nobody means that by `mb`.
    let there = match client.bucket(bucket).await {
        Ok(info) => Some(info),
        Err(error) if error.is_not_found() => None,
        Err(error) => return Err(error.into()),
    };
    if there.is_some() && !args.configure {
        return Err(Failure::Client(Error::Api(Box::new(ApiError {
            status: 409,
            code: "BucketExists".to_owned(),
            hint: None,
            request_id: None,
            detail: format!("the bucket {bucket} exists; --configure changes its configuration"),
            entry: None,
        }))));
    }
    let config = changed(
        there.map_or_else(|| Ok(BucketConfig::default()), configuration)?,
        args,
    )?;
    let file = args.receipt.as_deref().map(receipt::new_file).transpose()?;
    let created = match file {
        None => client.create_bucket(bucket, &config).await?,
        Some(file) => {
            let made = client.create_bucket_with_receipt(bucket, &config).await?;
            receipt::keep(client, made, file).await?
        }
    };
    let human = || {
        format!(
            "{} bucket {bucket}",
            if created { "created" } else { "configured" }
        )
    };
    let json = || json!({"bucket": bucket.as_str(), "created": created, "configuration": config});
    Ok(output.line(human, json)?)
}

/// The configuration that the server told about.
fn configuration(info: BucketInfo) -> Result<BucketConfig, Failure> {
    serde_json::from_value(info.config.into()).map_err(|_| {
        let why = "the bucket's configuration has members that this program does not know: a newer wfldb is needed, or \
                   they would be lost";
        Failure::Client(Error::Local(why.to_owned()))
    })
}

/// What is given takes the place of what is there.
fn changed(mut config: BucketConfig, args: &Mb) -> Result<BucketConfig, Failure> {
    let set = |member: &mut Option<u64>, given: Option<Limit>| {
        if let Some(Limit(limit)) = given {
            *member = limit;
        }
    };
    config.kind = args.kind.unwrap_or(config.kind);
    let mut versions = config.versions.unwrap_or_default();
    set(&mut versions.keep, args.keep);
    set(&mut versions.days, args.days);
    config.versions = Some(versions).filter(|versions| *versions != Retention::default());
    set(&mut config.quota_bytes, args.quota_bytes);
    set(&mut config.quota_objects, args.quota_objects);
    set(&mut config.object_bytes_max, args.object_bytes_max);
    set(&mut config.rate, args.rate);
    if let Some(field) = &args.time_field {
        config.kind = BucketKind::Documents;
        config.time_field = Some(field.clone());
    }
    set(&mut config.time_days, args.time_days);
    config.append_only = args.append_only.unwrap_or(config.append_only);
    config.auto_index = args.auto_index.unwrap_or(config.auto_index);
    config.mirror = args.mirror.or(config.mirror);
    config.audit_reads = args.audit_reads.unwrap_or(config.audit_reads);
    config.require_signature = args.require_signature.unwrap_or(config.require_signature);
    if let Some(fields) = &args.text {
        config.text = text(fields, args.language.as_deref())?;
    }
    Ok(config)
}

/// The full-text index that is asked for.
fn text(fields: &[String], language: Option<&str>) -> Result<Option<TextConfig>, Failure> {
    if fields == ["none"] {
        return Ok(None);
    }
    let json = json!({"fields": fields, "language": language.unwrap_or("none")});
    let text = serde_json::from_value(json);
    text.map(Some)
        .map_err(|error| Failure::Usage(format!("--text and --language: {error}")))
}

pub(crate) async fn remove(client: &Client, output: &Output, args: &Rb) -> Result<(), Failure> {
    let bucket = &only_bucket(&args.bucket)?.bucket;
    match args.receipt.as_deref().map(receipt::new_file).transpose()? {
        None => client.delete_bucket(bucket, args.force).await?,
        Some(file) => {
            let removed = client.delete_bucket_with_receipt(bucket, args.force).await?;
            receipt::keep(client, removed, file).await?;
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn mb(target: &str) -> Mb {
        Mb {
            kind: None,
            bucket: target.parse().unwrap(),
            keep: None,
            days: None,
            quota_bytes: None,
            quota_objects: None,
            object_bytes_max: None,
            rate: None,
            time_field: None,
            time_days: None,
            append_only: None,
            auto_index: None,
            mirror: None,
            audit_reads: None,
            receipt: None,
            require_signature: None,
            text: None,
            language: None,
            configure: true,
        }
    }

    #[test]
    fn only_what_is_given_changes() {
        let before = BucketConfig {
            versions: Some(Retention {
                keep: Some(3),
                days: Some(7),
            }),
            quota_bytes: Some(10),
            require_signature: true,
            ..BucketConfig::default()
        };
        let changed = |config, args: &Mb| changed(config, args).ok().unwrap();
        assert_eq!(changed(before.clone(), &mb("photos")), before);
        let mut args = mb("photos");
        args.days = Some(Limit(None));
        args.quota_objects = Some(Limit(Some(5)));
        let after = changed(before.clone(), &args);
        let keep = Retention {
            keep: Some(3),
            days: None,
        };
        let expected = BucketConfig {
            versions: Some(keep),
            quota_objects: Some(5),
            ..before.clone()
        };
        assert_eq!(after, expected);
        args.keep = Some(Limit(None));
        args.require_signature = Some(false);
        args.auto_index = Some(true);
        let after = changed(before, &args);
        assert_eq!(
            (after.versions, after.require_signature, after.auto_index),
            (None, false, true)
        );
        args.text = Some(vec!["title".to_owned()]);
        let after = changed(BucketConfig::default(), &args);
        assert_eq!(after.text.as_ref().map(|text| text.fields.len()), Some(1));
        args.text = Some(vec!["none".to_owned()]);
        assert_eq!(changed(after, &args).text, None);
    }

    #[test]
    fn a_configuration_that_is_not_understood_is_not_written_back() {
        let info = |more: &str| {
            let json = format!(
                r#"{{"name":"photos","created":"2026-01-02T03:04:05.006Z","kind":"objects",
                "audit_reads":false,"require_signature":false,
                "usage":{{"objects":0,"versions":0,"bytes":0,"stored_bytes":0}}{more}}}"#
            );
            serde_json::from_str::<BucketInfo>(&json).unwrap()
        };
        assert_eq!(configuration(info("")).unwrap(), BucketConfig::default());
        assert!(configuration(info(r#","colour":"red""#)).is_err());
    }
}
