//! Storing a file or standard input.

use std::path::Path;

use wfldb_client::tree::walk::content_type;
use wfldb_client::{Client, PutOptions, Stored, UploadOptions, Uploaded};
use wfldb_core::object::{HeaderText, ObjectHeaders, Preconditions, Tags};

use super::args::Put;
use super::exit::Failure;
use super::object::preconditions;
use super::output::{Output, shown};
use super::receipt;
use super::show::stored_json;
use super::spool;
use super::target::Target;
use super::upload;

pub(crate) async fn put(client: &Client, output: &Output, args: Put) -> Result<(), Failure> {
    let mut target = args.target.clone();
    let from_stdin = args.file.as_os_str() == "-";
    if target.rest.is_empty() || target.rest.ends_with('/') {
        let name = args
            .file
            .file_name()
            .and_then(|name| name.to_str())
            .filter(|_| !from_stdin);
        target
            .rest
            .push_str(name.ok_or_else(|| Failure::Usage("BUCKET/KEY needs a key".to_owned()))?);
    }
    let key = target.key()?;
    let headers = headers(&args, key.as_str())?;
    let preconditions = Preconditions {
        if_none_match_any: args.if_none_match,
        ..preconditions(&args.conditions)?
    };
    let options = PutOptions {
        headers,
        preconditions,
        progress: None,
    };
    let receipt = args.receipt.as_deref().map(receipt::new_file).transpose()?;
    if from_stdin {
        let mut spool = spool::stdin().await?;
        let prepared = spool.prepare().await?;
        let stored = match receipt {
            None => {
                client
                    .put_prepared(&target.bucket, &key, &prepared, options)
                    .await?
            }
            Some(file) => receipt::put(client, &target.bucket, &key, &prepared, options, file).await?,
        };
        return report(output, &target, &stored, None);
    }
    if let Some(file) = receipt {
        let stored = receipt::put_file(client, &target.bucket, &key, &args.file, options, file).await?;
        return report(output, &target, &stored, None);
    }
    let upload = UploadOptions {
        put: options,
        state: upload::state_directory(),
        ..UploadOptions::default()
    };
    let uploaded = client
        .upload_file(&target.bucket, &key, &args.file, upload)
        .await?;
    report(output, &target, &uploaded.stored, Some(&uploaded))
}

fn report(
    output: &Output,
    target: &Target,
    stored: &Stored,
    uploaded: Option<&Uploaded>,
) -> Result<(), Failure> {
    let human = || {
        let kept = uploaded.map(upload::kept_words).unwrap_or_default();
        let name = target.to_string();
        format!("stored {} as version {}{kept}", shown(&name), stored.version)
    };
    let json = || {
        let mut value = stored_json(target, stored);
        if let Some(uploaded) = uploaded {
            upload::mark(&mut value, uploaded);
        }
        value
    };
    Ok(output.line(human, json)?)
}

fn headers(args: &Put, key: &str) -> Result<ObjectHeaders, Failure> {
    let usage = |what: &str, why: &dyn std::fmt::Display| Failure::Usage(format!("{what}: {why}"));
    let text = |flag: &str, value: &Option<String>| {
        let parse = |value: &String| HeaderText::parse(value).map_err(|error| usage(flag, &error));
        value.as_ref().map(parse).transpose()
    };
    let named = if args.file.as_os_str() == "-" {
        Path::new(key)
    } else {
        &args.file
    };
    let guessed = content_type(named).map(str::to_owned);
    let meta = |(name, value): &(String, String)| {
        let value = HeaderText::parse(value).map_err(|error| usage("--meta", &error))?;
        Ok::<_, Failure>((name.to_ascii_lowercase(), value))
    };
    let mut headers = ObjectHeaders {
        content_type: text("--content-type", &args.content_type.clone().or(guessed))?,
        cache_control: text("--cache-control", &args.cache_control)?,
        expires: text("--expires", &args.expires)?,
        meta: args.meta.iter().map(meta).collect::<Result<_, _>>()?,
        tags: Tags::from_pairs(args.tag.iter().cloned()).map_err(|error| usage("--tag", &error))?,
        ttl_seconds: args.ttl,
    };
    headers.meta.sort_unstable();
    headers
        .check()
        .map_err(|error| Failure::Usage(error.to_string()))?;
    Ok(headers)
}
