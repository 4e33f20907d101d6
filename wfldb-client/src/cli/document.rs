//! Documents: reading one, changing a part, its versions, the schema of a bucket.

use serde_json::{Value, json};
use wfldb_client::{Client, Document, Error, HistoryEntry, PatchForm, PutOptions};
use wfldb_core::limits::{DOCUMENT_BYTES_MAX, SCHEMA_BYTES_MAX};

use super::args::{Doc, HistoryArgs, Patch, SchemaArgs, SchemaVerb};
use super::bucket::only_bucket;
use super::exit::{Code, Failure};
use super::object::preconditions;
use super::output::{Output, shown};
use super::show::{stored_json, which};
use super::target::input;

pub(crate) async fn read(client: &Client, output: &Output, args: &Doc) -> Result<(), Failure> {
    let (bucket, key) = (&args.target.bucket, args.target.key()?);
    let document = client.document(bucket, &key, which(&args.which)).await?;
    if args.verify {
        let envelope = document.verify(bucket, &key)?;
        let signer = document.signature.key_id();
        if args.signed_by.as_ref().is_some_and(|wanted| *wanted != signer) {
            return Err(Error::Corrupt(format!("the document is signed by {signer}")).into());
        }
        output.remark(&format!(
            "version {} of {}, written by {}, signed by {signer}",
            envelope.version,
            envelope.time,
            shown(&envelope.by)
        ));
    }
    let value = whole(&document);
    Ok(output.line(|| laid_out(&value), || value.clone())?)
}

fn whole(document: &Document) -> Value {
    let mut members = document.members.clone();
    members.insert("_sig".to_owned(), document.signature.to_string().into());
    Value::Object(members)
}

/// JSON over several lines. What could move the cursor of a terminal is spelled out, within each line.
fn laid_out(value: &Value) -> String {
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    let lines: Vec<_> = text.lines().map(shown).collect();
    lines.join("\n")
}

pub(crate) async fn patch(client: &Client, output: &Output, args: &Patch) -> Result<(), Failure> {
    let (target, key) = (&args.target, args.target.key()?);
    let patch = input(&args.change, DOCUMENT_BYTES_MAX)?;
    let form = match serde_json::from_slice(&patch) {
        Ok(Value::Object(_)) => PatchForm::Merge,
        Ok(Value::Array(_)) => PatchForm::Json,
        _ => return Err(Failure::Usage("PATCH is no JSON object and no list".to_owned())),
    };
    let options = PutOptions {
        preconditions: preconditions(&args.conditions)?,
        ..PutOptions::default()
    };
    let stored = client
        .patch_document(&target.bucket, &key, form, patch, options)
        .await?;
    let human = || {
        let name = target.to_string();
        format!("changed {}, now version {}", shown(&name), stored.version)
    };
    Ok(output.line(human, || stored_json(target, &stored))?)
}

pub(crate) async fn history(client: &Client, output: &Output, args: &HistoryArgs) -> Result<(), Failure> {
    let (bucket, key) = (&args.target.bucket, args.target.key()?);
    let mut left = args.limit.unwrap_or(usize::MAX);
    let mut faults = 0_u64;
    let mut cursor = None;
    loop {
        let page = client
            .document_history(bucket, &key, args.verify, cursor.as_deref())
            .await?;
        for entry in page.versions.into_iter().take(left) {
            left -= 1;
            faults += u64::from(entry.verified == Some(false));
            let value = serde_json::to_value(&entry).unwrap_or_default();
            output.line(|| words(&entry), || value)?;
        }
        cursor = page.cursor;
        if cursor.is_none() || left == 0 {
            break;
        }
    }
    if faults > 0 {
        Err(Failure::Reported(Code::Failed))
    } else {
        Ok(())
    }
}

fn words(entry: &HistoryEntry) -> String {
    let verdict = match (entry.verified, &entry.fault) {
        (Some(true), _) => "  verified".to_owned(),
        (Some(false), fault) => format!("  NOT VERIFIED: {}", shown(fault.as_deref().unwrap_or_default())),
        (None, _) => String::new(),
    };
    let document = match &entry.document {
        Some(document) => shown(document.get()),
        None => "(deleted)".into(),
    };
    format!("{}  {}{verdict}  {document}", entry.version, entry.modified)
}

pub(crate) async fn schema(client: &Client, output: &Output, args: &SchemaArgs) -> Result<(), Failure> {
    let bucket = &only_bucket(&args.bucket)?.bucket;
    match &args.verb {
        SchemaVerb::Get => {
            let schema: Value = serde_json::from_slice(&client.schema(bucket).await?)
                .map_err(|_| Error::Transport("the server's answer is not JSON".to_owned()))?;
            output.line(|| laid_out(&schema), || schema.clone())?;
        }
        SchemaVerb::Put { schema } => {
            let schema = input(schema, SCHEMA_BYTES_MAX)?;
            client.put_schema(bucket, Some(schema.into())).await?;
            let json = || json!({"bucket": bucket.as_str(), "schema": true});
            output.line(
                || format!("documents of {bucket} follow the schema from now on"),
                json,
            )?;
        }
        SchemaVerb::Rm => {
            client.put_schema(bucket, None).await?;
            let json = || json!({"bucket": bucket.as_str(), "schema": false});
            output.line(|| format!("{bucket} has no schema"), json)?;
        }
    }
    Ok(())
}
