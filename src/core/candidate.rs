//! A candidate: one call of `go_to_election`. Its recipe says where it stands; whether it is told to be master,
//! the lease and the grace delay say. The caller hears each change once. A second candidature for the same path
//! waits until the first has left.

use std::sync::Arc;

use super::config::{Config, Recipe as Kind};
use super::node::Node;
use super::outbox::{Outbox, Party};
use super::queue::Queue;
use super::recipe::{Input, Recipe, Standing};
use super::vocabulary::{rc, Action, Event, Op, PartyId, Reason, RequestId, Role, Time, Value};

/// What a candidate stands with.
#[derive(Clone, Debug)]
pub struct Entry {
    pub id: PartyId,
    pub value: Value,
    /// A number that no other candidate ever has; in the names of a queue.
    pub guid: u128,
}

/// What a recipe may do while it handles an input: ask ZooKeeper, and say where it stands.
pub struct Desk<'a> {
    path: &'a Arc<str>,
    teller: &'a mut Teller,
    lease_end: Option<Time>,
    outbox: &'a mut Outbox,
}

impl Desk<'_> {
    pub fn submit(&mut self, op: Op) -> RequestId {
        self.outbox.submit(Party::Candidate(self.path.clone()), op)
    }

    pub fn unwatch(&mut self, request: RequestId) {
        self.outbox.unwatch(request);
    }

    pub fn stand(&mut self, standing: &Standing) {
        self.teller.stand(standing, self.lease_end, self.outbox);
    }
}

/// Turns where the recipe stands into what the caller hears.
#[derive(Debug)]
struct Teller {
    id: PartyId,
    value: Value,
    grace_ms: u64,
    /// The token with which the recipe is master, and since when.
    elected: Option<(i64, Time)>,
    /// The lease held while the recipe was master: should it run out, that mastership is over.
    led: bool,
    told: Option<Event>,
}

impl Teller {
    fn stand(&mut self, standing: &Standing, lease_end: Option<Time>, outbox: &mut Outbox) {
        match standing {
            Standing::Master { token } => {
                if self.elected.is_none_or(|(former, _)| former != *token) {
                    self.elected = Some((*token, outbox.now));
                }
                self.review(lease_end, outbox);
            }
            Standing::Slave { master, token } => {
                self.unseat();
                let (role, reason, rc) = (Role::Slave, Reason::Following, rc::NODE_EXISTS);
                self.tell(Event { role, reason, rc, value: master.clone(), token: *token }, outbox);
            }
            Standing::Unknown { reason, rc } => {
                self.unseat();
                self.tell(unknown(*reason, *rc), outbox);
            }
        }
    }

    fn unseat(&mut self) {
        self.elected = None;
        self.led = false;
    }

    /// Tells the one who is elected, once the lease and the grace delay allow.
    fn review(&mut self, lease_end: Option<Time>, outbox: &mut Outbox) {
        let Some((token, since)) = self.elected else { return };
        if lease_end.is_none_or(|end| end <= outbox.now) {
            return;
        }
        self.led = true;
        if since.plus_ms(self.grace_ms) > outbox.now {
            self.tell(unknown(Reason::Grace, rc::GRACE), outbox);
        } else {
            let (role, reason, rc) = (Role::Master, Reason::Elected, rc::OK);
            self.tell(Event { role, reason, rc, value: self.value.clone(), token }, outbox);
        }
    }

    /// Whoever is elected, and never had a lease, knows nothing while the connection is broken.
    fn suspended(&mut self, rc: i32, outbox: &mut Outbox) {
        if self.elected.is_some() && !self.led {
            self.tell(unknown(Reason::Suspended, rc), outbox);
        }
    }

    fn deadline(&self) -> Option<Time> {
        let in_grace = self.told.as_ref().is_some_and(|event| event.reason == Reason::Grace);
        self.elected.filter(|_| in_grace).map(|(_, since)| since.plus_ms(self.grace_ms))
    }

    /// Tell the caller, unless that is what the caller was told last.
    fn tell(&mut self, event: Event, outbox: &mut Outbox) {
        if self.told.as_ref() != Some(&event) {
            self.told = Some(event.clone());
            outbox.actions.push_back(Action::TellRole(self.id, event));
        }
    }
}

fn unknown(reason: Reason, rc: i32) -> Event {
    Event { role: Role::Unknown, reason, rc, value: Value::from([]), token: 0 }
}

#[derive(Debug)]
pub struct Candidate {
    path: Arc<str>,
    config: Config,
    recipe: Box<dyn Recipe>,
    teller: Teller,
    /// Stood again at the same path before the recipe had left it: it starts when that has.
    successor: Option<Entry>,
}

impl Candidate {
    pub fn new(path: Arc<str>, entry: Entry, config: Config) -> Candidate {
        let Entry { id, value, guid } = entry;
        let recipe: Box<dyn Recipe> = match config.recipe {
            Kind::Node => Box::new(Node::new(path.clone(), value.clone(), config)),
            Kind::Queue(dialect) => Box::new(Queue::new(path.clone(), value.clone(), guid, dialect, config)),
        };
        let teller = Teller { id, value, grace_ms: config.grace_ms, elected: None, led: false, told: None };
        Candidate { path, config, recipe, teller, successor: None }
    }

    pub fn handle(&mut self, now: Time, input: Input, lease_end: Option<Time>, outbox: &mut Outbox) {
        let down = match input {
            Input::Down(rc) => Some(rc),
            _ => None,
        };
        let mut desk = Desk { path: &self.path, teller: &mut self.teller, lease_end, outbox };
        self.recipe.handle(now, input, &mut desk);
        self.teller.review(lease_end, outbox);
        if let Some(rc) = down {
            self.teller.suspended(rc, outbox);
        }
    }

    /// Stand again at this path, as soon as the candidate that resigned has left it. Without a connection, `down`
    /// says why.
    pub fn succeed(&mut self, entry: Entry, down: Option<i32>, outbox: &mut Outbox) {
        assert!(self.successor.is_none(), "one candidature at a time");
        if let Some(rc) = down {
            outbox.actions.push_back(Action::TellRole(entry.id, unknown(Reason::Suspended, rc)));
        }
        self.successor = Some(entry);
    }

    /// The caller of `id` resigns.
    pub fn resign(&mut self, now: Time, id: PartyId, outbox: &mut Outbox) {
        if self.teller.id == id {
            self.handle(now, Input::Leave, None, outbox);
            outbox.actions.push_back(Action::Dismiss(id));
        } else if self.successor.as_ref().is_some_and(|successor| successor.id == id) {
            self.successor = None;
            dismiss(id, Reason::Resigned, rc::RESIGNED, outbox);
        }
    }

    /// The handle is closed: say so to whoever still listens.
    pub fn close(&mut self, outbox: &mut Outbox) {
        let resigned = self.teller.told.as_ref().is_some_and(|event| event.reason == Reason::Resigned);
        let successor = self.successor.take().map(|successor| successor.id);
        for id in (!resigned).then_some(self.teller.id).into_iter().chain(successor) {
            dismiss(id, Reason::Closed, rc::CLOSING, outbox);
        }
    }

    /// Whether the recipe has left; then, who stands at this path next.
    pub fn is_gone(&self) -> bool {
        self.recipe.is_gone()
    }

    pub fn into_successor(self) -> Option<Candidate> {
        let (path, config) = (self.path, self.config);
        self.successor.map(|entry| Candidate::new(path, entry, config))
    }

    /// When the recipe or the grace delay wants to be looked at.
    pub fn deadline(&self) -> Option<Time> {
        self.recipe.deadline().into_iter().chain(self.teller.deadline()).min()
    }

    pub fn holds_session(&self) -> bool {
        self.recipe.holds_session()
    }

    /// The znode with which the recipe is master, whether or not the lease allows to believe it.
    pub fn elected_by(&self) -> Option<Arc<str>> {
        self.teller.elected.and_then(|_| self.recipe.own_path())
    }

    /// Whether the lease held while the recipe was master.
    pub fn led(&self) -> bool {
        self.teller.led
    }

    /// The token of the mastership that the caller was told of and that is not over.
    pub fn master_token(&self) -> Option<i64> {
        self.teller.told.as_ref().filter(|event| event.role == Role::Master).map(|event| event.token)
    }
}

fn dismiss(id: PartyId, reason: Reason, rc: i32, outbox: &mut Outbox) {
    outbox.actions.push_back(Action::TellRole(id, unknown(reason, rc)));
    outbox.actions.push_back(Action::Dismiss(id));
}
