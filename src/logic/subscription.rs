//! A subscription: a state machine that works for one caller. Candidates, observers and watchers of members are
//! subscriptions, and so are questions and fenced writes, which end with their answer. `Elections` keeps them all in one map, gives each its triggers, and knows nothing of their states.

use std::fmt::Debug;
use std::sync::Arc;

use super::candidate::{Candidate, Entry};
use super::outbox::Outbox;
use super::report::Report;
use super::types::{
    Action, CallId, Op, Reason, Reply, RequestId, SessionId, SubscriptionId, Time, Value, WatchEvent,
};

/// How long a subscription trusts a watch before it reads the watched znode again, in milliseconds.
pub const REFRESH_MS: u64 = 30_000;

pub trait Subscription: Debug + Send {
    fn handle(&mut self, now: Time, trigger: Trigger, context: &mut Context);

    /// The moment at which the subscription wants a `Tick`.
    fn deadline(&self) -> Option<Time>;

    /// Whether nothing of the subscription remains.
    fn is_gone(&self) -> bool;

    /// The subscription that starts when this one is gone.
    fn into_successor(self: Box<Self>) -> Option<Box<dyn Subscription>> {
        None
    }

    /// The candidate, if this is one. Only candidates need a lease.
    fn candidate(&self) -> Option<&Candidate> {
        None
    }

    /// The path of the election on whose mastership a write depends.
    fn election(&self) -> Option<&Arc<str>> {
        None
    }

    /// The present state of this machine.
    fn describe(&self, now: Time) -> Report;
}

/// What a subscription is, and where. Each open request, and each armed watch, belongs to a key. The candidates come
/// first in their order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    Candidate(Arc<str>),
    Observer(Arc<str>),
    Members(Arc<str>),
    Call(CallId),
    /// The lease sends requests too. It is not a subscription.
    Lease,
}

impl Key {
    /// The names of the kind and of the path, for diagnostics.
    pub fn names(&self) -> (&'static str, Option<&Arc<str>>) {
        match self {
            Key::Candidate(path) => ("candidate", Some(path)),
            Key::Observer(path) => ("observer", Some(path)),
            Key::Members(path) => ("members", Some(path)),
            Key::Call(_) => ("call", None),
            Key::Lease => ("lease", None),
        }
    }
}

/// An event that a subscription handles.
#[derive(Clone, Debug)]
pub enum Trigger {
    /// A new session is asked for, and requests can be sent with that. `Up` follows. If it does not, the requests have
    /// no known outcome, and what they made is not ours.
    Opening,
    /// The session is connected.
    Up(SessionId),
    /// The connection is broken, for this reason (a number of ZooKeeper's). The session may live on.
    Down(i32),
    /// The session is over: all its znodes and watches are gone or will go, and no answer follows. With the reason
    /// and ZooKeeper's number.
    Over(Reason, i32),
    /// No session exists any more, and none will follow: the caller gets its last event.
    End(Reason, i32),
    Reply(RequestId, Reply),
    WatchEvent(RequestId, WatchEvent),
    /// The moment that `deadline` named has arrived.
    Tick,
    /// The caller ends the subscription.
    Unsubscribe,
    /// Of a candidate: the caller sets another value from now on.
    SetValue(Value),
    /// Of a candidate that the caller has ended: the caller stands at the same path again. Without a connection, with
    /// the reason.
    StandAgain(Entry, Option<i32>),
    /// Of a candidate: the lease of a master has run out.
    LeaseExpired,
    /// Of a candidate: a proof that checked several znodes failed. Check whether our znode still exists.
    Doubt,
    /// Of a candidate: a proof has found that our znode is gone.
    Missing,
    /// Of a candidate: it must leave. This is its last event.
    Leave(Reason, i32),
    /// Of a fenced write: a connection exists. With our znode at the path of the election, if we are master there.
    Fence(Option<Arc<str>>),
}

/// The operations of a subscription while it handles a trigger.
pub struct Context<'a> {
    pub key: &'a Key,
    pub lease_end: Option<Time>,
    pub outbox: &'a mut Outbox,
}

impl Context<'_> {
    pub fn submit(&mut self, op: Op) -> RequestId {
        self.outbox.submit(self.key.clone(), op)
    }

    /// Drops the watch that a request left, or would leave. Its answer is not needed then.
    pub fn unwatch(&mut self, request: RequestId) {
        self.outbox.unwatch(request);
    }

    pub fn tell(&mut self, action: Action) {
        self.outbox.actions.push_back(action);
    }

    /// The caller gets no more events.
    pub fn finish(&mut self, id: SubscriptionId) {
        self.outbox.finish(id);
    }
}
