//! The election logic, without I/O: events go in, actions come out, and `now` is a parameter.
//!
//! This module reads no clock, starts no thread, takes no lock, sends no byte and draws no random number. It keeps
//! everything in ordered collections. So the same events give the same actions, byte for byte. A test (and later a
//! simulated ensemble) can therefore drive the core through histories that no real ensemble can be made to show. The
//! driver calls
//!
//! - [`Elections::handle`] with each event, an [`Input`],
//! - [`Elections::poll_action`] until it is empty, to get the next actions,
//! - [`Elections::poll_timeout`] to get the moment of the next [`Input::Timeout`].
//!
//! The core imports nothing from the other layers; `tests/layers.rs` checks that.

mod candidate;
mod config;
mod context;
mod dialect;
mod elections;
mod fenced_write;
mod input;
mod lease;
mod members;
mod names;
mod node;
mod observer;
mod outbox;
mod question;
mod queue;
mod recipe;
mod report;
mod retry;
mod subscription;
mod types;

#[cfg(feature = "testing")]
pub use config::Rule;
pub use config::{Config, LeaseMode, Recipe};
pub use dialect::Dialect;
#[cfg(feature = "testing")]
pub use dialect::Name;
pub use elections::Elections;
pub use input::Input;
pub use report::Report;
pub use types::{
    rc, Action, Alarm, Call, CallId, Event, Master, Member, Members, Op, Outcome, Pace, Reason, Reply, RequestId,
    Role, SessionId, Stat, SubscriptionId, Time, Value, WatchEvent, Write, Znode,
};
