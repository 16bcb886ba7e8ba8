//! Waits until a condition becomes true, instead of sleeping for a fixed time.

use std::time::{Duration, Instant};

const BETWEEN_LOOKS: Duration = Duration::from_millis(5);

/// Checks until `is_true` holds or `timeout` is over. Returns which. It checks at least once, and once more at the end.
pub fn wait_until(timeout: Duration, is_true: impl FnMut() -> bool) -> bool {
    wait_looking_every(BETWEEN_LOOKS, timeout, is_true)
}

/// For a check that costs another process work.
pub(crate) fn wait_looking_every(between: Duration, timeout: Duration, mut is_true: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + timeout;
    loop {
        let is_last = Instant::now() >= deadline;
        if is_true() {
            return true;
        }
        if is_last {
            return false;
        }
        std::thread::sleep(between);
    }
}

/// Like `wait_until`, but panics with `what` if the condition did not become true.
#[track_caller]
pub fn eventually(timeout: Duration, what: &str, is_true: impl FnMut() -> bool) {
    assert!(wait_until(timeout, is_true), "not within {timeout:?}: {what}");
}
