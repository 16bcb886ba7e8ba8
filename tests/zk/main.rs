//! The ZooKeeper session (`src/zk`) without a server: the tests write what a server would send, byte by byte, or play what
//! servers of several releases have sent (`golden`).

mod exchange;
mod fuzz;
mod golden;
mod memory;
mod peer;
mod servers;
mod session;
