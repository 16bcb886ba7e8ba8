//! The side that checks a token. A service that a master writes to remembers the highest token that it has seen, and
//! refuses smaller ones. If an old master sends a write before it knows that its mastership is over, and the write
//! arrives late, the service refuses it.

use std::sync::atomic::{AtomicI64, Ordering};

/// Keeps the highest token seen for one election. Any thread may use it.
#[derive(Debug)]
pub struct Verifier {
    highest: AtomicI64,
}

impl Verifier {
    /// Starts from the highest token that was seen before, or 0. If a service forgets that token at a restart, it
    /// accepts an old master until the first write of the new one.
    pub const fn new(highest: i64) -> Verifier {
        Verifier { highest: AtomicI64::new(highest) }
    }

    /// Returns whether a write with this token may be taken: the token is positive, and no larger one was seen. If so,
    /// remembers the token.
    pub fn admit(&self, token: i64) -> bool {
        token > 0 && self.highest.fetch_max(token, Ordering::AcqRel) <= token
    }

    /// Returns the highest token seen, to be stored along with what was written.
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
