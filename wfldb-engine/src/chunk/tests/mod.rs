//! Tests of chunk files. `form` looks at both forms of a file, hostile ones among them, `link` at files that buckets
//! share, `garbage` at what is removed and what is not, `writer` at the chunks of a large body.

mod form;
mod garbage;
mod link;
mod writer;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use wfldb_core::id::BucketId;

use super::file::{plain_file_bytes, seal};
use super::{ChunkStore, Pins, References};

/// A store in which every chunk is named, or none.
fn open(dir: &Path, named: bool, compress: bool) -> Arc<ChunkStore> {
    ChunkStore::open(dir.join("chunks"), Arc::new(move |_, _| Ok(named)), compress).unwrap()
}

/// Bytes that do not compress.
fn noise(len: usize, seed: u8) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new()
        .update(&[seed])
        .finalize_xof()
        .fill(&mut bytes);
    bytes
}

fn bucket() -> BucketId {
    BucketId::from_bytes([7; 16])
}

fn files(dir: &Path) -> usize {
    let mut count = 0;
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        count += if entry.file_type().unwrap().is_dir() {
            files(&entry.path())
        } else {
            1
        };
    }
    count
}

fn until(what: impl Fn() -> bool) {
    let start = Instant::now();
    while !what() {
        assert!(start.elapsed() < Duration::from_secs(10), "it did not come about");
        std::thread::yield_now();
    }
}

#[test]
fn a_chunk_reads_back_and_equal_ones_share_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), true, false);
    let bytes: Vec<u8> = (0..300_000u32).map(|n| (n % 251) as u8).collect();
    let mut pins = Pins::new(Arc::clone(&store));
    let hash = store.put(bucket(), &bytes, &mut pins).unwrap();
    assert_eq!(store.put(bucket(), &bytes, &mut pins).unwrap(), hash);
    assert_eq!(files(dir.path()), 1);
    let mut reader = store.open_chunk(&bucket(), &hash, bytes.len()).unwrap();
    assert_eq!(reader.read(0, usize::MAX).unwrap(), bytes);
    let tail = reader.read(200_000, 10).unwrap();
    assert_eq!(tail, &bytes[200_000..200_000 + tail.len()]);
}

/// INVARIANT 3. A defect it catches: returning a group before it is compared with its value.
#[test]
fn a_flipped_bit_is_never_served() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), true, false);
    let bytes = vec![42; 200_000];
    let mut pins = Pins::new(Arc::clone(&store));
    let hash = store.put(bucket(), &bytes, &mut pins).unwrap();
    let path = store.path(&bucket(), &hash);
    let whole = fs::read(&path).unwrap();
    for at in (0..whole.len())
        .step_by(9973)
        .chain(whole.len() - 140..whole.len())
    {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        fs::write(&path, &damaged).unwrap();
        let read = store
            .open_chunk(&bucket(), &hash, bytes.len())
            .and_then(|mut r| r.read(0, usize::MAX));
        assert!(read.is_err(), "flip at {at}");
    }
}

/// INVARIANT 3. A defect it catches: `remove_if_unnamed` without the look at the pins.
#[test]
fn a_chunk_goes_with_its_last_pin_unless_a_row_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let named = Arc::new(AtomicBool::new(false));
    let row = Arc::clone(&named);
    let references: References = Arc::new(move |_, _| Ok(row.load(Ordering::SeqCst)));
    let store = ChunkStore::open(dir.path().join("chunks"), references, true).unwrap();
    let bytes = vec![1; 100_000];
    let mut first = Pins::new(Arc::clone(&store));
    let mut second = Pins::new(Arc::clone(&store));
    let hash = store.put(bucket(), &bytes, &mut first).unwrap();
    store.put(bucket(), &bytes, &mut second).unwrap();
    drop(first);
    store.remove_if_unnamed(&bucket(), &hash);
    assert_eq!(files(dir.path()), 1, "the second write still names it");
    drop(second);
    until(|| files(dir.path()) == 0);
    let mut third = Pins::new(Arc::clone(&store));
    store.put(bucket(), &bytes, &mut third).unwrap();
    named.store(true, Ordering::SeqCst);
    drop(third);
    store.remove_if_unnamed(&bucket(), &hash);
    assert_eq!(files(dir.path()), 1, "a committed row names it");
}

/// A defect it catches: taking a file of the right length for a dedup hit.
#[test]
fn storing_the_same_bytes_again_mends_a_damaged_file() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), true, false);
    let bytes = vec![42; 200_000];
    let mut pins = Pins::new(Arc::clone(&store));
    let hash = store.put(bucket(), &bytes, &mut pins).unwrap();
    let path = store.path(&bucket(), &hash);
    let mut damaged = fs::read(&path).unwrap();
    damaged[100_000] ^= 1;
    fs::write(&path, &damaged).unwrap();
    store.put(bucket(), &bytes, &mut pins).unwrap();
    let mut reader = store.open_chunk(&bucket(), &hash, bytes.len()).unwrap();
    assert_eq!(reader.read(0, usize::MAX).unwrap(), bytes);
}

#[test]
fn a_leftover_of_an_earlier_run_is_written_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), false, false);
    let bytes = vec![3; 70_000];
    let (hash, _) = seal(&bytes);
    let path = store.path(&bucket(), &hash);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    // As long as the real one, but never synced: zeros where the disk did not keep up.
    fs::write(
        &path,
        vec![0; usize::try_from(plain_file_bytes(bytes.len())).unwrap()],
    )
    .unwrap();
    let mut pins = Pins::new(Arc::clone(&store));
    store.put(bucket(), &bytes, &mut pins).unwrap();
    let mut reader = store.open_chunk(&bucket(), &hash, bytes.len()).unwrap();
    assert_eq!(reader.read(0, usize::MAX).unwrap(), bytes);
}

/// Chunk files for the corpus of the fuzz target, each behind the 4 bytes by which the target knows the chunk's length.
pub(crate) fn file_seeds() -> Vec<(&'static str, Vec<u8>)> {
    let plain = vec![7; 100];
    let (_, values) = seal(&plain);
    let plain = [
        &[0, 0, 0, 1][..],
        &plain,
        &super::file::plain_trailer(100, &values),
    ]
    .concat();
    let zeros = vec![0; 70_001];
    let (_, values) = seal(&zeros);
    let packed = super::pack::Packer::new().pack(&zeros, &values).unwrap();
    let packed = [&70_000_u32.to_be_bytes()[..], &packed].concat();
    vec![("plain", plain), ("packed", packed)]
}
