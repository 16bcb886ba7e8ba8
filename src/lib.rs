//! Master election on Apache ZooKeeper, for C, C++, Python and Rust.
//!
//! At most one candidate at a path is master; when it leaves, another takes over. A [`Handle`] is one session with
//! ZooKeeper. It recovers from lost connections and expired sessions by itself.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use election::{Handle, Options, Role};
//!
//! # fn do_a_piece_of_work(_token: i64) {}
//! # fn main() -> Result<(), election::Error> {
//! let handle = Handle::open("127.0.0.1:2181", &Options::default())?;
//! handle.go_to_election("/master", b"10.0.0.7", |event| println!("{:?}: {:?}", event.role, event.reason))?;
//! handle.wait("/master", Role::Master, Duration::from_secs(60))?;
//! // Ask before each piece of work: the clock decides whether the lease still holds.
//! while let Some(mastership) = handle.lease("/master") {
//!     do_a_piece_of_work(mastership.token);
//! }
//! handle.close()
//! # }
//! ```
//!
//! [`Handle::lead`] runs a function while the handle is master. [`Handle::watch_master`] and [`Handle::watch_members`]
//! observe an election without standing. `ARCHITECTURE.md` describes the layers of the library, from the C API to the
//! election logic without I/O.

#![deny(unsafe_op_in_unsafe_fn)]

mod driver;
// Some constants and numbers are for C, and only the header and the tests have them.
#[cfg_attr(not(feature = "testing"), allow(dead_code, unused_imports))]
#[allow(non_camel_case_types, clippy::missing_safety_doc)]
mod ffi;
mod handle;
mod logic;
mod zk;

pub use crate::handle::{check_path, Acl, Dispatch, Error, Handle, Leadership, Mastership, Options, Verifier};
pub use crate::handle::{set_log, Connection, ConnectionState, Counters, Format, LogLevel, LogRecord};
pub use crate::handle::{ACL_ENTRY_MAX, ACL_MAX, AUTHS_MAX, AUTH_MAX, PATH_MAX, VALUE_MAX};
pub use crate::logic::{
    Alarm, Dialect, Event, LeaseMode, Master, Member, Members, Reason, Recipe, Role, Stat, Znode,
};

/// For the project's own tests, with the feature `testing`. Not part of the API: it may change in any version.
#[cfg(feature = "testing")]
#[doc(hidden)]
pub mod testing {
    pub use crate::driver::failpoint;

    #[allow(clippy::missing_safety_doc)]
    pub mod ffi {
        pub use crate::ffi::*;
    }

    pub mod logic {
        pub use crate::logic::*;
    }

    pub mod zk {
        pub use crate::zk::*;
    }
}
