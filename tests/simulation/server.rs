//! A server as its clients see it: connections, requests answered in their order, and reads from the server's own copy
//! of the tree. A client hears a one-shot watch before any answer that the server gives after it.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use election::testing::logic::{Op, Reply, RequestId, SessionId, WatchEvent};

use crate::clock::{Clock, Ns};
use crate::ensemble::Reign;
use crate::messages::{Ask, ClientMsg, ConnId, Happening, PeerMsg, ServerMsg, Txn, Verdict, WatchKind};
use crate::plan::Plan;
use crate::say;
use crate::tree::{is_write, parent, Change, Tree};
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
pub enum Item {
    Read(RequestId, Op),
    /// The request, if the client wants the answer.
    Write(Option<RequestId>, Option<Reply>),
    /// Whether the leader has answered.
    Sync(RequestId, bool),
    Ping,
}

impl Server {
    pub fn new(clock: Clock, plan: &Plan) -> Server {
        let mut tree = Tree { counters_end: plan.counters_end, ..Tree::new() };
        if plan.first_number != 0 {
            for path in plan.paths.iter().rev() {
                for path in [parent(path), path] {
                    if !tree.nodes.contains_key(path)
                        && plan.config.recipe != election::testing::logic::Recipe::Node
                    {
                        let (path, value) = (Arc::<str>::from(path), [].into());
                        let number = Change::Number { path: path.clone(), counter: plan.first_number };
                        tree.apply(0, 0, &Change::Create { path, value, owner: 0, container: false });
                        tree.apply(0, 0, &number);
                    }
                }
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
    pub fn server_hears(&mut self, id: ConnId, message: ClientMsg) {
        let conn = &self.conns[id];
        let (server, session) = (conn.server, conn.session);
        if !conn.server_open {
            return;
        }
        if !self.servers[server].is_serving() {
            return self.hang_up(id);
        }
        match message {
            ClientMsg::Fin => return self.drop_conn(id),
            ClientMsg::Connect { session, last_zxid, timeout } => {
                return self.client_connects(id, session, last_zxid, timeout)
            }
            _ => {}
        }
        if !self.conns[id].established {
            return;
        }
        self.touch(server, session, self.conns[id].timeout);
        match message {
            ClientMsg::Sync(request) => {
                self.conns[id].pending.push_back(Item::Sync(request, false));
                self.forward(server, Ask::Sync { conn: id });
            }
            ClientMsg::CatchUp => {
                self.conns[id].pending.push_back(Item::Write(None, None));
                let op = Op::Prove { paths: Vec::new() };
                self.forward(server, Ask::Write { conn: id, session, op });
            }
            ClientMsg::Request(request, op) if is_write(&op) => {
                self.conns[id].pending.push_back(Item::Write(Some(request), None));
                self.forward(server, Ask::Write { conn: id, session, op });
            }
            ClientMsg::Request(request, op) => {
                self.conns[id].pending.push_back(Item::Read(request, op));
                self.answer(id);
            }
            ClientMsg::Ping => {
                self.conns[id].pending.push_back(Item::Ping);
                self.answer(id);
            }
            ClientMsg::CloseSession => self.forward(server, Ask::Close { conn: id, session }),
            ClientMsg::SetWatches { last_zxid, watches } => self.set_watches(id, last_zxid, watches),
            ClientMsg::Connect { .. } | ClientMsg::Fin => unreachable!("handled above"),
        }
    }

    fn client_connects(&mut self, id: ConnId, session: i64, last_zxid: i64, timeout: Ns) {
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
        } else {
            self.conns[id].session = session;
            self.forward(server, Ask::Revalidate { conn: id, session, timeout });
        }
    }

    pub fn revalidated(&mut self, id: ConnId, valid: bool) {
        let conn = &mut self.conns[id];
        if !conn.server_open {
            return;
        }
        conn.established = valid;
        let (timeout, session) = (conn.timeout, valid.then_some(SessionId(conn.session)));
        self.send_down(id, ServerMsg::Welcome { session, timeout });
        if !valid {
            self.hang_up(id);
        }
    }

    /// The server has heard of a client. A follower records it for its leader. One such record may be lost if the
    /// follower sends the table at that moment, but never two in a row.
    fn touch(&mut self, server: usize, session: i64, timeout: Ns) {
        let lost = self.rng.chance(self.plan.lost_touches);
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
        let slow = if self.rng.chance(20) { self.rng.below(10 * self.plan.latency) } else { 0 };
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

    /// The transaction of a client of this server has been carried out.
    pub fn resolve(&mut self, id: ConnId, verdict: &Verdict) {
        if !self.conns[id].server_open {
            return;
        }
        match verdict {
            Verdict::Reply(reply) => {
                let open = |item: &&mut Item| matches!(item, Item::Write(_, None));
                if let Some(Item::Write(_, answer)) = self.conns[id].pending.iter_mut().find(open) {
                    *answer = Some(reply.clone());
                }
                self.answer(id);
            }
            Verdict::Opened { session } => {
                let conn = &mut self.conns[id];
                conn.session = *session;
                conn.established = true;
                let timeout = conn.timeout;
                self.send_down(id, ServerMsg::Welcome { session: Some(SessionId(*session)), timeout });
            }
            Verdict::Closed => {
                self.send_down(id, ServerMsg::Closed);
                self.hang_up(id);
            }
            Verdict::Hangup => self.hang_up(id),
        }
    }

    pub fn synced(&mut self, id: ConnId) {
        let open = |item: &&mut Item| matches!(item, Item::Sync(_, false));
        if let Some(Item::Sync(_, done)) = self.conns[id].pending.iter_mut().find(open) {
            *done = true;
        }
        self.answer(id);
    }

    /// Answers the requests that can be answered, in their order.
    fn answer(&mut self, id: ConnId) {
        while self.conns[id].server_open {
            let server = self.conns[id].server;
            let zxid = self.servers[server].tree.zxid;
            match self.conns[id].pending.front() {
                None | Some(Item::Write(_, None) | Item::Sync(_, false)) => return,
                Some(_) => {}
            }
            match self.conns[id].pending.pop_front().expect("looked at") {
                Item::Read(request, op) => {
                    let reply = self.servers[server].tree.read(&op);
                    if let Some(watch) = watch_of(&op, &reply) {
                        if !self.conns[id].watches.contains(&watch) {
                            self.conns[id].watches.push(watch);
                        }
                    }
                    self.send_down(id, ServerMsg::Reply { request, reply, zxid });
                }
                Item::Write(_, Some(_)) if self.faults_on && self.rng.chance(self.plan.lost_replies) => {
                    say!(self, "the answer of server {server} on connection {id} is lost");
                    *self.stats.faults.entry(crate::plan::Fault::LostReply).or_default() += 1;
                    self.hang_up(id);
                }
                Item::Write(None, Some(_)) => {}
                Item::Write(Some(request), Some(reply)) => {
                    self.send_down(id, ServerMsg::Reply { request, reply, zxid });
                }
                Item::Ping => self.send_down(id, ServerMsg::Pong { zxid }),
                Item::Sync(request, _) => {
                    self.send_down(id, ServerMsg::Reply { request, reply: Reply::Done, zxid });
                }
                Item::Write(_, None) => unreachable!("looked at"),
            }
        }
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
                Some(news) => self.send_down(id, ServerMsg::WatchEvent { kind, path, news }),
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
            for (kind, path, news) in &seen {
                let watches = &mut self.conns[id].watches;
                let watch = watches.iter().position(|(armed, watched)| armed == kind && &**watched == *path);
                if let Some(watch) = watch {
                    let (kind, path) = watches.remove(watch);
                    self.send_down(id, ServerMsg::WatchEvent { kind, path, news: *news });
                }
            }
        }
    }

    /// The server closes a connection.
    pub fn hang_up(&mut self, id: ConnId) {
        if self.conns[id].server_open {
            self.drop_conn(id);
            self.send_down(id, ServerMsg::Fin);
        }
    }

    /// A connection has ended for its server.
    pub fn drop_conn(&mut self, id: ConnId) {
        let conn = &mut self.conns[id];
        conn.server_open = false;
        conn.pending.clear();
        conn.watches.clear();
        self.servers[conn.server].conns.retain(|other| *other != id);
    }
}

/// The watch that an answered read leaves.
pub fn watch_of(op: &Op, reply: &Reply) -> Option<(WatchKind, Arc<str>)> {
    match (op, reply) {
        (Op::Read { path, watch: true, .. }, Reply::Read(_)) => Some((WatchKind::Data, path.clone())),
        (Op::Exists { path }, Reply::Exists(true)) => Some((WatchKind::Data, path.clone())),
        (Op::Exists { path }, Reply::Exists(false)) => Some((WatchKind::Exist, path.clone())),
        (Op::List { path, watch: true, .. }, Reply::Listed(_)) => Some((WatchKind::Child, path.clone())),
        _ => None,
    }
}
