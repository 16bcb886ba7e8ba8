//! A client of ZooKeeper, as the driver sees `zookeeper-client`. It has one session, which moves from server to server
//! by itself. It answers requests in their order. If the connection breaks, it answers that their outcome is unknown.
//! Its watches are one-shot, and the client sets them again on the next server.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use election::testing::logic::{rc, Op, Reply, RequestId, SessionId};

use crate::clock::{Ns, MS};
use crate::messages::{ClientMsg, ConnId, Happening, ServerMsg, WatchKind};
use crate::plan::Plan;
use crate::process::Input;
use crate::say;
use crate::server::watch_of;
use crate::tree::parent;
use crate::world::World;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// The client is closed, or the process is dead.
    Off,
    /// The client waits between two rounds through the servers.
    Waiting,
    Connecting(ConnId),
    Up(ConnId),
}

pub struct Client {
    pub link: Link,
    /// 0 if the client has no session yet.
    pub session: i64,
    timeout: Ns,
    last_zxid: i64,
    /// All on the process's clock: when the round began that opened the session, when the client last heard and sent
    /// something, and when it has to act.
    asked_at: u64,
    heard_at: u64,
    sent_at: u64,
    deadline: u64,
    order: Vec<usize>,
    rounds: u32,
    requests: VecDeque<(RequestId, Op)>,
    /// Answers that have arrived and that the process has not read yet.
    untold: VecDeque<(RequestId, Reply, bool)>,
    /// Parents that the client is making, one transaction for each.
    making: BTreeMap<RequestId, Arc<str>>,
    /// The outcome of a create in this session is unknown.
    in_doubt: bool,
    /// A session that the client gave up and that may live on.
    leftover: i64,
    watches: BTreeMap<(WatchKind, Arc<str>), Vec<RequestId>>,
    /// The planned timer, and its time.
    timer: (u32, Ns),
}

impl Client {
    pub fn new(plan: &Plan) -> Client {
        Client {
            link: Link::Off,
            session: 0,
            timeout: plan.timeout,
            last_zxid: 0,
            asked_at: 0,
            heard_at: 0,
            sent_at: 0,
            deadline: 0,
            order: Vec::new(),
            rounds: 0,
            requests: VecDeque::new(),
            untold: VecDeque::new(),
            making: BTreeMap::new(),
            in_doubt: false,
            leftover: 0,
            watches: BTreeMap::new(),
            timer: (0, 0),
        }
    }

    /// The epoch of the last leader whose transaction the client has seen.
    pub fn epoch(&self) -> i64 {
        self.last_zxid >> 32
    }

    /// The core does not learn that this was not sent.
    pub fn not_sent(&mut self, op: &Op) {
        self.in_doubt |= is_create(op);
    }

    /// Whether a create in this session has had no answer, or may get none.
    pub fn may_be_in_doubt(&self) -> bool {
        self.in_doubt || self.requests.iter().any(|(_, op)| is_create(op))
    }

    pub fn is_connected(&self) -> bool {
        matches!(self.link, Link::Up(_))
    }

    pub fn unwatch(&mut self, request: RequestId) {
        self.watches.retain(|_, requests| {
            requests.retain(|other| *other != request);
            !requests.is_empty()
        });
    }
}

fn is_create(op: &Op) -> bool {
    matches!(op, Op::Create { .. } | Op::CreateSequential { .. })
}

impl World {
    fn client(&mut self, process: usize) -> &mut Client {
        &mut self.processes[process].client
    }

    /// Starts a session from the beginning. Nothing of the former session is left.
    pub fn client_restarts(&mut self, process: usize) {
        self.close_conn(process);
        let client = self.client(process);
        client.leftover = std::mem::take(&mut client.session);
        client.last_zxid = 0;
        client.rounds = 0;
        client.requests.clear();
        client.untold.clear();
        client.making.clear();
        client.in_doubt = false;
        client.watches.clear();
        self.begin_round(process);
    }

    fn begin_round(&mut self, process: usize) {
        let mut order: Vec<_> = (0..self.plan.servers).collect();
        for at in (1..order.len()).rev() {
            order.swap(at, self.rng.below(at as u64 + 1) as usize);
        }
        let now = self.local(process);
        let client = self.client(process);
        client.order = order;
        client.asked_at = now;
        self.try_server(process);
    }

    fn try_server(&mut self, process: usize) {
        let now = self.local(process);
        let client = self.client(process);
        if client.session != 0 && now >= client.heard_at + client.timeout / 5 * 7 {
            say!(self, "process {process} gives its session up");
            return self.session_over(process);
        }
        match client.order.pop() {
            Some(server) => {
                let conn = self.connect(process, server);
                let client = self.client(process);
                client.link = Link::Connecting(conn);
                client.deadline = now + client.timeout / 5;
                let (session, last_zxid, timeout) = (client.session, client.last_zxid, client.timeout);
                self.send_up(conn, ClientMsg::Connect { session, last_zxid, timeout });
                self.asks(process, 60);
            }
            None => {
                client.link = Link::Waiting;
                client.rounds += 1;
                let wait = match client.session {
                    0 => ((25 * MS) << client.rounds.min(5)).min(500 * MS),
                    _ => MS << client.rounds.min(20),
                };
                client.deadline = now + wait;
                if client.session == 0 {
                    self.drive(process, Input::Suspended(rc::CONNECTION_LOSS));
                }
            }
        }
        self.plan_client_timer(process);
    }

    fn plan_client_timer(&mut self, process: usize) {
        let clock = self.processes[process].clock;
        let client = &self.processes[process].client;
        let deadline = match client.link {
            Link::Off => return,
            Link::Up(_) => (client.heard_at + client.timeout / 5 * 2).min(client.sent_at + client.timeout / 5),
            _ if client.session != 0 => client.deadline.min(client.heard_at + client.timeout / 5 * 7),
            _ => client.deadline,
        };
        let at = clock.when(deadline).max(self.now) + self.rng.below(self.plan.jitter + 1);
        let (_, planned) = client.timer;
        if planned < self.now || at < planned || planned == 0 {
            let timer = self.next_serial();
            self.client(process).timer = (timer, at);
            self.plan_at(at, Happening::ClientTimer(process, timer));
        }
    }

    pub fn client_timer(&mut self, process: usize, timer: u32) {
        let now = self.local(process);
        let client = self.client(process);
        if client.timer.0 != timer {
            return;
        }
        client.timer = (0, 0);
        let silence = now.saturating_sub(client.heard_at);
        match client.link {
            Link::Off => return,
            Link::Up(_) if silence >= client.timeout / 5 * 2 => {
                say!(self, "process {process} hears nothing of its server");
                return self.connection_lost(process);
            }
            Link::Up(conn) if now >= client.sent_at + client.timeout / 5 => {
                client.sent_at = now;
                self.send_up(conn, ClientMsg::Ping);
            }
            Link::Up(_) => {}
            _ if client.session != 0 && silence >= client.timeout / 5 * 7 => {
                say!(self, "process {process} gives its session up");
                return self.session_over(process);
            }
            Link::Connecting(_) if now >= client.deadline => {
                self.close_conn(process);
                return self.try_server(process);
            }
            Link::Waiting if now >= client.deadline => return self.begin_round(process),
            _ => {}
        }
        self.plan_client_timer(process);
    }

    pub fn client_sends(&mut self, process: usize, request: RequestId, op: Op) {
        let now = self.local(process);
        let client = self.client(process);
        let Link::Up(conn) = client.link else { unreachable!("only while connected") };
        client.sent_at = now;
        client.requests.push_back((request, op.clone()));
        if let Op::MakeParents { path } = &op {
            client.making.entry(request).or_insert(path.clone());
        }
        if matches!(op, Op::Read { sync: true, .. } | Op::List { sync: true, .. }) {
            self.send_up(conn, ClientMsg::CatchUp);
        }
        let proves = matches!(op, Op::Prove { .. });
        self.send_up(
            conn,
            match op {
                Op::Touch => ClientMsg::Sync(request),
                op => ClientMsg::Request(request, op),
            },
        );
        if proves {
            self.asks(process, 15);
        }
    }

    /// The parent of a znode is made, or cannot be made. Returns the next znode to make: the one above if that is
    /// missing, else the next one down.
    fn next_parent(&mut self, process: usize, request: RequestId, op: &Op, reply: &Reply) -> Option<Arc<str>> {
        let Op::MakeParents { path: step } = op else { return None };
        let whole = self.client(process).making.get(&request)?.clone();
        let next: Option<Arc<str>> = match reply {
            Reply::Done if *step != whole => {
                let below = whole[step.len() + 1..].find('/').map_or(whole.len(), |at| step.len() + 1 + at);
                Some(whole[..below].into())
            }
            Reply::Refused(rc::NO_NODE) => Some(parent(step).into()),
            _ => None,
        };
        if next.is_none() {
            self.client(process).making.remove(&request);
        }
        next
    }

    /// Reports this many of the arrived answers, in their order.
    pub fn tell_replies(&mut self, process: usize, count: usize) {
        for _ in 0..count {
            let Some((request, reply, proves)) = self.client(process).untold.pop_front() else { return };
            self.drive(process, Input::Reply(request, reply));
            if proves && self.believes(process) {
                self.proved(process);
            }
        }
    }

    /// Closes a session that was given up, on a connection for that alone, so that no candidate has to wait until it
    /// expires.
    fn bury(&mut self, process: usize) {
        let session = std::mem::take(&mut self.client(process).leftover);
        if session != 0 {
            let server = self.rng.below(self.plan.servers as u64) as usize;
            let conn = self.connect(process, server);
            self.conns[conn].buries = true;
            let timeout = self.plan.timeout;
            self.send_up(conn, ClientMsg::Connect { session, last_zxid: 0, timeout });
        }
    }

    pub fn client_hears(&mut self, conn: ConnId, message: ServerMsg) {
        if self.conns[conn].buries {
            if matches!(message, ServerMsg::Welcome { session: Some(_), .. }) {
                self.send_up(conn, ClientMsg::CloseSession);
            }
            return;
        }
        let process = self.conns[conn].process;
        let now = self.local(process);
        let client = self.client(process);
        let connecting = client.link == Link::Connecting(conn);
        if !self.conns[conn].client_open || !(connecting || self.client(process).link == Link::Up(conn)) {
            return;
        }
        let client = self.client(process);
        if !matches!(message, ServerMsg::Fin) {
            client.heard_at = now;
        }
        match message {
            ServerMsg::Welcome { session: Some(session), timeout } => {
                let resumed = client.session != 0;
                client.link = Link::Up(conn);
                client.session = session.0;
                client.timeout = timeout;
                client.sent_at = now;
                client.rounds = 0;
                let (asked_at, last_zxid) = (client.asked_at, client.last_zxid);
                if resumed {
                    self.timeout_heard(conn);
                }
                let client = self.client(process);
                let watches: Vec<_> = client.watches.keys().cloned().collect();
                if resumed && !watches.is_empty() {
                    self.send_up(conn, ClientMsg::SetWatches { last_zxid, watches });
                }
                if !resumed {
                    self.bury(process);
                }
                self.plan_client_timer(process);
                say!(self, "process {process} is connected to server {}", self.conns[conn].server);
                self.drive(process, Input::Connected { session: SessionId(session.0), timeout, asked_at });
            }
            ServerMsg::Welcome { session: None, .. } | ServerMsg::Closed => self.session_over(process),
            ServerMsg::Fin => {
                self.conns[conn].client_open = false;
                match connecting {
                    true => self.try_server(process),
                    false => self.connection_lost(process),
                }
            }
            ServerMsg::Reply { request, reply, zxid } => {
                client.last_zxid = client.last_zxid.max(zxid);
                let (expected, op) = client.requests.pop_front().expect("somebody asked");
                assert_eq!(expected, request, "answers come in the order of the requests");
                if let Some(path) = self.next_parent(process, request, &op, &reply) {
                    return self.client_sends(process, request, Op::MakeParents { path });
                }
                let client = self.client(process);
                if let Some(watch) = watch_of(&op, &reply) {
                    client.watches.entry(watch).or_default().push(request);
                }
                client.untold.push_back((request, reply, matches!(op, Op::Prove { .. })));
                if self.rng.chance(self.plan.reorders) {
                    let soon = self.rng.below(self.plan.latency);
                    self.plan_in(soon, Happening::Tell(process));
                } else {
                    self.tell_replies(process, usize::MAX);
                }
            }
            ServerMsg::Pong { zxid } => client.last_zxid = client.last_zxid.max(zxid),
            // The client may hear a WatchEvent before the answers to earlier requests, but not before the answer to the
            // request that left the watch.
            ServerMsg::WatchEvent { kind, path, news } => {
                let watch = (kind, path);
                let client = self.client(process);
                let left_by = client.watches.get(&watch).cloned().unwrap_or_default();
                let before = client.untold.iter().rposition(|(request, ..)| left_by.contains(request));
                self.tell_replies(process, before.map_or(0, |at| at + 1));
                let mut requests = self.client(process).watches.remove(&watch).unwrap_or_default();
                if self.rng.chance(self.plan.reorders) {
                    requests.reverse();
                }
                for request in requests {
                    self.drive(process, Input::WatchEvent(request, news));
                }
            }
        }
    }

    /// The client closes its connection, or hears that its server closed it.
    fn close_conn(&mut self, process: usize) {
        let link = std::mem::replace(&mut self.client(process).link, Link::Waiting);
        if let Link::Connecting(conn) | Link::Up(conn) = link {
            if std::mem::replace(&mut self.conns[conn].client_open, false) {
                self.send_up(conn, ClientMsg::Fin);
            }
        }
    }

    /// Answers come first: each request gets the answer that its outcome is unknown. Then the core hears of the break.
    pub fn connection_lost(&mut self, process: usize) {
        self.close_conn(process);
        self.tell_replies(process, usize::MAX);
        self.client(process).making.clear();
        let client = self.client(process);
        client.in_doubt = client.may_be_in_doubt();
        for (request, _) in std::mem::take(&mut self.client(process).requests) {
            self.drive(process, Input::Reply(request, Reply::Unknown));
        }
        self.drive(process, Input::Suspended(rc::CONNECTION_LOSS));
        let client = &self.processes[process].client;
        if client.in_doubt && self.repeated.contains(&client.session) {
            // Nothing would show whether a znode is the client's own or that of another client with the same session
            // number.
            self.session_over(process);
        } else if client.session != 0 {
            self.begin_round(process);
        }
    }

    fn session_over(&mut self, process: usize) {
        self.tell_replies(process, usize::MAX);
        self.client_restarts(process);
        self.drive(process, Input::Expired);
    }

    /// The process has ended. Its machine closes the connection.
    pub fn client_dies(&mut self, process: usize) {
        self.close_conn(process);
        let fresh = Client::new(&self.plan);
        *self.client(process) = fresh;
    }

    /// The handle is closed, and its session too.
    pub fn client_closes(&mut self, process: usize) {
        if let Link::Up(conn) = self.client(process).link {
            self.send_up(conn, ClientMsg::CloseSession);
        }
        self.client_dies(process);
    }
}
