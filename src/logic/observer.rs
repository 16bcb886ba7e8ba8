//! An observer: one call of `watch_master` (seeds 000 and 001). It knows the master at a path, and receives every
//! change. It watches one znode, also in a queue: the master's. A read leaves a watch only on an existing znode. If
//! no znode exists, `exists` leaves the watch; if a queue is empty, the list leaves it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::config::Recipe;
use super::report::Report;
use super::retry::{Next, Retry};
use super::subscription::{Context, Subscription, Trigger, REFRESH_MS};
use super::types::{rc, Action, Master, Op, Reply, RequestId, Stat, SubscriptionId, Time, Value};

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Offline,
    /// Lists the queue to find its first contender; `watch` is true if the queue was empty the last time.
    Listing {
        asked: RequestId,
        watch: bool,
    },
    /// Asks for the age of the contenders among which the oldest leads. `asked` holds those that have not answered,
    /// and `oldest` the oldest that has.
    Ranking {
        asked: BTreeMap<RequestId, Arc<str>>,
        oldest: Option<(i64, Arc<str>)>,
    },
    Reading(RequestId),
    /// No znode was there to read: checks whether one is there now.
    Checking(RequestId),
    Watching {
        refresh_at: Time,
    },
    Pausing(Time),
    /// A request was refused for good.
    Gone,
}

#[derive(Debug)]
pub struct Observer {
    id: SubscriptionId,
    path: Arc<str>,
    recipe: Recipe,
    /// The master's znode, as far as we know: the path itself, or the first in the queue.
    master: Arc<str>,
    /// The czxid of the master's znode, where we had to ask for the age.
    oldest: Option<i64>,
    state: State,
    /// The request that left the armed watch.
    armed: Option<RequestId>,
    retry: Retry,
    told: Option<Master>,
}

impl Observer {
    pub fn new(id: SubscriptionId, path: Arc<str>, recipe: Recipe) -> Observer {
        Observer {
            id,
            master: path.clone(),
            path,
            recipe,
            oldest: None,
            state: State::Offline,
            armed: None,
            retry: Retry::default(),
            told: None,
        }
    }
}

impl Subscription for Observer {
    fn is_gone(&self) -> bool {
        self.state == State::Gone
    }

    fn describe(&self, now: Time) -> Report {
        let (state, request) = match &self.state {
            State::Offline => ("offline", None),
            State::Listing { asked, .. } => ("listing", Some(*asked)),
            // Several requests are under way; this is the oldest.
            State::Ranking { asked, .. } => ("ranking", asked.keys().next().copied()),
            State::Reading(asked) => ("reading", Some(*asked)),
            State::Checking(asked) => ("checking", Some(*asked)),
            State::Watching { .. } => ("watching", None),
            State::Pausing(_) => ("pausing", None),
            State::Gone => ("gone", None),
        };
        let told = self.told.as_ref();
        let value = told.map_or(&[][..], |master| &master.value);
        let reports = Report::from([
            ("path", (&self.path).into()),
            ("rc", told.map(|master| master.rc).into()),
            ("token", told.map(|master| master.stat.czxid).into()),
            ("session_id", told.map(|master| Report::session(master.stat.ephemeral_owner)).into()),
        ]);
        let reports =
            Report::value(value).into_iter().fold(reports, |reports, (name, report)| reports.with(name, report));
        let machine = Report::from([
            ("state", state.into()),
            ("request", request.map(|request| request.0).into()),
            ("next_in_ms", self.deadline().map(|at| Report::ms_between(now.0, at.0)).into()),
            ("watched_znode", self.armed.map(|_| &self.master).into()),
            ("failures_in_a_row", self.retry.failures().into()),
        ]);
        reports.with("machine", machine)
    }

    fn deadline(&self) -> Option<Time> {
        match self.state {
            State::Watching { refresh_at } => Some(refresh_at),
            State::Pausing(until) => Some(until),
            _ => None,
        }
    }

    fn handle(&mut self, now: Time, trigger: Trigger, context: &mut Context) {
        match (self.state.clone(), trigger) {
            (State::Gone, _) => {}
            (_, Trigger::Unsubscribe) => self.stop(context),
            (_, Trigger::End(_, rc)) => self.end(rc, context),
            (state, Trigger::Up(session)) => {
                self.retry.connected(session);
                if state == State::Offline {
                    self.start(now, context);
                }
            }
            (state, Trigger::Down(rc)) => {
                self.retry.disconnected();
                self.tell(nobody(rc), context);
                if matches!(state, State::Watching { .. } | State::Pausing(_)) {
                    self.state = State::Offline;
                }
            }
            (_, Trigger::Over(_, rc)) => {
                self.retry.disconnected();
                self.armed = None;
                self.state = State::Offline;
                self.tell(nobody(rc), context);
            }
            (State::Listing { asked, watch }, Trigger::Reply(request, reply)) if asked == request => match reply {
                Reply::Listed(names) => match (self.leading(&names), watch) {
                    (leading, watch) if !leading.is_empty() => {
                        if watch {
                            context.unwatch(request);
                        }
                        match self.retry.is_connected() {
                            true => self.choose(leading, context),
                            false => self.state = State::Offline,
                        }
                    }
                    (_, true) => {
                        self.arm(request, now, context);
                        if self.retry.is_connected() {
                            self.tell(nobody(rc::NO_NODE), context);
                        }
                    }
                    (_, false) if self.retry.is_connected() => self.list(true, context),
                    (_, false) => self.state = State::Offline,
                },
                Reply::Refused(rc::NO_NODE) if self.retry.is_connected() => self.check(context),
                reply => self.failed(now, reply, context),
            },
            (State::Ranking { mut asked, mut oldest }, Trigger::Reply(request, reply))
                if asked.contains_key(&request) =>
            {
                let path = asked.remove(&request);
                match reply {
                    Reply::Stat(stat) => {
                        let this = path.map(|path| (stat.czxid, path));
                        oldest = oldest.into_iter().chain(this).min();
                    }
                    Reply::Refused(rc::NO_NODE) => {}
                    reply => return self.failed(now, reply, context),
                }
                match oldest {
                    oldest if !asked.is_empty() => self.state = State::Ranking { asked, oldest },
                    _ if !self.retry.is_connected() => self.state = State::Offline,
                    Some((czxid, path)) => {
                        self.master = path;
                        self.oldest = Some(czxid);
                        self.read(context);
                    }
                    None => self.list(false, context),
                }
            }
            (State::Reading(asked), Trigger::Reply(request, reply)) if asked == request => match reply {
                // Another, younger znode has that name by now.
                Reply::Read(znode) if self.oldest.is_some_and(|czxid| czxid != znode.stat.czxid) => {
                    context.unwatch(request);
                    match self.retry.is_connected() {
                        true => self.list(false, context),
                        false => self.state = State::Offline,
                    }
                }
                Reply::Read(znode) => {
                    self.arm(request, now, context);
                    if self.retry.is_connected() {
                        let rc = if znode.stat.is_ephemeral() { rc::OK } else { rc::NOT_EPHEMERAL };
                        self.tell(Master { rc, value: znode.value, stat: znode.stat }, context);
                    }
                }
                Reply::Refused(rc::NO_NODE) if self.retry.is_connected() => match self.recipe {
                    Recipe::Node => self.check(context),
                    Recipe::Queue(_) => self.list(false, context),
                },
                reply => self.failed(now, reply, context),
            },
            (State::Checking(asked), Trigger::Reply(request, reply)) if asked == request => match reply {
                Reply::Exists(there) => {
                    self.arm(request, now, context);
                    if there && self.retry.is_connected() {
                        self.look(context);
                    } else if self.retry.is_connected() {
                        self.tell(nobody(rc::NO_NODE), context);
                    }
                }
                reply => self.failed(now, reply, context),
            },
            (state, Trigger::WatchEvent(request, _)) if self.armed == Some(request) => {
                self.armed = None;
                if matches!(state, State::Watching { .. }) {
                    self.look(context);
                }
            }
            (State::Watching { refresh_at }, Trigger::Tick) if now >= refresh_at => self.look(context),
            (State::Pausing(until), Trigger::Tick) if now >= until => self.look(context),
            (_, Trigger::Reply(..) | Trigger::WatchEvent(..) | Trigger::Tick) => {}
            // For candidates and writes.
            (_, Trigger::LeaseExpired | Trigger::Doubt | Trigger::Missing | Trigger::Leave(..)) => {}
            (_, Trigger::Opening | Trigger::SetValue(_) | Trigger::StandAgain(..) | Trigger::Fence(_)) => {}
        }
        if matches!(self.state, State::Watching { .. }) {
            assert!(self.armed.is_some() && self.retry.is_connected(), "who watches has a watch");
        }
    }
}

impl Observer {
    /// The caller gets no more events.
    fn stop(&mut self, context: &mut Context) {
        let asked = match self.state {
            State::Listing { asked, .. } | State::Reading(asked) | State::Checking(asked) => Some(asked),
            _ => None,
        };
        for request in self.armed.take().into_iter().chain(asked) {
            context.unwatch(request);
        }
        self.state = State::Gone;
        context.finish(self.id);
    }

    /// No session exists any more, and none will follow: the last event for the caller.
    fn end(&mut self, rc: i32, context: &mut Context) {
        self.tell(nobody(rc), context);
        context.finish(self.id);
    }

    fn start(&mut self, now: Time, context: &mut Context) {
        match self.retry.next(now) {
            Next::Now => self.look(context),
            Next::After(until) => self.state = State::Pausing(until),
            Next::Offline => self.state = State::Offline,
        }
    }

    fn look(&mut self, context: &mut Context) {
        match self.recipe {
            Recipe::Node => self.read(context),
            Recipe::Queue(_) => self.list(false, context),
        }
    }

    fn list(&mut self, watch: bool, context: &mut Context) {
        let op = Op::List { path: self.path.clone(), sync: false, watch };
        self.state = State::Listing { asked: context.submit(op), watch };
    }

    /// The znodes of the contenders in the queue among which the oldest leads.
    fn leading(&self, names: &[Arc<str>]) -> Vec<Arc<str>> {
        let Recipe::Queue(dialect) = self.recipe else { return Vec::new() };
        dialect.leading(names).into_iter().map(|name| format!("{}/{name}", self.path).into()).collect()
    }

    /// Reads the master's znode. If the numbers do not tell which one that is, first asks for the age of each
    /// contender.
    fn choose(&mut self, mut leading: Vec<Arc<str>>, context: &mut Context) {
        self.oldest = None;
        if leading.len() == 1 {
            self.master = leading.remove(0);
            return self.read(context);
        }
        let ask = |path: Arc<str>| (context.submit(Op::Stat { path: path.clone() }), path);
        let asked = leading.into_iter().map(ask).collect();
        self.state = State::Ranking { asked, oldest: None };
    }

    fn check(&mut self, context: &mut Context) {
        let op = Op::Exists { path: self.path.clone() };
        self.state = State::Checking(context.submit(op));
    }

    fn read(&mut self, context: &mut Context) {
        let op = Op::Read { path: self.master.clone(), sync: false, watch: true };
        self.state = State::Reading(context.submit(op));
    }

    /// The watch that came with this answer replaces the former one.
    fn arm(&mut self, request: RequestId, now: Time, context: &mut Context) {
        self.retry.succeeded();
        if let Some(former) = self.armed.replace(request) {
            context.unwatch(former);
        }
        self.state = match self.retry.is_connected() {
            true => State::Watching { refresh_at: now.plus_ms(REFRESH_MS) },
            false => State::Offline,
        };
    }

    fn failed(&mut self, now: Time, reply: Reply, context: &mut Context) {
        self.retry.failed();
        if let Reply::Refused(rc) = reply {
            if rc::is_for_good(rc) {
                self.tell(nobody(rc), context);
                self.state = State::Gone;
                return self.stop(context);
            }
            self.retry.refused();
            if rc != rc::NO_NODE {
                self.tell(nobody(rc), context);
            }
        }
        self.start(now, context);
    }

    fn tell(&mut self, master: Master, context: &mut Context) {
        if self.told.as_ref() != Some(&master) {
            self.told = Some(master.clone());
            context.tell(Action::TellMaster(self.id, master));
        }
    }
}

fn nobody(rc: i32) -> Master {
    Master { rc, value: Value::from([]), stat: Stat::default() }
}
