//! Latencies as counts in buckets whose width grows with the value: nothing is averaged away, and the raw counts go
//! into the report. A bucket is at most 1/64 of its value wide, so a percentile is off by less than 1.6 %.

use std::time::Duration;

use serde::{Serialize, Serializer};

/// Buckets between a power of two and the next, as a power of two.
const STEPS_BITS: u32 = 6;
const STEPS: usize = 1 << STEPS_BITS;
/// The exact values below `2 * STEPS`, then `STEPS` buckets for each further power of two of 64 bits.
const BUCKETS: usize = 2 * STEPS + (63 - STEPS_BITS as usize) * STEPS;

/// Counts of nanoseconds.
#[derive(Debug, Clone)]
pub(crate) struct Histogram {
    counts: Vec<u64>,
    count: u64,
    sum_ns: u128,
    max_ns: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            counts: vec![0; BUCKETS],
            count: 0,
            sum_ns: 0,
            max_ns: 0,
        }
    }
}

/// The bucket of a value.
fn bucket(ns: u64) -> usize {
    let bits = u64::BITS - ns.leading_zeros();
    let shift = bits.saturating_sub(STEPS_BITS + 1);
    let step = usize::try_from(ns >> shift).unwrap_or(usize::MAX);
    shift as usize * STEPS + step
}

/// The least value of a bucket.
fn least(bucket: usize) -> u64 {
    let shift = (bucket / STEPS).saturating_sub(1);
    ((bucket - shift * STEPS) as u64) << shift
}

impl Histogram {
    pub(crate) fn record(&mut self, latency: Duration) {
        let ns = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        if let Some(count) = self.counts.get_mut(bucket(ns)) {
            *count += 1;
        }
        self.count += 1;
        self.sum_ns += u128::from(ns);
        self.max_ns = self.max_ns.max(ns);
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.count += other.count;
        self.sum_ns += other.sum_ns;
        self.max_ns = self.max_ns.max(other.max_ns);
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// The largest value of the bucket in which this share of the values ends; never more than the maximum.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a count, between 0 and the count"
    )]
    fn at_ns(&self, share: f64) -> u64 {
        let wanted = ((self.count as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return least(bucket + 1).saturating_sub(1).min(self.max_ns);
            }
        }
        self.max_ns
    }

    /// A percentile in milliseconds, given as a share between 0 and 1.
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    pub(crate) fn at_ms(&self, share: f64) -> f64 {
        self.at_ns(share) as f64 / 1e6
    }

    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    pub(crate) fn max_ms(&self) -> f64 {
        self.max_ns as f64 / 1e6
    }
}

/// Pairs of a bucket's least value in nanoseconds and its count; empty buckets are left out.
impl Serialize for Histogram {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let filled = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        serializer.collect_seq(filled.map(|(bucket, count)| (least(bucket), count)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_follow_each_other_without_gap_or_overlap() {
        for at in 0..BUCKETS {
            assert_eq!(bucket(least(at)), at);
            if at > 0 {
                assert_eq!(bucket(least(at) - 1), at - 1);
            }
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn percentiles_are_those_of_the_sorted_values_within_a_bucket() {
        let mut histogram = Histogram::default();
        let values: Vec<u64> = (1..=10_000).map(|n| n * n).collect();
        for value in &values {
            histogram.record(Duration::from_nanos(*value));
        }
        for (share, index) in [(0.5, 4_999), (0.95, 9_499), (0.99, 9_899), (0.999, 9_989)] {
            let (exact, found) = (values[index], histogram.at_ns(share));
            assert!(
                found >= exact && found - exact <= exact / 64,
                "{share}: {found} is not {exact}"
            );
        }
        assert_eq!(histogram.at_ns(1.0), 100_000_000);
    }

    #[test]
    fn merged_histograms_equal_one() {
        let (mut one, mut left, mut right) = <(Histogram, Histogram, Histogram)>::default();
        for n in 0..1_000u64 {
            let latency = Duration::from_micros(n * 37);
            one.record(latency);
            if n % 3 == 0 { &mut left } else { &mut right }.record(latency);
        }
        left.add(&right);
        assert_eq!(
            serde_json::to_string(&left).unwrap(),
            serde_json::to_string(&one).unwrap()
        );
        assert_eq!(left.count(), 1_000);
        assert_eq!(left.max_ns, one.max_ns);
    }

    #[test]
    fn raw_counts_are_pairs_of_least_value_and_count() {
        let mut histogram = Histogram::default();
        for ns in [3, 3, 200] {
            histogram.record(Duration::from_nanos(ns));
        }
        assert_eq!(serde_json::to_string(&histogram).unwrap(), "[[3,2],[200,1]]");
    }

    #[test]
    fn an_empty_histogram_has_no_time() {
        assert_eq!(Histogram::default().at_ns(0.99), 0);
    }
}
