//! A pool of things that are expensive to make, with a bound on how many there are: idle and in use together.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

pub(super) struct Pool<T> {
    state: Mutex<State<T>>,
    returned: Condvar,
    make: fn() -> std::io::Result<T>,
    max: usize,
}

struct State<T> {
    idle: Vec<T>,
    /// How many there are, idle or in use.
    made: usize,
}

/// One thing's place in the count. It goes back when the work ends, its place becomes free when the work panics.
struct Place<'a, T> {
    pool: &'a Pool<T>,
    item: Option<T>,
}

impl<T> std::fmt::Debug for Pool<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool")
            .field("made", &self.lock().made)
            .finish_non_exhaustive()
    }
}

impl<T> Pool<T> {
    /// A pool of at most `max` things (at least one), made when they are needed.
    pub(super) fn new(max: usize, make: fn() -> std::io::Result<T>) -> Self {
        Self {
            state: Mutex::new(State {
                idle: Vec::new(),
                made: 0,
            }),
            returned: Condvar::new(),
            make,
            max: max.max(1),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does `work` with one of them; waits while all are in use. `work` must not wait for another one itself.
    pub(super) fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> std::io::Result<R> {
        let mut state = self.lock();
        let idle = loop {
            if let Some(item) = state.idle.pop() {
                break Some(item);
            }
            if state.made < self.max {
                state.made += 1;
                break None;
            }
            state = self.returned.wait(state).unwrap_or_else(PoisonError::into_inner);
        };
        drop(state);
        let mut place = Place {
            pool: self,
            item: None,
        };
        let mut item = match idle {
            Some(item) => item,
            None => (self.make)()?,
        };
        let result = work(&mut item);
        place.item = Some(item);
        Ok(result)
    }
}

impl<T> Drop for Place<'_, T> {
    fn drop(&mut self) {
        let mut state = self.pool.lock();
        match self.item.take() {
            Some(item) => state.idle.push(item),
            None => state.made -= 1,
        }
        drop(state);
        self.pool.returned.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    /// A defect it catches: a place that a panic takes with it, so that in the end everybody waits.
    #[test]
    fn there_are_never_more_than_the_bound_and_a_panic_gives_its_place_back() {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let pool = Arc::new(Pool::new(2, || {
            MADE.fetch_add(1, Ordering::SeqCst);
            Ok(0_u32)
        }));
        for _ in 0..2 {
            let pool = Arc::clone(&pool);
            let panicked = std::thread::spawn(move || pool.with(|_| panic!("on purpose")).unwrap());
            assert!(panicked.join().is_err());
        }
        let in_use = Arc::new(AtomicUsize::new(0));
        let (done, finished) = std::sync::mpsc::channel();
        for _ in 0..8 {
            let (pool, in_use, done) = (Arc::clone(&pool), Arc::clone(&in_use), done.clone());
            std::thread::spawn(move || {
                let mut most = 0;
                for _ in 0..200 {
                    pool.with(|item| {
                        most = most.max(in_use.fetch_add(1, Ordering::SeqCst) + 1);
                        *item += 1;
                        std::thread::yield_now();
                        in_use.fetch_sub(1, Ordering::SeqCst);
                    })
                    .unwrap();
                }
                done.send(most).unwrap();
            });
        }
        for _ in 0..8 {
            let most = finished.recv_timeout(Duration::from_secs(10));
            assert!(most.is_ok_and(|most| most <= 2), "somebody waits for ever");
        }
        assert!(MADE.load(Ordering::SeqCst) <= 2 + 2, "what is idle is used again");
    }
}
