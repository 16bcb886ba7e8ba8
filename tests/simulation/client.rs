//! The client of a process: the library's own session, as a driver runs it. What is simulated is the network and what
//! a driver and a kernel decide: which servers are dialled, how many of the bytes a socket takes, when those that have
//! arrived are read, and when a timer fires.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};

use election::testing::logic::{rc, Op, Reply, RequestId, Time};
use election::testing::zk::{Credential, Event, Next, Servers, Session, Settings};

use crate::clock::{Ns, MS};
use crate::messages::{ConnId, Happening, Packet};
use crate::plan::Plan;
use crate::process::Input;
use crate::say;
use crate::world::World;

/// The head start of a dial before the next address is dialled too.
const HEAD_START: Ns = 250 * MS;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// The client is closed, or the process is dead.
    Off,
    /// No connection stands.
    Waiting,
    /// The session asks for itself on this connection.
    Connecting(ConnId),
    Up(ConnId),
}

/// An attempt to connect to a server.
struct Dial {
    conn: ConnId,
    server: usize,
    /// When it is given up, on the process's clock.
    until: u64,
}

/// A session that was left, and the connection on which it is closed.
struct Closing {
    conn: ConnId,
    session: Session,
}

pub struct Client {
    pub link: Link,
    /// The core was told that its first requests may go with the one for the session.
    is_opening: bool,
    pub zk: Session,
    servers: Servers,
    dials: Vec<Dial>,
    /// When to dial the next server, on the process's clock.
    dials_at: u64,
    /// The number of the session as it was told last; 0 if there is none.
    pub session: i64,
    timeout: Ns,
    /// What has arrived and is not read yet.
    unread: Vec<u8>,
    /// The socket takes no more bytes for now.
    blocked: bool,
    /// The creates of this session without an answer.
    creates: BTreeSet<RequestId>,
    /// The outcome of a create in this session is unknown.
    in_doubt: bool,
    proofs: BTreeSet<RequestId>,
    /// A proof was submitted and not sent yet.
    proves: bool,
    closing: Vec<Closing>,
    in_turn: bool,
    /// The socket has taken this many bytes, and the session does not know it yet.
    taken: Option<usize>,
    /// The planned timer, and its time.
    timer: (u32, Ns),
}

impl Client {
    pub fn new(plan: &Plan, seed: u64) -> Client {
        Client {
            link: Link::Off,
            is_opening: false,
            zk: Session::new(Settings { first_xid: (seed >> 33) as i32, ..settings(plan) }),
            servers: servers(plan, seed),
            dials: Vec::new(),
            dials_at: 0,
            session: 0,
            timeout: plan.timeout,
            unread: Vec::new(),
            blocked: false,
            creates: BTreeSet::new(),
            in_doubt: false,
            proofs: BTreeSet::new(),
            proves: false,
            closing: Vec::new(),
            in_turn: false,
            taken: None,
            timer: (0, 0),
        }
    }

    /// The epoch of the last leader whose transaction the client has seen.
    pub fn epoch(&self) -> i64 {
        self.zk.last_zxid() >> 32
    }

    /// Whether a create in this session has had no answer, or may get none.
    pub fn may_be_in_doubt(&self) -> bool {
        self.in_doubt || !self.creates.is_empty()
    }

    pub fn is_connected(&self) -> bool {
        matches!(self.link, Link::Up(_)) && self.zk.is_up()
    }

    /// Whether the session takes requests at this moment.
    pub fn takes_requests(&self) -> bool {
        self.is_connected() || self.is_opening && self.zk.is_connecting()
    }

    pub fn unwatch(&mut self, request: RequestId) {
        self.zk.unwatch(request);
    }

    fn conn(&self) -> Option<ConnId> {
        match self.link {
            Link::Connecting(conn) | Link::Up(conn) => Some(conn),
            Link::Off | Link::Waiting => None,
        }
    }

    /// Nothing of the session is under way any more.
    fn forget_requests(&mut self) {
        self.creates.clear();
        self.proofs.clear();
        (self.in_doubt, self.proves) = (false, false);
    }
}

fn is_create(op: &Op) -> bool {
    matches!(op, Op::Create { .. } | Op::CreateSequential { .. })
}

fn servers(plan: &Plan, seed: u64) -> Servers {
    let mut servers = Servers::new(seed);
    servers.broken = plan.broken_session;
    servers
}

fn settings(plan: &Plan) -> Settings {
    let session_timeout_ms = (plan.timeout / MS) as u32;
    let credential = Credential { scheme: "digest".into(), auth: b"me:secret".into() };
    let credentials = plan.authenticates.then_some(credential).into_iter().collect();
    let chroot = plan.chroot.to_owned();
    Settings { session_timeout_ms, chroot, credentials, broken: plan.broken_session, ..Settings::default() }
}

fn address(server: usize) -> SocketAddr {
    (Ipv4Addr::new(127, 0, 0, server as u8 + 1), 2181).into()
}

fn server_at(address: SocketAddr) -> usize {
    match address {
        SocketAddr::V4(address) => usize::from(address.ip().octets()[3]) - 1,
        SocketAddr::V6(_) => unreachable!("no server has such an address"),
    }
}

impl World {
    fn client(&mut self, process: usize) -> &mut Client {
        &mut self.processes[process].client
    }

    fn time(&self, process: usize) -> Time {
        Time(self.local(process))
    }

    /// Leaves the session, if there is one, for a new one.
    pub fn client_restarts(&mut self, process: usize) {
        self.close_conn(process);
        let client = self.client(process);
        client.zk.leave();
        client.link = Link::Waiting;
        client.session = 0;
        client.forget_requests();
        self.dials_at_once(process);
    }

    fn dials_at_once(&mut self, process: usize) {
        let now = self.local(process);
        self.client(process).dials_at = now;
        self.plan_client_timer(process);
    }

    /// Dials what is to be dialled by now.
    fn dial(&mut self, process: usize) {
        let now = self.time(process);
        let overdue = |dial: &Dial| dial.until <= now.0;
        while let Some(at) = self.client(process).dials.iter().position(overdue) {
            self.dial_failed(process, at);
        }
        while self.client(process).link == Link::Waiting && self.client(process).dials_at <= now.0 {
            let servers = self.plan.servers;
            match self.client(process).servers.next(now) {
                Next::LookUp => {
                    self.client(process).servers.set_addresses(now, (0..servers).map(address).collect());
                }
                Next::WaitForLookUp => unreachable!("a look-up takes no time here"),
                Next::Dial(address) => {
                    let server = server_at(address);
                    let conn = self.connect(process, server);
                    let client = self.client(process);
                    let until = now.0 + client.timeout / 5;
                    client.dials.push(Dial { conn, server, until });
                    client.dials_at = now.0 + HEAD_START.min(client.timeout / 5);
                    self.send_up(conn, Packet::Syn);
                }
                Next::WaitUntil(until) => {
                    let client = self.client(process);
                    client.dials_at = until.0.max(now.0 + 1);
                    if client.session == 0 {
                        self.drive(process, Input::Suspended(rc::CONNECTION_LOSS));
                    }
                }
            }
        }
    }

    fn dial_failed(&mut self, process: usize, at: usize) {
        let now = self.time(process);
        let client = self.client(process);
        let Dial { conn, server, .. } = client.dials.remove(at);
        client.servers.failed(now, address(server));
        client.dials_at = now.0;
        self.shut(conn);
    }

    /// A server has accepted this connection: the first one wins.
    fn dial_succeeded(&mut self, process: usize, at: usize) {
        let now = self.time(process);
        let mut dials = std::mem::take(&mut self.client(process).dials);
        let Dial { conn, server, .. } = dials.remove(at);
        dials.into_iter().for_each(|other| self.shut(other.conn));
        let client = self.client(process);
        client.link = Link::Connecting(conn);
        client.blocked = false;
        let pipelines = client.servers.may_pipeline(address(server));
        client.zk.set_pipelining(pipelines);
        client.zk.handle_connected(now);
        client.is_opening = pipelines && client.session == 0;
        if client.is_opening {
            self.drive(process, Input::Opening);
        }
        self.go_on(process);
    }

    /// The client closes a connection.
    fn shut(&mut self, conn: ConnId) {
        if std::mem::replace(&mut self.conns[conn].client_open, false) {
            self.send_up(conn, Packet::Fin);
        }
    }

    /// The client's side of its connection and its dials ends.
    fn close_conn(&mut self, process: usize) {
        let now = self.time(process);
        let client = self.client(process);
        client.unread.clear();
        client.blocked = false;
        let conn = client.conn();
        let dials: Vec<_> = std::mem::take(&mut client.dials).into_iter().map(|dial| dial.conn).collect();
        if conn.is_some() {
            client.link = Link::Waiting;
            client.dials_at = now.0;
        }
        if let Some(conn) = conn {
            let server = address(self.conns[conn].server);
            let client = self.client(process);
            if let Some(has_pipelined) = client.zk.unanswered() {
                client.servers.unanswered(server, has_pipelined);
            }
            client.servers.failed(now, server);
        }
        conn.into_iter().chain(dials).for_each(|conn| self.shut(conn));
    }

    fn plan_client_timer(&mut self, process: usize) {
        let clock = self.processes[process].clock;
        let client = &self.processes[process].client;
        let dials = client.dials.iter().map(|dial| dial.until).min();
        let dials_at = (client.link == Link::Waiting).then_some(client.dials_at);
        let of_session = client.zk.poll_timeout().map(|at| at.0).filter(|_| client.link != Link::Off);
        let Some(deadline) = [dials, dials_at, of_session].into_iter().flatten().min() else { return };
        let at = clock.when(deadline).max(self.now) + self.rng.below(self.plan.jitter + 1);
        let (_, planned) = self.processes[process].client.timer;
        if planned < self.now || at < planned || planned == 0 {
            let timer = self.next_serial();
            self.client(process).timer = (timer, at);
            self.plan_at(at, Happening::ClientTimer(process, timer));
        }
    }

    pub fn client_timer(&mut self, process: usize, timer: u32) {
        let now = self.time(process);
        let client = self.client(process);
        if client.timer.0 != timer {
            return;
        }
        client.timer = (0, 0);
        if client.link == Link::Off {
            return;
        }
        client.zk.handle_timeout(now);
        self.go_on(process);
        self.dial(process);
        self.plan_client_timer(process);
    }

    /// The core's request goes out, or waits for a connection.
    pub fn client_sends(&mut self, process: usize, request: RequestId, op: Op) {
        let client = self.client(process);
        if is_create(&op) {
            client.creates.insert(request);
        }
        if matches!(op, Op::Prove { .. }) {
            client.proofs.insert(request);
            client.proves = true;
        }
        client.zk.submit(request, op);
    }

    /// A turn of the driver: the process hears what the session tells, and the socket takes what the session sends.
    pub fn go_on(&mut self, process: usize) {
        if std::mem::replace(&mut self.client(process).in_turn, true) {
            return;
        }
        while !self.processes[process].paused {
            let now = self.time(process);
            let stamps_late = self.plan.stamps_late;
            let client = self.client(process);
            if let Some(taken) = client.taken.take() {
                if stamps_late {
                    client.zk.poll_transmit(now);
                }
                client.zk.handle_transmitted(taken);
            }
            if let Some(event) = self.client(process).zk.poll_event() {
                self.client_hears(process, event);
            } else if !self.transmit(process) {
                break;
            }
        }
        self.client(process).in_turn = false;
        self.plan_client_timer(process);
    }

    /// Hands bytes to the socket. Returns whether it has taken any.
    fn transmit(&mut self, process: usize) -> bool {
        let now = self.time(process);
        let cuts = self.rng.chance(self.plan.cuts);
        let client = &mut self.processes[process].client;
        let Some(conn) = client.conn().filter(|_| !client.blocked) else { return false };
        let bytes = client.zk.poll_transmit(now);
        if bytes.is_empty() {
            return false;
        }
        let taken = if cuts { self.rng.below(bytes.len() as u64 + 1) as usize } else { bytes.len() };
        let all = taken == bytes.len();
        let bytes = bytes[..taken].to_vec();
        client.taken = Some(taken);
        client.blocked = !all;
        let (asks, proves) = (matches!(client.link, Link::Connecting(_)), std::mem::take(&mut client.proves));
        if taken > 0 {
            self.send_up_bytes(conn, bytes);
        }
        if !all {
            let soon = self.rng.below(self.plan.latency);
            self.plan_in(soon, Happening::Writable(process, conn));
        }
        // The process may be stopped after the write, before it does anything else.
        if asks {
            self.asks(process, 60);
        } else if proves {
            self.asks(process, 15);
        }
        all
    }

    /// The socket takes bytes again.
    pub fn writable(&mut self, process: usize, conn: ConnId) {
        if self.client(process).conn() == Some(conn) {
            self.client(process).blocked = false;
            self.go_on(process);
        }
    }

    fn client_hears(&mut self, process: usize, event: Event) {
        match event {
            Event::Connected { session, timeout_ns, asked_at, asked_since, resumed } => {
                let now = self.time(process);
                let client = self.client(process);
                let Some(conn) = client.conn() else { unreachable!("on the connection that stands") };
                client.link = Link::Up(conn);
                client.is_opening = false;
                client.session = session.0;
                client.timeout = timeout_ns;
                self.checker.known.insert(session.0);
                let server = self.conns[conn].server;
                self.client(process).servers.connected(now, address(server));
                match resumed {
                    true => self.timeout_heard(conn),
                    false => self.bury(process),
                }
                say!(self, "process {process} is connected to server {server}");
                let (timeout, asked_at, asked_since) = (timeout_ns, asked_at.0, asked_since.0);
                self.drive(process, Input::Connected { session, timeout, asked_at, asked_since });
                self.writes_again(process);
            }
            Event::HangUp(cause) => {
                say!(self, "process {process} lets go of its server: it {cause}");
                let was_up = matches!(self.client(process).link, Link::Up(_));
                if self.client(process).conn().is_some() {
                    self.close_conn(process);
                }
                self.not_opened(process);
                if was_up {
                    self.suspended(process);
                }
            }
            Event::Expired(cause) => {
                say!(self, "process {process} has no session any more: the server {cause}");
                let client = self.client(process);
                client.session = 0;
                client.forget_requests();
                self.drive(process, Input::Expired);
            }
            Event::Denied(rc) => {
                self.drive(process, Input::Denied(rc));
                // The program opens another handle, later.
                self.kill_process(process);
                let (life, soon) = (self.processes[process].life, self.rng.below(self.plan.timeout));
                self.plan_in(soon, Happening::Restart(process, life));
            }
            Event::Reply { request, reply, .. } => {
                let client = self.client(process);
                let may_be_made = client.creates.remove(&request) && reply == Reply::Unknown;
                client.in_doubt |= may_be_made && !client.is_opening;
                let proves = client.proofs.remove(&request);
                let is_proved = proves && reply.is_answer();
                self.drive(process, Input::Reply(request, reply));
                if is_proved && self.believes(process) {
                    self.proved(process);
                }
            }
            Event::Watch(request, news) => self.drive(process, Input::WatchEvent(request, news)),
            Event::Challenge(_) => unreachable!("no client does SASL here"),
            Event::Answered | Event::Closed => {}
        }
    }

    fn not_opened(&mut self, process: usize) {
        if std::mem::take(&mut self.client(process).is_opening) {
            self.drive(process, Input::NotOpened);
        }
    }

    fn suspended(&mut self, process: usize) {
        self.stats.breaks += 1;
        self.drive(process, Input::Suspended(rc::CONNECTION_LOSS));
        let client = &self.processes[process].client;
        if client.in_doubt && self.repeated.contains(&client.session) {
            // Nothing would show whether a znode is the client's own or that of another client with the same session
            // number.
            self.client_restarts(process);
            self.drive(process, Input::Expired);
        }
    }

    /// Closes a session that was given up, on a connection for that alone, so that no candidate has to wait until it
    /// expires.
    fn bury(&mut self, process: usize) {
        let now = self.time(process);
        let Some(orphan) = self.client(process).zk.take_orphan() else { return };
        let settings = settings(&self.plan);
        let server = self.rng.below(self.plan.servers as u64) as usize;
        let conn = self.connect(process, server);
        self.conns[conn].buries = true;
        let session = Session::to_close(settings, orphan, now);
        self.client(process).closing.push(Closing { conn, session });
        self.send_up(conn, Packet::Syn);
    }

    /// Something has arrived on a connection that closes a session.
    fn buries(&mut self, process: usize, conn: ConnId, packet: Packet) {
        let now = self.time(process);
        let client = self.client(process);
        let Some(at) = client.closing.iter().position(|closing| closing.conn == conn) else { return };
        let session = &mut client.closing[at].session;
        let is_fin = matches!(packet, Packet::Fin);
        match packet {
            Packet::SynAck => session.handle_connected(now),
            Packet::Bytes(bytes) => session.handle_bytes(now, &bytes),
            Packet::Syn | Packet::Fin => {}
        }
        let is_over = std::iter::from_fn(|| session.poll_event())
            .any(|event| matches!(event, Event::Closed | Event::HangUp(_) | Event::Expired(_)));
        let bytes = session.poll_transmit(now).to_vec();
        session.handle_transmitted(bytes.len());
        if !bytes.is_empty() {
            self.send_up_bytes(conn, bytes);
        }
        if is_over || is_fin {
            self.client(process).closing.remove(at);
            self.shut(conn);
        }
    }

    /// Something has arrived at a client.
    pub fn client_receives(&mut self, conn: ConnId, packet: Packet) {
        let process = self.conns[conn].process;
        if !self.conns[conn].client_open {
            return;
        }
        if self.conns[conn].buries {
            return self.buries(process, conn, packet);
        }
        let dial = self.client(process).dials.iter().position(|dial| dial.conn == conn);
        match (packet, dial) {
            (Packet::SynAck, Some(dial)) => self.dial_succeeded(process, dial),
            (Packet::Fin, Some(dial)) => {
                self.conns[conn].client_open = false;
                self.dial_failed(process, dial);
                self.dial(process);
            }
            (Packet::Bytes(bytes), None) => {
                self.client(process).unread.extend_from_slice(&bytes);
                if self.rng.chance(self.plan.reorders) {
                    let soon = self.rng.below(self.plan.latency);
                    self.plan_in(soon, Happening::Reads(process, conn));
                } else {
                    self.client_reads(process, conn);
                }
            }
            (Packet::Fin, None) => {
                self.client_reads(process, conn);
                self.connection_lost(process, conn);
            }
            (packet, _) => unreachable!("{packet:?} at a client"),
        }
    }

    /// The process reads what has arrived on its connection.
    pub fn client_reads(&mut self, process: usize, conn: ConnId) {
        let now = self.time(process);
        let client = self.client(process);
        if client.conn() != Some(conn) {
            return;
        }
        let bytes = std::mem::take(&mut client.unread);
        client.zk.handle_bytes(now, &bytes);
        self.go_on(process);
    }

    /// The connection has ended. Answers come first: each request gets the answer that its outcome is unknown. Then
    /// the core hears of the break.
    fn connection_lost(&mut self, process: usize, conn: ConnId) {
        if self.client(process).conn() != Some(conn) {
            return;
        }
        self.conns[conn].client_open = false;
        let was_up = matches!(self.client(process).link, Link::Up(_));
        self.client(process).zk.handle_disconnected();
        self.close_conn(process);
        self.go_on(process);
        self.not_opened(process);
        if was_up {
            self.suspended(process);
            self.go_on(process);
        }
        self.dial(process);
        self.plan_client_timer(process);
    }

    /// The process has ended. Its machine closes the connections.
    pub fn client_dies(&mut self, process: usize) {
        self.close_conn(process);
        for Closing { conn, .. } in std::mem::take(&mut self.client(process).closing) {
            self.shut(conn);
        }
        let seed = self.rng.next();
        let fresh = Client::new(&self.plan, seed);
        *self.client(process) = fresh;
    }

    /// The handle is closed, and its session too.
    pub fn client_closes(&mut self, process: usize) {
        self.client(process).zk.close();
        let now = self.time(process);
        let client = self.client(process);
        if let Some(conn) = client.conn() {
            let bytes = client.zk.poll_transmit(now).to_vec();
            client.zk.handle_transmitted(bytes.len());
            self.send_up_bytes(conn, bytes);
        }
        self.client_dies(process);
    }
}
