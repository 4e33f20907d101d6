//! Locks as transactions meet them; who gets one when is in `tx::lock_table`.

use super::*;
use crate::LockMode::{Exclusive, Shared};

const LONG: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(20);

fn lock(tx: &mut Transaction, key: &str, alone: bool, wait: Duration) -> Result<(), EngineError> {
    let (op, mode) = if alone {
        (Op::Put, Exclusive)
    } else {
        (Op::Get, Shared)
    };
    tx.lock(&object("aaa", key, op), mode, wait)
}

fn count_up(tx: &mut Transaction) -> Result<(), EngineError> {
    let body = get(tx, "aaa", "n")?.unwrap();
    let n: u32 = String::from_utf8(body).unwrap().parse().unwrap();
    set(tx, "aaa", "n", (n + 1).to_string().as_bytes())
}

/// Who holds the lock before it reads is never overtaken by others who do. A defect it catches: a transaction that gets the
/// lock and reads what was there before its last holder's commit; a lock that is let go before the commit is durable.
#[test]
fn who_locks_first_is_never_overtaken() {
    let (_dir, _, engine) = two_buckets();
    put(&engine, "aaa", "n", b"0").unwrap();
    std::thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| {
                for _ in 0..25 {
                    let mut tx = begin(&engine);
                    lock(&mut tx, "n", true, LONG).unwrap();
                    count_up(&mut tx).unwrap();
                    commit(tx).unwrap();
                }
            });
        }
    });
    assert_eq!(read(&engine, "aaa", "n", Which::Newest).unwrap(), b"100");
    let stats = engine.stats();
    assert_eq!((stats.transactions_open, stats.transactions_committed), (0, 100));
    assert_eq!(
        (stats.transactions_conflicts, stats.transactions_deadlocks),
        (0, 0)
    );
}

/// Two who lock crosswise: the younger is told so, and its closure is run again until both are through. Defects it catches: a
/// victim that goes on; a circle that only the timeout ends.
#[test]
fn a_deadlock_ends_the_younger_and_its_closure_is_run_again() {
    let (_dir, _, engine) = two_buckets();
    let (mut older, mut younger) = (begin(&engine), begin(&engine));
    lock(&mut older, "a", true, LONG).unwrap();
    lock(&mut younger, "b", true, LONG).unwrap();
    let victim = std::thread::scope(|threads| {
        let waits = threads.spawn(|| lock(&mut younger, "a", false, LONG));
        // Whichever of the two closes the circle, the younger goes.
        lock(&mut older, "b", true, LONG).unwrap();
        waits.join().unwrap()
    });
    assert!(matches!(victim, Err(EngineError::Deadlock)), "{victim:?}");
    assert!(matches!(
        set(&mut younger, "aaa", "x", b""),
        Err(EngineError::Deadlock)
    ));
    assert!(matches!(commit(younger), Err(EngineError::Deadlock)));
    drop(older);

    put(&engine, "aaa", "n", b"0").unwrap();
    std::thread::scope(|threads| {
        for first in ["x", "y"] {
            let engine = &engine;
            threads.spawn(move || {
                for _ in 0..20 {
                    engine
                        .transaction(&begins(), |tx| {
                            let second = if first == "x" { "y" } else { "x" };
                            lock(tx, first, true, LONG)?;
                            lock(tx, second, true, LONG)?;
                            count_up(tx)
                        })
                        .unwrap();
                }
            });
        }
    });
    assert_eq!(read(&engine, "aaa", "n", Which::Newest).unwrap(), b"40");
    assert_eq!(engine.stats().transactions_open, 0);
}

/// A lock that does not come in time, and one whose holder went away. Defects it catches: a wait without an end; a lock that
/// outlives its transaction; who gave up and stands in the way of others.
#[test]
fn locks_end_with_their_transaction_and_waits_in_time() {
    let (_dir, _, engine) = two_buckets();
    let mut holder = begin(&engine);
    lock(&mut holder, "a", false, LONG).unwrap();
    lock(&mut holder, "a", true, LONG).unwrap();
    lock(&mut holder, "a", false, LONG).unwrap();
    let mut other = begin(&engine);
    let late = lock(&mut other, "a", false, SHORT);
    assert!(matches!(late, Err(EngineError::LockTimeout)), "{late:?}");
    // It can go on without it.
    set(&mut other, "aaa", "x", b"").unwrap();
    lock(&mut other, "b", true, LONG).unwrap();
    let waits = other.ask_lock(&object("aaa", "a", Op::Put), Exclusive).unwrap();
    drop(waits);
    drop(holder);
    let mut third = begin(&engine);
    lock(&mut third, "a", true, SHORT).unwrap();
    assert!(matches!(
        lock(&mut third, "b", true, SHORT),
        Err(EngineError::LockTimeout)
    ));
    commit(other).unwrap();
    lock(&mut third, "b", true, SHORT).unwrap();
    // A lock says nothing about who writes without one.
    put(&engine, "aaa", "b", b"").unwrap();
    let wrong = third.ask_lock(&object("aaa", "c", Op::Get), Exclusive);
    assert!(matches!(wrong, Err(EngineError::Forbidden)));
}
