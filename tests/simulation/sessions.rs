//! The leader's session tracker: sessions in buckets of one tick each, rounded up (`ExpiryQueue`), so that none
//! expires sooner than its timeout after it was renewed, and some just then.

use std::collections::BTreeMap;

use crate::clock::Ns;

#[derive(Clone, Debug)]
struct Session {
    timeout: Ns,
    /// On the leader's clock.
    expires_at: u64,
    closing: bool,
    /// The server from which its requests come; those that come from another are not carried out.
    owner: Option<usize>,
}

#[derive(Clone, Debug)]
pub struct Tracker {
    tick: Ns,
    sessions: BTreeMap<i64, Session>,
}

/// Whether a request of a session may be carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    Fine,
    Moved,
    Expired,
}

impl Tracker {
    /// A new leader gives all sessions their full time.
    pub fn new(tick: Ns, clock: u64, sessions: &BTreeMap<i64, Ns>) -> Tracker {
        let mut tracker = Tracker { tick, sessions: BTreeMap::new() };
        for (session, timeout) in sessions {
            tracker.track(clock, *session, *timeout);
        }
        tracker
    }

    pub fn track(&mut self, clock: u64, session: i64, timeout: Ns) {
        let fresh = Session { timeout, expires_at: 0, closing: false, owner: None };
        self.sessions.entry(session).or_insert(fresh);
        self.touch(clock, session);
    }

    /// Renews a session, unless it is closing or gone.
    pub fn touch(&mut self, clock: u64, session: i64) -> bool {
        let tick = self.tick;
        match self.sessions.get_mut(&session) {
            Some(session) if !session.closing => {
                session.expires_at = ((clock + session.timeout) / tick + 1) * tick;
                true
            }
            _ => false,
        }
    }

    pub fn set_owner(&mut self, session: i64, server: usize) {
        if let Some(session) = self.sessions.get_mut(&session) {
            session.owner = Some(server);
        }
    }

    pub fn check(&mut self, session: i64, server: usize) -> Check {
        match self.sessions.get_mut(&session) {
            Some(session) if !session.closing => match session.owner {
                Some(owner) if owner != server => Check::Moved,
                _ => {
                    session.owner = Some(server);
                    Check::Fine
                }
            },
            _ => Check::Expired,
        }
    }

    pub fn close(&mut self, session: i64) {
        if let Some(session) = self.sessions.get_mut(&session) {
            session.closing = true;
        }
    }

    pub fn remove(&mut self, session: i64) {
        self.sessions.remove(&session);
    }

    /// When a session expires if nothing more is heard of it; `None` if it is closing or gone.
    pub fn expires(&self, session: i64) -> Option<u64> {
        self.sessions.get(&session).filter(|session| !session.closing).map(|session| session.expires_at)
    }

    /// The sessions whose time is over; they are closing from now on.
    pub fn expire(&mut self, clock: u64) -> Vec<i64> {
        let over = self.sessions.iter_mut().filter(|(_, session)| !session.closing && session.expires_at <= clock);
        over.map(|(id, session)| {
            session.closing = true;
            *id
        })
        .collect()
    }

    /// The end of the current bucket.
    pub fn next_beat(&self, clock: u64) -> u64 {
        (clock / self.tick + 1) * self.tick
    }
}
