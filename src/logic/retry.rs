//! When a subscription may ask: it needs a connection, and after failures in a row it waits.

use super::types::{SessionId, Time};

const FIRST_MS: u64 = 100;
const LONGEST_MS: u64 = 5_000;

/// Counts failures in a row. After the first failure no wait is needed: a connection that broke once is tried again
/// at once.
#[derive(Clone, Copy, Debug, Default)]
pub struct Retry {
    /// The session, while it is connected.
    session: Option<SessionId>,
    failures: u32,
}

/// When the next step may follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    Now,
    /// At this moment.
    After(Time),
    /// With the next connection.
    Offline,
}

impl Retry {
    pub fn connected(&mut self, session: SessionId) {
        self.session = Some(session);
    }

    pub fn disconnected(&mut self) {
        self.session = None;
    }

    pub fn session(&self) -> Option<SessionId> {
        self.session
    }

    pub fn is_connected(&self) -> bool {
        self.session.is_some()
    }

    pub fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// A request has failed. One that was sent while the connection broke counts no second failure.
    pub fn failed(&mut self) {
        if self.is_connected() {
            self.failures = self.failures.saturating_add(1);
        }
    }

    /// ZooKeeper has refused a request, and will probably refuse it again: this counts besides `failed`, so that there
    /// is no retry at once.
    pub fn refused(&mut self) {
        self.failures = self.failures.saturating_add(1);
    }

    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Whether the next try need not wait once there is a connection.
    pub fn needs_no_wait(&self) -> bool {
        self.failures < 2
    }

    /// When the next try may follow.
    pub fn next(&self, now: Time) -> Next {
        if !self.is_connected() {
            return Next::Offline;
        }
        match self.failures.checked_sub(2) {
            None => Next::Now,
            Some(doublings) => Next::After(now.plus_ms((FIRST_MS << doublings.min(16)).min(LONGEST_MS))),
        }
    }
}
