//! The only code that uses ZooKeeper, sockets, threads and clocks. It performs the core's actions, and turns answers,
//! watch events, states of the connection and time into the core's events.
//!
//! One thread, `election-io`, serves all sessions of the process ([`runtime`]). Each session is one task on it
//! ([`session`]). Only [`client`] calls the ZooKeeper client library and reads its answers, so another client library
//! could replace it there.

mod access;
mod client;
mod clock;
mod connect_cause;
mod counters;
mod diagnosis;
mod diagnostics;
mod events;
pub mod failpoint;
pub mod fork;
pub mod guid;
pub mod hosts;
#[cfg(any(test, feature = "own-session"))]
#[cfg_attr(not(feature = "own-session"), allow(dead_code))]
mod io;
pub mod log;
#[cfg(any(test, feature = "own-session"))]
#[cfg_attr(not(feature = "own-session"), allow(dead_code))]
mod own_session;
mod requests;
mod runtime;
mod server_health;
mod session;
mod task_guard;
mod telemetry;
#[cfg(feature = "testing")]
mod test_client;
pub mod thread;
mod unknown_requests;
mod waits;
mod wake_fd;

pub use access::{Access, Credential, Permit};
pub use clock::now;
pub use counters::{Count, Counters};
pub use diagnostics::{Connection, ConnectionState, Diagnostics};
pub use events::{
    failed_connection, failed_master, failed_members, CandidateStatus, Denied, EventSink, LeaseEnd, Mastership,
    Notification, OnItsWay, Waited,
};
#[cfg(feature = "own-session")]
pub use own_session::{open, start, Session};
#[cfg(feature = "testing")]
pub use requests::Answer;
#[cfg(not(feature = "own-session"))]
pub use runtime::start;
#[cfg(not(feature = "own-session"))]
pub use session::{open, Session};
pub use session::{Command, Settings};
#[cfg(feature = "testing")]
pub use test_client::TestClient;
pub use waits::{interrupt, Heeds, Interrupted, ReplyTo, Unready, Waits, Woken};
pub use wake_fd::WakeFd;
