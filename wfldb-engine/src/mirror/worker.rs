//! The thread that keeps a mirror: when it works, when it waits, what it does about failures.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::error::{Failure, MirrorError};
use super::history::{MirrorBatch, MirrorHistory};
use super::rounds::{Rounds, Step};
use super::tempo::{Tempo, step_back};
use super::{MirrorState, MirrorStatus, Shared};

/// Between the beginnings of two rounds, so that many changes of one key cost one file.
const BETWEEN_ROUNDS: Duration = Duration::from_millis(200);
/// A look without being woken.
const IDLE: Duration = Duration::from_mins(1);
/// How long it waits for room.
const FOR_ROOM: Duration = Duration::from_millis(500);
/// After the first failure in a row; each further one doubles it, up to a minute.
const AFTER_FAILURE: Duration = Duration::from_millis(500);
const AFTER_FAILURE_MAX: Duration = Duration::from_mins(1);

type History = Option<(Box<dyn MirrorHistory>, MirrorBatch)>;

/// The thread.
pub(super) fn run(shared: &Shared, history: History) {
    step_back();
    let mut work = Work {
        shared,
        rounds: None,
        history,
        failures: 0,
        files: 0,
        left_out: 0,
    };
    while !shared.bell.has_ended() {
        let began = Instant::now();
        shared.forget_watch();
        if !work.has_room() {
            shared.publish(|status| status.state = MirrorState::Waiting);
            work.wait_until(began + FOR_ROOM);
            continue;
        }
        match work.step() {
            Ok(Step::More) => {}
            Ok(Step::Done) => {
                let rest = work.rounds.as_ref().and_then(Rounds::next_rest);
                let wait = rest.map_or(IDLE, |at| at.saturating_duration_since(Instant::now()));
                std::thread::park_timeout(wait);
                // What wakes the thread meanwhile is seen in the next round, which begins no sooner than it may.
                work.wait_until(began + BETWEEN_ROUNDS);
            }
            Err(Failure::Ended) => break,
            Err(failure) => work.after(&failure),
        }
    }
    work.end();
}

struct Work<'a> {
    shared: &'a Shared,
    rounds: Option<Rounds>,
    history: History,
    failures: u32,
    /// Of rounds that were given up.
    files: u64,
    left_out: u64,
}

impl Work<'_> {
    /// A view must not take the room that the store keeps free, and leaves a damaged store alone.
    fn has_room(&self) -> bool {
        let writable = self.shared.engine.health().writable.is_ok();
        // What is not there yet has no room of its own.
        writable && !(self.rounds.is_some() && self.shared.space.is_low())
    }

    fn step(&mut self) -> Result<Step, Failure> {
        let rounds = match &mut self.rounds {
            Some(rounds) => rounds,
            none => {
                let shared = self.shared;
                let ended = Arc::clone(&shared.bell.ended);
                let opened = Rounds::open(
                    &shared.engine.inner,
                    &shared.dir,
                    self.history.take(),
                    ended,
                    shared.points.clone(),
                );
                let rounds = none.insert(opened.map_err(failure)?);
                rounds.begin()?;
                rounds
            }
        };
        let is_asked = self.shared.is_asked();
        rounds.tempo = if is_asked || self.shared.waiting.load(Ordering::SeqCst) > 0 {
            Tempo::Hurried
        } else {
            Tempo::Steady
        };
        if is_asked
            && rounds.may_stand()
            && let Some((state, cursor)) = rounds.stand()?
        {
            self.shared.stand(state, cursor);
        }
        let step = rounds.step()?;
        if self.failures > 0 {
            tracing::info!("the mirror is kept again");
        }
        self.failures = 0;
        let (files, left_out) = (self.files, self.left_out);
        self.shared
            .publish(|status| publish(status, rounds, files, left_out));
        Ok(step)
    }

    fn after(&mut self, failure: &Failure) {
        if self.failures == 0 {
            tracing::warn!(error = %failure, "the mirror cannot be written; it is tried again");
        }
        self.failures = self.failures.saturating_add(1);
        if let Some(mut rounds) = self.rounds.take() {
            if let Failure::Manifest(place) = failure
                && let Err(error) = rounds.damaged_at(place)
            {
                tracing::warn!(%error, "the mirror's cursor cannot be written");
            }
            self.files += rounds.files;
            self.left_out += rounds.damaged;
            self.history = rounds.into_history();
        }
        self.shared.publish(|status| {
            status.state = MirrorState::Failing;
            status.failures += 1;
        });
        let wait = AFTER_FAILURE * (1 << (self.failures - 1).min(7));
        self.wait_until(Instant::now() + wait.min(AFTER_FAILURE_MAX));
    }

    /// Waits, whoever rings, unless the mirror ends.
    fn wait_until(&self, at: Instant) {
        loop {
            let left = at.saturating_duration_since(Instant::now());
            if left.is_zero() || self.shared.bell.has_ended() {
                return;
            }
            std::thread::park_timeout(left);
        }
    }

    /// Comes to rest once more, so that the next start has less to do.
    fn end(self) {
        let has_room = self.has_room();
        let Some(mut rounds) = self.rounds else { return };
        let ended = if has_room {
            rounds.end_with_log()
        } else if rounds.next_rest().is_some() {
            rounds.rest()
        } else {
            Ok(())
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "the mirror ends without a rest point");
        }
    }
}

fn failure(error: MirrorError) -> Failure {
    match error {
        MirrorError::Io(error) => Failure::Io(error),
        MirrorError::Engine(error) => Failure::Engine(error),
        error @ (MirrorError::NotEmpty(_) | MirrorError::Foreign) => {
            Failure::Io(std::io::Error::other(error))
        }
    }
}

fn publish(status: &mut MirrorStatus, rounds: &Rounds, files: u64, left_out: u64) {
    status.state = if rounds.making() > 0 {
        MirrorState::Making
    } else {
        MirrorState::Following
    };
    status.shown = rounds.shown_position();
    status.position = rounds.rested_position();
    status.log = rounds.log_leaves();
    status.files = files + rounds.files;
    status.left_out = left_out + rounds.damaged;
    status.rests = rounds.rests;
}
