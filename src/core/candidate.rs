//! A candidate: one call of `go_to_election`. Its recipe says where it stands; whether it is told to be master,
//! the lease and the grace delay say. The caller hears each change once. A second candidature for the same path
//! waits until the first has left.

use std::sync::Arc;

use super::config::{Config, Recipe as Kind};
use super::desk::{unknown, Desk, Teller};
use super::fact::Fact;
use super::node::Node;
use super::outbox::Outbox;
use super::queue::Queue;
use super::recipe::{Input, Recipe};
use super::vocabulary::{rc, Action, PartyId, Reason, Role, Time, Value};

/// What a candidate stands with.
#[derive(Clone, Debug)]
pub struct Entry {
    pub id: PartyId,
    pub value: Value,
    /// A number that no other candidate ever has; in the names of a queue.
    pub guid: u128,
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
        let teller = Teller::new(id, value, config.grace_ms);
        Candidate { path, config, recipe, teller, successor: None }
    }

    pub fn handle(&mut self, now: Time, input: Input, lease_end: Option<Time>, outbox: &mut Outbox) {
        let down = match input {
            Input::Down(rc) => Some(rc),
            _ => None,
        };
        let mut desk = Desk::new(&self.path, &mut self.teller, lease_end, outbox);
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

    /// The caller of `id` has another value: for the znode that stands, and for those made later.
    pub fn set_value(
        &mut self,
        now: Time,
        id: PartyId,
        value: Value,
        lease_end: Option<Time>,
        outbox: &mut Outbox,
    ) {
        if self.teller.id() == id {
            self.teller.set_value(value.clone());
            self.handle(now, Input::SetValue(value), lease_end, outbox);
        } else if let Some(successor) = self.successor.as_mut().filter(|successor| successor.id == id) {
            successor.value = value;
        }
    }

    /// The caller of `id` resigns.
    pub fn resign(&mut self, now: Time, id: PartyId, outbox: &mut Outbox) {
        if self.teller.id() == id {
            if !self.teller.has_ended() {
                self.handle(now, Input::Leave(Reason::Resigned, rc::RESIGNED), None, outbox);
                outbox.actions.push_back(Action::Dismiss(id));
            }
        } else if self.successor.as_ref().is_some_and(|successor| successor.id == id) {
            self.successor = None;
            dismiss(id, Reason::Resigned, rc::RESIGNED, outbox);
        }
    }

    /// There is no session any more, and no other comes: say so to whoever still listens.
    pub fn end(&mut self, reason: Reason, rc: i32, outbox: &mut Outbox) {
        let listens = (!self.teller.has_ended()).then_some(self.teller.id());
        let successor = self.successor.take().map(|successor| successor.id);
        for id in listens.into_iter().chain(successor) {
            dismiss(id, reason, rc, outbox);
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

    pub fn describe(&self, now: Time) -> Fact {
        let of_teller = match self.teller.describe(now) {
            Fact::Named(facts) => facts,
            _ => Vec::new(),
        };
        let facts = Fact::from([("path", (&self.path).into()), ("recipe", self.config.recipe.name().into())]);
        of_teller
            .into_iter()
            .fold(facts, |facts, (name, fact)| facts.with(name, fact))
            .with("stands_again", self.successor.is_some())
            .with("machine", self.recipe.describe(now))
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
        self.teller.is_elected().then(|| self.recipe.own_path()).flatten()
    }

    /// Whether the lease held while the recipe was master.
    pub fn led(&self) -> bool {
        self.teller.led()
    }

    /// The token of the mastership that the caller was told of and that is not over.
    pub fn master_token(&self) -> Option<i64> {
        self.teller.told().filter(|event| event.role == Role::Master).map(|event| event.token)
    }
}

/// The last news of a candidate.
pub fn dismiss(id: PartyId, reason: Reason, rc: i32, outbox: &mut Outbox) {
    outbox.actions.push_back(Action::TellRole(id, unknown(reason, rc)));
    outbox.actions.push_back(Action::Dismiss(id));
}
