//! A link on which a test can cause faults: a TCP relay in front of one server. It understands ZooKeeper's frames, so
//! that a fault hits exactly the request that the test is about, not the request that is on its way when a timer fires.
//!
//! A client that is given `relay.host()` talks to the server through the relay. A rule sees each request and decides
//! its fate. Switches cut, refuse or silence all connections. Each connection has one thread for each direction.
//! Four-letter commands pass through.

use crate::frame::{len_of, read_frame, read_head, read_rest, write_frame, Rest};
use crate::loopback::Claim;
use crate::opcode;
use crate::process::lock;
use crate::session::Session;
use std::collections::{BTreeMap, HashSet};
use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const PORT: u16 = 21_810;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// A request on its way to the server.
#[derive(Clone, Debug)]
pub struct Request {
    /// Connections are counted from 1, in the order in which the relay accepted them.
    pub connection_number: usize,
    /// One of `opcode`. `CREATE_SESSION` for the connect request, whether it makes a session or resumes one.
    pub opcode: i32,
    /// 0 for the connect request.
    pub xid: i32,
    /// The znode of the request, if the request's body begins with a path. A multi has none.
    pub path: Option<String>,
    /// The bytes after the request's header. For the connect request, all of it.
    pub body: Vec<u8>,
    pub at: Instant,
}

/// The fate of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Forward,
    /// Forwards the request. When its reply comes, drops the reply and closes both sides: the reply was lost after the
    /// request was applied.
    DropReplyAndCut,
    /// Holds the request, and all later data of the client on this connection, until `release`.
    Hold,
    /// Closes both sides without forwarding the request.
    Cut,
    /// Forwards the request with a type that no server knows. The server answers -6 and closes the connection, as an
    /// older server does that does not know this type.
    AsUnknown,
}

type Rule = Arc<dyn Fn(&Request) -> Verdict + Send + Sync>;

/// A relay on a loopback address of its own. Dropping it closes all its connections.
pub struct Relay {
    addr: SocketAddr,
    shared: Arc<Shared>,
    listener: Arc<TcpListener>,
    acceptor: Option<JoinHandle<()>>,
    _address: Claim,
}

struct Shared {
    target: SocketAddr,
    state: Mutex<State>,
    /// Notified when a waiting connection may have to continue: a release, a switch, a cut.
    changed: Condvar,
}

struct State {
    rule: Rule,
    is_closing: bool,
    refuses: bool,
    is_black_hole: bool,
    release_count: u64,
    held: usize,
    connection_count: usize,
    open: BTreeMap<usize, Arc<Link>>,
    requests: Vec<Request>,
    session: Option<Session>,
}

/// One client's connection and, after the client has sent its first bytes, the relay's own connection to the server.
struct Link {
    number: usize,
    client: TcpStream,
    server: OnceLock<TcpStream>,
    is_cut: AtomicBool,
    /// The requests whose reply must not arrive.
    unanswered: Mutex<HashSet<ReplyTo>>,
}

#[derive(PartialEq, Eq, Hash)]
enum ReplyTo {
    Connect,
    Xid(i32),
}

impl Relay {
    /// Starts a relay to one server's client address.
    pub fn start(target: impl ToSocketAddrs) -> Relay {
        let target =
            target.to_socket_addrs().ok().and_then(|mut addrs| addrs.next()).expect("the address of one server");
        let address = Claim::address(&[PORT]);
        let listener = TcpListener::bind((address.ip(), PORT)).expect("a port that was just free");
        let addr = listener.local_addr().expect("a bound listener has an address");
        let listener = Arc::new(listener);
        let shared = Arc::new(Shared {
            target,
            state: Mutex::new(State {
                rule: Arc::new(|_| Verdict::Forward),
                is_closing: false,
                refuses: false,
                is_black_hole: false,
                release_count: 0,
                held: 0,
                connection_count: 0,
                open: BTreeMap::new(),
                requests: Vec::new(),
                session: None,
            }),
            changed: Condvar::new(),
        });
        let acceptor = {
            let (shared, listener) = (Arc::clone(&shared), Arc::clone(&listener));
            std::thread::spawn(move || accept_all(&shared, &listener))
        };
        Relay { addr, shared, listener, acceptor: Some(acceptor), _address: address }
    }

    /// `ip:port` for the client's host string.
    pub fn host(&self) -> String {
        self.addr.to_string()
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Asks `rule` about each request from now on. The rule runs on the connections' threads, on several at once.
    pub fn set_rule(&self, rule: impl Fn(&Request) -> Verdict + Send + Sync + 'static) {
        self.state().rule = Arc::new(rule);
    }

    /// Forwards all requests from now on. Held requests stay held.
    pub fn clear_rule(&self) {
        self.set_rule(|_| Verdict::Forward);
    }

    /// Gives `verdict` to the first request from now on for which `is_it` is true, and forwards the others.
    pub fn strike_once(&self, verdict: Verdict, is_it: impl Fn(&Request) -> bool + Send + Sync + 'static) {
        let has_struck = AtomicBool::new(false);
        self.set_rule(move |request| {
            if is_it(request) && !has_struck.swap(true, Ordering::SeqCst) {
                return verdict;
            }
            Verdict::Forward
        });
    }

    /// Forwards every request that is held now.
    pub fn release(&self) {
        self.state().release_count += 1;
        self.shared.changed.notify_all();
    }

    /// How many requests are held now. Requests that wait behind a held one on its connection are not counted.
    pub fn held(&self) -> usize {
        self.state().held
    }

    /// Closes all connections that exist now. Clients may connect again.
    pub fn cut_all(&self) {
        for link in self.state().open.values() {
            link.cut();
        }
        self.shared.changed.notify_all();
    }

    /// While true, closes each new connection at once. Existing connections stay.
    pub fn refuse(&self, refuses: bool) {
        self.state().refuses = refuses;
    }

    /// While true, accepts connections and forwards nothing in either direction, not even the end of a connection: a
    /// cut cable. Data that was sent meanwhile arrives when it ends, as TCP would send it again.
    pub fn blackhole(&self, is_black_hole: bool) {
        self.state().is_black_hole = is_black_hole;
        self.shared.changed.notify_all();
    }

    /// Every request that reached the relay, in order, whatever its fate.
    pub fn requests(&self) -> Vec<Request> {
        self.state().requests.clone()
    }

    /// How many requests of one kind reached the relay.
    pub fn count(&self, opcode: i32) -> usize {
        let state = self.state();
        let of_kind = |request: &&Request| request.opcode == opcode;
        state.requests.iter().filter(of_kind).count()
    }

    /// Forgets all earlier requests.
    pub fn clear_requests(&self) {
        self.state().requests.clear();
    }

    /// The session that the newest connect response granted, also if that reply was dropped. Refusals do not count.
    pub fn session(&self) -> Option<Session> {
        self.state().session.clone()
    }

    /// How many connections were accepted, refused ones included.
    pub fn connection_count(&self) -> usize {
        self.state().connection_count
    }

    /// How many connections are open now.
    pub fn open_count(&self) -> usize {
        self.state().open.len()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.shared.state)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.state().is_closing = true;
        // Wakes the acceptor: its accept fails from now on. SAFETY: shutdown takes a descriptor, which `listener` keeps
        // open, and no memory.
        unsafe { libc::shutdown(self.listener.as_raw_fd(), libc::SHUT_RDWR) };
        self.cut_all();
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

fn accept_all(shared: &Arc<Shared>, listener: &TcpListener) {
    let mut threads: Vec<JoinHandle<()>> = Vec::new();
    while let Ok((client, _)) = listener.accept() {
        let link = {
            let mut state = lock(&shared.state);
            if state.is_closing {
                break;
            }
            state.connection_count += 1;
            if state.refuses {
                continue;
            }
            let link = Arc::new(Link {
                number: state.connection_count,
                client,
                server: OnceLock::new(),
                is_cut: AtomicBool::new(false),
                unanswered: Mutex::new(HashSet::new()),
            });
            state.open.insert(link.number, Arc::clone(&link));
            link
        };
        let shared = Arc::clone(shared);
        threads.retain(|thread| !thread.is_finished());
        threads.push(std::thread::spawn(move || {
            // An error is the end of a connection, which such a test causes on purpose.
            let _ = serve(&shared, &link);
            link.cut();
            lock(&shared.state).open.remove(&link.number);
        }));
    }
    for thread in threads {
        let _ = thread.join();
    }
}

/// Serves one connection to its end. The relay connects to the server only after the client has sent its first bytes:
/// the server never sends first.
fn serve(shared: &Arc<Shared>, link: &Arc<Link>) -> io::Result<()> {
    let Some(head) = read_head(&mut &link.client)? else {
        return Ok(());
    };
    if !shared.pass(link) {
        return Ok(());
    }
    let server = TcpStream::connect_timeout(&shared.target, CONNECT_TIMEOUT)?;
    server.set_nodelay(true)?;
    link.client.set_nodelay(true)?;
    let server = link.server.get_or_init(|| server);
    // A cut before the line above has closed only the client's side.
    if link.is_cut.load(Ordering::SeqCst) {
        return Ok(());
    }
    let Some(len) = len_of(head) else {
        (&mut &*server).write_all(&head)?;
        let backward = {
            let link = Arc::clone(link);
            std::thread::spawn(move || copy_to_client(&link))
        };
        let copied = io::copy(&mut &link.client, &mut &*server);
        let _ = server.shutdown(Shutdown::Write);
        let _ = backward.join();
        return copied.map(drop);
    };
    let first = read_rest(&mut &link.client, len)?;
    let backward = {
        let (shared, link) = (Arc::clone(shared), Arc::clone(link));
        std::thread::spawn(move || {
            let _ = bring_replies(&shared, &link);
            shared.cut(&link);
        })
    };
    let sent = send_requests(shared, link, server, first);
    match sent {
        // The client has closed its side. The server may still send data to it.
        Ok(true) => drop(server.shutdown(Shutdown::Write)),
        Ok(false) | Err(_) => link.cut(),
    }
    let _ = backward.join();
    sent.map(drop)
}

fn copy_to_client(link: &Link) {
    if let Some(server) = link.server.get() {
        let _ = io::copy(&mut &*server, &mut &link.client);
    }
    let _ = link.client.shutdown(Shutdown::Both);
}

/// The direction to the server. Returns whether the client closed its side. Otherwise the caller cuts the connection.
fn send_requests(shared: &Shared, link: &Link, server: &TcpStream, first: Vec<u8>) -> io::Result<bool> {
    let mut next = Some(first);
    let mut is_connect = true;
    while let Some(mut frame) = next {
        if !shared.pass(link) {
            return Ok(false);
        }
        let request = request_of(link.number, &frame, is_connect);
        let reply_to = match is_connect {
            true => ReplyTo::Connect,
            false => ReplyTo::Xid(request.xid),
        };
        is_connect = false;
        let rule = {
            let mut state = lock(&shared.state);
            state.requests.push(request.clone());
            Arc::clone(&state.rule)
        };
        match rule(&request) {
            Verdict::Forward => {}
            Verdict::Cut => return Ok(false),
            Verdict::AsUnknown => frame[4..8].copy_from_slice(&opcode::UNKNOWN.to_be_bytes()),
            Verdict::DropReplyAndCut => {
                lock(&link.unanswered).insert(reply_to);
            }
            Verdict::Hold => {
                if !shared.hold(link) || !shared.pass(link) {
                    return Ok(false);
                }
            }
        }
        write_frame(&mut &*server, &frame)?;
        next = read_frame(&mut &link.client)?;
    }
    Ok(shared.pass(link))
}

/// The direction to the client, until the server closes its side or a reply is to be lost.
fn bring_replies(shared: &Shared, link: &Link) -> io::Result<()> {
    let Some(server) = link.server.get() else {
        return Ok(());
    };
    let mut is_connect = true;
    while let Some(frame) = read_frame(&mut &*server)? {
        if !shared.pass(link) {
            return Ok(());
        }
        let reply_to = match (is_connect, Rest(&frame).take_i32()) {
            (true, _) => Some(ReplyTo::Connect),
            (false, xid) => xid.map(ReplyTo::Xid),
        };
        if is_connect {
            if let Some(session) = Session::of_connect_response(&frame) {
                lock(&shared.state).session = Some(session);
            }
        }
        is_connect = false;
        if reply_to.is_some_and(|reply_to| lock(&link.unanswered).contains(&reply_to)) {
            return Ok(());
        }
        write_frame(&mut &link.client, &frame)?;
    }
    shared.pass(link);
    Ok(())
}

fn request_of(connection_number: usize, frame: &[u8], is_connect: bool) -> Request {
    let mut rest = Rest(frame);
    let (xid, opcode) = match is_connect {
        true => (0, opcode::CREATE_SESSION),
        // A frame without a header is not ZooKeeper's. The server will report it.
        false => (rest.take_i32().unwrap_or(0), rest.take_i32().unwrap_or(i32::MIN)),
    };
    let body = rest.0.to_vec();
    let path = opcode::begins_with_path(opcode)
        .then(|| rest.take_buffer())
        .flatten()
        .map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    Request { connection_number, opcode, xid, path, body, at: Instant::now() }
}

impl Shared {
    /// Under the lock, so that the connection's other thread cannot miss it when it is about to wait.
    fn cut(&self, link: &Link) {
        let _state = lock(&self.state);
        link.cut();
        self.changed.notify_all();
    }

    /// Waits while the relay is a black hole. Returns whether the connection still exists.
    fn pass(&self, link: &Link) -> bool {
        self.wait_while(lock(&self.state), link, |state| state.is_black_hole)
    }

    /// Waits for the next release. Returns whether the connection still exists.
    fn hold(&self, link: &Link) -> bool {
        let mut state = lock(&self.state);
        state.held += 1;
        let before = state.release_count;
        let is_there = self.wait_while(state, link, |state| state.release_count == before);
        lock(&self.state).held -= 1;
        is_there
    }

    fn wait_while(
        &self,
        mut state: MutexGuard<'_, State>,
        link: &Link,
        has_to_wait: impl Fn(&State) -> bool,
    ) -> bool {
        loop {
            if state.is_closing || link.is_cut.load(Ordering::SeqCst) {
                return false;
            }
            if !has_to_wait(&state) {
                return true;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Link {
    fn cut(&self) {
        self.is_cut.store(true, Ordering::SeqCst);
        let _ = self.client.shutdown(Shutdown::Both);
        if let Some(server) = self.server.get() {
            let _ = server.shutdown(Shutdown::Both);
        }
    }
}
