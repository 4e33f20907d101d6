//! Which versions of a key follow one another, and which of them are still to be written. Pure.

use std::cmp::Ordering;

use wfldb_core::doc::DocumentHash;
use wfldb_core::id::{ContentHash, VersionId};
use wfldb_core::time::UnixMillis;

/// What says which of two versions came first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rank {
    /// What the envelope of a document says.
    Document {
        version: u64,
        time: UnixMillis,
        hash: DocumentHash,
        previous: Option<DocumentHash>,
    },
    /// The version of an object in the store that wrote the mirror.
    Object(VersionId),
}

impl Rank {
    fn order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Object(one), Self::Object(other)) => one.cmp(other),
            (
                Self::Document { version, time, .. },
                Self::Document {
                    version: other,
                    time: later,
                    ..
                },
            ) => (time, version).cmp(&(later, other)),
            // A bucket holds one kind.
            (Self::Object(_), Self::Document { .. }) => Ordering::Less,
            (Self::Document { .. }, Self::Object(_)) => Ordering::Greater,
        }
    }

    /// Whether this can be a version below `above`.
    fn is_below(&self, above: &Self) -> bool {
        match (self, above) {
            (
                Self::Document {
                    version, time, hash, ..
                },
                Self::Document {
                    version: above,
                    time: later,
                    previous,
                    ..
                },
            ) => {
                // Right below it stands the one that it names; another was of a document that is gone.
                let named = version.checked_add(1) != Some(*above) || *previous == Some(*hash);
                version < above && time < later && named
            }
            (Self::Object(version), Self::Object(above)) => version < above,
            _ => false,
        }
    }
}

/// A version that was found, with where it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Version<T> {
    pub(super) rank: Rank,
    /// The hash of what is stored of it.
    pub(super) etag: ContentHash,
    /// The key was deleted while this was the newest one.
    pub(super) deleted: bool,
    pub(super) found: T,
}

/// The versions that led to the newest one, from the oldest, each once; with `found` in the order of commits. Between two
/// of them others may be missing. What was of an earlier document of the key, before all of it was erased, is not among
/// them: there a number goes up, or a hash is not the one that is named. Commits can show an earlier version once more.
pub(super) fn chain<T>(mut found: Vec<Version<T>>) -> Vec<Version<T>> {
    found.sort_by(|one, other| one.rank.order(&other.rank));
    // Where one is there several times the last word counts of the newest, and each word of those below it.
    let mut all: Vec<(Version<T>, bool)> = Vec::new();
    for version in found {
        match all.last_mut() {
            Some((same, ever_deleted)) if same.rank == version.rank => {
                *ever_deleted |= version.deleted;
                *same = version;
            }
            _ => {
                let deleted = version.deleted;
                all.push((version, deleted));
            }
        }
    }
    let mut kept: Vec<Version<T>> = Vec::with_capacity(all.len());
    for (mut version, ever_deleted) in all.into_iter().rev() {
        if let Some(above) = kept.last() {
            if !version.rank.is_below(&above.rank) {
                break;
            }
            version.deleted = ever_deleted;
        }
        kept.push(version);
    }
    kept.reverse();
    kept
}

/// The rows that versions make: of each its hash, and `None` for a deletion.
pub(super) fn rows<T>(versions: &[Version<T>]) -> Vec<Option<ContentHash>> {
    let of_one = |version: &Version<T>| [Some(Some(version.etag)), version.deleted.then_some(None)];
    versions.iter().flat_map(of_one).flatten().collect()
}

/// How many of the rows `wanted` are there, where `there` are the newest ones of the key in the store, oldest first.
/// `None`: what is there is of somebody else.
pub(super) fn done(wanted: &[Option<ContentHash>], there: &[Option<ContentHash>]) -> Option<usize> {
    if wanted.starts_with(there) {
        return Some(there.len());
    }
    // The oldest went by retention, or were never taken.
    let ends = |count: &usize| wanted.get(..*count).is_some_and(|wanted| wanted.ends_with(there));
    let done = (there.len()..=wanted.len()).rev().find(ends);
    // More was to be had in an earlier run.
    done.or_else(|| (!wanted.is_empty() && there.ends_with(wanted)).then_some(wanted.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn etag(text: &str) -> ContentHash {
        ContentHash::of(text.as_bytes())
    }

    fn object(version: u64, deleted: bool) -> Version<u64> {
        Version {
            rank: Rank::Object(VersionId::from_parts(UnixMillis::new(version), [0; 10])),
            etag: etag(&version.to_string()),
            deleted,
            found: version,
        }
    }

    fn document(version: u64, time: u64, this: &str, previous: Option<&str>) -> Version<u64> {
        let hash = |text: &str| {
            let said = serde_json::json!({
                "_id": "a", "_v": 1, "_ts": "2026-01-02T03:04:05.006Z", "_by": "x",
                "_hash": format!("sha256:{}", etag(text)),
            });
            wfldb_core::doc::Envelope::of(said.as_object().unwrap())
                .unwrap()
                .hash
        };
        Version {
            rank: Rank::Document {
                version,
                time: UnixMillis::new(time),
                hash: hash(this),
                previous: previous.map(hash),
            },
            etag: etag(this),
            deleted: false,
            found: time,
        }
    }

    fn kept(found: Vec<Version<u64>>) -> Vec<(u64, bool)> {
        chain(found)
            .into_iter()
            .map(|version| (version.found, version.deleted))
            .collect()
    }

    #[test]
    fn each_version_is_there_once_and_in_its_order() {
        let (live, gone) = (false, true);
        let all = [
            (1, live),
            (2, live),
            (2, gone),
            (5, live),
            (3, live),
            (5, live),
            (7, live),
            (7, gone),
        ];
        let found = all.map(|(version, deleted)| object(version, deleted)).to_vec();
        assert_eq!(
            kept(found),
            [(1, live), (2, gone), (3, live), (5, live), (7, gone)]
        );
        // The last word of the newest one counts, and only there.
        let found = vec![object(4, gone), object(4, live)];
        assert_eq!(kept(found), [(4, live)]);
        assert_eq!(kept(Vec::new()), []);
    }

    #[test]
    fn a_document_that_was_erased_is_not_below_its_successor() {
        let found = vec![
            document(1, 10, "old 1", None),
            document(2, 20, "old 2", Some("old 1")),
            document(3, 50, "new 3", Some("new 2")),
            document(4, 60, "new 4", Some("new 3")),
        ];
        assert_eq!(kept(found), [(50, false), (60, false)]);
        let found = vec![
            document(7, 10, "old 7", None),
            document(1, 20, "new 1", None),
            document(3, 30, "new 3", Some("new 2")),
        ];
        assert_eq!(kept(found), [(20, false), (30, false)]);
    }

    #[test]
    fn what_is_there_is_not_written_again() {
        let row = |text: &str| Some(etag(text));
        let wanted = [row("a"), row("b"), None, row("a"), row("c"), None];
        for count in 0..=wanted.len() {
            assert_eq!(done(&wanted, &wanted[..count]), Some(count));
        }
        // Retention took the oldest.
        assert_eq!(done(&wanted, &wanted[2..5]), Some(5));
        assert_eq!(done(&wanted, &wanted[4..]), Some(6));
        // There was more to be had.
        assert_eq!(done(&wanted[4..], &wanted), Some(2));
        // Somebody wrote.
        assert_eq!(done(&wanted, &[row("a"), row("x")]), None);
        assert_eq!(done(&wanted, &[None, None]), None);
        assert_eq!(done(&[], &[row("x")]), None);
        assert_eq!(done(&[], &[]), Some(0));
    }
}
