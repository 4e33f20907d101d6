//! Writes that bring their receipt from the audit log, into a new file.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use wfldb_client::{Client, Error, Prepared, PutOptions, Receipted, Stored};
use wfldb_core::audit::Receipt;
use wfldb_core::id::VersionId;
use wfldb_core::name::{BucketName, ObjectKey};

use super::exit::Failure;
use super::upload;

/// How often a receipt that no checkpoint covers yet is asked for again.
const ATTEMPTS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(250);

/// The file that a receipt goes to. It is made before anything is sent, so that nothing is stored without a place for its
/// receipt, and taken away again when there is none.
#[derive(Debug)]
pub(super) struct ReceiptFile {
    file: File,
    path: PathBuf,
    written: bool,
}

/// Makes the file.
pub(super) fn new_file(path: &Path) -> Result<ReceiptFile, Failure> {
    let file = File::options().write(true).create_new(true).open(path);
    let file = file.map_err(|error| Failure::Usage(format!("--receipt {}: {error}", path.display())))?;
    Ok(ReceiptFile {
        file,
        path: path.to_owned(),
        written: false,
    })
}

impl ReceiptFile {
    fn write(mut self, receipt: &Receipt) -> Result<(), Error> {
        let failed = |why: &dyn std::fmt::Display| {
            Error::Local(format!(
                "stored, but {} cannot be written: {why}",
                self.path.display()
            ))
        };
        let json = receipt.to_json().map_err(|error| failed(&error))?;
        let write = writeln!(&self.file, "{json}").and_then(|()| self.file.sync_all());
        write.map_err(|error| failed(&error))?;
        self.written = true;
        Ok(())
    }
}

impl Drop for ReceiptFile {
    fn drop(&mut self) {
        if !self.written {
            // What stays after a failure here is an empty file of ours.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Stores what was prepared, and writes its receipt.
pub(super) async fn put(
    client: &Client,
    bucket: &BucketName,
    key: &ObjectKey,
    prepared: &Prepared,
    options: PutOptions,
    file: ReceiptFile,
) -> Result<Stored, Failure> {
    let (stored, receipt) = client.put_with_receipt(bucket, key, prepared, options).await?;
    let receipt = match receipt {
        Some(receipt) => receipt,
        None => fetch(client, bucket, key, &stored.version).await?,
    };
    file.write(&receipt)?;
    Ok(stored)
}

/// Stores a file, in parts when it is large, and writes its receipt.
pub(super) async fn put_file(
    client: &Client,
    bucket: &BucketName,
    key: &ObjectKey,
    path: &Path,
    options: PutOptions,
    file: ReceiptFile,
) -> Result<Stored, Failure> {
    let metadata = tokio::fs::metadata(path).await;
    let metadata =
        metadata.map_err(|error| Error::Local(format!("cannot read {}: {error}", path.display())))?;
    if !upload::is_large(metadata.len()) {
        let prepared = Prepared::file(path).await?;
        return put(client, bucket, key, &prepared, options, file).await;
    }
    let uploaded = upload::large(client, bucket, key, path, options).await?;
    let receipt = fetch(client, bucket, key, &uploaded.stored.version).await?;
    file.write(&receipt)?;
    Ok(uploaded.stored)
}

/// Writes the receipt of a change that is done, asked for again where no checkpoint covered it in time. That needs `audit`
/// on everything.
pub(super) async fn keep<T>(client: &Client, made: Receipted<T>, file: ReceiptFile) -> Result<T, Failure> {
    let Receipted { done, leaf, receipt } = made;
    let receipt = match (receipt, leaf) {
        (Some(receipt), _) => receipt,
        (None, Some(leaf)) => {
            let about = format!("leaf {leaf}");
            until_covered(&about, async || client.audit_receipt_of_leaf(leaf).await).await?
        }
        (None, None) => {
            let why = "done, but there is no receipt: nothing was changed, or the packet may not learn that";
            return Err(Error::Local(why.to_owned()).into());
        }
    };
    file.write(&receipt)?;
    Ok(done)
}

/// Asks for the receipt until a checkpoint covers the write. Needs `audit` on the key.
async fn fetch(
    client: &Client,
    bucket: &BucketName,
    key: &ObjectKey,
    version: &VersionId,
) -> Result<Receipt, Error> {
    let about = format!("version {version}");
    until_covered(&about, async || client.audit_receipt(bucket, key, version).await).await
}

async fn until_covered(about: &str, ask: impl AsyncFn() -> Result<Receipt, Error>) -> Result<Receipt, Error> {
    let mut attempt = 1;
    loop {
        let error = match ask().await {
            Ok(receipt) => return Ok(receipt),
            Err(error) => error,
        };
        let not_yet = error.is_not_found();
        if !not_yet || attempt >= ATTEMPTS {
            return Err(Error::Local(format!(
                "done ({about}), but there is no receipt yet: {error}"
            )));
        }
        tokio::time::sleep(PAUSE).await;
        attempt += 1;
    }
}
