//! The committer: determinism, order, groups.

use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use wfldb_core::audit::{EntryOp, Outcome as EntryOutcome};
use wfldb_core::auth::{Authorized, Charge, GrantId, Op, Service, Target};
use wfldb_core::id::{BucketId, ContentHash, PacketHash, SecretKey};
use wfldb_core::name::{BucketName, ObjectKey};
use wfldb_core::object::{BucketConfig, ObjectHeaders, Preconditions};
use wfldb_core::revocation::{Asked, Chain, LinkIdentity, order};
use wfldb_core::time::UnixMillis;

use super::overlay::Overlay;
use super::plan::*;
use super::*;
use crate::row::{AccessHead, EvidenceRow};
use crate::storage::{Batch, MemoryStorage, Space, Storage};

fn plan(n: u8, at: u64, mutation: Mutation) -> WritePlan {
    let evidence = EvidenceRow {
        salt: [n; 32],
        actor: "local:test".to_owned(),
        packet: None,
        canonical: Vec::new(),
        signature: Vec::new(),
    };
    WritePlan {
        link_use: None,
        at: UnixMillis::new(at),
        entropy: [n; 10],
        evidence: EncodedEvidence::new(&evidence),
        chain: None,
        mutation,
    }
}

fn bucket() -> BucketId {
    BucketId::from_bytes([3; 16])
}

fn create_bucket() -> WritePlan {
    let name = BucketName::parse("aaa").unwrap();
    plan(
        255,
        0,
        Mutation::PutBucket {
            name,
            id: bucket(),
            config: BucketConfig::default(),
            may_erase: true,
        },
    )
}

fn put(key: u8, n: u8, charges: Vec<Charge>) -> Mutation {
    let body = Bytes::from(vec![n; usize::from(n)]);
    Mutation::PutObject(Box::new(PutObject {
        bucket: bucket(),
        key: ObjectKey::parse(&format!("k{key}")).unwrap(),
        etag: ContentHash::of(&body),
        len: body.len() as u64,
        body: PlannedBody::Inline(body),
        headers: ObjectHeaders::default(),
        preconditions: Preconditions::default(),
        create_only: false,
        charges,
        origin: Origin::Sent,
        document: None,
    }))
}

fn other_bucket() -> BucketId {
    BucketId::from_bytes([4; 16])
}

fn create_other_bucket() -> WritePlan {
    let name = BucketName::parse("bbb").unwrap();
    plan(
        254,
        0,
        Mutation::PutBucket {
            name,
            id: other_bucket(),
            config: BucketConfig::default(),
            may_erase: true,
        },
    )
}

/// A put in one bucket and one in another, at one position.
fn transaction(key: u8, n: u8) -> Mutation {
    let write = |bucket, place| {
        let Mutation::PutObject(put) = put(key, n, Vec::new()) else {
            panic!("a put")
        };
        let put = Box::new(PutObject { bucket, ..*put });
        BucketWrites {
            bucket,
            entries: vec![(place, BatchEntry::Put(put))],
        }
    };
    Mutation::Transaction(Box::new(Transaction {
        reads: Arc::default(),
        buckets: vec![write(bucket(), 0), write(other_bucket(), 1)],
    }))
}

/// A read of a key, or a refusal.
fn access(key: u8, allowed: bool) -> Mutation {
    Mutation::LogAccess(Box::new(AccessEntry {
        head: AccessHead {
            bucket: bucket(),
            key: Some(format!("k{key}")),
            shown: None,
        },
        op: EntryOp::READ,
        outcome: if allowed {
            EntryOutcome::Ok
        } else {
            EntryOutcome::Refused
        },
    }))
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let charge = Charge {
        grant: GrantId::from_bytes([9; 32]),
        quota_bytes: Some(500),
        rate: None,
    };
    prop_oneof![
        3 => (0u8..4, 0u8..100).prop_map(|(key, n)| put(key, n, Vec::new())),
        1 => (0u8..4, 0u8..100).prop_map(|(key, n)| transaction(key, n)),
        1 => (0u8..4, 0u8..100).prop_map(move |(key, n)| put(key, n, vec![charge.clone()])),
        1 => (0u8..4, any::<bool>()).prop_map(|(key, allowed)| access(key, allowed)),
        2 => (0u8..4).prop_map(|key| Mutation::DeleteObject(Box::new(DeleteObject {
            bucket: bucket(),
            key: ObjectKey::parse(&format!("k{key}")).unwrap(),
            preconditions: Preconditions::default(),
            create_only: false,
        }))),
    ]
}

fn hooks(on_durable: OnDurable) -> Hooks {
    Hooks {
        admit: Box::new(|_| Ok(())),
        on_durable,
        on_freed: Box::new(|_| {}),
        on_changed: Box::new(|_| {}),
        revocations: Arc::default(),
    }
}

fn holder(number: u8) -> SecretKey {
    SecretKey::from_seed([number; 32])
}

/// A packet of one link that this holder has.
fn chain(number: u8) -> Chain {
    Chain::new([LinkIdentity {
        hash: PacketHash::of(&[number]),
        iss: [200; 32],
        sub: *holder(number).public_key().as_bytes(),
        iat: 0,
    }])
}

fn revoke(asked: &Asked) -> Mutation {
    let proof = Authorized::local("test", Op::Admin, Target::Service(Service::Keys));
    Mutation::Revoke(Box::new(Revoke {
        order: order(&proof, asked).unwrap(),
        by: proof.actor().to_string(),
    }))
}

fn revocation() -> impl Strategy<Value = Mutation> {
    (0u8..3, any::<bool>()).prop_map(|(number, whole)| {
        revoke(&if whole {
            Asked::Hash(PacketHash::of(&[number]))
        } else {
            Asked::Key(holder(number).public_key())
        })
    })
}

type Dump = Vec<(Space, Bytes, Bytes)>;

/// Applies the plans in groups of the given size, and returns every row but the commit mark, and the outcomes.
fn run(plans: &[WritePlan], group: usize) -> (Dump, Vec<Option<Applied>>) {
    let storage = MemoryStorage::new();
    let mut mark = CommitMark::ZERO;
    let mut outcomes = Vec::new();
    let mut revocations = Tracked::default();
    for plans in plans.chunks(group) {
        let mut overlay = Overlay::new(storage.snapshot());
        overlay.revocations = std::mem::take(&mut revocations);
        for plan in plans {
            outcomes.push(apply::apply(plan, &mut overlay, &mut mark).ok());
        }
        let finished = overlay.finish();
        revocations = finished.revocations;
        let Batch { writes } = finished.batch;
        let mut keys: Vec<_> = writes
            .iter()
            .map(|(space, key, _)| (*space, key.clone()))
            .collect();
        keys.dedup();
        assert_eq!(keys.len(), writes.len(), "one write per storage key");
        storage.commit(Batch { writes }).unwrap();
    }
    (storage.dump(), outcomes)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// INVARIANT 4, and serialisable results: how plans fall into groups changes nothing. Defects it catches: reading
    /// the snapshot instead of the overlay; taking the time from a clock in `apply`; what is revoked looked at once for a
    /// group.
    #[test]
    fn the_same_plans_in_the_same_order_give_byte_identical_state(
        mutations in prop::collection::vec(
            (prop_oneof![6 => mutation(), 1 => revocation()], 0u64..5, prop::option::of(0u8..3)),
            1..30,
        ),
        group in 1usize..10,
    ) {
        let mut plans = vec![create_bucket(), create_other_bucket()];
        for (n, (mutation, at, by)) in mutations.into_iter().enumerate() {
            let plan = plan(u8::try_from(n).unwrap(), at, mutation);
            plans.push(WritePlan { chain: by.map(chain), ..plan });
        }
        let alone = run(&plans, 1);
        prop_assert_eq!(&run(&plans, 1), &alone);
        prop_assert_eq!(&run(&plans, group), &alone);
        prop_assert_eq!(&run(&plans, usize::MAX), &alone);
    }
}

#[test]
fn a_closed_committer_answers_closing_and_finishes_what_waits() {
    let storage = Arc::new(MemoryStorage::new());
    let committer = Committer::start(
        storage,
        CommitMark::ZERO,
        Arc::new(Stamps::new(CommitNumber::new(0))),
        hooks(Box::new(|_| Ok(()))),
    )
    .unwrap();
    let created = committer.submit(create_bucket(), None);
    let waiting: Vec<_> = (0..50)
        .map(|n| committer.submit(plan(n, 1, put(n, n, Vec::new())), None))
        .collect();
    committer.close();
    assert!(created.blocking_recv().unwrap().is_ok());
    // The bucket's lane and the store's lane take turns, so puts may come before the bucket; none is left without
    // an answer.
    for outcome in waiting {
        assert!(matches!(
            outcome.blocking_recv(),
            Ok(Ok(_) | Err(EngineError::NoSuchBucket))
        ));
    }
    let late = committer.submit(create_bucket(), None);
    assert!(matches!(late.blocking_recv().unwrap(), Err(EngineError::Closing)));
}

/// DURABILITY. A defect it catches: answering before the mark outside the journal moved.
#[test]
fn no_answer_comes_before_the_durable_mark() {
    let moved = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&moved);
    let on_durable = move |mark: &CommitMark| {
        seen.store(mark.position.get(), Ordering::SeqCst);
        Ok(())
    };
    let storage = Arc::new(MemoryStorage::new());
    let committer = Committer::start(
        storage,
        CommitMark::ZERO,
        Arc::new(Stamps::new(CommitNumber::new(0))),
        hooks(Box::new(on_durable)),
    )
    .unwrap();
    committer
        .submit(create_bucket(), None)
        .blocking_recv()
        .unwrap()
        .unwrap();
    for n in 0..20 {
        let outcome = committer
            .submit(plan(n, 1, put(n, n, Vec::new())), None)
            .blocking_recv()
            .unwrap()
            .unwrap();
        let Applied::Object { seq, .. } = outcome else {
            panic!("{outcome:?}")
        };
        assert!(moved.load(Ordering::SeqCst) >= seq.get());
    }
}

/// What a version was charged comes back when it is erased. A defect it catches: an erasure that leaves the counter of
/// the grant.
#[test]
fn an_erasure_credits_the_grant() {
    let storage = MemoryStorage::new();
    let mut overlay = Overlay::new(storage.snapshot());
    let mut mark = CommitMark::ZERO;
    let grant = GrantId::from_bytes([9; 32]);
    let charge = || {
        vec![Charge {
            grant,
            quota_bytes: Some(150),
            rate: None,
        }]
    };
    let mut step = |n: u8, mutation| apply::apply(&plan(n, u64::from(n), mutation), &mut overlay, &mut mark);
    step(0, create_bucket().mutation).unwrap();
    let first = step(1, put(0, 100, charge())).unwrap();
    let Applied::Object { version, .. } = first else {
        panic!("{first:?}")
    };
    let refused = step(2, put(1, 100, charge()));
    assert!(matches!(refused, Err(EngineError::QuotaExceeded)), "{refused:?}");
    let erase = EraseVersion {
        bucket: bucket(),
        key: ObjectKey::parse("k0").unwrap(),
        version,
        preconditions: Preconditions::default(),
        create_only: false,
    };
    step(3, Mutation::EraseVersion(Box::new(erase))).unwrap();
    step(4, put(1, 100, charge())).unwrap();
    let row = overlay
        .value(Space::Counters, &key::grant_counter(&grant))
        .unwrap();
    assert_eq!(row.as_deref(), Some(100u64.to_be_bytes().as_slice()));
}

fn by(number: u8, n: u8, mutation: Mutation) -> WritePlan {
    WritePlan {
        chain: Some(chain(number)),
        ..plan(n, u64::from(n), mutation)
    }
}

/// Within one group, in order: what came before the revocation is carried out, what comes after it is not, its own
/// revocations included. Defects it catches: a check against what is durable only; a refused revocation
/// that is not taken back.
#[test]
fn a_revocation_holds_for_the_plans_behind_it_in_the_group() {
    let storage = MemoryStorage::new();
    let mut overlay = Overlay::new(storage.snapshot());
    let mut mark = CommitMark::ZERO;
    let mut step = |plan: &WritePlan| apply::apply(plan, &mut overlay, &mut mark);
    step(&create_bucket()).unwrap();
    step(&by(1, 1, put(0, 1, Vec::new()))).unwrap();
    let first = revoke(&Asked::Key(holder(1).public_key()));
    assert!(matches!(
        step(&by(2, 2, first.clone())).unwrap(),
        Applied::Revoked { new: true, .. }
    ));
    let refused = |outcome: Outcome| matches!(outcome, Err(EngineError::Revoked));
    assert!(refused(step(&by(1, 3, put(1, 1, Vec::new())))));
    let back = revoke(&Asked::Key(holder(2).public_key()));
    assert!(refused(step(&by(1, 4, back))));
    step(&by(2, 5, put(2, 1, Vec::new()))).unwrap();
    // Again within the same second it is no change; a second later it reaches further.
    assert!(matches!(
        step(&by(2, 6, first.clone())).unwrap(),
        Applied::Revoked { new: false, .. }
    ));
    let later = WritePlan {
        at: UnixMillis::new(5_000),
        ..by(2, 7, first)
    };
    assert!(matches!(
        step(&later).unwrap(),
        Applied::Revoked { new: true, .. }
    ));
    let mut revocations = overlay.finish().revocations;
    let what = wfldb_core::revocation::Revoked::Key(*holder(1).public_key().as_bytes());
    let changes = revocations.take_changes();
    assert!(
        changes.iter().all(|(changed, terms)| {
            *changed == what && terms.is_some_and(|terms| terms.issued_until == 65)
        })
    );
    assert_eq!(changes.len(), 2);
    assert!(revocations.take_changes().is_empty());
}

/// From the answer on, whoever asks outside of the committer sees it; rows bring it back. A defect it catches: an answer
/// that comes before the view was told.
#[test]
fn a_revocation_is_seen_when_it_is_answered_and_loaded_again() {
    let storage = Arc::new(MemoryStorage::new());
    let view = Arc::new(RevocationView::default());
    let committer = Committer::start(
        storage.clone(),
        CommitMark::ZERO,
        Arc::new(Stamps::new(CommitNumber::new(0))),
        Hooks {
            revocations: Arc::clone(&view),
            ..hooks(Box::new(|_| Ok(())))
        },
    )
    .unwrap();
    for number in 0..20 {
        let generation = view.generation();
        let asked = Asked::Hash(PacketHash::of(&[number]));
        let plan = plan(number, 1, revoke(&asked));
        assert!(!view.covers(&chain(number)));
        committer.submit(plan, None).blocking_recv().unwrap().unwrap();
        assert!(view.covers(&chain(number)) && view.generation() > generation);
        let loaded = crate::revocation::load(&*storage.snapshot()).unwrap();
        assert!(loaded.covers(&chain(number)) && !loaded.covers(&chain(number + 1)));
        assert_eq!(loaded.len(), usize::from(number) + 1);
    }
}
