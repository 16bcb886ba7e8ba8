//! A candidate: one call of `go_to_election`. It turns where its recipe stands into the events that the caller
//! hears, each once, and keeps a second candidature for the same path waiting until the first has left.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::node::{Input, Node, Standing};
use super::vocabulary::{rc, Action, Event, Op, PartyId, Reason, RequestId, Role, Time, Value};

/// Who asked for what: each open request, and each armed watch, belongs to a candidate or an observer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Party {
    Candidate(Arc<str>),
    Observer(Arc<str>),
}

/// What goes out: the actions in order, and who is to get the answers.
#[derive(Debug, Default)]
pub struct Outbox {
    pub actions: VecDeque<Action>,
    pub routes: BTreeMap<RequestId, Party>,
    last_request: u64,
}

impl Outbox {
    pub fn submit(&mut self, party: Party, op: Op) -> RequestId {
        self.last_request += 1;
        let request = RequestId(self.last_request);
        self.routes.insert(request, party);
        self.actions.push_back(Action::Submit(request, op));
        request
    }

    pub fn unwatch(&mut self, request: RequestId) {
        self.routes.remove(&request);
        self.actions.push_back(Action::Unwatch(request));
    }
}

/// What a recipe may do while it handles an input: ask ZooKeeper, and say where it stands.
pub struct Desk<'a> {
    path: &'a Arc<str>,
    id: PartyId,
    told: &'a mut Option<Event>,
    outbox: &'a mut Outbox,
}

impl Desk<'_> {
    pub fn submit(&mut self, op: Op) -> RequestId {
        self.outbox.submit(Party::Candidate(self.path.clone()), op)
    }

    pub fn unwatch(&mut self, request: RequestId) {
        self.outbox.unwatch(request);
    }

    /// Tell the caller, unless that is what the caller was told last.
    pub fn tell(&mut self, standing: &Standing, own: &Value) {
        let event = match standing {
            Standing::Unknown { reason, rc } => unknown(*reason, *rc),
            Standing::Slave { master, token } => Event {
                role: Role::Slave,
                reason: Reason::Following,
                rc: rc::NODE_EXISTS,
                value: master.clone(),
                token: *token,
            },
            Standing::Master { token } => {
                Event { role: Role::Master, reason: Reason::Elected, rc: rc::OK, value: own.clone(), token: *token }
            }
        };
        if self.told.as_ref() != Some(&event) {
            *self.told = Some(event.clone());
            self.outbox.actions.push_back(Action::TellRole(self.id, event));
        }
    }
}

fn unknown(reason: Reason, rc: i32) -> Event {
    Event { role: Role::Unknown, reason, rc, value: Value::from([]), token: 0 }
}

#[derive(Debug)]
pub struct Candidate {
    id: PartyId,
    path: Arc<str>,
    recipe: Node,
    told: Option<Event>,
    /// Stood again at the same path before the recipe had left it: it starts when that has.
    successor: Option<(PartyId, Value)>,
}

impl Candidate {
    pub fn new(id: PartyId, path: Arc<str>, value: Value) -> Candidate {
        Candidate { id, recipe: Node::new(path.clone(), value), path, told: None, successor: None }
    }

    pub fn handle(&mut self, now: Time, input: Input, outbox: &mut Outbox) {
        let mut desk = Desk { path: &self.path, id: self.id, told: &mut self.told, outbox };
        self.recipe.handle(now, input, &mut desk);
    }

    /// Stand again at this path, as soon as the candidate that resigned has left it.
    pub fn succeed(&mut self, id: PartyId, value: Value) {
        assert!(self.successor.is_none(), "one candidature at a time");
        self.successor = Some((id, value));
    }

    /// The caller of `id` resigns.
    pub fn resign(&mut self, now: Time, id: PartyId, outbox: &mut Outbox) {
        if self.id == id {
            self.handle(now, Input::Leave, outbox);
            outbox.actions.push_back(Action::Dismiss(id));
        } else if self.successor.as_ref().is_some_and(|(successor, _)| *successor == id) {
            self.successor = None;
            dismiss(id, Reason::Resigned, rc::RESIGNED, outbox);
        }
    }

    /// The handle is closed: say so to whoever still listens.
    pub fn close(&mut self, outbox: &mut Outbox) {
        let resigned = self.told.as_ref().is_some_and(|event| event.reason == Reason::Resigned);
        let successor = self.successor.take().map(|(id, _)| id);
        for id in (!resigned).then_some(self.id).into_iter().chain(successor) {
            dismiss(id, Reason::Closed, rc::CLOSING, outbox);
        }
    }

    /// Whether the recipe has left; then, who stands at this path next.
    pub fn is_gone(&self) -> bool {
        self.recipe.is_gone()
    }

    pub fn into_successor(self) -> Option<Candidate> {
        self.successor.map(|(id, value)| Candidate::new(id, self.path, value))
    }

    pub fn deadline(&self) -> Option<Time> {
        self.recipe.deadline()
    }

    pub fn holds_session(&self) -> bool {
        self.recipe.holds_session()
    }
}

fn dismiss(id: PartyId, reason: Reason, rc: i32, outbox: &mut Outbox) {
    outbox.actions.push_back(Action::TellRole(id, unknown(reason, rc)));
    outbox.actions.push_back(Action::Dismiss(id));
}
