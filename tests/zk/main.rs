//! The ZooKeeper session (`src/zk`): the tests write what a server would send, byte by byte, or play what servers of
//! several releases have sent. Few need a server.

mod exchange;
mod fuzz;
mod golden;
mod memory;
mod peer;
mod sasl;
mod servers;
mod session;
