//! The trait that every recipe implements: a state machine that takes events and reports the state of its candidate.
//! When a recipe says "master", the lease decides whether the candidate may believe it. The recipe does not know the
//! lease.

use std::fmt::Debug;
use std::sync::Arc;

use super::context::RecipeContext;
use super::report::Report;
use super::subscription::Trigger;
use super::types::Time;

/// What a candidate needs of its session while it is not elected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effort {
    /// Only that it lives: others are before us, and one of them is before our predecessor.
    Session,
    /// An anchor, so that one proof gives a lease when the candidate is elected.
    Anchor,
    /// A lease: the candidate may be elected at any moment.
    Lease,
}

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

    /// What the candidate needs of its session while it is not elected.
    fn effort(&self) -> Effort;

    /// The present state of this machine.
    fn describe(&self, now: Time) -> Report;
}
