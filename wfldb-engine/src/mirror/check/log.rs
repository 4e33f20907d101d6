//! What a check says of the copy of the audit log. What should be there is made from the store's leaves: at the checkpoint
//! that the store holds, or, while the mirror is being kept, at the one that the copy has, which is somewhat older.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use wfldb_core::audit::{AuditError, Resource, SignedCheckpoint, TiledTree, VerifierKey};
use wfldb_core::id::PublicKey;
use wfldb_core::limits::NOTE_BYTES_MAX;

use super::look::read;
use super::pass::{Place, Watch};
use super::table::{Kind, kind_of};
use super::view::WHOLE_BYTES_MAX;
use super::{MirrorFault, MirrorFinding};
use crate::audit::{StoredCheckpoint, StoredTiles};
use crate::error::EngineError;
use crate::mirror::lock;
use crate::mirror::log_tree::{LOG, LogFile, LogTree, path_of};
use crate::mirror::root::own_key;
use crate::mirror::state::State;
use crate::row::key;
use crate::storage::Space;

/// Bytes of a hash in a tile.
const HASH_BYTES: usize = 32;
/// Directories of the copy are inside of one another at most so often: a number has a directory for each three digits.
const DEPTH_MAX: usize = 16;
/// Of a copy that is being kept, what differs has to differ at so many looks: parts of it come before their checkpoint, and
/// go behind the next.
const LOOKS: usize = 4;
/// Between two of them: longer than between two rest points.
const BETWEEN_LOOKS: Duration = Duration::from_millis(1500);

/// One look at the copy.
struct LogLook<'a> {
    place: &'a Place<'a>,
    /// What is there and was not looked at yet.
    files: BTreeMap<String, Kind>,
    findings: Vec<MirrorFinding>,
    /// Leaves that it was compared with.
    leaves: Option<u64>,
}

impl Watch {
    /// Compares the copy of the audit log with the store's. Without a checkpoint there should be none.
    pub(super) fn look_at_log(&mut self, place: &Place<'_>) -> Result<(), EngineError> {
        let published = place.shared.map(|shared| lock(&shared.status).log);
        let mut look = LogLook::new(place)?;
        look.compare(published)?;
        if published.is_some() {
            for _ in 1..LOOKS {
                if look.findings.is_empty() {
                    break;
                }
                std::thread::sleep(BETWEEN_LOOKS);
                place.go_on()?;
                let mut again = LogLook::new(place)?;
                again.compare(published)?;
                let seen = |finding: &MirrorFinding| {
                    let is =
                        |before: &MirrorFinding| before.path == finding.path && before.kind == finding.kind;
                    look.findings.iter().any(is)
                };
                again.findings.retain(seen);
                look = again;
            }
        }
        self.log = look.findings;
        self.log_leaves = look.leaves;
        Ok(())
    }
}

impl<'a> LogLook<'a> {
    fn new(place: &'a Place<'a>) -> Result<Self, EngineError> {
        let mut look = Self {
            place,
            files: BTreeMap::new(),
            findings: Vec::new(),
            leaves: None,
        };
        look.walk(LOG, 0).map_err(read)?;
        Ok(look)
    }

    fn walk(&mut self, dir: &str, depth: usize) -> io::Result<()> {
        match kind_of(self.place.tree, dir)? {
            Kind::Absent if depth <= DEPTH_MAX => {}
            Kind::Absent => {
                let what = Kind::Other("it is a directory where a log has none");
                self.files.insert(dir.to_owned(), what);
                return Ok(());
            }
            other => {
                self.files.insert(dir.to_owned(), other);
                return Ok(());
            }
        }
        for entry in self.place.tree.list(dir)? {
            let path = format!("{dir}/{}", entry.name.to_string_lossy());
            self.walk(&path, depth + 1)?;
        }
        Ok(())
    }

    /// `published`: how many leaves the mirror that is being kept has published already.
    fn compare(&mut self, published: Option<u64>) -> Result<(), EngineError> {
        // Before the state: what it says is in there then.
        let found = self.checkpoint_there()?;
        let state = State::of(self.place.inner);
        if let Some(row) = state.snapshot.get(Space::Meta, key::CHECKPOINT)? {
            self.compare_with(&state, &row, found, published)?;
        }
        for (path, kind) in std::mem::take(&mut self.files) {
            match kind {
                Kind::Other(what) => self.find(MirrorFault::WrongType, &path, what),
                _ => self.find(MirrorFault::Added, &path, "the store has no such file"),
            }
        }
        Ok(())
    }

    fn compare_with(
        &mut self,
        state: &State,
        row: &[u8],
        found: Option<Vec<u8>>,
        published: Option<u64>,
    ) -> Result<(), EngineError> {
        let stored = match StoredCheckpoint::decode(row) {
            Ok(stored) => stored,
            Err(error) => {
                let detail = format!("the store's checkpoint: {error}");
                self.find(MirrorFault::Unreadable, LOG, &detail);
                self.files.clear();
                return Ok(());
            }
        };
        if !self.files.keys().any(|path| path != LOG) {
            // A copy that is being kept begins when there is something to publish.
            if published != Some(0) && !self.files.contains_key(LOG) {
                self.find(MirrorFault::Missing, LOG, "there is no such directory");
            }
            return Ok(());
        }
        let checkpoint = self.checkpoint(state, &stored, found, published)?;
        self.leaves = Some(checkpoint.size());
        match self.tiles(state, &checkpoint) {
            Err(error @ (EngineError::Corrupt(_) | EngineError::Read(_))) => {
                self.find(MirrorFault::Unreadable, LOG, &format!("the store's log: {error}"));
                self.files.clear();
                Ok(())
            }
            compared => compared,
        }
    }

    fn find(&mut self, kind: MirrorFault, path: &str, detail: &str) {
        self.findings.push(MirrorFinding {
            kind,
            path: path.to_owned(),
            detail: detail.to_owned(),
        });
    }

    /// The bytes of a file that should be there.
    fn take(&mut self, path: &str) -> Result<Option<Vec<u8>>, EngineError> {
        match self.files.remove(path) {
            None | Some(Kind::Absent) => self.missing(path),
            Some(Kind::Other(what)) => self.find(MirrorFault::WrongType, path, what),
            Some(Kind::File(_)) => match self.place.tree.read(path, WHOLE_BYTES_MAX).map_err(read)? {
                Some(bytes) => return Ok(Some(bytes)),
                None => self.missing(path),
            },
        }
        Ok(None)
    }

    fn missing(&mut self, path: &str) {
        // A link in the place of a directory is what is to be named.
        let above = std::path::Path::new(path).ancestors().skip(1);
        let mut above = above.filter_map(std::path::Path::to_str);
        let detail = match above.find(|above| matches!(self.files.get(*above), Some(Kind::Other(_)))) {
            Some(above) => format!("{above} is no directory"),
            None => "there is no such file".to_owned(),
        };
        self.find(MirrorFault::Missing, path, &detail);
    }

    fn checkpoint_there(&self) -> Result<Option<Vec<u8>>, EngineError> {
        let path = path_of(Resource::Checkpoint);
        self.place.tree.read(&path, WHOLE_BYTES_MAX).map_err(read)
    }

    /// The key that the store's checkpoints are signed with by now, where it has one.
    fn log_key(&self) -> Option<PublicKey> {
        let inner = self.place.inner;
        let given = inner.audit.key().map(VerifierKey::public_key);
        // Asking for the own one would make it.
        let has_own = || inner.dir().join("keys/node.key").exists();
        given
            .cloned()
            .or_else(|| has_own().then(|| own_key(inner)).flatten())
    }

    /// Looks at the checkpoint. Answers the one that the files are compared with.
    fn checkpoint(
        &mut self,
        state: &State,
        stored: &StoredCheckpoint,
        found: Option<Vec<u8>>,
        published: Option<u64>,
    ) -> Result<SignedCheckpoint, EngineError> {
        let path = path_of(Resource::Checkpoint);
        if self.log_key().is_some_and(|key| key != *stored.key.public_key()) {
            let detail = "the store's own checkpoint is signed with another key than the store's";
            self.find(MirrorFault::Log, &path, detail);
        }
        let newest = &stored.checkpoint;
        let Some(found) = found else {
            self.take(&path)?;
            return Ok(newest.clone());
        };
        self.files.remove(&path);
        if found == newest.text().as_bytes() {
            return Ok(newest.clone());
        }
        let (detail, older) = what_of(state, &found, stored)?;
        // Of a mirror that is being kept, the newest one may be on its way.
        let is_due = |older: &SignedCheckpoint| published.is_some_and(|published| older.size() >= published);
        if let Some(older) = older.filter(is_due) {
            return Ok(older);
        }
        self.find(MirrorFault::Log, &path, &detail);
        Ok(newest.clone())
    }

    fn tiles(&mut self, state: &State, checkpoint: &SignedCheckpoint) -> Result<(), EngineError> {
        let mut tree = LogTree::default();
        while tree.has_next(checkpoint.size()) {
            for file in tree.next_full(&*state.snapshot)? {
                self.file(&file)?;
            }
        }
        let (files, root) = tree.tail(&*state.snapshot, checkpoint.size())?;
        for file in files {
            self.file(&file)?;
        }
        if root != checkpoint.root() {
            let detail = "the store's own leaves do not come to the root of its checkpoint";
            self.find(MirrorFault::Unreadable, LOG, detail);
        }
        Ok(())
    }

    fn file(&mut self, file: &LogFile) -> Result<(), EngineError> {
        let path = path_of(file.resource);
        let Some(found) = self.take(&path)?.filter(|found| *found != file.bytes) else {
            return Ok(());
        };
        let detail = if found.len() == file.bytes.len() {
            let differs = found.iter().zip(&file.bytes).position(|(found, is)| found != is);
            let at = differs.unwrap_or(0);
            match file.resource {
                Resource::Tile(_) => format!("hash {} is not that of the store", at / HASH_BYTES),
                _ => format!("it differs from the store's entries from byte {at} on"),
            }
        } else {
            format!("it has {} bytes and not {}", found.len(), file.bytes.len())
        };
        self.find(MirrorFault::Log, &path, &detail);
        Ok(())
    }
}

/// What a checkpoint is that is not the store's newest; with it, if it is one of the store's.
fn what_of(
    state: &State,
    found: &[u8],
    stored: &StoredCheckpoint,
) -> Result<(String, Option<SignedCheckpoint>), EngineError> {
    let no = |detail: String| Ok((detail, None));
    if found.len() > NOTE_BYTES_MAX {
        return no("it is larger than a checkpoint".to_owned());
    }
    let found = match SignedCheckpoint::open(found, &stored.key) {
        Ok(found) => found,
        Err(AuditError::Signature) => return no("it is not signed with the store's key".to_owned()),
        Err(error) => return no(format!("it is not a checkpoint of the store: {error}")),
    };
    let (size, newest) = (found.size(), stored.checkpoint.size());
    let leaves = state.mark()?.leaves;
    if size > leaves {
        return no(format!(
            "signed with the store's key, of {size} leaves, and the store's log has {leaves}: it is a fork, or the store was set back"
        ));
    }
    let mut tiles = StoredTiles::new(&*state.snapshot);
    let root = match TiledTree::new(size, &mut tiles).root() {
        Ok(root) => root,
        Err(error @ (EngineError::Corrupt(_) | EngineError::Read(_))) => {
            return no(format!(
                "another one than the store's, which cannot be compared: {error}"
            ));
        }
        Err(error) => return Err(error),
    };
    if root != found.root() {
        return no(format!(
            "a fork: signed with the store's key, and its {size} leaves do not begin the store's log"
        ));
    }
    if size < newest {
        let detail = format!("an older one, of {size} leaves; the store has signed {newest}");
        return Ok((detail, Some(found)));
    }
    no("it is not spelled as the store published it".to_owned())
}
