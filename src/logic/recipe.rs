//! The trait that every recipe implements: a state machine that takes events and reports the state of its candidate.
//! When a recipe says "master", the lease decides whether the candidate may believe it. The recipe does not know the
//! lease.

use std::fmt::Debug;
use std::sync::Arc;

use super::context::RecipeContext;
use super::report::Report;
use super::types::{Reason, Reply, RequestId, SessionId, Time, Value, WatchEvent};

/// How long the recipe trusts a watch before it reads the watched znode again, in milliseconds.
pub const REFRESH_MS: u64 = 30_000;

pub trait Recipe: Debug + Send {
    fn handle(&mut self, now: Time, trigger: Trigger, context: &mut RecipeContext);

    /// The moment at which the recipe wants a `Tick`.
    fn deadline(&self) -> Option<Time>;

    /// Whether the candidate has left, and nothing of it remains.
    fn is_gone(&self) -> bool;

    /// Whether the candidate could lose something if the session is given up: its znode, or its knowledge of a znode.
    fn holds_session(&self) -> bool;

    /// Our znode, while we know that we have one.
    fn own_path(&self) -> Option<Arc<str>>;

    /// The present state of this machine.
    fn describe(&self, now: Time) -> Report;
}

/// An event that a recipe handles.
#[derive(Clone, Debug)]
pub enum Trigger {
    /// The session is connected.
    Up(SessionId),
    /// The connection is broken, for this reason (a number of ZooKeeper's). The session may live on.
    Down(i32),
    /// The session is over: all its znodes and watches are gone or will go, and no answer follows. With the reason
    /// and ZooKeeper's number.
    Over(Reason, i32),
    Reply(RequestId, Reply),
    WatchEvent(RequestId, WatchEvent),
    /// The moment that `deadline` named has arrived.
    Tick,
    /// The lease of a master has run out.
    LeaseExpired,
    /// A proof that checked several znodes failed: check whether our znode still exists.
    Doubt,
    /// A proof has found that our znode is gone.
    Missing,
    /// The caller sets another value from now on.
    SetValue(Value),
    /// The candidate must leave. This is its last event.
    Leave(Reason, i32),
}
