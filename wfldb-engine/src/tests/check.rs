//! The full check: a sound store has no findings, and any row that is changed, cut or removed has one.

use std::collections::BTreeMap;

use wfldb_core::auth::Service;
use wfldb_core::revocation::Asked;

use super::*;
use crate::{Batch, FindingKind, MemoryStorage, Space, Storage};

/// A store with one of everything.
fn filled() -> (tempfile::TempDir, MemoryStorage, Engine) {
    let dir = tempfile::tempdir().unwrap();
    let storage = MemoryStorage::new();
    let engine = Engine::with_storage(Arc::new(storage.clone()), dir.path(), options()).unwrap();
    for bucket in ["aaa", "bbb"] {
        make_bucket(&engine, bucket);
        put(&engine, bucket, "inline", b"first").unwrap();
        put_with(
            &engine,
            bucket,
            "inline",
            b"second",
            &[("x-wfldb-tags", "a=b&c=d"), ("x-wfldb-ttl", "99999")],
        )
        .unwrap();
        put(&engine, bucket, "empty", b"").unwrap();
        put(&engine, bucket, "chunked", &vec![7; 200_000]).unwrap();
        put(&engine, bucket, "deleted", b"x").unwrap();
        delete(&engine, bucket, "deleted").unwrap();
    }
    let proof = object("aaa", "parts", Op::Put);
    let id = engine
        .start_upload(&proof, 5 << 20, ObjectHeaders::default())
        .wait()
        .unwrap();
    let body = vec![9; 100_000];
    let mut part = engine
        .begin_part(&proof, id, 1, ContentDigest::of(&body))
        .unwrap();
    part.upload.write(&body).unwrap();
    engine.put_part(&proof, part.finish().unwrap()).wait().unwrap();
    let batch = Authorized::local("test", Op::Put, Target::Batch(name("bbb")));
    let ops = ["x", "y"].map(|key| crate::BatchOp {
        key: ObjectKey::parse(key).unwrap(),
        preconditions: Preconditions::default(),
        action: crate::BatchAction::Put {
            body: Bytes::from_static(b"z"),
            headers: Box::default(),
        },
    });
    engine.batch(&batch, ops.into()).wait().unwrap();
    let proof = Authorized::local("test", Op::Admin, Target::Service(Service::Keys));
    let hash = wfldb_core::id::PacketHash::of(b"packet");
    let order = wfldb_core::revocation::order(&proof, &Asked::Hash(hash)).unwrap();
    engine.revoke(&proof, order).wait().unwrap();
    (dir, storage, engine)
}

fn findings(engine: &Engine) -> Vec<FindingKind> {
    let proof = Authorized::local("test", Op::Admin, Target::Store);
    let report = engine.verify(&proof).unwrap();
    assert_eq!(report.sound, report.findings.is_empty());
    report.findings.into_iter().map(|finding| finding.kind).collect()
}

/// Every row of every kind, removed, cut short, and with each of its bits of one byte in a few flipped: a finding, or
/// no difference in what the row says. Defects it catches: any comparison of the check that is left out.
#[test]
fn any_row_that_is_changed_has_a_finding() {
    let (_dir, storage, engine) = filled();
    assert_sound(&engine);
    let mut unnoticed: BTreeMap<String, usize> = BTreeMap::new();
    let mut tried = 0;
    for (space, key, value) in storage.dump() {
        let mut damaged: Vec<(&str, Option<Bytes>)> = vec![("removed", None)];
        if !value.is_empty() {
            damaged.push(("cut", Some(value.slice(..value.len() - 1))));
        }
        for at in (0..value.len()).step_by(3) {
            let mut flipped = value.to_vec();
            flipped[at] ^= 1 << (at % 8);
            damaged.push(("flipped", Some(Bytes::from(flipped))));
        }
        for (how, value) in damaged {
            tried += 1;
            let before = storage.snapshot().get(space, &key).unwrap();
            let write = |value: Option<Bytes>| {
                let writes = vec![(space, key.clone(), value)];
                storage.commit(Batch { writes }).unwrap();
            };
            write(value);
            if findings(&engine).is_empty() {
                let kind = key
                    .first()
                    .filter(|_| space == Space::Log || space == Space::Counters)
                    .map_or(' ', |b| char::from(*b));
                *unnoticed
                    .entry(format!("{} {kind} {how}", space.name()))
                    .or_default() += 1;
            }
            write(before);
        }
    }
    assert_sound(&engine);
    // Unnoticed is what a row does not say (padding), what nothing else knows (when a bucket was created, its
    // configuration, the kept headers of an unfinished upload, where a bucket's numbering stands, the commit's number), or
    // what makes no difference. A row that is gone is always noticed.
    assert!(tried > 1000, "{tried}");
    assert!(
        !unnoticed.keys().any(|what| what.ends_with("removed")),
        "{unnoticed:?}"
    );
    let silent = unnoticed.values().sum::<usize>();
    assert!(silent * 10 < tried, "{silent} of {tried}: {unnoticed:?}");
}

/// A defect it catches: a check of chunks that believes their names.
#[test]
fn a_chunk_that_is_changed_cut_or_gone_has_a_finding() {
    let (dir, _storage, engine) = filled();
    let mut paths = vec![dir.path().join("chunks")];
    let mut chunks = Vec::new();
    while let Some(path) = paths.pop() {
        for entry in std::fs::read_dir(path).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                paths.push(entry.path());
            } else {
                chunks.push(entry.path());
            }
        }
    }
    assert_eq!(chunks.len(), 3);
    for chunk in chunks {
        let whole = std::fs::read(&chunk).unwrap();
        for at in (0..whole.len()).step_by(whole.len().div_ceil(40)) {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x40;
            std::fs::write(&chunk, &damaged).unwrap();
            assert_eq!(findings(&engine), [FindingKind::Chunk], "flip at {at}");
        }
        std::fs::write(&chunk, &whole[..whole.len() / 2]).unwrap();
        assert_eq!(findings(&engine), [FindingKind::Chunk]);
        std::fs::remove_file(&chunk).unwrap();
        assert_eq!(findings(&engine), [FindingKind::Chunk]);
        std::fs::write(&chunk, &whole).unwrap();
    }
    assert_sound(&engine);
}

/// A defect it catches: a scrub that skips bodies, or chunks that are shared.
#[test]
fn a_scrub_counts_what_is_damaged() {
    let (dir, storage, engine) = filled();
    crate::scrub::whole_round(&engine.inner);
    let stats = engine.stats();
    assert_eq!((stats.scrub_rounds, stats.scrub_damaged), (1, 0));
    assert!(stats.scrub_bytes > 400_000, "{}", stats.scrub_bytes);
    let (space, key, _) = storage
        .dump()
        .into_iter()
        .find(|(space, ..)| *space == Space::Bodies)
        .unwrap();
    storage
        .commit(Batch {
            writes: vec![(space, key, Some(Bytes::from_static(b"other")))],
        })
        .unwrap();
    let bucket = engine
        .bucket(&of_bucket("aaa", Op::Manage))
        .unwrap()
        .id
        .to_string();
    let other = engine
        .bucket(&of_bucket("bbb", Op::Manage))
        .unwrap()
        .id
        .to_string();
    for bucket in [bucket, other] {
        std::fs::remove_dir_all(dir.path().join("chunks").join(bucket)).unwrap();
    }
    crate::scrub::whole_round(&engine.inner);
    // The chunks of unfinished uploads have no version yet: the full check reads them.
    assert_eq!(engine.stats().scrub_damaged, 3);
}

/// A defect it catches: a check that takes what was erased while it ran for damage.
#[test]
fn what_is_erased_while_a_check_runs_is_no_damage() {
    let (dir, _storage, engine) = filled();
    let chunks = files(&dir.path().join("chunks"));
    let stored = put(&engine, "bbb", "late", &vec![3; 150_000]).unwrap();
    let mut erased = false;
    let report = engine.inner.check(&mut |_| {
        // Called in the middle of the walk, which has yet to come to this key and sees its row.
        if !erased {
            erased = true;
            let proof = object("bbb", "late", Op::Erase);
            let erase = engine.erase(&proof, stored.version, Preconditions::default());
            erase.wait().unwrap().unwrap();
            until(|| files(&dir.path().join("chunks")) == chunks);
        }
    });
    assert!(erased && report.sound, "{:#?}", report.findings);
    assert_sound(&engine);
}

/// Opening for reading changes nothing on disk.
#[test]
fn a_store_that_is_opened_for_reading_is_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    make_bucket(&engine, "aaa");
    put(&engine, "aaa", "k", &vec![1; 100_000]).unwrap();
    engine.close().unwrap();
    let options = EngineOptions {
        read_only: true,
        ..options()
    };
    let engine = Engine::open(dir.path(), options.clone()).unwrap();
    assert!(matches!(
        put(&engine, "aaa", "k", b""),
        Err(EngineError::ReadOnly)
    ));
    assert_eq!(read(&engine, "aaa", "k", Which::Newest).unwrap().len(), 100_000);
    assert_sound(&engine);
    drop(engine);
    let nothing = tempfile::tempdir().unwrap();
    assert!(Engine::open(nothing.path(), options).is_err());
    let engine = open(dir.path());
    assert_eq!(engine.health().writable, Ok(()));
}
