//! Plans that wait for the committer: one lane per bucket, deficit round robin by bytes, everything bounded.
//!
//! Buckets are walls: a bucket that floods the store fills its own lane, and the others are served in between.

use std::collections::{HashMap, VecDeque};

use super::plan::Lane;

/// Bytes that a lane can send per turn.
const QUANTUM_BYTES: usize = 64 * 1024;
/// Bytes that can wait in one lane.
const LANE_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Bytes that can wait in all lanes together.
const QUEUE_BYTES_MAX: usize = 128 * 1024 * 1024;
/// Plans that can wait in all lanes together.
const QUEUE_PLANS_MAX: usize = 65_536;

/// A waiting item and what it costs.
#[derive(Debug)]
struct Waiting<T> {
    cost_bytes: usize,
    item: T,
}

#[derive(Debug)]
struct LaneState<T> {
    waiting: VecDeque<Waiting<T>>,
    bytes: usize,
    /// Unused bytes of earlier turns, so that a plan larger than the quantum comes up after enough turns.
    deficit_bytes: usize,
}

/// The queue. Not a lock: its owner holds it inside one.
#[derive(Debug)]
pub(crate) struct FairQueue<T> {
    lanes: HashMap<Lane, LaneState<T>>,
    /// Lanes with something waiting, in the order of their turns.
    turns: VecDeque<Lane>,
    bytes: usize,
    plans: usize,
}

impl<T> FairQueue<T> {
    pub(crate) fn new() -> Self {
        Self {
            lanes: HashMap::new(),
            turns: VecDeque::new(),
            bytes: 0,
            plans: 0,
        }
    }

    pub(crate) fn plans(&self) -> usize {
        self.plans
    }

    /// Appends `item` to its lane, or gives it back when the lane or the queue is full.
    pub(crate) fn push(&mut self, lane: Lane, cost_bytes: usize, item: T) -> Result<(), T> {
        let lane_bytes = self.lanes.get(&lane).map_or(0, |lane| lane.bytes);
        let lane_full = lane_bytes > 0 && lane_bytes + cost_bytes > LANE_BYTES_MAX;
        if lane_full || self.bytes + cost_bytes > QUEUE_BYTES_MAX || self.plans >= QUEUE_PLANS_MAX {
            return Err(item);
        }
        let turns = &mut self.turns;
        let state = self.lanes.entry(lane).or_insert_with(|| {
            turns.push_back(lane);
            LaneState {
                waiting: VecDeque::new(),
                bytes: 0,
                deficit_bytes: 0,
            }
        });
        state.waiting.push_back(Waiting { cost_bytes, item });
        state.bytes += cost_bytes;
        self.bytes += cost_bytes;
        self.plans += 1;
        Ok(())
    }

    /// Takes the next group: at most `plans_max` items and about `bytes_max` bytes, at least one item if any waits.
    pub(crate) fn take_group(&mut self, plans_max: usize, bytes_max: usize) -> Vec<T> {
        let mut group = Vec::with_capacity(self.plans.min(plans_max));
        let mut group_bytes = 0;
        'turns: while let Some(lane) = self.turns.front().copied() {
            let Some(state) = self.lanes.get_mut(&lane) else {
                self.turns.pop_front();
                continue;
            };
            state.deficit_bytes += QUANTUM_BYTES;
            while let Some(next) = state.waiting.front() {
                if next.cost_bytes > state.deficit_bytes {
                    break;
                }
                let full = group.len() >= plans_max || group_bytes + next.cost_bytes > bytes_max;
                if full && !group.is_empty() {
                    // The lane keeps its place and what it has saved; the next group begins with it.
                    state.deficit_bytes -= QUANTUM_BYTES.min(state.deficit_bytes);
                    break 'turns;
                }
                let Some(taken) = state.waiting.pop_front() else {
                    break;
                };
                state.deficit_bytes -= taken.cost_bytes;
                state.bytes -= taken.cost_bytes;
                self.bytes -= taken.cost_bytes;
                self.plans -= 1;
                group_bytes += taken.cost_bytes;
                group.push(taken.item);
            }
            self.turns.pop_front();
            if state.waiting.is_empty() {
                // An idle lane saves nothing up, and costs no memory.
                self.lanes.remove(&lane);
            } else {
                self.turns.push_back(lane);
            }
        }
        group
    }

    /// Takes everything, for answering it with an error.
    pub(crate) fn drain(&mut self) -> Vec<T> {
        let lanes = std::mem::take(&mut self.lanes);
        self.turns.clear();
        self.bytes = 0;
        self.plans = 0;
        lanes
            .into_values()
            .flat_map(|lane| lane.waiting)
            .map(|waiting| waiting.item)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use wfldb_core::id::BucketId;

    use super::*;

    fn lane(n: u8) -> Lane {
        Lane::Bucket(BucketId::from_bytes([n; 16]))
    }

    #[test]
    fn plans_of_one_lane_keep_their_order() {
        let mut queue = FairQueue::new();
        for n in 0..100 {
            queue.push(lane(1), 1000, n).unwrap();
        }
        let mut taken = Vec::new();
        while queue.plans() > 0 {
            taken.extend(queue.take_group(7, 1 << 20));
        }
        assert_eq!(taken, (0..100).collect::<Vec<_>>());
    }

    /// INVARIANT 10. A defect it catches: one queue for all buckets.
    #[test]
    fn a_busy_bucket_does_not_starve_another() {
        let mut queue = FairQueue::new();
        for n in 0..1000 {
            queue.push(lane(1), 32 * 1024, n).unwrap();
        }
        queue.push(lane(2), 32 * 1024, 9999).unwrap();
        let group = queue.take_group(1024, 256 * 1024);
        assert!(group.contains(&9999), "the quiet bucket is in the first group");
    }

    #[test]
    fn a_full_lane_refuses_and_another_still_accepts() {
        let mut queue = FairQueue::new();
        let mut accepted = 0;
        while queue.push(lane(1), 1 << 20, ()).is_ok() {
            accepted += 1;
        }
        assert_eq!(accepted, LANE_BYTES_MAX >> 20);
        assert!(queue.push(lane(2), 1 << 20, ()).is_ok());
    }

    #[test]
    fn a_plan_larger_than_a_group_comes_out_alone() {
        let mut queue = FairQueue::new();
        queue.push(lane(1), 16 << 20, 1).unwrap();
        queue.push(lane(2), 100, 2).unwrap();
        let mut taken = Vec::new();
        for _ in 0..4 {
            taken.extend(queue.take_group(1024, 8 << 20));
        }
        taken.sort_unstable();
        assert_eq!(taken, vec![1, 2]);
    }
}
