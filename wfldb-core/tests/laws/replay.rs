//! The replay memory against a model that forgets nothing.

use std::collections::HashMap;

use proptest::prelude::*;
use wfldb_core::id::{Nonce, PublicKey, SecretKey};
use wfldb_core::replay::{Holders, ReplayError, ReplayMemory};
use wfldb_core::request::Window;
use wfldb_core::time::UnixMillis;

fn key(seed: u8) -> PublicKey {
    SecretKey::from_seed([seed; 32]).public_key()
}

fn alone(seed: u8) -> Holders {
    Holders::new(&key(seed), [])
}

const START: u64 = 1_767_323_045_000;

proptest! {
    #[test]
    fn a_nonce_is_taken_once_and_the_memory_stays_bounded(
        steps in proptest::collection::vec((0_u8..3, 0_u8..6, -120_i64..40, -30_i64..60), 1..120),
        capacity in 1_usize..12,
        share in 1_usize..8,
    ) {
        let window = Window::new(100, 20).unwrap();
        let mut memory = ReplayMemory::with_window(capacity, share, window);
        // The third was given its packet by the first, which counts its nonces too.
        let keys = [alone(1), alone(2), Holders::new(&key(3), [&key(1), &key(3)])];
        let counted_by = |holder: u8| if holder == 2 { vec![0, 2] } else { vec![holder] };
        // All that was ever accepted, with its timestamp: nothing is dropped from here.
        let mut accepted: HashMap<(u8, u8), u64> = HashMap::new();
        let mut clock = START;
        let mut latest = 0;
        for (holder, nonce, offset, advance) in steps {
            clock = clock.saturating_add_signed(advance);
            latest = latest.max(clock);
            let timestamp = clock.saturating_add_signed(offset);
            let verdict = memory.check_and_insert(
                &keys[usize::from(holder)],
                &Nonce::from_bytes([nonce; 16]),
                UnixMillis::new(timestamp),
                UnixMillis::new(clock),
            );
            let live = |stamp: u64| stamp + 100 >= latest;
            let count = accepted.values().filter(|stamp| live(**stamp)).count();
            let own = |key: u8| accepted.iter().filter(|((owner, _), stamp)| counted_by(*owner).contains(&key) && live(**stamp)).count();
            let own = counted_by(holder).into_iter().map(own).max().unwrap();
            let inside = timestamp + 100 >= latest && timestamp <= clock + 20;
            let seen = accepted.get(&(holder, nonce)).is_some_and(|stamp| live(*stamp));
            let expected = if !inside {
                Err(ReplayError::OutsideWindow)
            } else if seen {
                Err(ReplayError::Replayed)
            } else if own >= share {
                Err(ReplayError::ShareFull)
            } else if count >= capacity {
                Err(ReplayError::Full)
            } else {
                Ok(())
            };
            prop_assert_eq!(verdict, expected);
            if verdict.is_ok() {
                accepted.insert((holder, nonce), timestamp);
            }
            prop_assert!(memory.len() <= capacity);
        }
    }
}

#[test]
fn a_clock_set_back_does_not_bring_a_replay_back() {
    let mut memory = ReplayMemory::new(10, 10);
    let (nonce, stamp) = (Nonce::from_bytes([1; 16]), UnixMillis::new(START));
    assert_eq!(memory.check_and_insert(&alone(1), &nonce, stamp, stamp), Ok(()));
    // An hour later the nonce is forgotten; then the clock goes back to where it would be accepted.
    let later = stamp.plus_ms(3_600_000);
    assert_eq!(memory.check_and_insert(&alone(2), &nonce, later, later), Ok(()));
    assert_eq!(memory.len(), 1);
    assert_eq!(
        memory.check_and_insert(&alone(1), &nonce, stamp, stamp),
        Err(ReplayError::OutsideWindow)
    );
}

/// Defects it catches: forgetting early, which lets a replay through; a memory that keeps its size for ever.
#[test]
fn what_is_forgotten_without_requests_is_what_no_request_could_repeat() {
    let start = UnixMillis::new(1_000_000);
    let mut memory = ReplayMemory::new(10_000, 10_000);
    for number in 0..1_000_u16 {
        let mut nonce = [0; 16];
        nonce[..2].copy_from_slice(&number.to_be_bytes());
        let stamped = start.plus_ms(number.into());
        let spent = memory.check_and_insert(
            &alone(1),
            &Nonce::from_bytes(nonce),
            stamped,
            start.plus_ms(1_000),
        );
        assert_eq!(spent, Ok(()));
    }
    let past = Window::default().past_ms();
    let kept = Nonce::from_bytes({
        let mut nonce = [0; 16];
        nonce[..2].copy_from_slice(&999_u16.to_be_bytes());
        nonce
    });
    let last = start.plus_ms(999 + past);
    memory.forget_by(last);
    assert_eq!(memory.len(), 1, "the youngest could still be repeated");
    let again = memory.check_and_insert(&alone(1), &kept, start.plus_ms(999), last);
    assert_eq!(again, Err(ReplayError::Replayed));
    memory.forget_by(last.plus_ms(1));
    assert!(memory.is_empty());
    let again = memory.check_and_insert(&alone(1), &kept, start.plus_ms(999), last);
    assert_eq!(
        again,
        Err(ReplayError::OutsideWindow),
        "forgotten, so never accepted again"
    );
}

#[test]
fn a_full_memory_says_whose_fault_it_is() {
    let mut memory = ReplayMemory::new(3, 2);
    let now = UnixMillis::new(START);
    let mut send = |holder: u8, nonce: u8| {
        memory.check_and_insert(&alone(holder), &Nonce::from_bytes([nonce; 16]), now, now)
    };
    assert_eq!(send(1, 1), Ok(()));
    assert_eq!(send(1, 2), Ok(()));
    assert_eq!(send(1, 3), Err(ReplayError::ShareFull));
    assert_eq!(send(2, 1), Ok(()));
    assert_eq!(send(3, 1), Err(ReplayError::Full));
    assert_eq!(send(1, 1), Err(ReplayError::Replayed));
}

/// The defect it catches: a share for each key, so that one holder with many keys of its own making fills the memory.
#[test]
fn keys_that_a_packet_was_passed_on_to_share_with_who_passed_it_on() {
    let mut memory = ReplayMemory::new(10, 3);
    let now = UnixMillis::new(START);
    let mut send =
        |holders: &Holders| memory.check_and_insert(holders, &Nonce::from_bytes([1; 16]), now, now);
    for made in 10..13 {
        assert_eq!(send(&Holders::new(&key(made), [&key(1)])), Ok(()));
    }
    assert_eq!(
        send(&Holders::new(&key(13), [&key(1)])),
        Err(ReplayError::ShareFull)
    );
    assert_eq!(send(&alone(1)), Err(ReplayError::ShareFull));
    assert_eq!(send(&alone(2)), Ok(()));
    // A nonce is still the signer's own: the same one of another key is another request.
    assert_eq!(send(&alone(10)), Err(ReplayError::Replayed));
    assert_eq!(send(&alone(14)), Ok(()));
}
