//! The ways in for the targets of `fuzz/`: formats that are read from disk. In no other build than theirs.

use wfldb_core::id::BucketId;
use wfldb_core::time::UnixMillis;

pub use crate::backup::fuzz::backup_manifest;
pub use crate::chunk::fuzz::chunk_file;
use crate::row::counters::decode_charged;
use crate::row::{
    AccessRow, BucketCounters, BucketRow, ChangeRow, CommitMark, EvidenceRow, IndexWork, ObjectRow, PartRow,
    RowError, UploadRow, decode_entry, encode_entry, key,
};
use crate::store::{ReplayMark, Slots, StoreFile};

/// A row, by the first byte: what decodes is written back as the same.
pub fn rows(input: &[u8]) {
    let Some((kind, row)) = input.split_first() else {
        return;
    };
    match kind {
        b'b' => same(row, BucketRow::decode, BucketRow::encode),
        b'c' => same(row, ChangeRow::decode, ChangeRow::encode),
        b'a' => same(row, AccessRow::decode, AccessRow::encode),
        b'e' => same(row, EvidenceRow::decode, EvidenceRow::encode),
        b'n' => same(row, BucketCounters::decode, BucketCounters::encode),
        b'm' => same(row, CommitMark::decode, |mark| mark.encode().to_vec()),
        b'o' => same(row, ObjectRow::decode, ObjectRow::encode),
        b'u' => same(row, UploadRow::decode, UploadRow::encode),
        b'p' => same(row, PartRow::decode, PartRow::encode),
        b'k' => keys(row),
        b'w' => same(row, IndexWork::decode, |work| work.encode().to_vec()),
        b'i' => index_entry(row),
        _ => {}
    }
    if let Ok(object) = ObjectRow::decode(row) {
        assert_eq!(ObjectRow::decode(&object.head().encode()), Ok(object.head()));
        let _ = object.is_live(UnixMillis::new(0));
    }
    let _ = decode_charged(row);
}

fn same<T: PartialEq + std::fmt::Debug>(
    row: &[u8],
    decode: fn(&[u8]) -> Result<T, RowError>,
    encode: impl Fn(&T) -> Vec<u8>,
) {
    if let Ok(value) = decode(row) {
        assert_eq!(decode(&encode(&value)), Ok(value), "a row is not read back");
    }
}

/// An entry of an index: the first three bytes are its value.
fn index_entry(row: &[u8]) {
    if let Some((value, key)) = row.split_at_checked(3)
        && let Ok((entry, object)) = decode_entry(key, value)
    {
        assert_eq!(entry.key(&object), key);
        assert_eq!(encode_entry(&entry), value);
    }
}

/// Keys of rows; those of a due time and of a change's place have their value behind the first line break.
fn keys(row: &[u8]) {
    if let Ok((bucket, object)) = key::parse_head(row) {
        assert_eq!(key::head(&bucket, &object), row);
        if let Ok((object, version)) = key::key_of_version(row) {
            assert_eq!(key::version(&bucket, &object, &version), row);
        }
    }
    if let Ok(position) = key::position_of_change(row) {
        assert_eq!(key::change(position), row);
    }
    if key::is_part(row) {
        assert!(key::number_of_part(row).is_ok());
    }
    let mut halves = row.splitn(2, |byte| *byte == b'\n');
    let (due, value) = (
        halves.next().unwrap_or_default(),
        halves.next().unwrap_or_default(),
    );
    if let Ok((bucket, parsed)) = key::parse_due(due, value) {
        assert_eq!(key::due(&bucket, &parsed), due);
    }
    if let (Ok((at, object)), Some(bucket)) = (key::parse_timed(row), row.first_chunk()) {
        let bucket = BucketId::from_bytes(*bucket);
        assert_eq!(key::timed(&bucket, at, &object), row);
    }
    if let Ok((seq, _)) = key::parse_bucket_change(due, value) {
        let bucket = due.first_chunk::<16>().map(|id| BucketId::from_bytes(*id));
        assert!(bucket.is_some_and(|bucket| key::bucket_change(&bucket, seq) == due));
    }
}

/// The file of two slots: the input's halves as contents, each with a check that fits, as docs/FORMAT.md has it; then the
/// input as the whole file.
pub fn slots(input: &[u8]) {
    let dir = std::env::temp_dir().join(format!("wfldb-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a directory");
    let path = dir.join("slots");
    let Some(([first, second, split], rest)) = input.split_first_chunk::<3>() else {
        return;
    };
    let (left, right) = rest.split_at(usize::from(*split).min(rest.len()));
    let mut file = slot(u64::from(*first), left);
    file.resize(4096.max(file.len()), 0);
    file.truncate(4096);
    file.extend_from_slice(&slot(u64::from(*second), right));
    let readable = |content: &[u8]| content.len() <= 256;
    let expected = match (readable(left), readable(right)) {
        (true, true) if second > first => Some(right),
        (true, _) => Some(left),
        (false, true) => Some(right),
        (false, false) => None,
    };
    std::fs::write(&path, &file).expect("a file");
    let (_, found) = Slots::open(&path).expect("a file that opens");
    assert_eq!(found.as_deref(), expected, "not the newest whole slot");

    let now = UnixMillis::new(1_767_323_045_006);
    let mark = ReplayMark::open(&path, now)
        .expect("a mark that opens")
        .at_start();
    match expected.map(<[u8; 8]>::try_from) {
        // Behind the last time there is, it is the last one, and nothing is accepted any more.
        Some(Ok(millis)) => assert_eq!(mark, UnixMillis::new(u64::from_be_bytes(millis))),
        // SECURITY: a mark that cannot be read refuses everything that can have been accepted.
        _ => assert!(mark > now, "a lost mark lets old requests in again"),
    }
    std::fs::write(&path, input).expect("a file");
    let _ = Slots::open(&path).expect("a file that opens");
}

fn slot(count: u64, content: &[u8]) -> Vec<u8> {
    let mut slot = b"wflmark1".to_vec();
    slot.extend_from_slice(&count.to_be_bytes());
    slot.extend_from_slice(&(content.len() as u64).to_be_bytes());
    slot.extend_from_slice(content);
    let check = blake3::hash(&slot);
    slot.extend_from_slice(check.as_bytes());
    slot
}

/// The `STORE` file: the input is its JSON.
pub fn store_file(input: &[u8]) {
    let Ok(json) = std::str::from_utf8(input) else {
        return;
    };
    let check = blake3::hash(input).to_hex();
    if let Ok(file) = StoreFile::decode(&format!("{json}\nblake3 {check}\n")) {
        assert_eq!(StoreFile::decode(&file.encode()), Ok(file), "not read back");
    }
    assert!(
        StoreFile::decode(json).is_err() || json.contains("blake3"),
        "taken without a check"
    );
}
