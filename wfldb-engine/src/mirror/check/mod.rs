//! Whether a mirror is what its store says: every file, down to the byte. Nothing is changed, and nothing that stands in the
//! mirror is believed: what should be there is computed from the store.
//!
//! Where nobody writes, what differs is a finding. Where a server keeps the mirror, it may be on its way: then it is looked
//! at again while the mirror's thread waits at a rest point, for a fifth of a second at most each time, where every file is
//! what one state of the store says ([`held`]). So a finding is real, whatever goes on.

mod document;
mod held;
mod history;
mod look;
mod table;
mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use wfldb_core::auth::{Authorized, Op, Target};
use wfldb_core::mirror::Manifest;

pub(super) use self::held::Ask;
use self::held::Standing;
use self::look::{Larges, is_manifest, read};
use self::table::{Kind, Table};
use self::view::View;
use super::cursor::Cursor;
use super::root::{ROOT, SIGNERS};
use super::state::State;
use super::tree::Tree;
use super::{Mirror, Shared, lock};
use crate::engine::{Engine, Inner};
use crate::error::EngineError;

/// Findings that a verdict lists; more are counted.
const FINDINGS_MAX: usize = 1000;
/// Differences that are kept in mind, and paths that are to be looked at again; more are counted.
const OPEN_MAX: usize = 20_000;
/// A view of the store is taken anew after so long.
const VIEW_MAX: Duration = Duration::from_secs(1);
/// The mirror is held for so long at a time.
const HOLD: Duration = Duration::from_millis(200);
/// How long a check waits for the mirror to stand still, and how long it goes on to decide what differs.
const HELD_WITHIN: Duration = Duration::from_mins(1);
/// What a watch keeps in mind is forgotten when nobody has asked for so long.
const FORGOTTEN_AFTER: Duration = Duration::from_mins(15);

/// Where a mirror differs from its store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MirrorFinding {
    /// A stable word.
    pub kind: MirrorFault,
    /// The file, below the mirror's directory.
    pub path: String,
    /// For people.
    pub detail: String,
}

/// How a mirror can differ from its store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum MirrorFault {
    /// A file or a directory that should be there is not.
    Missing,
    /// A file that should not be there.
    Added,
    /// Something else than a file or a directory: a symbolic link, a pipe.
    WrongType,
    /// Other bytes than those of the store, and no document that tells more.
    Content,
    /// The document that it should be, in another spelling.
    Spelling,
    /// A document without a whole envelope.
    Envelope,
    /// A document whose `_hash` is not that of its members.
    Hash,
    /// A document without a signature, or one that does not verify, or of a key that is not the store's.
    Signature,
    /// A document of another key or bucket, as the store signed it.
    Elsewhere,
    /// Another version of the document than the newest, as the store signed it.
    OtherVersion,
    /// A manifest that is not the hashes of its files.
    Manifest,
    /// What is said of the mirror, of a bucket or of an object.
    Metadata,
    /// The history in git: its settings, its objects, its commits, or what they hold.
    History,
    /// What the store has cannot be read.
    Unreadable,
}

/// How far the history in git goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MirrorHead {
    /// The newest commit.
    pub commit: String,
    /// The last change that it has.
    pub position: u64,
    /// How many commits there are, each of which was verified.
    pub commits: u64,
}

/// What a check of a mirror found.
#[derive(Debug, Clone, Default, Serialize)]
pub struct MirrorReport {
    /// Nothing differs.
    pub sound: bool,
    /// The last change of the state that was compared with.
    pub position: u64,
    /// The last change that the mirror says it has.
    pub mirror_position: u64,
    /// Buckets that are mirrored.
    pub buckets: u64,
    /// Files that were compared.
    pub files: u64,
    /// The history, if there is one that can be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history: Option<MirrorHead>,
    /// What differs, at most 1000.
    pub findings: Vec<MirrorFinding>,
    /// How many more there are.
    pub findings_omitted: u64,
    /// Files that changed, or were large, whenever they were looked at: whether they differ is not known yet.
    #[serde(skip_serializing_if = "is_zero")]
    pub undecided: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde hands it over")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// What is kept in mind of a mirror from one look to the next.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    table: Table,
    /// Every file was looked at.
    complete: bool,
    /// What differs.
    open: BTreeMap<String, (MirrorFault, String)>,
    /// What differed when it was seen, and has to be looked at again.
    suspects: BTreeSet<String>,
    large: Larges,
    /// What differs and is not kept in mind.
    omitted: u64,
    history: Vec<MirrorFinding>,
    head: Option<MirrorHead>,
    /// What `wfldb.json` says.
    mirror_position: u64,
    used: Option<Instant>,
}

/// Where the mirror is, and who keeps it.
struct Place<'a> {
    inner: &'a Arc<Inner>,
    dir: &'a Path,
    tree: &'a Tree,
    /// `None`: nobody writes.
    shared: Option<&'a Shared>,
}

impl Place<'_> {
    /// The store as it is now.
    fn view(&self) -> Result<View, EngineError> {
        let cursor = fs::metadata(self.dir).ok().and_then(|of| {
            let identity = format!("{}:{}", of.dev(), of.ino());
            let views = self.inner.dir().join("views/mirror");
            Cursor::load(&views, self.inner.store, &identity)
        });
        View::new(State::of(self.inner), self.tree, cursor.as_ref())
    }

    /// Gives up when the mirror is to end.
    fn go_on(&self) -> Result<(), EngineError> {
        match self.shared {
            Some(shared) if shared.bell.has_ended() => Err(EngineError::Closing),
            _ => Ok(()),
        }
    }

    fn standing(&self) -> Standing<'static> {
        match self.shared {
            Some(_) => Standing::Moving,
            None => Standing::Still,
        }
    }
}

/// What a look covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// Every file, and the history.
    Whole,
    /// What changed since the last look, and what differed then.
    Changed,
}

impl Engine {
    /// Compares the mirror in `dir` (`None`: `mirror` in the store's directory) with the store, beside whatever else goes
    /// on; of a mirror that is being kept, what is on its way is found to differ. Blocks for as long as it takes to read
    /// both.
    ///
    /// # Errors
    /// `Forbidden`; when the storage cannot be read.
    pub fn verify_mirror(&self, proof: &Authorized, dir: Option<&Path>) -> Result<MirrorReport, EngineError> {
        self.watch_mirror(proof, dir)?.verify()
    }

    /// Begins to watch the mirror in `dir` (`None`: `mirror` in the store's directory) of a store that nobody writes to.
    ///
    /// # Errors
    /// `Forbidden`.
    pub fn watch_mirror(&self, proof: &Authorized, dir: Option<&Path>) -> Result<MirrorWatch, EngineError> {
        allowed(proof)?;
        Ok(MirrorWatch {
            inner: Arc::clone(&self.inner),
            dir: dir.map_or_else(|| self.inner.dir().join("mirror"), Path::to_owned),
            watch: Watch::default(),
        })
    }
}

fn allowed(proof: &Authorized) -> Result<(), EngineError> {
    // `_admin` is asked of the store too, by whoever may.
    if proof.op() == Op::Admin && matches!(proof.target(), Target::Store | Target::Service(_)) {
        Ok(())
    } else {
        Err(EngineError::Forbidden)
    }
}

/// Looks at the mirror of a store that nobody writes to, again and again. It keeps about 200 bytes for each file in memory.
pub struct MirrorWatch {
    inner: Arc<Inner>,
    dir: PathBuf,
    watch: Watch,
}

impl std::fmt::Debug for MirrorWatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MirrorWatch")
            .field("dir", &self.dir)
            .finish_non_exhaustive()
    }
}

impl MirrorWatch {
    /// Compares every file, and the history.
    ///
    /// # Errors
    /// When the storage, or the directory, cannot be read.
    pub fn verify(&mut self) -> Result<MirrorReport, EngineError> {
        self.watch.check(&self.inner, &self.dir, None, Extent::Whole)
    }

    /// Compares the files whose inode, length or times are others than at the last look, and answers what differs by now;
    /// of the history, what the last [`MirrorWatch::verify`] found. The first look is at everything.
    ///
    /// # Errors
    /// As [`MirrorWatch::verify`].
    pub fn look(&mut self) -> Result<MirrorReport, EngineError> {
        self.watch.check(&self.inner, &self.dir, None, Extent::Changed)
    }
}

/// Looks at a mirror that is being kept. It may be cloned; one look goes on at a time, and one verification beside it.
#[derive(Clone)]
pub struct MirrorChecks(Arc<Shared>);

impl std::fmt::Debug for MirrorChecks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MirrorChecks").finish_non_exhaustive()
    }
}

impl Mirror {
    /// What looks at it.
    #[must_use]
    pub fn checks(&self) -> MirrorChecks {
        MirrorChecks(Arc::clone(&self.shared))
    }
}

impl MirrorChecks {
    /// Compares every file with the store while both go on, and the history up to a commit that has every change that the
    /// files had. What is merely on its way is no finding. Blocks for as long as it takes to read both; the mirror waits
    /// for a fifth of a second at a time where something has to be looked at again.
    ///
    /// # Errors
    /// `Forbidden`; `MirrorBehind` when the mirror does not come to rest within a minute: it is being made, has no room, or
    /// cannot be written; `Closing`; when the storage, or the directory, cannot be read.
    pub fn verify(&self, proof: &Authorized) -> Result<MirrorReport, EngineError> {
        allowed(proof)?;
        let shared = &self.0;
        let _alone = lock(&shared.verifying);
        // Looks go on meanwhile with what they know, and then with what is found here.
        let mut watch = Watch::default();
        let report = watch.check(&shared.engine.inner, &shared.dir, Some(shared), Extent::Whole)?;
        watch.used = Some(Instant::now());
        *lock(&shared.watch) = watch;
        Ok(report)
    }

    /// Compares the files whose inode, length or times are others than at the last look or verification, and answers what
    /// differs by now; of the history, what the last verification found. The first look is at all files. About 200 bytes
    /// for each file are kept in memory, twice as much during a verification, until nobody has asked for a quarter of an
    /// hour.
    ///
    /// # Errors
    /// As [`MirrorChecks::verify`].
    pub fn look(&self, proof: &Authorized) -> Result<MirrorReport, EngineError> {
        allowed(proof)?;
        let shared = &self.0;
        let mut watch = lock(&shared.watch);
        let report = watch.check(&shared.engine.inner, &shared.dir, Some(shared), Extent::Changed);
        watch.used = Some(Instant::now());
        report
    }
}

impl Shared {
    /// Forgets what nobody has asked for in a long time. Waits for nothing.
    pub(super) fn forget_watch(&self) {
        if let Ok(mut watch) = self.watch.try_lock()
            && watch.used.is_some_and(|used| used.elapsed() > FORGOTTEN_AFTER)
        {
            *watch = Watch::default();
        }
    }
}

impl Watch {
    fn check(
        &mut self,
        inner: &Arc<Inner>,
        dir: &Path,
        shared: Option<&Shared>,
        extent: Extent,
    ) -> Result<MirrorReport, EngineError> {
        let opened = match fs::symlink_metadata(dir) {
            Ok(found) if found.is_dir() => Tree::open(dir),
            Ok(_) => Err(std::io::ErrorKind::NotADirectory.into()),
            Err(error) => Err(error),
        };
        let tree = match opened {
            Ok(tree) => tree,
            Err(error) => {
                *self = Self::default();
                self.differs("", MirrorFault::Missing, format!("{}: {error}", dir.display()));
                let position = State::of(inner).mark()?.position.get();
                return Ok(self.report(position, 0));
            }
        };
        let place = Place {
            inner,
            dir,
            tree: &tree,
            shared,
        };
        let (position, buckets) = self.files(&place, extent)?;
        let undecided = self.suspects.len() as u64;
        if extent == Extent::Whole {
            self.look_at_history(&place)?;
        }
        let report = self.report(position, buckets);
        Ok(MirrorReport { undecided, ..report })
    }

    /// Looks at the files. Answers the last change of the state that they were compared with, and how many buckets it has.
    fn files(&mut self, place: &Place<'_>, extent: Extent) -> Result<(u64, u64), EngineError> {
        let whole = extent == Extent::Whole || !self.complete;
        if whole {
            self.complete = false;
            self.table.clear();
            self.open.clear();
            self.suspects.clear();
            self.large.clear();
            self.omitted = 0;
        }
        let mut view = place.view()?;
        let mut paths = self.table.walk(place.tree).map_err(read)?;
        paths.extend(self.open.keys().cloned());
        paths.append(&mut self.suspects);
        paths.remove("");
        if whole {
            self.all_of(&view, &mut paths)?;
        }
        let mut dirs: BTreeSet<String> = paths.iter().filter_map(|path| view.manifest_dir(path)).collect();
        if whole {
            dirs.extend(view.buckets().flat_map(|(_, place)| place.manifest_dirs()));
        }
        self.look_at(
            place,
            &mut view,
            paths.into_iter().filter(|path| !is_manifest(path)),
        )?;
        let manifests = dirs.into_iter().map(|dir| format!("{dir}/{}", Manifest::FILE));
        self.look_at(place, &mut view, manifests)?;
        if place.shared.is_some_and(|_| whole || !self.suspects.is_empty()) {
            view = self.decide(place, whole)?;
        }
        self.complete = true;
        let buckets = view.buckets().count() as u64;
        Ok((view.position, buckets))
    }

    /// Adds the paths that should be there and are not known to be.
    fn all_of(&self, view: &View, paths: &mut BTreeSet<String>) -> Result<(), EngineError> {
        for path in [ROOT, SIGNERS] {
            paths.insert(path.to_owned());
        }
        view.paths(|path| {
            if !paths.contains(path) {
                paths.insert(path.to_owned());
            }
            Ok(())
        })
    }

    fn look_at(
        &mut self,
        place: &Place<'_>,
        view: &mut View,
        paths: impl Iterator<Item = String>,
    ) -> Result<(), EngineError> {
        let standing = place.standing();
        let mut taken = Instant::now();
        for path in paths {
            if place.shared.is_some() && taken.elapsed() > VIEW_MAX {
                place.go_on()?;
                *view = place.view()?;
                taken = Instant::now();
            }
            self.look(view, place.tree, &path, standing)?;
        }
        Ok(())
    }

    /// Looks at the suspects again, where the mirror stands still, until none is left. Answers the last state that they
    /// were compared with.
    fn decide(&mut self, place: &Place<'_>, whole: bool) -> Result<View, EngineError> {
        let deadline = Instant::now() + HELD_WITHIN;
        if whole {
            self.suspect(ROOT);
        }
        loop {
            let mut view = place.view()?;
            let suspects: Vec<String> = self.suspects.iter().cloned().collect();
            self.look_at(place, &mut view, suspects.into_iter())?;
            if whole {
                self.suspect(ROOT);
            }
            let Some(shared) = place.shared.filter(|_| !self.suspects.is_empty()) else {
                return Ok(view);
            };
            let (state, held) = shared.hold(HELD_WITHIN)?;
            let until = Instant::now() + HOLD;
            let standing = Standing::Held(&held);
            let view = View::new(state, place.tree, Some(&held.cursor))?;
            let (manifests, files): (Vec<_>, Vec<_>) =
                self.suspects.iter().cloned().partition(|path| is_manifest(path));
            let paths = files.into_iter().chain(manifests);
            for path in paths.take_while(|_| Instant::now() < until && standing.holds()) {
                self.look(&view, place.tree, &path, standing)?;
            }
            drop(held);
            if self.suspects.is_empty() || Instant::now() > deadline {
                return Ok(view);
            }
        }
    }

    fn differs(&mut self, path: &str, fault: MirrorFault, detail: String) {
        if self.open.len() < OPEN_MAX || self.open.contains_key(path) {
            self.open.insert(path.to_owned(), (fault, detail));
        } else {
            self.omitted += 1;
        }
    }

    fn suspect(&mut self, path: &str) {
        if self.suspects.len() < OPEN_MAX {
            self.suspects.insert(path.to_owned());
        } else if !self.suspects.contains(path) {
            self.omitted += 1;
        }
    }

    fn report(&self, position: u64, buckets: u64) -> MirrorReport {
        let open = self.open.iter().map(|(path, (kind, detail))| MirrorFinding {
            kind: *kind,
            path: path.clone(),
            detail: detail.clone(),
        });
        let count = self.open.len() + self.history.len();
        let compared = |(path, entry): &(&str, &table::Entry)| {
            matches!(entry.kind, Kind::File(_)) && (entry.expected.is_some() || is_manifest(path))
        };
        MirrorReport {
            sound: count == 0 && self.omitted == 0,
            position,
            mirror_position: self.mirror_position,
            buckets,
            files: self.table.below("").filter(compared).count() as u64,
            history: self.head.clone(),
            findings: open
                .chain(self.history.iter().cloned())
                .take(FINDINGS_MAX)
                .collect(),
            findings_omitted: self.omitted + count.saturating_sub(FINDINGS_MAX) as u64,
            undecided: 0,
        }
    }
}
