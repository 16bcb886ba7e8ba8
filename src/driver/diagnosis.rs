//! Finds out why the connection is missing. The client crate reports only that it is not connected. So while it is not
//! connected, we examine the servers at growing intervals: we look up each host, connect to it and send `srvr`, the
//! four-letter word that every ZooKeeper server answers without a session.
//!
//! An examination takes at most `PATIENCE`, and each handle runs one at a time. It delays no attempt to connect.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_io::{Async, Timer};
use futures::future::{join_all, select, Either};
use futures::{pin_mut, AsyncReadExt, AsyncWriteExt};

use super::clock;
use super::connect_cause::{of_server, CauseKind, ConnectCause, ConnectFailure};
use super::hosts::{Hosts, Server};
use crate::logic::Time;

/// If the connection returns within this time, it needs no diagnosis.
const FIRST_LOOK_MS: u64 = 300;

/// The interval to the next examination. It doubles each time, up to the longest distance, so a change of the cause may
/// stay unseen for that long.
const SECOND_LOOK_MS: u64 = 1_000;
const LONGEST_DISTANCE_MS: u64 = 5_000;

/// The limit for one examination. So a program that waits two seconds for its first connection can report why it has
/// none.
const PATIENCE: Duration = Duration::from_secs(1);

/// A server that has sent nothing for this long may be one that waits for the end of a line.
const BEFORE_THE_LINE_END: Duration = Duration::from_millis(400);

/// The maximum number of servers, and of addresses per server, that are examined.
const SERVERS: usize = 16;
const ADDRESSES: usize = 4;

/// The maximum number of bytes that are read of an answer.
const ANSWER_MAX: usize = 4_096;

type Look = Pin<Box<dyn Future<Output = ConnectFailure> + Send>>;

pub struct Diagnosis {
    hosts: Arc<Hosts>,
    /// When the next examination starts; `None` while the handle is connected.
    look_at: Option<Time>,
    distance_ms: u64,
    look: Option<Look>,
    /// Each running lookup holds a clone, because a lookup cannot be cancelled.
    lookups: Arc<()>,
}

impl Diagnosis {
    pub fn new(hosts: Hosts) -> Diagnosis {
        Diagnosis {
            hosts: Arc::new(hosts),
            look_at: None,
            distance_ms: SECOND_LOOK_MS,
            look: None,
            lookups: Arc::default(),
        }
    }

    /// The connection is missing; the diagnosis starts now, unless it has started before.
    pub fn begin(&mut self, now: Time) {
        self.look_at.get_or_insert(now.plus_ms(FIRST_LOOK_MS));
    }

    /// The connection is established.
    pub fn end(&mut self) {
        self.look_at = None;
        self.look = None;
        self.distance_ms = SECOND_LOOK_MS;
    }

    /// All servers were tried without success, and the cause is unknown: examine them now.
    pub fn hurry(&mut self, now: Time) {
        self.look_at = Some(now);
    }

    /// Returns the result of the next examination. The caller may drop the future and call again.
    pub async fn next(&mut self) -> ConnectFailure {
        let Some(look_at) = self.look_at else { return std::future::pending().await };
        if self.look.is_none() {
            Timer::after(clock::until(look_at)).await;
            while Arc::strong_count(&self.lookups) > 1 {
                Timer::after(PATIENCE).await;
            }
        }
        let (hosts, lookups) = (&self.hosts, &self.lookups);
        let look = self.look.get_or_insert_with(|| Box::pin(look(hosts.clone(), lookups.clone())));
        let found = look.await;
        self.look = None;
        self.look_at = Some(clock::now().plus_ms(self.distance_ms));
        self.distance_ms = (self.distance_ms * 2).min(LONGEST_DISTANCE_MS);
        found
    }
}

async fn look(hosts: Arc<Hosts>, lookups: Arc<()>) -> ConnectFailure {
    let servers = hosts.servers.iter().take(SERVERS);
    let looks = servers.map(|server| look_at(server, lookups.clone()));
    let causes = join_all(looks).await.concat();
    ConnectFailure { causes, others: hosts.servers.len().saturating_sub(SERVERS) }
}

async fn look_at(server: &Server, lookups: Arc<()>) -> Vec<ConnectCause> {
    let until = clock::now().plus_ms(PATIENCE.as_millis() as u64);
    let unknown = |kind| vec![ConnectCause { server: server.clone(), addresses: Vec::new(), kind }];
    let mut addresses = match within(until, addresses_of(server, lookups)).await {
        None => return unknown(CauseKind::LookupTakesLong),
        Some(Err(error)) => return unknown(CauseKind::of_lookup(&error)),
        Some(Ok(addresses)) if addresses.is_empty() => return unknown(CauseKind::NoSuchHost),
        Some(Ok(addresses)) => addresses,
    };
    // Sorted, so that two examinations with the same result give the same sentence.
    addresses.sort();
    addresses.dedup();
    addresses.truncate(ADDRESSES);
    let outcomes = addresses.into_iter().map(|address| async move { (address, ask(address, until).await) });
    of_server(server, join_all(outcomes).await)
}

async fn addresses_of(server: &Server, lookups: Arc<()>) -> io::Result<Vec<SocketAddr>> {
    if let Some(address) = server.address() {
        return Ok(vec![SocketAddr::new(address, server.port)]);
    }
    let (host, port) = (server.host.clone(), server.port);
    let looked_up = blocking::unblock(move || {
        let _under_way = lookups;
        (host.as_str(), port).to_socket_addrs()
    });
    Ok(looked_up.await?.collect())
}

async fn ask(address: SocketAddr, until: Time) -> CauseKind {
    let mut stream = match within(until, Async::<TcpStream>::connect(address)).await {
        None => return CauseKind::NoAnswer,
        Some(Err(error)) => return CauseKind::of(&error),
        Some(Ok(stream)) => stream,
    };
    let mut answer = Vec::new();
    match within(until, converse(&mut stream, &mut answer)).await {
        None if answer.is_empty() => CauseKind::Silent,
        Some(Err(error)) if answer.is_empty() => CauseKind::of(&error),
        _ => CauseKind::of_answer(&answer),
    }
}

/// Reads the answer until the server ends the connection, or until the answer shows that it is no ZooKeeper server.
async fn converse(stream: &mut Async<TcpStream>, answer: &mut Vec<u8>) -> io::Result<()> {
    let line_end = clock::now().plus_ms(BEFORE_THE_LINE_END.as_millis() as u64);
    let mut piece = [0; 1_024];
    stream.write_all(b"srvr").await?;
    let mut read = match within(line_end, stream.read(&mut piece)).await {
        Some(read) => read?,
        None => {
            stream.write_all(b"\r\n\r\n").await?;
            stream.read(&mut piece).await?
        }
    };
    while read > 0 {
        answer.extend_from_slice(&piece[..read]);
        let speaks_otherwise = answer.contains(&b'\n') && !answer.starts_with(b"Zookeeper version:");
        if answer.len() > ANSWER_MAX || speaks_otherwise {
            break;
        }
        read = stream.read(&mut piece).await?;
    }
    Ok(())
}

async fn within<T>(until: Time, future: impl Future<Output = T>) -> Option<T> {
    pin_mut!(future);
    match select(future, Timer::after(clock::until(until))).await {
        Either::Left((outcome, _)) => Some(outcome),
        Either::Right(_) => None,
    }
}
