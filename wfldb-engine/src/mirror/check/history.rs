//! What a check says of the history in git.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::{Duration, Instant};

use wfldb_core::id::{BucketId, LogPosition, PublicKey};
use wfldb_core::mirror::bucket_dir;
use wfldb_core::name::ObjectKey;

use super::held::Standing;
use super::pass::{Place, Watch};
use super::table::Kind;
use super::view::View;
use super::{MirrorFault, MirrorHead};
use crate::error::EngineError;
use crate::mirror::git::{GitError, Inspection, is_recorded};
use crate::mirror::root::{ROOT, own_key, signing_keys};
use crate::mirror::state::{METADATA, State};

const DIR: &str = ".git";
/// How long a history may take to come as far as the files.
const COMMIT_WITHIN: Duration = Duration::from_mins(1);
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);
/// Different keys that were changed since the newest commit and are told apart.
const CHANGED_MAX: usize = 200_000;

/// What was changed since a commit.
#[derive(Default)]
struct Since {
    keys: BTreeMap<BucketId, BTreeSet<ObjectKey>>,
    /// Directories of buckets that are mirrored no more.
    left: BTreeSet<String>,
    /// A bucket is gone by now, or more changed than is told apart.
    unclear: bool,
}

impl Watch {
    /// Verifies the history, and compares what its newest commit has with what the store has.
    pub(super) fn look_at_history(&mut self, place: &Place<'_>) -> Result<(), EngineError> {
        self.history.clear();
        self.head = None;
        match fs::symlink_metadata(place.dir.join(DIR)) {
            Err(_) => return Ok(()),
            Ok(found) if !found.is_dir() => {
                self.of_history(DIR, MirrorFault::WrongType, "it is no directory");
                return Ok(());
            }
            Ok(_) => {}
        }
        if !place.inner.dir().join("keys/node.key").exists() {
            self.of_history(
                DIR,
                MirrorFault::History,
                "the store has no key to verify it with",
            );
            return Ok(());
        }
        let Some(key) = own_key(place.inner) else {
            return Ok(());
        };
        match self.inspect(place, &key) {
            Ok(done) => done,
            Err(error) => {
                self.of_history(DIR, MirrorFault::History, &error.to_string());
                Ok(())
            }
        }
    }

    fn of_history(&mut self, path: &str, fault: MirrorFault, detail: &str) {
        self.history.push(super::MirrorFinding {
            kind: fault,
            path: path.to_owned(),
            detail: detail.to_owned(),
        });
    }

    fn inspect(&mut self, place: &Place<'_>, key: &PublicKey) -> Result<Result<(), EngineError>, GitError> {
        let inspection = Inspection::of(place.dir)?;
        for (path, detail) in inspection.settings() {
            self.of_history(&path, MirrorFault::History, &detail);
        }
        let upto = self.mirror_position;
        if place.shared.is_some() {
            // A commit is made seconds after its files.
            let deadline = Instant::now() + COMMIT_WITHIN;
            while inspection.position()?.is_some_and(|at| at < upto) && Instant::now() < deadline {
                if let Err(error) = place.go_on() {
                    return Ok(Err(error));
                }
                std::thread::sleep(BETWEEN_LOOKS);
            }
        }
        // Packs that are being merged can be gone while they are read.
        let sound = inspection.fsck().or_else(|error| match place.shared {
            Some(_) => inspection.fsck(),
            None => Err(error),
        });
        if let Err(error) = sound {
            self.of_history(DIR, MirrorFault::History, &error.to_string());
        }
        let chain = inspection.chain(&place.inner.realm, key, &signing_keys(place.inner)?)?;
        let Some((id, commit)) = chain.head else {
            self.of_history(DIR, MirrorFault::History, "there is no commit");
            return Ok(Ok(()));
        };
        let position = commit.sequences.1;
        self.head = Some(MirrorHead {
            commit: id.to_string(),
            position,
            commits: chain.commits,
        });
        if position < upto {
            let detail =
                format!("the newest commit, {id}, ends at change {position}, and the mirror at {upto}");
            self.of_history("refs/heads/main", MirrorFault::History, &detail);
            return Ok(Ok(()));
        }
        let mut recorded = BTreeMap::new();
        inspection.each_file(commit.tree, |path, len, sha256| {
            recorded.insert(path, (len, sha256));
        })?;
        Ok(self.compare_with(place, &recorded, position))
    }

    /// Compares the files of a commit that ends at `position` with those of the store.
    fn compare_with(
        &mut self,
        place: &Place<'_>,
        recorded: &BTreeMap<String, (u64, [u8; 32])>,
        position: u64,
    ) -> Result<(), EngineError> {
        let mut differing: BTreeSet<String> = BTreeSet::new();
        for (path, (_, sha256)) in recorded {
            let entry = self.table.get(path);
            if entry.and_then(|entry| entry.expected) != Some(*sha256) {
                differing.insert(path.clone());
            }
        }
        for (path, entry) in self.table.below("") {
            let is_due = match entry.kind {
                Kind::File(stamp) => entry.expected.is_some() && is_recorded(path, stamp.len),
                Kind::Absent | Kind::Other(_) => false,
            };
            if is_due && !recorded.contains_key(path) {
                differing.insert(path.to_owned());
            }
        }
        // Written last, and with the next commit.
        differing.remove(ROOT);
        if differing.is_empty() {
            return Ok(());
        }
        let view = place.view()?;
        let since = match place.shared {
            None => Since::default(),
            Some(_) => changed_since(&view, position)?,
        };
        for path in differing {
            place.go_on()?;
            if place.shared.is_some() {
                // It may have been changed between the look at the file and the commit.
                self.look(&view, place.tree, &path, Standing::Moving)?;
            }
            let expected = self.table.get(&path).and_then(|entry| entry.expected);
            let found = recorded.get(&path).map(|(_, sha256)| *sha256);
            if expected == found || since.covers(&view, &path)? {
                continue;
            }
            let detail = match (expected, found) {
                (Some(_), Some(_)) => "the newest commit has other bytes",
                (_, None) => "the newest commit does not have it",
                (None, Some(_)) => "only the newest commit has it",
            };
            self.of_history(&path, MirrorFault::History, detail);
        }
        Ok(())
    }
}

/// What was changed behind `position`, up to the state of `view`.
fn changed_since(view: &View, position: u64) -> Result<Since, EngineError> {
    let state: &State = &view.state;
    let mut since = Since::default();
    let (mut after, mut count) = (LogPosition::new(position), 0);
    while let Some(run) = state.run(after, false)? {
        after = run.upto;
        for (bucket, keys) in run.keys {
            count += keys.len();
            if state.bucket(&bucket)?.is_none() {
                match state.unmirrored(&bucket)? {
                    Some(row) => _ = since.left.insert(bucket_dir(&row.name)),
                    None => since.unclear = true,
                }
            }
            since.unclear |= count > CHANGED_MAX;
            since.keys.entry(bucket).or_default().extend(keys);
        }
        if since.unclear || !run.more {
            break;
        }
    }
    Ok(since)
}

impl Since {
    /// Whether a file was written since, for all that is known.
    fn covers(&self, view: &View, path: &str) -> Result<bool, EngineError> {
        if self.unclear {
            return Ok(true);
        }
        let Some((row, key)) = view.owner(path)? else {
            let dir = path.split('/').next().unwrap_or_default();
            return Ok(self.left.contains(dir));
        };
        let Some(keys) = self.keys.get(&row.id) else {
            return Ok(false);
        };
        Ok(match key {
            Some(key) => keys.contains(&key),
            None => path.ends_with(METADATA),
        })
    }
}
