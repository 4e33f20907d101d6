//! The cut between two groups of commits: whatever happens in it, writes go on after it.

use std::sync::atomic::AtomicBool;

use super::*;
use crate::storage::{Batch, Captured, MemoryStorage, Snapshot, StorageError, StorageFigures};

/// A storage whose files cannot be captured.
struct Unwilling {
    inner: MemoryStorage,
    panics: AtomicBool,
}

impl Storage for Unwilling {
    fn snapshot(&self) -> Arc<dyn Snapshot> {
        self.inner.snapshot()
    }

    fn commit(&self, batch: Batch) -> Result<(), StorageError> {
        self.inner.commit(batch)
    }

    fn write_buffer_bytes(&self) -> u64 {
        0
    }

    fn figures(&self) -> StorageFigures {
        StorageFigures::default()
    }

    fn capture(&self) -> Result<Captured, StorageError> {
        assert!(!self.panics.load(Ordering::SeqCst), "the capture panics");
        Err(StorageError::Read("the capture fails".to_owned()))
    }
}

/// A put that must be answered: a gate that stays closed fails the test rather than hang it.
fn put_is_answered(engine: &Engine, key: &'static str, body: Vec<u8>) -> PutOutcome {
    let (answer, answered) = std::sync::mpsc::channel();
    let engine = engine.clone();
    std::thread::spawn(move || answer.send(put(&engine, "aaa", key, &body)));
    let limit = Duration::from_secs(10);
    answered
        .recv_timeout(limit)
        .expect("the gate stayed closed")
        .unwrap()
}

/// Seeded twice: the committer's thread leaves its loop after a job (the gate stays closed), and a job's panic that is
/// not caught (the store is poisoned).
#[test]
fn commits_go_on_after_a_cut_that_failed_or_panicked() {
    let dir = tempfile::tempdir().unwrap();
    let series = tempfile::tempdir().unwrap();
    let storage = Arc::new(Unwilling {
        inner: MemoryStorage::new(),
        panics: AtomicBool::new(false),
    });
    let engine = engine_on(Arc::clone(&storage) as Arc<dyn Storage>, dir.path(), Vec::new());
    make_bucket(&engine, "aaa");
    for panics in [false, true, false] {
        storage.panics.store(panics, Ordering::SeqCst);
        assert!(engine.backup(&admin(), series.path()).is_err());
        put_is_answered(&engine, "k", b"v".to_vec());
        assert_eq!(engine.health().writable, Ok(()));
        // The hold on removals ended too.
        let gone = put_is_answered(&engine, "large", large(1));
        erase(&engine, "aaa", "large", gone.version);
        held::until(|| laws::files(&dir.path().join("chunks")).is_empty());
        assert_eq!(crate::list_backups(series.path()).unwrap().len(), 0);
        assert!(!series.path().join(".partial").exists());
    }
    engine.close().unwrap();
}

#[test]
fn no_commit_runs_in_a_cut_and_a_closed_engine_makes_none() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    make_bucket(&engine, "aaa");
    let (inside, other) = (engine.clone(), engine.clone());
    let proof = of_bucket("bbb", Op::Manage);
    let ((before, after, waiting), _) = engine
        .inner
        .committer()
        .between_groups(move |mark| {
            let write = inside.put_bucket(&proof, BucketConfig::default());
            let waiting = inside.stats().waiting;
            // It would be answered at once if another thread committed.
            std::thread::park_timeout(Duration::from_millis(50));
            (*mark, inside.inner.committer().mark(), (waiting, write))
        })
        .unwrap();
    assert_eq!(before, after);
    assert_eq!(waiting.0, 1);
    waiting.1.wait().unwrap();
    other.close().unwrap();
    let refused = engine.backup(&admin(), &dir.path().join("../never"));
    assert!(matches!(refused, Err(EngineError::Closing)), "{refused:?}");
    assert!(!dir.path().join("../never/.partial").exists());
    let _ = std::fs::remove_dir_all(dir.path().join("../never"));
}

#[test]
fn only_an_administrator_of_the_store_takes_backups() {
    let dir = tempfile::tempdir().unwrap();
    let series = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    for op in Op::ALL {
        let proof = Authorized::local("test", op, Target::Store);
        let refused = matches!(
            engine.backup(&proof, &series.path().join(op.as_str())),
            Err(EngineError::Forbidden)
        );
        assert_eq!(refused, op != Op::Admin, "{op}");
    }
    let proof = of_bucket("aaa", Op::Admin);
    assert!(matches!(
        engine.backup(&proof, series.path()),
        Err(EngineError::Forbidden)
    ));
}
