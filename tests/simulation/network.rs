//! Links: first in, first out, at times slow. A cut link holds the messages that are sent on it until it is mended, as
//! TCP does. A peer that waits for an answer has to give up by itself.

use std::sync::Arc;

use crate::clock::Ns;
use crate::messages::{ConnId, Happening, Packet, PeerMsg, ServerMsg, WatchKind};
use crate::plan::Plan;
use crate::wire::{bytes_of, Inbox};
use crate::world::World;

pub const UP: usize = 0;
pub const DOWN: usize = 1;

/// A connection of a client to a server.
pub struct Conn {
    pub process: usize,
    pub server: usize,
    pub client_open: bool,
    /// The connection closes a session that was given up, and does nothing else.
    pub buries: bool,
    pub server_open: bool,
    /// What has arrived at the server.
    pub inbox: Inbox,
    /// The last moment at which a message arrives in each direction, up and down, to keep the order.
    last: [Ns; 2],
    /// At the server: the session, once it is established.
    pub session: i64,
    pub established: bool,
    pub timeout: Ns,
    /// When the connection's session was resumed on it, on the leader's clock; with the number of the leader's reign.
    pub resumed: (u32, u64),
    /// Whether the client knows the timeout. It may send requests behind a ConnectRequest, before it knows.
    pub timeout_heard: bool,
    pub watches: Vec<(WatchKind, Arc<str>)>,
}

#[derive(Default)]
struct Link {
    cuts: u32,
    held: Vec<Happening>,
}

pub struct Network {
    servers: usize,
    latency: Ns,
    /// The most that is added to each delay.
    pub slowness: Ns,
    clients: Vec<[Link; 2]>,
    peers: Vec<Link>,
    peers_last: Vec<Ns>,
}

impl Network {
    pub fn new(plan: &Plan) -> Network {
        Network {
            servers: plan.servers,
            latency: plan.latency,
            slowness: 0,
            clients: (0..plan.servers * plan.processes).map(|_| Default::default()).collect(),
            peers: (0..plan.servers * plan.servers).map(|_| Link::default()).collect(),
            peers_last: vec![0; plan.servers * plan.servers],
        }
    }

    pub fn peers_connected(&self, a: usize, b: usize) -> bool {
        self.peers[a * self.servers + b].cuts == 0 && self.peers[b * self.servers + a].cuts == 0
    }
}

impl World {
    fn delay(&mut self) -> Ns {
        let latency = self.net.latency;
        let usual = latency / 2 + self.rng.below(latency);
        let rare = if self.faults_on && self.rng.chance(5) { self.rng.below(10 * latency) } else { 0 };
        usual + rare + if self.net.slowness > 0 { self.rng.below(self.net.slowness) } else { 0 }
    }

    pub fn connect(&mut self, process: usize, server: usize) -> ConnId {
        self.conns.push(Conn {
            process,
            server,
            client_open: true,
            buries: false,
            server_open: true,
            inbox: Inbox::default(),
            last: [0; 2],
            session: 0,
            established: false,
            timeout: 0,
            resumed: (0, 0),
            timeout_heard: false,
            watches: Vec::new(),
        });
        self.conns.len() - 1
    }

    pub fn send_up(&mut self, conn: ConnId, packet: Packet) {
        self.send_client(conn, UP, Happening::ToServer(conn, packet));
    }

    pub fn send_down(&mut self, conn: ConnId, packet: Packet) {
        self.send_client(conn, DOWN, Happening::ToClient(conn, packet));
    }

    pub fn send_up_bytes(&mut self, conn: ConnId, bytes: Vec<u8>) {
        self.cut(bytes).into_iter().for_each(|part| self.send_up(conn, Packet::Bytes(part)));
    }

    pub fn send_down_message(&mut self, conn: ConnId, message: &ServerMsg) {
        self.cut(bytes_of(message)).into_iter().for_each(|part| self.send_down(conn, Packet::Bytes(part)));
    }

    /// A stream has no messages: at times what was sent together arrives in parts, cut anywhere.
    fn cut(&mut self, mut bytes: Vec<u8>) -> Vec<Vec<u8>> {
        if !self.rng.chance(self.plan.cuts) {
            return vec![bytes];
        }
        let rest = bytes.split_off(self.rng.below(bytes.len() as u64) as usize);
        vec![bytes, rest]
    }

    fn send_client(&mut self, conn: ConnId, direction: usize, what: Happening) {
        let at = self.now + self.delay();
        let link = &mut self.conns[conn];
        let index = link.process * self.plan.servers + link.server;
        if self.net.clients[index][direction].cuts > 0 {
            return self.net.clients[index][direction].held.push(what);
        }
        link.last[direction] = link.last[direction].max(at);
        let at = link.last[direction];
        self.plan_at(at, what);
    }

    pub fn send_peer(&mut self, from: usize, to: usize, link: u32, message: PeerMsg) {
        self.send_between(from, to, Happening::ToPeer(from, to, link, message));
    }

    fn send_between(&mut self, from: usize, to: usize, what: Happening) {
        let index = from * self.plan.servers + to;
        let at = self.now + self.delay();
        if self.net.peers[index].cuts > 0 {
            return self.net.peers[index].held.push(what);
        }
        self.net.peers_last[index] = self.net.peers_last[index].max(at);
        let at = self.net.peers_last[index];
        self.plan_at(at, what);
    }

    pub fn cut_client(&mut self, process: usize, server: usize, directions: [bool; 2]) {
        for direction in [UP, DOWN] {
            let link = &mut self.net.clients[process * self.plan.servers + server][direction];
            link.cuts += u32::from(directions[direction]);
        }
    }

    pub fn mend_client(&mut self, process: usize, server: usize, directions: [bool; 2]) {
        for direction in [UP, DOWN] {
            let link = &mut self.net.clients[process * self.plan.servers + server][direction];
            link.cuts = link.cuts.saturating_sub(u32::from(directions[direction]));
            if link.cuts == 0 {
                for what in std::mem::take(&mut link.held) {
                    let (Happening::ToServer(conn, _) | Happening::ToClient(conn, _)) = &what else { continue };
                    self.send_client(*conn, direction, what);
                }
            }
        }
    }

    /// No message of `from` reaches `to`.
    pub fn cut_servers(&mut self, from: usize, to: usize) {
        self.net.peers[from * self.plan.servers + to].cuts += 1;
    }

    pub fn mend_servers(&mut self, from: usize, to: usize) {
        let link = &mut self.net.peers[from * self.plan.servers + to];
        link.cuts = link.cuts.saturating_sub(1);
        if link.cuts == 0 {
            for what in std::mem::take(&mut link.held) {
                self.send_between(from, to, what);
            }
        }
    }

    pub fn mend_all_links(&mut self) {
        self.net.slowness = 0;
        for index in 0..self.net.clients.len() {
            for link in &mut self.net.clients[index] {
                link.cuts = link.cuts.min(1);
            }
            self.mend_client(index / self.plan.servers, index % self.plan.servers, [true; 2]);
        }
        for index in 0..self.net.peers.len() {
            self.net.peers[index].cuts = self.net.peers[index].cuts.min(1);
            self.mend_servers(index / self.plan.servers, index % self.plan.servers);
        }
    }
}
