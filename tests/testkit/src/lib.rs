//! Scratch ZooKeeper servers, relays and programs: what the tests, the demo and the benchmarks stand on.
//!
//! Everything here belongs to the process that made it: a value's `Drop` ends the servers, closes the sockets and removes the
//! folders, after a panic too; and should the process itself be killed, the kernel ends its children and the next run
//! sweeps its folders. Nothing is skipped: what is missing on the machine is a panic that says so.

mod ensemble;
mod folder;
mod frame;
mod loopback;
mod network;
pub mod opcode;
mod process;
mod progress;
mod relay;
mod session;
mod wait;

pub use ensemble::{Ensemble, EnsembleBuilder, Release};
pub use folder::ScratchFolder;
pub use network::{Namespace, Network};
pub use process::{Line, Process, Program, Stream};
pub use progress::Progress;
pub use relay::{Relay, Request, Verdict};
pub use session::{expire_session, RawClient, Reply, Session, Znode};
pub use wait::{eventually, wait_until};
