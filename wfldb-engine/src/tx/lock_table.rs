//! Who holds which lock and who waits for it: pure, driven by whoever has the clock and the threads (`locks`).
//!
//! Locks are granted in the order in which they were asked for, but that many can share one; who asks to hold alone what it
//! shares goes before those who hold nothing yet. So nobody waits for ever behind those who came later. Each new wait is
//! looked at for a circle of transactions that wait for each other; the youngest of a circle is ended.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use wfldb_core::id::BucketId;
use wfldb_core::name::ObjectKey;

/// A transaction that asks for locks. A larger one is younger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Owner(pub(super) u64);

/// What is locked. It need not be there.
pub(super) type Resource = (BucketId, ObjectKey);

/// How a lock is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockMode {
    /// With others who share it.
    Shared,
    /// Alone.
    Exclusive,
}

/// What becomes of who waited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    Granted,
    /// It was the youngest of a circle: its locks are gone.
    Deadlock,
}

#[derive(Debug, Clone, Copy)]
struct Waiter {
    owner: Owner,
    mode: LockMode,
    /// It shares the lock already.
    upgrades: bool,
}

#[derive(Debug, Default)]
struct Lock {
    holders: BTreeMap<Owner, LockMode>,
    waiting: VecDeque<Waiter>,
}

/// All locks.
#[derive(Debug, Default)]
pub(super) struct LockTable {
    locks: HashMap<Resource, Lock>,
    held: HashMap<Owner, BTreeSet<Resource>>,
    waits: HashMap<Owner, Resource>,
}

/// The answer to who asks for a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    /// It has the lock now; else it waits, unless `events` say what became of that.
    pub(super) granted: bool,
    /// Others, or itself, for whom something has happened.
    pub(super) events: Vec<(Owner, Event)>,
}

fn conflicts(left: LockMode, right: LockMode) -> bool {
    left == LockMode::Exclusive || right == LockMode::Exclusive
}

impl Lock {
    /// Whether the holders beside `owner` let it in.
    fn admits(&self, owner: Owner, mode: LockMode) -> bool {
        let mut others = self.holders.iter().filter(|(holder, _)| **holder != owner);
        others.all(|(_, held)| !conflicts(*held, mode))
    }

    /// Whom a waiter waits for: holders, and those before it in the queue that it cannot share with.
    fn blockers(&self, owner: Owner) -> BTreeSet<Owner> {
        let Some(place) = self.waiting.iter().position(|waiter| waiter.owner == owner) else {
            return BTreeSet::new();
        };
        let Some(mode) = self.waiting.get(place).map(|waiter| waiter.mode) else {
            return BTreeSet::new();
        };
        let holders = self.holders.iter().map(|(holder, held)| (*holder, *held));
        let before = self
            .waiting
            .iter()
            .take(place)
            .map(|waiter| (waiter.owner, waiter.mode));
        holders
            .chain(before)
            .filter(|(other, held)| *other != owner && conflicts(*held, mode))
            .map(|(other, _)| other)
            .collect()
    }
}

impl LockTable {
    pub(super) fn held_by(&self, owner: Owner) -> usize {
        self.held.get(&owner).map_or(0, BTreeSet::len)
    }

    /// Asks for a lock. An owner waits for one at a time.
    pub(super) fn ask(&mut self, owner: Owner, resource: Resource, mode: LockMode) -> Answer {
        let lock = self.locks.entry(resource.clone()).or_default();
        let held = lock.holders.get(&owner).copied();
        if held == Some(LockMode::Exclusive) || held == Some(mode) {
            return Answer {
                granted: true,
                events: Vec::new(),
            };
        }
        let upgrades = held.is_some();
        if lock.admits(owner, mode) && (upgrades || lock.waiting.is_empty()) {
            lock.holders.insert(owner, mode);
            self.held.entry(owner).or_default().insert(resource);
            return Answer {
                granted: true,
                events: Vec::new(),
            };
        }
        let waiter = Waiter {
            owner,
            mode,
            upgrades,
        };
        let place = if upgrades {
            let mut waiting = lock.waiting.iter();
            waiting
                .position(|other| !other.upgrades)
                .unwrap_or(lock.waiting.len())
        } else {
            lock.waiting.len()
        };
        lock.waiting.insert(place, waiter);
        self.waits.insert(owner, resource);
        let mut events = Vec::new();
        // A new wait can close several circles.
        while let Some(victim) = self.circle(owner).and_then(|circle| circle.into_iter().max()) {
            events.push((victim, Event::Deadlock));
            events.extend(self.release_all(victim));
            if victim == owner {
                break;
            }
        }
        Answer {
            granted: false,
            events,
        }
    }

    /// Ends a wait that took too long.
    pub(super) fn give_up(&mut self, owner: Owner) -> Vec<(Owner, Event)> {
        let Some(resource) = self.waits.remove(&owner) else {
            return Vec::new();
        };
        if let Some(lock) = self.locks.get_mut(&resource) {
            lock.waiting.retain(|waiter| waiter.owner != owner);
        }
        // Who stood behind it may go on.
        self.admit(&resource)
    }

    /// Ends everything that an owner holds and waits for.
    pub(super) fn release_all(&mut self, owner: Owner) -> Vec<(Owner, Event)> {
        let mut events = self.give_up(owner);
        for resource in self.held.remove(&owner).unwrap_or_default() {
            if let Some(lock) = self.locks.get_mut(&resource) {
                lock.holders.remove(&owner);
            }
            events.extend(self.admit(&resource));
        }
        events
    }

    /// Lets in whoever is next.
    fn admit(&mut self, resource: &Resource) -> Vec<(Owner, Event)> {
        let mut events = Vec::new();
        let Some(lock) = self.locks.get_mut(resource) else {
            return events;
        };
        while let Some(next) = lock.waiting.front().copied() {
            if !lock.admits(next.owner, next.mode) {
                break;
            }
            lock.waiting.pop_front();
            lock.holders.insert(next.owner, next.mode);
            self.held.entry(next.owner).or_default().insert(resource.clone());
            self.waits.remove(&next.owner);
            events.push((next.owner, Event::Granted));
        }
        if lock.holders.is_empty() && lock.waiting.is_empty() {
            self.locks.remove(resource);
        }
        events
    }

    fn blockers(&self, owner: Owner) -> BTreeSet<Owner> {
        let lock = self
            .waits
            .get(&owner)
            .and_then(|resource| self.locks.get(resource));
        lock.map(|lock| lock.blockers(owner)).unwrap_or_default()
    }

    /// The transactions of a circle through `start` in the graph of who waits for whom.
    fn circle(&self, start: Owner) -> Option<Vec<Owner>> {
        let mut seen = BTreeSet::new();
        let mut path: Vec<(Owner, Vec<Owner>)> = vec![(start, self.blockers(start).into_iter().collect())];
        while let Some((_, next)) = path.last_mut() {
            let Some(to) = next.pop() else {
                path.pop();
                continue;
            };
            if to == start {
                return Some(path.into_iter().map(|(owner, _)| owner).collect());
            }
            if seen.insert(to) {
                path.push((to, self.blockers(to).into_iter().collect()));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn resource(n: u8) -> Resource {
        (
            BucketId::from_bytes([1; 16]),
            ObjectKey::parse(&format!("k{n}")).unwrap(),
        )
    }

    fn ask(table: &mut LockTable, owner: u64, n: u8, mode: LockMode) -> Answer {
        table.ask(Owner(owner), resource(n), mode)
    }

    use LockMode::{Exclusive, Shared};

    /// A defect it catches: a circle of two that nobody notices, or of which the older goes.
    #[test]
    fn the_youngest_of_two_is_ended() {
        let mut table = LockTable::default();
        assert!(ask(&mut table, 1, 1, Exclusive).granted);
        assert!(ask(&mut table, 2, 2, Exclusive).granted);
        assert_eq!(ask(&mut table, 2, 1, Exclusive).events, []);
        let closed = ask(&mut table, 1, 2, Exclusive);
        // The other one goes although this one closed the circle, and this one has what it waited for.
        assert!(!closed.granted);
        assert_eq!(
            closed.events,
            [(Owner(2), Event::Deadlock), (Owner(1), Event::Granted)]
        );
        assert_eq!((table.held_by(Owner(1)), table.held_by(Owner(2))), (2, 0));
    }

    /// A circle of three, and two who share and both want more. A defect it catches: circles of two only.
    #[test]
    fn circles_of_three_and_of_upgrades_are_found() {
        let mut table = LockTable::default();
        for n in 1..=3 {
            assert!(ask(&mut table, u64::from(n), n, Exclusive).granted);
        }
        assert_eq!(ask(&mut table, 1, 2, Shared).events, []);
        assert_eq!(ask(&mut table, 2, 3, Exclusive).events, []);
        let closed = ask(&mut table, 3, 1, Shared);
        assert_eq!(
            closed.events,
            [(Owner(3), Event::Deadlock), (Owner(2), Event::Granted)]
        );
        assert_eq!(table.release_all(Owner(2)), [(Owner(1), Event::Granted)]);
        table.release_all(Owner(1));

        assert!(ask(&mut table, 4, 1, Shared).granted);
        assert!(ask(&mut table, 5, 1, Shared).granted);
        assert_eq!(ask(&mut table, 4, 1, Exclusive).events, []);
        let closed = ask(&mut table, 5, 1, Exclusive);
        assert_eq!(
            closed.events,
            [(Owner(5), Event::Deadlock), (Owner(4), Event::Granted)]
        );
        table.release_all(Owner(4));
        assert!(table.locks.is_empty() && table.waits.is_empty(), "{table:?}");
    }

    /// A defect it catches: readers who come later and overtake who waits to write, for ever.
    #[test]
    fn whoever_waits_is_not_overtaken() {
        let mut table = LockTable::default();
        assert!(ask(&mut table, 1, 1, Shared).granted);
        assert!(!ask(&mut table, 2, 1, Exclusive).granted);
        assert!(!ask(&mut table, 3, 1, Shared).granted);
        assert!(!ask(&mut table, 4, 1, Shared).granted);
        // When the one in front gives up, those behind go on at once, together.
        let admitted = table.give_up(Owner(2));
        assert_eq!(admitted, [(Owner(3), Event::Granted), (Owner(4), Event::Granted)]);
        assert!(!ask(&mut table, 5, 1, Exclusive).granted);
        assert!(ask(&mut table, 1, 1, Shared).granted, "it is held already");
        assert_eq!(table.release_all(Owner(1)), []);
        assert_eq!(table.release_all(Owner(3)), []);
        assert_eq!(table.release_all(Owner(4)), [(Owner(5), Event::Granted)]);
    }

    proptest! {
        /// Nobody holds beside who holds alone, nobody waits in a circle, and once all have let go nothing is left. Defects it
        /// catches: a grant that forgets a holder; a circle that a grant or a release closes.
        #[test]
        fn locks_are_never_shared_with_who_holds_alone(
            steps in prop::collection::vec((0u64..5, 0u8..3, 0u8..4), 1..80),
        ) {
            let mut table = LockTable::default();
            for (owner, n, what) in steps {
                if table.waits.contains_key(&Owner(owner)) {
                    if what == 3 {
                        table.give_up(Owner(owner));
                    }
                } else if what == 3 {
                    table.release_all(Owner(owner));
                } else {
                    let mode = if what == 0 { Exclusive } else { Shared };
                    let answer = ask(&mut table, owner, n, mode);
                    prop_assert!(!answer.granted || answer.events.is_empty());
                }
                for lock in table.locks.values() {
                    let alone = lock.holders.values().any(|mode| *mode == Exclusive);
                    prop_assert!(!alone || lock.holders.len() == 1);
                    if let Some(next) = lock.waiting.front() {
                        prop_assert!(!lock.admits(next.owner, next.mode), "it waits for nobody");
                    }
                }
                for waiting in table.waits.keys() {
                    prop_assert_eq!(table.circle(*waiting), None);
                }
            }
            for owner in 0..5 {
                table.release_all(Owner(owner));
            }
            prop_assert!(table.locks.is_empty() && table.held.is_empty() && table.waits.is_empty());
        }
    }
}
