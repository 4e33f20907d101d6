//! Chunks that lose their last reference while a backup runs.

use std::time::{Duration, Instant};

use super::*;
use crate::chunk::Hold;
use crate::storage::{Batch, Captured, Row, Rows, Snapshot, Space, StorageError, StorageFigures};

pub(super) fn until(what: impl Fn() -> bool) {
    assert!(within(Duration::from_secs(10), what), "it did not come about");
}

fn within(limit: Duration, what: impl Fn() -> bool) -> bool {
    let start = Instant::now();
    while !what() {
        if start.elapsed() > limit {
            return false;
        }
        std::thread::yield_now();
    }
    true
}

type Hook = std::sync::Mutex<Option<Box<dyn FnOnce() + Send>>>;

/// fjall, with something that happens between a backup's cut and its copying: when the list of chunks was read.
struct Hooked {
    inner: Arc<FjallStorage>,
    armed: Arc<Hook>,
}

struct HookedSnapshot {
    inner: Arc<dyn Snapshot>,
    armed: Arc<Hook>,
}

impl Storage for Hooked {
    fn snapshot(&self) -> Arc<dyn Snapshot> {
        Arc::new(HookedSnapshot {
            inner: self.inner.snapshot(),
            armed: Arc::clone(&self.armed),
        })
    }

    fn commit(&self, batch: Batch) -> Result<(), StorageError> {
        self.inner.commit(batch)
    }

    fn write_buffer_bytes(&self) -> u64 {
        0
    }

    fn figures(&self) -> StorageFigures {
        self.inner.figures()
    }

    fn capture(&self) -> Result<Captured, StorageError> {
        self.inner.capture()
    }
}

impl Snapshot for HookedSnapshot {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        self.inner.get(space, key)
    }

    fn range<'a>(&'a self, space: Space, from: &[u8], to: &[u8], reverse: bool) -> Rows<'a> {
        let rows = self.inner.range(space, from, to, reverse);
        // Only the backup reads this keyspace from end to end.
        if space != Space::Chunks || !to.is_empty() {
            return rows;
        }
        let end = std::iter::from_fn(|| -> Option<Result<Row, StorageError>> {
            let hook = self.armed.lock().unwrap().take();
            if let Some(hook) = hook {
                hook();
            }
            None
        });
        Box::new(rows.chain(end))
    }
}

/// INVARIANT 3. Seeded: a backup without its hold.
#[test]
fn chunks_that_are_erased_after_the_cut_are_in_the_backup() {
    let dir = tempfile::tempdir().unwrap();
    let series = tempfile::tempdir().unwrap();
    let inner = Arc::new(FjallStorage::open(&dir.path().join("db"), 1 << 20).unwrap());
    let armed = Arc::new(Hook::default());
    let hooked = Hooked {
        inner: Arc::clone(&inner),
        armed: Arc::clone(&armed),
    };
    let engine = engine_on(Arc::new(hooked), dir.path(), inner.keyspace_ids());
    make_bucket(&engine, "aaa");
    make_bucket(&engine, "bbb");
    let gone = put(&engine, "aaa", "k", &large(1)).unwrap();
    put(&engine, "bbb", "k", &large(2)).unwrap();
    let chunks = dir.path().join("chunks");
    assert_eq!(laws::files(&chunks).len(), 2);
    let (other, watched) = (engine.clone(), chunks.clone());
    *armed.lock().unwrap() = Some(Box::new(move || {
        erase(&other, "aaa", "k", gone.version);
        other
            .delete_bucket(&of_bucket("bbb", Op::Manage), true)
            .wait()
            .unwrap();
        // Without the hold both files go now.
        let went = within(Duration::from_millis(500), || laws::files(&watched).len() < 2);
        assert!(!went, "a chunk went while the backup ran");
    }));
    let report = backup(&engine, series.path());
    assert!(armed.lock().unwrap().is_none(), "the hook ran");
    assert_eq!(report.chunks.files, 2);
    must_be_sound(&report.path);
    // And what was held back goes once the backup is done.
    until(|| laws::files(&chunks).is_empty());
    engine.close().unwrap();
}

#[test]
fn removals_wait_for_every_hold_and_then_happen() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    make_bucket(&engine, "aaa");
    let chunks = dir.path().join("chunks");
    let holds = [
        Hold::new(Arc::clone(&engine.inner.chunks)),
        Hold::new(Arc::clone(&engine.inner.chunks)),
    ];
    let gone = put(&engine, "aaa", "k", &large(1)).unwrap();
    erase(&engine, "aaa", "k", gone.version);
    for hold in holds {
        // Writers do not wait.
        put(&engine, "aaa", "other", &large(2)).unwrap();
        assert!(!within(Duration::from_millis(100), || {
            laws::files(&chunks).len() < 2
        }));
        drop(hold);
    }
    until(|| laws::files(&chunks).len() == 1);
}
