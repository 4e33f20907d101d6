//! A local tree into a bucket. The walk and the listing of what is there run in the same order, so that neither has
//! to be in memory.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::mpsc;
use wfldb_client::tree::meta::FileMeta;
use wfldb_client::tree::walk::{Found, Walk, content_type};
use wfldb_client::{Client, Error, Prepared, Progress, PutOptions, Scan, ScanQuery};
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
use crate::cli::upload;

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
            len,
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
    len: u64,
    headers: ObjectHeaders,
    known: Option<Item>,
    progress: Progress,
}

impl Upload {
    async fn run(mut self) -> Outcome {
        let name = self.path.to_string_lossy().into_owned();
        let outcome = if self.key.as_str().ends_with('/') {
            self.small(Prepared::bytes("")).await
        } else {
            self.headers.content_type =
                content_type(&self.path).and_then(|text| HeaderText::parse(text).ok());
            // Hashing a large file first is worth it only where the server may have it already.
            let known = self.known.as_ref().is_some_and(|item| item.size == self.len);
            if upload::is_large(self.len) && !known {
                self.large().await
            } else {
                match Prepared::file(&self.path).await {
                    Ok(prepared) if self.is_there(&prepared) => Ok((prepared.len(), false)),
                    Ok(prepared) if upload::is_large(prepared.len()) => self.large().await,
                    Ok(prepared) => self.small(prepared).await,
                    Err(error) => Err(error),
                }
            }
        };
        match outcome {
            Ok((bytes, true)) => Outcome::Copied { name, bytes },
            Ok((bytes, false)) => Outcome::Unchanged { name, bytes },
            Err(error) => Outcome::Failed { name, error },
        }
    }

    fn is_there(&self, prepared: &Prepared) -> bool {
        let there = self.known.as_ref();
        there.is_some_and(|item| item.etag == Some(prepared.etag()) && item.size == prepared.len())
    }

    fn options(&self) -> PutOptions {
        PutOptions {
            headers: self.headers.clone(),
            progress: Some(Arc::clone(&self.progress)),
            ..PutOptions::default()
        }
    }

    async fn small(&self, prepared: Prepared) -> Result<(u64, bool), Error> {
        if self.is_there(&prepared) {
            return Ok((prepared.len(), false));
        }
        upload::small(&self.client, &self.bucket, &self.key, &prepared, self.options()).await?;
        Ok((prepared.len(), true))
    }

    async fn large(&self) -> Result<(u64, bool), Error> {
        let uploaded = upload::large(&self.client, &self.bucket, &self.key, &self.path, self.options());
        Ok((uploaded.await?.bytes, true))
    }
}
