//! An observer: one call of `watch_master` (seeds 000 and 001). It knows the master at a path, and receives every
//! change. It watches one znode, also in a queue: the master's. A read leaves a watch only on an existing znode. If
//! no znode exists, `exists` leaves the watch; if a queue is empty, the list leaves it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::backoff::Backoff;
use super::config::Recipe;
use super::outbox::{Outbox, Subscription};
use super::recipe::{Trigger, REFRESH_MS};
use super::report::Report;
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
    connected: bool,
    /// The request that left the armed watch.
    armed: Option<RequestId>,
    backoff: Backoff,
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
            connected: false,
            armed: None,
            backoff: Backoff::default(),
            told: None,
        }
    }

    pub fn id(&self) -> SubscriptionId {
        self.id
    }

    /// Whether the observer has ended by itself.
    pub fn is_gone(&self) -> bool {
        self.state == State::Gone
    }

    pub fn describe(&self, now: Time) -> Report {
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
            ("failures_in_a_row", self.backoff.failures().into()),
        ]);
        reports.with("machine", machine)
    }

    pub fn deadline(&self) -> Option<Time> {
        match self.state {
            State::Watching { refresh_at } => Some(refresh_at),
            State::Pausing(until) => Some(until),
            _ => None,
        }
    }

    pub fn handle(&mut self, now: Time, trigger: Trigger, outbox: &mut Outbox) {
        match (self.state.clone(), trigger) {
            (State::Gone, _) => {}
            (state, Trigger::Up(_)) => {
                self.connected = true;
                if state == State::Offline {
                    self.start(now, outbox);
                }
            }
            (state, Trigger::Down(rc)) => {
                self.connected = false;
                self.tell(nobody(rc), outbox);
                if matches!(state, State::Watching { .. } | State::Pausing(_)) {
                    self.state = State::Offline;
                }
            }
            (_, Trigger::Over(_, rc)) => {
                self.connected = false;
                self.armed = None;
                self.state = State::Offline;
                self.tell(nobody(rc), outbox);
            }
            (State::Listing { asked, watch }, Trigger::Reply(request, reply)) if asked == request => match reply {
                Reply::Listed(names) => match (self.leading(&names), watch) {
                    (leading, watch) if !leading.is_empty() => {
                        if watch {
                            outbox.unwatch(request);
                        }
                        match self.connected {
                            true => self.choose(leading, outbox),
                            false => self.state = State::Offline,
                        }
                    }
                    (_, true) => {
                        self.arm(request, now, outbox);
                        if self.connected {
                            self.tell(nobody(rc::NO_NODE), outbox);
                        }
                    }
                    (_, false) if self.connected => self.list(true, outbox),
                    (_, false) => self.state = State::Offline,
                },
                Reply::Refused(rc::NO_NODE) if self.connected => self.check(outbox),
                reply => self.failed(now, reply, outbox),
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
                    reply => return self.failed(now, reply, outbox),
                }
                match oldest {
                    oldest if !asked.is_empty() => self.state = State::Ranking { asked, oldest },
                    _ if !self.connected => self.state = State::Offline,
                    Some((czxid, path)) => {
                        self.master = path;
                        self.oldest = Some(czxid);
                        self.read(outbox);
                    }
                    None => self.list(false, outbox),
                }
            }
            (State::Reading(asked), Trigger::Reply(request, reply)) if asked == request => match reply {
                // Another, younger znode has that name by now.
                Reply::Read(znode) if self.oldest.is_some_and(|czxid| czxid != znode.stat.czxid) => {
                    outbox.unwatch(request);
                    match self.connected {
                        true => self.list(false, outbox),
                        false => self.state = State::Offline,
                    }
                }
                Reply::Read(znode) => {
                    self.arm(request, now, outbox);
                    if self.connected {
                        let rc = if znode.stat.is_ephemeral() { rc::OK } else { rc::NOT_EPHEMERAL };
                        self.tell(Master { rc, value: znode.value, stat: znode.stat }, outbox);
                    }
                }
                Reply::Refused(rc::NO_NODE) if self.connected => match self.recipe {
                    Recipe::Node => self.check(outbox),
                    Recipe::Queue(_) => self.list(false, outbox),
                },
                reply => self.failed(now, reply, outbox),
            },
            (State::Checking(asked), Trigger::Reply(request, reply)) if asked == request => match reply {
                Reply::Exists(there) => {
                    self.arm(request, now, outbox);
                    if there && self.connected {
                        self.look(outbox);
                    } else if self.connected {
                        self.tell(nobody(rc::NO_NODE), outbox);
                    }
                }
                reply => self.failed(now, reply, outbox),
            },
            (state, Trigger::WatchEvent(request, _)) if self.armed == Some(request) => {
                self.armed = None;
                if matches!(state, State::Watching { .. }) {
                    self.look(outbox);
                }
            }
            (State::Watching { refresh_at }, Trigger::Tick) if now >= refresh_at => self.look(outbox),
            (State::Pausing(until), Trigger::Tick) if now >= until => self.look(outbox),
            (_, Trigger::Reply(..) | Trigger::WatchEvent(..) | Trigger::Tick) => {}
            (
                _,
                Trigger::LeaseExpired
                | Trigger::Doubt
                | Trigger::Missing
                | Trigger::SetValue(_)
                | Trigger::Leave(..),
            ) => {}
        }
        if matches!(self.state, State::Watching { .. }) {
            assert!(self.armed.is_some() && self.connected, "who watches has a watch");
        }
    }

    /// Ends the watch for the caller.
    pub fn stop(&mut self, outbox: &mut Outbox) {
        let asked = match self.state {
            State::Listing { asked, .. } | State::Reading(asked) | State::Checking(asked) => Some(asked),
            _ => None,
        };
        for request in self.armed.take().into_iter().chain(asked) {
            outbox.unwatch(request);
        }
        outbox.finish(self.id);
    }

    /// No session exists any more, and none will follow: the last event for the caller.
    pub fn end(&mut self, rc: i32, outbox: &mut Outbox) {
        self.tell(nobody(rc), outbox);
        outbox.finish(self.id);
    }

    fn submit(&self, op: Op, outbox: &mut Outbox) -> RequestId {
        outbox.submit(Subscription::Observer(self.path.clone()), op)
    }

    fn start(&mut self, now: Time, outbox: &mut Outbox) {
        match self.backoff.pause(now) {
            Some(until) => self.state = State::Pausing(until),
            None => self.look(outbox),
        }
    }

    fn look(&mut self, outbox: &mut Outbox) {
        match self.recipe {
            Recipe::Node => self.read(outbox),
            Recipe::Queue(_) => self.list(false, outbox),
        }
    }

    fn list(&mut self, watch: bool, outbox: &mut Outbox) {
        let op = Op::List { path: self.path.clone(), sync: false, watch };
        self.state = State::Listing { asked: self.submit(op, outbox), watch };
    }

    /// The znodes of the contenders in the queue among which the oldest leads.
    fn leading(&self, names: &[Arc<str>]) -> Vec<Arc<str>> {
        let Recipe::Queue(dialect) = self.recipe else { return Vec::new() };
        dialect.leading(names).into_iter().map(|name| format!("{}/{name}", self.path).into()).collect()
    }

    /// Reads the master's znode. If the numbers do not tell which one that is, first asks for the age of each
    /// contender.
    fn choose(&mut self, mut leading: Vec<Arc<str>>, outbox: &mut Outbox) {
        self.oldest = None;
        if leading.len() == 1 {
            self.master = leading.remove(0);
            return self.read(outbox);
        }
        let ask = |path: Arc<str>| (self.submit(Op::Stat { path: path.clone() }, outbox), path);
        let asked = leading.into_iter().map(ask).collect();
        self.state = State::Ranking { asked, oldest: None };
    }

    fn check(&mut self, outbox: &mut Outbox) {
        let op = Op::Exists { path: self.path.clone() };
        self.state = State::Checking(self.submit(op, outbox));
    }

    fn read(&mut self, outbox: &mut Outbox) {
        let op = Op::Read { path: self.master.clone(), sync: false, watch: true };
        self.state = State::Reading(self.submit(op, outbox));
    }

    /// The watch that came with this answer replaces the former one.
    fn arm(&mut self, request: RequestId, now: Time, outbox: &mut Outbox) {
        self.backoff.succeeded();
        if let Some(former) = self.armed.replace(request) {
            outbox.unwatch(former);
        }
        self.state = match self.connected {
            true => State::Watching { refresh_at: now.plus_ms(REFRESH_MS) },
            false => State::Offline,
        };
    }

    fn failed(&mut self, now: Time, reply: Reply, outbox: &mut Outbox) {
        if self.connected {
            self.backoff.failed();
        }
        if let Reply::Refused(rc) = reply {
            if rc::is_for_good(rc) {
                self.tell(nobody(rc), outbox);
                self.state = State::Gone;
                return self.stop(outbox);
            }
            self.backoff.failed();
            if rc != rc::NO_NODE {
                self.tell(nobody(rc), outbox);
            }
        }
        match self.connected {
            true => self.start(now, outbox),
            false => self.state = State::Offline,
        }
    }

    fn tell(&mut self, master: Master, outbox: &mut Outbox) {
        if self.told.as_ref() != Some(&master) {
            self.told = Some(master.clone());
            outbox.actions.push_back(Action::TellMaster(self.id, master));
        }
    }
}

fn nobody(rc: i32) -> Master {
    Master { rc, value: Value::from([]), stat: Stat::default() }
}
