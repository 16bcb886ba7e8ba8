//! An observer: one call of `watch_master` (seeds 000 and 001). It knows who is master at a path, and hears of
//! every change. It watches one znode, in a queue as well: that of the master. A read leaves a watch only where
//! there is something to read; where nothing is, the watch is left by `exists`, and on an empty queue by the list.

use std::sync::Arc;

use super::backoff::Backoff;
use super::config::Recipe;
use super::outbox::{Outbox, Party};
use super::recipe::{Input, REFRESH_MS};
use super::vocabulary::{rc, Action, Master, Op, PartyId, Reply, RequestId, Stat, Time, Value};

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Offline,
    /// Looks for the first of a queue; `watch` when nobody was there the last time.
    Listing {
        asked: RequestId,
        watch: bool,
    },
    Reading(RequestId),
    /// Nothing was there to read: is there still nothing?
    Checking(RequestId),
    Watching {
        refresh_at: Time,
    },
    Pausing(Time),
}

#[derive(Debug)]
pub struct Observer {
    id: PartyId,
    path: Arc<str>,
    recipe: Recipe,
    /// The master's znode, as far as we know: the path itself, or the first in the queue.
    master: Arc<str>,
    state: State,
    connected: bool,
    /// The request whose watch is armed.
    armed: Option<RequestId>,
    backoff: Backoff,
    told: Option<Master>,
}

impl Observer {
    pub fn new(id: PartyId, path: Arc<str>, recipe: Recipe) -> Observer {
        Observer {
            id,
            master: path.clone(),
            path,
            recipe,
            state: State::Offline,
            connected: false,
            armed: None,
            backoff: Backoff::default(),
            told: None,
        }
    }

    pub fn id(&self) -> PartyId {
        self.id
    }

    pub fn deadline(&self) -> Option<Time> {
        match self.state {
            State::Watching { refresh_at } => Some(refresh_at),
            State::Pausing(until) => Some(until),
            _ => None,
        }
    }

    pub fn handle(&mut self, now: Time, input: Input, outbox: &mut Outbox) {
        match (self.state.clone(), input) {
            (state, Input::Up(_)) => {
                self.connected = true;
                if state == State::Offline {
                    self.start(now, outbox);
                }
            }
            (state, Input::Down(rc)) => {
                self.connected = false;
                self.tell(nobody(rc), outbox);
                if matches!(state, State::Watching { .. } | State::Pausing(_)) {
                    self.state = State::Offline;
                }
            }
            (_, Input::Over(_, rc)) => {
                self.connected = false;
                self.armed = None;
                self.state = State::Offline;
                self.tell(nobody(rc), outbox);
            }
            (State::Listing { asked, watch }, Input::Reply(request, reply)) if asked == request => match reply {
                Reply::Listed(names) => match (self.first(&names), watch) {
                    (Some(first), watch) => {
                        if watch {
                            outbox.unwatch(request);
                        }
                        self.master = first;
                        match self.connected {
                            true => self.read(outbox),
                            false => self.state = State::Offline,
                        }
                    }
                    (None, true) => {
                        self.arm(request, now, outbox);
                        if self.connected {
                            self.tell(nobody(rc::NO_NODE), outbox);
                        }
                    }
                    (None, false) if self.connected => self.list(true, outbox),
                    (None, false) => self.state = State::Offline,
                },
                Reply::Refused(rc::NO_NODE) if self.connected => self.check(outbox),
                reply => self.failed(now, reply, outbox),
            },
            (State::Reading(asked), Input::Reply(request, reply)) if asked == request => match reply {
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
            (State::Checking(asked), Input::Reply(request, reply)) if asked == request => match reply {
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
            (state, Input::News(request, _)) if self.armed == Some(request) => {
                self.armed = None;
                if matches!(state, State::Watching { .. }) {
                    self.look(outbox);
                }
            }
            (State::Watching { refresh_at }, Input::Tick) if now >= refresh_at => self.look(outbox),
            (State::Pausing(until), Input::Tick) if now >= until => self.look(outbox),
            (_, Input::Reply(..) | Input::News(..) | Input::Tick) => {}
            (_, Input::Lapsed | Input::Doubt | Input::Missing | Input::Leave) => {}
        }
        if matches!(self.state, State::Watching { .. }) {
            assert!(self.armed.is_some() && self.connected, "who watches has a watch");
        }
    }

    /// The caller watches no longer.
    pub fn stop(&mut self, outbox: &mut Outbox) {
        let asked = match self.state {
            State::Listing { asked, .. } | State::Reading(asked) | State::Checking(asked) => Some(asked),
            _ => None,
        };
        for request in self.armed.take().into_iter().chain(asked) {
            outbox.unwatch(request);
        }
        outbox.actions.push_back(Action::Dismiss(self.id));
    }

    /// The handle is closed: the last thing that the caller hears.
    pub fn close(&mut self, outbox: &mut Outbox) {
        self.tell(nobody(rc::CLOSING), outbox);
        outbox.actions.push_back(Action::Dismiss(self.id));
    }

    fn submit(&self, op: Op, outbox: &mut Outbox) -> RequestId {
        outbox.submit(Party::Observer(self.path.clone()), op)
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

    /// The znode of the first in the queue.
    fn first(&self, names: &[Arc<str>]) -> Option<Arc<str>> {
        let Recipe::Queue(dialect) = self.recipe else { return None };
        let first = dialect.in_order(names).into_iter().next()?;
        Some(format!("{}/{first}", self.path).into())
    }

    fn check(&mut self, outbox: &mut Outbox) {
        let op = Op::Exists { path: self.path.clone() };
        self.state = State::Checking(self.submit(op, outbox));
    }

    fn read(&mut self, outbox: &mut Outbox) {
        let op = Op::Read { path: self.master.clone(), sync: false };
        self.state = State::Reading(self.submit(op, outbox));
    }

    /// The watch that came with this answer takes the place of the former one.
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
