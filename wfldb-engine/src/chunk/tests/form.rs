//! Plain and packed files: both read back, neither is believed.

use wfldb_core::id::ChunkHash;
use wfldb_core::limits::{CHUNK_BYTES, GROUP_BYTES};

use super::super::ChunkError;
use super::super::file::{Form, PACKED_FOOTER, form};
use super::*;

/// Bytes that compress, and not to the same length in each group.
fn text(len: usize) -> Vec<u8> {
    let words = noise(4096, 9);
    let mut bytes = Vec::with_capacity(len + 64);
    for n in 0_u64.. {
        if bytes.len() >= len {
            break;
        }
        let at = usize::try_from(n * n % 4000).unwrap();
        bytes.extend_from_slice(&words[at..at + 24]);
        bytes.extend_from_slice(format!(" line {n} of a log\n").as_bytes());
    }
    bytes.truncate(len);
    bytes
}

fn form_of(store: &ChunkStore, hash: &ChunkHash, len: usize) -> Form {
    let file = fs::metadata(store.path(&bucket(), hash)).unwrap();
    form(len, file.len()).unwrap()
}

fn read_all(store: &ChunkStore, hash: &ChunkHash, len: usize) -> Result<Vec<u8>, ChunkError> {
    let mut reader = store.open_chunk(&bucket(), hash, len)?;
    let mut bytes = Vec::new();
    while bytes.len() < len {
        bytes.extend_from_slice(&reader.read(bytes.len(), 100_000)?);
    }
    Ok(bytes)
}

/// Puts `bytes` and gives the hash and the file.
fn put(store: &Arc<ChunkStore>, bytes: &[u8]) -> (ChunkHash, std::path::PathBuf) {
    let hash = store
        .put(bucket(), bytes, &mut Pins::new(Arc::clone(store)))
        .unwrap();
    (hash, store.path(&bucket(), &hash))
}

/// The name is the hash of the plain bytes whatever the form, and every range reads the same in both.
///
/// A defect it catches: a group that is taken from where the one before it ends in the plain bytes.
#[test]
fn both_forms_read_the_same_at_every_border() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), true, true);
    let text = text(CHUNK_BYTES);
    for len in [
        1_000,
        GROUP_BYTES,
        GROUP_BYTES + 1,
        3 * GROUP_BYTES - 1,
        777_777,
        CHUNK_BYTES,
    ] {
        let (hash, _) = put(&store, &text[..len]);
        assert_eq!(hash, ChunkHash::of(&text[..len]));
        assert_eq!(form_of(&store, &hash, len), Form::Packed, "{len}");
        assert_eq!(read_all(&store, &hash, len).unwrap(), &text[..len]);
        let mut reader = store.open_chunk(&bucket(), &hash, len).unwrap();
        for at in [0, 1, len / 2, len - 1] {
            let piece = reader.read(at, 10).unwrap();
            assert!(!piece.is_empty());
            assert_eq!(piece, &text[at..at + piece.len()], "{at} of {len}");
        }
    }
}

/// SECURITY. A defect it catches: a piece that is as long as its buffer, and so ends with what another left there.
#[test]
fn large_pieces_in_used_buffers_hold_their_own_bytes_only() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), true, true);
    for body in [
        noise(CHUNK_BYTES, 1),
        text(CHUNK_BYTES),
        noise(CHUNK_BYTES - 5, 2),
    ] {
        let (hash, path) = put(&store, &body);
        let mut reader = store.open_chunk(&bucket(), &hash, body.len()).unwrap();
        for want in [1 << 20, 700_000] {
            let mut at = 3;
            while at < body.len() {
                let piece = reader.read(at, want).unwrap();
                assert_eq!(piece, &body[at..at + piece.len()]);
                at += piece.len();
            }
        }
        // A file that is cut while it is open ends in an error, wherever that is.
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_len(file.metadata().unwrap().len() / 2).unwrap();
        assert!(matches!(
            reader.read(3 << 20, 1 << 20),
            Err(ChunkError::Damaged(_))
        ));
    }
}

/// A defect it catches: packing whatever gets shorter at all.
#[test]
fn a_file_is_packed_only_where_that_saves_an_eighth() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), true, true);
    let len = 16 * GROUP_BYTES;
    let mut body = noise(len, 1);
    // The share of text within each group decides.
    for (share, expected) in [(0, Form::Plain), (20, Form::Plain), (3, Form::Packed)] {
        for group in body.chunks_mut(GROUP_BYTES) {
            let plain = group.len().checked_div(share).unwrap_or(0);
            group[..plain].fill(b'x');
        }
        let (hash, path) = put(&store, &body);
        assert_eq!(form_of(&store, &hash, len), expected, "one in {share}");
        if expected == Form::Packed {
            assert!(fs::metadata(path).unwrap().len() * 8 < plain_file_bytes(len) * 7);
        }
        assert_eq!(read_all(&store, &hash, len).unwrap(), body);
    }
    // The samples shrink, the whole does not save enough.
    let mut body = noise(len, 4);
    for sampled in [5, 10] {
        body[sampled * GROUP_BYTES..(sampled + 1) * GROUP_BYTES].fill(0);
    }
    let (hash, _) = put(&store, &body);
    assert_eq!(form_of(&store, &hash, len), Form::Plain, "two groups of sixteen");
    assert_eq!(read_all(&store, &hash, len).unwrap(), body);
    let figures = store.figures();
    assert_eq!(
        (
            figures.plain.load(Ordering::SeqCst),
            figures.packed.load(Ordering::SeqCst)
        ),
        (3, 1)
    );
    assert!(figures.saved_bytes.load(Ordering::SeqCst) > len as u64 / 4);
    let off = open(&dir.path().join("off"), true, false);
    let (hash, _) = put(&off, &text(len));
    assert_eq!(form_of(&off, &hash, len), Form::Plain);
}

/// Groups that do not shrink stand as they are among others that do.
#[test]
fn a_packed_file_may_hold_plain_groups() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), true, true);
    let mut body = text(9 * GROUP_BYTES + 99);
    let len = body.len();
    body[GROUP_BYTES..2 * GROUP_BYTES].copy_from_slice(&noise(GROUP_BYTES, 2));
    body[9 * GROUP_BYTES..].copy_from_slice(&noise(99, 3));
    let (hash, _) = put(&store, &body);
    assert_eq!(form_of(&store, &hash, len), Form::Packed);
    assert_eq!(read_all(&store, &hash, len).unwrap(), body);
}

/// INVARIANT 3. Defects it catches: a packed group that leaves before it is compared with its value; a table whose
/// last end is not compared with where the table begins.
#[test]
fn a_packed_file_that_was_changed_is_an_error_and_never_a_wrong_byte() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), true, true);
    let body = text(5 * GROUP_BYTES + 5);
    let (hash, path) = put(&store, &body);
    let whole = fs::read(&path).unwrap();
    let trailer = 6 * 36 + 8;
    let never_wrong = |changed: &[u8], what: &str| {
        fs::write(&path, changed).unwrap();
        let read = read_all(&store, &hash, body.len());
        let harmless = read.as_ref().is_ok_and(|read| *read == body);
        // zstd's frames have bits that nobody looks at; all others are errors.
        assert!(read.is_err() || harmless, "{what}");
        harmless
    };
    let mut harmless = 0;
    for at in (0..whole.len())
        .step_by(1009)
        .chain(whole.len() - trailer..whole.len())
    {
        for bit in [0x01, 0x80] {
            let mut changed = whole.clone();
            changed[at] ^= bit;
            let unseen = never_wrong(&changed, &format!("bit {bit} of byte {at}"));
            assert!(!unseen || at < whole.len() - trailer, "byte {at} of the trailer");
            harmless += usize::from(unseen);
        }
    }
    assert!(harmless < 10, "{harmless}");
    for cut in [0, 1, 8, trailer - 1, trailer, whole.len() / 2, whole.len() - 1] {
        assert!(!never_wrong(&whole[..cut], &format!("cut at {cut}")));
        assert!(!never_wrong(
            &whole[whole.len() - cut..],
            &format!("the last {cut}")
        ));
    }
    let longer = [&whole[..100], &whole].concat();
    assert!(!never_wrong(&longer, "bytes before it"));
    let longer = [
        &whole[..whole.len() - trailer],
        b"xxxx",
        &whole[whole.len() - trailer..],
    ]
    .concat();
    assert!(!never_wrong(&longer, "bytes before the table"));
}

/// SECURITY. Defects it catches: room for a group that is taken from what a frame says of itself; a table that is
/// believed, so that a slice is taken with it.
#[test]
fn a_hostile_file_costs_no_more_than_a_group() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), true, true);
    let body = text(2 * GROUP_BYTES);
    let (hash, path) = put(&store, &body);
    let (_, values) = seal(&body);
    let file = |groups: &[&[u8]], ends: [u32; 2]| {
        let mut file = groups.concat();
        file.extend(ends.iter().flat_map(|end| end.to_be_bytes()));
        file.extend_from_slice(values.as_flattened());
        file.extend_from_slice(&PACKED_FOOTER);
        fs::write(&path, &file).unwrap();
        read_all(&store, &hash, body.len())
    };
    let end = |len: usize| u32::try_from(len).unwrap();
    let pack = |bytes: &[u8]| zstd::bulk::compress(bytes, 3).unwrap();
    let (first, second) = (pack(&body[..GROUP_BYTES]), pack(&body[GROUP_BYTES..]));
    let both = end(first.len() + second.len());
    let read = file(&[&first, &second], [end(first.len()), both]);
    assert_eq!(read.unwrap(), body, "a file made by hand reads");
    for ends in [
        [0, both],
        [both, both],
        [both + 1, both],
        [u32::MAX, both],
        [u32::MAX, u32::MAX],
        [end(first.len()), both - 1],
        [end(first.len()), both + 1],
        [end(first.len()) - 1, both],
        [end(first.len()) + 1, both],
    ] {
        assert!(file(&[&first, &second], ends).is_err(), "{ends:?}");
    }
    // One frame that says that it holds 64 MiB, one that does not say it, and one that holds a byte too few.
    let bomb = pack(&vec![0; 64 << 20]);
    let streamed = zstd::stream::encode_all(&vec![0; 64 << 20][..], 3).unwrap();
    let short = pack(&body[..GROUP_BYTES - 1]);
    for (packed, what) in [
        (&bomb, "a bomb"),
        (&streamed, "a silent bomb"),
        (&short, "a byte short"),
    ] {
        let ends = [end(packed.len()), end(packed.len() + second.len())];
        let read = file(&[packed, &second], ends);
        assert!(
            matches!(read, Err(ChunkError::Damaged("a packed group"))),
            "{what}"
        );
    }
    let two_frames = [pack(&body[..100]), pack(&body[100..GROUP_BYTES])].concat();
    // What comes out right is right, however it was packed.
    let ends = [end(two_frames.len()), end(two_frames.len() + second.len())];
    assert_eq!(file(&[&two_frames, &second], ends).unwrap(), body);
}

/// A defect it catches: comparing what is there with the form that would be written now.
#[test]
fn equal_bytes_are_found_in_either_form_and_mended_in_either() {
    let body = text(3 * GROUP_BYTES);
    for (first, second) in [(true, false), (false, true), (true, true)] {
        let dir = tempfile::tempdir().unwrap();
        let (hash, path) = put(&open(dir.path(), true, first), &body);
        let whole = fs::read(&path).unwrap();
        let store = open(dir.path(), true, second);
        put(&store, &body);
        assert_eq!(fs::read(&path).unwrap(), whole, "nothing was written again");
        for at in [whole.len() / 3, whole.len() - 50, whole.len() - 1] {
            let mut damaged = whole.clone();
            damaged[at] ^= 4;
            fs::write(&path, &damaged).unwrap();
            put(&store, &body);
            assert_eq!(read_all(&store, &hash, body.len()).unwrap(), body);
        }
        fs::write(&path, &whole[..whole.len() - 9]).unwrap();
        put(&store, &body);
        assert_eq!(read_all(&store, &hash, body.len()).unwrap(), body);
    }
}
