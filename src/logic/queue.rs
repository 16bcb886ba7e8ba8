//! The **queue** recipe (seed 002): each contender has an ephemeral sequential child of the path, and the lowest
//! child leads. Each contender watches only its predecessor. So the end of one contender wakes one other, however
//! many wait.
//!
//! - *A create without an answer may have been carried out*: before another create is sent, the candidate looks for
//!   the znode by the GUID in its name. In a dialect without a GUID, it looks by the session that owns the znode.
//! - *The first create of a session goes with the request for it* (`Trigger::Opening`). If nobody hears that the session
//!   stands, the znode that this create may have made is deleted as soon as a list shows it.
//! - *Only the contender behind the master reads the master's value*, in the request that leaves the watch: each
//!   change wakes this contender anyway. The other contenders would have to be woken only for that.
//! - *The predecessor may go between the list and the watch*: then the candidate lists the queue again at once.
//! - *Sequence numbers wrap*: they are compared as serial numbers.
//! - *Another client may delete our znode*: we watch it as well. If it is deleted, we step down and join again at the
//!   end.
//! - *The path itself may go*; containers do when they are empty. The candidate creates it again.
//! - *Once the counter is used up*, the numbers do not tell the order; the transaction that created a znode does. A
//!   contender that joins then asks once for the age of each contender in the queue.
//! - *A refusal for good* (`rc::is_for_good`) ends the candidate. One exception: the refusal of a list does not end a
//!   master, which needs no list of the others.
//! - *Contenders that the dialect does not count* (foreign ones) would have a master of their own. While one is in
//!   the queue, no candidate of ours is master, and the caller is told the reason. The master watches the queue, so
//!   it learns of a foreign contender that joins. So does the next in the queue. This wakes no other candidate
//!   ([`guard`]).
//! - *The next in the queue is master at the event* that tells of its predecessor's end, without another question
//!   ([`next`]).

mod guard;
mod next;
mod position;
mod value;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::config::{Config, Rule};
use super::context::{RecipeContext, RecipeState};
use super::dialect::{Dialect, Name};
use super::recipe::{Effort, Recipe};
use super::report::Report;
use super::retry::{Next, Retry};
use super::subscription::Trigger;
use super::types::{rc, Op, Reason, Reply, RequestId, SessionId, Stat, Time, Value, WatchEvent};

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// No connection exists, and no answer is expected.
    Offline,
    /// With the create, and the list that was asked for behind it and not answered.
    Joining(RequestId, Option<RequestId>),
    MakingParents(RequestId),
    /// Lists the queue to find a znode that may be ours.
    Finding(RequestId),
    /// Reads a znode that may be ours. If the read is not allowed, asks for its owner.
    Confirming {
        asked: RequestId,
        path: Arc<str>,
        is_read: bool,
    },
    /// Lists the queue to find our predecessor.
    Listing(RequestId),
    /// Outside the queue because of a foreign contender: lists the queue to see whether one is still in it.
    Scouting(RequestId),
    /// Asks for the age of the contenders in the queue.
    Ranking,
    /// Asks whether our predecessor still exists.
    Following(RequestId),
    /// First in the queue, or behind a watched predecessor.
    Waiting {
        refresh_at: Time,
    },
    Pausing(Time),
    Deleting(RequestId),
    /// The candidate has left, and nothing of it remains.
    Gone,
}

/// Our znode.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Own {
    path: Arc<str>,
    number: i32,
    czxid: i64,
    /// The number of changes of its value, as far as we know.
    version: i32,
}

/// The progress of a change of our znode's value.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Setting {
    Writing(RequestId, Value),
    /// Another client changed it: the candidate reads the version.
    Reading(RequestId),
}

#[derive(Debug)]
pub struct Queue {
    path: Arc<str>,
    value: Value,
    dialect: Dialect,
    /// The GUID in the name of the znode that we try to create; a new one for each lost znode.
    guid: u128,
    /// The first GUID of this session.
    first_guid: u128,
    state: State,
    recipe_state: RecipeState,
    own: Option<Own>,
    /// A create of ours had no answer.
    may_have_joined: bool,
    /// Znodes that may be ours and that we have not read yet.
    to_confirm: VecDeque<Arc<str>>,
    /// The contenders that were in the queue before us, with their czxids, where the numbers do not tell. The list in
    /// which we found them also had our znode. So every contender that is missing from this map came after us,
    /// whatever a later list shows.
    older: Option<BTreeMap<Arc<str>, i64>>,
    /// The contenders that have not reported their age yet, and in `ranked` the age of those that have.
    to_rank: BTreeMap<RequestId, Arc<str>>,
    ranked: BTreeMap<Arc<str>, i64>,
    /// The watch on our own znode: requested, or armed.
    own_watch: Option<RequestId>,
    /// The watch on our own znode is armed.
    own_is_watched: bool,
    /// Our predecessor.
    predecessor: Option<Arc<str>>,
    /// The predecessor leads, according to the last list.
    predecessor_leads: bool,
    /// The session that the predecessor's znode belongs to, if we may read the znode.
    predecessor_owner: Option<SessionId>,
    /// The watch on the predecessor.
    watch: Option<RequestId>,
    /// The watch on the contender before the predecessor: requested, or armed. And that contender.
    second: Option<(RequestId, Arc<str>)>,
    /// The contender before the predecessor went while another request was under way.
    second_is_gone: bool,
    /// Exactly these two are before us, according to the last list.
    is_third: bool,
    /// Nobody but the predecessor is before us, according to the last list.
    is_next: bool,
    /// How many more times the next may list the queue without a wait.
    eager_lists: u32,
    /// The queue has not changed since the last list, as far as the server has told on this connection.
    is_current: bool,
    /// A watch of the master, and of the next, on the queue: requested or armed; in `guard_due`, the moment at which
    /// to request it.
    guard: Option<RequestId>,
    guard_is_armed: bool,
    guard_due: Option<Time>,
    /// When the last list arrived, and how many names it had.
    listed: (Time, usize),
    /// A contender in the queue that the dialect does not count, if one is in it.
    foreign: Option<Arc<str>>,
    /// We took our znode out of the queue because of such a contender. We create it again once none is in the queue.
    withdrawn: bool,
    /// The caller has set a value that our znode may not have yet.
    value_due: bool,
    setting: Option<Setting>,
    /// We gave up our place: delete our znode before joining again.
    must_delete: bool,
    leaving: bool,
    /// The create was sent together with the request for the session, which does not stand yet.
    is_opening: bool,
    retry: Retry,
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
            own: None,
            may_have_joined: false,
            to_confirm: VecDeque::new(),
            older: None,
            to_rank: BTreeMap::new(),
            ranked: BTreeMap::new(),
            own_watch: None,
            own_is_watched: false,
            predecessor: None,
            predecessor_leads: false,
            predecessor_owner: None,
            watch: None,
            second: None,
            second_is_gone: false,
            is_third: false,
            is_next: false,
            eager_lists: 0,
            is_current: false,
            guard: None,
            guard_is_armed: false,
            guard_due: None,
            listed: (Time(0), 0),
            foreign: None,
            withdrawn: false,
            value_due: false,
            setting: None,
            must_delete: false,
            leaving: false,
            is_opening: false,
            retry: Retry::default(),
            config,
        }
    }
}

impl Recipe for Queue {
    fn is_gone(&self) -> bool {
        self.state == State::Gone
    }

    fn holds_session(&self) -> bool {
        self.own.is_some() || self.may_have_joined || matches!(self.state, State::Joining(..))
    }

    fn own_path(&self) -> Option<Arc<str>> {
        self.own.as_ref().map(|own| own.path.clone())
    }

    fn effort(&self) -> Effort {
        match (&self.predecessor, &self.second) {
            _ if self.own.is_none() || self.leaving || self.must_delete => Effort::Anchor,
            _ if self.is_next => Effort::Lease,
            (Some(_), Some(_)) => Effort::Session,
            _ => Effort::Anchor,
        }
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
            State::Joining(request, _) => ("joining", Some(request)),
            State::MakingParents(request) => ("making_parents", Some(request)),
            State::Finding(request) => ("finding", Some(request)),
            State::Confirming { asked, .. } => ("confirming", Some(asked)),
            State::Listing(request) => ("listing", Some(request)),
            State::Scouting(request) => ("scouting", Some(request)),
            // Several requests are under way; this is the oldest.
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
            ("is_next", self.is_next.into()),
            ("leads_at_the_event", self.takes_over().into()),
            ("watches_queue", self.guard.is_some().into()),
            ("foreign_contender", self.foreign.as_ref().into()),
            ("withdrawn", self.withdrawn.into()),
            ("must_delete", self.must_delete.into()),
            ("leaving", self.leaving.into()),
            ("failures_in_a_row", self.retry.failures().into()),
        ])
    }

    fn handle(&mut self, now: Time, trigger: Trigger, context: &mut RecipeContext) {
        if self.guard_due.is_some_and(|due| due <= now) && matches!(self.state, State::Waiting { .. }) {
            self.watch_queue(context);
        }
        match (self.state.clone(), trigger) {
            (State::Gone, _) => {}
            (State::Offline, Trigger::Opening) => {
                let is_new = self.own.is_none() && !self.may_have_joined && !self.leaving && !self.withdrawn;
                if is_new && self.retry.needs_no_wait() {
                    self.is_opening = true;
                    self.join(context);
                }
            }
            (_, Trigger::Up(session)) => {
                self.is_opening = false;
                self.retry.connected(session);
                if self.state == State::Offline {
                    self.start(now, context);
                }
            }
            (state, Trigger::Down(rc)) => {
                self.retry.disconnected();
                self.setting = None;
                // The next connection may tell what we missed in any order.
                self.is_current &= !self.config.keeps(Rule::ArmedHere);
                // A master stays master as long as the lease holds.
                if !self.is_master() {
                    self.stand(RecipeState::Unknown { reason: Reason::Suspended, rc }, context);
                }
                if matches!(state, State::Waiting { .. } | State::Pausing(_)) {
                    self.state = State::Offline;
                }
            }
            (_, Trigger::Over(reason, rc)) => {
                self.retry.disconnected();
                self.forget_own();
                self.first_guid = self.guid;
                self.watch = None;
                self.guard = None;
                self.guard_due = None;
                self.second = None;
                self.state = if self.leaving { State::Gone } else { State::Offline };
                self.stand(RecipeState::Unknown { reason, rc }, context);
            }
            (state, Trigger::LeaseExpired) => {
                self.must_delete = true;
                self.stand(RecipeState::Unknown { reason: Reason::LeaseExpired, rc: rc::LEASE_EXPIRED }, context);
                if matches!(state, State::Waiting { .. } | State::Pausing(_)) {
                    self.ask(context);
                }
            }
            (State::Waiting { .. }, Trigger::Doubt) => self.ask(context),
            (_, Trigger::Missing) if self.own.is_some() => self.lost_own(now, context),
            (_, Trigger::SetValue(value)) => {
                self.value = value;
                self.value_due = true;
                self.set_value(context);
            }
            (state, Trigger::Leave(reason, rc)) => {
                self.stand(RecipeState::Unknown { reason, rc }, context);
                self.leaving = true;
                match state {
                    _ if !self.config.keeps(Rule::ResignFindsOut) => self.gone(context),
                    State::Offline if !self.holds_session() => self.gone(context),
                    State::Waiting { .. } | State::Pausing(_) => self.ask(context),
                    _ => {} // the answer under way, or the next connection, shows what must be deleted
                }
            }

            (State::Joining(asked, list), Trigger::Reply(request, reply)) if asked == request => {
                if let (Some(list), false) = (list, matches!(reply, Reply::CreatedAs(..))) {
                    context.unwatch(list);
                }
                match reply {
                    Reply::CreatedAs(path, stat) => self.joined(path, stat, list, context),
                    Reply::Refused(rc::NO_NODE) if self.leaving => self.gone(context),
                    Reply::Refused(rc::NO_NODE) if self.retry.is_connected() => {
                        let op = Op::MakeParents { path: self.prefix() };
                        self.state = State::MakingParents(context.submit(op));
                    }
                    Reply::Refused(rc) => self.refused(now, rc, context),
                    // What it may have made belongs to a session that is not ours. The list after the next create shows
                    // it by its GUID.
                    _ if std::mem::take(&mut self.is_opening) => {
                        self.guid = self.guid.wrapping_add(1);
                        self.failed(now, context);
                    }
                    Reply::NotSent => self.failed(now, context),
                    _ => {
                        self.may_have_joined = self.config.keeps(Rule::LookForGuid);
                        self.failed(now, context);
                    }
                }
            }
            // Before the create: a server without `create2` is asked for the `Stat` of the znode after that.
            (State::Joining(asked, list), Trigger::Reply(request, _)) if list == Some(request) => {
                self.state = State::Joining(asked, None);
            }
            (State::MakingParents(asked), Trigger::Reply(request, reply)) if asked == request => match reply {
                _ if self.leaving => self.gone(context),
                Reply::Done if self.retry.is_connected() => self.ask(context),
                Reply::Refused(rc) => self.refused(now, rc, context),
                _ => self.failed(now, context),
            },
            (State::Finding(asked), Trigger::Reply(request, reply)) if asked == request => match reply {
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
            (State::Confirming { asked, path, is_read }, Trigger::Reply(request, reply)) if asked == request => {
                match reply {
                    Reply::Read(znode) => {
                        context.unwatch(request);
                        if self.is_ours(&znode.stat, context) {
                            self.joined(path, znode.stat, None, context);
                        } else {
                            self.confirm_next(context);
                        }
                    }
                    // Servers before 3.8.4 and 3.9.2 tell the owner also to clients that may not read the znode.
                    Reply::Refused(rc::NO_AUTH) if self.retry.is_connected() && is_read => {
                        let asked = context.submit(Op::Stat { path: path.clone() });
                        self.state = State::Confirming { asked, path, is_read: false };
                    }
                    // The GUID shows that it is ours. It has no use, because it could not be proved.
                    Reply::Refused(rc::NO_AUTH) if self.retry.is_connected() && self.dialect.has_guid() => {
                        self.may_have_joined = false;
                        self.own = Some(Own { path, number: 0, czxid: 0, version: 0 });
                        self.refused(now, rc::NO_AUTH, context);
                    }
                    Reply::Refused(rc::NO_AUTH) => {
                        context.give_up_session();
                        self.failed(now, context);
                    }
                    Reply::Stat(stat) if self.is_ours(&stat, context) => {
                        self.joined(path, stat, None, context);
                    }
                    Reply::Stat(_) => self.confirm_next(context),
                    Reply::Refused(rc::NO_NODE) => self.confirm_next(context),
                    Reply::Refused(rc) => self.refused(now, rc, context),
                    _ => self.failed(now, context),
                }
            }
            (State::Listing(asked), Trigger::Reply(request, reply)) if asked == request => match reply {
                Reply::Listed(names) if self.retry.is_connected() => {
                    self.retry.succeeded();
                    let is_guard = self.guard == Some(request);
                    self.guard_is_armed |= is_guard;
                    self.look(now, &names, context);
                    if is_guard && !self.guards() {
                        self.drop_guard(context);
                    }
                }
                reply => {
                    let is_guard = self.guard.take_if(|guard| *guard == request).is_some();
                    match reply {
                        Reply::Listed(_) => {
                            if is_guard {
                                context.unwatch(request);
                            }
                            self.state = State::Offline;
                        }
                        Reply::Refused(rc::NO_NODE) => self.lost_own(now, context),
                        Reply::Refused(rc) => self.refused(now, rc, context),
                        _ => self.failed(now, context),
                    }
                }
            },
            (State::Scouting(asked), Trigger::Reply(request, reply)) if asked == request => match reply {
                Reply::Listed(names) if self.retry.is_connected() => {
                    self.retry.succeeded();
                    self.scouted(&names, context);
                }
                Reply::Listed(_) => self.state = State::Offline,
                Reply::Refused(rc::NO_NODE) if self.retry.is_connected() => self.scouted(&[], context),
                Reply::Refused(rc::NO_NODE) => self.state = State::Offline,
                Reply::Refused(rc) => self.refused(now, rc, context),
                _ => self.failed(now, context),
            },
            (State::Ranking, Trigger::Reply(request, reply)) if self.to_rank.contains_key(&request) => {
                match reply {
                    Reply::Stat(Stat { czxid, .. }) => self.ranked(request, Some(czxid), context),
                    Reply::Refused(rc::NO_NODE) => self.ranked(request, None, context),
                    Reply::Refused(rc) => self.refused(now, rc, context),
                    _ => self.failed(now, context),
                }
            }
            (State::Following(asked), Trigger::Reply(request, reply)) if asked == request => match reply {
                Reply::Exists(there) => self.followed(now, request, there, context),
                // Another contender may use a name without a GUID by now.
                Reply::Read(znode) => {
                    let there = self.older.is_none() || self.is_older(znode.stat.czxid);
                    let owner = znode.stat.is_ephemeral().then_some(SessionId(znode.stat.ephemeral_owner));
                    self.predecessor_owner = owner;
                    if there && self.predecessor_leads && self.retry.is_connected() {
                        self.stand(RecipeState::Slave { master: znode.value, token: znode.stat.czxid }, context);
                    }
                    self.followed(now, request, there, context);
                }
                // ZooKeeper also tells clients that may not read a znode whether it exists.
                Reply::Refused(rc::NO_AUTH)
                    if self.predecessor_leads && self.older.is_none() && self.retry.is_connected() =>
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
                Reply::Refused(rc::NO_NODE) if self.retry.is_connected() => {
                    self.is_older(0);
                    self.ask(context);
                }
                Reply::Refused(rc::NO_NODE) => self.state = State::Offline,
                Reply::Refused(rc::NO_AUTH) if self.foreign.is_some() => self.look_again_later(now),
                Reply::Refused(rc) => self.refused(now, rc, context),
                _ => self.failed(now, context),
            },
            (State::Deleting(asked), Trigger::Reply(request, reply)) if asked == request => match reply {
                Reply::Done | Reply::Refused(rc::NO_NODE) => {
                    self.forget_own();
                    self.rejoin(now, context);
                }
                Reply::NotSent => self.failed(now, context),
                reply => {
                    // Without a GUID, the name may belong to another contender by the time of the next request.
                    if !self.dialect.has_guid() {
                        self.own = None;
                        self.may_have_joined = true;
                        // An answer that is still to come is about a znode that we do not know any more.
                        if let Some(watch) = self.own_watch.take() {
                            context.unwatch(watch);
                        }
                        self.own_is_watched = false;
                    }
                    match reply {
                        Reply::Refused(rc) => self.refused(now, rc, context),
                        _ => self.failed(now, context),
                    }
                }
            },

            (_, Trigger::Reply(request, reply)) if self.own_watch == Some(request) => match reply {
                Reply::Exists(true) => self.own_is_watched = true,
                Reply::Read(znode) if self.own.as_ref().is_some_and(|own| own.czxid == znode.stat.czxid) => {
                    self.own_is_watched = true;
                }
                Reply::Exists(false) if self.breaks_own_watch() => self.own_is_watched = true,
                Reply::Exists(false) | Reply::Read(_) => self.lost_own(now, context),
                Reply::Refused(rc::NO_NODE) => {
                    self.own_watch = None;
                    self.lost_own(now, context);
                }
                _ => self.own_watch = None, // requested again with the next connection, or at the next refresh
            },
            (_, Trigger::Reply(request, reply)) if self.setting_by() == Some(request) => {
                self.value_answered(now, request, reply, context);
            }
            (state, Trigger::WatchEvent(request, news)) if self.own_watch == Some(request) => {
                self.own_watch = None;
                self.own_is_watched = self.breaks_own_watch();
                match news {
                    WatchEvent::Deleted if !self.config.keeps(Rule::DeletedStepsDown) => {}
                    WatchEvent::Deleted if self.breaks_own_watch() => {}
                    WatchEvent::Deleted => self.lost_own(now, context),
                    _ if self.retry.is_connected() && state != State::Gone => self.watch_own(context),
                    _ => {}
                }
            }
            (state, Trigger::Reply(request, reply)) if self.guard == Some(request) => match reply {
                // The other requests under way end with a list as well.
                Reply::Listed(names) => {
                    self.guard_is_armed = true;
                    if matches!(state, State::Waiting { .. }) && self.guards() {
                        self.look(now, &names, context);
                    }
                }
                _ => self.guard = None, // requested again with the next connection, or at the next refresh
            },
            (state, Trigger::WatchEvent(request, _)) if self.guard == Some(request) => {
                self.guard = None;
                self.guard_is_armed = false;
                self.is_current &= !self.config.keeps(Rule::NoForeignContender);
                // A candidate that is deleting its znode needs no list; the deletion uses up the watch.
                if matches!(state, State::Waiting { .. }) && self.guards() {
                    self.queue_changed(now, context);
                }
            }
            (state, Trigger::WatchEvent(request, news)) if self.watch == Some(request) => {
                self.watch = None;
                if self.is_evidence(news) && self.takes_over() {
                    self.take_over(now, context);
                } else if matches!(state, State::Waiting { .. }) && self.config.keeps(Rule::ListAgain) {
                    self.ask(context);
                }
            }
            (_, Trigger::Reply(request, reply)) if self.is_second(request) => {
                self.second_answered(now, reply, context);
            }
            (_, Trigger::WatchEvent(request, _)) if self.is_second(request) => self.second_left(now, context),
            (State::Waiting { refresh_at }, Trigger::Tick) if now >= refresh_at => match self.predecessor.clone() {
                Some(predecessor) if !self.leaving && !self.must_delete => {
                    self.follow(predecessor, context);
                    self.set_value(context);
                }
                _ => {
                    self.drop_guard(context);
                    self.ask(context);
                }
            },
            (State::Pausing(until), Trigger::Tick) if now >= until => self.ask(context),
            // An answer about a place that we no longer have.
            (_, Trigger::Reply(request, Reply::Exists(_) | Reply::Read(_) | Reply::Listed(_))) => {
                context.unwatch(request)
            }
            (_, Trigger::Reply(..) | Trigger::WatchEvent(..) | Trigger::Tick) => {}
            (_, Trigger::Opening | Trigger::Doubt | Trigger::Missing) => {}
            // The candidate handles the others.
            (_, Trigger::End(..) | Trigger::Unsubscribe | Trigger::StandAgain(..) | Trigger::Fence(_)) => {}
        }
        if self.config.keeps_all() {
            self.check();
        }
    }
}

impl Queue {
    fn is_master(&self) -> bool {
        matches!(self.recipe_state, RecipeState::Master { .. })
    }

    /// The invariants between any two inputs.
    fn check(&self) {
        if self.is_master() {
            assert!(!self.withdrawn && self.foreign.is_none(), "no master beside a foreign contender");
            assert!(self.own.is_some(), "a master owns its znode");
            assert!(!self.must_delete && !self.leaving, "and means to keep it");
        }
        if matches!(self.state, State::Waiting { .. } | State::Pausing(_)) {
            assert!(self.retry.is_connected(), "to wait needs a connection");
        }
        if self.takes_over() {
            assert!(
                self.own.is_some() && self.foreign.is_none() && self.guard.is_some(),
                "the next stands and looks"
            );
        }
    }

    fn prefix(&self) -> Arc<str> {
        format!("{}/{}", self.path, self.dialect.prefix(self.guid)).into()
    }

    /// Continues the pending work: now, after a wait if several requests have failed, or with the next connection.
    fn start(&mut self, now: Time, context: &mut RecipeContext) {
        match self.retry.next(now) {
            Next::Now => self.ask(context),
            Next::After(until) => self.state = State::Pausing(until),
            Next::Offline => self.state = State::Offline,
        }
    }

    /// Does the next step that needs a connection.
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
            None => self.join(context),
        }
    }

    /// Creates our znode, and lists the queue behind that. A server answers the requests of a session in their order,
    /// so the list shows our znode and each one before it.
    fn join(&mut self, context: &mut RecipeContext) {
        self.value_due = false;
        let op = Op::CreateSequential { prefix: self.prefix(), value: self.value.clone() };
        let asked = context.submit(op);
        let list = context.submit(Op::List { path: self.path.clone(), sync: false, watch: false });
        self.state = State::Joining(asked, Some(list));
    }

    /// Our znode exists. `list` is the list that was asked for behind its create.
    fn joined(&mut self, path: Arc<str>, stat: Stat, list: Option<RequestId>, context: &mut RecipeContext) {
        self.retry.succeeded();
        self.may_have_joined = false;
        self.to_confirm.clear();
        let name = path.rsplit('/').next().unwrap_or_default();
        if let Name::Contender(number) = self.dialect.read(name) {
            // The former knowledge belongs to another place.
            self.older = None;
            let Stat { czxid, version, .. } = stat;
            self.own = Some(Own { path, number, czxid, version });
        }
        let stays = self.own.is_some() && !self.leaving && !self.must_delete;
        match (self.retry.session(), list) {
            (Some(_), Some(list)) if stays => {
                self.state = State::Listing(list);
                self.watch_own(context);
                self.set_value(context);
            }
            (session, list) => {
                if let Some(list) = list {
                    context.unwatch(list);
                }
                match session {
                    Some(_) => self.ask(context),
                    None => self.state = State::Offline,
                }
            }
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
        self.retry.session() == Some(SessionId(stat.ephemeral_owner)) && made
    }

    fn confirm_next(&mut self, context: &mut RecipeContext) {
        if !self.retry.is_connected() {
            self.state = State::Offline;
            return;
        }
        match self.to_confirm.pop_front() {
            Some(path) => {
                let asked = context.submit(Op::Read { path: path.clone(), sync: false, watch: true });
                self.state = State::Confirming { asked, path, is_read: true };
            }
            None => {
                // No znode of ours exists in the queue, and no create of ours is under way any more.
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
                // The path may be created again and count from 0 again: which contender's znode has our name?
                false => Op::Read { path, sync: false, watch: true },
            }));
        }
    }

    fn deleted(&mut self, context: &mut RecipeContext) {
        if self.is_master() {
            self.stand(RecipeState::Unknown { reason: Reason::Deleted, rc: rc::NO_NODE }, context);
        }
    }

    /// Our znode is gone, although this candidate did not delete it.
    fn lost_own(&mut self, now: Time, context: &mut RecipeContext) {
        self.deleted(context);
        if let Some(watch) = self.own_watch {
            context.unwatch(watch);
        }
        self.forget_own();
        self.rejoin(now, context);
    }

    /// No znode of ours exists any more.
    fn forget_own(&mut self) {
        self.own = None;
        // The deletion of a znode in the queue uses up the watch on the queue.
        self.guard = None;
        self.guard_is_armed = false;
        self.guard_due = None;
        self.own_watch = None;
        self.own_is_watched = false;
        self.second_is_gone = false;
        self.is_next = false;
        self.is_current = false;
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
        } else {
            self.start(now, context);
        }
    }

    /// ZooKeeper refused the request. It will probably refuse it again, so there is no retry at once, and no retry at
    /// all if the refusal is for good.
    fn refused(&mut self, now: Time, rc: i32, context: &mut RecipeContext) {
        // A master tries again later; its znode exists.
        if !self.is_master() {
            let for_good = rc::is_for_good(rc);
            let reason = if for_good { Reason::Denied } else { Reason::Refused };
            self.stand(RecipeState::Unknown { reason, rc }, context);
            if for_good && !self.leaving && self.retry.is_connected() {
                self.leaving = true;
                return self.ask(context);
            }
            self.leaving |= for_good;
        }
        self.retry.refused();
        self.failed(now, context);
    }

    fn failed(&mut self, now: Time, context: &mut RecipeContext) {
        self.to_rank.clear();
        self.retry.failed();
        if self.leaving && !self.holds_session() {
            self.gone(context);
        } else {
            self.start(now, context);
        }
    }

    fn gone(&mut self, context: &mut RecipeContext) {
        let second = self.second.take().map(|(watch, _)| watch);
        for watch in [self.own_watch.take(), self.watch.take(), self.guard.take(), second].into_iter().flatten() {
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
