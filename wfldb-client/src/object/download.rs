//! Reading objects into files: under a temporary name, checked, renamed when whole. A large download that breaks off
//! is gone on with where it stopped, in this process or the next; the hash over all of it decides in the end.

use std::path::Path;

use wfldb_core::auth::Method;
use wfldb_core::name::{BucketName, ObjectKey};
use wfldb_core::object::format_etag;

use super::get::{GetOptions, Object};
use super::info::ObjectInfo;
use crate::tree::meta::FileMeta;
use crate::tree::part::{PartFile, RESUME_BYTES_MIN};
use crate::{Client, Error};

/// How often a download that breaks off without getting further is opened again.
const ATTEMPTS_MAX: u32 = 5;
/// How much is gathered before it is written.
const WRITE_BYTES: usize = 1024 * 1024;

impl Client {
    /// Reads an object into a file, which appears whole or not at all. Its mode is the process's default.
    ///
    /// # Errors
    /// Any of [`Error`] but `OutcomeUnknown`.
    pub async fn get_to_file(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        path: &Path,
        options: GetOptions,
    ) -> Result<ObjectInfo, Error> {
        let path = path.to_owned();
        let begin = move || PartFile::at(&path);
        self.get_to_part(bucket, key, options, begin, |_| FileMeta::default())
            .await
    }

    /// Reads an object into the part file that `begin` makes and finishes it with the metadata that `meta` makes of
    /// its headers. `begin` runs on a blocking thread.
    ///
    /// # Errors
    /// Any of [`Error`] but `OutcomeUnknown`.
    pub async fn get_to_part<B, M>(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        options: GetOptions,
        begin: B,
        meta: M,
    ) -> Result<ObjectInfo, Error>
    where
        B: Fn() -> Result<PartFile, Error> + Clone + Send + 'static,
        M: Fn(&ObjectInfo) -> FileMeta,
    {
        let (mut attempt, mut furthest) = (1, 0);
        let mut from_the_start = false;
        loop {
            let mut object = self.get(bucket, key, options.clone()).await?;
            let mut part = None;
            let mut resumed = false;
            if object.info().len >= RESUME_BYTES_MIN {
                let mut opened = blocking(begin.clone()).await?;
                if opened.kept() > 0 && !from_the_start {
                    (object, opened, resumed) =
                        Box::pin(self.resume(bucket, key, &options, object, opened)).await?;
                }
                if opened.kept() > 0 && !resumed {
                    opened = blocking(move || opened.restart().map(|()| opened)).await?;
                }
                part = Some(opened);
            }
            let error = match write(&mut object, part, begin.clone(), &meta).await {
                Ok(()) => return Ok(object.into_info()),
                Err(error) => error,
            };
            object.take_back();
            match error {
                // What was kept was of another version, or damaged. Nothing is wrong with what the server sends.
                Error::Corrupt(_) if resumed => from_the_start = true,
                Error::Transport(_) if object.received() > furthest => attempt = 1,
                Error::Transport(_) if attempt < ATTEMPTS_MAX => attempt += 1,
                error => return Err(error),
            }
            furthest = furthest.max(object.received());
        }
    }

    /// Asks for the rest of what is kept. False when the part must be started over, with an object from its start.
    async fn resume(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        options: &GetOptions,
        whole: Object,
        mut part: PartFile,
    ) -> Result<(Object, PartFile, bool), Error> {
        let (kept, len) = (part.kept(), whole.info().len);
        // A range must hold a byte. What is as long as the object, or longer, is not worth a special case.
        if kept >= len {
            return Ok((whole, part, false));
        }
        let mut call = Self::read(Method::Get, bucket, key, options);
        call.headers.push(("range".to_owned(), format!("bytes={kept}-")));
        call.headers
            .push(("if-range".to_owned(), format_etag(&whole.info().etag)));
        let answer = self.caller.send(&call).await?;
        let partial = answer.parts.status == http::StatusCode::PARTIAL_CONTENT;
        let mut rest = Object::of(answer, options.progress.clone())?;
        if !partial {
            return Ok((rest, part, false));
        }
        if rest.info().etag != whole.info().etag || rest.info().len != len - kept {
            return Ok((whole, part, false));
        }
        let (part, hasher) = blocking(move || {
            let mut hasher = Box::new(blake3::Hasher::new());
            part.hash_kept(&mut hasher)?;
            Ok((part, hasher))
        })
        .await?;
        rest.go_on_from(kept, hasher);
        Ok((rest, part, true))
    }
}

/// Writes all that comes. Pieces are gathered, so that a small object costs one trip to a blocking thread.
async fn write<B>(
    object: &mut Object,
    mut part: Option<PartFile>,
    begin: B,
    meta: &impl Fn(&ObjectInfo) -> FileMeta,
) -> Result<(), Error>
where
    B: Fn() -> Result<PartFile, Error> + Clone + Send + 'static,
{
    loop {
        let mut pieces = Vec::new();
        let mut gathered = 0;
        let mut failed = None;
        while gathered < WRITE_BYTES && !object.is_verified() {
            match object.chunk().await {
                Ok(Some(piece)) => {
                    gathered += piece.len();
                    pieces.push(piece);
                }
                Ok(None) => {}
                // What did arrive is written all the same, so that the next attempt can go on behind it.
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        if part.is_none() && failed.is_some() {
            return failed.map_or(Ok(()), Err);
        }
        let corrupt = matches!(failed, Some(Error::Corrupt(_)));
        let (begin, meta) = (begin.clone(), object.is_verified().then(|| meta(object.info())));
        part = blocking(move || {
            let mut part = part.map_or_else(begin, Ok)?;
            for piece in &pieces {
                part.write(piece)?;
            }
            if corrupt {
                part.restart()?;
            }
            match meta {
                None => Ok(Some(part)),
                Some(meta) => part.finish(meta).map(|()| None),
            }
        })
        .await?;
        match failed {
            Some(error) => return Err(error),
            None if part.is_none() => return Ok(()),
            None => {}
        }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Error::Local(error.to_string()))?
}
