//! Scratch ZooKeeper servers, relays and programs: the base of the tests, the demo and the benchmarks.
//!
//! Everything here belongs to the process that made it. A value's `Drop` ends the servers, closes the sockets and
//! removes the folders, also after a panic. If the process itself is killed, the kernel ends its children, and the next
//! run removes its folders. No test is skipped: if something is missing on the machine, the code panics and names it.

mod authority;
mod ensemble;
mod folder;
pub mod frame;
mod loopback;
mod network;
pub mod opcode;
mod process;
mod progress;
mod realm;
mod relay;
mod session;
mod wait;

pub use authority::{Authority, Certificate};
pub use ensemble::{Ensemble, EnsembleBuilder, Release};
pub use folder::ScratchFolder;
pub use network::{Namespace, Network};
pub use process::{Line, Process, Program, Stream};
pub use progress::Progress;
pub use realm::{Realm, SilentKdc, REALM};
pub use relay::{Relay, Request, Verdict};
pub use session::{expire_session, session_password, RawClient, Reply, Session, Znode};
pub use wait::{eventually, wait_until};
