//! The **node** recipe (seeds 000, 003, 004): one ephemeral znode at the path, and whoever created it is master.
//!
//! Create it: made, we are master; NODEEXISTS, somebody is, so read it with a watch and create again when it
//! goes. Everything else in this file is about not being sure:
//!
//! - *A create without an answer may have been carried out.* Then the znode may be ours (`may_own`), and only a
//!   read can tell: its `ephemeralOwner` is our session or it is not. The read follows a transaction, because the
//!   server that we are connected to now may lag behind the one that took the create. A create that is still
//!   under way on the old connection cannot overtake that read: once a session has moved, the leader refuses
//!   what its former server still forwards (`SessionTracker.checkSession`, SESSIONMOVED).
//! - *A znode of our own earlier session is not ours.* It goes when that session expires; until then its
//!   maker is a slave like any other.
//! - *A watch is armed by the read that succeeds*, never by one that finds nothing, so a znode that goes between
//!   the create and the read leaves no one waiting: the read says NONODE and the create follows at once.
//! - *What is refused for good* (`rc::is_for_good`) ends the candidate. If its znode may stand and may not be read,
//!   `ephemeralOwner` is asked for without reading, so that it can be deleted.
//! - *A watch that got lost would wait for ever*, so what is watched is read again every `REFRESH_MS`.

use std::sync::Arc;

use super::backoff::Backoff;
use super::config::{Config, Rule};
use super::desk::{Desk, Standing};
use super::fact::Fact;
use super::recipe::{Input, Recipe, REFRESH_MS};
use super::vocabulary::{rc, News, Op, Reason, Reply, RequestId, SessionId, Time, Value, Znode};

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// There is no connection, and no answer to wait for.
    Offline,
    Creating(RequestId),
    MakingParents(RequestId),
    Reading(RequestId),
    /// Our znode is given the value that the caller has set.
    Setting(RequestId, Value),
    /// The znode was read and is watched.
    Watching {
        version: i32,
        refresh_at: Time,
    },
    /// Something failed; it is asked again at this moment.
    Pausing(Time),
    Deleting(RequestId),
    /// Whoever leaves may not read what stands there: asks whose it is.
    Identifying(RequestId),
    /// The candidate has left, and nothing of it is left behind.
    Gone,
}

#[derive(Debug)]
pub struct Node {
    path: Arc<str>,
    value: Value,
    state: State,
    standing: Standing,
    /// The session, while it is connected.
    session: Option<SessionId>,
    /// The read whose watch is armed.
    armed: Option<RequestId>,
    /// Our znode stands, or a create of ours was answered by silence.
    may_own: bool,
    /// Our mastership is over though our znode may stand: delete it before standing again.
    disowned: bool,
    /// The caller has set another value than our znode may have.
    value_due: bool,
    leaving: bool,
    backoff: Backoff,
    config: Config,
    /// For `Rule::EarlierSessionIsNotOurs` alone.
    earlier_sessions: Vec<SessionId>,
}

impl Node {
    pub fn new(path: Arc<str>, value: Value, config: Config) -> Node {
        let standing = Standing::Unknown { reason: Reason::Suspended, rc: rc::CONNECTION_LOSS };
        Node {
            path,
            value,
            state: State::Offline,
            standing,
            session: None,
            armed: None,
            may_own: false,
            disowned: false,
            value_due: false,
            leaving: false,
            backoff: Backoff::default(),
            config,
            earlier_sessions: Vec::new(),
        }
    }
}

impl Recipe for Node {
    fn is_gone(&self) -> bool {
        self.state == State::Gone
    }

    fn holds_session(&self) -> bool {
        self.may_own || matches!(self.state, State::Creating(_))
    }

    fn own_path(&self) -> Option<Arc<str>> {
        self.may_own.then(|| self.path.clone())
    }

    fn deadline(&self) -> Option<Time> {
        match self.state {
            State::Watching { refresh_at, .. } => Some(refresh_at),
            State::Pausing(until) => Some(until),
            _ => None,
        }
    }

    fn describe(&self, now: Time) -> Fact {
        let (state, request) = match self.state {
            State::Offline => ("offline", None),
            State::Creating(request) => ("creating", Some(request)),
            State::MakingParents(request) => ("making_parents", Some(request)),
            State::Reading(request) => ("reading", Some(request)),
            State::Identifying(request) => ("identifying", Some(request)),
            State::Watching { .. } => ("watching", None),
            State::Pausing(_) => ("pausing", None),
            State::Setting(request, _) => ("setting", Some(request)),
            State::Deleting(request) => ("deleting", Some(request)),
            State::Gone => ("gone", None),
        };
        Fact::from([
            ("state", state.into()),
            ("request", request.map(|request| request.0).into()),
            ("next_in_ms", self.deadline().map(|at| Fact::ms_between(now.0, at.0)).into()),
            ("own_znode", self.own_path().as_ref().into()),
            ("watched_znode", self.armed.map(|_| &self.path).into()),
            ("disowned", self.disowned.into()),
            ("leaving", self.leaving.into()),
            ("failures_in_a_row", self.backoff.failures().into()),
        ])
    }

    fn handle(&mut self, now: Time, input: Input, desk: &mut Desk) {
        match (self.state.clone(), input) {
            (State::Gone, _) => {}
            (_, Input::Up(session)) => {
                self.session = Some(session);
                if !self.earlier_sessions.contains(&session) && !self.config.keeps(Rule::EarlierSessionIsNotOurs) {
                    self.earlier_sessions.push(session);
                }
                if self.state == State::Offline {
                    self.start(now, desk);
                }
            }
            (state, Input::Down(rc)) => {
                self.session = None;
                // A master stays one for as long as the lease holds.
                if !self.is_master() {
                    self.stand(Standing::Unknown { reason: Reason::Suspended, rc }, desk);
                }
                if matches!(state, State::Watching { .. } | State::Pausing(_)) {
                    self.state = State::Offline;
                }
            }
            (_, Input::Over(reason, rc)) => {
                self.session = None;
                self.armed = None;
                self.may_own = false;
                self.disowned = false;
                self.state = if self.leaving { State::Gone } else { State::Offline };
                self.stand(Standing::Unknown { reason, rc }, desk);
            }
            (state, Input::Lapsed) => {
                self.disowned = true;
                self.stand(Standing::Unknown { reason: Reason::Lapsed, rc: rc::LAPSED }, desk);
                match state {
                    State::Watching { version, .. } => self.delete(version, desk),
                    State::Pausing(_) => self.ask(desk),
                    _ => {} // the answer under way, or the next connection, will tell what there is to delete
                }
            }
            (State::Watching { .. }, Input::Doubt) => self.read(desk),
            (State::Watching { .. }, Input::Missing) => {
                self.disarm(desk);
                self.vanished(now, desk);
            }
            (_, Input::Missing) => self.step_down(desk), // an answer is under way that tells more
            (state, Input::SetValue(value)) => {
                self.value = value;
                self.value_due = true;
                if let State::Watching { version, .. } = state {
                    if self.may_own {
                        self.set_value(version, desk);
                    }
                } // else the next read of our znode, or the next create, sees to it
            }
            (state, Input::Leave(reason, rc)) => {
                self.stand(Standing::Unknown { reason, rc }, desk);
                self.leaving = true;
                match state {
                    _ if !self.config.keeps(Rule::ResignFindsOut) => self.gone(desk),
                    State::Watching { version, .. } if self.may_own => self.delete(version, desk),
                    State::Watching { .. } | State::Offline | State::Pausing(_) if !self.may_own => self.gone(desk),
                    State::Pausing(_) => self.ask(desk),
                    _ => {} // the answer under way, or the next connection, will tell what there is to delete
                }
            }

            (State::Creating(asked), Input::Reply(request, reply)) if asked == request => match reply {
                Reply::Created(stat) => {
                    self.backoff.succeeded();
                    self.may_own = true;
                    if self.session.is_none() {
                        self.state = State::Offline;
                    } else if self.leaving {
                        self.delete(stat.version, desk);
                    } else {
                        self.disowned = false;
                        self.stand(Standing::Master { token: stat.czxid }, desk);
                        self.read(desk);
                    }
                }
                Reply::Refused(rc::NODE_EXISTS) if self.session.is_some() => self.read(desk),
                Reply::Refused(rc::NODE_EXISTS) => self.state = State::Offline,
                Reply::Refused(rc::NO_NODE) if self.leaving => self.gone(desk),
                Reply::Refused(rc::NO_NODE) if self.session.is_some() => {
                    let op = Op::MakeParents { path: self.path.clone() };
                    self.state = State::MakingParents(desk.submit(op));
                }
                Reply::Refused(rc) => self.refused(now, rc, desk),
                _ => {
                    self.may_own = self.config.keeps(Rule::UnknownMayBeOurs);
                    self.failed(now, desk);
                }
            },
            (State::MakingParents(asked), Input::Reply(request, reply)) if asked == request => match reply {
                _ if self.leaving => self.gone(desk),
                Reply::Done if self.session.is_some() => self.create(desk),
                Reply::Refused(rc) => self.refused(now, rc, desk),
                _ => self.failed(now, desk),
            },
            (State::Reading(asked), Input::Reply(request, reply)) if asked == request => match reply {
                Reply::Read(znode) => {
                    if let Some(former) = self.armed.replace(request) {
                        desk.unwatch(former);
                    }
                    match self.session {
                        Some(session) => self.seen(now, session, znode, desk),
                        None => self.state = State::Offline,
                    }
                }
                Reply::Refused(rc::NO_NODE) => {
                    self.disarm(desk);
                    if self.config.keeps(Rule::GoneIsOpen) {
                        self.vanished(now, desk);
                    } else {
                        self.state = State::Offline;
                    }
                }
                Reply::Refused(rc) => {
                    self.refused(now, rc, desk);
                    if rc == rc::NO_AUTH && self.leaving && self.may_own && self.session.is_some() {
                        let op = Op::Stat { path: self.path.clone() };
                        self.state = State::Identifying(desk.submit(op));
                    }
                }
                _ => self.failed(now, desk),
            },
            (State::Identifying(asked), Input::Reply(request, reply)) if asked == request => match reply {
                Reply::Stat(stat) => match self.session {
                    Some(session) if SessionId(stat.ephemeral_owner) == session => self.delete(stat.version, desk),
                    Some(_) => self.gone(desk),
                    None => self.state = State::Offline,
                },
                Reply::Refused(rc::NO_NODE) => self.gone(desk),
                _ => self.failed(now, desk),
            },
            (State::Setting(asked, value), Input::Reply(request, reply)) if asked == request => match reply {
                // The change has spent the watch; and somebody else may have changed the znode, too.
                Reply::Done | Reply::Refused(rc::BAD_VERSION) => {
                    if reply == Reply::Done {
                        self.value_due = value != self.value;
                        self.backoff.succeeded();
                    }
                    match self.session {
                        Some(_) => self.read(desk),
                        None => self.state = State::Offline,
                    }
                }
                Reply::Refused(rc::NO_NODE) => {
                    self.disarm(desk);
                    self.vanished(now, desk);
                }
                // Whoever may not write its value leads all the same.
                Reply::Refused(_) => {
                    self.backoff.failed();
                    self.failed(now, desk);
                }
                _ => self.failed(now, desk),
            },
            (State::Deleting(asked), Input::Reply(request, reply)) if asked == request => match reply {
                Reply::Done | Reply::Refused(rc::NO_NODE) => {
                    self.may_own = false;
                    self.disowned = false;
                    self.disarm(desk);
                    if self.leaving {
                        self.gone(desk);
                    } else if self.session.is_some() {
                        self.start(now, desk);
                    } else {
                        self.state = State::Offline;
                    }
                }
                Reply::Refused(rc::BAD_VERSION) if self.session.is_some() => self.read(desk),
                Reply::Refused(rc) => self.refused(now, rc, desk),
                _ => self.failed(now, desk),
            },

            (state, Input::News(request, news)) if self.armed == Some(request) => {
                self.armed = None;
                match (state, news) {
                    (_, News::Deleted) if !self.config.keeps(Rule::DeletedStepsDown) && self.is_master() => {
                        self.state = State::Offline;
                    }
                    (State::Watching { .. }, News::Deleted) => self.vanished(now, desk),
                    (State::Watching { .. }, _) if !self.config.keeps(Rule::WatchAgain) => {
                        self.state = State::Offline
                    }
                    (State::Watching { .. }, _) => self.read(desk),
                    (_, News::Deleted) => self.step_down(desk),
                    _ => {} // an answer is under way, or will be asked for, that tells more
                }
            }
            (State::Watching { refresh_at, .. }, Input::Tick) if now >= refresh_at => self.read(desk),
            (State::Pausing(until), Input::Tick) if now >= until => self.ask(desk),
            (_, Input::Reply(..) | Input::News(..) | Input::Tick | Input::Doubt) => {}
        }
        if self.config.broken.is_none() {
            self.check();
        }
    }
}

impl Node {
    fn is_master(&self) -> bool {
        matches!(self.standing, Standing::Master { .. })
    }

    /// What must be true between any two inputs.
    fn check(&self) {
        if self.is_master() {
            assert!(self.may_own, "a master owns its znode");
            assert!(!self.disowned, "and means to keep it");
            assert!(!self.leaving, "one who leaves is no master");
        }
        if matches!(self.state, State::Watching { .. } | State::Pausing(_)) {
            assert!(self.session.is_some(), "to watch and to wait needs a connection");
        }
        if matches!(self.state, State::Watching { .. }) {
            assert!(self.armed.is_some(), "who watches has a watch");
        }
    }

    /// A connection is there: pick up what is to be done, but not at once if it has failed several times.
    fn start(&mut self, now: Time, desk: &mut Desk) {
        match self.backoff.pause(now) {
            Some(until) => self.state = State::Pausing(until),
            None => self.ask(desk),
        }
    }

    fn ask(&mut self, desk: &mut Desk) {
        if self.may_own || self.armed.is_some() {
            self.read(desk);
        } else if self.leaving {
            self.gone(desk);
        } else {
            self.create(desk);
        }
    }

    fn create(&mut self, desk: &mut Desk) {
        self.value_due = false;
        let op = Op::Create { path: self.path.clone(), value: self.value.clone() };
        self.state = State::Creating(desk.submit(op));
    }

    fn read(&mut self, desk: &mut Desk) {
        // A master knows that its znode was there; whoever is not sure asks a server that has caught up.
        let in_doubt = !self.is_master() || self.value_due;
        let sync = self.may_own && in_doubt && self.config.keeps(Rule::SyncWhenInDoubt);
        let op = Op::Read { path: self.path.clone(), sync };
        self.state = State::Reading(desk.submit(op));
    }

    fn set_value(&mut self, version: i32, desk: &mut Desk) {
        let op = Op::SetValue { path: self.path.clone(), value: self.value.clone(), version };
        self.state = State::Setting(desk.submit(op), self.value.clone());
    }

    fn delete(&mut self, version: i32, desk: &mut Desk) {
        let op = Op::Delete { path: self.path.clone(), version };
        self.state = State::Deleting(desk.submit(op));
    }

    /// The znode was read, and its watch is armed.
    fn seen(&mut self, now: Time, session: SessionId, znode: Znode, desk: &mut Desk) {
        let Znode { value, stat } = znode;
        let token = stat.czxid;
        let owner = SessionId(stat.ephemeral_owner);
        self.value_due &= value != self.value;
        let known = self.may_own || self.config.keeps(Rule::UnknownMayBeOurs);
        self.may_own = owner == session && known || self.earlier_sessions.contains(&owner);
        match (self.may_own, self.leaving) {
            (true, false) if self.disowned => return self.delete(stat.version, desk),
            (true, true) => return self.delete(stat.version, desk),
            (false, true) => return self.gone(desk),
            (true, false) => {
                if matches!(self.standing, Standing::Master { token: former } if former != token) {
                    self.step_down(desk);
                    self.may_own = true;
                }
                self.stand(Standing::Master { token }, desk);
            }
            (false, false) if stat.is_ephemeral() => self.stand(Standing::Slave { master: value, token }, desk),
            (false, false) => {
                self.stand(Standing::Unknown { reason: Reason::Blocked, rc: rc::NOT_EPHEMERAL }, desk);
            }
        }
        if self.value_due && self.may_own {
            return self.set_value(stat.version, desk);
        }
        self.backoff.succeeded();
        self.state = State::Watching { version: stat.version, refresh_at: now.plus_ms(REFRESH_MS) };
    }

    /// There is no znode at the path.
    fn vanished(&mut self, now: Time, desk: &mut Desk) {
        self.step_down(desk);
        self.may_own = false;
        self.disowned = false;
        if self.leaving {
            self.gone(desk);
        } else if self.session.is_some() {
            self.start(now, desk);
        } else {
            self.state = State::Offline;
        }
    }

    /// Our znode is gone although nobody here asked for that.
    fn step_down(&mut self, desk: &mut Desk) {
        if self.is_master() {
            self.may_own = false;
            self.stand(Standing::Unknown { reason: Reason::Deleted, rc: rc::NO_NODE }, desk);
        }
    }

    /// ZooKeeper said no. It is likely to say no again, so there is no second try at once, and none at all when it
    /// would say no for good.
    fn refused(&mut self, now: Time, rc: i32, desk: &mut Desk) {
        let for_good = rc::is_for_good(rc);
        // What a master cannot do now it does later; its znode stands.
        if for_good || !self.is_master() {
            let reason = if for_good { Reason::Denied } else { Reason::Refused };
            self.stand(Standing::Unknown { reason, rc }, desk);
            self.leaving |= for_good;
        }
        self.backoff.failed();
        self.failed(now, desk);
    }

    fn failed(&mut self, now: Time, desk: &mut Desk) {
        // A request that was asked for while the connection broke costs no second failure.
        if self.session.is_some() {
            self.backoff.failed();
        }
        if self.leaving && !self.may_own {
            self.gone(desk);
        } else if self.session.is_some() {
            self.start(now, desk);
        } else {
            self.state = State::Offline;
        }
    }

    fn disarm(&mut self, desk: &mut Desk) {
        if let Some(armed) = self.armed.take() {
            desk.unwatch(armed);
        }
    }

    fn gone(&mut self, desk: &mut Desk) {
        self.disarm(desk);
        self.may_own = false;
        self.state = State::Gone;
    }

    fn stand(&mut self, standing: Standing, desk: &mut Desk) {
        if !self.leaving {
            desk.stand(&standing);
            self.standing = standing;
        }
    }
}
