//! The context of a recipe: it sends requests to ZooKeeper, and turns the recipe's state into the events that the
//! caller receives. When a recipe is elected, the lease and the grace delay decide whether the caller is told that it
//! is master.

use std::sync::Arc;

use super::config::{Config, Rule};
use super::outbox::Outbox;
use super::report::Report;
use super::subscription::Key;
use super::types::{rc, Action, Event, Op, Reason, RequestId, Role, SubscriptionId, Time, Value};

/// The state of a candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecipeState {
    Unknown { reason: Reason, rc: i32 },
    Slave { master: Value, token: i64 },
    Master { token: i64 },
}

/// The operations of a recipe while it handles an input: send requests to ZooKeeper, and report its state.
pub struct RecipeContext<'a> {
    path: &'a Arc<str>,
    reporter: &'a mut RoleReporter,
    lease_end: Option<Time>,
    outbox: &'a mut Outbox,
}

impl<'a> RecipeContext<'a> {
    pub fn new(
        path: &'a Arc<str>,
        reporter: &'a mut RoleReporter,
        lease_end: Option<Time>,
        outbox: &'a mut Outbox,
    ) -> RecipeContext<'a> {
        RecipeContext { path, reporter, lease_end, outbox }
    }

    pub fn submit(&mut self, op: Op) -> RequestId {
        self.outbox.submit(Key::Candidate(self.path.clone()), op)
    }

    pub fn unwatch(&mut self, request: RequestId) {
        self.outbox.unwatch(request);
    }

    /// A znode of ours may exist that we are not able to find. So the session must end, and the znode with it, as
    /// soon as no candidate leads in the session.
    pub fn give_up_session(&mut self) {
        self.outbox.session_is_given_up = true;
    }

    /// Whether the transaction `czxid` may have made a znode that we made in this session.
    pub fn may_have_made(&self, czxid: i64) -> bool {
        self.outbox.may_have_made(self.path, czxid)
    }

    pub fn stand(&mut self, recipe_state: &RecipeState) {
        self.reporter.stand(recipe_state, self.lease_end, self.outbox);
    }
}

/// Turns the state of the recipe into the events that the caller receives.
#[derive(Debug)]
pub struct RoleReporter {
    id: SubscriptionId,
    value: Value,
    grace_ms: u64,
    /// The token with which the recipe is master, and the moment when it became master.
    elected: Option<(i64, Time)>,
    /// The lease held while the recipe was master. If the lease then runs out, that mastership is over.
    led: bool,
    told: Option<Event>,
    /// The caller was told that a mastership ended.
    lost: bool,
    /// Always, except in a test that breaks this rule.
    waits_for_lease: bool,
}

impl RoleReporter {
    pub fn new(id: SubscriptionId, value: Value, config: Config) -> RoleReporter {
        let (grace_ms, waits_for_lease) = (config.grace_ms, config.keeps(Rule::LeaseFirst));
        RoleReporter { id, value, grace_ms, elected: None, led: false, told: None, lost: false, waits_for_lease }
    }

    pub fn id(&self) -> SubscriptionId {
        self.id
    }

    /// Sets the value that the next MASTER event carries. A present master does not get a new event.
    pub fn set_value(&mut self, value: Value) {
        self.value = value;
    }

    /// The last event that the caller received.
    pub fn told(&self) -> Option<&Event> {
        self.told.as_ref()
    }

    /// Whether the caller has received its last event.
    pub fn has_ended(&self) -> bool {
        self.told.as_ref().is_some_and(|event| event.reason.is_last())
    }

    /// Whether a mastership has ended that the caller was told of, and the caller has not received its last event.
    pub fn has_lost(&self) -> bool {
        self.lost && !self.has_ended()
    }

    /// Whether the recipe is master, with or without a lease.
    pub fn is_elected(&self) -> bool {
        self.elected.is_some()
    }

    /// Whether the lease held while the recipe was master.
    pub fn led(&self) -> bool {
        self.led
    }

    fn stand(&mut self, recipe_state: &RecipeState, lease_end: Option<Time>, outbox: &mut Outbox) {
        match recipe_state {
            RecipeState::Master { token } => {
                if self.elected.is_none_or(|(former, _)| former != *token) {
                    self.elected = Some((*token, outbox.now));
                }
                self.review(lease_end, outbox);
            }
            RecipeState::Slave { master, token } => {
                self.unseat();
                let (role, reason, rc) = (Role::Slave, Reason::Following, rc::NODE_EXISTS);
                self.tell(Event { role, reason, rc, value: master.clone(), token: *token }, outbox);
            }
            RecipeState::Unknown { reason, rc } => {
                self.unseat();
                self.tell(unknown(*reason, *rc), outbox);
                if *reason == Reason::Denied {
                    outbox.finish(self.id);
                }
            }
        }
    }

    fn unseat(&mut self) {
        self.elected = None;
        self.led = false;
    }

    /// Tells the elected candidate that it is master, once the lease and the grace delay allow it.
    pub fn review(&mut self, lease_end: Option<Time>, outbox: &mut Outbox) {
        let Some((token, since)) = self.elected else { return };
        if lease_end.is_none_or(|end| end <= outbox.now) && self.waits_for_lease {
            return;
        }
        self.led = true;
        if since.plus_ms(self.grace_ms) > outbox.now {
            self.tell(unknown(Reason::Grace, rc::GRACE), outbox);
        } else if self.told.as_ref().is_none_or(|told| told.role != Role::Master || told.token != token) {
            let (role, reason, rc) = (Role::Master, Reason::Elected, rc::OK);
            self.tell(Event { role, reason, rc, value: self.value.clone(), token }, outbox);
        }
    }

    /// A candidate that is elected, and never had a lease, has the role UNKNOWN while the connection is broken.
    pub fn suspended(&mut self, rc: i32, outbox: &mut Outbox) {
        if self.elected.is_some() && !self.led {
            self.tell(unknown(Reason::Suspended, rc), outbox);
        }
    }

    pub fn deadline(&self) -> Option<Time> {
        let in_grace = self.told.as_ref().is_some_and(|event| event.reason == Reason::Grace);
        self.elected.filter(|_| in_grace).map(|(_, since)| since.plus_ms(self.grace_ms))
    }

    pub fn describe(&self, now: Time) -> Report {
        let told = self.told.as_ref();
        let value = told.map_or(&[][..], |event| &event.value);
        let reports = Report::from([
            ("role", told.map(|event| event.role.name()).into()),
            ("reason", told.map(|event| event.reason.name()).into()),
            ("rc", told.map(|event| event.rc).into()),
            ("token", told.map(|event| event.token).into()),
            ("elected", self.elected.is_some().into()),
            ("elected_for_ms", self.elected.map(|(_, since)| Report::ms_between(since.0, now.0)).into()),
            ("led", self.led.into()),
            ("grace_left_ms", self.deadline().map(|at| Report::ms_between(now.0, at.0)).into()),
        ]);
        Report::value(value).into_iter().fold(reports, |reports, (name, report)| reports.with(name, report))
    }

    /// Tells the caller, unless the caller already received the same event.
    fn tell(&mut self, event: Event, outbox: &mut Outbox) {
        if self.told.as_ref() != Some(&event) {
            let is_master = |event: &Event| event.role == Role::Master;
            self.lost |= self.told.as_ref().is_some_and(is_master) && !is_master(&event);
            self.told = Some(event.clone());
            outbox.actions.push_back(Action::TellRole(self.id, event));
        }
    }
}

pub fn unknown(reason: Reason, rc: i32) -> Event {
    Event { role: Role::Unknown, reason, rc, value: Value::from([]), token: 0 }
}
