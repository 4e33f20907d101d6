//! Reading objects. What is read is hashed on the way, and the last piece is followed by the verdict.

use bytes::{Bytes, BytesMut};
use hyper::body::Incoming;
use tokio::sync::OwnedSemaphorePermit;
use wfldb_core::auth::Method;
use wfldb_core::doc;
use wfldb_core::id::{ContentHash, VersionId};
use wfldb_core::limits::DOCUMENT_BYTES_MAX;
use wfldb_core::name::{BucketName, ObjectKey};
use wfldb_core::object::{EtagCondition, format_etag};
use wfldb_core::time::UnixMillis;

use super::info::ObjectInfo;
use crate::call::{Answer, Call, next_piece, object_path};
use crate::outgoing::Progress;
use crate::{Client, Error};

/// What to read.
#[derive(Clone, Default)]
pub struct GetOptions {
    /// This version instead of the newest.
    pub version: Option<VersionId>,
    /// The version that was current at this time, inclusive. Not together with `version`: the server refuses that.
    pub at: Option<UnixMillis>,
    /// Only if the object is (still) this one; otherwise 412.
    pub if_match: Option<EtagCondition>,
    /// Told how many bytes arrived.
    pub progress: Option<Progress>,
}

impl GetOptions {
    /// One version.
    #[must_use]
    pub fn version(version: VersionId) -> Self {
        Self {
            version: Some(version),
            ..Self::default()
        }
    }

    /// What was current at a time.
    #[must_use]
    pub fn at(at: UnixMillis) -> Self {
        Self {
            at: Some(at),
            ..Self::default()
        }
    }
}

impl std::fmt::Debug for GetOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("GetOptions");
        shown
            .field("version", &self.version)
            .field("at", &self.at)
            .field("if_match", &self.if_match)
            .finish_non_exhaustive()
    }
}

impl Client {
    pub(crate) fn read(method: Method, bucket: &BucketName, key: &ObjectKey, options: &GetOptions) -> Call {
        let mut call = Call::new(method, object_path(bucket, key)).by_session();
        let version = options.version.map(|version| ("version", version.to_string()));
        let at = options.at.map(|at| ("at", at.to_string()));
        let chosen = [version, at].into_iter().flatten();
        let chosen: Vec<(&str, String)> = chosen.collect();
        let pairs: Vec<(&str, &str)> = chosen
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        call = call.query(&pairs);
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
        Object::of(self.caller.send(&call).await?, options.progress)
    }

    /// What the server knows about the version that was current at a time.
    ///
    /// # Errors
    /// As [`Client::head`]; 404 where nothing or a tombstone was current then, or what was is not kept any more.
    pub async fn head_at(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        at: UnixMillis,
    ) -> Result<ObjectInfo, Error> {
        self.head(bucket, key, GetOptions::at(at)).await
    }

    /// Begins to read the version that was current at a time.
    ///
    /// # Errors
    /// As [`Client::get`]; 404 where nothing or a tombstone was current then, or what was is not kept any more.
    pub async fn get_at(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        at: UnixMillis,
    ) -> Result<Object, Error> {
        self.get(bucket, key, GetOptions::at(at)).await
    }
}

/// Longer than the member `_sig` of a document.
const SIGNATURE_BYTES: usize = 256;

/// An object that is being read, or a document as it is sent.
pub struct Object {
    info: ObjectInfo,
    body: Incoming,
    hasher: Box<blake3::Hasher>,
    /// Of what may be a document its bytes: `_sig` is not in what the etag is the hash of.
    document: Option<Vec<u8>>,
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
    pub(super) fn of(answer: Answer, progress: Option<Progress>) -> Result<Self, Error> {
        let info = ObjectInfo::of(&answer.parts.headers)?;
        // Ranges are offered of every object, and of no document.
        let is_object = answer.parts.headers.contains_key(http::header::ACCEPT_RANGES);
        let may_be_document = !is_object && info.len <= (DOCUMENT_BYTES_MAX + SIGNATURE_BYTES) as u64;
        Ok(Self {
            info,
            body: answer.body,
            hasher: Box::default(),
            document: may_be_document.then(Vec::new),
            received: 0,
            verified: false,
            progress,
            _permit: answer.permit,
        })
    }

    /// Counts the beginning as received, which an earlier answer brought.
    pub(super) fn go_on_from(&mut self, bytes: u64, hasher: Box<blake3::Hasher>) {
        self.info.len = self.info.len.saturating_add(bytes);
        self.hasher = hasher;
        self.received = bytes;
        self.report(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    pub(super) fn received(&self) -> u64 {
        self.received
    }

    /// All bytes arrived and have the right hash.
    pub(super) fn is_verified(&self) -> bool {
        self.verified
    }

    pub(super) fn into_info(self) -> ObjectInfo {
        self.info
    }

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
                    if let Some(document) = &mut self.document {
                        document.extend_from_slice(&piece);
                    }
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
        let stored = self.document.as_deref().and_then(doc::stored_text);
        let is_document = stored.is_some_and(|stored| ContentHash::of(&stored) == self.info.etag);
        if hash != self.info.etag && !is_document {
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

    pub(super) fn take_back(&self) {
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
