//! A file as an object, in parts: several on their way, gone on with after an interruption, checked as a whole.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use wfldb_core::id::{ContentHash, Role, UploadId};
use wfldb_core::limits::{PART_BYTES_MIN, PARTS_MAX};
use wfldb_core::name::{BucketName, ObjectKey};
use wfldb_core::object::Preconditions;

use super::parts::{Sent, Transfer};
use super::plan;
use super::resume::{Journal, State, What};
use crate::error::ApiError;
use crate::file::OpenFile;
use crate::object::{GetOptions, Prepared, PutOptions, Stored};
use crate::outgoing::Source;
use crate::{Client, Error};

/// Files up to this size are stored by one request; larger ones go up in parts.
pub const SINGLE_PUT_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Parts on their way at once, each with a few MiB in memory.
const PARALLEL: usize = 2;

/// How a file is uploaded.
#[derive(Debug, Clone)]
pub struct UploadOptions {
    /// What goes with the object. The preconditions decide when the object is made; where they do not hold before the
    /// first byte, nothing is sent.
    pub put: PutOptions,
    /// The size of parts; rounded up to a multiple of 1 MiB, and larger where the file would need more than 10,000.
    /// 16 MiB when left out.
    pub part_bytes: Option<u64>,
    /// Parts on their way at once, 2 by default: more cost the server memory and gain little where the disk is the limit. Each costs about 8 MiB of memory.
    pub parallel: usize,
    /// Files up to this size are stored by one request; [`SINGLE_PUT_BYTES_MAX`] by default.
    pub single_bytes_max: u64,
    /// A directory of state files ([`default_upload_state`](crate::default_upload_state) names the usual one). With it, an
    /// upload that ends early stays on the server for the next run to go on with; without it, it is aborted.
    pub state: Option<PathBuf>,
}

impl Default for UploadOptions {
    fn default() -> Self {
        Self {
            put: PutOptions::default(),
            part_bytes: None,
            parallel: PARALLEL,
            single_bytes_max: SINGLE_PUT_BYTES_MAX,
            state: None,
        }
    }
}

/// A file that was uploaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uploaded {
    /// The object.
    pub stored: Stored,
    /// Length in bytes.
    pub bytes: u64,
    /// Of how many parts it was made; 0 where one request carried it.
    pub parts: u16,
    /// How many of them an earlier run had sent.
    pub parts_kept: u16,
}

/// An upload to go on with.
struct Begun {
    id: UploadId,
    part_bytes: u64,
    there: BTreeMap<u16, ContentHash>,
    /// It may be an object already.
    completing: bool,
}

/// One file on its way to one key.
struct Job<'a> {
    client: &'a Client,
    bucket: &'a BucketName,
    key: &'a ObjectKey,
    file: Arc<OpenFile>,
    options: &'a UploadOptions,
    what: What,
    journal: Option<Journal>,
}

impl Client {
    /// Stores a file: a small one by one request, a large one in parts, several at a time. Parts are hashed ahead of the
    /// network and read again while they are sent, so memory is bounded whatever the file's size. The object's etag is
    /// compared with the BLAKE3 of the file. Refuses if the file changes meanwhile.
    ///
    /// With a state directory an upload that was interrupted (by a crash on either side, or by the network) is gone on
    /// with when the same file is uploaded to the same key again: parts whose etag is the hash of the bytes here are kept,
    /// the others sent.
    ///
    /// Where the future is dropped before it ends, what was sent stays on the server until the upload ends by itself,
    /// seven days after its start.
    ///
    /// # Errors
    /// Any of [`Error`]; after `OutcomeUnknown`, read back, or with a state directory just upload again.
    pub async fn upload_file(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        path: &Path,
        options: UploadOptions,
    ) -> Result<Uploaded, Error> {
        let headers = &options.put.headers;
        headers.check().map_err(|error| Error::Local(error.to_string()))?;
        let owned = path.to_owned();
        let file = Arc::new(blocking(move || OpenFile::open(&owned)).await?);
        let bytes = file.len();
        if bytes <= options.single_bytes_max.max(1) {
            let prepared = Prepared(blocking(move || Source::of_open(file)).await?);
            let stored = self.put_prepared(bucket, key, &prepared, options.put).await?;
            return Ok(Uploaded {
                stored,
                bytes,
                parts: 0,
                parts_kept: 0,
            });
        }
        let mut job = Job {
            what: self.what(bucket, key, path, &file, headers.to_pairs()),
            client: self,
            bucket,
            key,
            file,
            options: &options,
            journal: None,
        };
        let (stored, parts, parts_kept) = Box::pin(job.run()).await?;
        Ok(Uploaded {
            stored,
            bytes,
            parts,
            parts_kept,
        })
    }

    fn what(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        path: &Path,
        file: &OpenFile,
        headers: Vec<(String, String)>,
    ) -> What {
        let caller = &self.caller;
        What {
            url: caller.pool.endpoint().to_string(),
            realm: caller.audience.to_string(),
            holder: caller.key.key_id(Role::Client).to_string(),
            bucket: bucket.to_string(),
            key: key.to_string(),
            path: path.canonicalize().unwrap_or_else(|_| path.to_owned()),
            size: file.len(),
            mtime: file.mtime(),
            headers,
        }
    }
}

impl Job<'_> {
    async fn run(&mut self) -> Result<(Stored, u16, u16), Error> {
        if let Some(directory) = self.options.state.clone() {
            let what = self.what.clone();
            self.journal = blocking(move || Ok(Journal::open(&directory, &what))).await?;
        }
        let mut begun = self.begin().await?;
        if begun.completing {
            if let Some(done) = self.completed_before(&begun).await? {
                self.forget();
                return Ok(done);
            }
            begun = self.start().await?;
        }
        match self.carry_out(&begun).await {
            Ok(done) => {
                self.forget();
                Ok(done)
            }
            Err(error) => {
                if self.journal.is_none() || !is_worth_going_on(&error) {
                    // The failure that ended the upload is the one to report; what stays ends after seven days.
                    let _ = self.client.abort_upload(self.bucket, self.key, begun.id).await;
                    self.forget();
                }
                Err(error)
            }
        }
    }

    /// Goes on with what an earlier run left, or starts.
    async fn begin(&mut self) -> Result<Begun, Error> {
        let earlier = self.journal.as_mut().and_then(Journal::earlier);
        let Some((id, state)) = earlier.and_then(|state| Some((state.id()?, state))) else {
            return self.start().await;
        };
        if state.what != self.what {
            // The file, or what goes with it, is another by now: its parts only take up space.
            let _ = self.client.abort_upload(self.bucket, self.key, id).await;
            return self.start().await;
        }
        match self.client.upload_parts(self.bucket, self.key, id).await {
            Ok(listed) if self.fits(listed.part_bytes) => Ok(Begun {
                id,
                part_bytes: listed.part_bytes,
                there: listed.parts.iter().map(|part| (part.part, part.etag)).collect(),
                completing: false,
            }),
            Ok(_) => self.start().await,
            Err(error) if error.is_not_found() && state.completing && self.fits(state.part_bytes) => {
                Ok(Begun {
                    id,
                    part_bytes: state.part_bytes,
                    there: BTreeMap::new(),
                    completing: true,
                })
            }
            Err(error) if error.is_not_found() => self.start().await,
            Err(error) => Err(error),
        }
    }

    fn fits(&self, part_bytes: u64) -> bool {
        part_bytes >= PART_BYTES_MIN && part_bytes.saturating_mul(u64::from(PARTS_MAX)) >= self.what.size
    }

    async fn start(&mut self) -> Result<Begun, Error> {
        let part_bytes = plan::part_bytes(self.what.size, self.options.part_bytes)?;
        self.check_conditions().await?;
        let headers = &self.options.put.headers;
        let id = self
            .client
            .start_upload(self.bucket, self.key, part_bytes, headers)
            .await?;
        let begun = Begun {
            id,
            part_bytes,
            there: BTreeMap::new(),
            completing: false,
        };
        self.note(&begun, false).await?;
        Ok(begun)
    }

    /// A condition that does not hold now is refused before gigabytes are sent. The completion decides.
    async fn check_conditions(&self) -> Result<(), Error> {
        let preconditions = &self.options.put.preconditions;
        if preconditions.is_empty() {
            return Ok(());
        }
        let head = match self
            .client
            .head(self.bucket, self.key, GetOptions::default())
            .await
        {
            Ok(info) => Some(info),
            Err(error) if error.is_not_found() => None,
            Err(error) if error.status() == Some(403) => return Ok(()),
            Err(error) => return Err(error),
        };
        let head = head.as_ref().map(|info| (&info.etag, &info.version));
        preconditions.check(head).map_err(|failed| {
            Error::Api(Box::new(ApiError {
                status: 412,
                code: failed.code().to_owned(),
                hint: None,
                request_id: None,
                detail: failed.to_string(),
                entry: None,
            }))
        })
    }

    async fn carry_out(&mut self, begun: &Begun) -> Result<(Stored, u16, u16), Error> {
        let sent = self.transfer(begun).send_all(&begun.there).await?;
        self.note(begun, true).await?;
        self.complete(begun, &sent, &self.options.put.preconditions).await
    }

    /// The answer to a completion that an earlier run did not see; `None` when there was none.
    async fn completed_before(&self, begun: &Begun) -> Result<Option<(Stored, u16, u16)>, Error> {
        let sent = self.transfer(begun).hash_all().await?;
        match self.complete(begun, &sent, &self.options.put.preconditions).await {
            Ok(done) => Ok(Some(done)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn complete(
        &self,
        begun: &Begun,
        sent: &Sent,
        preconditions: &Preconditions,
    ) -> Result<(Stored, u16, u16), Error> {
        let stored = self
            .client
            .complete_upload(self.bucket, self.key, begun.id, &sent.parts, preconditions)
            .await?;
        if stored.etag != sent.etag {
            let (stored, here) = (stored.etag, sent.etag);
            return Err(Error::Corrupt(format!(
                "the server stored {stored}, sent was {here}"
            )));
        }
        let parts = u16::try_from(sent.parts.len()).unwrap_or(u16::MAX);
        Ok((stored, parts, sent.kept))
    }

    fn transfer(&self, begun: &Begun) -> Transfer {
        Transfer {
            client: self.client.clone(),
            bucket: self.bucket.clone(),
            key: self.key.clone(),
            upload: begun.id,
            file: Arc::clone(&self.file),
            part_bytes: begun.part_bytes,
            parallel: self.options.parallel,
            progress: self.options.put.progress.clone(),
        }
    }

    /// Notes what the next run goes on with. Where that cannot be written, there is nothing to go on with later.
    async fn note(&mut self, begun: &Begun, completing: bool) -> Result<(), Error> {
        let Some(mut journal) = self.journal.take() else {
            return Ok(());
        };
        let state = State {
            what: self.what.clone(),
            upload: begun.id.to_string(),
            part_bytes: begun.part_bytes,
            completing,
        };
        let noting = blocking(move || Ok(journal.note(&state).is_ok().then_some(journal)));
        self.journal = noting.await?;
        Ok(())
    }

    fn forget(&mut self) {
        if let Some(journal) = self.journal.take() {
            journal.forget();
        }
    }
}

/// Whether the same upload may succeed later. What is refused for good, or whose file changed, is not kept: its parts
/// count against quotas.
fn is_worth_going_on(error: &Error) -> bool {
    match error {
        Error::Transport(_) | Error::Tls { .. } | Error::OtherNode { .. } | Error::OutcomeUnknown(_) => true,
        Error::Api(api) => matches!(api.status, 401 | 408 | 412 | 429 | 500..),
        Error::Corrupt(_) | Error::Widening(_) | Error::Local(_) => false,
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Error::Local(error.to_string()))?
}
