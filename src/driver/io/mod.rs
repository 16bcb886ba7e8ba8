//! Sockets, time and wake-ups for our own ZooKeeper session. One thread of the process does all of it.
//!
//! - [`poller`]: waits until a socket is ready, a deadline has come, or another thread has something to say.
//! - [`dial`]: connects to the first server that answers, without waiting for any.
//! - [`lookup`]: looks up host names on threads of their own.
//! - [`stream`]: the connection that won, read and written in bounded pieces.
//! - [`reactor`]: the thread. It gives each session a bounded turn, in order, so that no session starves another.
//!
//! No file here knows ZooKeeper's protocol.

pub mod deadlines;
pub mod descriptor;
pub mod dial;
pub mod lookup;
pub mod poller;
pub mod reactor;
pub mod stream;
pub mod wake;
