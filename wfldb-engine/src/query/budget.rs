//! What a question may cost.

use std::time::{Duration, Instant};

use wfldb_core::limits::{FIND_DOCUMENTS_MAX, FIND_KEYS_MAX, FIND_MS_MAX, FIND_READ_BYTES_MAX};

/// Rows between two looks at the clock.
const ROWS_BETWEEN_LOOKS: u64 = 64;

/// What a question did cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FindStats {
    /// Rows of heads or of an index that were looked at.
    pub keys: u64,
    /// Documents that were read.
    pub documents: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Documents that were answered.
    pub returned: u64,
    /// How long it took.
    pub time: Duration,
}

/// The budget of a question is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct UsedUp;

/// What is left.
#[derive(Debug)]
pub(super) struct Budget {
    began: Instant,
    pub(super) stats: FindStats,
}

impl Budget {
    pub(super) fn new() -> Self {
        Self {
            began: Instant::now(),
            stats: FindStats::default(),
        }
    }

    /// Takes one row.
    pub(super) fn row(&mut self) -> Result<(), UsedUp> {
        self.stats.keys += 1;
        let stats = &self.stats;
        let late = stats.keys.is_multiple_of(ROWS_BETWEEN_LOOKS)
            && self.began.elapsed() > Duration::from_millis(FIND_MS_MAX);
        let over = stats.keys > FIND_KEYS_MAX
            || stats.documents > FIND_DOCUMENTS_MAX
            || stats.bytes > FIND_READ_BYTES_MAX;
        if late || over { Err(UsedUp) } else { Ok(()) }
    }

    /// Takes one document.
    pub(super) fn document(&mut self, bytes: usize) {
        self.stats.documents += 1;
        self.stats.bytes += bytes as u64;
    }

    /// What was used.
    pub(super) fn stats(&self) -> FindStats {
        FindStats {
            time: self.began.elapsed(),
            ..self.stats
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// DEFECT: a question without an index that reads a bucket of any size.
    #[test]
    fn a_budget_ends() {
        let mut budget = Budget::new();
        assert_eq!(budget.row(), Ok(()));
        budget.stats.keys = FIND_KEYS_MAX;
        assert_eq!(budget.row(), Err(UsedUp));
        let mut budget = Budget::new();
        budget.stats.documents = FIND_DOCUMENTS_MAX;
        assert_eq!(budget.row(), Ok(()));
        budget.document(1);
        assert_eq!(budget.row(), Err(UsedUp));
        let mut budget = Budget::new();
        budget.document(usize::try_from(FIND_READ_BYTES_MAX).unwrap());
        assert_eq!(budget.row(), Ok(()));
        budget.document(1);
        assert_eq!(budget.row(), Err(UsedUp));
    }
}
