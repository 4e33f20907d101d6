//! What every storage must do. Each implementation runs the whole suite.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn put(space: Space, key: &str, value: &str) -> (Space, Bytes, Option<Bytes>) {
    (space, bytes(key), Some(bytes(value)))
}

fn keys(snapshot: &dyn Snapshot, space: Space, from: &str, to: &str, reverse: bool) -> Vec<String> {
    let rows = snapshot.range(space, from.as_bytes(), to.as_bytes(), reverse);
    rows.map(|row| String::from_utf8(row.unwrap().0.to_vec()).unwrap())
        .collect()
}

fn a_batch_is_seen_whole_and_only_afterwards(storage: &dyn Storage) {
    let before = storage.snapshot();
    let writes = Space::ALL.iter().map(|space| put(*space, "whole", "1")).collect();
    storage.commit(Batch { writes }).unwrap();
    let after = storage.snapshot();
    for space in Space::ALL {
        assert_eq!(
            before.get(space, b"whole").unwrap(),
            None,
            "a snapshot is repeatable"
        );
        assert_eq!(after.get(space, b"whole").unwrap(), Some(bytes("1")));
    }
}

fn ranges_are_half_open_ordered_and_within_their_space(storage: &dyn Storage) {
    let writes = ["ra", "rb", "rba", "rc", "rd"]
        .iter()
        .map(|key| put(Space::Heads, key, "v"))
        .collect();
    storage.commit(Batch { writes }).unwrap();
    storage
        .commit(Batch {
            writes: vec![(Space::Heads, bytes("rc"), None), put(Space::Log, "rbb", "v")],
        })
        .unwrap();
    let snapshot = storage.snapshot();
    assert_eq!(keys(&*snapshot, Space::Heads, "rb", "rd", false), ["rb", "rba"]);
    assert_eq!(
        keys(&*snapshot, Space::Heads, "ra", "rc", true),
        ["rba", "rb", "ra"]
    );
    assert_eq!(
        keys(&*snapshot, Space::Heads, "rb", "rb", false),
        Vec::<String>::new()
    );
    assert_eq!(
        keys(&*snapshot, Space::Heads, "rz", "ra", false),
        Vec::<String>::new()
    );
    assert_eq!(
        keys(&*snapshot, Space::Heads, "rba", "", false),
        ["rba", "rd", "whole"]
    );
}

fn the_last_commit_wins_and_removal_holds(storage: &dyn Storage) {
    for value in ["1", "2", "3"] {
        storage
            .commit(Batch {
                writes: vec![put(Space::Counters, "n", value)],
            })
            .unwrap();
        assert_eq!(
            storage.snapshot().get(Space::Counters, b"n").unwrap(),
            Some(bytes(value))
        );
    }
    storage
        .commit(Batch {
            writes: vec![(Space::Counters, bytes("n"), None)],
        })
        .unwrap();
    assert_eq!(storage.snapshot().get(Space::Counters, b"n").unwrap(), None);
}

fn values_of_every_size_come_back(storage: &dyn Storage) {
    for len in [0, 1, 2047, 2048, 4095, 65_535, 65_536, 1 << 20] {
        let value = Bytes::from(vec![7; len]);
        storage
            .commit(Batch {
                writes: vec![(Space::Bodies, bytes("size"), Some(value.clone()))],
            })
            .unwrap();
        assert_eq!(
            storage.snapshot().get(Space::Bodies, b"size").unwrap(),
            Some(value)
        );
    }
}

fn suite(storage: &dyn Storage) {
    a_batch_is_seen_whole_and_only_afterwards(storage);
    ranges_are_half_open_ordered_and_within_their_space(storage);
    the_last_commit_wins_and_removal_holds(storage);
    values_of_every_size_come_back(storage);
}

#[test]
fn memory_storage_conforms() {
    suite(&MemoryStorage::new());
}

#[test]
fn fjall_storage_conforms() {
    let dir = tempfile::tempdir().unwrap();
    suite(&FjallStorage::open(dir.path(), 1 << 20).unwrap());
    let reopened = FjallStorage::open(dir.path(), 1 << 20).unwrap();
    assert_eq!(
        reopened.snapshot().get(Space::Heads, b"rba").unwrap(),
        Some(bytes("v"))
    );
    assert_eq!(reopened.snapshot().get(Space::Heads, b"rc").unwrap(), None);
}

/// INVARIANT 2 at this level. A defect it catches: reads through `Keyspace::get` instead of the snapshot.
#[test]
fn no_reader_sees_half_a_batch() {
    let dir = tempfile::tempdir().unwrap();
    let storage = FjallStorage::open(dir.path(), 1 << 20).unwrap();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|threads| {
        threads.spawn(|| {
            for n in 0..400 {
                let value = n.to_string();
                let writes = vec![
                    put(Space::Heads, "pair", &value),
                    put(Space::Versions, "pair", &value),
                ];
                storage.commit(Batch { writes }).unwrap();
            }
            done.store(true, std::sync::atomic::Ordering::SeqCst);
        });
        while !done.load(std::sync::atomic::Ordering::SeqCst) {
            let snapshot = storage.snapshot();
            let head = snapshot.get(Space::Heads, b"pair").unwrap();
            assert_eq!(head, snapshot.get(Space::Versions, b"pair").unwrap());
        }
    });
}

type Commits = Vec<Vec<(u8, u8, Option<u8>)>>;

fn commits() -> impl Strategy<Value = Commits> {
    let write = (0u8..7, 0u8..20, prop::option::of(any::<u8>()));
    prop::collection::vec(prop::collection::vec(write, 1..8), 1..20)
}

fn batch(writes: &[(u8, u8, Option<u8>)]) -> Batch {
    let mut last = std::collections::BTreeMap::new();
    for (space, key, value) in writes {
        let key = Bytes::copy_from_slice(&[b'k', *key]);
        last.insert(
            (Space::ALL[usize::from(*space)], key),
            value.map(|v| Bytes::copy_from_slice(&[v])),
        );
    }
    Batch {
        writes: last
            .into_iter()
            .map(|((space, key), value)| (space, key, value))
            .collect(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn both_storages_hold_the_same_rows_after_the_same_batches(commits in commits()) {
        let dir = tempfile::tempdir().unwrap();
        let memory = MemoryStorage::new();
        {
            let fjall = FjallStorage::open(dir.path(), 1 << 20).unwrap();
            for writes in &commits {
                memory.commit(batch(writes)).unwrap();
                fjall.commit(batch(writes)).unwrap();
            }
        }
        let fjall = FjallStorage::open(dir.path(), 1 << 20).unwrap();
        let (memory, fjall) = (memory.snapshot(), fjall.snapshot());
        for space in Space::ALL {
            for reverse in [false, true] {
                let a: Vec<_> = memory.range(space, b"", b"", reverse).map(Result::unwrap).collect();
                let b: Vec<_> = fjall.range(space, b"", b"", reverse).map(Result::unwrap).collect();
                prop_assert_eq!(a, b);
            }
        }
    }
}
