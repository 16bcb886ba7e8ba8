//! Master election on Apache ZooKeeper, for C, C++, Python and Rust.
//!
//! Layers, from the caller to the wire; imports go this way only:
//!
//! - [`ffi`]: the C API, `include/election.h`;
//! - [`handle`]: the safe Rust API;
//! - `driver`: threads, clocks and the ZooKeeper client;
//! - [`core`](mod@core): the election logic, without I/O.
//!
//! A Rust program uses [`Election`].

#![deny(unsafe_op_in_unsafe_fn)]

pub mod core;
mod driver;
#[doc(hidden)]
#[allow(non_camel_case_types, clippy::missing_safety_doc)]
pub mod ffi;
pub mod handle;

pub use crate::core::{Alarm, Dialect, Event, Grade, Master, Member, Members, Reason, Recipe, Role};
pub use crate::handle::{set_log, Connection, ConnectionState, Counters, Format, LogLevel, LogRecord};
pub use crate::handle::{Acl, Dispatch, Election, Error, Mastership, Options, Verifier};

/// For the project's own tests.
#[doc(hidden)]
pub mod testing {
    pub use crate::driver::rehearsal;
    pub use crate::driver::{Answer, Probe};
}
