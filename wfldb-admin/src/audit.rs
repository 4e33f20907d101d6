//! `audit`: the audit log copied, checked offline, and receipts of single changes.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use wfldb_admin::{CopyVerdict, Error, LogCopy};
use wfldb_client::GetOptions;
use wfldb_core::audit::{EntryActor, Proven, Receipt, Resource, SignedCheckpoint, VerifierKey};
use wfldb_core::id::{KeyId, LeafIndex, VersionId};
use wfldb_core::limits::{NOTE_BYTES_MAX, RECEIPT_BYTES_MAX};
use wfldb_core::name::{BucketName, ObjectKey};

use crate::Done;
use crate::reach::{Reach, connected};

/// A verifier key is shorter.
const KEY_BYTES_MAX: usize = 1024;

#[derive(Debug, Args)]
pub(crate) struct Audit {
    #[command(subcommand)]
    command: AuditCommand,
}

#[derive(Debug, Subcommand)]
enum AuditCommand {
    /// Copy the audit log of a running server into a directory, or bring the copy up to date; needs op `audit` on everything.
    /// What the copy had is compared: a log that was not only appended to is refused
    Fetch(Fetch),
    /// Check a copy offline, every entry and every hash; exit code 1 when anything is wrong
    Verify(VerifyCopy),
    /// Fetch the receipt of the change that wrote a version, and verify it
    Prove(Prove),
    /// Receipts, offline
    Receipt(ReceiptArguments),
}

#[derive(Debug, Args)]
struct LogKey {
    /// The log's verifier key (as `audit_key` in server.json), or a file with it
    #[arg(long = "key", value_name = "VKEY|FILE", value_parser = verifier_key)]
    key: VerifierKey,
}

#[derive(Debug, Args)]
struct Fetch {
    /// Directory of the copy; made where it is missing
    dir: PathBuf,
    #[command(flatten)]
    key: LogKey,
    #[command(flatten)]
    reach: Reach,
}

#[derive(Debug, Args)]
struct VerifyCopy {
    /// Directory of the copy
    dir: PathBuf,
    #[command(flatten)]
    key: LogKey,
    /// A checkpoint that was kept from before, which the log has to go on from; repeatable
    #[arg(long, value_name = "FILE")]
    old: Vec<PathBuf>,
    /// A receipt, which has to be true, and whose checkpoint the log has to go on from; repeatable
    #[arg(long, value_name = "FILE")]
    receipt: Vec<PathBuf>,
}

#[derive(Debug, Args)]
struct Prove {
    #[arg(value_name = "BUCKET/KEY", required_unless_present = "leaf")]
    target: Option<String>,
    /// The version; the newest when left out, which needs op `get`
    #[arg(long, value_name = "ULID")]
    version: Option<String>,
    /// Of the entry with this index instead, whatever it tells of: a change, a read, a refusal; needs op `audit` on everything
    #[arg(long, value_name = "N", conflicts_with_all = ["target", "version"])]
    leaf: Option<u64>,
    /// Where the receipt goes; never overwritten. Standard output has what it proves either way
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    key: LogKey,
    #[command(flatten)]
    reach: Reach,
}

#[derive(Debug, Args)]
struct ReceiptArguments {
    #[command(subcommand)]
    command: ReceiptCommand,
}

#[derive(Debug, Subcommand)]
enum ReceiptCommand {
    /// Check a receipt: that the log holds its entry, and that the request behind it was signed; exit code 1 when not
    Verify(VerifyReceipt),
}

#[derive(Debug, Args)]
struct VerifyReceipt {
    /// The receipt
    file: PathBuf,
    #[command(flatten)]
    key: LogKey,
    /// Root key id that the packet of the request has to come from
    #[arg(long, value_name = "wr1…")]
    root: Option<String>,
}

/// Runs the command.
pub(crate) fn audit(args: Audit) -> Result<Done, Error> {
    match args.command {
        AuditCommand::Fetch(args) => fetch(args),
        AuditCommand::Verify(args) => verify(&args),
        AuditCommand::Prove(args) => prove(args),
        AuditCommand::Receipt(ReceiptArguments {
            command: ReceiptCommand::Verify(args),
        }) => verify_receipt(&args),
    }
}

/// A key as text, or the file that holds it.
fn verifier_key(text: &str) -> Result<VerifierKey, String> {
    if text.contains('+') {
        return VerifierKey::parse(text).map_err(|error| error.to_string());
    }
    let bytes = read_file(Path::new(text), KEY_BYTES_MAX).map_err(|error| error.to_string())?;
    let key = std::str::from_utf8(&bytes).unwrap_or_default().trim();
    VerifierKey::parse(key).map_err(|error| format!("{text}: {error}"))
}

fn read_file(path: &Path, bytes_max: usize) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| Error::copy(path, &error))?;
    let read = file.take(bytes_max as u64 + 1).read_to_end(&mut bytes);
    read.map_err(|error| Error::copy(path, &error))?;
    if bytes.len() > bytes_max {
        return Err(Error::copy(path, &format!("is larger than {bytes_max} bytes")));
    }
    Ok(bytes)
}

fn read_receipt(path: &Path) -> Result<Receipt, Error> {
    let bytes = read_file(path, RECEIPT_BYTES_MAX)?;
    // A file ends with a line feed, which is none of the receipt's.
    let json = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    Receipt::parse(json).map_err(|error| Error::copy(path, &error))
}

fn fetch(args: Fetch) -> Result<Done, Error> {
    let copy = LogCopy::new(&args.dir);
    let key = &args.key.key;
    let old = copy.checkpoint(key)?;
    let (checkpoint, fetched) = connected(args.reach, async |client| {
        let local = |error: Error| wfldb_client::Error::Local(error.to_string());
        let bytes = client.audit_resource(Resource::Checkpoint).await?;
        let checkpoint = SignedCheckpoint::open(&bytes, key)
            .map_err(|error| wfldb_client::Error::Corrupt(format!("the server's checkpoint is {error}")))?;
        if let Some(old) = old.as_ref().filter(|old| old.size() > checkpoint.size()) {
            let (old, new) = (old.size(), checkpoint.size());
            return Err(wfldb_client::Error::Corrupt(format!(
                "the log is shorter than the copy: it has {new} leaves, and had {old}"
            )));
        }
        let mut fetched = 0_u64;
        for resource in Resource::all_in_tree(checkpoint.size()).skip(1) {
            if !copy.has_for_good(resource) {
                let bytes = client.audit_resource(resource).await?;
                copy.write(resource, &bytes).map_err(local)?;
                fetched += 1;
            }
        }
        Ok((checkpoint, fetched))
    })?;
    // ORDER: the old checkpoint stays until what came is known to go on from it.
    copy.check_growth(&checkpoint, old.as_ref())?;
    copy.write(Resource::Checkpoint, checkpoint.text().as_bytes())?;
    for resource in Resource::all_in_tree(checkpoint.size()) {
        copy.remove_outgrown(resource)?;
    }
    Ok(Done {
        human: format!(
            "{} leaves of {} in {} ({fetched} files fetched)",
            checkpoint.size(),
            checkpoint.log(),
            args.dir.display()
        ),
        json: json!({
            "log": checkpoint.log().as_str(),
            "leaves": checkpoint.size(),
            "root": checkpoint.root().to_string(),
            "files_fetched": fetched,
        }),
        code: 0,
    })
}

fn verify(args: &VerifyCopy) -> Result<Done, Error> {
    let key = &args.key.key;
    let open = |path: &PathBuf| {
        let bytes = read_file(path, NOTE_BYTES_MAX)?;
        SignedCheckpoint::open(&bytes, key).map_err(|error| Error::copy(path, &error))
    };
    let mut old = args.old.iter().map(open).collect::<Result<Vec<_>, _>>()?;
    for path in &args.receipt {
        let proven = read_receipt(path)?.verify(key);
        old.push(proven.map_err(|error| Error::copy(path, &error))?.checkpoint);
    }
    let verdict = LogCopy::new(&args.dir).verify(key, &old)?;
    Ok(in_words(&verdict, old.len()))
}

fn in_words(verdict: &CopyVerdict, old: usize) -> Done {
    let CopyVerdict { checkpoint, findings } = verdict;
    let sound = findings.is_empty();
    let mut human = format!(
        "{}: {} leaves of {}, root {}",
        if sound { "sound" } else { "NOT SOUND" },
        checkpoint.size(),
        checkpoint.log(),
        checkpoint.root()
    );
    if sound && old > 0 {
        let _ = write!(human, "\nit goes on from {old} older checkpoints");
    }
    for finding in findings {
        let _ = write!(human, "\n{finding}");
    }
    let findings: Vec<Value> = findings
        .iter()
        .map(|finding| json!(finding.to_string()))
        .collect();
    Done {
        human,
        json: json!({
            "sound": sound,
            "log": checkpoint.log().as_str(),
            "leaves": checkpoint.size(),
            "root": checkpoint.root().to_string(),
            "findings": findings,
        }),
        code: u8::from(!sound),
    }
}

fn prove(args: Prove) -> Result<Done, Error> {
    if let Some(leaf) = args.leaf {
        let leaf = LeafIndex::new(leaf);
        let receipt = connected(args.reach, async |client| {
            client.audit_receipt_of_leaf(leaf).await
        })?;
        return proved(&receipt, &args.key.key, args.out.as_deref());
    }
    let target = args.target.unwrap_or_default();
    let usage = |error: &dyn std::fmt::Display| Error::Usage(format!("{target}: {error}"));
    let (bucket, name) = target
        .split_once('/')
        .ok_or_else(|| usage(&"is not BUCKET/KEY"))?;
    let bucket = BucketName::parse(bucket).map_err(|error| usage(&error))?;
    let name = ObjectKey::parse(name).map_err(|error| usage(&error))?;
    let version = args.version.as_deref().map(VersionId::parse).transpose();
    let version = version.map_err(|error| Error::Usage(format!("--version: {error}")))?;
    let receipt = connected(args.reach, async |client| {
        let version = if let Some(version) = version {
            version
        } else {
            let newest = client.head(&bucket, &name, GetOptions::default()).await?;
            newest.version
        };
        client.audit_receipt(&bucket, &name, &version).await
    })?;
    proved(&receipt, &args.key.key, args.out.as_deref())
}

fn proved(receipt: &Receipt, key: &VerifierKey, out: Option<&Path>) -> Result<Done, Error> {
    let proven = receipt.verify(key)?;
    if let Some(path) = out {
        let json = receipt.to_json()?;
        let file = File::options().write(true).create_new(true).open(path);
        let write =
            file.and_then(|mut file| std::io::Write::write_all(&mut file, format!("{json}\n").as_bytes()));
        write.map_err(|error| Error::copy(path, &error))?;
    }
    Ok(proof_words(receipt, &proven))
}

fn verify_receipt(args: &VerifyReceipt) -> Result<Done, Error> {
    let receipt = read_receipt(&args.file)?;
    let proven = receipt.verify(&args.key.key)?;
    if let Some(root) = &args.root {
        let expected = KeyId::parse(root).map_err(|error| Error::Usage(format!("--root: {error}")))?;
        if proven.request.as_ref().map(|request| &request.root) != Some(&expected) {
            return Err(Error::Copy(
                "the request's packet does not come from this root".to_owned(),
            ));
        }
    }
    Ok(proof_words(&receipt, &proven))
}

/// What a true receipt proves. Names in it are the log's: control characters are spelled out.
fn proof_words(receipt: &Receipt, proven: &Proven) -> Done {
    let (entry, checkpoint) = (&proven.entry, &proven.checkpoint);
    let key = receipt.key.as_deref().unwrap_or_default();
    let shown: String = key.chars().flat_map(spelled).collect();
    let actor = entry.actor.as_ref().map_or("nobody known", EntryActor::as_str);
    let mut human = format!(
        "true: leaf {} of {}, in a tree of {} leaves\n{} {} by {actor} at {}",
        entry.leaf,
        checkpoint.log(),
        checkpoint.size(),
        entry.op,
        entry.outcome,
        entry.at
    );
    if !shown.is_empty() {
        let _ = write!(human, "\nkey {shown}");
    }
    if let Some(request) = &proven.request {
        let what = if request.by_link {
            "a link signed at"
        } else {
            "signed at"
        };
        if receipt.document {
            human.push_str("\nof a document: what is stored has the server's envelope, so the log alone says that it is of what was signed");
        }
        let _ = write!(
            human,
            "\n{what} {}: {} {}\nunder a packet from {}",
            request.timestamp, request.method, request.path, request.root
        );
    }
    let request = proven.request.as_ref().map(|request| {
        json!({
            "signer": request.signer.to_string(),
            "root": request.root.to_string(),
            "timestamp": request.timestamp.to_string(),
            "by_link": request.by_link,
            "method": request.method,
            "path": request.path,
            "query": request.query,
            "bucket": request.bucket.as_ref().map(BucketName::as_str),
        })
    });
    let mut facts = json!({
        "true": true,
        "log": checkpoint.log().as_str(),
        "leaf": entry.leaf.get(),
        "leaves": checkpoint.size(),
        "at": entry.at.to_string(),
        "op": entry.op.as_str(),
        "outcome": entry.outcome.to_string(),
        "key": receipt.key,
        "document": receipt.document,
    });
    if let Some(members) = facts.as_object_mut() {
        members.extend(
            entry
                .actor
                .as_ref()
                .map(|actor| ("actor".to_owned(), json!(actor.as_str()))),
        );
        members.extend(request.map(|request| ("request".to_owned(), request)));
    }
    Done {
        human,
        json: facts,
        code: 0,
    }
}

fn spelled(character: char) -> Vec<char> {
    let turns =
        matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if character.is_control() || turns {
        character.escape_unicode().collect()
    } else {
        vec![character]
    }
}
