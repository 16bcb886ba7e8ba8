//! Master election on Apache ZooKeeper, for C, C++, Python and Rust.
//!
//! Layers, from the caller to the wire; imports go this way only:
//!
//! - [`ffi`]: the C API, `include/election.h`;
//! - [`handle`]: the safe Rust API;
//! - `driver`: threads, clocks and the ZooKeeper client;
//! - [`logic`](mod@logic): the election logic, without I/O.
//!
//! A Rust program uses [`Handle`].

#![deny(unsafe_op_in_unsafe_fn)]

mod driver;
#[doc(hidden)]
#[allow(non_camel_case_types, clippy::missing_safety_doc)]
pub mod ffi;
pub mod handle;
pub mod logic;

pub use crate::handle::{check_path, Acl, Dispatch, Error, Handle, Leadership, Mastership, Options, Verifier};
pub use crate::handle::{set_log, Connection, ConnectionState, Counters, Format, LogLevel, LogRecord};
pub use crate::logic::{
    Alarm, Dialect, Event, LeaseMode, Master, Member, Members, Reason, Recipe, Role, Stat, Znode,
};

/// For the project's own tests.
#[doc(hidden)]
pub mod testing {
    pub use crate::driver::failpoint;
    pub use crate::driver::{Answer, TestClient};
}
