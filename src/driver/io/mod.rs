//! Sockets, time and wake-ups for our own ZooKeeper session. One thread of the process does all of it, or the program does
//! in its own loop.
//!
//! - [`poller`]: waits until a socket is ready, a deadline has come, or another thread has something to say.
//! - [`dial`]: connects to the first server that answers, without waiting for any.
//! - [`lookup`]: looks up host names on threads of their own.
//! - [`stream`]: the connection that won, read and written in bounded pieces.
//! - [`reactor`]: gives each session a bounded turn, in order, so that no session starves another.
//! - [`program_loop`]: the reactor of a handle in loop mode, which the program turns.
//!
//! No file here knows ZooKeeper's protocol.

pub mod deadlines;
pub mod descriptor;
pub mod dial;
pub mod lookup;
pub mod poller;
pub mod program_loop;
pub mod reactor;
pub mod stream;
pub mod wake;
