//! How far a mirror is: `DIR/views/mirror/cursor`. It is written after everything that it speaks of is on stable storage.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use serde::{Deserialize, Serialize};
use wfldb_core::encoding::hex;
use wfldb_core::id::LogPosition;
use wfldb_core::name::BucketName;
use wfldb_core::object::BucketKind;

use super::state::MirrorPlace;
use crate::store::write_synced;

/// The form of the file.
const FORMAT: u32 = 1;
/// Largest cursor that is read.
const BYTES_MAX: u64 = 256 << 20;
const FILE: &str = "cursor";

/// How far it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cursor {
    format: u32,
    /// The store's id.
    store: String,
    /// Which directory it is of.
    place: String,
    /// Every change up to here is in the files.
    pub(crate) position: u64,
    /// BLAKE3 of that change's row: of another history the files say something else.
    pub(crate) change: String,
    /// The buckets that have a directory, by their ids.
    pub(crate) buckets: BTreeMap<String, Mirrored>,
    /// The copy of the audit log; `None`: whatever stands there is nobody's.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) log: Option<MirroredLog>,
}

/// How far the copy of the audit log is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MirroredLog {
    /// All full tiles of so many leaves are there, a multiple of 256.
    pub(crate) leaves: u64,
    /// The root over them: of another log the tiles are others.
    pub(crate) root: String,
    /// The sizes of trees whose partial tiles may be there: that of `log/checkpoint`, and those that it outgrew.
    pub(crate) partial: BTreeSet<u64>,
}

/// A bucket that has a directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mirrored {
    pub(crate) name: String,
    pub(crate) kind: BucketKind,
    /// Its files are spread over shards, for good.
    pub(crate) sharded: bool,
    /// It is being written whole: everything up to this key is there. `None` once it is.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) making: Option<String>,
}

impl Mirrored {
    pub(crate) fn place(&self) -> Option<MirrorPlace> {
        let name = BucketName::parse(&self.name).ok()?;
        Some(MirrorPlace::new(&name, self.kind, self.sharded))
    }
}

impl Cursor {
    /// Before anything was written.
    pub(crate) fn begin(store: [u8; 16], place: String, position: LogPosition, change: [u8; 32]) -> Self {
        Self {
            format: FORMAT,
            store: hex::encode(&store),
            place,
            position: position.get(),
            change: hex::encode(&change),
            buckets: BTreeMap::new(),
            log: None,
        }
    }

    /// The one in `dir`; `None` when there is none that is of this store and this place.
    pub(crate) fn load(dir: &Path, store: [u8; 16], place: &str) -> Option<Self> {
        let path = dir.join(FILE);
        if std::fs::metadata(&path).ok()?.len() > BYTES_MAX {
            return None;
        }
        let cursor: Self = serde_json::from_slice(&std::fs::read(&path).ok()?).ok()?;
        let places = cursor.buckets.values().all(|bucket| bucket.place().is_some());
        let own = cursor.format == FORMAT && cursor.store == hex::encode(&store) && cursor.place == place;
        (own && places).then_some(cursor)
    }

    /// Writes it, on stable storage.
    pub(crate) fn save(&self, dir: &Path) -> io::Result<()> {
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700).create(dir)?;
        let mut text = serde_json::to_vec(self)?;
        text.push(b'\n');
        write_synced(&dir.join(FILE), &text, 0o600)
    }
}
