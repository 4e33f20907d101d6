//! Part of a bucket into a local directory.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use wfldb_client::tree::meta::FileMeta;
use wfldb_client::tree::name::path_of;
use wfldb_client::tree::place::TargetDir;
use wfldb_client::{Client, Error, GetOptions, ObjectInfo, Progress, ScanQuery};
use wfldb_core::id::ContentHash;
use wfldb_core::name::{BucketName, ObjectKey};
use wfldb_net::listing::Item;

use super::Crew;
use super::tally::Outcome;
use crate::cli::args::Cp;
use crate::cli::exit::Failure;
use crate::cli::list::key_prefix;
use crate::cli::object::file_meta;
use crate::cli::output::Output;
use crate::cli::target::Target;

pub(super) async fn tree(
    client: &Client,
    output: &Output,
    args: &Cp,
    from: &Target,
    to: &Path,
) -> Result<(), Failure> {
    let prefix = from.directory_prefix();
    let query = ScanQuery {
        prefix: key_prefix(&prefix)?,
        ..ScanQuery::default()
    };
    let mut scan = client.scan(&from.bucket, &query);
    // The first page is asked for before anything is made here: a wrong bucket leaves no directory behind.
    let mut next = scan.next().await?;
    let path = to.to_owned();
    let target = Arc::new(blocking(move || TargetDir::open(&path)).await?);
    let mut crew = Crew::new(output, args, "downloaded");
    // Only keys with a `%` can share a path with another key (see `tree::name`), so only their paths are kept.
    let mut escaped_paths: HashSet<PathBuf> = HashSet::new();
    while let Some(item) = next {
        let rest = item.key.as_str().get(prefix.len()..).unwrap_or_default();
        match place(&prefix, rest, &item, &mut escaped_paths) {
            Ok(None) => {}
            Ok(Some((relative, directory))) => {
                crew.tally.expect(item.size);
                let download = Download {
                    client: client.clone(),
                    bucket: from.bucket.clone(),
                    key: item.key.clone(),
                    known: item.etag,
                    len: item.size,
                    relative,
                    directory,
                    target: Arc::clone(&target),
                    preserve: !args.no_preserve,
                    progress: crew.tally.progress(),
                };
                if !crew.start(item.size, download.run()).await? {
                    break;
                }
            }
            Err(error) => crew.tally.add(&Outcome::Failed {
                name: item.key.to_string(),
                error,
            })?,
        }
        next = match scan.next().await {
            Ok(next) => next,
            Err(error) if error.stops_everything() => {
                crew.stopped = Some(error);
                break;
            }
            Err(error) => return Err(error.into()),
        };
    }
    crew.finish().await
}

/// Where an item goes; `None` for the object that stands for the copied directory itself.
fn place(
    prefix: &str,
    rest: &str,
    item: &Item,
    escaped_paths: &mut HashSet<PathBuf>,
) -> Result<Option<(PathBuf, bool)>, Error> {
    if rest.is_empty() && item.size == 0 {
        return Ok(None);
    }
    let local = path_of(prefix, rest).map_err(|error| Error::Local(error.to_string()))?;
    if local.directory && item.size > 0 {
        return Err(Error::Local(
            "the key ends with / and the object holds bytes: no file can have that name".to_owned(),
        ));
    }
    if rest.contains('%') && !escaped_paths.insert(local.path.clone()) {
        return Err(Error::Local(format!(
            "{}: another key has this path already",
            local.path.display()
        )));
    }
    Ok(Some((local.path, local.directory)))
}

struct Download {
    client: Client,
    bucket: BucketName,
    key: ObjectKey,
    known: Option<ContentHash>,
    len: u64,
    relative: PathBuf,
    directory: bool,
    target: Arc<TargetDir>,
    preserve: bool,
    progress: Progress,
}

impl Download {
    async fn run(self) -> Outcome {
        let name = self.key.to_string();
        let copied = if self.directory {
            self.make_directory().await
        } else {
            self.fetch().await
        };
        match copied {
            Ok(None) => Outcome::Unchanged {
                name,
                bytes: self.len,
            },
            Ok(Some(bytes)) => Outcome::Copied { name, bytes },
            Err(error) => Outcome::Failed { name, error },
        }
    }

    async fn fetch(&self) -> Result<Option<u64>, Error> {
        let (target, relative, len) = (Arc::clone(&self.target), self.relative.clone(), self.len);
        let here = blocking(move || target.hash_of(&relative, len)).await?;
        if here.is_some() && here == self.known {
            return Ok(None);
        }
        let (target, relative) = (Arc::clone(&self.target), self.relative.clone());
        let options = GetOptions {
            progress: Some(Arc::clone(&self.progress)),
            ..GetOptions::default()
        };
        let begin = move || target.begin(&relative);
        let preserve = self.preserve;
        let meta = move |info: &ObjectInfo| {
            if preserve {
                file_meta(info)
            } else {
                FileMeta::default()
            }
        };
        let info = self
            .client
            .get_to_part(&self.bucket, &self.key, options, begin, meta)
            .await?;
        Ok(Some(info.len))
    }

    async fn make_directory(&self) -> Result<Option<u64>, Error> {
        let (target, relative) = (Arc::clone(&self.target), self.relative.clone());
        let made = blocking(move || target.make_directory(&relative)).await?;
        if !made {
            return Ok(None);
        }
        if self.preserve {
            let info = self
                .client
                .head(&self.bucket, &self.key, GetOptions::default())
                .await?;
            let (target, relative) = (Arc::clone(&self.target), self.relative.clone());
            blocking(move || target.set_directory_meta(&relative, file_meta(&info))).await?;
        }
        Ok(Some(0))
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Error::Local(error.to_string()))?
}
