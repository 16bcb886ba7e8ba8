//! A candidate: one call of `go_to_election`. Its recipe decides whether it is elected. The lease and the grace delay
//! decide whether it is told that it is master. The caller receives each change once. A second candidacy for the same
//! path waits until the first one has left.

use std::sync::Arc;

use super::config::{Config, Recipe as Kind};
use super::context::{unknown, RecipeContext, RoleReporter};
use super::node::Node;
use super::outbox::Outbox;
use super::queue::Queue;
use super::recipe::{Effort, Recipe};
use super::report::Report;
use super::subscription::{Context, Subscription, Trigger};
use super::types::{rc, Action, Reason, Role, SubscriptionId, Time, Value};

/// The data of a candidate.
#[derive(Clone, Debug)]
pub struct Entry {
    pub id: SubscriptionId,
    pub value: Value,
    /// A number that no other candidate ever has. It appears in the names of a queue.
    pub guid: u128,
    /// The candidate leaves by itself when its mastership ends.
    pub once: bool,
}

#[derive(Debug)]
pub struct Candidate {
    path: Arc<str>,
    config: Config,
    recipe: Box<dyn Recipe>,
    reporter: RoleReporter,
    once: bool,
    /// A candidacy at the same path that was started before the recipe had left the path. It starts when the recipe
    /// has left.
    successor: Option<Entry>,
}

impl Candidate {
    pub fn new(path: Arc<str>, entry: Entry, config: Config) -> Candidate {
        let Entry { id, value, guid, once } = entry;
        let recipe: Box<dyn Recipe> = match config.recipe {
            Kind::Node => Box::new(Node::new(path.clone(), value.clone(), config)),
            Kind::Queue(dialect) => Box::new(Queue::new(path.clone(), value.clone(), guid, dialect, config)),
        };
        let reporter = RoleReporter::new(id, value, config);
        Candidate { path, config, recipe, reporter, once, successor: None }
    }

    fn advance(&mut self, now: Time, trigger: Trigger, lease_end: Option<Time>, outbox: &mut Outbox) {
        let down = match trigger {
            Trigger::Down(rc) => Some(rc),
            _ => None,
        };
        let mut context = RecipeContext::new(&self.path, &mut self.reporter, lease_end, outbox);
        self.recipe.handle(now, trigger, &mut context);
        self.reporter.review(lease_end, outbox);
        if let Some(rc) = down {
            self.reporter.suspended(rc, outbox);
        }
        if self.once && self.reporter.has_lost() {
            self.resign(now, outbox);
        }
    }

    /// The candidacy of the caller starts again at this path, as soon as the former one has left it. Without a
    /// connection, `down` gives the reason.
    fn stand_again(&mut self, entry: Entry, down: Option<i32>, outbox: &mut Outbox) {
        assert!(self.successor.is_none() && self.reporter.has_ended(), "one candidacy at a time");
        if let Some(rc) = down {
            outbox.actions.push_back(Action::TellRole(entry.id, unknown(Reason::Suspended, rc)));
        }
        self.successor = Some(entry);
    }

    /// The caller sets another value, for the existing znode and for those created later.
    fn set_value(&mut self, now: Time, value: Value, lease_end: Option<Time>, outbox: &mut Outbox) {
        if let Some(successor) = &mut self.successor {
            successor.value = value;
        } else if !self.reporter.has_ended() {
            self.reporter.set_value(value.clone());
            self.advance(now, Trigger::SetValue(value), lease_end, outbox);
        }
    }

    /// The caller ends the candidacy: the present one, or the one that has not started yet.
    fn resign(&mut self, now: Time, outbox: &mut Outbox) {
        if let Some(successor) = self.successor.take() {
            finish(successor.id, Reason::Resigned, rc::RESIGNED, outbox);
        } else if !self.reporter.has_ended() {
            self.advance(now, Trigger::Leave(Reason::Resigned, rc::RESIGNED), None, outbox);
            outbox.finish(self.reporter.id());
        }
    }

    /// No session exists any more, and none will follow: tells this to each listener that has not ended.
    fn end(&mut self, reason: Reason, rc: i32, outbox: &mut Outbox) {
        let listens = (!self.reporter.has_ended()).then_some(self.reporter.id());
        let successor = self.successor.take().map(|successor| successor.id);
        for id in listens.into_iter().chain(successor) {
            finish(id, reason, rc, outbox);
        }
    }

    pub fn path(&self) -> Arc<str> {
        self.path.clone()
    }

    /// Whether the candidate could lose something if the session is given up.
    pub fn holds_session(&self) -> bool {
        self.recipe.holds_session()
    }

    /// The znode with which the recipe is master, whether or not the lease allows the candidate to believe it.
    pub fn elected_by(&self) -> Option<Arc<str>> {
        self.reporter.is_elected().then(|| self.recipe.own_path()).flatten()
    }

    /// What the candidate needs of its session.
    pub fn effort(&self) -> Effort {
        if self.reporter.is_elected() {
            Effort::Lease
        } else {
            self.recipe.effort()
        }
    }

    /// The znode that the proofs check, if the candidate works for a lease.
    pub fn proved_by(&self) -> Option<Arc<str>> {
        (self.effort() == Effort::Lease).then(|| self.recipe.own_path()).flatten()
    }

    /// Whether the lease held while the recipe was master.
    pub fn led(&self) -> bool {
        self.reporter.led()
    }

    /// The token of the mastership that the caller was told of and that is not over.
    pub fn master_token(&self) -> Option<i64> {
        self.reporter.told().filter(|event| event.role == Role::Master).map(|event| event.token)
    }
}

impl Subscription for Candidate {
    fn handle(&mut self, now: Time, trigger: Trigger, context: &mut Context) {
        let lease_end = context.lease_end;
        match trigger {
            Trigger::StandAgain(entry, down) => self.stand_again(entry, down, context.outbox),
            Trigger::SetValue(value) => self.set_value(now, value, lease_end, context.outbox),
            Trigger::Unsubscribe => self.resign(now, context.outbox),
            Trigger::End(reason, rc) => self.end(reason, rc, context.outbox),
            trigger => self.advance(now, trigger, lease_end, context.outbox),
        }
    }

    fn deadline(&self) -> Option<Time> {
        self.recipe.deadline().into_iter().chain(self.reporter.deadline()).min()
    }

    fn is_gone(&self) -> bool {
        self.recipe.is_gone()
    }

    fn into_successor(self: Box<Self>) -> Option<Box<dyn Subscription>> {
        let (path, config) = (self.path, self.config);
        self.successor.map(|entry| Box::new(Candidate::new(path, entry, config)) as Box<dyn Subscription>)
    }

    fn candidate(&self) -> Option<&Candidate> {
        Some(self)
    }

    fn describe(&self, now: Time) -> Report {
        let of_reporter = match self.reporter.describe(now) {
            Report::Named(reports) => reports,
            _ => Vec::new(),
        };
        let reports = Report::from([("path", (&self.path).into()), ("recipe", self.config.recipe.name().into())]);
        of_reporter
            .into_iter()
            .fold(reports, |reports, (name, report)| reports.with(name, report))
            .with("stands_again", self.successor.is_some())
            .with("machine", self.recipe.describe(now))
    }
}

/// The last event of a candidate.
fn finish(id: SubscriptionId, reason: Reason, rc: i32, outbox: &mut Outbox) {
    outbox.actions.push_back(Action::TellRole(id, unknown(reason, rc)));
    outbox.finish(id);
}
