//! Records which requests the servers of a session do not support. A server that does not know a request answers
//! UNIMPLEMENTED and closes the connection (`UnimplementedRequestProcessor` in ZooKeeper's source), or closes it
//! without an answer. Each repetition would cost one more connection, so the record is kept as long as the session
//! lasts.
//!
//! | request | known since | instead |
//! | --- | --- | --- |
//! | `create2` | 3.5.0 | nothing: the candidate ends |
//! | `createContainer` | 3.5.1 | a persistent znode |
//! | `getEphemerals` | 3.6.0 | we assume that the server has resumed our session |

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

/// If this many connections end at a create and no create was ever answered, the servers do not support creates.
const MANY: u32 = 5;

/// If a server closes a connection with unread input, the connection is reset, and the reset may destroy the server's
/// answer. So `getEphemerals` also counts as unsupported after this many connections in a row that ended at it.
const MOST_ASKED: u32 = 2;

#[derive(Debug, Default)]
pub struct UnknownRequests {
    get_ephemerals: AtomicBool,
    get_ephemerals_without_answer: AtomicU32,
    create_container: AtomicBool,
    has_answered_create: AtomicBool,
    creates_without_answer: AtomicU32,
}

impl UnknownRequests {
    pub fn has_get_ephemerals(&self) -> bool {
        let without_answer = self.get_ephemerals_without_answer.load(Relaxed);
        !self.get_ephemerals.load(Relaxed) && without_answer < MOST_ASKED
    }

    pub fn asks_get_ephemerals(&self) {
        self.get_ephemerals_without_answer.fetch_add(1, Relaxed);
    }

    pub fn answered_get_ephemerals(&self) {
        self.get_ephemerals_without_answer.store(0, Relaxed);
    }

    pub fn no_get_ephemerals(&self) {
        self.get_ephemerals.store(true, Relaxed);
    }

    pub fn has_containers(&self) -> bool {
        !self.create_container.load(Relaxed)
    }

    pub fn no_containers(&self) {
        self.create_container.store(true, Relaxed);
    }

    /// A create has ended: either the server answered, or the connection ended.
    pub fn create_ended(&self, is_answered: bool) {
        match is_answered {
            true => self.has_answered_create.store(true, Relaxed),
            false => drop(self.creates_without_answer.fetch_add(1, Relaxed)),
        }
    }

    /// Whether every connection ends when we send a create.
    pub fn drops_creates(&self) -> bool {
        !self.has_answered_create.load(Relaxed) && self.creates_without_answer.load(Relaxed) >= MANY
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn creates_that_are_never_answered() {
        let unknown = UnknownRequests::default();
        for _ in 0..MANY {
            assert!(!unknown.drops_creates());
            unknown.create_ended(false);
        }
        assert!(unknown.drops_creates());
        unknown.create_ended(true);
        assert!(!unknown.drops_creates(), "one answer shows that it knows them");
    }

    #[test]
    fn questions_whose_answer_is_lost() {
        let unknown = UnknownRequests::default();
        unknown.asks_get_ephemerals();
        unknown.answered_get_ephemerals();
        for _ in 0..MOST_ASKED {
            assert!(unknown.has_get_ephemerals());
            unknown.asks_get_ephemerals();
        }
        assert!(!unknown.has_get_ephemerals());
    }
}
