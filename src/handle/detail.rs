//! The detail of the last call that failed on this thread: which part of a connect string is bad, or why there is no
//! connection.

use std::cell::Cell;

use super::Error;

thread_local! {
    static DETAIL: Cell<Option<(Error, String)>> = const { Cell::new(None) };
}

impl Error {
    /// Returns this error, and stores a sentence on this case.
    pub(crate) fn because(self, sentence: impl Into<String>) -> Error {
        let _ = DETAIL.try_with(|detail| detail.set(Some((self, sentence.into()))));
        self
    }

    /// Returns a sentence on this case, if it says more than [`Display`](std::fmt::Display): which part of an argument
    /// is bad, or why there is no connection. Call this on the thread on which the call failed, before that thread
    /// calls the library again.
    pub fn detail(self) -> Option<String> {
        let detail = take_detail()?;
        let sentence = (detail.0 == self).then(|| detail.1.clone());
        let _ = DETAIL.try_with(|kept| kept.set(Some(detail)));
        sentence
    }
}

/// Removes the detail of the last failed call, and returns it.
pub(crate) fn take_detail() -> Option<(Error, String)> {
    DETAIL.try_with(Cell::take).ok().flatten()
}
