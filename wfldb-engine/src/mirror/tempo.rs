//! How fast a mirror works. Its files are in the journal of the same file system as the store's commits, which wait for
//! it: so what it writes is spread, and rest points are rare, unless somebody waits for one.

use std::time::Duration;

/// Between two rest points at least.
const BETWEEN_RESTS: Duration = Duration::from_secs(1);
/// And at most, at the steady tempo.
const BETWEEN_RESTS_MAX: Duration = Duration::from_secs(20);
/// A rest point takes one part of so many of the time, at the steady tempo and at the other.
const STEADY_PART: u32 = 100;
const HURRIED_PART: u32 = 4;
/// So few files cost nobody anything: their rest points come early.
const FEW_FILES: u64 = 16;
/// So many files are written without a pause at the steady tempo.
const PACED_FILES: usize = 4;
/// And so many are handed to git.
const PACED_CHANGES: usize = 16;
const PAUSE: Duration = Duration::from_millis(2);

/// Whoever answers requests goes first.
const NICE: i32 = 5;

/// Lets others go before the thread that calls this.
pub(crate) fn step_back() {
    // On Linux this is the thread's own.
    let _ = rustix::process::setpriority_process(None, NICE);
}

/// How the work is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tempo {
    /// So that commits notice little of it.
    Steady,
    /// As fast as it goes: somebody waits for a rest point, or the mirror is behind.
    Hurried,
}

impl Tempo {
    /// The time from one rest point, which took so long, to the next, which so many files wait for.
    pub(crate) fn between_rests(self, took: Duration, files: u64) -> Duration {
        if self == Self::Hurried || files <= FEW_FILES {
            BETWEEN_RESTS.max(took * HURRIED_PART)
        } else {
            (took * STEADY_PART).clamp(BETWEEN_RESTS, BETWEEN_RESTS_MAX)
        }
    }
}

/// Spreads work over some time.
pub(crate) struct Pace {
    tempo: Tempo,
    group: usize,
    done: usize,
}

impl Pace {
    /// That of writing files.
    pub(crate) fn of_files(tempo: Tempo) -> Self {
        let (group, done) = (PACED_FILES, 0);
        Self { tempo, group, done }
    }

    /// That of handing changes to git.
    pub(crate) fn of_changes(tempo: Tempo) -> Self {
        let (group, done) = (PACED_CHANGES, 0);
        Self { tempo, group, done }
    }

    /// One more was done.
    pub(crate) fn next(&mut self) {
        self.done += 1;
        if self.tempo == Tempo::Steady && self.done.is_multiple_of(self.group) {
            std::thread::sleep(PAUSE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: a rest point that is slow to come to somebody who waits, or after a single change.
    #[test]
    fn whoever_waits_hastens_rest_points() {
        let ms = Duration::from_millis;
        let steady = |took, files| Tempo::Steady.between_rests(ms(took), files);
        assert_eq!(steady(5, 1000), ms(1000));
        assert_eq!(steady(50, 1000), ms(5000));
        assert_eq!(steady(900, 1000), ms(20_000));
        assert_eq!(steady(50, 16), ms(1000));
        assert_eq!(Tempo::Hurried.between_rests(ms(50), 1000), ms(1000));
        assert_eq!(Tempo::Hurried.between_rests(ms(900), 1000), ms(3600));
        // Nothing keeps one that is slow by itself from being most of the time apart.
        assert_eq!(Tempo::Hurried.between_rests(ms(30_000), 1), ms(120_000));
    }
}
