//! Reading objects. What is read is hashed on the way, and the last piece is followed by the verdict.

use std::path::Path;

use bytes::{Bytes, BytesMut};
use hyper::body::Incoming;
use tokio::sync::OwnedSemaphorePermit;
use wfldb_core::auth::Method;
use wfldb_core::id::{ContentHash, VersionId};
use wfldb_core::name::{BucketName, ObjectKey};
use wfldb_core::object::{EtagCondition, format_etag};

use super::info::ObjectInfo;
use crate::call::{Call, next_piece, object_path};
use crate::outgoing::Progress;
use crate::tree::meta::FileMeta;
use crate::tree::place::PartFile;
use crate::{Client, Error};

/// How often a download whose connection breaks in the middle is begun again.
const BODY_ATTEMPTS_MAX: u32 = 5;
/// How much is gathered before it is written.
const WRITE_BYTES: usize = 1024 * 1024;

/// What to read.
#[derive(Clone, Default)]
pub struct GetOptions {
    /// This version instead of the newest.
    pub version: Option<VersionId>,
    /// Only if the object is (still) this one; otherwise 412.
    pub if_match: Option<EtagCondition>,
    /// Told how many bytes arrived.
    pub progress: Option<Progress>,
}

impl std::fmt::Debug for GetOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("GetOptions");
        shown
            .field("version", &self.version)
            .field("if_match", &self.if_match)
            .finish_non_exhaustive()
    }
}

impl Client {
    fn read(method: Method, bucket: &BucketName, key: &ObjectKey, options: &GetOptions) -> Call {
        let mut call = Call::new(method, object_path(bucket, key));
        if let Some(version) = &options.version {
            call = call.query(&[("version", &version.to_string())]);
        }
        if let Some(condition) = &options.if_match {
            let value = match condition {
                EtagCondition::Any => "*".to_owned(),
                EtagCondition::Is(etag) => format_etag(etag),
            };
            call.headers.push(("if-match".to_owned(), value));
        }
        call
    }

    /// What the server knows about an object, without its bytes.
    ///
    /// # Errors
    /// `Api`, `Transport`.
    pub async fn head(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        options: GetOptions,
    ) -> Result<ObjectInfo, Error> {
        let call = Self::read(Method::Head, bucket, key, &options);
        let answer = self.caller.send(&call).await?;
        ObjectInfo::of(&answer.parts.headers)
    }

    /// Begins to read an object.
    ///
    /// # Errors
    /// `Api`, `Transport`; the bytes' own errors come from [`Object::chunk`].
    pub async fn get(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        options: GetOptions,
    ) -> Result<Object, Error> {
        let call = Self::read(Method::Get, bucket, key, &options);
        let answer = self.caller.send(&call).await?;
        Ok(Object {
            info: ObjectInfo::of(&answer.parts.headers)?,
            body: answer.body,
            hasher: blake3::Hasher::new(),
            received: 0,
            verified: false,
            progress: options.progress,
            _permit: answer.permit,
        })
    }

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
    /// its headers. A connection that breaks in the middle is made again. Both functions run on blocking threads.
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
        M: Fn(&ObjectInfo) -> FileMeta + Clone + Send + 'static,
    {
        let mut attempt = 1;
        loop {
            let mut object = self.get(bucket, key, options.clone()).await?;
            match object.write_to(begin.clone(), meta.clone()).await {
                Ok(()) => return Ok(object.info),
                Err(Error::Transport(_)) if attempt < BODY_ATTEMPTS_MAX => object.take_back(),
                Err(error) => {
                    object.take_back();
                    return Err(error);
                }
            }
            attempt += 1;
        }
    }
}

/// An object that is being read.
pub struct Object {
    info: ObjectInfo,
    body: Incoming,
    hasher: blake3::Hasher,
    received: u64,
    verified: bool,
    progress: Option<Progress>,
    _permit: OwnedSemaphorePermit,
}

impl std::fmt::Debug for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Object")
            .field("info", &self.info)
            .field("received", &self.received)
            .finish_non_exhaustive()
    }
}

impl Object {
    /// What the headers say.
    pub fn info(&self) -> &ObjectInfo {
        &self.info
    }

    /// The next bytes; `None` after the last, and only when all of them had the promised length and hash. So what
    /// was received may be used before, but must not be trusted until then.
    ///
    /// # Errors
    /// `Transport` when the answer is cut short, `Corrupt` when the bytes are not those of the etag.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            match next_piece(&mut self.body).await? {
                Some(piece) if piece.is_empty() => {}
                Some(piece) => {
                    let len = u64::try_from(piece.len()).unwrap_or(u64::MAX);
                    self.received = self.received.saturating_add(len);
                    if self.received > self.info.len {
                        return Err(Error::Corrupt(
                            "more bytes than the answer's content-length".to_owned(),
                        ));
                    }
                    self.hasher.update(&piece);
                    self.report(i64::try_from(len).unwrap_or(i64::MAX));
                    return Ok(Some(piece));
                }
                None => return self.verify().map(|()| None),
            }
        }
    }

    fn verify(&mut self) -> Result<(), Error> {
        if self.received != self.info.len {
            let why = format!(
                "the answer ended after {} of {} bytes",
                self.received, self.info.len
            );
            return Err(Error::Transport(why));
        }
        let hash = ContentHash::from_bytes(*self.hasher.finalize().as_bytes());
        if hash != self.info.etag {
            return Err(Error::Corrupt(format!(
                "the bytes hash to {hash}, the etag is {}",
                self.info.etag
            )));
        }
        self.verified = true;
        Ok(())
    }

    /// All bytes, when they are at most `bytes_max`.
    ///
    /// # Errors
    /// As [`Object::chunk`], and `Local` when there are more.
    pub async fn bytes(mut self, bytes_max: u64) -> Result<Bytes, Error> {
        if self.info.len > bytes_max {
            return Err(Error::Local(format!(
                "the object has {} bytes, more than {bytes_max}",
                self.info.len
            )));
        }
        let Some(first) = self.chunk().await? else {
            return Ok(Bytes::new());
        };
        let Some(second) = self.chunk().await? else {
            return Ok(first);
        };
        let mut whole = BytesMut::from(first);
        whole.extend_from_slice(&second);
        while let Some(piece) = self.chunk().await? {
            whole.extend_from_slice(&piece);
        }
        Ok(whole.freeze())
    }

    /// Pieces are gathered, so that a small object costs one trip to a blocking thread.
    async fn write_to<B, M>(&mut self, begin: B, meta: M) -> Result<(), Error>
    where
        B: Fn() -> Result<PartFile, Error> + Clone + Send + 'static,
        M: Fn(&ObjectInfo) -> FileMeta + Clone + Send + 'static,
    {
        let mut part: Option<PartFile> = None;
        loop {
            let mut pieces = Vec::new();
            let mut gathered = 0;
            while gathered < WRITE_BYTES && !self.verified {
                if let Some(piece) = self.chunk().await? {
                    gathered += piece.len();
                    pieces.push(piece);
                }
            }
            let (begin, meta) = (begin.clone(), self.verified.then(|| meta(&self.info)));
            let writing = tokio::task::spawn_blocking(move || {
                let mut part = part.map_or_else(begin, Ok)?;
                for piece in &pieces {
                    part.write(piece)?;
                }
                match meta {
                    None => Ok(Some(part)),
                    Some(meta) => part.finish(meta).map(|()| None),
                }
            });
            part = writing.await.map_err(|error| Error::Local(error.to_string()))??;
            if part.is_none() {
                return Ok(());
            }
        }
    }

    fn take_back(&self) {
        self.report(i64::try_from(self.received).map_or(i64::MIN, |received| -received));
    }

    fn report(&self, delta: i64) {
        if let Some(progress) = &self.progress
            && delta != 0
        {
            progress(delta);
        }
    }
}
