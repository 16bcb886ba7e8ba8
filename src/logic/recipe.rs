//! What every recipe is: a machine that is told what happens and says where its candidate stands. Whether a
//! candidate whose recipe says "master" may believe it is the lease's affair, not the recipe's.

use std::fmt::Debug;
use std::sync::Arc;

use super::context::RecipeContext;
use super::report::Report;
use super::types::{Reason, Reply, RequestId, SessionId, Time, Value, WatchEvent};

/// How long a watch is trusted before what it watches is read again, in milliseconds.
pub const REFRESH_MS: u64 = 30_000;

pub trait Recipe: Debug + Send {
    fn handle(&mut self, now: Time, input: Input, context: &mut RecipeContext);

    /// When to be handed a `Tick`.
    fn deadline(&self) -> Option<Time>;

    /// The candidate has left, and nothing of it is left behind.
    fn is_gone(&self) -> bool;

    /// Whether giving up the session could cost this candidate something: its znode, or knowledge of it.
    fn holds_session(&self) -> bool;

    /// Our znode, while we know that we have one.
    fn own_path(&self) -> Option<Arc<str>>;

    /// What this machine is at.
    fn describe(&self, now: Time) -> Report;
}

/// What happens to a recipe.
#[derive(Clone, Debug)]
pub enum Input {
    /// The session is connected.
    Up(SessionId),
    /// The connection is broken; the session may live on. With ZooKeeper's number for why.
    Down(i32),
    /// The session is over: every znode and every watch of it is gone or going, no answer is to come. With what
    /// there is to say of it.
    Over(Reason, i32),
    Reply(RequestId, Reply),
    WatchEvent(RequestId, WatchEvent),
    /// The moment that `deadline` named has come.
    Tick,
    /// The lease of a master has run out.
    LeaseExpired,
    /// A proof that checked several znodes failed: look whether ours is there.
    Doubt,
    /// A proof has found that our znode is gone.
    Missing,
    /// The caller has another value from now on.
    SetValue(Value),
    /// The candidate is to leave, with this as its last news.
    Leave(Reason, i32),
}
