//! The leader's session tracker. It keeps sessions in buckets of one tick each, rounded up (`ExpiryQueue`), so that no
//! session expires sooner than its timeout after it was renewed, and some expire just then. The tracker takes a due
//! bucket as a whole, and closes its sessions one after the other (`SessionTrackerImpl.run`).

use std::collections::BTreeMap;

use crate::clock::Ns;

#[derive(Clone, Debug)]
struct Session {
    /// When the session expires, on the leader's clock.
    expires_at: u64,
    closing: bool,
    /// The session was due, and is among those that the leader closes one after the other. Until its turn, all is as
    /// before.
    taken: bool,
    /// The server from which its requests come. The leader does not carry out requests from another server.
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
    /// A new leader gives all sessions their full timeout.
    pub fn new(tick: Ns, clock: u64, sessions: &BTreeMap<i64, Ns>) -> Tracker {
        let mut tracker = Tracker { tick, sessions: BTreeMap::new() };
        for (session, timeout) in sessions {
            tracker.track(clock, *session, *timeout);
        }
        tracker
    }

    pub fn track(&mut self, clock: u64, session: i64, timeout: Ns) {
        let fresh = Session { expires_at: 0, closing: false, taken: false, owner: None };
        self.sessions.entry(session).or_insert(fresh);
        self.touch(clock, session, timeout);
    }

    /// Renews a session, unless it is closing or gone.
    pub fn touch(&mut self, clock: u64, session: i64, timeout: Ns) -> bool {
        let tick = self.tick;
        match self.sessions.get_mut(&session) {
            Some(session) if !session.closing => {
                session.expires_at = ((clock + timeout) / tick + 1) * tick;
                true
            }
            _ => false,
        }
    }

    /// Limits the effect of the touch at that moment to this timeout.
    pub fn shorten(&mut self, touched_at: u64, session: i64, timeout: Ns) {
        let tick = self.tick;
        if let Some(session) = self.sessions.get_mut(&session) {
            session.expires_at = session.expires_at.min(((touched_at + timeout) / tick + 1) * tick);
        }
    }

    /// The sessions that are neither closing nor gone.
    pub fn alive(&self) -> Vec<i64> {
        self.sessions.iter().filter(|(_, session)| !session.closing).map(|(id, _)| *id).collect()
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

    /// When a session expires if nothing more is heard of it. `None` if it is closing, gone, or to be closed in any
    /// case.
    pub fn expires(&self, session: i64) -> Option<u64> {
        let stays = |session: &&Session| !session.closing && !session.taken;
        self.sessions.get(&session).filter(stays).map(|session| session.expires_at)
    }

    /// Takes the sessions whose time is over (`ExpiryQueue.poll`). Each will be closed, even if it is renewed before
    /// its turn comes.
    pub fn poll(&mut self, clock: u64) -> Vec<i64> {
        let is_due = |session: &Session| !session.closing && !session.taken && session.expires_at <= clock;
        let due = self.sessions.iter_mut().filter(|(_, session)| is_due(session));
        due.map(|(id, session)| {
            session.taken = true;
            *id
        })
        .collect()
    }

    /// The end of the current bucket.
    pub fn next_beat(&self, clock: u64) -> u64 {
        (clock / self.tick + 1) * self.tick
    }
}
