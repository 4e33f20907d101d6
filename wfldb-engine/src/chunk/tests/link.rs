//! Files that two buckets share.

use std::io::{Error, ErrorKind};
use std::os::unix::fs::MetadataExt as _;
use std::sync::Mutex;

use wfldb_core::id::ChunkHash;
use wfldb_core::limits::GROUP_BYTES;

use super::super::ChunkError;
use super::*;

fn other() -> BucketId {
    BucketId::from_bytes([8; 16])
}

/// A store in which `named` is what rows name.
fn with_rows(dir: &Path, named: &[(BucketId, ChunkHash)]) -> Arc<ChunkStore> {
    let named = Mutex::new(named.to_vec());
    let references: References =
        Arc::new(move |bucket, chunk| Ok(named.lock().unwrap().contains(&(*bucket, *chunk))));
    ChunkStore::open(dir.join("chunks"), references, true).unwrap()
}

fn temporary(dir: &Path) -> usize {
    files(&dir.join("chunks").join("tmp"))
}

/// Defects it catches: a temporary name that stays because both names are one file; a link that its pins do not hold.
#[test]
fn a_linked_chunk_reads_in_both_buckets_and_goes_in_each_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let body = noise(3 * GROUP_BYTES, 1);
    let (hash, _) = seal(&body);
    let store = with_rows(dir.path(), &[(bucket(), hash)]);
    let mut pins = Pins::new(Arc::clone(&store));
    store.put(bucket(), &body, &mut pins).unwrap();
    drop(pins);
    for _ in 0..2 {
        let mut pins = Pins::new(Arc::clone(&store));
        let target = store.path(&other(), &hash);
        // The second time over a leftover of the first, which nobody vouches for.
        store
            .link(bucket(), other(), hash, body.len(), &mut pins)
            .unwrap();
        store
            .link(bucket(), other(), hash, body.len(), &mut pins)
            .unwrap();
        assert_eq!(temporary(dir.path()), 0);
        assert_eq!(fs::metadata(&target).unwrap().nlink(), 2, "no bytes were moved");
        store.check(&other(), &hash, body.len()).unwrap();
        assert!(!store.remove_if_unnamed(&other(), &hash), "it is pinned");
        std::mem::forget(pins);
        store.pins().clear();
    }
    assert!(store.remove_if_unnamed(&other(), &hash));
    store.check(&bucket(), &hash, body.len()).unwrap();
    assert!(store.check(&other(), &hash, body.len()).is_err());
}

#[test]
fn without_links_the_bytes_are_copied() {
    let dir = tempfile::tempdir().unwrap();
    let body = vec![7; 3 * GROUP_BYTES];
    let (hash, _) = seal(&body);
    let store = with_rows(dir.path(), &[(bucket(), hash)]);
    let mut pins = Pins::new(Arc::clone(&store));
    store.put(bucket(), &body, &mut pins).unwrap();
    for kind in [
        ErrorKind::Unsupported,
        ErrorKind::CrossesDevices,
        ErrorKind::TooManyLinks,
    ] {
        store.pins().clear();
        let refused = |_: &Path, _: &Path| Err(Error::from(kind));
        store
            .link_with(bucket(), other(), hash, body.len(), &mut pins, refused)
            .unwrap();
        assert_eq!(fs::metadata(store.path(&other(), &hash)).unwrap().nlink(), 1);
        store.check(&other(), &hash, body.len()).unwrap();
    }
    assert_eq!(temporary(dir.path()), 0);
}

/// Defects it catches: taking a file in the target for the chunk because it is there; linking one that no row names
/// and nobody synced without looking at it.
#[test]
fn what_nobody_vouches_for_is_not_linked_and_not_taken_as_there() {
    let dir = tempfile::tempdir().unwrap();
    let body = noise(2 * GROUP_BYTES, 2);
    let (hash, _) = seal(&body);
    let zeros = vec![0; usize::try_from(plain_file_bytes(body.len())).unwrap()];
    let leftover = |store: &ChunkStore, bucket: &BucketId| {
        let path = store.path(bucket, &hash);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &zeros).unwrap();
    };
    let link = |store: &Arc<ChunkStore>| {
        let mut pins = Pins::new(Arc::clone(store));
        let linked = store.link(bucket(), other(), hash, body.len(), &mut pins);
        linked.and_then(|()| store.check(&other(), &hash, body.len()))
    };

    let store = with_rows(dir.path(), &[(bucket(), hash)]);
    assert!(matches!(
        link(&store),
        Err(ChunkError::Damaged("its file is missing"))
    ));
    store
        .put(bucket(), &body, &mut Pins::new(Arc::clone(&store)))
        .unwrap();
    leftover(&store, &other());
    link(&store).unwrap();
    let mut pins = Pins::new(Arc::clone(&store));
    let longer = store.link(bucket(), other(), hash, body.len() + 1, &mut pins);
    assert!(matches!(longer, Err(ChunkError::Damaged(_))));

    let none = tempfile::tempdir().unwrap();
    let store = with_rows(none.path(), &[]);
    leftover(&store, &bucket());
    assert!(link(&store).is_err());
    assert!(!store.path(&other(), &hash).exists());
}

/// A defect it catches: a check that stops after its first piece.
#[test]
fn a_check_finds_a_flipped_bit_anywhere() {
    let dir = tempfile::tempdir().unwrap();
    for (body, seed) in [
        (noise(9 * GROUP_BYTES + 7, 3), 1),
        (vec![5; 9 * GROUP_BYTES + 7], 2),
    ] {
        let store = open(&dir.path().join(seed.to_string()), true, true);
        let hash = store
            .put(bucket(), &body, &mut Pins::new(Arc::clone(&store)))
            .unwrap();
        store.check(&bucket(), &hash, body.len()).unwrap();
        assert!(store.check(&bucket(), &hash, body.len() - 1).is_err());
        let path = store.path(&bucket(), &hash);
        let whole = fs::read(&path).unwrap();
        // zstd's frames begin with bits that nobody looks at; the step is such that it meets none of them.
        for at in (20..whole.len()).step_by(if seed == 1 { 9_973 } else { 37 }) {
            let mut damaged = whole.clone();
            damaged[at] ^= 2;
            fs::write(&path, &damaged).unwrap();
            let mut reader = store.open_chunk(&bucket(), &hash, body.len());
            let reads = reader
                .as_mut()
                .is_ok_and(|reader| reader.read(0, usize::MAX).is_ok_and(|read| read == body));
            let checked = store.check(&bucket(), &hash, body.len());
            assert_eq!(checked.is_ok(), reads, "{at}: as a read finds it");
            assert!(!reads || seed == 2);
        }
    }
}
