//! The **queue** recipe (seed 002): an ephemeral sequential child of the path for each contender, and the lowest
//! leads. Each watches only the one before it, so that the end of one wakes one, however many wait.
//!
//! - *A create without an answer may have been carried out*: it is looked for before another one is sent, by the
//!   GUID in its name; in the dialect that has no GUID, by the session that owns it.
//! - *Who leads is read by the one behind it alone*, in the request that leaves the watch: that one is woken by each change
//!   anyway. The others would have to be woken for it.
//! - *The one before us may go between the list and the watch*: then the list is asked for again at once.
//! - *Sequence numbers wrap*: they are compared as serial numbers.
//! - *Our znode may be deleted by somebody*: it is watched as well; then we step down and join anew, at the end.
//! - *The path itself may go*, containers do when they are empty: it is made again.
//! - *Once the counter is used up*, numbers do not tell who came first; the transaction that made a znode does. Who
//!   joins then asks once for the age of everybody in the queue.
//! - *What is refused for good* (`rc::is_for_good`) ends the candidate; only a master needs no list of the others.
//! - *Contenders that the dialect does not count* (foreign ones) would have a master of their own: nobody is master here while
//!   one is in the queue, and the caller hears why. The master watches the queue, so that it hears of one that joins; no other
//!   candidate is woken by that ([`guard`]).

mod guard;
mod position;
mod value;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::backoff::Backoff;
use super::config::{Config, Rule};
use super::context::{RecipeContext, RecipeState};
use super::dialect::{Dialect, Name};
use super::recipe::{Input, Recipe};
use super::report::Report;
use super::types::{rc, Op, Reason, Reply, RequestId, SessionId, Stat, Time, Value, WatchEvent};

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// There is no connection, and no answer to wait for.
    Offline,
    Joining(RequestId),
    MakingParents(RequestId),
    /// Lists the queue for a znode that may be ours.
    Finding(RequestId),
    /// Reads a znode that may be ours; or, if that may not be read, asks whose it is.
    Confirming {
        asked: RequestId,
        path: Arc<str>,
        is_read: bool,
    },
    /// Lists the queue for who is before us.
    Listing(RequestId),
    /// Out of the queue because of a foreign contender: lists it for whether one is still there.
    Scouting(RequestId),
    /// Asks for the age of those in the queue.
    Ranking,
    /// Asks whether the one before us is still there.
    Following(RequestId),
    /// First, or behind one that is watched.
    Waiting {
        refresh_at: Time,
    },
    Pausing(Time),
    Deleting(RequestId),
    /// The candidate has left, and nothing of it is left behind.
    Gone,
}

/// Our znode.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Own {
    path: Arc<str>,
    number: i32,
    czxid: i64,
    /// How often its value has been changed, as far as we know.
    version: i32,
}

/// Our znode's value is being changed.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Setting {
    Writing(RequestId, Value),
    /// Somebody else changed it: reads which version it has.
    Reading(RequestId),
}

#[derive(Debug)]
pub struct Queue {
    path: Arc<str>,
    value: Value,
    dialect: Dialect,
    /// In the name of the znode that we try to make; another one for each that was lost.
    guid: u128,
    /// The first that this session has seen.
    first_guid: u128,
    state: State,
    recipe_state: RecipeState,
    session: Option<SessionId>,
    own: Option<Own>,
    /// A create of ours was answered by silence.
    may_have_joined: bool,
    /// Znodes that may be ours, still to be read.
    to_confirm: VecDeque<Arc<str>>,
    /// Those who were in the queue before us, with their czxids, where the numbers do not tell. The list in which they
    /// were found had our znode as well; so whoever is not among them came after us, whatever a later list shows.
    older: Option<BTreeMap<Arc<str>, i64>>,
    /// Those who are still to tell their age, and the age of those who have.
    to_rank: BTreeMap<RequestId, Arc<str>>,
    ranked: BTreeMap<Arc<str>, i64>,
    /// The watch on our own znode: asked for, or armed.
    own_watch: Option<RequestId>,
    /// The one before us.
    predecessor: Option<Arc<str>>,
    /// It leads, as far as the last list shows.
    predecessor_leads: bool,
    /// The watch on it.
    watch: Option<RequestId>,
    /// A master's watch on the queue: asked for, or armed; or when to ask for it.
    guard: Option<RequestId>,
    guard_due: Option<Time>,
    /// When a list came last, and of how many names.
    listed: (Time, usize),
    /// A contender that the dialect does not count, while one is in the queue.
    foreign: Option<Arc<str>>,
    /// Our znode was taken out of the queue because of such a contender; it is made again once none is in.
    withdrawn: bool,
    /// The caller has set another value than our znode may have.
    value_due: bool,
    setting: Option<Setting>,
    /// Our place is given up: delete our znode before joining again.
    must_delete: bool,
    leaving: bool,
    backoff: Backoff,
    config: Config,
}

impl Queue {
    pub fn new(path: Arc<str>, value: Value, guid: u128, dialect: Dialect, config: Config) -> Queue {
        let recipe_state = RecipeState::Unknown { reason: Reason::Suspended, rc: rc::CONNECTION_LOSS };
        Queue {
            path,
            value,
            dialect,
            guid,
            first_guid: guid,
            state: State::Offline,
            recipe_state,
            session: None,
            own: None,
            may_have_joined: false,
            to_confirm: VecDeque::new(),
            older: None,
            to_rank: BTreeMap::new(),
            ranked: BTreeMap::new(),
            own_watch: None,
            predecessor: None,
            predecessor_leads: false,
            watch: None,
            guard: None,
            guard_due: None,
            listed: (Time(0), 0),
            foreign: None,
            withdrawn: false,
            value_due: false,
            setting: None,
            must_delete: false,
            leaving: false,
            backoff: Backoff::default(),
            config,
        }
    }
}

impl Recipe for Queue {
    fn is_gone(&self) -> bool {
        self.state == State::Gone
    }

    fn holds_session(&self) -> bool {
        self.own.is_some() || self.may_have_joined || matches!(self.state, State::Joining(_))
    }

    fn own_path(&self) -> Option<Arc<str>> {
        self.own.as_ref().map(|own| own.path.clone())
    }

    fn deadline(&self) -> Option<Time> {
        match self.state {
            State::Waiting { refresh_at } => self.guard_due.into_iter().chain([refresh_at]).min(),
            State::Pausing(until) => Some(until),
            _ => None,
        }
    }

    fn describe(&self, now: Time) -> Report {
        let (state, request) = match self.state {
            State::Offline => ("offline", None),
            State::Joining(request) => ("joining", Some(request)),
            State::MakingParents(request) => ("making_parents", Some(request)),
            State::Finding(request) => ("finding", Some(request)),
            State::Confirming { asked, .. } => ("confirming", Some(asked)),
            State::Listing(request) => ("listing", Some(request)),
            State::Scouting(request) => ("scouting", Some(request)),
            // Several are under way; the oldest.
            State::Ranking => ("ranking", self.to_rank.keys().next().copied()),
            State::Following(request) => ("following", Some(request)),
            State::Waiting { .. } => ("waiting", None),
            State::Pausing(_) => ("pausing", None),
            State::Deleting(request) => ("deleting", Some(request)),
            State::Gone => ("gone", None),
        };
        Report::from([
            ("state", state.into()),
            ("request", request.map(|request| request.0).into()),
            ("next_in_ms", self.deadline().map(|at| Report::ms_between(now.0, at.0)).into()),
            ("own_znode", self.own_path().as_ref().into()),
            ("watched_znode", self.watch.and(self.predecessor.as_ref()).into()),
            ("watches_queue", self.guard.is_some().into()),
            ("foreign_contender", self.foreign.as_ref().into()),
            ("withdrawn", self.withdrawn.into()),
            ("must_delete", self.must_delete.into()),
            ("leaving", self.leaving.into()),
            ("failures_in_a_row", self.backoff.failures().into()),
        ])
    }

    fn handle(&mut self, now: Time, input: Input, context: &mut RecipeContext) {
        if self.guard_due.is_some_and(|due| due <= now) && matches!(self.state, State::Waiting { .. }) {
            self.watch_queue(context);
        }
        match (self.state.clone(), input) {
            (State::Gone, _) => {}
            (_, Input::Up(session)) => {
                self.session = Some(session);
                if self.state == State::Offline {
                    self.start(now, context);
                }
            }
            (state, Input::Down(rc)) => {
                self.session = None;
                self.setting = None;
                // A master stays one for as long as the lease holds.
                if !self.is_master() {
                    self.stand(RecipeState::Unknown { reason: Reason::Suspended, rc }, context);
                }
                if matches!(state, State::Waiting { .. } | State::Pausing(_)) {
                    self.state = State::Offline;
                }
            }
            (_, Input::Over(reason, rc)) => {
                self.session = None;
                self.forget_own();
                self.first_guid = self.guid;
                self.watch = None;
                self.guard = None;
                self.guard_due = None;
                self.state = if self.leaving { State::Gone } else { State::Offline };
                self.stand(RecipeState::Unknown { reason, rc }, context);
            }
            (state, Input::LeaseExpired) => {
                self.must_delete = true;
                self.stand(RecipeState::Unknown { reason: Reason::LeaseExpired, rc: rc::LEASE_EXPIRED }, context);
                if matches!(state, State::Waiting { .. } | State::Pausing(_)) {
                    self.ask(context);
                }
            }
            (State::Waiting { .. }, Input::Doubt) => self.ask(context),
            (_, Input::Missing) if self.own.is_some() => self.lost_own(now, context),
            (_, Input::SetValue(value)) => {
                self.value = value;
                self.value_due = true;
                self.set_value(context);
            }
            (state, Input::Leave(reason, rc)) => {
                self.stand(RecipeState::Unknown { reason, rc }, context);
                self.leaving = true;
                match state {
                    _ if !self.config.keeps(Rule::ResignFindsOut) => self.gone(context),
                    State::Offline if !self.holds_session() => self.gone(context),
                    State::Waiting { .. } | State::Pausing(_) => self.ask(context),
                    _ => {} // the answer under way, or the next connection, will tell what there is to delete
                }
            }

            (State::Joining(asked), Input::Reply(request, reply)) if asked == request => match reply {
                Reply::CreatedAs(path, stat) => self.joined(path, stat, context),
                Reply::Refused(rc::NO_NODE) if self.leaving => self.gone(context),
                Reply::Refused(rc::NO_NODE) if self.session.is_some() => {
                    let op = Op::MakeParents { path: self.prefix() };
                    self.state = State::MakingParents(context.submit(op));
                }
                Reply::Refused(rc) => self.refused(now, rc, context),
                _ => {
                    self.may_have_joined = self.config.keeps(Rule::LookForGuid);
                    self.failed(now, context);
                }
            },
            (State::MakingParents(asked), Input::Reply(request, reply)) if asked == request => match reply {
                _ if self.leaving => self.gone(context),
                Reply::Done if self.session.is_some() => self.ask(context),
                Reply::Refused(rc) => self.refused(now, rc, context),
                _ => self.failed(now, context),
            },
            (State::Finding(asked), Input::Reply(request, reply)) if asked == request => match reply {
                Reply::Listed(names) => {
                    self.to_confirm = self.maybe_ours(&names);
                    self.confirm_next(context);
                }
                Reply::Refused(rc::NO_NODE) => {
                    self.to_confirm.clear();
                    self.confirm_next(context);
                }
                Reply::Refused(rc) => self.refused(now, rc, context),
                _ => self.failed(now, context),
            },
            (State::Confirming { asked, path, is_read }, Input::Reply(request, reply)) if asked == request => {
                match reply {
                    Reply::Read(znode) => {
                        context.unwatch(request);
                        if self.is_ours(&znode.stat, context) {
                            self.joined(path, znode.stat, context);
                        } else {
                            self.confirm_next(context);
                        }
                    }
                    // Whose it is is told to those who may not read it as well, before 3.8.4 and 3.9.2.
                    Reply::Refused(rc::NO_AUTH) if self.session.is_some() && is_read => {
                        let asked = context.submit(Op::Stat { path: path.clone() });
                        self.state = State::Confirming { asked, path, is_read: false };
                    }
                    // By its GUID it is ours. It is of no use: it could not be proved.
                    Reply::Refused(rc::NO_AUTH) if self.session.is_some() && self.dialect.has_guid() => {
                        self.may_have_joined = false;
                        self.own = Some(Own { path, number: 0, czxid: 0, version: 0 });
                        self.refused(now, rc::NO_AUTH, context);
                    }
                    Reply::Refused(rc::NO_AUTH) => {
                        context.give_up_session();
                        self.failed(now, context);
                    }
                    Reply::Stat(stat) if self.is_ours(&stat, context) => {
                        self.joined(path, stat, context);
                    }
                    Reply::Stat(_) => self.confirm_next(context),
                    Reply::Refused(rc::NO_NODE) => self.confirm_next(context),
                    Reply::Refused(rc) => self.refused(now, rc, context),
                    _ => self.failed(now, context),
                }
            }
            (State::Listing(asked), Input::Reply(request, reply)) if asked == request => match reply {
                Reply::Listed(names) if self.session.is_some() => {
                    self.backoff.succeeded();
                    self.look(now, &names, context);
                }
                Reply::Listed(_) => self.state = State::Offline,
                Reply::Refused(rc::NO_NODE) => self.lost_own(now, context),
                Reply::Refused(rc) => self.refused(now, rc, context),
                _ => self.failed(now, context),
            },
            (State::Scouting(asked), Input::Reply(request, reply)) if asked == request => match reply {
                Reply::Listed(names) if self.session.is_some() => {
                    self.backoff.succeeded();
                    self.scouted(&names, context);
                }
                Reply::Listed(_) => self.state = State::Offline,
                Reply::Refused(rc::NO_NODE) if self.session.is_some() => self.scouted(&[], context),
                Reply::Refused(rc::NO_NODE) => self.state = State::Offline,
                Reply::Refused(rc) => self.refused(now, rc, context),
                _ => self.failed(now, context),
            },
            (State::Ranking, Input::Reply(request, reply)) if self.to_rank.contains_key(&request) => match reply {
                Reply::Stat(Stat { czxid, .. }) => self.ranked(request, Some(czxid), context),
                Reply::Refused(rc::NO_NODE) => self.ranked(request, None, context),
                Reply::Refused(rc) => self.refused(now, rc, context),
                _ => self.failed(now, context),
            },
            (State::Following(asked), Input::Reply(request, reply)) if asked == request => match reply {
                Reply::Exists(there) => self.followed(now, request, there, context),
                // Another one may stand under a name without a GUID by now.
                Reply::Read(znode) => {
                    let there = self.older.is_none() || self.is_older(znode.stat.czxid);
                    if there && self.predecessor_leads && self.session.is_some() {
                        self.stand(RecipeState::Slave { master: znode.value, token: znode.stat.czxid }, context);
                    }
                    self.followed(now, request, there, context);
                }
                // Whether it is there is told to those who may not read it as well.
                Reply::Refused(rc::NO_AUTH)
                    if self.predecessor_leads && self.older.is_none() && self.session.is_some() =>
                {
                    self.predecessor_leads = false;
                    self.stand(RecipeState::Slave { master: Value::from([]), token: 0 }, context);
                    match self.predecessor.clone() {
                        Some(predecessor) => self.follow(predecessor, context),
                        None => self.ask(context),
                    }
                }
                Reply::Refused(rc::NO_NODE) if !self.config.keeps(Rule::PredecessorGone) => {
                    self.followed(now, request, false, context);
                }
                Reply::Refused(rc::NO_NODE) if self.session.is_some() => {
                    self.is_older(0);
                    self.ask(context);
                }
                Reply::Refused(rc::NO_NODE) => self.state = State::Offline,
                Reply::Refused(rc::NO_AUTH) if self.foreign.is_some() => self.look_again_later(now),
                Reply::Refused(rc) => self.refused(now, rc, context),
                _ => self.failed(now, context),
            },
            (State::Deleting(asked), Input::Reply(request, reply)) if asked == request => match reply {
                Reply::Done | Reply::Refused(rc::NO_NODE) => {
                    self.forget_own();
                    self.rejoin(now, context);
                }
                reply => {
                    // Without a GUID the name may be another's by the time we ask again.
                    if !self.dialect.has_guid() {
                        self.own = None;
                        self.may_have_joined = true;
                    }
                    match reply {
                        Reply::Refused(rc) => self.refused(now, rc, context),
                        _ => self.failed(now, context),
                    }
                }
            },

            (_, Input::Reply(request, reply)) if self.own_watch == Some(request) => match reply {
                Reply::Exists(true) => {}
                Reply::Read(znode) if self.own.as_ref().is_some_and(|own| own.czxid == znode.stat.czxid) => {}
                Reply::Exists(false) | Reply::Read(_) => self.lost_own(now, context),
                Reply::Refused(rc::NO_NODE) => {
                    self.own_watch = None;
                    self.lost_own(now, context);
                }
                _ => self.own_watch = None, // asked for again with the next connection, or the next refresh
            },
            (_, Input::Reply(request, reply)) if self.setting_by() == Some(request) => {
                self.value_answered(now, request, reply, context);
            }
            (state, Input::WatchEvent(request, news)) if self.own_watch == Some(request) => {
                self.own_watch = None;
                match news {
                    WatchEvent::Deleted if !self.config.keeps(Rule::DeletedStepsDown) => {}
                    WatchEvent::Deleted => self.lost_own(now, context),
                    _ if self.session.is_some() && state != State::Gone => self.watch_own(context),
                    _ => {}
                }
            }
            (state, Input::Reply(request, reply)) if self.guard == Some(request) => match reply {
                // Whatever else is under way ends with a list as well.
                Reply::Listed(names) if matches!(state, State::Waiting { .. }) && self.is_master() => {
                    self.look(now, &names, context);
                }
                Reply::Listed(_) => {}
                _ => self.guard = None, // asked for again with the next connection, or the next refresh
            },
            (state, Input::WatchEvent(request, _)) if self.guard == Some(request) => {
                self.guard = None;
                // Whose znode is being deleted needs to know no more; that spends the watch.
                if matches!(state, State::Waiting { .. }) && self.is_master() {
                    self.queue_changed(now, context);
                }
            }
            (state, Input::WatchEvent(request, _)) if self.watch == Some(request) => {
                self.watch = None;
                if matches!(state, State::Waiting { .. }) && self.config.keeps(Rule::ListAgain) {
                    self.ask(context);
                }
            }
            (State::Waiting { refresh_at }, Input::Tick) if now >= refresh_at => match self.predecessor.clone() {
                Some(predecessor) if !self.leaving && !self.must_delete => {
                    self.follow(predecessor, context);
                    self.set_value(context);
                }
                _ => {
                    self.drop_guard(context);
                    self.ask(context);
                }
            },
            (State::Pausing(until), Input::Tick) if now >= until => self.ask(context),
            // An answer about a place that we do not have any more.
            (_, Input::Reply(request, Reply::Exists(_) | Reply::Read(_) | Reply::Listed(_))) => {
                context.unwatch(request)
            }
            (_, Input::Reply(..) | Input::WatchEvent(..) | Input::Tick | Input::Doubt | Input::Missing) => {}
        }
        if self.config.broken.is_none() {
            self.check();
        }
    }
}

impl Queue {
    fn is_master(&self) -> bool {
        matches!(self.recipe_state, RecipeState::Master { .. })
    }

    /// What must be true between any two inputs.
    fn check(&self) {
        if self.is_master() {
            assert!(!self.withdrawn && self.foreign.is_none(), "no master beside a foreign contender");
            assert!(self.own.is_some(), "a master owns its znode");
            assert!(!self.must_delete && !self.leaving, "and means to keep it");
        }
        if matches!(self.state, State::Waiting { .. } | State::Pausing(_)) {
            assert!(self.session.is_some(), "to wait needs a connection");
        }
    }

    fn prefix(&self) -> Arc<str> {
        format!("{}/{}", self.path, self.dialect.prefix(self.guid)).into()
    }

    /// A connection is there: pick up what is to be done, but not at once if it has failed several times.
    fn start(&mut self, now: Time, context: &mut RecipeContext) {
        match self.backoff.pause(now) {
            Some(until) => self.state = State::Pausing(until),
            None => self.ask(context),
        }
    }

    /// What is to be done next with a connection.
    fn ask(&mut self, context: &mut RecipeContext) {
        match &self.own {
            Some(own) if self.leaving || self.must_delete => {
                let op = Op::Delete { path: own.path.clone(), version: -1 };
                self.state = State::Deleting(context.submit(op));
            }
            Some(_) => {
                let op = Op::List { path: self.path.clone(), sync: false, watch: false };
                self.state = State::Listing(context.submit(op));
                self.watch_own(context);
                self.set_value(context);
            }
            None if self.may_have_joined => {
                let sync = self.config.keeps(Rule::SyncWhenInDoubt);
                let op = Op::List { path: self.path.clone(), sync, watch: false };
                self.state = State::Finding(context.submit(op));
            }
            None if self.leaving => self.gone(context),
            None if self.withdrawn => {
                let op = Op::List { path: self.path.clone(), sync: false, watch: false };
                self.state = State::Scouting(context.submit(op));
            }
            None => {
                self.value_due = false;
                let op = Op::CreateSequential { prefix: self.prefix(), value: self.value.clone() };
                self.state = State::Joining(context.submit(op));
            }
        }
    }

    /// Our znode stands.
    fn joined(&mut self, path: Arc<str>, stat: Stat, context: &mut RecipeContext) {
        self.backoff.succeeded();
        self.may_have_joined = false;
        self.to_confirm.clear();
        let name = path.rsplit('/').next().unwrap_or_default();
        if let Name::Contender(number) = self.dialect.read(name) {
            // What was known was known of another place.
            self.older = None;
            let Stat { czxid, version, .. } = stat;
            self.own = Some(Own { path, number, czxid, version });
        }
        match self.session {
            Some(_) => self.ask(context),
            None => self.state = State::Offline,
        }
    }

    /// The znodes in the queue that a create of ours may have made.
    fn maybe_ours(&self, names: &[Arc<str>]) -> VecDeque<Arc<str>> {
        let prefix = self.dialect.prefix(self.guid);
        let is_candidate = |name: &&Arc<str>| match self.dialect.has_guid() {
            true => name.starts_with(&prefix),
            false => matches!(self.dialect.read(name), Name::Contender(_)),
        };
        names.iter().filter(is_candidate).map(|name| format!("{}/{name}", self.path).into()).collect()
    }

    /// Whether a create of ours may have made this znode.
    fn is_ours(&self, stat: &Stat, context: &RecipeContext) -> bool {
        let made = context.may_have_made(stat.czxid) || !self.config.keeps(Rule::OwnCreate);
        self.session == Some(SessionId(stat.ephemeral_owner)) && made
    }

    fn confirm_next(&mut self, context: &mut RecipeContext) {
        if self.session.is_none() {
            self.state = State::Offline;
            return;
        }
        match self.to_confirm.pop_front() {
            Some(path) => {
                let asked = context.submit(Op::Read { path: path.clone(), sync: false });
                self.state = State::Confirming { asked, path, is_read: true };
            }
            None => {
                // Nothing of ours is there, and no create of ours is under way any more.
                self.may_have_joined = false;
                self.must_delete = false;
                self.ask(context);
            }
        }
    }

    fn watch_own(&mut self, context: &mut RecipeContext) {
        if let (None, Some(own)) = (self.own_watch, &self.own) {
            let path = own.path.clone();
            self.own_watch = Some(context.submit(match self.dialect.has_guid() {
                true => Op::Exists { path },
                // The path may be made anew and count from 0 again: whose znode has our name?
                false => Op::Read { path, sync: false },
            }));
        }
    }

    fn deleted(&mut self, context: &mut RecipeContext) {
        if self.is_master() {
            self.stand(RecipeState::Unknown { reason: Reason::Deleted, rc: rc::NO_NODE }, context);
        }
    }

    /// Our znode is gone although nobody here asked for that.
    fn lost_own(&mut self, now: Time, context: &mut RecipeContext) {
        self.deleted(context);
        if let Some(watch) = self.own_watch {
            context.unwatch(watch);
        }
        self.forget_own();
        self.rejoin(now, context);
    }

    /// Nothing of ours stands any more.
    fn forget_own(&mut self) {
        self.own = None;
        // The end of a znode in the queue spends the watch on the queue.
        self.guard = None;
        self.guard_due = None;
        self.own_watch = None;
        self.setting = None;
        self.may_have_joined = false;
        self.must_delete = false;
        self.to_confirm.clear();
        self.to_rank.clear();
        self.guid = self.guid.wrapping_add(1);
    }

    fn rejoin(&mut self, now: Time, context: &mut RecipeContext) {
        if self.leaving {
            self.gone(context);
        } else if self.session.is_some() {
            self.start(now, context);
        } else {
            self.state = State::Offline;
        }
    }

    /// ZooKeeper said no. It is likely to say no again, so there is no second try at once, and none at all when it
    /// would say no for good.
    fn refused(&mut self, now: Time, rc: i32, context: &mut RecipeContext) {
        // What a master cannot do now it does later; its znode stands.
        if !self.is_master() {
            let for_good = rc::is_for_good(rc);
            let reason = if for_good { Reason::Denied } else { Reason::Refused };
            self.stand(RecipeState::Unknown { reason, rc }, context);
            if for_good && !self.leaving && self.session.is_some() {
                self.leaving = true;
                return self.ask(context);
            }
            self.leaving |= for_good;
        }
        self.backoff.failed();
        self.failed(now, context);
    }

    fn failed(&mut self, now: Time, context: &mut RecipeContext) {
        self.to_rank.clear();
        // A request that was asked for while the connection broke costs no second failure.
        if self.session.is_some() {
            self.backoff.failed();
        }
        if self.leaving && !self.holds_session() {
            self.gone(context);
        } else if self.session.is_some() {
            self.start(now, context);
        } else {
            self.state = State::Offline;
        }
    }

    fn gone(&mut self, context: &mut RecipeContext) {
        for watch in [self.own_watch.take(), self.watch.take(), self.guard.take()].into_iter().flatten() {
            context.unwatch(watch);
        }
        self.own = None;
        self.may_have_joined = false;
        self.state = State::Gone;
    }

    fn stand(&mut self, recipe_state: RecipeState, context: &mut RecipeContext) {
        if !self.leaving {
            context.stand(&recipe_state);
            self.recipe_state = recipe_state;
        }
    }
}
