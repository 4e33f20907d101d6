//! What a transaction can be: its savepoints, its limits, whose it is, what its own writes look like to it.

use super::*;
use wfldb_core::limits::{TX_BUCKETS_MAX, TX_SAVEPOINTS_MAX, TX_WRITES_MAX};

/// A defect it catches: a roll-back that forgets what a key had before it was written twice; a savepoint of the same name
/// that is found in place of the newest.
#[test]
fn savepoints_take_back_what_came_after_them() {
    let (_dir, _, engine) = two_buckets();
    put(&engine, "aaa", "x", b"0").unwrap();
    let mut tx = begin(&engine);
    let see = |tx: &mut Transaction| {
        let body = get(tx, "aaa", "x").unwrap();
        body.map(|body| String::from_utf8(body).unwrap())
    };
    tx.savepoint("s").unwrap();
    set(&mut tx, "aaa", "x", b"1").unwrap();
    set(&mut tx, "aaa", "y", b"1").unwrap();
    tx.savepoint("s").unwrap();
    set(&mut tx, "aaa", "x", b"2").unwrap();
    unset(&mut tx, "aaa", "x").unwrap();
    assert_eq!(see(&mut tx), None);
    tx.roll_back_to("s").unwrap();
    assert_eq!(see(&mut tx).unwrap(), "1");
    tx.roll_back_to("s").unwrap();
    assert_eq!(see(&mut tx).unwrap(), "1", "it stays");
    assert!(matches!(tx.roll_back_to("t"), Err(EngineError::NoSuchSavepoint)));

    // A nested one that fails is taken back, one that does not is its parent's.
    let failed = tx.nested(|tx| {
        set(tx, "aaa", "x", b"3")?;
        // The savepoint outside of it is not its own.
        assert!(matches!(tx.roll_back_to("s"), Err(EngineError::NoSuchSavepoint)));
        tx.nested(|tx| set(tx, "aaa", "z", b"3"))?;
        assert_eq!(keys(tx, "aaa", "")?, ["x", "y", "z"]);
        Err::<(), _>(EngineError::PreconditionFailed)
    });
    assert!(failed.is_err());
    assert_eq!(see(&mut tx).unwrap(), "1");
    assert_eq!(keys(&mut tx, "aaa", "").unwrap(), ["x", "y"]);
    tx.nested(|tx| {
        tx.savepoint("inner")?;
        set(tx, "aaa", "x", b"4")
    })
    .unwrap();
    assert!(matches!(
        tx.roll_back_to("inner"),
        Err(EngineError::NoSuchSavepoint)
    ));
    assert_eq!(see(&mut tx).unwrap(), "4");
    commit(tx).unwrap();
    assert_eq!(read(&engine, "aaa", "x", Which::Newest).unwrap(), b"4");
    assert!(read(&engine, "aaa", "z", Which::Newest).is_err());

    // What was read before a roll-back stays read.
    let mut tx = begin(&engine);
    tx.savepoint("s").unwrap();
    assert_eq!(see(&mut tx).unwrap(), "4");
    tx.roll_back_to("s").unwrap();
    set(&mut tx, "bbb", "x", b"").unwrap();
    put(&engine, "aaa", "x", b"5").unwrap();
    assert!(is_conflict(&commit(tx)));
}

/// A defect it catches: a limit that is looked at after the memory is taken; bytes that a roll-back does not give back.
#[test]
fn what_a_transaction_holds_is_bounded() {
    let (_dir, _, engine) = two_buckets();
    let mut tx = begin(&engine);
    let limit = |result: Result<(), EngineError>| matches!(result, Err(EngineError::TransactionLimit(_)));
    let large = vec![0; 1 << 20];
    tx.savepoint("s").unwrap();
    for n in 0..7 {
        set(&mut tx, "aaa", &format!("k{n}"), &large).unwrap();
    }
    let held = tx.held_bytes();
    assert!(held > 7 << 20);
    assert!(limit(set(&mut tx, "aaa", "more", &large)));
    assert_eq!(tx.held_bytes(), held);
    // Below a savepoint the old is held too.
    assert!(limit(set(&mut tx, "aaa", "k0", &large)));
    tx.roll_back_to("s").unwrap();
    assert_eq!(tx.held_bytes(), 0);
    for n in 0..TX_WRITES_MAX {
        set(&mut tx, "aaa", &n.to_string(), b"").unwrap();
    }
    assert!(limit(set(&mut tx, "aaa", "more", b"")));
    set(&mut tx, "aaa", "0", b"again").unwrap();
    for _ in 1..TX_SAVEPOINTS_MAX {
        tx.savepoint("s").unwrap();
    }
    assert!(limit(tx.savepoint("s")));
    assert_eq!(commit(tx).unwrap().writes.len(), TX_WRITES_MAX);

    let mut tx = begin(&engine);
    for n in 0..TX_BUCKETS_MAX {
        let found = get(&mut tx, &format!("none-{n}"), "x");
        assert!(matches!(found, Err(EngineError::NoSuchBucket)));
    }
    assert!(matches!(
        get(&mut tx, "aaa", "x"),
        Err(EngineError::TransactionLimit(_))
    ));
    let mut tx = begin(&engine);
    for _ in 0..10 {
        assert_eq!(
            page(&mut tx, "aaa", &TxRange::default()).unwrap().items.len(),
            1000
        );
    }
    let over = page(&mut tx, "aaa", &TxRange::default());
    assert!(matches!(over, Err(EngineError::TransactionLimit(_))), "{over:?}");
    let mut tx = begin(&engine);
    for n in 0..4096 {
        get(&mut tx, "bbb", &n.to_string()).unwrap();
    }
    get(&mut tx, "bbb", "0").unwrap();
    assert!(matches!(
        get(&mut tx, "bbb", "more"),
        Err(EngineError::TransactionLimit(_))
    ));
}

/// Its own writes are in its ranges, in order; pages of them go on. Defects it catches: a deleted key that is listed; a key
/// that stands there twice.
#[test]
fn a_range_shows_the_own_writes() {
    let (_dir, _, engine) = two_buckets();
    for key in ["b", "d", "f"] {
        put(&engine, "aaa", key, b"old").unwrap();
    }
    let mut tx = begin(&engine);
    for key in ["a", "d", "e", "g"] {
        set(&mut tx, "aaa", key, b"new").unwrap();
    }
    unset(&mut tx, "aaa", "b").unwrap();
    unset(&mut tx, "aaa", "never").unwrap();
    let all = page(&mut tx, "aaa", &TxRange::default()).unwrap();
    let shown: Vec<_> = all
        .items
        .iter()
        .map(|item| (item.key.as_str(), item.version.is_some()))
        .collect();
    assert_eq!(
        shown,
        [
            ("a", false),
            ("d", false),
            ("e", false),
            ("f", true),
            ("g", false)
        ]
    );
    let mut after = None;
    let mut found = Vec::new();
    loop {
        let range = TxRange {
            after: after.take(),
            before: Some("g".to_owned()),
            limit: 2,
            ..TxRange::default()
        };
        let next = page(&mut tx, "aaa", &range).unwrap();
        found.extend(next.items.iter().map(|item| item.key.to_string()));
        if !next.more {
            break;
        }
        after = found.last().cloned();
    }
    assert_eq!(found, ["a", "d", "e", "f"]);
    commit(tx).unwrap();
}

/// Conditions are decided as the transaction sees the key, and hold until its commit. Defects it catches: a condition on an
/// own write that looks at the store; one that is not part of what was read.
#[test]
fn conditions_are_part_of_what_was_read() {
    let (_dir, _, engine) = two_buckets();
    let absent = Preconditions {
        if_none_match_any: true,
        ..Preconditions::default()
    };
    let write = |tx: &mut Transaction, key: &str, condition: &Preconditions| {
        let proof = object("aaa", key, Op::Put);
        tx.put(
            &proof,
            Bytes::from_static(b"1"),
            ObjectHeaders::default(),
            condition,
        )
    };
    let mut tx = begin(&engine);
    write(&mut tx, "x", &absent).unwrap();
    assert!(matches!(
        write(&mut tx, "x", &absent),
        Err(EngineError::PreconditionFailed)
    ));
    unset(&mut tx, "aaa", "x").unwrap();
    write(&mut tx, "x", &absent).unwrap();
    put(&engine, "aaa", "x", b"other").unwrap();
    assert!(is_conflict(&commit(tx)));
    let mut tx = begin(&engine);
    assert!(matches!(
        write(&mut tx, "x", &absent),
        Err(EngineError::PreconditionFailed)
    ));
    assert!(matches!(
        write(&mut tx, "scan", &absent),
        Err(EngineError::ReservedKey)
    ));
}

/// A proof is for what it names, and of the transaction's caller. Defects it catches: a put by a proof for reading; somebody
/// who adds to another's transaction.
#[test]
fn every_access_takes_its_own_proof_of_the_same_caller() {
    let (_dir, _, engine) = two_buckets();
    let wrong = engine.begin(&object("aaa", "x", Op::Get));
    assert!(matches!(wrong, Err(EngineError::Forbidden)));
    let mut tx = begin(&engine);
    let forbidden = |result: Result<(), EngineError>| matches!(result, Err(EngineError::Forbidden));
    let conditions = Preconditions::default();
    let reads = object("aaa", "x", Op::Get);
    assert!(forbidden(tx.put(
        &reads,
        Bytes::new(),
        ObjectHeaders::default(),
        &conditions
    )));
    assert!(forbidden(tx.delete(&reads, &conditions)));
    assert!(forbidden(tx.get(&object("aaa", "x", Op::Put)).map(drop)));
    assert!(forbidden(tx.scan(&reads, &TxRange::default()).map(drop)));
    let target = Target::Key(name("aaa"), ObjectKey::parse("x").unwrap());
    let other = Authorized::local("other", Op::Get, target);
    assert!(forbidden(tx.get(&other).map(drop)));
    set(&mut tx, "aaa", "x", b"").unwrap();
    let other = Authorized::local("other", Op::List, Target::Service(Service::Tx));
    assert!(forbidden(tx.commit(&other).map(drop)));
    assert!(read(&engine, "aaa", "x", Which::Newest).is_err());
}

/// Whoever moves on sees what is there by now, if nothing that it read has changed, and is refused otherwise. A defect it
/// catches: one that moves on and forgets what it has read.
#[test]
fn a_transaction_moves_on_while_its_reads_hold() {
    let (_dir, _, engine) = two_buckets();
    put(&engine, "aaa", "x", b"1").unwrap();
    let mut tx = begin(&engine);
    assert!(get(&mut tx, "aaa", "x").unwrap().is_some());
    put(&engine, "aaa", "y", b"1").unwrap();
    assert!(tx.move_on().unwrap());
    assert!(get(&mut tx, "aaa", "y").unwrap().is_some());
    set(&mut tx, "bbb", "z", b"").unwrap();
    put(&engine, "aaa", "x", b"2").unwrap();
    assert!(!tx.move_on().unwrap());
    assert_eq!(get(&mut tx, "aaa", "x").unwrap().unwrap(), b"1");
    assert!(is_conflict(&commit(tx)));
}
