//! The only code that uses ZooKeeper, sockets, threads and clocks. It performs the core's actions, and turns answers,
//! watch events, states of the connection and time into the core's events.
//!
//! One thread, `election-io`, serves the sessions of the process ([`io::reactor`]), but for those in loop mode, which the
//! program serves ([`io::program_loop`]). Each session is one task ([`session`]), which moves the bytes of a `zk::Session`.

mod access;
mod clock;
mod connect_cause;
mod counters;
mod diagnostics;
mod events;
pub mod failpoint;
pub mod fork;
pub mod guid;
pub mod hosts;
mod inbox;
mod io;
pub mod log;
pub mod sasl;
mod secret;
mod session;
mod telemetry;
pub mod thread;
pub mod tls;
mod waits;

pub use crate::zk::FRAME_LIMIT;
pub use access::{Access, Credential, Permit};
pub use clock::now;
pub use counters::{Count, Counters};
pub use diagnostics::{Connection, ConnectionState, Diagnostics};
pub use events::{
    failed_connection, failed_master, failed_members, CandidateStatus, Denied, EventSink, LeaseEnd, Mastership,
    OnItsWay, Waited,
};
pub use inbox::{Inbox, Notification, Reader};
pub use io::program_loop::ProgramLoop;
pub use io::reactor::start;
pub use io::wake::Wake;
pub use sasl::SaslSettings;
pub use session::{open, Command, Session, Settings};
pub use tls::TlsSettings;
pub use waits::{interrupt, Heeds, Interrupted, ReplyTo, Unready, Waits, Woken};
