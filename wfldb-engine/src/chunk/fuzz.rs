//! The way in for the fuzz target of chunk files. In no other build than its.

use std::io::Write as _;
use std::sync::{Arc, LazyLock};

use wfldb_core::chunk::{group_count, group_matches, root};
use wfldb_core::limits::GROUP_BYTES;

use super::file::{Form, PACKED_FOOTER, VALUE_BYTES, form, packed_trailer_bytes, plain_file_bytes};
use super::{ChunkReader, Resources};

static RESOURCES: LazyLock<Arc<Resources>> = LazyLock::new(|| Arc::new(Resources::new()));
/// Three groups and a bit.
const CHUNK_BYTES_MAX: usize = 3 * GROUP_BYTES + 1000;

/// A chunk file. The first 4 bytes are the chunk's length, where it is not that of a plain file of what follows. The name
/// is made to fit the group values, which is the last that a forger would manage.
pub fn chunk_file(input: &[u8]) {
    let Some((len, file)) = input.split_first_chunk::<4>() else {
        return;
    };
    let asked = u32::from_be_bytes(*len) as usize % CHUNK_BYTES_MAX + 1;
    let plain = file
        .len()
        .checked_sub(16 + VALUE_BYTES)
        .filter(|_| asked % 2 == 0);
    let len = plain
        .filter(|len| (1..=GROUP_BYTES).contains(len))
        .unwrap_or(asked);
    let file_bytes = file.len() as u64;
    let trailer = match form(len, file_bytes) {
        None => return,
        Some(Form::Plain) => plain_file_bytes(len) as usize - len,
        Some(Form::Packed) => group_count(len) * VALUE_BYTES + PACKED_FOOTER.len(),
    };
    assert!(packed_trailer_bytes(len) > group_count(len) * VALUE_BYTES);
    let values = &file[file.len() - trailer..][..group_count(len) * VALUE_BYTES];
    let (values, _) = values.as_chunks::<VALUE_BYTES>();
    let Some(name) = root(values, len) else {
        return;
    };
    let path = std::env::temp_dir().join(format!("wfldb-fuzz-chunk-{}", std::process::id()));
    let mut written = std::fs::File::create(&path).expect("a file");
    written.write_all(file).expect("a file");
    let Ok(mut reader) = ChunkReader::open(&path, &name, len, &RESOURCES) else {
        return;
    };
    let mut whole = Vec::new();
    while whole.len() < len {
        let Ok(piece) = reader.read(whole.len(), 1) else {
            break;
        };
        assert!(!piece.is_empty() && whole.len() + piece.len() <= len);
        let index = whole.len() / GROUP_BYTES;
        assert!(
            group_matches(values, index, &piece, len),
            "bytes that do not fit their value"
        );
        whole.extend_from_slice(&piece);
    }
    assert_eq!(
        reader.check_all().is_ok(),
        whole.len() == len,
        "the check and the reads differ"
    );
    if whole.len() == len {
        assert!(reader.holds(&whole).expect("readable"), "it holds what was read");
    }
}
