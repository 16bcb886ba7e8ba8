//! The only code that touches ZooKeeper, sockets, threads and clocks. It carries out the core's actions and
//! turns what comes back (answers, watches, the state of the connection, time) into the core's events.
//!
//! One thread, `election-io`, serves all sessions of the process ([`runtime`]); each session is one task on it
//! ([`session`]). What the ZooKeeper client library is asked, and how its answers are read, stands in
//! [`client`] alone, so that another client could take its place there.

mod access;
mod bell;
mod client;
mod clock;
mod counters;
mod diary;
pub mod fork;
pub mod guid;
pub mod hosts;
mod inside;
mod leash;
pub mod log;
mod outlet;
mod probe;
pub mod rehearsal;
mod requests;
mod runtime;
mod session;
pub mod thread;
mod trust;

pub use access::{Access, Credential, Permit};
pub use bell::Bell;
pub use client::{Write, Written};
pub use clock::now;
pub use counters::{Count, Counters};
pub use inside::{Connection, ConnectionState, Inside};
pub use outlet::{
    failed_connection, failed_master, failed_members, Denied, LeaseEnd, Mastership, Note, OnItsWay, Outlet, Seat,
    Waited,
};
pub use probe::Probe;
pub use requests::Answer;
pub use runtime::start;
pub use session::{open, Command, Session, Settings};
