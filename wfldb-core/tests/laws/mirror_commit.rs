//! Commits of the mirror's history: one spelling, and no byte of it can be changed.

use proptest::prelude::*;
use wfldb_core::audit::TreeHash;
use wfldb_core::id::SecretKey;
use wfldb_core::mirror::{Authors, GitId, MirrorCommit};
use wfldb_core::name::Realm;
use wfldb_core::time::UnixMillis;

fn commit() -> MirrorCommit {
    MirrorCommit {
        tree: GitId::parse(&"1a".repeat(20)).unwrap(),
        parent: GitId::parse(&"2b".repeat(20)),
        merged: None,
        realm: Realm::parse("local-test").unwrap(),
        time: UnixMillis::new(1_700_000_000_000),
        sequences: (7, 19),
        authors: ["wc1abc", "local:a nightly\nimport"].into_iter().collect(),
        checkpoint: Some((19, TreeHash::EMPTY)),
    }
}

#[test]
fn a_commit_is_what_it_is_and_reads_back() {
    let key = SecretKey::from_seed([7; 32]);
    let object = commit().sign(&key);
    let text = String::from_utf8(object.clone()).unwrap();
    assert!(text.ends_with(concat!(
        "\n\nChanges 7 to 19\n\nWfldb-Seq: 7-19\nWfldb-Author: local:a_nightly_import\nWfldb-Author: wc1abc\n",
        "Wfldb-Checkpoint: 19 47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"
    )));
    assert_eq!(MirrorCommit::open(&object), Some((commit(), key.public_key())));
    assert_eq!(
        object,
        commit().sign(&key),
        "the bytes are a function of commit and key"
    );

    let first = MirrorCommit {
        parent: None,
        authors: Authors::default(),
        checkpoint: None,
        ..commit()
    };
    assert_eq!(
        MirrorCommit::open(&first.sign(&key)),
        Some((first, key.public_key()))
    );
}

/// DEFECT: a commit of another store below ours that the commit does not name, or names as its own.
#[test]
fn what_was_brought_in_is_named_by_the_commit() {
    let key = SecretKey::from_seed([7; 32]);
    let theirs = GitId::parse(&"3c".repeat(20));
    for parent in [commit().parent, None] {
        let merged = MirrorCommit {
            parent,
            merged: theirs,
            ..commit()
        };
        let object = merged.sign(&key);
        let text = String::from_utf8(object.clone()).unwrap();
        assert!(text.ends_with(&format!("\nWfldb-Merged: {}\n", "3c".repeat(20))));
        assert_eq!(MirrorCommit::open(&object), Some((merged, key.public_key())));
    }
    // Signed by the key, and not what it would say.
    let twice = MirrorCommit {
        merged: commit().parent,
        ..commit()
    };
    let object = twice.sign(&key);
    assert_eq!(MirrorCommit::open(&object), Some((twice, key.public_key())));
}

/// Catches: a header or line that the signature does not cover, an armour in a second spelling, lines that are read past.
#[test]
fn no_byte_of_a_commit_can_be_changed_added_or_taken_away() {
    let object = commit().sign(&SecretKey::from_seed([7; 32]));
    for at in 0..object.len() {
        let mut flipped = object.clone();
        flipped[at] ^= 1;
        assert_eq!(MirrorCommit::open(&flipped), None, "byte {at} was changed");
        let mut shorter = object.clone();
        shorter.remove(at);
        assert_eq!(MirrorCommit::open(&shorter), None, "byte {at} was taken away");
        for byte in [b' ', b'\n', b'0'] {
            let mut longer = object.clone();
            longer.insert(at, byte);
            // The same byte twice is the same wherever it is put in.
            assert_eq!(MirrorCommit::open(&longer), None, "{byte} was put in at {at}");
        }
    }
}

proptest! {
    /// Catches: a line's end in an author that would forge a trailer.
    #[test]
    fn authors_stay_on_their_lines(names in prop::collection::vec(".*", 0..4)) {
        let authors: Authors = names.iter().map(String::as_str).collect();
        let commit = MirrorCommit { authors: authors.clone(), ..commit() };
        let key = SecretKey::from_seed([7; 32]);
        let (read, _) = MirrorCommit::open(&commit.sign(&key)).unwrap();
        prop_assert_eq!(read.authors, authors);
        prop_assert_eq!(read.sequences, (7, 19));
    }

    #[test]
    fn whatever_is_opened_nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert_eq!(MirrorCommit::open(&bytes), None);
    }
}
