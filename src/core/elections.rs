//! All elections of one session: the candidates and observers by path, the state of the connection that they
//! share, and the way from an answer to whoever asked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::candidate::{Candidate, Outbox, Party};
use super::node::Input;
use super::observer::Observer;
use super::vocabulary::{rc, Action, News, PartyId, Reason, Reply, RequestId, SessionId, Time, Value};

/// How long a session that holds nothing may stay suspended before a new one is opened in its place. Whoever
/// holds nothing loses nothing by that, and a fresh session is connected sooner than an old one, whose attempts
/// come at ever longer distances.
const RENEW_AFTER_MS: u64 = 1_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    /// Not connected yet, and nothing to report of it.
    Fresh,
    Up(SessionId),
    /// A session that may live on without a connection; renewed at that moment if nothing depends on it.
    Suspended {
        rc: i32,
        renew_at: Time,
    },
    /// No session.
    Down {
        rc: i32,
    },
}

/// The elections of one session. See the module `core` for how to drive it.
#[derive(Debug)]
pub struct Elections {
    link: Link,
    candidates: BTreeMap<Arc<str>, Candidate>,
    observers: BTreeMap<Arc<str>, Observer>,
    /// Each party's next moment, and the same by moment.
    deadlines: BTreeMap<Party, Time>,
    timetable: BTreeSet<(Time, Party)>,
    outbox: Outbox,
}

impl Default for Elections {
    fn default() -> Self {
        Elections::new()
    }
}

impl Elections {
    pub fn new() -> Elections {
        Elections {
            link: Link::Fresh,
            candidates: BTreeMap::new(),
            observers: BTreeMap::new(),
            deadlines: BTreeMap::new(),
            timetable: BTreeSet::new(),
            outbox: Outbox::default(),
        }
    }

    /// Stand at `path` with `value`, by the **node** recipe. At most one candidature at a path stands at a time;
    /// a second one may be handed in once the first has resigned, and starts when that has left.
    pub fn stand(&mut self, now: Time, id: PartyId, path: Arc<str>, value: Value) {
        match self.candidates.get_mut(&path) {
            Some(leaving) => leaving.succeed(id, value),
            None => {
                self.candidates.insert(path.clone(), Candidate::new(id, path.clone(), value));
                self.catch_up(now, &Party::Candidate(path));
            }
        }
    }

    /// Stop standing. The candidate hears so at once, as its last news; its znode is deleted, however long it
    /// takes until that can be done.
    pub fn resign(&mut self, now: Time, id: PartyId, path: &Arc<str>) {
        if let Some(candidate) = self.candidates.get_mut(path) {
            candidate.resign(now, id, &mut self.outbox);
            self.settle(now, &Party::Candidate(path.clone()));
        }
    }

    /// Report who is master at `path`, and every change. One observer for each path.
    pub fn observe(&mut self, now: Time, id: PartyId, path: Arc<str>) {
        self.observers.insert(path.clone(), Observer::new(id, path.clone()));
        self.catch_up(now, &Party::Observer(path));
    }

    /// Report no longer.
    pub fn unobserve(&mut self, now: Time, id: PartyId, path: &Arc<str>) {
        if self.observers.get(path).is_some_and(|observer| observer.id() == id) {
            if let Some(mut observer) = self.observers.remove(path) {
                observer.stop(&mut self.outbox);
            }
            self.settle(now, &Party::Observer(path.clone()));
        }
    }

    /// The handle is closed, and the session with it: the last news to everybody. Nothing is deleted here, the
    /// end of the session does that.
    pub fn close(&mut self) {
        for (_, mut candidate) in std::mem::take(&mut self.candidates) {
            candidate.close(&mut self.outbox);
        }
        for (_, mut observer) in std::mem::take(&mut self.observers) {
            observer.close(&mut self.outbox);
        }
        self.deadlines.clear();
        self.timetable.clear();
        self.outbox.routes.clear();
    }

    /// The session is connected: a new one, or the same one again.
    pub fn handle_connected(&mut self, now: Time, session: SessionId) {
        self.link = Link::Up(session);
        self.handle_all(now, &Input::Up(session));
    }

    /// The connection is broken, or could not be made; `rc` is ZooKeeper's number for why.
    pub fn handle_suspended(&mut self, now: Time, rc: i32) {
        self.link = match self.link {
            Link::Up(_) => Link::Suspended { rc, renew_at: now.plus_ms(RENEW_AFTER_MS) },
            Link::Suspended { renew_at, .. } => Link::Suspended { rc, renew_at },
            Link::Fresh | Link::Down { .. } => Link::Down { rc },
        };
        self.handle_all(now, &Input::Down(rc));
    }

    /// The session is over: no request of it that has no answer yet gets one.
    pub fn handle_expired(&mut self, now: Time) {
        let rc = rc::SESSION_EXPIRED;
        self.end_session(now, Link::Down { rc }, Reason::Expired, rc);
    }

    pub fn handle_reply(&mut self, now: Time, request: RequestId, reply: Reply) {
        let leaves_watch = matches!(reply, Reply::Read(_) | Reply::Exists(_));
        let party = match leaves_watch {
            true => self.outbox.routes.get(&request).cloned(),
            false => self.outbox.routes.remove(&request),
        };
        if let Some(party) = party {
            self.handle(now, &party, Input::Reply(request, reply));
        }
    }

    /// The watch that `request` left has seen something, and is spent.
    pub fn handle_news(&mut self, now: Time, request: RequestId, news: News) {
        if let Some(party) = self.outbox.routes.remove(&request) {
            self.handle(now, &party, Input::News(request, news));
        }
    }

    /// The moment of `poll_timeout` has come.
    pub fn handle_timeout(&mut self, now: Time) {
        while let Some((at, party)) = self.timetable.first().cloned() {
            if at > now {
                break;
            }
            self.handle(now, &party, Input::Tick);
            assert!(self.deadlines.get(&party).is_none_or(|next| *next > now), "a deadline is met once");
        }
        match self.link {
            Link::Suspended { rc, renew_at } if renew_at <= now => {
                if self.candidates.values().any(Candidate::holds_session) {
                    self.link = Link::Suspended { rc, renew_at: now.plus_ms(RENEW_AFTER_MS) };
                } else {
                    self.end_session(now, Link::Down { rc }, Reason::Suspended, rc);
                    self.outbox.actions.push_back(Action::Renew);
                }
            }
            _ => {}
        }
    }

    pub fn poll_action(&mut self) -> Option<Action> {
        self.outbox.actions.pop_front()
    }

    pub fn poll_timeout(&self) -> Option<Time> {
        let next = self.timetable.first().map(|(at, _)| *at);
        let renew_at = match self.link {
            Link::Suspended { renew_at, .. } => Some(renew_at),
            _ => None,
        };
        next.into_iter().chain(renew_at).min()
    }

    fn end_session(&mut self, now: Time, link: Link, reason: Reason, rc: i32) {
        self.link = link;
        self.outbox.routes.clear();
        self.handle_all(now, &Input::Over(reason, rc));
    }

    fn parties(&self) -> Vec<Party> {
        let candidates = self.candidates.keys().cloned().map(Party::Candidate);
        candidates.chain(self.observers.keys().cloned().map(Party::Observer)).collect()
    }

    fn handle_all(&mut self, now: Time, input: &Input) {
        for party in self.parties() {
            self.handle(now, &party, input.clone());
        }
    }

    /// Bring a new party to where the link is.
    fn catch_up(&mut self, now: Time, party: &Party) {
        match self.link {
            Link::Fresh => {}
            Link::Up(session) => self.handle(now, party, Input::Up(session)),
            Link::Suspended { rc, .. } | Link::Down { rc } => self.handle(now, party, Input::Down(rc)),
        }
    }

    fn handle(&mut self, now: Time, party: &Party, input: Input) {
        match party {
            Party::Candidate(path) => {
                if let Some(candidate) = self.candidates.get_mut(path) {
                    candidate.handle(now, input, &mut self.outbox);
                }
            }
            Party::Observer(path) => {
                if let Some(observer) = self.observers.get_mut(path) {
                    observer.handle(now, input, &mut self.outbox);
                }
            }
        }
        self.settle(now, party);
    }

    /// After a party has acted: its place in the timetable, and its successor if it has left.
    fn settle(&mut self, now: Time, party: &Party) {
        if let Party::Candidate(path) = party {
            if self.candidates.get(path).is_some_and(Candidate::is_gone) {
                let left = self.candidates.remove(path);
                if let Some(successor) = left.and_then(Candidate::into_successor) {
                    self.candidates.insert(path.clone(), successor);
                    return self.catch_up(now, party);
                }
            }
        }
        let deadline = match party {
            Party::Candidate(path) => self.candidates.get(path).and_then(Candidate::deadline),
            Party::Observer(path) => self.observers.get(path).and_then(Observer::deadline),
        };
        let former = match deadline {
            Some(at) => self.deadlines.insert(party.clone(), at),
            None => self.deadlines.remove(party),
        };
        if former != deadline {
            if let Some(former) = former {
                self.timetable.remove(&(former, party.clone()));
            }
            if let Some(at) = deadline {
                self.timetable.insert((at, party.clone()));
            }
        }
    }
}
