//! A server as its clients see it: connections, requests answered in their order, and reads from the server's own copy
//! of the tree. A client hears a one-shot watch before any answer that the server gives after it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use election::testing::logic::{rc, WatchEvent};

use crate::clock::{Clock, Ns};
use crate::ensemble::Reign;
use crate::messages::{
    Answer, Ask, ClientMsg, ConnId, Connect, Denial, Happening, Origin, Packet, PeerMsg, Read, Request, ServerMsg,
    Txn, Verdict, WatchKind, Write, Writes, Xid,
};
use crate::plan::{Plan, Unknown};
use crate::say;
use crate::tree::{parent, Change, Denials, Tree};
use crate::world::World;

pub enum Role {
    Down,
    Looking,
    /// With the number of the connection to the leader.
    Following {
        leader: usize,
        link: u32,
        heard_at: Ns,
    },
    Leading(Box<Reign>),
}

pub struct Server {
    pub clock: Clock,
    pub role: Role,
    pub frozen: bool,
    /// The number of the freeze or crash that has to end.
    pub outage: u32,
    pub parked: Vec<Happening>,
    pub log: Vec<Rc<Txn>>,
    /// This many transactions of the log are committed here and make the tree.
    pub applied: usize,
    pub tree: Tree,
    pub accepted_epoch: i64,
    pub current_epoch: i64,
    pub conns: Vec<ConnId>,
    /// The requests of each session that wait for their turn, whatever connection they came on (`CommitProcessor`).
    pending: BTreeMap<i64, VecDeque<Item>>,
    /// The connection that waits until the leader says whether its session lives, by session: the last one that asked
    /// (`Learner.pendingRevalidations`).
    revalidations: BTreeMap<i64, ConnId>,
    /// The sessions that are alive, with their timeouts, for the next answer to the leader's PING.
    pub touches: BTreeMap<i64, Ns>,
    /// The sessions whose last touch was lost.
    lost: BTreeSet<i64>,
    pub lag: Ns,
    pub last_apply: Ns,
    last_forward: Ns,
    sessions_made: i64,
}

/// A request that waits for its turn to be answered.
struct Item {
    conn: ConnId,
    xid: Xid,
    what: Waits,
}

enum Waits {
    /// For the transaction that it has asked for.
    Write(Option<Verdict>),
    /// For the leader's answer to a sync of this path.
    Sync(Arc<str>, bool),
    /// For its turn only.
    Here(Request),
}

impl Item {
    fn waits_for_leader(&self) -> bool {
        matches!(self.what, Waits::Write(None) | Waits::Sync(_, false))
    }
}

/// What a server gives a session as its password. Whoever knows it may take the session over.
pub fn password(session: i64) -> Vec<u8> {
    let half = (session ^ 0x00b3_415c).to_be_bytes();
    [half, half].concat()
}

impl Server {
    pub fn new(clock: Clock, plan: &Plan) -> Server {
        let mut tree = Tree { counters_end: plan.counters_end, ..Tree::new() };
        let is_queue = plan.config.recipe != election::testing::logic::Recipe::Node;
        if plan.first_number != 0 && is_queue {
            for path in &plan.paths {
                let parents = path.match_indices('/').map(|(at, _)| &path[..at]);
                for path in parents.skip(1).chain([&**path]) {
                    if tree.make(path) {
                        tree.apply(0, 0, &Change::Number { path: path.into(), counter: plan.first_number });
                    }
                }
            }
        }
        if plan.writes {
            tree.make(plan.chroot);
            for path in 0..plan.paths.len() {
                tree.make(&format!("{}{}", plan.chroot, plan.written(path)));
            }
        }
        Server {
            clock,
            role: Role::Looking,
            frozen: false,
            outage: 0,
            parked: Vec::new(),
            log: Vec::new(),
            applied: 0,
            tree,
            accepted_epoch: 0,
            current_epoch: 0,
            conns: Vec::new(),
            pending: BTreeMap::new(),
            revalidations: BTreeMap::new(),
            touches: BTreeMap::new(),
            lost: BTreeSet::new(),
            lag: 0,
            last_apply: 0,
            last_forward: 0,
            sessions_made: 0,
        }
    }

    pub fn is_serving(&self) -> bool {
        matches!(self.role, Role::Following { .. } | Role::Leading(_))
    }

    pub fn reign(&mut self) -> Option<&mut Reign> {
        match &mut self.role {
            Role::Leading(reign) => Some(reign),
            _ => None,
        }
    }

    /// The number of the leader's reign, or of the follower's connection to its leader.
    pub fn term(&self) -> u32 {
        match &self.role {
            Role::Leading(reign) => reign.number,
            Role::Following { link, .. } => *link,
            _ => 0,
        }
    }
}

impl World {
    pub fn server_receives(&mut self, id: ConnId, packet: Packet) {
        let conn = &mut self.conns[id];
        if !conn.server_open {
            return;
        }
        match packet {
            Packet::Syn => match self.servers[conn.server].role {
                _ if self.processes[conn.process].is_refused => self.hang_up(id),
                Role::Down => self.hang_up(id),
                _ if self.is_turned_away(id) => self.hang_up(id),
                _ => self.send_down(id, Packet::SynAck),
            },
            Packet::Bytes(bytes) => {
                conn.inbox.take_in(&bytes);
                self.serve(id);
            }
            Packet::Fin => self.drop_conn(id),
            Packet::SynAck => unreachable!("said by servers"),
        }
    }

    /// Handles what has arrived. After a ConnectRequest the server reads nothing until the session stands
    /// (`ZooKeeperServer.processConnectRequest`).
    fn serve(&mut self, id: ConnId) {
        loop {
            let conn = &mut self.conns[id];
            if !conn.server_open {
                return;
            }
            if conn.timeout != 0 && !conn.established {
                // Some server that looks like ZooKeeper takes no request behind it.
                if self.plan.one_at_a_time == Some(conn.server) && !conn.inbox.is_empty() {
                    self.hang_up(id);
                }
                return;
            }
            match conn.inbox.next() {
                Some(message) => self.server_hears(id, message),
                None => return,
            }
        }
    }

    fn server_hears(&mut self, id: ConnId, message: ClientMsg) {
        let conn = &self.conns[id];
        let (server, session) = (conn.server, conn.session);
        if !conn.server_open {
            return;
        }
        if !self.servers[server].is_serving() {
            return self.hang_up(id);
        }
        let (xid, request) = match message {
            ClientMsg::Connect(connect) => return self.client_connects(id, connect),
            ClientMsg::Request(xid, request) => (xid, request),
        };
        // A shorter timeout than before begins to count when its client hears of it.
        let conn = &self.conns[id];
        let timeout = if conn.timeout_heard { conn.timeout } else { conn.timeout.max(self.plan.timeout) };
        self.touch(server, session, timeout);
        if let Some(unknown) = self.plan.unknown.filter(|_| is_of_3_5(&request)) {
            // Not in its turn (`ZooKeeperServer.submitRequest`).
            if unknown == Unknown::Refused {
                let answer = Answer::Refused(rc::UNIMPLEMENTED);
                self.send_down_message(id, &ServerMsg::Answer { xid, answer, zxid: -1 });
            }
            return self.hang_up(id);
        }
        let origin = (session, xid);
        let (what, ask) = match request {
            // Not in its turn (`ZooKeeperServer.processPacket`).
            Request::Auth { .. } => {
                let zxid = 0;
                let is_refused = self.denied.contains(&Some(Denial::Credentials));
                let answer = if is_refused { Answer::Refused(rc::AUTH_FAILED) } else { Answer::Done };
                self.send_down_message(id, &ServerMsg::Answer { xid, answer, zxid });
                if is_refused {
                    self.hang_up(id);
                }
                return;
            }
            Request::Sync { path } => (Waits::Sync(path, false), Some(Ask::Sync { origin })),
            Request::Write(write) => (Waits::Write(None), Some(Ask::Write { origin, writes: Writes::One(write) })),
            Request::Multi(writes) => {
                (Waits::Write(None), Some(Ask::Write { origin, writes: Writes::Multi(writes) }))
            }
            Request::Close => (Waits::Write(None), Some(Ask::Close { origin })),
            request => (Waits::Here(request), None),
        };
        self.servers[server].pending.entry(session).or_default().push_back(Item { conn: id, xid, what });
        match ask {
            Some(ask) => self.forward(server, ask),
            None => self.answer(server, session),
        }
    }

    fn client_connects(&mut self, id: ConnId, connect: Connect) {
        let Connect { session, password: known, last_zxid, timeout } = connect;
        let server = self.conns[id].server;
        if last_zxid > self.servers[server].tree.zxid {
            say!(self, "server {server} is behind connection {id} and refuses it");
            return self.hang_up(id);
        }
        let longest = match self.plan.shortest_timeout {
            Some((shorter, longest)) if shorter == server => longest,
            _ => 20 * self.plan.tick,
        };
        let timeout = timeout.clamp(2 * self.plan.tick, longest);
        let is_strange = session != 0 && self.faults_on && self.rng.chance(self.plan.other_sessions);
        if is_strange {
            say!(self, "server {server} opens another session for {session:x} on connection {id}");
        }
        let session = if is_strange { 0 } else { session };
        if session != 0 {
            let former = |conn: &ConnId| self.conns[*conn].session == session;
            let former: Vec<_> = self.servers[server].conns.iter().copied().filter(former).collect();
            former.into_iter().for_each(|conn| self.hang_up(conn));
        }
        self.servers[server].conns.push(id);
        self.conns[id].timeout = timeout;
        if session == 0 {
            let count = &mut self.servers[server].sessions_made;
            *count += 1;
            let session = (server as i64 + 1) << 32 | *count;
            self.forward(server, Ask::Open { conn: id, session, timeout });
        } else if known != password(session) {
            self.revalidated(id, false);
        } else {
            self.conns[id].session = session;
            self.servers[server].revalidations.insert(session, id);
            self.will_ask(session, server);
            self.forward(server, Ask::Revalidate { conn: id, session, timeout });
            self.has_come_back(server, session);
        }
    }

    /// The leader has named the session that it opens. The server waits for the transaction.
    pub fn opening(&mut self, id: ConnId, session: i64) {
        let server = self.conns[id].server;
        if !self.conns[id].server_open {
            return;
        }
        self.checker.asked_for.insert((self.conns[id].process, session));
        let item = Item { conn: id, xid: 0, what: Waits::Write(None) };
        self.servers[server].pending.entry(session).or_default().push_back(item);
    }

    /// The leader has said whether the session lives. The connection that waits for it may be a later one than the leader
    /// was asked about.
    pub fn hears_revalidated(&mut self, server: usize, session: i64, asked: ConnId, valid: bool) {
        let Some(id) = self.servers[server].revalidations.remove(&session) else { return };
        if id != asked && self.conns[id].server_open {
            say!(self, "server {server} takes the answer about connection {asked} for that about {id}");
            self.conns[id].resumed = self.conns[asked].resumed;
        }
        self.revalidated(id, valid);
    }

    pub fn revalidated(&mut self, id: ConnId, valid: bool) {
        let conn = &mut self.conns[id];
        if !conn.server_open {
            return;
        }
        conn.established = valid;
        let (session, timeout) = if valid { (conn.session, conn.timeout) } else { (0, 0) };
        self.send_down_message(id, &ServerMsg::Welcome { session, password: password(session), timeout });
        match valid {
            true => self.serve(id),
            false => self.hang_up(id),
        }
    }

    /// The server has heard of a client. A follower records it for its leader. One such record may be lost if the
    /// follower sends the table at that moment, but never two in a row.
    fn touch(&mut self, server: usize, session: i64, timeout: Ns) {
        let lost = self.rng.chance(self.plan.lost_touches) && self.is_rough();
        let it = &mut self.servers[server];
        let clock = it.clock.read(self.now);
        if let Role::Leading(reign) = &mut it.role {
            reign.tracker.touch(clock, session, timeout);
        } else if lost && it.lost.insert(session) {
            say!(self, "server {server} loses a touch of session {session:x}");
        } else {
            it.lost.remove(&session);
            it.touches.insert(session, timeout);
        }
    }

    fn forward(&mut self, server: usize, ask: Ask) {
        let is_slow = self.rng.chance(20) && self.is_rough();
        let slow = if is_slow { self.rng.below(10 * self.plan.latency) } else { 0 };
        let at = self.servers[server].last_forward.max(self.now + slow);
        self.servers[server].last_forward = at;
        let term = self.servers[server].term();
        match at <= self.now {
            true => self.forward_now(server, term, ask),
            false => self.plan_at(at, Happening::Forwards(server, term, ask)),
        }
    }

    pub fn forward_now(&mut self, server: usize, term: u32, ask: Ask) {
        match self.servers[server].role {
            _ if self.servers[server].term() != term => {}
            Role::Leading(_) => self.leader_asked(server, server, ask),
            Role::Following { leader, link, .. } => self.send_peer(server, leader, link, PeerMsg::Ask(ask)),
            _ => {}
        }
    }

    /// A transaction has been carried out that may be the answer to a request of this server. If it is not of the
    /// request that waits first in that session, it is of another server's client (`CommitProcessor.run`).
    pub fn resolve(&mut self, server: usize, (session, xid): Origin, verdict: &Verdict) {
        let first = self.servers[server].pending.get_mut(&session).and_then(|items| items.front_mut());
        match first {
            Some(Item { xid: waits, what: Waits::Write(answer @ None), .. }) if *waits == xid => {
                *answer = Some(verdict.clone());
                self.answer(server, session);
            }
            _ => {}
        }
    }

    /// Whether this connection waits for the answer to that closeSession.
    pub fn asks_to_close(&self, server: usize, id: ConnId, origin: Option<Origin>) -> bool {
        let Some((session, xid)) = origin else { return false };
        let first = self.servers[server].pending.get(&session).and_then(|items| items.front());
        first.is_some_and(|item| item.conn == id && item.xid == xid)
    }

    pub fn synced(&mut self, server: usize, (session, xid): Origin) {
        let items = self.servers[server].pending.get_mut(&session).into_iter().flatten();
        for item in items.filter(|item| item.xid == xid) {
            if let Waits::Sync(_, done) = &mut item.what {
                *done = true;
            }
        }
        self.answer(server, session);
    }

    /// Forgets all requests: the server leaves its leader.
    pub fn forget_requests(&mut self, server: usize) {
        self.servers[server].pending.clear();
        self.servers[server].revalidations.clear();
    }

    /// Answers the requests of a session that can be answered, in their order.
    fn answer(&mut self, server: usize, session: i64) {
        loop {
            let zxid = self.servers[server].tree.zxid;
            let Some(items) = self.servers[server].pending.get_mut(&session) else { return };
            let item = match items.front() {
                None => break,
                Some(item) if item.waits_for_leader() => return,
                Some(_) => items.pop_front().expect("looked at"),
            };
            let Item { conn: id, xid, what } = item;
            if !self.conns[id].server_open {
                continue;
            }
            let is_write = matches!(what, Waits::Write(Some(Verdict::Answer(_))));
            if is_write && self.faults_on && self.rng.chance(self.plan.lost_replies) {
                say!(self, "the answer of server {server} on connection {id} is lost");
                *self.stats.faults.entry(crate::plan::Fault::LostReply).or_default() += 1;
                self.hang_up(id);
                continue;
            }
            let answer = match what {
                Waits::Write(Some(Verdict::Answer(answer))) => answer,
                Waits::Write(Some(Verdict::Opened)) => {
                    let conn = &mut self.conns[id];
                    conn.session = session;
                    conn.established = true;
                    conn.timeout_heard = true;
                    let (timeout, password) = (conn.timeout, password(session));
                    self.send_down_message(id, &ServerMsg::Welcome { session, password, timeout });
                    self.serve(id);
                    continue;
                }
                Waits::Write(Some(Verdict::Closed)) => {
                    self.send_down_message(id, &ServerMsg::Answer { xid, answer: Answer::Done, zxid });
                    self.hang_up(id);
                    continue;
                }
                Waits::Write(Some(Verdict::Hangup)) => {
                    self.hang_up(id);
                    continue;
                }
                Waits::Sync(path, true) => Answer::Synced(path),
                Waits::Here(Request::Read(read)) => {
                    let answer = self.servers[server].tree.read(&read, &self.denials());
                    if let Some(watch) = watch_of(&read, &answer) {
                        if !self.conns[id].watches.contains(&watch) {
                            self.conns[id].watches.push(watch);
                        }
                    }
                    answer
                }
                Waits::Here(Request::SetWatches { relative_zxid, watches }) => {
                    self.set_watches(id, relative_zxid, watches);
                    Answer::Done
                }
                Waits::Here(Request::RemoveWatches { path, kinds }) => {
                    let watches = &mut self.conns[id].watches;
                    let before = watches.len();
                    watches.retain(|(kind, watched)| *watched != path || !kinds.contains(kind));
                    if watches.len() < before {
                        Answer::Done
                    } else {
                        Answer::Refused(NO_WATCHER)
                    }
                }
                Waits::Here(_) => Answer::Done,
                Waits::Write(None) | Waits::Sync(_, false) => unreachable!("waits for the leader"),
            };
            self.send_down_message(id, &ServerMsg::Answer { xid, answer, zxid });
        }
        self.servers[server].pending.remove(&session);
    }

    /// What is denied to everybody now.
    pub fn denials(&self) -> Denials {
        let all = self.plan.paths.iter().zip(&self.denied);
        Denials(all.filter_map(|(path, denial)| Some((path.clone(), (*denial)?))).collect())
    }

    /// The client's watches of its former connection: the server reports missed events at once, and sets the other
    /// watches.
    fn set_watches(&mut self, id: ConnId, last_zxid: i64, watches: Vec<(WatchKind, Arc<str>)>) {
        for (kind, path) in watches {
            let tree = &self.servers[self.conns[id].server].tree;
            let news = match (kind, tree.nodes.get(&path)) {
                (WatchKind::Exist, Some(_)) => Some(WatchEvent::Created),
                (WatchKind::Exist, None) => None,
                (WatchKind::Data | WatchKind::Child, None) => Some(WatchEvent::Deleted),
                (WatchKind::Data, Some(node)) => (node.stat.mzxid > last_zxid).then_some(WatchEvent::Changed),
                (WatchKind::Child, Some(node)) => (node.pzxid > last_zxid).then_some(WatchEvent::Changed),
            };
            match news {
                Some(news) => self.send_down_message(id, &ServerMsg::WatchEvent { kind, path, news }),
                None => self.conns[id].watches.push((kind, path)),
            }
        }
    }

    /// Reports a change to those clients of a server that watch for it.
    pub fn fire(&mut self, server: usize, change: &Change) {
        use WatchKind::*;
        let seen: &[(WatchKind, &str, WatchEvent)] = match change {
            Change::Create { path, .. } => {
                &[(Exist, path, WatchEvent::Created), (Child, parent(path), WatchEvent::Changed)]
            }
            Change::Delete { path } => &[
                (Data, path, WatchEvent::Deleted),
                (Child, path, WatchEvent::Deleted),
                (Child, parent(path), WatchEvent::Changed),
            ],
            Change::Set { path, .. } => &[(Data, path, WatchEvent::Changed)],
            _ => return,
        };
        for at in 0..self.servers[server].conns.len() {
            let id = self.servers[server].conns[at];
            let mut seen = seen.to_vec();
            if self.rng.chance(self.plan.reorders) {
                seen.reverse();
            }
            let mut told: Option<Arc<str>> = None;
            for (kind, path, news) in &seen {
                let watches = &mut self.conns[id].watches;
                let watch = watches.iter().position(|(armed, watched)| armed == kind && &**watched == *path);
                if let Some(watch) = watch {
                    let (kind, path) = watches.remove(watch);
                    // A deletion is told once, however many of a znode's watches see it (`DataTree.deleteNode`).
                    let is_told = *news == WatchEvent::Deleted && told.as_ref() == Some(&path);
                    told = Some(path.clone());
                    if !is_told {
                        self.send_down_message(id, &ServerMsg::WatchEvent { kind, path, news: *news });
                    }
                }
            }
        }
    }

    /// The server closes a connection.
    pub fn hang_up(&mut self, id: ConnId) {
        if self.conns[id].server_open {
            self.drop_conn(id);
            self.send_down(id, Packet::Fin);
        }
    }

    /// A connection has ended for its server.
    pub fn drop_conn(&mut self, id: ConnId) {
        let conn = &mut self.conns[id];
        conn.server_open = false;
        conn.watches.clear();
        self.servers[conn.server].conns.retain(|other| *other != id);
    }
}

const NO_WATCHER: i32 = -121;

/// Whether ZooKeeper 3.4 does not know such a request.
fn is_of_3_5(request: &Request) -> bool {
    matches!(request, Request::Write(Write::Create { with_stat: true, .. }) | Request::RemoveWatches { .. })
}

/// The watch that an answered read leaves.
fn watch_of(read: &Read, answer: &Answer) -> Option<(WatchKind, Arc<str>)> {
    match (read, answer) {
        (Read::Exists { path, watch: true }, Answer::Refused(_)) => Some((WatchKind::Exist, path.clone())),
        (_, Answer::Refused(_)) => None,
        (Read::Data { path, watch: true } | Read::Exists { path, watch: true }, _) => {
            Some((WatchKind::Data, path.clone()))
        }
        (Read::Children { path, watch: true }, _) => Some((WatchKind::Child, path.clone())),
        _ => None,
    }
}
