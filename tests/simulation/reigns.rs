//! How leaders come and go. A server that hears of no leader looks for one. A quorum of servers that look for a leader
//! elects the one with the newest log. A new leader commits its whole log, and gives every session its full timeout
//! anew. The exchange of votes is left out: each server knows the truth, only not at once.

use crate::clock::Ns;
use crate::ensemble::{Follower, Reign};
use crate::messages::{Apply, Happening, PeerMsg};
use crate::say;
use crate::server::Role;
use crate::sessions::Tracker;
use crate::tree::Tree;
use crate::world::World;

impl World {
    /// A server stops serving, drops its clients and looks for a leader.
    pub fn leave(&mut self, server: usize) {
        for conn in self.servers[server].conns.clone() {
            self.hang_up(conn);
        }
        self.servers[server].touches.clear();
        self.forget_requests(server);
        match std::mem::replace(&mut self.servers[server].role, Role::Looking) {
            Role::Following { leader, link, .. } => self.send_peer(server, leader, link, PeerMsg::Goodbye),
            Role::Leading(reign) => {
                for (to, follower) in reign.followers.iter().enumerate() {
                    if let Some(follower) = follower {
                        self.send_peer(server, to, follower.link, PeerMsg::Goodbye);
                    }
                }
            }
            _ => {}
        }
        let delay = self.plan.tick / 4 + self.rng.below(self.plan.tick);
        self.plan_election(delay);
    }

    pub fn plan_election(&mut self, delay: Ns) {
        if !std::mem::replace(&mut self.election_planned, true) {
            self.plan_in(delay, Happening::Election);
        }
    }

    /// The servers that look for a leader find one, or elect one of themselves.
    pub fn election(&mut self) {
        self.election_planned = false;
        let all = 0..self.plan.servers;
        let is_looking =
            |world: &World, s: usize| matches!(world.servers[s].role, Role::Looking) && !world.servers[s].frozen;
        for server in all.clone().filter(|s| is_looking(self, *s)).collect::<Vec<_>>() {
            let may_lead = |world: &World, leader: usize| match &world.servers[leader].role {
                Role::Leading(reign) => reign.epoch >= world.servers[server].accepted_epoch,
                _ => false,
            };
            let mut leaders = all.clone().filter(|leader| {
                may_lead(self, *leader)
                    && !self.servers[*leader].frozen
                    && self.net.peers_connected(server, *leader)
            });
            if let Some(leader) = leaders.next() {
                self.join(server, leader);
                self.try_commit(leader);
            }
        }
        let looking: Vec<_> = all.filter(|s| is_looking(self, *s)).collect();
        let members = |leader: usize| {
            let connected = |s: &usize| *s == leader || self.net.peers_connected(*s, leader);
            looking.iter().copied().filter(connected).collect::<Vec<_>>()
        };
        // No server follows a leader that knows less.
        let knows = |s: usize| {
            let it = &self.servers[s];
            (it.current_epoch, it.log.last().map(|txn| txn.zxid))
        };
        let electable = |s: &usize| {
            let members = members(*s);
            members.len() >= self.plan.quorum() && members.iter().all(|member| knows(*member) <= knows(*s))
        };
        let newest = looking.iter().copied().filter(electable).max_by_key(|s| (knows(*s), *s));
        if let Some(leader) = newest {
            let members = members(leader);
            self.begin_reign(leader, &members);
        }
        if self.servers.iter().any(|server| matches!(server.role, Role::Looking)) {
            let delay = self.plan.tick / 2 + self.rng.below(self.plan.tick);
            self.plan_election(delay);
        }
    }

    fn begin_reign(&mut self, leader: usize, members: &[usize]) {
        self.stats.elections += 1;
        let epoch = 1 + members.iter().map(|s| self.servers[*s].accepted_epoch).max().expect("a quorum");
        while self.servers[leader].applied < self.servers[leader].log.len() {
            self.apply_next(leader);
        }
        let number = self.next_serial();
        let it = &mut self.servers[leader];
        it.accepted_epoch = epoch;
        it.current_epoch = epoch;
        let clock = it.clock.read(self.now);
        let tracker = Tracker::new(self.plan.tick, clock, &it.tree.sessions);
        let first_expiry = it.clock.when(tracker.next_beat(clock));
        let followers = vec![None; self.plan.servers];
        let ahead = Tree { counters_end: false, ..it.tree.clone() };
        let (syncs, beats, busy_until) = (Vec::new(), 0, 0);
        let reign = Reign { number, epoch, proposed: 0, ahead, tracker, followers, syncs, beats, busy_until };
        it.role = Role::Leading(Box::new(reign));
        say!(self, "server {leader} leads {members:?} in epoch {epoch}");
        for member in members.iter().filter(|member| **member != leader) {
            self.join(*member, leader);
        }
        self.plan_in(self.plan.tick / 2, Happening::LeaderBeat(leader, number));
        self.plan_at(first_expiry, Happening::ExpiryBeat(leader, number));
    }

    /// A server takes over the leader's log, and follows.
    fn join(&mut self, server: usize, leader: usize) {
        let (link, now) = (self.next_serial(), self.now);
        let log = self.servers[leader].log.clone();
        let committed = self.servers[leader].applied;
        let reign = self.reign(leader);
        reign.followers[server] = Some(Follower { link, acked: log.len(), heard_at: now });
        let epoch = reign.epoch;
        let it = &mut self.servers[server];
        let mut common = it.log.len().min(log.len());
        while common > 0 && it.log[common - 1].zxid != log[common - 1].zxid {
            common -= 1;
        }
        assert!(it.applied <= common, "what is committed is never lost");
        it.log = log;
        it.accepted_epoch = epoch;
        it.current_epoch = epoch;
        it.role = Role::Following { leader, link, heard_at: now };
        it.touches.clear();
        say!(self, "server {server} follows {leader}");
        self.follower_applies(server, link, Apply::Commit(committed));
        self.plan_in(self.plan.tick * self.plan.sync_limit + 1, Happening::FollowerBeat(server, link));
    }
}
