//! Durations in fixed buckets.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The upper bounds of all buckets but the last, in microseconds.
pub const BOUNDS_US: [u64; 20] = [
    100,
    250,
    500,
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    30_000_000,
    60_000_000,
    150_000_000,
    300_000_000,
];
/// One more for all that took longer.
pub const BUCKETS: usize = BOUNDS_US.len() + 1;

/// Counts of durations.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    sum_us: AtomicU64,
}

/// What a histogram, or several added up, holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Durations {
    /// Counts, each bucket for itself.
    pub buckets: [u64; BUCKETS],
    /// All durations together, in microseconds.
    pub sum_us: u64,
}

impl Histogram {
    /// Counts one.
    pub fn record(&self, duration: Duration) {
        let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_US.partition_point(|bound| *bound < us);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(us, Ordering::Relaxed);
    }

    /// Adds what it holds to `sum`.
    pub fn add_to(&self, sum: &mut Durations) {
        for (sum, bucket) in sum.buckets.iter_mut().zip(&self.buckets) {
            *sum += bucket.load(Ordering::Relaxed);
        }
        sum.sum_us = sum.sum_us.wrapping_add(self.sum_us.load(Ordering::Relaxed));
    }
}

impl Durations {
    /// How many there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// Those since `before`.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        Self {
            buckets: std::array::from_fn(|i| self.buckets[i].saturating_sub(before.buckets[i])),
            sum_us: self.sum_us.wrapping_sub(before.sum_us),
        }
    }

    /// The duration that `share` of them did not exceed, in milliseconds, estimated within its
    /// bucket; 0 if there were none.
    #[must_use]
    pub fn quantile_ms(&self, share: f64) -> f64 {
        let count = self.count();
        if count == 0 {
            return 0.0;
        }
        let rank = share * count as f64;
        let mut below = 0u64;
        for (i, &n) in self.buckets.iter().enumerate() {
            if n > 0 && (below + n) as f64 >= rank {
                let low = if i == 0 { 0 } else { BOUNDS_US[i - 1] };
                // Nothing is known of how long the longest took.
                let high = BOUNDS_US.get(i).copied().unwrap_or(low);
                let within = (rank - below as f64).max(0.0) / n as f64;
                return (low as f64 + within * (high - low) as f64) / 1000.0;
            }
            below += n;
        }
        BOUNDS_US[BOUNDS_US.len() - 1] as f64 / 1000.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(all_us: &[u64]) -> Durations {
        let histogram = Histogram::default();
        for us in all_us {
            histogram.record(Duration::from_micros(*us));
        }
        let mut sum = Durations::default();
        histogram.add_to(&mut sum);
        sum
    }

    #[test]
    fn bounds_belong_to_the_bucket_below() {
        let durations = of(&[0, 100, 101, 300_000_000, 300_000_001, u64::MAX / 2]);
        assert_eq!(durations.buckets[..3], [2, 1, 0]);
        assert_eq!(durations.buckets[19..], [1, 2]);
        assert_eq!(durations.count(), 6);
    }

    #[test]
    fn quantiles_lie_within_their_bucket() {
        assert_eq!(of(&[]).quantile_ms(0.5), 0.0);
        let mut all = vec![800; 99];
        all.push(40_000);
        let durations = of(&all);
        let (p50, p99) = (durations.quantile_ms(0.5), durations.quantile_ms(0.99));
        assert!((0.5..=1.0).contains(&p50), "{p50}");
        assert!((0.5..=1.0).contains(&p99), "{p99}");
        let p100 = durations.quantile_ms(1.0);
        assert!((25.0..=50.0).contains(&p100), "{p100}");
        assert_eq!(of(&[u64::MAX / 2]).quantile_ms(0.5), 300_000.0);
    }

    #[test]
    fn a_window_is_a_difference() {
        let (before, after) = (of(&[50, 200]), of(&[50, 200, 200]));
        let window = after.since(&before);
        assert_eq!((window.count(), window.sum_us), (1, 200));
    }
}
