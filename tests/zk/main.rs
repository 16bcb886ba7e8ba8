//! The ZooKeeper session (`src/zk`) without a server: the tests write what a server would send, byte by byte.

mod exchange;
mod golden;
mod peer;
mod servers;
mod session;
