//! The **node** recipe (seeds 000, 003, 004): one ephemeral znode at the path. The contender that created it is
//! master.
//!
//! The candidate sends a create. If the create succeeds, the candidate is master. If the answer is NODEEXISTS,
//! another contender is master, so the candidate reads the znode with a watch, and sends the create again when the
//! znode goes. The rest of this file handles doubt:
//!
//! - *A create without an answer may have been carried out.* Then the znode may be ours (`may_own`), and only a read
//!   can tell: its `ephemeralOwner` is our session or not. The read follows a transaction, because our present server
//!   may lag behind the server that took the create. A create that is still under way on the old connection cannot
//!   overtake this read: once a session has moved, the leader refuses requests that its former server still forwards
//!   (`SessionTracker.checkSession`, SESSIONMOVED).
//! - *The first create of a session goes with the request for it* (`Trigger::Opening`). If nobody hears that the session
//!   stands, the znode that this create may have made is not ours. It goes when that session expires.
//! - *A znode of our own earlier session is not ours.* It goes when that session expires; until then the candidate
//!   that made it is a slave like any other.
//! - *Another session may have the same number as ours, too*: a server that is restarted counts from the time since
//!   its machine started (`SessionTrackerImpl.initializeNextSessionId`). So a znode is ours only if a create of ours
//!   may have made it: a create that was not refused, and that was sent before an answer had reported a transaction
//!   as young as the znode's.
//! - *A watch is armed by a read that succeeds*, not by a read that finds no znode. If a znode goes between the
//!   create and the read, no candidate waits: the read answers NONODE and the create follows at once.
//! - *A refusal for good* (`rc::is_for_good`) ends the candidate. If its znode may exist and may not be read, the
//!   candidate asks for `ephemeralOwner` without a read, so that it can delete the znode. Servers since 3.8.4 and
//!   3.9.2 do not tell the owner to clients without read permission (ZOOKEEPER-2590). If the znode is known to be
//!   ours, the candidate deletes it without asking. If a create had no answer, the candidate gives up the session,
//!   and the znode goes with it, if it is ours.
//! - *A lost watch would wait for ever*, so a watched znode is read again every `REFRESH_MS`.

use std::sync::Arc;

use super::config::{Config, Rule};
use super::context::{RecipeContext, RecipeState};
use super::recipe::{Effort, Recipe};
use super::report::Report;
use super::retry::{Next, Retry};
use super::subscription::{Trigger, REFRESH_MS};
use super::types::{rc, Op, Reason, Reply, RequestId, SessionId, Time, Value, WatchEvent, Znode};

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// No connection exists, and no answer is expected.
    Offline,
    Creating(RequestId),
    MakingParents(RequestId),
    Reading(RequestId),
    /// Our znode gets the value that the caller has set.
    Setting(RequestId, Value),
    /// The znode was read and is watched.
    Watching {
        version: i32,
        refresh_at: Time,
    },
    /// A request failed; it is repeated at this moment.
    Pausing(Time),
    Deleting(RequestId),
    /// A leaving candidate may not read the znode at the path: it asks for the owner of the znode.
    Identifying(RequestId),
    /// The candidate has left, and nothing of it remains.
    Gone,
}

#[derive(Debug)]
pub struct Node {
    path: Arc<str>,
    value: Value,
    state: State,
    recipe_state: RecipeState,
    /// The read that left the armed watch.
    armed: Option<RequestId>,
    /// Our znode exists, or a create of ours had no answer.
    may_own: bool,
    /// The number of changes of its value, if our znode exists for certain.
    own_version: Option<i32>,
    /// Our mastership is over, though our znode may exist: delete it before the next create.
    must_delete: bool,
    /// The caller has set a value that our znode may not have yet.
    value_due: bool,
    leaving: bool,
    /// The create was sent together with the request for the session, which does not stand yet.
    is_opening: bool,
    retry: Retry,
    config: Config,
    /// The sessions that a test makes the candidate take for its own, by `Rule::EarlierSessionIsNotOurs`.
    #[cfg(feature = "testing")]
    earlier_sessions: Vec<SessionId>,
}

impl Node {
    pub fn new(path: Arc<str>, value: Value, config: Config) -> Node {
        let recipe_state = RecipeState::Unknown { reason: Reason::Suspended, rc: rc::CONNECTION_LOSS };
        Node {
            path,
            value,
            state: State::Offline,
            recipe_state,
            armed: None,
            may_own: false,
            own_version: None,
            must_delete: false,
            value_due: false,
            leaving: false,
            is_opening: false,
            retry: Retry::default(),
            config,
            #[cfg(feature = "testing")]
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

    /// Every candidate that waits may be the next master.
    fn effort(&self) -> Effort {
        Effort::Anchor
    }

    fn deadline(&self) -> Option<Time> {
        match self.state {
            State::Watching { refresh_at, .. } => Some(refresh_at),
            State::Pausing(until) => Some(until),
            _ => None,
        }
    }

    fn describe(&self, now: Time) -> Report {
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
        Report::from([
            ("state", state.into()),
            ("request", request.map(|request| request.0).into()),
            ("next_in_ms", self.deadline().map(|at| Report::ms_between(now.0, at.0)).into()),
            ("own_znode", self.own_path().as_ref().into()),
            ("watched_znode", self.armed.map(|_| &self.path).into()),
            ("must_delete", self.must_delete.into()),
            ("leaving", self.leaving.into()),
            ("failures_in_a_row", self.retry.failures().into()),
        ])
    }

    fn handle(&mut self, now: Time, trigger: Trigger, context: &mut RecipeContext) {
        match (self.state.clone(), trigger) {
            (State::Gone, _) => {}
            (State::Offline, Trigger::Opening) => {
                if self.retry.needs_no_wait() && !self.leaving && !self.may_own && self.armed.is_none() {
                    self.is_opening = true;
                    self.create(context);
                }
            }
            (_, Trigger::Up(session)) => {
                self.is_opening = false;
                self.retry.connected(session);
                #[cfg(feature = "testing")]
                if !self.config.keeps(Rule::EarlierSessionIsNotOurs) {
                    self.earlier_sessions.push(session);
                }
                if self.state == State::Offline {
                    self.start(now, context);
                }
            }
            (state, Trigger::Down(rc)) => {
                self.retry.disconnected();
                // A master stays master as long as the lease holds.
                if !self.is_master() {
                    self.stand(RecipeState::Unknown { reason: Reason::Suspended, rc }, context);
                }
                if matches!(state, State::Watching { .. } | State::Pausing(_)) {
                    self.state = State::Offline;
                }
            }
            (_, Trigger::Over(reason, rc)) => {
                self.retry.disconnected();
                self.armed = None;
                self.may_own = false;
                self.own_version = None;
                self.must_delete = false;
                self.state = if self.leaving { State::Gone } else { State::Offline };
                self.stand(RecipeState::Unknown { reason, rc }, context);
            }
            (state, Trigger::LeaseExpired) => {
                self.must_delete = true;
                self.stand(RecipeState::Unknown { reason: Reason::LeaseExpired, rc: rc::LEASE_EXPIRED }, context);
                match state {
                    State::Watching { version, .. } => self.delete(version, context),
                    State::Pausing(_) => self.ask(context),
                    _ => {} // the answer under way, or the next connection, shows what must be deleted
                }
            }
            (State::Watching { .. }, Trigger::Doubt) => self.read(context),
            (State::Watching { .. }, Trigger::Missing) => {
                self.disarm(context);
                self.vanished(now, context);
            }
            (_, Trigger::Missing) => self.step_down(context), // an answer under way tells more
            (state, Trigger::SetValue(value)) => {
                self.value = value;
                self.value_due = true;
                if let State::Watching { version, .. } = state {
                    if self.may_own {
                        self.set_value(version, context);
                    }
                } // else the next read of our znode, or the next create, sets the value
            }
            (state, Trigger::Leave(reason, rc)) => {
                self.stand(RecipeState::Unknown { reason, rc }, context);
                self.leaving = true;
                match state {
                    _ if !self.config.keeps(Rule::ResignFindsOut) => self.gone(context),
                    State::Watching { version, .. } if self.may_own => self.delete(version, context),
                    State::Watching { .. } | State::Offline | State::Pausing(_) if !self.may_own => {
                        self.gone(context)
                    }
                    State::Pausing(_) => self.ask(context),
                    _ => {} // the answer under way, or the next connection, shows what must be deleted
                }
            }

            (State::Creating(asked), Trigger::Reply(request, reply)) if asked == request => match reply {
                Reply::Created(stat) => {
                    self.retry.succeeded();
                    self.may_own = true;
                    self.own_version = Some(stat.version);
                    if !self.retry.is_connected() {
                        self.state = State::Offline;
                    } else if self.leaving {
                        self.delete(stat.version, context);
                    } else {
                        self.must_delete = false;
                        self.stand(RecipeState::Master { token: stat.czxid }, context);
                        self.read(context);
                    }
                }
                Reply::Refused(rc::NODE_EXISTS) if self.retry.is_connected() => self.read(context),
                Reply::Refused(rc::NODE_EXISTS) => self.state = State::Offline,
                Reply::Refused(rc::NO_NODE) if self.leaving => self.gone(context),
                Reply::Refused(rc::NO_NODE) if self.retry.is_connected() => {
                    let op = Op::MakeParents { path: self.path.clone() };
                    self.state = State::MakingParents(context.submit(op));
                }
                Reply::Refused(rc) => self.refused(now, rc, context),
                // What it may have made belongs to a session that is not ours.
                _ if std::mem::take(&mut self.is_opening) => self.failed(now, context),
                Reply::NotSent => self.failed(now, context),
                _ => {
                    self.may_own = self.config.keeps(Rule::UnknownMayBeOurs);
                    self.failed(now, context);
                }
            },
            (State::MakingParents(asked), Trigger::Reply(request, reply)) if asked == request => match reply {
                _ if self.leaving => self.gone(context),
                Reply::Done if self.retry.is_connected() => self.create(context),
                Reply::Refused(rc) => self.refused(now, rc, context),
                _ => self.failed(now, context),
            },
            (State::Reading(asked), Trigger::Reply(request, reply)) if asked == request => match reply {
                Reply::Read(znode) => {
                    if let Some(former) = self.armed.replace(request) {
                        context.unwatch(former);
                    }
                    match self.retry.session() {
                        Some(session) => self.seen(now, session, znode, context),
                        None => self.state = State::Offline,
                    }
                }
                Reply::Refused(rc::NO_NODE) => {
                    self.disarm(context);
                    if self.config.keeps(Rule::GoneIsOpen) {
                        self.vanished(now, context);
                    } else {
                        self.state = State::Offline;
                    }
                }
                Reply::Refused(rc) => {
                    self.refused(now, rc, context);
                    if rc == rc::NO_AUTH && self.leaving && self.may_own && self.retry.is_connected() {
                        match self.own_version {
                            Some(version) => self.delete(version, context),
                            None => {
                                let op = Op::Stat { path: self.path.clone() };
                                self.state = State::Identifying(context.submit(op));
                            }
                        }
                    }
                }
                _ => self.failed(now, context),
            },
            (State::Identifying(asked), Trigger::Reply(request, reply)) if asked == request => match reply {
                Reply::Stat(stat) => match self.retry.session() {
                    Some(session)
                        if SessionId(stat.ephemeral_owner) == session
                            && self.may_have_made(stat.czxid, context) =>
                    {
                        self.delete(stat.version, context)
                    }
                    Some(_) => self.gone(context),
                    None => self.state = State::Offline,
                },
                Reply::Refused(rc::NO_NODE) => self.gone(context),
                reply => {
                    if reply == Reply::Refused(rc::NO_AUTH) {
                        context.give_up_session();
                    }
                    self.failed(now, context);
                }
            },
            (State::Setting(asked, value), Trigger::Reply(request, reply)) if asked == request => match reply {
                // The change has used up the watch. Another client may have changed the znode, too.
                Reply::Done | Reply::Refused(rc::BAD_VERSION) => {
                    self.own_version = None;
                    if reply == Reply::Done {
                        self.value_due = value != self.value;
                        self.retry.succeeded();
                    }
                    match self.retry.session() {
                        Some(_) => self.read(context),
                        None => self.state = State::Offline,
                    }
                }
                Reply::Refused(rc::NO_NODE) => {
                    self.disarm(context);
                    self.vanished(now, context);
                }
                // A candidate that may not write its value still leads.
                Reply::Refused(_) => {
                    self.retry.refused();
                    self.failed(now, context);
                }
                _ => self.failed(now, context),
            },
            (State::Deleting(asked), Trigger::Reply(request, reply)) if asked == request => match reply {
                Reply::Done | Reply::Refused(rc::NO_NODE) => {
                    self.may_own = false;
                    self.own_version = None;
                    self.must_delete = false;
                    self.disarm(context);
                    if self.leaving {
                        self.gone(context);
                    } else {
                        self.start(now, context);
                    }
                }
                Reply::Refused(rc::BAD_VERSION) if self.retry.is_connected() => {
                    self.own_version = None;
                    self.read(context);
                }
                Reply::Refused(rc) => self.refused(now, rc, context),
                Reply::NotSent => self.failed(now, context),
                _ => {
                    self.own_version = None; // it may be gone, and another contender's may be there
                    self.failed(now, context);
                }
            },

            (state, Trigger::WatchEvent(request, news)) if self.armed == Some(request) => {
                self.armed = None;
                match (state, news) {
                    (_, WatchEvent::Deleted) if !self.config.keeps(Rule::DeletedStepsDown) && self.is_master() => {
                        self.state = State::Offline;
                    }
                    (State::Watching { .. }, WatchEvent::Deleted) => self.vanished(now, context),
                    (State::Watching { .. }, _) if !self.config.keeps(Rule::WatchAgain) => {
                        self.state = State::Offline
                    }
                    (State::Watching { .. }, _) => self.read(context),
                    (_, WatchEvent::Deleted) => self.step_down(context),
                    _ => {} // an answer under way, or a later one, tells more
                }
            }
            (State::Watching { refresh_at, .. }, Trigger::Tick) if now >= refresh_at => self.read(context),
            (State::Pausing(until), Trigger::Tick) if now >= until => self.ask(context),
            (_, Trigger::Opening | Trigger::Doubt) => {}
            (_, Trigger::Reply(..) | Trigger::WatchEvent(..) | Trigger::Tick) => {}
            // The candidate handles the others.
            (_, Trigger::End(..) | Trigger::Unsubscribe | Trigger::StandAgain(..) | Trigger::Fence(_)) => {}
        }
        if self.config.keeps_all() {
            self.check();
        }
    }
}

impl Node {
    fn is_master(&self) -> bool {
        matches!(self.recipe_state, RecipeState::Master { .. })
    }

    #[cfg(feature = "testing")]
    fn is_taken_for_ours(&self, owner: SessionId) -> bool {
        self.earlier_sessions.contains(&owner)
    }

    #[cfg(not(feature = "testing"))]
    fn is_taken_for_ours(&self, _: SessionId) -> bool {
        false
    }

    /// The invariants between any two inputs.
    fn check(&self) {
        if self.is_master() {
            assert!(self.may_own, "a master owns its znode");
            assert!(!self.must_delete, "and means to keep it");
            assert!(!self.leaving, "one who leaves is no master");
        }
        if matches!(self.state, State::Watching { .. } | State::Pausing(_)) {
            assert!(self.retry.is_connected(), "to watch and to wait needs a connection");
        }
        if matches!(self.state, State::Watching { .. }) {
            assert!(self.armed.is_some(), "who watches has a watch");
        }
    }

    /// Continues the pending work: now, after a wait if several requests have failed, or with the next connection.
    fn start(&mut self, now: Time, context: &mut RecipeContext) {
        match self.retry.next(now) {
            Next::Now => self.ask(context),
            Next::After(until) => self.state = State::Pausing(until),
            Next::Offline => self.state = State::Offline,
        }
    }

    fn ask(&mut self, context: &mut RecipeContext) {
        if self.may_own || self.armed.is_some() {
            self.read(context);
        } else if self.leaving {
            self.gone(context);
        } else {
            self.create(context);
        }
    }

    fn create(&mut self, context: &mut RecipeContext) {
        self.value_due = false;
        let op = Op::Create { path: self.path.clone(), value: self.value.clone() };
        self.state = State::Creating(context.submit(op));
    }

    fn read(&mut self, context: &mut RecipeContext) {
        // A master knows that its znode existed. A candidate in doubt asks a server that has caught up.
        let in_doubt = !self.is_master() || self.value_due;
        let sync = self.may_own && in_doubt && self.config.keeps(Rule::SyncWhenInDoubt);
        let op = Op::Read { path: self.path.clone(), sync, watch: true };
        self.state = State::Reading(context.submit(op));
    }

    fn set_value(&mut self, version: i32, context: &mut RecipeContext) {
        let op = Op::SetValue { path: self.path.clone(), value: self.value.clone(), version };
        self.state = State::Setting(context.submit(op), self.value.clone());
    }

    fn delete(&mut self, version: i32, context: &mut RecipeContext) {
        let op = Op::Delete { path: self.path.clone(), version };
        self.state = State::Deleting(context.submit(op));
    }

    /// The znode was read, and its watch is armed.
    fn seen(&mut self, now: Time, session: SessionId, znode: Znode, context: &mut RecipeContext) {
        let Znode { value, stat } = znode;
        let token = stat.czxid;
        let owner = SessionId(stat.ephemeral_owner);
        self.value_due &= value != self.value;
        let known = self.may_own || self.config.keeps(Rule::UnknownMayBeOurs);
        self.may_own =
            owner == session && known && self.may_have_made(token, context) || self.is_taken_for_ours(owner);
        self.own_version = self.may_own.then_some(stat.version);
        match (self.may_own, self.leaving) {
            (true, false) if self.must_delete => return self.delete(stat.version, context),
            (true, true) => return self.delete(stat.version, context),
            (false, true) => return self.gone(context),
            (true, false) => {
                if matches!(self.recipe_state, RecipeState::Master { token: former } if former != token) {
                    self.step_down(context);
                    self.may_own = true;
                }
                self.stand(RecipeState::Master { token }, context);
            }
            (false, false) if stat.is_ephemeral() => {
                self.stand(RecipeState::Slave { master: value, token }, context)
            }
            (false, false) => {
                self.stand(RecipeState::Unknown { reason: Reason::Blocked, rc: rc::NOT_EPHEMERAL }, context);
            }
        }
        if self.value_due && self.may_own {
            return self.set_value(stat.version, context);
        }
        self.retry.succeeded();
        self.state = State::Watching { version: stat.version, refresh_at: now.plus_ms(REFRESH_MS) };
    }

    /// Whether the transaction `czxid` may have made a znode of ours. The owner does not decide: a restarted server
    /// may give out the number of a session that lives.
    fn may_have_made(&self, czxid: i64, context: &RecipeContext) -> bool {
        context.may_have_made(czxid) || !self.config.keeps(Rule::OwnCreate)
    }

    /// No znode is at the path.
    fn vanished(&mut self, now: Time, context: &mut RecipeContext) {
        self.step_down(context);
        self.may_own = false;
        self.own_version = None;
        self.must_delete = false;
        if self.leaving {
            self.gone(context);
        } else {
            self.start(now, context);
        }
    }

    /// Our znode is gone, although this candidate did not delete it.
    fn step_down(&mut self, context: &mut RecipeContext) {
        if self.is_master() {
            self.may_own = false;
            self.own_version = None;
            self.stand(RecipeState::Unknown { reason: Reason::Deleted, rc: rc::NO_NODE }, context);
        }
    }

    /// ZooKeeper refused the request. It will probably refuse it again, so there is no retry at once, and no retry at
    /// all if the refusal is for good.
    fn refused(&mut self, now: Time, rc: i32, context: &mut RecipeContext) {
        let for_good = rc::is_for_good(rc);
        // A master tries again later; its znode exists.
        if for_good || !self.is_master() {
            let reason = if for_good { Reason::Denied } else { Reason::Refused };
            self.stand(RecipeState::Unknown { reason, rc }, context);
            self.leaving |= for_good;
        }
        self.retry.refused();
        self.failed(now, context);
    }

    fn failed(&mut self, now: Time, context: &mut RecipeContext) {
        self.retry.failed();
        if self.leaving && !self.may_own {
            self.gone(context);
        } else {
            self.start(now, context);
        }
    }

    fn disarm(&mut self, context: &mut RecipeContext) {
        if let Some(armed) = self.armed.take() {
            context.unwatch(armed);
        }
    }

    fn gone(&mut self, context: &mut RecipeContext) {
        self.disarm(context);
        self.may_own = false;
        self.state = State::Gone;
    }

    fn stand(&mut self, recipe_state: RecipeState, context: &mut RecipeContext) {
        if !self.leaving {
            context.stand(&recipe_state);
            self.recipe_state = recipe_state;
        }
    }
}
