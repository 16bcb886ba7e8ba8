//! The servers among themselves. The leader writes one log of transactions. A transaction is committed when a quorum
//! has acknowledged it, and followers apply it later. A leader steps down if it hears of no quorum for syncLimit ticks.
//! A follower leaves if it hears of no leader for as long. A new leader takes the newest log of a quorum, and gives
//! every session its full timeout anew.

use std::rc::Rc;

use crate::clock::Ns;
use crate::messages::{Apply, Ask, ConnId, Happening, Origin, PeerMsg, Txn, Verdict};
use crate::process::Process;
use crate::say;
use crate::server::Role;
use crate::sessions::{Check, Tracker};
use crate::tree::{refusal, Change, Tree};
use crate::world::World;

/// The state that a leader has and other servers do not have.
pub struct Reign {
    pub number: u32,
    pub epoch: i64,
    pub proposed: i64,
    /// The tree as it will be when all proposed transactions are committed.
    pub ahead: Tree,
    pub tracker: Tracker,
    pub followers: Vec<Option<Follower>>,
    /// Syncs that wait until this many transactions are committed.
    pub syncs: Vec<(usize, usize, Origin)>,
    pub beats: u64,
    /// Until when the leader is busy with earlier requests.
    pub busy_until: Ns,
}

#[derive(Clone, Copy)]
pub struct Follower {
    pub link: u32,
    pub acked: usize,
    pub heard_at: Ns,
}

impl World {
    pub fn reign(&mut self, leader: usize) -> &mut Reign {
        self.servers[leader].reign().expect("only a leader gets here")
    }

    fn ms_of(&self, server: usize) -> i64 {
        (self.servers[server].clock.read(self.now) / 1_000_000) as i64
    }

    /// A request waits for its turn (`PrepRequestProcessor`). The exception is `Revalidate`, a server's question
    /// whether a session is its own: the leader answers it at once, before earlier requests on the same connection.
    pub fn leader_asked(&mut self, leader: usize, from: usize, ask: Ask) {
        if matches!(ask, Ask::Revalidate { .. }) {
            return self.leader_does(leader, from, ask);
        }
        if self.faults_on && self.rng.chance(self.plan.busy_leaders) {
            let busy_for = self.rng.magnitude(self.plan.latency, self.plan.timeout / 4);
            let now = self.now;
            let reign = self.reign(leader);
            reign.busy_until = reign.busy_until.max(now) + busy_for;
        }
        let (at, number) = (self.reign(leader).busy_until, self.reign(leader).number);
        match at < self.now {
            true => self.leader_does(leader, from, ask),
            false => self.plan_at(at, Happening::Prepares(leader, number, from, ask)),
        }
    }

    pub fn leader_prepares(&mut self, leader: usize, reign: u32, from: usize, ask: Ask) {
        if self.servers[leader].reign().is_some_and(|it| it.number == reign) {
            self.leader_does(leader, from, ask);
        }
    }

    fn leader_does(&mut self, leader: usize, from: usize, ask: Ask) {
        let clock = self.servers[leader].clock.read(self.now);
        let (ctime_ms, committed) = (self.ms_of(leader), self.servers[leader].applied);
        let behind = self.servers[leader].log.len() > committed;
        let longest = self.plan.timeout;
        let reign = self.reign(leader);
        match ask {
            Ask::Open { conn, session, timeout } => {
                // A restarted server hands out the number of a session that lives and is not due. With a create in
                // doubt, nothing would tell whose a znode is.
                let mut alive = reign.tracker.alive();
                alive.retain(|session| reign.tracker.expires(*session).is_some());
                alive.retain(|session| {
                    let has_it = |process: &Process| process.client.session == *session;
                    let mut clients = self.processes.iter().filter(|process| has_it(process));
                    clients.all(|process| !process.client.may_be_in_doubt())
                });
                let session = match self.faults_on && !alive.is_empty() && self.rng.chance(self.plan.repeated_ids) {
                    true => {
                        let repeated = self.rng.pick(&alive);
                        say!(self, "session {repeated:x} is handed out again");
                        self.repeated.insert(repeated);
                        repeated
                    }
                    false => session,
                };
                let reign = self.reign(leader);
                reign.tracker.track(clock, session, timeout);
                reign.tracker.set_owner(session, from);
                let changes = vec![Change::OpenSession { session, timeout }];
                self.opening(conn, session);
                self.propose(leader, Some((session, 0)), Verdict::Opened, changes);
            }
            Ask::Write { origin, writes } => {
                let (session, _) = origin;
                let zxid = reign.epoch << 32 | (reign.proposed + 1);
                let checked = reign.tracker.check(session, from);
                let denials = self.denials();
                let reign = self.reign(leader);
                let (verdict, changes) = match checked {
                    Check::Fine => {
                        let (answer, changes) = reign.ahead.prepare(zxid, ctime_ms, session, &writes, &denials);
                        if let [Change::Delete { path }] = &changes[..] {
                            let stat = reign.ahead.nodes[path].stat;
                            if stat.ephemeral_owner != session && !self.is_lost(session, stat.ephemeral_owner) {
                                self.foreign_delete(stat.czxid);
                            }
                        }
                        (Verdict::Answer(answer), changes)
                    }
                    Check::Moved | Check::Expired => {
                        let answer = refusal(&writes, checked == Check::Moved);
                        (answer.map_or(Verdict::Hangup, Verdict::Answer), Vec::new())
                    }
                };
                self.propose(leader, Some(origin), verdict, changes);
            }
            Ask::Close { origin } => {
                let (session, _) = origin;
                self.disowns(leader, session);
                let reign = self.reign(leader);
                reign.tracker.close(session);
                let changes = reign.ahead.close_session(session);
                self.propose(leader, Some(origin), Verdict::Closed, changes);
            }
            Ask::Revalidate { conn, session, timeout } => {
                // A shorter timeout than before begins to count when its client hears of it.
                let timeout = if self.conns[conn].timeout_heard { timeout } else { timeout.max(longest) };
                let reign = self.reign(leader);
                let valid = reign.tracker.touch(clock, session, timeout);
                if valid {
                    reign.tracker.set_owner(session, from);
                }
                self.conns[conn].resumed = (reign.number, clock);
                self.is_asked(session, from, conn);
                let reign = self.reign(leader);
                match (from == leader, reign.followers[from]) {
                    (true, _) => self.revalidated(conn, valid),
                    (false, Some(follower)) => {
                        self.send_peer(leader, from, follower.link, PeerMsg::Revalidated { session, conn, valid });
                    }
                    (false, None) => {}
                }
            }
            Ask::Sync { origin } if behind => {
                let until = self.servers[leader].log.len();
                self.reign(leader).syncs.push((until, from, origin));
            }
            Ask::Sync { origin } => self.sync_done(leader, from, origin),
        }
    }

    fn sync_done(&mut self, leader: usize, from: usize, origin: Origin) {
        match (from == leader, self.reign(leader).followers[from]) {
            (true, _) => self.synced(leader, origin),
            (false, Some(follower)) => {
                self.send_peer(leader, from, follower.link, PeerMsg::Apply(Apply::Synced(origin)));
            }
            (false, None) => {}
        }
    }

    pub fn propose(&mut self, leader: usize, origin: Option<Origin>, verdict: Verdict, changes: Vec<Change>) {
        let ctime_ms = self.ms_of(leader);
        let reign = self.reign(leader);
        reign.proposed += 1;
        let zxid = reign.epoch << 32 | reign.proposed;
        for change in &changes {
            reign.ahead.apply(zxid, ctime_ms, change);
        }
        let txn = Rc::new(Txn { zxid, ctime_ms, origin, verdict, changes });
        self.servers[leader].log.push(txn.clone());
        for server in 0..self.plan.servers {
            if let Some(follower) = self.reign(leader).followers[server] {
                self.send_peer(leader, server, follower.link, PeerMsg::Propose(txn.clone()));
            }
        }
        self.try_commit(leader);
    }

    pub fn try_commit(&mut self, leader: usize) {
        let quorum = self.plan.quorum();
        let own = self.servers[leader].log.len();
        let followers = &self.reign(leader).followers;
        let mut acked: Vec<_> = followers.iter().flatten().map(|follower| follower.acked).chain([own]).collect();
        acked.sort_unstable_by(|a, b| b.cmp(a));
        let Some(&committed) = acked.get(quorum - 1) else { return };
        if committed <= self.servers[leader].applied {
            return;
        }
        // A sync is answered after the transactions before it, and before those after it (`Leader.tryToCommit`).
        let syncs = self.reign(leader).syncs.iter().map(|(until, ..)| *until).filter(|until| *until < committed);
        let mut steps: Vec<usize> = syncs.chain([committed]).collect();
        steps.sort_unstable();
        steps.dedup();
        for step in steps {
            self.commit(leader, step);
        }
    }

    /// Commits this many transactions of the leader's log, and answers the syncs that wait for them.
    fn commit(&mut self, leader: usize, committed: usize) {
        if self.servers[leader].reign().is_none() {
            return;
        }
        for server in 0..self.plan.servers {
            if let Some(follower) = self.reign(leader).followers[server] {
                self.send_peer(leader, server, follower.link, PeerMsg::Apply(Apply::Commit(committed)));
            }
        }
        while self.servers[leader].applied < committed && self.servers[leader].reign().is_some() {
            self.apply_next(leader);
        }
        let (done, waiting): (Vec<_>, _) =
            std::mem::take(&mut self.reign(leader).syncs).into_iter().partition(|(until, ..)| *until <= committed);
        self.reign(leader).syncs = waiting;
        for (_, from, origin) in done {
            self.sync_done(leader, from, origin);
        }
    }

    /// The next transaction of its log takes effect at a server.
    pub fn apply_next(&mut self, server: usize) {
        let it = &mut self.servers[server];
        let txn = it.log[it.applied].clone();
        it.applied += 1;
        it.tree.zxid = txn.zxid;
        let first_anywhere = self.checker.committed(txn.zxid);
        if first_anywhere {
            self.stats.transactions += 1;
            if !txn.changes.is_empty() {
                say!(self, "server {server} is the first to commit {:x}: {:?}", txn.zxid, txn.changes);
            }
        }
        for change in &txn.changes {
            let it = &mut self.servers[server];
            it.tree.apply(txn.zxid, txn.ctime_ms, change);
            if let Role::Leading(reign) = &mut it.role {
                reign.ahead.recount(&it.tree, change);
            }
            match change {
                Change::OpenSession { session, timeout } if it.reign().is_none() => {
                    it.touches.insert(*session, *timeout);
                }
                Change::CloseSession { session } => self.session_closed(server, *session, txn.origin),
                change => self.fire(server, change),
            }
            if let Change::Set { path, value } = change {
                if let (Some(path), true) = (self.plan.written_at(path), first_anywhere) {
                    let half = |at: usize| value[at..at + 8].try_into().expect("two numbers");
                    let (token, write) = (i64::from_be_bytes(half(0)), u64::from_be_bytes(half(8)));
                    self.checker.written(write);
                    self.fenced(server, path, token);
                }
            }
        }
        if first_anywhere {
            self.note_firsts(server);
        }
        if let Some(origin) = txn.origin {
            self.resolve(server, origin, &txn.verdict);
        }
    }

    fn session_closed(&mut self, server: usize, session: i64, asked_by: Option<Origin>) {
        let it = &mut self.servers[server];
        it.touches.remove(&session);
        if let Some(reign) = it.reign() {
            reign.tracker.remove(session);
        }
        let conns: Vec<_> = self.servers[server].conns.clone();
        for conn in conns {
            let asks = self.asks_to_close(server, conn, asked_by);
            if self.conns[conn].session == session && !asks {
                self.hang_up(conn);
            }
        }
    }

    pub fn peer_hears(&mut self, from: usize, to: usize, link: u32, message: PeerMsg) {
        let now = self.now;
        match &mut self.servers[to].role {
            Role::Following { leader, link: own, heard_at } if *leader == from && *own == link => {
                *heard_at = now;
                match message {
                    PeerMsg::Propose(txn) => {
                        self.servers[to].log.push(txn);
                        let len = self.servers[to].log.len();
                        self.send_peer(to, from, link, PeerMsg::Ack(len));
                    }
                    PeerMsg::Apply(apply) => {
                        let it = &mut self.servers[to];
                        let lag = if it.lag > 0 { self.rng.below(it.lag) } else { 0 };
                        it.last_apply = it.last_apply.max(now + lag);
                        let at = it.last_apply;
                        match at <= now {
                            true => self.follower_applies(to, link, apply),
                            false => self.plan_at(at, Happening::Applies(to, link, apply)),
                        }
                    }
                    PeerMsg::Ping => {
                        let touches = std::mem::take(&mut self.servers[to].touches).into_iter().collect();
                        self.send_peer(to, from, link, PeerMsg::PingReply(touches));
                    }
                    PeerMsg::Revalidated { session, conn, valid } => {
                        self.hears_revalidated(to, session, conn, valid)
                    }
                    PeerMsg::Goodbye => self.leave(to),
                    _ => unreachable!("said by followers"),
                }
            }
            Role::Leading(reign) => {
                let Some(follower) = reign.followers[from].as_mut().filter(|follower| follower.link == link) else {
                    return;
                };
                follower.heard_at = now;
                match message {
                    PeerMsg::Ack(len) => {
                        follower.acked = len;
                        self.try_commit(to);
                    }
                    PeerMsg::PingReply(touches) => {
                        let clock = self.servers[to].clock.read(now);
                        let tracker = &mut self.reign(to).tracker;
                        touches.into_iter().for_each(|(session, timeout)| {
                            tracker.touch(clock, session, timeout);
                        });
                    }
                    PeerMsg::Ask(ask) => self.leader_asked(to, from, ask),
                    PeerMsg::Goodbye => reign.followers[from] = None,
                    _ => unreachable!("said by leaders"),
                }
            }
            _ => {}
        }
    }

    pub fn follower_applies(&mut self, server: usize, link: u32, apply: Apply) {
        if self.servers[server].term() != link {
            return;
        }
        match apply {
            Apply::Commit(committed) => {
                while self.servers[server].applied < committed {
                    self.apply_next(server);
                }
            }
            Apply::Synced(origin) => self.synced(server, origin),
        }
    }

    pub fn leader_beat(&mut self, leader: usize, number: u32) {
        if self.servers[leader].term() != number {
            return;
        }
        let limit = self.plan.tick * self.plan.sync_limit;
        let (now, quorum) = (self.now, self.plan.quorum());
        let reign = self.reign(leader);
        reign.beats += 1;
        let beats = reign.beats;
        let alive = |follower: &Follower| follower.heard_at + limit >= now;
        let synced = 1 + reign.followers.iter().flatten().filter(|follower| alive(follower)).count();
        if beats & 1 == 0 && synced < quorum {
            say!(self, "leader {leader} hears of no quorum");
            return self.leave(leader);
        }
        for server in 0..self.plan.servers {
            match self.reign(leader).followers[server] {
                Some(follower) if !alive(&follower) => {
                    self.send_peer(leader, server, follower.link, PeerMsg::Goodbye);
                    self.reign(leader).followers[server] = None;
                }
                Some(follower) => self.send_peer(leader, server, follower.link, PeerMsg::Ping),
                None => {}
            }
        }
        if self.plan.containers_go && beats & 7 == 0 {
            for path in self.reign(leader).ahead.spent_containers() {
                self.propose(leader, None, Verdict::Closed, vec![Change::Delete { path }]);
            }
        }
        let late = self.rng.below(self.plan.latency) + self.rng.below(self.plan.late_pings);
        let clock = self.servers[leader].clock;
        let next = clock.when(clock.read(self.now) + self.plan.tick / 2) + late;
        self.plan_at(next, Happening::LeaderBeat(leader, number));
    }

    pub fn expiry_beat(&mut self, leader: usize, number: u32) {
        if self.servers[leader].term() != number {
            return;
        }
        let clock = self.servers[leader].clock.read(self.now);
        for session in self.reign(leader).tracker.poll(clock) {
            match self.rng.below(self.plan.sweep) {
                0 => self.closes(leader, number, session),
                later => {
                    // At this moment it matters most that the leader hears of the session's server again.
                    if self.rng.chance(500) {
                        for from in (0..self.plan.servers).filter(|from| *from != leader) {
                            self.mend_servers(from, leader);
                            self.mend_servers(leader, from);
                        }
                    }
                    self.is_taken(session);
                    self.plan_in(later, Happening::Closes(leader, number, session));
                }
            }
        }
        let next = self.reign(leader).tracker.next_beat(clock);
        let at = self.servers[leader].clock.when(next);
        self.plan_at(at, Happening::ExpiryBeat(leader, number));
    }

    /// The turn of a session that was due has come.
    pub fn closes(&mut self, leader: usize, number: u32, session: i64) {
        let is_there = |reign: &mut Reign| reign.number == number && reign.tracker.alive().contains(&session);
        if self.servers[leader].reign().is_some_and(is_there) {
            say!(self, "leader {leader} expires session {session:x}");
            self.stats.expiries += 1;
            self.close_session(leader, session);
        }
    }

    /// A client hears which timeout its session has on this connection.
    pub fn timeout_heard(&mut self, conn: ConnId) {
        let (session, timeout, resumed) =
            (self.conns[conn].session, self.conns[conn].timeout, self.conns[conn].resumed);
        self.conns[conn].timeout_heard = true;
        // A timeout that is not shorter takes nothing away: another process that has the same session may have touched it since.
        if timeout >= self.plan.timeout {
            return;
        }
        for server in 0..self.plan.servers {
            if let Some(reign) = self.servers[server].reign().filter(|reign| reign.number == resumed.0) {
                reign.tracker.shorten(resumed.1, session, timeout);
            }
        }
    }

    /// A session is about to be closed by one of the clients that have its number. If another client has the same
    /// number, its lease cannot foresee that.
    fn disowns(&mut self, leader: usize, session: i64) {
        if self.repeated.contains(&session) {
            let own =
                self.reign(leader).ahead.ephemerals().filter(|(_, node)| node.stat.ephemeral_owner == session);
            let tokens: Vec<_> = own.map(|(_, node)| node.stat.czxid).collect();
            self.checker.deleted.extend(tokens);
            self.checker.ended.insert(session);
        }
    }

    pub fn close_session(&mut self, leader: usize, session: i64) {
        self.reign(leader).tracker.close(session);
        let changes = self.reign(leader).ahead.close_session(session);
        self.propose(leader, None, Verdict::Closed, changes);
    }

    pub fn follower_beat(&mut self, server: usize, number: u32) {
        let limit = self.plan.tick * self.plan.sync_limit;
        match self.servers[server].role {
            Role::Following { link, heard_at, .. } if link == number => match heard_at + limit < self.now {
                true => {
                    say!(self, "server {server} hears nothing of its leader");
                    self.leave(server);
                }
                false => self.plan_at(heard_at + limit + 1, Happening::FollowerBeat(server, link)),
            },
            _ => {}
        }
    }
}
