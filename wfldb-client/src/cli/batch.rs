//! Batches from a file or standard input.

use std::io::Read;
use std::path::Path;

use wfldb_client::{Batch, BatchAction, BatchEntry, BatchResult, BatchResults, Client, Error};
use wfldb_net::batch::{BatchError, parse_json};

use super::args;
use super::bucket::only_bucket;
use super::exit::{Failure, describe_entry};
use super::output::{Output, counted, shown};

/// Lines spend more bytes than what is sent.
const INPUT_BYTES_MAX: u64 = 32 * 1024 * 1024;

pub(crate) async fn batch(client: &Client, output: &Output, args: &args::Batch) -> Result<(), Failure> {
    let bucket = &only_bucket(&args.bucket)?.bucket;
    let text = read(args.file.as_deref())?;
    let entries = parse(&text)?;
    let batch = Batch::from(entries);
    let results = match client.batch(bucket, &batch).await {
        Ok(results) => results,
        Err(error) => {
            let refused = error.refused_entry().and_then(|entry| batch.entries().get(entry));
            return match refused {
                None => Err(error.into()),
                Some(entry) => {
                    output.remark(&describe_entry(&error, entry.key.as_str(), output.is_json()));
                    Err(Failure::Reported(super::exit::code_of(&error)))
                }
            };
        }
    };
    let human = || words(batch.entries(), &results);
    let json = || serde_json::to_value(&results).unwrap_or_default();
    Ok(output.line(human, json)?)
}

fn read(file: Option<&Path>) -> Result<Vec<u8>, Failure> {
    let mut text = Vec::new();
    let read = match file {
        Some(path) if path.as_os_str() != "-" => std::fs::File::open(path)
            .and_then(|file| file.take(INPUT_BYTES_MAX + 1).read_to_end(&mut text))
            .map_err(|error| Error::Local(format!("cannot read {}: {error}", path.display()))),
        _ => std::io::stdin()
            .lock()
            .take(INPUT_BYTES_MAX + 1)
            .read_to_end(&mut text)
            .map_err(|error| Error::Local(format!("cannot read standard input: {error}"))),
    };
    read?;
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > INPUT_BYTES_MAX {
        return Err(Failure::Usage(BatchError::TooLarge.to_string()));
    }
    Ok(text)
}

/// The protocol's JSON, or one entry per line.
fn parse(text: &[u8]) -> Result<Vec<BatchEntry>, Failure> {
    let usage = |error: BatchError| Failure::Usage(error.to_string());
    // A line that is a whole entry cannot be a batch: that has `ops` and nothing else.
    let is_batch =
        serde_json::from_slice::<serde_json::Value>(text).is_ok_and(|value| value.get("ops").is_some());
    if is_batch {
        return parse_json(text).map_err(usage);
    }
    let mut entries = Vec::new();
    for (line, number) in text.split(|byte| *byte == b'\n').zip(1_usize..) {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let one = [b"{\"ops\":[".as_slice(), line, b"]}"].concat();
        let parsed = parse_json(&one).ok().filter(|parsed| parsed.len() == 1);
        let Some(parsed) = parsed else {
            return Err(Failure::Usage(format!("line {number}: not an entry of a batch")));
        };
        entries.extend(parsed);
    }
    if entries.is_empty() {
        return Err(usage(BatchError::Entries));
    }
    Ok(entries)
}

fn words(entries: &[BatchEntry], results: &BatchResults) -> String {
    let line = |(entry, result): (&BatchEntry, &BatchResult)| {
        let key = shown(entry.key.as_str());
        match (&entry.action, &result.version) {
            (BatchAction::Put { .. } | BatchAction::Document { .. }, Some(version)) => {
                format!("stored {key} as version {version}")
            }
            (BatchAction::Put { .. } | BatchAction::Document { .. }, None) => format!("stored {key}"),
            (BatchAction::Delete, Some(_)) => format!("deleted {key}"),
            // Nothing was there; or the caller may neither read nor list, and is not told.
            (BatchAction::Delete, None) => format!("{key} is not there"),
            (BatchAction::Check, _) => format!("checked {key}"),
        }
    };
    let mut lines: Vec<String> = entries.iter().zip(&results.results).map(line).collect();
    let number = u64::try_from(entries.len()).unwrap_or(u64::MAX);
    let counted = counted(number, "entry", "entries");
    lines.push(match results.seq {
        Some(seq) => format!("{counted} in one commit, seq {seq}"),
        None => format!("{counted}, nothing was written"),
    });
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_read_whole_or_by_lines() {
        let whole = br#"{"ops":[{"op":"put","key":"a","body":"x"},{"op":"delete","key":"b"}]}"#;
        let lines =
            b"{\"op\":\"put\",\"key\":\"a\",\"body\":\"x\"}\n\n {\"op\":\"delete\",\"key\":\"b\"}\r\n";
        let parsed = parse(whole).unwrap();
        assert_eq!(parsed, parse(lines).unwrap());
        assert_eq!(parsed.len(), 2);
        let failure = |text: &[u8]| match parse(text) {
            Err(Failure::Usage(why)) => why,
            other => panic!("{other:?}"),
        };
        assert!(failure(b"{\"op\":\"delete\",\"key\":\"b\"}\nnonsense").starts_with("line 2:"));
        let two = br#"{"op":"delete","key":"a"},{"op":"delete","key":"b"}"#;
        assert!(failure(two).starts_with("line 1:"), "one entry per line");
        assert!(failure(b"").contains("1 to 1000"));
        assert!(failure(br#"{"ops":[]}"#).contains("1 to 1000"));
        assert!(failure(br#"{"ops":[],"more":1}"#).contains("not a batch"));
    }
}
