//! A pass over a mirror: everything, or what changed since the last one; and what is kept in mind between two.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use wfldb_core::mirror::Manifest;

use super::held::Standing;
use super::look::{Larges, is_manifest, read};
use super::table::{Entry, Kind, Table};
use super::view::View;
use super::{MirrorFault, MirrorFinding, MirrorHead, MirrorReport};
use crate::engine::Inner;
use crate::error::EngineError;
use crate::mirror::Shared;
use crate::mirror::cursor::Cursor;
use crate::mirror::root::{ROOT, SIGNERS};
use crate::mirror::state::State;
use crate::mirror::tree::Tree;

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
/// What is kept in mind of a mirror from one look to the next.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    pub(super) table: Table,
    /// Every file was looked at.
    complete: bool,
    /// What differs.
    pub(super) open: BTreeMap<String, (MirrorFault, String)>,
    /// What differed when it was seen, and has to be looked at again.
    pub(super) suspects: BTreeSet<String>,
    pub(super) large: Larges,
    /// What differs and is not kept in mind.
    omitted: u64,
    pub(super) history: Vec<MirrorFinding>,
    /// What differs of the audit log's copy, and with how many leaves it was compared.
    pub(super) log: Vec<MirrorFinding>,
    pub(super) log_leaves: Option<u64>,
    pub(super) head: Option<MirrorHead>,
    /// What `wfldb.json` says.
    pub(super) mirror_position: u64,
    pub(super) used: Option<Instant>,
}

/// Where the mirror is, and who keeps it.
pub(super) struct Place<'a> {
    pub(super) inner: &'a Arc<Inner>,
    pub(super) dir: &'a Path,
    pub(super) tree: &'a Tree,
    /// `None`: nobody writes.
    pub(super) shared: Option<&'a Shared>,
}

impl Place<'_> {
    /// The store as it is now.
    pub(super) fn view(&self) -> Result<View, EngineError> {
        let cursor = fs::metadata(self.dir).ok().and_then(|of| {
            let identity = format!("{}:{}", of.dev(), of.ino());
            let views = self.inner.dir().join("views/mirror");
            Cursor::load(&views, self.inner.store, &identity)
        });
        View::new(State::of(self.inner), self.tree, cursor.as_ref())
    }

    /// Gives up when the mirror is to end.
    pub(super) fn go_on(&self) -> Result<(), EngineError> {
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
pub(super) enum Extent {
    /// Every file, and the history.
    Whole,
    /// What changed since the last look, and what differed then.
    Changed,
}

impl Watch {
    pub(super) fn check(
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
            self.look_at_log(&place)?;
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
            all_of(&view, &mut paths)?;
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

    pub(super) fn differs(&mut self, path: &str, fault: MirrorFault, detail: String) {
        if self.open.len() < OPEN_MAX || self.open.contains_key(path) {
            self.open.insert(path.to_owned(), (fault, detail));
        } else {
            self.omitted += 1;
        }
    }

    pub(super) fn suspect(&mut self, path: &str) {
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
        let count = self.open.len() + self.log.len() + self.history.len();
        let compared = |(path, entry): &(&str, &Entry)| {
            matches!(entry.kind, Kind::File(_)) && (entry.expected.is_some() || is_manifest(path))
        };
        MirrorReport {
            sound: count == 0 && self.omitted == 0,
            position,
            mirror_position: self.mirror_position,
            buckets,
            files: self.table.below("").filter(compared).count() as u64,
            log: self.log_leaves,
            history: self.head.clone(),
            findings: open
                .chain(self.log.iter().cloned())
                .chain(self.history.iter().cloned())
                .take(FINDINGS_MAX)
                .collect(),
            findings_omitted: self.omitted + count.saturating_sub(FINDINGS_MAX) as u64,
            undecided: 0,
        }
    }
}

/// Adds the paths that should be there and are not known to be.
fn all_of(view: &View, paths: &mut BTreeSet<String>) -> Result<(), EngineError> {
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
