//! Panics on purpose, for tests: in builds with debug assertions a test can ask for one at a named point, and see what
//! becomes of it. In other builds nothing is there.

use std::sync::{Mutex, PoisonError};

static ASKED_FOR: Mutex<Option<&'static str>> = Mutex::new(None);

/// Asks for one panic, where `point` is passed next, on whichever thread.
pub fn panic_at(point: &'static str) {
    *ASKED_FOR.lock().unwrap_or_else(PoisonError::into_inner) = Some(point);
}

/// Whether a panic that was asked for is still to come.
pub fn is_due() -> bool {
    ASKED_FOR.lock().unwrap_or_else(PoisonError::into_inner).is_some()
}

/// A point at which a test may ask for a panic.
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
