//! Dividing a pass over keys among threads: whoever has nothing left to do gets half of what another one has left, so
//! that it does not matter how the keys are spread.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Keys from the first to the last, both in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) first: u128,
    pub(super) last: u128,
}

/// What is to be done.
pub(super) struct Parts {
    state: Mutex<State>,
    changed: Condvar,
    /// Threads that wait for something to do. Changed under the lock, looked at without it.
    idle: AtomicUsize,
}

struct State {
    waiting: Vec<Part>,
    at_work: usize,
    failed: bool,
}

impl Parts {
    pub(super) fn new(all: Part) -> Self {
        Self {
            state: Mutex::new(State {
                waiting: vec![all],
                at_work: 0,
                failed: false,
            }),
            changed: Condvar::new(),
            idle: AtomicUsize::new(0),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A part to work on; waits while others may still give one. `None`: all is done, or somebody failed.
    pub(super) fn next(&self) -> Option<Taken<'_>> {
        let mut state = self.state();
        loop {
            if state.failed {
                return None;
            }
            if let Some(part) = state.waiting.pop() {
                state.at_work += 1;
                return Some(Taken {
                    parts: self,
                    part,
                    is_done: false,
                });
            }
            if state.at_work == 0 {
                return None;
            }
            self.idle.fetch_add(1, Ordering::Relaxed);
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            self.idle.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// A part that is being worked on. Dropped before it is done, it ends the work of all.
pub(super) struct Taken<'a> {
    parts: &'a Parts,
    part: Part,
    is_done: bool,
}

impl Taken<'_> {
    pub(super) fn part(&self) -> Part {
        self.part
    }

    /// Whether a key that comes behind all before is still to be worked on here.
    pub(super) fn has(&self, key: u128) -> bool {
        key <= self.part.last
    }

    /// To be asked now and then: gives half of what is behind `key` away, if somebody waits for it.
    pub(super) fn share(&mut self, key: u128) {
        let parts = self.parts;
        if parts.idle.load(Ordering::Relaxed) == 0 || key >= self.part.last {
            return;
        }
        let mut state = parts.state();
        if state.waiting.len() >= parts.idle.load(Ordering::Relaxed) {
            return;
        }
        let middle = key + (self.part.last - key) / 2;
        state.waiting.push(Part {
            first: middle + 1,
            last: self.part.last,
        });
        self.part.last = middle;
        parts.changed.notify_one();
    }

    pub(super) fn done(mut self) {
        self.is_done = true;
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let mut state = self.parts.state();
        state.at_work -= 1;
        state.failed |= !self.is_done;
        if state.failed || (state.at_work == 0 && state.waiting.is_empty()) {
            self.parts.changed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Works on all keys with some threads, and answers what each had.
    fn worked(keys: &BTreeSet<u128>, threads: usize) -> Vec<Vec<u128>> {
        let (first, last) = (*keys.first().unwrap(), *keys.last().unwrap());
        let parts = Parts::new(Part { first, last });
        std::thread::scope(|scope| {
            let work = || {
                let mut had = Vec::new();
                while let Some(mut taken) = parts.next() {
                    let Part { first, last } = taken.part();
                    for key in keys.range(first..=last) {
                        if !taken.has(*key) {
                            break;
                        }
                        had.push(*key);
                        taken.share(*key);
                        std::thread::yield_now();
                    }
                    taken.done();
                }
                had
            };
            let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        })
    }

    /// DEFECT: a key that two threads have or none, where a part is divided; a thread that waits for ever.
    #[test]
    fn each_key_is_worked_on_once_however_the_keys_are_spread() {
        let even: BTreeSet<u128> = (0..20_000).map(|place| place * 1000).collect();
        // Nearly all at the beginning, as after one large import.
        let uneven: BTreeSet<u128> = (5..20_005).chain([u128::MAX - 1, u128::MAX]).collect();
        for keys in [even, uneven, BTreeSet::from([7])] {
            for threads in [1, 2, 5] {
                let mut had = worked(&keys, threads).concat();
                had.sort_unstable();
                assert!(had.iter().eq(&keys), "{threads}");
            }
        }
    }

    /// DEFECT: one thread that fails, and others that wait for it.
    #[test]
    fn a_part_that_is_dropped_ends_the_work() {
        let parts = Parts::new(Part { first: 0, last: 100 });
        std::thread::scope(|scope| {
            let mut taken = parts.next().unwrap();
            let waiting = scope.spawn(|| parts.next().is_none());
            while parts.idle.load(Ordering::Relaxed) == 0 {
                std::thread::yield_now();
            }
            taken.share(100);
            drop(taken);
            assert!(waiting.join().unwrap());
        });
    }
}
