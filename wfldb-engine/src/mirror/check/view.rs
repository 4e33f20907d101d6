//! What a path of a mirror should be in one state of the store.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use wfldb_core::mirror::{FileName, Manifest};
use wfldb_core::name::ObjectKey;

use crate::engine::Inner;
use crate::error::EngineError;
use crate::mirror::cursor::Cursor;
use crate::mirror::root::{ROOT, SIGNERS};
use crate::mirror::state::{DELETED, META, METADATA, MirrorFile, MirrorPlace, SHARD_ABOVE_KEYS, State};
use crate::mirror::tree::Tree;
use crate::row::BucketRow;

/// Keys that are looked through for the one of a name that was cut.
const KEYS_MAX: usize = 100_000;
const KEYS_AT_ONCE: usize = 1000;
/// Largest file that is read whole: a manifest of a bucket without shards, a document.
pub(super) const WHOLE_BYTES_MAX: u64 = 64 << 20;

/// One state of the store, and where its buckets are in the mirror.
pub(super) struct View {
    pub(super) state: State,
    /// The last change of the state.
    pub(super) position: u64,
    buckets: BTreeMap<String, (BucketRow, MirrorPlace)>,
}

/// What a path should be.
pub(super) enum Due {
    /// Nothing.
    Nothing,
    /// What says whose mirror it is.
    Root,
    /// The keys to verify with.
    Signers,
    /// The manifest of this directory.
    Manifest(String),
    /// A file of this bucket.
    File(Box<BucketRow>, MirrorFile),
    /// Something that the store cannot read.
    Unreadable(String),
    /// It would take too long to know.
    Unknown,
}

/// Where a path is below a bucket.
struct Within<'a, 'p> {
    row: &'a BucketRow,
    place: &'a MirrorPlace,
    /// The directory that has the manifest.
    dir: String,
    /// Below it.
    below: &'p str,
}

impl View {
    /// `state` with the mirror as `cursor` knows it, or else as it says itself.
    pub(super) fn new(state: State, tree: &Tree, cursor: Option<&Cursor>) -> Result<Self, EngineError> {
        let position = state.mark()?.position.get();
        let mut buckets = BTreeMap::new();
        for row in state.buckets()? {
            let known = cursor.and_then(|cursor| cursor.buckets.get(&row.id.to_string()));
            let sharded = match known {
                Some(known) => known.sharded,
                None => says_sharded(tree, &row) || state.keys(&row.id)? > SHARD_ABOVE_KEYS,
            };
            let place = MirrorPlace::new(&row.name, row.config.kind, sharded);
            buckets.insert(place.dir().to_owned(), (row, place));
        }
        Ok(Self {
            state,
            position,
            buckets,
        })
    }

    pub(super) fn inner(&self) -> &Arc<Inner> {
        &self.state.inner
    }

    pub(super) fn buckets(&self) -> impl Iterator<Item = &(BucketRow, MirrorPlace)> {
        self.buckets.values()
    }

    fn within<'a, 'p>(&'a self, path: &'p str) -> Option<Within<'a, 'p>> {
        let (dir, below) = path.split_once('/')?;
        let (row, place) = self.buckets.get(dir)?;
        if place.sharded()
            && let Some((shard, inner)) = below.split_once('/')
            && shard.len() == 2
            && shard
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        {
            let dir = format!("{dir}/{shard}");
            return Some(Within {
                row,
                place,
                dir,
                below: inner,
            });
        }
        let dir = dir.to_owned();
        Some(Within {
            row,
            place,
            dir,
            below,
        })
    }

    /// The directory whose manifest names this path.
    pub(super) fn manifest_dir(&self, path: &str) -> Option<String> {
        self.within(path).map(|within| within.dir)
    }

    /// Whether the manifest of `dir` names files further down than beside it: it is that of a bucket in shards.
    pub(super) fn is_above_shards(&self, dir: &str) -> bool {
        self.buckets.get(dir).is_some_and(|(_, place)| place.sharded())
    }

    /// The bucket that a path belongs to, and the key, where it is one's.
    pub(super) fn owner(&self, path: &str) -> Result<Option<(&BucketRow, Option<ObjectKey>)>, EngineError> {
        let Some(within) = self.within(path) else {
            return Ok(None);
        };
        let key = match self.key(&within)? {
            Owner::Key(key) => Some(key),
            Owner::None | Owner::Unknown => None,
        };
        Ok(Some((within.row, key)))
    }

    /// Whether the key that a path belongs to was written since.
    pub(super) fn is_outdated(&self, path: &str) -> Result<bool, EngineError> {
        let Some((row, Some(key))) = self.owner(path)? else {
            return Ok(false);
        };
        let now = State::of(self.inner());
        Ok(now.version(&row.id, &key)? != self.state.version(&row.id, &key)?)
    }

    /// What a path should be.
    pub(super) fn due(&self, path: &str) -> Result<Due, EngineError> {
        if path == ROOT {
            return Ok(Due::Root);
        }
        if path == SIGNERS {
            return Ok(Due::Signers);
        }
        let Some(within) = self.within(path) else {
            return Ok(Due::Nothing);
        };
        let file = |file| Due::File(Box::new(within.row.clone()), file);
        if within.below == Manifest::FILE {
            return Ok(Due::Manifest(within.dir));
        }
        if within.below == METADATA && within.dir == within.place.dir() {
            return State::metadata(within.row, within.place).map(file);
        }
        let key = match self.key(&within)? {
            Owner::Key(key) => key,
            Owner::None => return Ok(Due::Nothing),
            Owner::Unknown => return Ok(Due::Unknown),
        };
        match self.state.files(within.row, within.place, &key) {
            Ok(files) => {
                let found = files.into_iter().find(|file| file.path == path);
                Ok(found.map_or(Due::Nothing, file))
            }
            Err(error @ (EngineError::Corrupt(_) | EngineError::Read(_))) => {
                Ok(Due::Unreadable(format!("{key}: {error}")))
            }
            Err(error) => Err(error),
        }
    }

    fn key(&self, within: &Within<'_, '_>) -> Result<Owner, EngineError> {
        let name = within.below;
        let name = name
            .strip_prefix(DELETED)
            .and_then(|name| name.strip_prefix('/'))
            .unwrap_or(name);
        let kind = within.place.kind();
        let name = match name.strip_prefix(META).and_then(|name| name.strip_prefix('/')) {
            Some(meta) => meta.strip_suffix(".json").unwrap_or_default(),
            None => name,
        };
        let key = match FileName::key(name, kind) {
            Some(key) => Owner::Key(key),
            None => match FileName::beginning(name, kind) {
                Some(beginning) => self.cut(within, name, &beginning)?,
                None => Owner::None,
            },
        };
        Ok(match key {
            Owner::Key(key) if within.place.dir_of(&key) != within.dir => Owner::None,
            key => key,
        })
    }

    /// The key of a name that was cut: one of those that begin in the same way.
    fn cut(&self, within: &Within<'_, '_>, name: &str, beginning: &str) -> Result<Owner, EngineError> {
        let mut before = beginning;
        let mut after = loop {
            if let Ok(key) = ObjectKey::parse(before) {
                break Some(key);
            }
            let Some((at, _)) = before.char_indices().next_back() else {
                break None;
            };
            before = before.get(..at).unwrap_or_default();
        };
        let mut looked = 0;
        loop {
            let keys = self
                .state
                .keys_behind(&within.row.id, after.as_ref(), KEYS_AT_ONCE)?;
            for key in &keys {
                if !key.as_str().starts_with(before) {
                    return Ok(Owner::None);
                }
                if FileName::of(key, within.place.kind()).as_str() == name {
                    return Ok(Owner::Key(key.clone()));
                }
            }
            looked += keys.len();
            match keys.into_iter().next_back() {
                None => return Ok(Owner::None),
                Some(_) if looked >= KEYS_MAX => return Ok(Owner::Unknown),
                Some(last) => after = Some(last),
            }
        }
    }

    /// Hands every path that should be there to `each`, but for manifests and the files about the mirror as a whole.
    pub(super) fn paths(
        &self,
        mut each: impl FnMut(&str) -> Result<(), EngineError>,
    ) -> Result<(), EngineError> {
        for (row, place) in self.buckets() {
            each(&format!("{}/{METADATA}", place.dir()))?;
            let mut after = None;
            loop {
                let keys = self.state.keys_behind(&row.id, after.as_ref(), KEYS_AT_ONCE)?;
                for key in &keys {
                    let paths = match self.state.paths(row, place, key) {
                        // Looking at the first tells what is damaged.
                        Err(EngineError::Corrupt(_) | EngineError::Read(_)) => {
                            let dir = place.dir_of(key);
                            let names = place.paths_of(key).into_iter().take(1);
                            names.map(|name| format!("{dir}/{name}")).collect()
                        }
                        paths => paths?,
                    };
                    for path in paths {
                        each(&path)?;
                    }
                }
                match keys.into_iter().next_back() {
                    Some(last) => after = Some(last),
                    None => break,
                }
            }
        }
        Ok(())
    }
}

enum Owner {
    Key(ObjectKey),
    None,
    Unknown,
}

/// What the bucket's own file says of shards, where nothing better is known.
fn says_sharded(tree: &Tree, row: &BucketRow) -> bool {
    let place = MirrorPlace::new(&row.name, row.config.kind, false);
    let path = format!("{}/{METADATA}", place.dir());
    let said = tree.read(&path, WHOLE_BYTES_MAX).ok().flatten();
    let said = said.and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
    said.is_some_and(|said| {
        said.get("shards")
            .and_then(Value::as_u64)
            .is_some_and(|shards| shards > 0)
    })
}
