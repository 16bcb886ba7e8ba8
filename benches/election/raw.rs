//! The cost of ZooKeeper itself: the requests of a client of a few lines that does nothing else, on a blocking socket.
//! The benchmark compares the library with these figures.

use std::io;
use std::time::{Duration, Instant};

use testkit::{opcode, RawClient};

use crate::report::Report;
use crate::samples::Samples;
use crate::Result;

/// The longest timeout that servers allow by default, because the clients send no pings for these sessions.
pub const SESSION_TIMEOUT_MS: i32 = 40_000;

/// The value of every znode here: an address, as in the examples.
pub const VALUE: &[u8] = b"10.0.0.7";

/// The flag of `create`.
pub const EPHEMERAL: i32 = 1;

const WARM_UP: usize = 300;
const SAMPLES: usize = 300;

/// Clients with a session on each server, used in turns: a candidate of the library may be on any server, too.
pub struct RawClients {
    clients: Vec<RawClient>,
    turn: usize,
}

impl RawClients {
    pub fn connect(hosts: &[String]) -> Result<RawClients> {
        let clients =
            hosts.iter().map(|host| RawClient::connect(host, SESSION_TIMEOUT_MS)).collect::<io::Result<_>>()?;
        Ok(RawClients { clients, turn: 0 })
    }

    fn next(&mut self) -> &mut RawClient {
        self.turn += 1;
        let turn = self.turn % self.clients.len();
        &mut self.clients[turn]
    }

    /// One read: `exists` of a znode that exists.
    pub fn read(&mut self) -> Result<Duration> {
        let began = Instant::now();
        let exists = self.next().exists("/zookeeper")?;
        let took = began.elapsed();
        exists.then_some(took).ok_or_else(|| "ZooKeeper has no /zookeeper".into())
    }

    /// One write: `create` of an ephemeral znode, as a candidate makes it. The time does not include its removal.
    pub fn write(&mut self) -> Result<Duration> {
        let client = self.next();
        let took = create(client, "/raw-write")?;
        delete(client, "/raw-write")?;
        Ok(took)
    }

    pub fn close(self) -> Result<()> {
        self.clients.into_iter().try_for_each(|client| Ok(client.close_session()?))
    }
}

/// The steps that every start to master needs: connect, make a session, one write.
pub fn connect_and_write(host: &str) -> Result<Duration> {
    let began = Instant::now();
    let mut client = RawClient::connect(host, SESSION_TIMEOUT_MS)?;
    create(&mut client, "/raw-start")?;
    let took = began.elapsed();
    client.close_session()?;
    Ok(took)
}

pub fn measure(hosts: &[String], report: &mut Report) -> Result<()> {
    let mut raw = RawClients::connect(hosts)?;
    let (mut reads, mut writes) = (Samples::default(), Samples::default());
    for _ in 0..WARM_UP {
        raw.read()?;
        raw.write()?;
    }
    for _ in 0..SAMPLES {
        reads.add(raw.read()?);
        writes.add(raw.write()?);
    }
    report.row("raw read (exists)", &reads);
    report.row("raw write (create, ephemeral)", &writes);
    raw.close()
}

fn create(client: &mut RawClient, path: &str) -> Result<Duration> {
    let began = Instant::now();
    let reply = client.request(opcode::CREATE, &create_body(path, EPHEMERAL))?;
    let took = began.elapsed();
    match reply.err {
        0 => Ok(took),
        err => Err(format!("create of {path}: ZooKeeper's error {err}").into()),
    }
}

fn delete(client: &mut RawClient, path: &str) -> Result<()> {
    match client.request(opcode::DELETE, &delete_body(path))?.err {
        0 => Ok(()),
        err => Err(format!("delete of {path}: ZooKeeper's error {err}").into()),
    }
}

/// A request to make a znode that is open to all, with a value like that of the candidates.
pub fn create_body(path: &str, flags: i32) -> Vec<u8> {
    const ALL_PERMISSIONS: i32 = 31;
    [
        buffer(path.as_bytes()),
        buffer(VALUE),
        1i32.to_be_bytes().to_vec(), // one access control entry
        ALL_PERMISSIONS.to_be_bytes().to_vec(),
        buffer(b"world"),
        buffer(b"anyone"),
        flags.to_be_bytes().to_vec(),
    ]
    .concat()
}

/// A request to delete a znode, whatever its version.
pub fn delete_body(path: &str) -> Vec<u8> {
    [buffer(path.as_bytes()), (-1i32).to_be_bytes().to_vec()].concat()
}

/// Bytes in wire format: with their length before them.
pub fn buffer(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_be_bytes(), bytes].concat()
}
