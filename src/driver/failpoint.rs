//! Deliberate panics for tests: a test can request a panic at a named point and observe the result. A point exists in a
//! build for tests with debug assertions. In all other builds it is nothing.

/// A point at which a test may request a panic.
#[cfg(all(feature = "testing", debug_assertions))]
macro_rules! failpoint {
    ($point:literal) => {
        $crate::driver::failpoint::pass($point)
    };
}

#[cfg(not(all(feature = "testing", debug_assertions)))]
macro_rules! failpoint {
    ($point:literal) => {};
}

pub(crate) use failpoint;

#[cfg(feature = "testing")]
pub use requested::{is_due, panic_at};

#[cfg(all(feature = "testing", debug_assertions))]
pub use requested::pass;

#[cfg(feature = "testing")]
mod requested {
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

    #[cfg(debug_assertions)]
    pub fn pass(point: &str) {
        let is_here = {
            let mut asked_for = ASKED_FOR.lock().unwrap_or_else(PoisonError::into_inner);
            asked_for.take_if(|asked_for| *asked_for == point).is_some()
        };
        assert!(!is_here, "a panic was asked for at {point}");
    }
}
