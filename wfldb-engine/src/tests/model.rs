//! The engine against a plain map: random operations, reopened now and then, the same generator on both storages.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;
use wfldb_core::auth::{Authorized, Op, Target};
use wfldb_core::id::{ContentHash, VersionId};
use wfldb_core::object::{EtagCondition, Preconditions};

use super::*;
use crate::{FjallStorage, MemoryStorage, ScanQuery, Storage, Usage};

const BUCKETS: [&str; 2] = ["aaa", "bbb"];
const KEYS: [&str; 6] = ["a", "a/b", "a/c", "ab", "b", "ü/1"];

#[derive(Debug, Clone)]
enum Step {
    MakeBucket(usize),
    DeleteBucket(usize, bool),
    Put(usize, usize, Body, Condition),
    Delete(usize, usize, Condition),
    Undelete(usize, usize),
    /// The version at this place in the key's history, if there is one.
    Erase(usize, usize, usize),
    Check(usize),
    Reopen,
}

#[derive(Debug, Clone, Copy)]
struct Body {
    fill: u8,
    len: usize,
}

impl Body {
    fn bytes(self) -> Vec<u8> {
        vec![self.fill; self.len]
    }
}

#[derive(Debug, Clone, Copy)]
enum Condition {
    None,
    IfAbsent,
    IfPresent,
    /// The etag, or the version, of what the model has now.
    IfEtag,
    IfVersion,
    IfOtherEtag,
}

fn step() -> impl Strategy<Value = Step> {
    let body = (
        0u8..3,
        prop::sample::select(vec![0, 1, 100, 65_536, 65_537, 150_000]),
    );
    let body = body.prop_map(|(fill, len)| Body { fill, len });
    let condition = prop_oneof![
        4 => Just(Condition::None),
        1 => Just(Condition::IfAbsent),
        1 => Just(Condition::IfPresent),
        1 => Just(Condition::IfEtag),
        1 => Just(Condition::IfVersion),
        1 => Just(Condition::IfOtherEtag),
    ];
    prop_oneof![
        2 => (0..2usize).prop_map(Step::MakeBucket),
        1 => (0..2usize, any::<bool>()).prop_map(|(b, force)| Step::DeleteBucket(b, force)),
        10 => (0..2usize, 0..6usize, body, condition.clone()).prop_map(|(b, k, body, c)| Step::Put(b, k, body, c)),
        5 => (0..2usize, 0..6usize, condition).prop_map(|(b, k, c)| Step::Delete(b, k, c)),
        3 => (0..2usize, 0..6usize).prop_map(|(b, k)| Step::Undelete(b, k)),
        4 => (0..2usize, 0..6usize, 0..4usize).prop_map(|(b, k, n)| Step::Erase(b, k, n)),
        3 => (0..2usize).prop_map(Step::Check),
        1 => Just(Step::Reopen),
    ]
}

#[derive(Debug, Clone)]
struct ModelVersion {
    version: VersionId,
    /// `None`: a tombstone.
    body: Option<Vec<u8>>,
}

type ModelBucket = BTreeMap<String, Vec<ModelVersion>>;

#[derive(Default)]
struct Model {
    buckets: BTreeMap<String, ModelBucket>,
    seqs: BTreeMap<String, u64>,
}

impl Model {
    fn live(&self, bucket: &str, key: &str) -> Option<&ModelVersion> {
        self.buckets
            .get(bucket)?
            .get(key)?
            .last()
            .filter(|version| version.body.is_some())
    }

    fn preconditions(&self, bucket: &str, key: &str, condition: Condition) -> (Preconditions, bool) {
        let live = self.live(bucket, key);
        let other = ContentHash::of(b"something else");
        match condition {
            Condition::None => (Preconditions::default(), true),
            Condition::IfAbsent => (
                Preconditions {
                    if_none_match_any: true,
                    ..Preconditions::default()
                },
                live.is_none(),
            ),
            Condition::IfPresent => {
                let any = Some(EtagCondition::Any);
                (
                    Preconditions {
                        if_match: any,
                        ..Preconditions::default()
                    },
                    live.is_some(),
                )
            }
            Condition::IfEtag => {
                let etag = live.map_or(other, |live| ContentHash::of(live.body.as_ref().unwrap()));
                let is = Some(EtagCondition::Is(etag));
                (
                    Preconditions {
                        if_match: is,
                        ..Preconditions::default()
                    },
                    live.is_some(),
                )
            }
            Condition::IfVersion => {
                let version = live.map_or(VersionId::from_bytes([0; 16]), |live| live.version);
                (
                    Preconditions {
                        if_version: Some(version),
                        ..Preconditions::default()
                    },
                    live.is_some(),
                )
            }
            Condition::IfOtherEtag => (
                Preconditions {
                    if_match: Some(EtagCondition::Is(other)),
                    ..Preconditions::default()
                },
                false,
            ),
        }
    }

    fn usage(&self, bucket: &str) -> Usage {
        let versions: Vec<_> = self.buckets[bucket].values().flatten().collect();
        let bodies: Vec<_> = versions
            .iter()
            .filter_map(|version| version.body.as_ref())
            .collect();
        let inline: u64 = bodies
            .iter()
            .filter(|body| body.len() <= 65_536)
            .map(|body| body.len() as u64)
            .sum();
        // Bodies here have one chunk at most.
        let chunks: BTreeSet<_> = bodies.iter().filter(|body| body.len() > 65_536).collect();
        Usage {
            objects: self.buckets[bucket]
                .values()
                .filter(|v| v.last().unwrap().body.is_some())
                .count() as u64,
            versions: versions.len() as u64,
            bytes: bodies.iter().map(|body| body.len() as u64).sum(),
            stored_bytes: inline + chunks.iter().map(|body| body.len() as u64).sum::<u64>(),
        }
    }
}

struct Run<'a> {
    engine: Engine,
    model: Model,
    reopen: &'a dyn Fn(Engine) -> Engine,
}

impl Run<'_> {
    fn step(&mut self, step: &Step) {
        match step {
            Step::MakeBucket(b) => {
                let bucket = BUCKETS[*b];
                let proof = of_bucket(bucket, Op::Manage);
                let made = self
                    .engine
                    .put_bucket(&proof, BucketConfig::default())
                    .wait()
                    .unwrap();
                let created = !self.model.buckets.contains_key(bucket);
                assert_eq!(made.created, created);
                self.model.buckets.entry(bucket.to_owned()).or_default();
                if created {
                    self.model.seqs.insert(bucket.to_owned(), 0);
                }
                *self.model.seqs.get_mut(bucket).unwrap() += 1;
            }
            Step::DeleteBucket(b, force) => self.delete_bucket(BUCKETS[*b], *force),
            Step::Put(b, k, body, condition) => self.put(BUCKETS[*b], KEYS[*k], &body.bytes(), *condition),
            Step::Delete(b, k, condition) => self.delete(BUCKETS[*b], KEYS[*k], *condition),
            Step::Undelete(b, k) => self.undelete(BUCKETS[*b], KEYS[*k]),
            Step::Erase(b, k, n) => self.erase(BUCKETS[*b], KEYS[*k], *n),
            Step::Check(b) => self.check(BUCKETS[*b]),
            Step::Reopen => {
                take(&mut self.engine, self.reopen);
                for bucket in BUCKETS {
                    self.check(bucket);
                }
            }
        }
    }

    fn delete_bucket(&mut self, bucket: &str, force: bool) {
        let answer = self
            .engine
            .delete_bucket(&of_bucket(bucket, Op::Manage), force)
            .wait();
        match self.model.buckets.get(bucket) {
            None => assert!(matches!(answer, Err(EngineError::NoSuchBucket))),
            Some(keys) if !force && !keys.is_empty() => {
                assert!(matches!(answer, Err(EngineError::BucketNotEmpty)));
            }
            Some(_) => {
                answer.unwrap();
                self.model.buckets.remove(bucket);
            }
        }
    }

    fn put(&mut self, bucket: &str, key: &str, body: &[u8], condition: Condition) {
        let (preconditions, holds) = self.model.preconditions(bucket, key, condition);
        let existed = self.model.live(bucket, key).is_some();
        let answer = put_if(&self.engine, bucket, key, body, preconditions);
        if !self.model.buckets.contains_key(bucket) {
            assert!(matches!(answer, Err(EngineError::NoSuchBucket)), "{answer:?}");
        } else if holds {
            let outcome = answer.unwrap();
            assert_eq!(outcome.created, !existed);
            assert_eq!(outcome.etag, ContentHash::of(body));
            self.changed(
                bucket,
                key,
                outcome.version,
                outcome.seq.get(),
                Some(body.to_vec()),
            );
        } else {
            assert!(
                matches!(answer, Err(EngineError::PreconditionFailed)),
                "{answer:?}"
            );
        }
    }

    fn delete(&mut self, bucket: &str, key: &str, condition: Condition) {
        let (preconditions, holds) = self.model.preconditions(bucket, key, condition);
        let existed = self.model.live(bucket, key).is_some();
        let answer = self
            .engine
            .delete(&object(bucket, key, Op::Delete), preconditions)
            .wait();
        if !self.model.buckets.contains_key(bucket) {
            assert!(matches!(answer, Err(EngineError::NoSuchBucket)));
        } else if !holds {
            assert!(matches!(answer, Err(EngineError::PreconditionFailed)));
        } else if existed {
            let outcome = answer.unwrap().unwrap();
            self.changed(bucket, key, outcome.version, outcome.seq.get(), None);
        } else {
            assert_eq!(answer.unwrap(), None);
        }
    }

    fn undelete(&mut self, bucket: &str, key: &str) {
        let answer = self.engine.undelete(&object(bucket, key, Op::Put)).wait();
        let Some(keys) = self.model.buckets.get(bucket) else {
            assert!(matches!(answer, Err(EngineError::NoSuchBucket)));
            return;
        };
        match keys.get(key).map(Vec::as_slice) {
            None => assert!(matches!(answer, Err(EngineError::NoSuchKey))),
            // What the tombstone stood on may have been erased.
            Some(
                [ModelVersion { body: None, .. }]
                | [
                    ..,
                    ModelVersion { body: None, .. },
                    ModelVersion { body: None, .. },
                ],
            ) => {
                assert!(matches!(answer, Err(EngineError::NoSuchKey)));
            }
            Some([.., before, ModelVersion { body: None, .. }]) => {
                let body = before.body.clone();
                let outcome = answer.unwrap();
                self.changed(bucket, key, outcome.version, outcome.seq.get(), body);
            }
            Some(_) => assert!(matches!(answer, Err(EngineError::NotDeleted))),
        }
    }

    fn erase(&mut self, bucket: &str, key: &str, place: usize) {
        let known = self
            .model
            .buckets
            .get(bucket)
            .and_then(|keys| keys.get(key)?.get(place));
        let version = known.map_or(VersionId::from_bytes([1; 16]), |known| known.version);
        let known = known.is_some();
        let proof = object(bucket, key, Op::Erase);
        let answer = self
            .engine
            .erase(&proof, version, Preconditions::default())
            .wait();
        let Some(keys) = self.model.buckets.get_mut(bucket) else {
            assert!(matches!(answer, Err(EngineError::NoSuchBucket)));
            return;
        };
        if !known {
            assert_eq!(answer.unwrap(), None);
            return;
        }
        let last_seq = self.model.seqs.get_mut(bucket).unwrap();
        *last_seq += 1;
        assert_eq!(answer.unwrap().unwrap().seq.get(), *last_seq);
        let versions = keys.get_mut(key).unwrap();
        versions.remove(place);
        if versions.is_empty() {
            keys.remove(key);
        }
    }

    /// Numbers are assigned without gaps, versions strictly ascend in the bucket.
    fn changed(&mut self, bucket: &str, key: &str, version: VersionId, seq: u64, body: Option<Vec<u8>>) {
        let last_seq = self.model.seqs.get_mut(bucket).unwrap();
        *last_seq += 1;
        assert_eq!(seq, *last_seq);
        let keys = self.model.buckets.get_mut(bucket).unwrap();
        assert!(keys.values().flatten().all(|other| other.version < version));
        keys.entry(key.to_owned())
            .or_default()
            .push(ModelVersion { version, body });
    }

    fn check(&self, bucket: &str) {
        let listing = Authorized::local("test", Op::List, Target::Listing(name(bucket)));
        let page = self.engine.scan(&listing, &ScanQuery::default());
        let Some(keys) = self.model.buckets.get(bucket) else {
            assert!(matches!(page, Err(EngineError::NoSuchBucket)));
            return;
        };
        let page = page.unwrap();
        let listed: Vec<_> = page
            .items
            .iter()
            .map(|item| (item.key.as_str().to_owned(), item.version))
            .collect();
        let live = keys.iter().filter_map(|(key, versions)| {
            let newest = versions.last()?;
            newest.body.as_ref().map(|_| (key.clone(), newest.version))
        });
        assert_eq!(listed, live.collect::<Vec<_>>());
        for key in KEYS {
            let newest = read(&self.engine, bucket, key, Which::Newest).ok();
            assert_eq!(
                newest,
                self.model.live(bucket, key).and_then(|live| live.body.clone())
            );
            let versions = self.engine.versions(&object(bucket, key, Op::Get), None, 1000);
            let expected = keys.get(key).cloned().unwrap_or_default();
            let found: Vec<_> = versions.map(|page| page.items).unwrap_or_default();
            assert_eq!(
                found
                    .iter()
                    .rev()
                    .map(|meta| (meta.version, meta.deleted))
                    .collect::<Vec<_>>(),
                expected
                    .iter()
                    .map(|v| (v.version, v.body.is_none()))
                    .collect::<Vec<_>>()
            );
            for version in expected {
                let body = read(&self.engine, bucket, key, Which::Version(version.version)).ok();
                assert_eq!(body, version.body);
            }
        }
        let info = self.engine.bucket(&of_bucket(bucket, Op::Manage)).unwrap();
        assert_eq!(info.usage, self.model.usage(bucket), "usage is exact");
    }
}

/// Replaces the engine by what `reopen` makes of it.
fn take(engine: &mut Engine, reopen: &dyn Fn(Engine) -> Engine) {
    let old = engine.clone();
    // Only one handle may be left, or the store stays locked.
    let dir = tempfile::tempdir().unwrap();
    let placeholder = Engine::with_storage(Arc::new(MemoryStorage::new()), dir.path(), options()).unwrap();
    drop(std::mem::replace(engine, placeholder));
    *engine = reopen(old);
}

fn run(engine: Engine, steps: &[Step], reopen: &dyn Fn(Engine) -> Engine) {
    let mut run = Run {
        engine,
        model: Model::default(),
        reopen,
    };
    for bucket in 0..2 {
        run.step(&Step::MakeBucket(bucket));
    }
    for step in steps {
        run.step(step);
    }
    run.step(&Step::Reopen);
    assert_sound(&run.engine);
}

fn run_on_disk(dir: &Path, steps: &[Step]) {
    run(open(dir), steps, &|engine| {
        engine.close().unwrap();
        let engine = open(dir);
        assert_eq!(engine.health().writable, Ok(()));
        engine
    });
}

fn run_in_memory(dir: &Path, steps: &[Step]) -> Vec<(crate::Space, Bytes, Bytes)> {
    let storage = MemoryStorage::new();
    let chunks = dir.to_path_buf();
    let open = || Engine::with_storage(Arc::new(storage.clone()), &chunks, options()).unwrap();
    run(open(), steps, &|engine| {
        engine.close().unwrap();
        open()
    });
    storage.dump()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// A defect it catches: a delete that leaves the head row; a put that does not count its version.
    #[test]
    fn engine_in_memory_is_the_model(steps in prop::collection::vec(step(), 1..60)) {
        let dir = tempfile::tempdir().unwrap();
        run_in_memory(dir.path(), &steps);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn engine_on_fjall_is_the_model_over_reopens(steps in prop::collection::vec(step(), 1..40)) {
        let dir = tempfile::tempdir().unwrap();
        run_on_disk(dir.path(), &steps);
    }
}

/// Both storages behind one generator; kept apart from the model so that a difference names the storage.
#[test]
fn fjall_and_memory_hold_the_same_objects() {
    let memory_dir = tempfile::tempdir().unwrap();
    let fjall_dir = tempfile::tempdir().unwrap();
    let storages: [(Arc<dyn Storage>, &Path); 2] = [
        (Arc::new(MemoryStorage::new()), memory_dir.path()),
        (
            Arc::new(FjallStorage::open(&fjall_dir.path().join("db"), 1 << 20).unwrap()),
            fjall_dir.path(),
        ),
    ];
    let mut listings = Vec::new();
    for (storage, dir) in storages {
        let engine = Engine::with_storage(storage, dir, options()).unwrap();
        make_bucket(&engine, "aaa");
        for (n, key) in KEYS.iter().enumerate() {
            put(&engine, "aaa", key, &vec![u8::try_from(n).unwrap(); n * 20_000]).unwrap();
        }
        delete(&engine, "aaa", "b").unwrap();
        let listing = Authorized::local("test", Op::List, Target::Listing(name("aaa")));
        let page = engine.scan(&listing, &ScanQuery::default()).unwrap();
        listings.push(
            page.items
                .into_iter()
                .map(|item| (item.key, item.etag, item.len))
                .collect::<Vec<_>>(),
        );
    }
    assert_eq!(listings[0], listings[1]);
    assert_eq!(listings[0].len(), KEYS.len() - 1);
}
