//! The other side of a token: whoever is written to remembers the highest token that it has seen, and refuses
//! smaller ones. So a write that an old master sent before it knew better, and that comes late, does nothing.

use std::sync::atomic::{AtomicI64, Ordering};

/// Keeps the highest token seen for one election. Usable from any thread.
#[derive(Debug)]
pub struct Verifier {
    highest: AtomicI64,
}

impl Verifier {
    /// Starts from the highest token that was seen before, or 0. A service that forgets it at a restart lets an
    /// old master in until the first write of the new one.
    pub const fn new(highest: i64) -> Verifier {
        Verifier { highest: AtomicI64::new(highest) }
    }

    /// Whether a write with this token may be taken: none with a larger one was. Remembers the token if so.
    pub fn admit(&self, token: i64) -> bool {
        token > 0 && self.highest.fetch_max(token, Ordering::AcqRel) <= token
    }

    /// The highest token seen, to be stored along with what was written.
    pub fn highest(&self) -> i64 {
        self.highest.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smaller_tokens_are_refused() {
        let verifier = Verifier::new(5);
        assert!(!verifier.admit(4));
        assert!(verifier.admit(5));
        assert!(verifier.admit(7));
        assert!(!verifier.admit(6));
        assert!(!verifier.admit(0));
        assert_eq!(verifier.highest(), 7);
    }
}
