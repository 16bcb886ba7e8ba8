//! An observer: one call of `watch_master` (seeds 000 and 001). It knows who is master at a path, and hears of
//! every change. A read leaves a watch only where there is something to read, so where nothing is, the watch is
//! left by `exists` instead.

use std::sync::Arc;

use super::backoff::Backoff;
use super::candidate::{Outbox, Party};
use super::node::{Input, REFRESH_MS};
use super::vocabulary::{rc, Action, Master, Op, PartyId, Reply, RequestId, Stat, Time, Value};

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Offline,
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
    state: State,
    connected: bool,
    /// The request whose watch is armed.
    armed: Option<RequestId>,
    backoff: Backoff,
    told: Option<Master>,
}

impl Observer {
    pub fn new(id: PartyId, path: Arc<str>) -> Observer {
        Observer {
            id,
            path,
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
            (State::Reading(asked), Input::Reply(request, reply)) if asked == request => match reply {
                Reply::Read(znode) => {
                    self.arm(request, now, outbox);
                    if self.connected {
                        self.tell(Master { rc: rc::OK, value: znode.value, stat: znode.stat }, outbox);
                    }
                }
                Reply::Refused(rc::NO_NODE) if self.connected => {
                    let op = Op::Exists { path: self.path.clone() };
                    self.state = State::Checking(self.submit(op, outbox));
                }
                reply => self.failed(now, reply, outbox),
            },
            (State::Checking(asked), Input::Reply(request, reply)) if asked == request => match reply {
                Reply::Exists(there) => {
                    self.arm(request, now, outbox);
                    if there && self.connected {
                        self.read(outbox);
                    } else if self.connected {
                        self.tell(nobody(rc::NO_NODE), outbox);
                    }
                }
                reply => self.failed(now, reply, outbox),
            },
            (state, Input::News(request, _)) if self.armed == Some(request) => {
                self.armed = None;
                if matches!(state, State::Watching { .. }) {
                    self.read(outbox);
                }
            }
            (State::Watching { refresh_at }, Input::Tick) if now >= refresh_at => self.read(outbox),
            (State::Pausing(until), Input::Tick) if now >= until => self.read(outbox),
            (_, Input::Reply(..) | Input::News(..) | Input::Tick | Input::Leave) => {}
        }
        if matches!(self.state, State::Watching { .. }) {
            assert!(self.armed.is_some() && self.connected, "who watches has a watch");
        }
    }

    /// The caller watches no longer.
    pub fn stop(&mut self, outbox: &mut Outbox) {
        if let Some(armed) = self.armed.take() {
            outbox.unwatch(armed);
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
            None => self.read(outbox),
        }
    }

    fn read(&mut self, outbox: &mut Outbox) {
        let op = Op::Read { path: self.path.clone(), sync: false };
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
        self.backoff.failed();
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
