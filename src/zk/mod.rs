//! The ZooKeeper session, without I/O: bytes go in, bytes and events come out, and `now` is a parameter.
//!
//! This module reads no clock, starts no thread, takes no lock and draws no random number, like `logic`. The driver
//! offers it one connection at a time and moves the bytes:
//!
//! - [`Session::handle_connected`], [`Session::handle_bytes`], [`Session::handle_disconnected`] and
//!   [`Session::handle_timeout`] report what has happened;
//! - [`Session::poll_transmit`] hands out the bytes to send, [`Session::handle_transmitted`] says how many of them the
//!   socket has taken;
//! - [`Session::poll_event`] hands out what the driver and the core must know;
//! - [`Session::poll_timeout`] is the moment at which to call [`Session::handle_timeout`].
//!
//! It imports the vocabulary of `logic` and nothing else of ours; `tests/layers.rs` checks that.

mod cause;
mod exchange;
mod jute;
mod messages;
mod outgoing;
mod servers;
mod session;
mod settings;
mod watches;

#[cfg(feature = "testing")]
pub use crate::logic::Pace;
pub use cause::Cause;
pub use messages::error::SESSION_CLOSED_REQUIRES_SASL as DEMANDS_MORE;
#[cfg(feature = "testing")]
pub use messages::opcode;
pub use servers::{Next, Servers};
pub use session::{Event, Orphan, Session};
#[cfg(feature = "testing")]
pub use settings::Rule;
pub use settings::{AclEntry, Credential, Settings, FRAME_LIMIT};
