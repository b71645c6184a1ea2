//! The numbers of one thread: each an atomic that no other thread writes often.

use std::sync::atomic::{AtomicU64, Ordering};

use sluice_protocol::ErrorCode;

use super::histogram::Histogram;
use super::names::Series;
use crate::hooks::Phase;

/// Where a request came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EdgeKind {
    /// HTTP.
    Http,
    /// A Phoenix socket.
    Socket,
}

impl EdgeKind {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Http, Self::Socket];

    /// As labels have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Socket => "socket",
        }
    }
}

/// One thread's counters; whoever reads adds those of all threads up.
#[derive(Debug)]
// Two threads never share a cache line.
#[repr(align(128))]
pub struct Meters {
    cells: [AtomicU64; Series::COUNT],
    refused: [[AtomicU64; ErrorCode::ALL.len()]; EdgeKind::ALL.len()],
    /// Of the check of all limits.
    pub limiter: Histogram,
    /// Of hooks and permission callbacks, by [`Phase`].
    pub hooks: [Histogram; Phase::ALL.len()],
}

impl Default for Meters {
    fn default() -> Self {
        Self {
            cells: std::array::from_fn(|_| AtomicU64::new(0)),
            refused: std::array::from_fn(|_| std::array::from_fn(|_| AtomicU64::new(0))),
            limiter: Histogram::default(),
            hooks: Default::default(),
        }
    }
}

impl Meters {
    /// Counts one.
    pub fn inc(&self, series: Series) {
        self.add(series, 1);
    }

    /// Counts some.
    pub fn add(&self, series: Series, n: u64) {
        self.cells[series as usize].fetch_add(n, Ordering::Relaxed);
    }

    /// Takes one away, of a gauge. Another thread may have added it: only the sum is meaningful.
    pub fn dec(&self, series: Series) {
        self.cells[series as usize].fetch_sub(1, Ordering::Relaxed);
    }

    /// Counts a request that its edge refused.
    pub fn refused(&self, edge: EdgeKind, code: ErrorCode) {
        self.refused[edge as usize][code as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn get(&self, series: Series) -> u64 {
        self.cells[series as usize].load(Ordering::Relaxed)
    }

    pub(crate) fn get_refused(&self, edge: EdgeKind, code: ErrorCode) -> u64 {
        self.refused[edge as usize][code as usize].load(Ordering::Relaxed)
    }
}
