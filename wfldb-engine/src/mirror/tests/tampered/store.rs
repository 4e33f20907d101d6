//! Attacks on the store itself while no process has it open: its rows, its chunk files, its audit log. Each with what the
//! commands name: `mirror verify` (the mirror stayed as it was, so it differs where the store says something else by now),
//! `verify`, and `audit verify` of the mirror's copy of the log, which goes by what was signed and so stays sound.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use wfldb_core::auth::{Authorized, Op, Target};

use super::log::audited;
use super::rows::{Rows, chunks, flipped, store};
use super::{A, B};
use crate::tests::options;
use crate::{Engine, FindingKind as K, MirrorFault as F, Space as S};

const DOCS: &str = "docs/MANIFEST.sha256";
const TILE: &str = "log/tile/0/000.p/11";
const ENTRIES: &str = "log/tile/entries/000.p/11";

type Change = fn(&Rows, &Path);
/// What is done, what `mirror verify` names, and what `verify` names.
type Attack = (&'static str, Change, &'static [(F, &'static str)], &'static [K]);

fn on_versions() -> Vec<Attack> {
    const OLDER: &[(F, &str)] = &[(F::OtherVersion, A), (F::Manifest, DOCS)];
    vec![
        (
            "a head was cut",
            |to, _| {
                let (key, value) = to.heads().remove(0);
                to.set(S::Heads, &key, Some(value.slice(..40)));
            },
            &[(F::Unreadable, A)],
            &[K::Head, K::Index],
        ),
        (
            "a head was removed",
            |to, _| to.remove(S::Heads, &to.heads()[0]),
            &[],
            &[K::Head, K::Index],
        ),
        (
            "two heads changed places",
            |to, _| to.swap(S::Heads, &to.heads()[0], &to.heads()[1]),
            &[(F::Elsewhere, A), (F::Elsewhere, B), (F::Manifest, DOCS)],
            &[K::Head, K::Index],
        ),
        (
            "a head was set back to the version before",
            |to, _| to.set(S::Heads, &to.heads()[0].0, Some(to.versions()[1].1.clone())),
            OLDER,
            &[K::Head, K::Index],
        ),
        (
            "a key was set back to the version before",
            |to, _| {
                to.set(S::Heads, &to.heads()[0].0, Some(to.versions()[1].1.clone()));
                to.remove(S::Versions, &to.versions()[0]);
            },
            OLDER,
            &[K::Body, K::Counter, K::Index],
        ),
        (
            "a version was flipped",
            |to, _| to.flip(S::Versions, &to.versions()[0]),
            &[],
            &[K::Head, K::Document],
        ),
        (
            "the newest version was removed",
            |to, _| to.remove(S::Versions, &to.versions()[0]),
            &[],
            &[K::Counter, K::Head, K::Body],
        ),
        (
            "an older version was removed",
            |to, _| to.remove(S::Versions, &to.versions()[1]),
            &[],
            &[K::Counter, K::Body],
        ),
        (
            "two versions changed places",
            |to, _| to.swap(S::Versions, &to.versions()[0], &to.versions()[1]),
            &[],
            &[K::Counter, K::Version, K::Head, K::Body],
        ),
        (
            "a document says something else",
            |to, _| to.say("\"n\":2", "\"n\":9"),
            &[(F::Unreadable, A)],
            &[K::Body, K::Index],
        ),
        (
            "an object has other bytes",
            |to, _| to.say("bytes of", "Bytes of"),
            &[(F::Unreadable, "files/.meta/x.json"), (F::Unreadable, "files/x")],
            &[K::Body],
        ),
    ]
}

fn on_other_rows() -> Vec<Attack> {
    vec![
        (
            "an index row was removed",
            |to, _| to.remove(S::Index, &to.indexed()),
            &[],
            &[K::Index],
        ),
        (
            "an index row was added",
            |to, _| {
                let (key, value) = to.indexed();
                to.set(
                    S::Index,
                    &[&key[..key.len() - 1], b"z"].concat().into(),
                    Some(value),
                );
            },
            &[],
            &[K::Index],
        ),
        (
            "an index row has another value",
            |to, _| {
                let (key, value) = to.indexed();
                let mut other = key.to_vec();
                let at = other.len() - 8;
                other[at] ^= 1;
                to.set(S::Index, &key, None);
                to.set(S::Index, &other.into(), Some(value));
            },
            &[],
            &[K::Index],
        ),
        (
            "a position in a bucket was removed",
            |to, _| to.remove(S::Index, &to.in_bucket(S::Index, "docs", b"q")[2]),
            &[],
            &[K::Index],
        ),
        (
            "the counters of a bucket were changed",
            |to, _| to.flip(S::Counters, &to.of(S::Counters, b"b")[0]),
            &[],
            &[K::Counter],
        ),
        (
            "the counters of a bucket were removed",
            |to, _| to.remove(S::Counters, &to.of(S::Counters, b"b")[0]),
            &[],
            &[K::Counter],
        ),
        (
            "the counters of two buckets changed places",
            |to, _| {
                let counters = to.of(S::Counters, b"b");
                to.swap(S::Counters, &counters[0], &counters[1]);
            },
            &[],
            &[K::Counter, K::Index],
        ),
    ]
}

fn on_the_log() -> Vec<Attack> {
    const LEAVES: &[(F, &str)] = &[(F::Unreadable, "log"), (F::Log, TILE), (F::Log, ENTRIES)];
    vec![
        (
            "a change was edited",
            |to, _| to.flip(S::Log, &to.of(S::Log, b"c")[5]),
            &[],
            &[K::Log, K::Audit, K::Version],
        ),
        (
            "evidence was edited",
            |to, _| to.flip(S::Log, &to.of(S::Log, b"e")[5]),
            &[],
            &[K::Audit, K::Evidence],
        ),
        (
            "a leaf was edited",
            |to, _| to.flip(S::Log, &to.leaves()[5]),
            LEAVES,
            &[K::Audit],
        ),
        (
            "two leaves changed places",
            |to, _| to.swap(S::Log, &to.leaves()[3], &to.leaves()[4]),
            LEAVES,
            &[K::Audit],
        ),
        (
            "the last leaf was removed",
            |to, _| to.remove(S::Log, to.leaves().last().unwrap()),
            &[(F::Unreadable, "log")],
            &[K::Audit],
        ),
        (
            "the checkpoint was edited",
            |to, _| to.flip(S::Meta, &to.of(S::Meta, b"audit/")[0]),
            &[(F::Unreadable, "log")],
            &[K::Audit],
        ),
        // The store alone cannot know that there was one.
        (
            "the checkpoint was removed",
            |to, _| to.remove(S::Meta, &to.of(S::Meta, b"audit/")[0]),
            &[
                (F::Added, "log/checkpoint"),
                (F::Added, TILE),
                (F::Added, ENTRIES),
            ],
            &[],
        ),
    ]
}

fn on_chunks() -> Vec<Attack> {
    const LARGE: &[(F, &str)] = &[(F::Unreadable, "files/large")];
    vec![
        (
            "a chunk was edited",
            |_, data| {
                let chunk = &chunks(data)[0];
                fs::write(chunk, flipped(&fs::read(chunk).unwrap().into())).unwrap();
            },
            LARGE,
            &[K::Chunk],
        ),
        (
            "a chunk was truncated",
            |_, data| {
                let chunk = &chunks(data)[0];
                let bytes = fs::read(chunk).unwrap();
                fs::write(chunk, &bytes[..bytes.len() / 2]).unwrap();
            },
            LARGE,
            &[K::Chunk],
        ),
        (
            "a chunk was removed",
            |_, data| fs::remove_file(&chunks(data)[0]).unwrap(),
            LARGE,
            &[K::Chunk],
        ),
        (
            "two chunks changed places",
            |_, data| {
                let chunks = chunks(data);
                let bytes = fs::read(&chunks[0]).unwrap();
                fs::copy(&chunks[1], &chunks[0]).unwrap();
                fs::write(&chunks[1], bytes).unwrap();
            },
            &[(F::Unreadable, "files/large"), (F::Unreadable, "files/other")],
            &[K::Chunk],
        ),
    ]
}

/// Each attack on the store, closed, and what the commands say of it then.
fn each(attacks: Vec<Attack>) {
    let case = store();
    let proof = Authorized::local("test", Op::Admin, Target::Store);
    let key = case.log_signer().verifier_key().clone();
    case.engine.clone().close().unwrap();
    let whole: Vec<_> = chunks(&case.data())
        .into_iter()
        .map(|path| (fs::read(&path).unwrap(), path))
        .collect();
    for (what, attack, mirror, verify) in attacks {
        let rows = Rows(case.storage.reopened());
        attack(&rows, &case.data());
        let options = crate::EngineOptions {
            read_only: true,
            ..options()
        };
        let engine = Engine::with_storage(Arc::new(rows.0), &case.data(), options).unwrap();
        let found = super::sorted(engine.verify_mirror(&proof, Some(&case.place())).unwrap());
        let named: BTreeSet<_> = found
            .iter()
            .map(|found| (found.kind, found.path.as_str()))
            .collect();
        assert_eq!(named, mirror.iter().copied().collect(), "{what}: {found:?}");
        let report = engine.verify(&proof).unwrap();
        let kinds: BTreeSet<_> = report
            .findings
            .iter()
            .map(|found| format!("{:?}", found.kind))
            .collect();
        let expected = verify.iter().map(|kind| format!("{kind:?}")).collect();
        assert_eq!(kinds, expected, "{what}: {:?}", report.findings);
        assert!(
            !mirror.is_empty() || !verify.is_empty(),
            "{what}: nothing names it"
        );
        assert_eq!(
            audited(&case.place().join("log"), &key, &[]),
            Ok(vec![]),
            "{what}"
        );
        engine.close().unwrap();
        for (bytes, path) in &whole {
            fs::write(path, bytes).unwrap();
        }
    }
}

#[test]
fn what_is_done_to_versions_is_found_and_named() {
    each(on_versions());
}

#[test]
fn what_is_done_to_indexes_and_counters_is_found_and_named() {
    each(on_other_rows());
}

#[test]
fn what_is_done_to_the_stores_log_is_found_and_named() {
    each(on_the_log());
}

#[test]
fn what_is_done_to_chunks_is_found_and_named() {
    each(on_chunks());
}
