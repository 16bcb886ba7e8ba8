//! Deliberate panics for tests. In a build with debug assertions, a test can request a panic at a named point and
//! observe the result. In other builds a point does nothing.

use std::sync::{Mutex, PoisonError};

static ASKED_FOR: Mutex<Option<&'static str>> = Mutex::new(None);

/// Requests one panic at the next pass of `point`, on any thread.
pub fn panic_at(point: &'static str) {
    *ASKED_FOR.lock().unwrap_or_else(PoisonError::into_inner) = Some(point);
}

/// Whether a requested panic has not happened yet.
pub fn is_due() -> bool {
    ASKED_FOR.lock().unwrap_or_else(PoisonError::into_inner).is_some()
}

/// A point at which a test may request a panic.
#[inline]
pub fn pass(point: &str) {
    if cfg!(debug_assertions) {
        let is_here = {
            let mut asked_for = ASKED_FOR.lock().unwrap_or_else(PoisonError::into_inner);
            asked_for.take_if(|asked_for| *asked_for == point).is_some()
        };
        assert!(!is_here, "a panic was asked for at {point}");
    }
}
