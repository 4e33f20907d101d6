//! What a walk removes, and what it must not.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;

use wfldb_core::id::ChunkHash;

use super::super::garbage::{BucketState, Collected, Walk};
use super::*;
use crate::tests::{delete, make_bucket, open as open_engine, put, read};
use crate::{EngineError, Which};

fn walk(store: &ChunkStore, state: BucketState) -> Collected {
    let walk = Walk {
        state_of: &|_| Ok(state),
        stop: &|| false,
        pause: Duration::ZERO,
    };
    store.collect(&walk).unwrap()
}

fn leave(dir: &Path, name: &str, bytes: &[u8]) -> std::path::PathBuf {
    let path = dir.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, bytes).unwrap();
    path
}

/// The folder and file of a chunk within its bucket's directory.
fn place_of(name: &str) -> String {
    format!("{}/{name}", name.get(..2).unwrap())
}

/// Says that a thread is through, however it ends.
struct Through<'a>(&'a AtomicUsize);

impl Drop for Through<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// INVARIANT 3. A defect it catches: `remove_if_unnamed` without the look at the pins.
#[test]
fn uploads_that_race_the_walk_lose_no_chunk() {
    let dir = tempfile::tempdir().unwrap();
    let rows: Arc<Mutex<HashSet<ChunkHash>>> = Arc::default();
    let named = Arc::clone(&rows);
    let references: References = Arc::new(move |_, chunk| Ok(named.lock().unwrap().contains(chunk)));
    let store = ChunkStore::open(dir.path().join("chunks"), references, false).unwrap();
    let writing = AtomicUsize::new(6);
    let removed = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for thread in 0..6_u8 {
            let (store, rows, writing) = (&store, &rows, &writing);
            scope.spawn(move || {
                let _through = Through(writing);
                for round in 0..60_u8 {
                    // Few bodies, so that threads meet at the same file, in every order of putting and erasing.
                    let body = vec![(thread + round) % 4; 70_000];
                    let mut pins = Pins::new(Arc::clone(store));
                    let hash = store.put(bucket(), &body, &mut pins).unwrap();
                    std::thread::yield_now();
                    if round % 3 == 2 {
                        // An upload that never comes to its commit.
                        continue;
                    }
                    rows.lock().unwrap().insert(hash);
                    // What a commit names must be there while it is pinned and after, until its row goes.
                    store.check(&bucket(), &hash, body.len()).unwrap();
                    drop(pins);
                    if round % 2 == 0 {
                        rows.lock().unwrap().remove(&hash);
                    }
                }
            });
        }
        for _ in 0..2 {
            scope.spawn(|| {
                while writing.load(Ordering::SeqCst) > 0 {
                    let gone = walk(&store, BucketState::Live);
                    removed.fetch_add(usize::try_from(gone.files).unwrap(), Ordering::SeqCst);
                }
            });
        }
    });
    for fill in 0..4_u8 {
        let (hash, _) = seal(&vec![fill; 70_000]);
        if rows.lock().unwrap().contains(&hash) {
            store.check(&bucket(), &hash, 70_000).unwrap();
        }
    }
    assert!(removed.load(Ordering::SeqCst) > 0, "the walks met something");
}

/// INVARIANT 3. A defect it catches: the walk removing a file by itself, after the same looks without the lock.
#[test]
fn an_upload_that_comes_during_the_last_look_waits_and_writes_its_file() {
    let dir = tempfile::tempdir().unwrap();
    let body = noise(70_000, 1);
    let (hash, _) = seal(&body);
    let looks = AtomicUsize::new(0);
    let (look, looking) = std::sync::mpsc::sync_channel(0);
    let (put, putting) = std::sync::mpsc::channel::<()>();
    let putting = Mutex::new(putting);
    let references: References = Arc::new(move |_, _| {
        // The first look is made without the lock, the second under it, the others are the upload's.
        if looks.fetch_add(1, Ordering::SeqCst) == 1 {
            look.send(()).unwrap();
            let came_between = putting.lock().unwrap().recv_timeout(Duration::from_millis(300));
            assert!(came_between.is_err(), "the upload did not wait");
        }
        Ok(false)
    });
    let store = ChunkStore::open(dir.path().join("chunks"), references, false).unwrap();
    let path = store.path(&bucket(), &hash);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, b"left by a crash").unwrap();
    std::thread::scope(|scope| {
        let store = &store;
        let upload = scope.spawn(move || {
            looking.recv_timeout(Duration::from_secs(10)).unwrap();
            let mut pins = Pins::new(Arc::clone(store));
            store.put(bucket(), &body, &mut pins).unwrap();
            let _ = put.send(());
            pins
        });
        assert_eq!(walk(store, BucketState::Live).files, 1);
        let pins = upload.join().unwrap();
        store.check(&bucket(), &hash, 70_000).unwrap();
        drop(pins);
    });
}

/// Defects it catches: removing whatever has a hash for a name, wherever it is; looking into detached buckets.
#[test]
fn a_walk_removes_what_is_ours_and_unnamed_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), false, true);
    let chunks = dir.path().join("chunks");
    let (hash, _) = seal(b"left");
    let name = hash.to_string();
    let place = format!("{}/{}", bucket(), name.get(..2).unwrap());
    let foreign: Vec<_> = [
        format!("{place}/notes.txt"),
        format!("{place}/{}", name.to_uppercase()),
        format!("{place}/{name}.bak"),
        format!("{}/zz/{name}", bucket()),
        format!("{}/{name}", bucket()),
        format!("lost+found/{}", place_of(&name)),
        format!("tmp/{name}"),
    ]
    .iter()
    .map(|name| leave(&chunks, name, b"foreign"))
    .collect();
    std::os::unix::fs::symlink("/dev/null", chunks.join(&place).join("f".repeat(64))).unwrap();
    let ours = leave(&chunks, &format!("{place}/{name}"), &[1; 100]);

    assert_eq!(walk(&store, BucketState::Detached), Collected::default());
    let stopped = Walk {
        state_of: &|_| Ok(BucketState::Live),
        stop: &|| true,
        pause: Duration::ZERO,
    };
    assert_eq!(store.collect(&stopped).unwrap(), Collected::default());
    assert!(ours.exists());
    for state in [BucketState::Live, BucketState::Gone] {
        leave(&chunks, &format!("{place}/{name}"), &[1; 100]);
        assert_eq!(walk(&store, state), Collected { files: 1, bytes: 100 });
        assert!(!ours.exists());
        assert!(foreign.iter().all(|path| path.exists()), "{state:?}");
    }
    // With nothing of others in it the directory of a bucket that is gone goes too.
    fs::remove_dir_all(chunks.join(bucket().to_string())).unwrap();
    leave(&chunks, &format!("{place}/{name}"), &[1; 100]);
    walk(&store, BucketState::Live);
    assert!(chunks.join(&place).exists());
    leave(&chunks, &format!("{place}/{name}"), &[1; 100]);
    walk(&store, BucketState::Gone);
    assert!(!chunks.join(bucket().to_string()).exists());
}

/// What a crash left goes after the next open; what rows name stays. A damaged store is left as it is.
///
/// A defect it catches: a walk in a store that was opened read-only.
#[test]
fn an_open_store_removes_leftovers_in_the_background() {
    let dir = tempfile::tempdir().unwrap();
    let chunks = dir.path().join("chunks");
    let (kept, gone) = (noise(100_000, 1), noise(100_000, 2));
    let engine = open_engine(dir.path());
    make_bucket(&engine, "aaa");
    put(&engine, "aaa", "kept", &kept).unwrap();
    put(&engine, "aaa", "deleted", &gone).unwrap();
    delete(&engine, "aaa", "deleted").unwrap();
    engine.close().unwrap();
    let buckets: Vec<_> = fs::read_dir(&chunks)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| !path.ends_with("tmp"))
        .collect();
    let [live] = buckets.as_slice() else {
        panic!("one bucket has chunks: {buckets:?}")
    };
    let name = seal(b"never committed").0.to_string();
    let orphan = place_of(&name);
    let leave_orphans = || {
        [
            leave(live, &orphan, &[3; 5_000]),
            leave(&chunks.join(bucket().to_string()), &orphan, &[3; 5_000]),
        ]
    };
    let orphans = leave_orphans();

    let mark = dir.path().join("HWM");
    let kept_mark = fs::read(&mark).unwrap();
    fs::remove_file(&mark).unwrap();
    let damaged = open_engine(dir.path());
    assert!(!damaged.inner.garbage.is_started());
    assert!(matches!(damaged.collect_garbage(), Err(EngineError::ReadOnly)));
    damaged.close().unwrap();
    assert!(orphans.iter().all(|path| path.exists()));
    fs::write(&mark, kept_mark).unwrap();

    let engine = open_engine(dir.path());
    until(|| orphans.iter().all(|path| !path.exists()) && !chunks.join(bucket().to_string()).exists());
    leave_orphans();
    let collected = engine.collect_garbage().unwrap();
    assert_eq!((collected.files, collected.bytes), (2, 10_000));
    assert_eq!(engine.collect_garbage().unwrap().files, 0);
    assert_eq!(read(&engine, "aaa", "kept", Which::Newest).unwrap(), kept);
    // A deleted object's version is still there to be restored.
    assert_eq!(files(live), 2);
}
