//! What the last call on this thread that failed has to say beyond its number: which part of a connect string, why there is
//! no connection.

use std::cell::Cell;

use super::Error;

thread_local! {
    static DETAIL: Cell<Option<(Error, String)>> = const { Cell::new(None) };
}

impl Error {
    /// This error, with a sentence on this very case.
    pub(crate) fn because(self, sentence: impl Into<String>) -> Error {
        let _ = DETAIL.try_with(|detail| detail.set(Some((self, sentence.into()))));
        self
    }

    /// A sentence on this very case, where there is more to say than [`Display`](std::fmt::Display) does: which part of an
    /// argument is bad, or why there is no connection. To be asked for on the thread on which the call failed, before it
    /// calls the library again.
    pub fn detail(self) -> Option<String> {
        let detail = take_detail()?;
        let sentence = (detail.0 == self).then(|| detail.1.clone());
        let _ = DETAIL.try_with(|kept| kept.set(Some(detail)));
        sentence
    }
}

/// What is left of former calls is forgotten.
pub(crate) fn take_detail() -> Option<(Error, String)> {
    DETAIL.try_with(Cell::take).ok().flatten()
}
