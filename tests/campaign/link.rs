//! The link between one process and one server: a relay of bytes. A fault can cut it, close it with a reset, stop it in
//! one direction, slow it down or make it lose data. TCP sends lost data again, so a lossy link is one on which, now
//! and then, nothing arrives for a while.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use testkit::{Namespace, Session};

use crate::rng::Rng;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long TCP waits before it sends again, at first and later.
const SENT_AGAIN_MS: (u64, u64) = (200, 900);
const CONNECT_RESPONSE_MAX: usize = 128;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    ToServer,
    ToClient,
}

/// The faults of a link. If all are false and 0, the link works.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trouble {
    /// Nothing passes to the server; nothing passes to the client.
    pub stops: [bool; 2],
    pub refuses: bool,
    pub delay_ms: u64,
    /// How many of a thousand pieces are lost at first.
    pub lost_of_thousand: u64,
}

impl fmt::Display for Trouble {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Trouble { stops: [true, true], .. } => write!(out, "both ways"),
            Trouble { stops: [true, false], .. } => write!(out, "to the server"),
            Trouble { stops: [false, true], .. } => write!(out, "to the client"),
            Trouble { refuses: true, .. } => write!(out, "refused"),
            Trouble { delay_ms: 1.., .. } => write!(out, "{} ms", self.delay_ms),
            Trouble { lost_of_thousand: 1.., .. } => write!(out, "{} of 1000", self.lost_of_thousand),
            _ => write!(out, "once"),
        }
    }
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    trouble: Trouble,
    /// The trouble of the server as a whole, in addition.
    outage: Trouble,
    is_closing: bool,
    connections: Vec<Weak<Connection>>,
    session: Option<(Instant, Session)>,
}

impl State {
    fn stops(&self, direction: Direction) -> bool {
        self.trouble.stops[direction as usize] || self.outage.stops[direction as usize]
    }
}

struct Connection {
    client: TcpStream,
    server: TcpStream,
    is_over: AtomicBool,
}

/// Dropping it closes its connections. Its threads end soon after.
pub struct Link {
    addr: SocketAddr,
    listener: Arc<TcpListener>,
    shared: Arc<Shared>,
}

impl Link {
    /// A link to one server, which programs in the namespace `clients` reach. The link listens outside of that
    /// namespace.
    pub fn start(server: SocketAddr, clients: &Namespace, seed: u64) -> Link {
        let listener = Arc::new(TcpListener::bind(("127.0.0.1", 0)).expect("a free port on loopback"));
        let addr = listener.local_addr().expect("a bound listener has an address");
        let well = Trouble::default();
        let state =
            State { trouble: well, outage: well, is_closing: false, connections: Vec::new(), session: None };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let accepting = (Arc::clone(&listener), Arc::clone(&shared));
        // A thread that is started inside stays inside, and so do the connections that it makes.
        clients.run(move || drop(std::thread::spawn(move || accept_all(&accepting.0, &accepting.1, server, seed))));
        Link { addr, listener, shared }
    }

    pub fn host(&self) -> String {
        self.addr.to_string()
    }

    pub fn set_trouble(&self, trouble: Trouble) {
        self.state().trouble = trouble;
        self.shared.changed.notify_all();
    }

    /// Sets the trouble of the server as a whole, in addition to that of the link.
    pub fn set_outage(&self, outage: Trouble) {
        self.state().outage = outage;
        self.shared.changed.notify_all();
    }

    /// Closes all present connections with a reset on both sides.
    pub fn reset(&self) {
        for connection in self.state().connections.drain(..).filter_map(|weak| weak.upgrade()) {
            connection.is_over.store(true, Ordering::SeqCst);
            reset(&connection.client);
            reset(&connection.server);
        }
        self.shared.changed.notify_all();
    }

    /// The session that was opened or resumed here last, and when.
    pub fn session(&self) -> Option<(Instant, Session)> {
        self.state().session.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.shared.state)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.state().is_closing = true;
        // SAFETY: shutdown takes a descriptor, which `listener` keeps open, and no memory.
        unsafe { libc::shutdown(self.listener.as_raw_fd(), libc::SHUT_RDWR) };
        self.reset();
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A connect to no address ends a connection at once, with a reset to the other side.
fn reset(stream: &TcpStream) {
    let nowhere = libc::sockaddr { sa_family: libc::AF_UNSPEC as libc::sa_family_t, sa_data: [0; 14] };
    let len = std::mem::size_of::<libc::sockaddr>() as libc::socklen_t;
    // SAFETY: the pointer and the length are those of a sockaddr of this function, and `stream` keeps its descriptor
    // open.
    unsafe { libc::connect(stream.as_raw_fd(), &nowhere, len) };
    let _ = stream.shutdown(Shutdown::Both);
}

fn accept_all(listener: &TcpListener, shared: &Arc<Shared>, server: SocketAddr, seed: u64) {
    let mut number = 0;
    while let Ok((client, _)) = listener.accept() {
        number += 1;
        {
            let state = lock(&shared.state);
            if state.is_closing {
                return;
            }
            if state.trouble.refuses {
                reset(&client);
                continue;
            }
        }
        let shared = Arc::clone(shared);
        std::thread::spawn(move || serve(client, server, &shared, Rng::new(seed ^ (number << 32))));
    }
}

fn serve(client: TcpStream, server: SocketAddr, shared: &Arc<Shared>, mut rng: Rng) {
    if !shared.pass(None, Direction::ToServer) {
        return;
    }
    let Ok(server) = TcpStream::connect_timeout(&server, CONNECT_TIMEOUT) else {
        return reset(&client);
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let connection = Arc::new(Connection { client, server, is_over: AtomicBool::new(false) });
    {
        let mut state = lock(&shared.state);
        state.connections.retain(|weak| weak.strong_count() > 0);
        state.connections.push(Arc::downgrade(&connection));
    }
    let back = {
        let (connection, shared) = (Arc::clone(&connection), Arc::clone(shared));
        let rng = Rng::new(rng.next());
        std::thread::spawn(move || pump(&connection, Direction::ToClient, &shared, rng))
    };
    pump(&connection, Direction::ToServer, shared, rng);
    let _ = back.join();
}

/// Moves bytes in one direction until an end is closed or the connection is over.
fn pump(connection: &Arc<Connection>, direction: Direction, shared: &Shared, mut rng: Rng) {
    let (mut from, mut to) = match direction {
        Direction::ToServer => (&connection.client, &connection.server),
        Direction::ToClient => (&connection.server, &connection.client),
    };
    let mut bytes = [0; 16_384];
    let mut first: Vec<u8> = Vec::new();
    let mut move_on = || -> io::Result<bool> {
        let len = from.read(&mut bytes)?;
        if !shared.pass(Some(connection), direction) {
            return Ok(false);
        }
        shared.slow_down(&mut rng);
        // The direction was stopped while the piece was slowed down: the piece is not forwarded.
        if len == 0 || !shared.pass(Some(connection), direction) {
            return Ok(false);
        }
        if direction == Direction::ToClient && first.len() < CONNECT_RESPONSE_MAX {
            first.extend_from_slice(&bytes[..len]);
            if let Some(session) = granted(&first) {
                lock(&shared.state).session = Some((Instant::now(), session));
                first.resize(CONNECT_RESPONSE_MAX, 0);
            }
        }
        to.write_all(&bytes[..len])?;
        Ok(true)
    };
    while let Ok(true) = move_on() {}
    connection.is_over.store(true, Ordering::SeqCst);
    let _ = connection.client.shutdown(Shutdown::Both);
    let _ = connection.server.shutdown(Shutdown::Both);
    shared.wake();
}

/// The session that the server's first frame on a connection grants, when the whole frame has arrived.
fn granted(bytes: &[u8]) -> Option<Session> {
    let (head, rest) = bytes.split_first_chunk::<4>()?;
    rest.get(..u32::from_be_bytes(*head) as usize).and_then(Session::of_connect_response)
}

impl Shared {
    /// Waits while nothing passes in this direction. Returns whether the connection still exists.
    fn pass(&self, connection: Option<&Connection>, direction: Direction) -> bool {
        let is_over = || connection.is_some_and(|connection| connection.is_over.load(Ordering::SeqCst));
        let state = self
            .changed
            .wait_while(lock(&self.state), |state| !state.is_closing && !is_over() && state.stops(direction));
        let state = state.unwrap_or_else(PoisonError::into_inner);
        !state.is_closing && !is_over()
    }

    fn slow_down(&self, rng: &mut Rng) {
        let trouble = lock(&self.state).trouble;
        let mut wait_ms = match trouble.delay_ms {
            0 => 0,
            delay => rng.between(delay / 2, delay),
        };
        if rng.chance(trouble.lost_of_thousand) {
            wait_ms += rng.between(SENT_AGAIN_MS.0, SENT_AGAIN_MS.1);
        }
        if wait_ms > 0 {
            std::thread::sleep(Duration::from_millis(wait_ms));
        }
    }

    /// Under the lock, so that a thread that is about to wait cannot miss it.
    fn wake(&self) {
        let _state = lock(&self.state);
        self.changed.notify_all();
    }
}
