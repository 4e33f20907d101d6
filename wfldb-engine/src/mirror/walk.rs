//! Everything that a mirror should hold at one state of the store, for whoever checks one.

use std::collections::BTreeMap;

use wfldb_core::auth::{Authorized, Op, Target};
use wfldb_core::id::LogPosition;
use wfldb_core::name::BucketName;

use super::state::{MirrorFile, MirrorPlace, State};
use crate::engine::Engine;
use crate::error::EngineError;

/// Keys that are looked up at once.
const KEYS_AT_ONCE: usize = 1000;

/// One state of the store, as a mirror should show it.
pub struct MirrorView {
    state: State,
    buckets: BTreeMap<BucketName, crate::row::BucketRow>,
}

impl std::fmt::Debug for MirrorView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MirrorView").finish_non_exhaustive()
    }
}

impl Engine {
    /// The state of now, as a mirror should show it. Blocks.
    ///
    /// # Errors
    /// `Forbidden`; when the storage cannot be read.
    pub fn mirror_view(&self, proof: &Authorized) -> Result<MirrorView, EngineError> {
        if proof.op() != Op::Admin || *proof.target() != Target::Store {
            return Err(EngineError::Forbidden);
        }
        let state = State::of(&self.inner);
        let buckets = state.buckets()?.into_iter();
        let buckets = buckets.map(|bucket| (bucket.name.clone(), bucket)).collect();
        Ok(MirrorView { state, buckets })
    }
}

impl MirrorView {
    /// The last change of this state.
    ///
    /// # Errors
    /// When the storage cannot be read.
    pub fn position(&self) -> Result<LogPosition, EngineError> {
        Ok(self.state.mark()?.position)
    }

    /// The buckets that are mirrored.
    pub fn buckets(&self) -> impl Iterator<Item = &BucketName> {
        self.buckets.keys()
    }

    /// Hands every file of a bucket to `each`, but for the manifests, in the order of keys; `sharded`: whether its files
    /// are spread over shards, which its directory says. Answers where they are.
    ///
    /// # Errors
    /// `NoSuchBucket`; when something cannot be read; those of `each`.
    pub fn files<E: From<EngineError>>(
        &self,
        bucket: &BucketName,
        sharded: bool,
        mut each: impl FnMut(MirrorFile) -> Result<(), E>,
    ) -> Result<MirrorPlace, E> {
        let row = self.buckets.get(bucket).ok_or(EngineError::NoSuchBucket)?;
        let place = MirrorPlace::new(bucket, row.config.kind, sharded);
        each(State::metadata(row, &place)?)?;
        let mut after = None;
        loop {
            let keys = self.state.keys_behind(&row.id, after.as_ref(), KEYS_AT_ONCE)?;
            for key in &keys {
                for file in self.state.files(row, &place, key)? {
                    each(file)?;
                }
            }
            match keys.into_iter().next_back() {
                Some(last) => after = Some(last),
                None => return Ok(place),
            }
        }
    }
}
