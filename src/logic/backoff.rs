//! The wait before a failed request is repeated.

use super::types::Time;

const FIRST_MS: u64 = 100;
const LONGEST_MS: u64 = 5_000;

/// Counts failures in a row. After the first failure no wait is needed: a connection that broke once is tried again
/// at once.
#[derive(Clone, Copy, Debug, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    pub fn succeeded(&mut self) {
        self.failures = 0;
    }

    pub fn failed(&mut self) {
        self.failures = self.failures.saturating_add(1);
    }

    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// The earliest moment of the next try; `None` if the next try may follow at once.
    pub fn pause(&self, now: Time) -> Option<Time> {
        let doublings = self.failures.checked_sub(2)?.min(16);
        Some(now.plus_ms((FIRST_MS << doublings).min(LONGEST_MS)))
    }
}
