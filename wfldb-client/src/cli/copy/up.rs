//! A local tree into a bucket. The walk and the listing of what is there run in the same order, so that neither has
//! to be in memory.

use std::path::{Path, PathBuf};

use tokio::sync::mpsc;
use wfldb_client::tree::meta::FileMeta;
use wfldb_client::tree::walk::{Found, Walk, content_type};
use wfldb_client::{Client, Error, GetOptions, Prepared, Progress, PutOptions, Scan, ScanQuery, Stored};
use wfldb_core::name::{BucketName, ObjectKey};
use wfldb_core::object::{HeaderText, ObjectHeaders};
use wfldb_net::listing::Item;

use super::Crew;
use super::tally::{Outcome, Tally};
use crate::cli::args::Cp;
use crate::cli::exit::Failure;
use crate::cli::list::key_prefix;
use crate::cli::output::Output;
use crate::cli::target::Target;

/// How often a write whose outcome is unknown is looked up and, when it did not happen, made again.
const UNKNOWN_ATTEMPTS_MAX: u32 = 3;

pub(super) async fn tree(
    client: &Client,
    output: &Output,
    args: &Cp,
    from: &Path,
    to: &Target,
) -> Result<(), Failure> {
    let prefix = to.directory_prefix();
    let mut there = There::new(client, to, &prefix)?;
    let mut found = walk(from, prefix, args.follow).await?;
    let mut crew = Crew::new(output, args, "uploaded");
    while let Some(item) = found.recv().await {
        let (path, key, len, meta) = match item {
            Found::File { path, key, len, meta } => (path, key, len, meta),
            Found::EmptyDirectory { path, key, meta } => (path, key, 0, meta),
            Found::Skipped { path, why } => {
                let name = path.to_string_lossy().into_owned();
                crew.tally.add(&Outcome::Skipped {
                    name,
                    why: why.to_owned(),
                })?;
                continue;
            }
            Found::Failed { path, error } => {
                crew.tally.add(&Outcome::Failed {
                    name: path.to_string_lossy().into_owned(),
                    error,
                })?;
                continue;
            }
        };
        let known = match there.find(&key, &crew.tally).await {
            Ok(known) => known,
            Err(error) if error.stops_everything() => {
                crew.stopped = Some(error);
                break;
            }
            Err(error) => return Err(error.into()),
        };
        crew.tally.expect(len);
        let upload = Upload {
            client: client.clone(),
            bucket: to.bucket.clone(),
            key,
            path,
            headers: headers(
                None,
                if args.no_preserve {
                    FileMeta::default()
                } else {
                    meta
                },
            ),
            known,
            progress: crew.tally.progress(),
        };
        if !crew.start(len, upload.run()).await? {
            break;
        }
    }
    crew.finish().await
}

/// Walks on a blocking thread, a little ahead of the transfers.
async fn walk(from: &Path, prefix: String, follow: bool) -> Result<mpsc::Receiver<Found>, Error> {
    let (sender, receiver) = mpsc::channel(256);
    let from = from.to_owned();
    let starting = tokio::task::spawn_blocking(move || Walk::new(&from, &prefix, follow));
    let walk = starting
        .await
        .map_err(|error| Error::Local(error.to_string()))??;
    tokio::task::spawn_blocking(move || {
        for found in walk {
            if sender.blocking_send(found).is_err() {
                return;
            }
        }
    });
    Ok(receiver)
}

/// What the bucket holds below the prefix, read along with the walk.
struct There {
    scan: Option<Scan>,
    next: Option<Item>,
}

impl There {
    fn new(client: &Client, to: &Target, prefix: &str) -> Result<Self, Failure> {
        let query = ScanQuery {
            prefix: key_prefix(prefix)?,
            ..ScanQuery::default()
        };
        Ok(Self {
            scan: Some(client.scan(&to.bucket, &query)),
            next: None,
        })
    }

    /// The object at a key; keys must be asked for in order.
    async fn find(&mut self, key: &ObjectKey, tally: &Tally) -> Result<Option<Item>, Error> {
        loop {
            if let Some(item) = self.next.take() {
                if item.key == *key {
                    return Ok(Some(item));
                }
                if item.key > *key {
                    self.next = Some(item);
                    return Ok(None);
                }
            }
            let Some(scan) = &mut self.scan else {
                return Ok(None);
            };
            match scan.next().await {
                Ok(Some(item)) => self.next = Some(item),
                Ok(None) => self.scan = None,
                // Whoever may write but not list can still copy; only nothing can be skipped.
                Err(error) if error.status() == Some(403) => {
                    tally.warn("the packet does not allow to list what is there: nothing is skipped");
                    self.scan = None;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// What goes with a file beside its bytes.
pub(super) fn headers(path: Option<&Path>, meta: FileMeta) -> ObjectHeaders {
    let content_type = path
        .and_then(content_type)
        .and_then(|text| HeaderText::parse(text).ok());
    let mut pairs: Vec<(String, HeaderText)> = meta
        .to_pairs()
        .into_iter()
        .filter_map(|(name, value)| Some((name, HeaderText::parse(&value).ok()?)))
        .collect();
    pairs.sort_unstable();
    ObjectHeaders {
        content_type,
        meta: pairs,
        ..ObjectHeaders::default()
    }
}

struct Upload {
    client: Client,
    bucket: BucketName,
    key: ObjectKey,
    path: PathBuf,
    headers: ObjectHeaders,
    known: Option<Item>,
    progress: Progress,
}

impl Upload {
    async fn run(mut self) -> Outcome {
        let name = self.path.to_string_lossy().into_owned();
        let directory = self.key.as_str().ends_with('/');
        let prepared = if directory {
            Prepared::bytes("")
        } else {
            self.headers.content_type =
                content_type(&self.path).and_then(|text| HeaderText::parse(text).ok());
            match Prepared::file(&self.path).await {
                Ok(prepared) => prepared,
                Err(error) => return Outcome::Failed { name, error },
            }
        };
        let bytes = prepared.len();
        if self
            .known
            .as_ref()
            .is_some_and(|item| item.etag == Some(prepared.etag()) && item.size == bytes)
        {
            return Outcome::Unchanged { name, bytes };
        }
        let options = PutOptions {
            headers: self.headers,
            progress: Some(self.progress),
            ..PutOptions::default()
        };
        match put_surely(&self.client, &self.bucket, &self.key, &prepared, options).await {
            Ok(()) => Outcome::Copied { name, bytes },
            Err(error) => Outcome::Failed { name, error },
        }
    }
}

/// Stores; when the outcome is unknown, reads back, and stores again only if it is not there.
pub(super) async fn put_surely(
    client: &Client,
    bucket: &BucketName,
    key: &ObjectKey,
    prepared: &Prepared,
    options: PutOptions,
) -> Result<(), Error> {
    let mut attempt = 1;
    loop {
        let put: Result<Stored, Error> = client.put_prepared(bucket, key, prepared, options.clone()).await;
        match put {
            Err(Error::OutcomeUnknown(why)) if attempt < UNKNOWN_ATTEMPTS_MAX => {
                match client.head(bucket, key, GetOptions::default()).await {
                    Ok(info) if info.etag == prepared.etag() => return Ok(()),
                    Ok(_) => {}
                    Err(error) if error.is_not_found() => {}
                    Err(error) if error.stops_everything() => return Err(error),
                    Err(_) => return Err(Error::OutcomeUnknown(why)),
                }
            }
            Err(error) => return Err(error),
            Ok(_) => return Ok(()),
        }
        attempt += 1;
    }
}
