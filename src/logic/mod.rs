//! The election logic, without I/O: events in, actions out, and `now` is a parameter.
//!
//! Nothing here reads a clock, starts a thread, takes a lock, sends a byte or draws a random number, and
//! everything is kept in ordered collections: the same events give the same actions, byte for byte. That is
//! what lets a test (and later a simulated ensemble) drive it through histories which no real ensemble can be
//! made to show. Whoever drives it calls
//!
//! - the `handle_*` methods and the caller's verbs of [`Elections`] with what has happened,
//! - [`Elections::poll_action`] until it is empty, for what is to be done,
//! - [`Elections::poll_timeout`] for the moment at which to call [`Elections::handle_timeout`].
//!
//! The core imports nothing of the other layers; `tests/layers.rs` holds it to that.

mod backoff;
mod candidate;
mod config;
mod context;
mod dialect;
mod elections;
mod lease;
mod members;
mod names;
mod node;
mod observer;
mod outbox;
mod queue;
mod recipe;
mod report;
mod types;

pub use config::{Config, LeaseMode, Recipe, Rule};
pub use dialect::{Dialect, Name};
pub use elections::Elections;
pub use report::Report;
pub use types::{
    rc, Action, Alarm, Event, Master, Member, Members, Op, Reason, Reply, RequestId, Role, SessionId, Stat,
    SubscriptionId, Time, Value, WatchEvent, Znode,
};
