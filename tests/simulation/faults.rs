//! The faults of a run, one after the other and several at a time, and how each ends. Faults prefer masters and their
//! servers as targets.

use std::sync::Arc;

use crate::clock::{Ns, MS};
use crate::messages::{ConnId, Denial, Happening, Mend, Verdict};
use crate::network::{DOWN, UP};
use crate::plan::Fault;
use crate::process::Input;
use crate::say;
use crate::server::Role;
use crate::tree::Change;
use crate::world::World;

/// The session whose last requests are held between its server and the leader.
pub struct Late {
    pub number: u32,
    process: usize,
    path: usize,
    pub server: usize,
    pub leader: usize,
    session: i64,
    /// 1: it has to go to another server. 2: the process resigns. 3: it has to come back.
    step: u32,
}

/// A session whose server hears late what the leader has said of an attempt to resume it. By then it waits for that about
/// a later attempt, and the question about that one is held in its turn.
pub struct LateAnswer {
    pub number: u32,
    process: usize,
    session: i64,
    server: usize,
    leader: usize,
    step: LateAnswerStep,
}

enum LateAnswerStep {
    /// Only this server takes the session's next connection.
    Turned,
    /// The leader has answered. No server takes a connection before this moment, shortly before the lease ends.
    Answered(Ns),
    /// The server has heard the answer. The question is held until the leader has taken the session.
    Asked,
}

impl World {
    pub fn next_fault(&mut self) {
        if !self.faults_on || self.plan.faults.is_empty() {
            return;
        }
        let gap = self.rng.below(2 * self.plan.fault_gap);
        self.plan_in(gap, Happening::Fault);
        let process = self.likely_master();
        self.strike(process);
    }

    /// A fault that has waited until this process is master.
    pub fn ambush(&mut self, process: usize) {
        // The next ambush has to wait, or there would be no other faults.
        if self.faults_on && !self.plan.faults.is_empty() && self.now >= self.ambush_after {
            self.ambush_after = self.now + self.plan.timeout / 4;
            self.strike(process);
        }
    }

    /// A process has just sent a request that matters, and may be stopped before the answer.
    pub fn asks(&mut self, process: usize, of_thousand: u64) {
        let may_pause = self.plan.ambush && self.faults_on && self.plan.faults.contains(&Fault::ProcessPause);
        if may_pause && self.rng.chance(of_thousand) {
            let mends_at = self.now + self.rng.below(self.plan.timeout);
            self.pause(process, mends_at);
            *self.stats.faults.entry(Fault::ProcessPause).or_default() += 1;
        }
    }

    /// A master has just proved its lease.
    pub fn proved(&mut self, process: usize) {
        if !self.plan.ambush || !self.faults_on || self.answer_late(process) {
            return;
        }
        // When answers or requests have just come late and all at once, a broken rule would count the lease from the
        // wrong moment.
        let it = &self.processes[process];
        let since_mended = self.now.saturating_sub(it.mended_at);
        let answers_late = since_mended > self.plan.tick / 2 && since_mended < self.plan.timeout / 4;
        let requests_late = self.now.saturating_sub(it.released_at) < self.plan.tick / 2;
        let isolates = if requests_late { 900 } else { 600 * u64::from(answers_late) };
        let crate::client::Link::Up(conn) = self.processes[process].client.link else { return };
        if self.plan.faults.contains(&Fault::Isolation) && self.rng.chance(isolates) {
            let mends_at = self.now + self.plan.timeout + self.rng.below(self.plan.timeout);
            self.isolate(process, self.conns[conn].server, mends_at);
            say!(self, "fault: Isolation, process {process}");
            *self.stats.faults.entry(Fault::Isolation).or_default() += 1;
        } else if self.rng.chance(25) {
            self.ambush(process);
        }
    }

    /// The first of a lease breaks its connection, for an answer that comes late.
    fn answer_late(&mut self, process: usize) -> bool {
        let (timeout, tick) = (self.plan.timeout, self.plan.tick);
        let it = &self.processes[process];
        let (session, paused) = (it.client.session, it.paused);
        let end = it.lease_end.map_or(0, |end| it.clock.when(end.0));
        let (Some(leader), crate::client::Link::Up(conn)) = (self.leader(), it.client.link) else { return false };
        // The leader and the server must not take each other for dead meanwhile. The leader takes the session about a
        // timeout after the first attempt, and the client waits that long for an answer only if it asks shortly before.
        let lasts = timeout + 2 * tick <= self.plan.sync_limit * tick;
        let fits = lasts && timeout >= (4 * tick).max(2_000 * MS) && self.plan.sweep > 0;
        let may_be = fits && end > self.now + timeout / 10 * 9 && !paused && self.late_answer.is_none();
        if !may_be || !self.plan.faults.contains(&Fault::ServerCut) || !self.rng.chance(500) {
            return false;
        }
        let server = self.rng.below(self.plan.servers as u64) as usize;
        if server == leader || !self.net.peers_connected(server, leader) {
            return false;
        }
        let number = self.next_serial();
        let step = LateAnswerStep::Turned;
        self.late_answer = Some(LateAnswer { number, process, session, server, leader, step });
        self.plan_in(timeout / 2 * 3, Happening::Mend(Mend::LateAnswer(number)));
        self.hang_up(conn);
        say!(self, "fault: server {server} will hear late what leader {leader} says of {session:x}");
        true
    }

    /// The leader has been asked whether this session lives, and is about to answer.
    pub fn is_asked(&mut self, session: i64, server: usize, conn: ConnId) {
        let is_it = |late: &&mut LateAnswer| late.session == session && late.server == server;
        let Some(late) = self.late_answer.as_mut().filter(is_it) else { return };
        if let LateAnswerStep::Turned = late.step {
            let (process, leader) = (late.process, late.leader);
            let it = &self.processes[process];
            let end = it.lease_end.map_or(0, |end| it.clock.when(end.0));
            let early = self.plan.timeout / 50 + self.rng.below(self.plan.timeout / 6);
            late.step = LateAnswerStep::Answered(end.saturating_sub(early));
            self.cut_servers(leader, server);
            self.hang_up(conn);
        }
    }

    /// A server is about to ask the leader whether this session lives.
    pub fn will_ask(&mut self, session: i64, server: usize) {
        let is_it = |late: &&mut LateAnswer| late.session == session && late.server == server;
        let Some(late) = self.late_answer.as_mut().filter(is_it) else { return };
        if let LateAnswerStep::Answered(_) = late.step {
            late.step = LateAnswerStep::Asked;
            let leader = late.leader;
            self.cut_servers(server, leader);
            self.mend_servers(leader, server);
        }
    }

    /// The leader has taken this session, and will close it.
    pub fn is_taken(&mut self, session: i64) {
        if let Some(late) = self.late_answer.take_if(|late| late.session == session) {
            self.mend_late_answer(late);
        }
    }

    pub fn mend_late_answer(&mut self, late: LateAnswer) {
        match late.step {
            LateAnswerStep::Turned => {}
            LateAnswerStep::Answered(_) => self.mend_servers(late.leader, late.server),
            LateAnswerStep::Asked => self.mend_servers(late.server, late.leader),
        }
    }

    fn likely_master(&mut self) -> usize {
        let path = self.rng.below(self.plan.paths.len() as u64) as usize;
        let masters = self.believers(path);
        match masters.first() {
            Some((process, _)) if self.rng.chance(600) => *process,
            _ => self.rng.below(self.plan.processes as u64) as usize,
        }
    }

    pub fn leader(&self) -> Option<usize> {
        let leading = |s: &usize| matches!(self.servers[*s].role, Role::Leading(_));
        (0..self.plan.servers).filter(leading).max_by_key(|s| self.servers[*s].current_epoch)
    }

    /// The server of a process, the leader, or any server.
    fn likely_server(&mut self, process: usize) -> usize {
        let of_process = match self.processes[process].client.link {
            crate::client::Link::Up(conn) => Some(self.conns[conn].server),
            _ => None,
        };
        let any = self.rng.below(self.plan.servers as u64) as usize;
        match self.rng.below(10) {
            0..6 => of_process.unwrap_or(any),
            6..8 => self.leader().unwrap_or(any),
            _ => any,
        }
    }

    fn duration(&mut self) -> Ns {
        let timeout = self.plan.timeout;
        match self.rng.below(4) {
            0 => self.rng.magnitude(timeout / 50, timeout),
            1 => timeout + self.rng.below(self.plan.tick * self.plan.sync_limit),
            _ => self.rng.below(5 * timeout / 2),
        }
    }

    fn strike(&mut self, process: usize) {
        let isolates = self.plan.ambush && self.plan.faults.contains(&Fault::Isolation) && self.rng.chance(500);
        let holds = self.plan.ambush && self.plan.faults.contains(&Fault::HeldRequests) && self.rng.chance(250);
        let fault = match (isolates, holds) {
            (true, _) => Fault::Isolation,
            (false, true) => Fault::HeldRequests,
            (false, false) => self.rng.pick(&self.plan.faults.clone()),
        };
        let server = match self.processes[process].client.link {
            crate::client::Link::Up(conn) if isolates => self.conns[conn].server,
            _ => self.likely_server(process),
        };
        let path = self.rng.below(self.plan.paths.len() as u64) as usize;
        let (timeout, duration) = (self.plan.timeout, self.duration());
        let mends_at = self.now + duration;
        let done = match fault {
            Fault::LostReply => return,
            Fault::BrokenConnection => match self.processes[process].client.link {
                crate::client::Link::Up(conn) => {
                    self.hang_up(conn);
                    true
                }
                _ => false,
            },
            Fault::SlowNetwork => {
                let most = self.plan.timeout / 4;
                let drawn = self.rng.magnitude(self.plan.latency, most);
                self.net.slowness = self.rng.pick(&[drawn, most]);
                self.plan_at(mends_at, Happening::Mend(Mend::Network));
                true
            }
            Fault::ClientCut => {
                let directions = self.rng.pick(&[[true, true], [true, false], [false, true], [false, true]]);
                // Short enough that the answers still arrive.
                let short = directions == [false, true] && self.rng.chance(600);
                let mends_at = if short { self.now + timeout / 8 + self.rng.below(timeout / 4) } else { mends_at };
                self.cut_client(process, server, directions);
                self.plan_at(mends_at, Happening::Mend(Mend::ClientLink(process, server, directions)));
                say!(self, "process {process} and server {server} are cut: {directions:?} ({UP} up, {DOWN} down)");
                true
            }
            Fault::HeldRequests => match self.processes[process].client.link {
                crate::client::Link::Up(conn) => {
                    let server = self.conns[conn].server;
                    // If it were longer, the client would give the connection up.
                    let held_for = timeout / 8 + self.rng.below(timeout / 5 - timeout / 8);
                    self.cut_client(process, server, [true, false]);
                    let mend = Mend::ClientLink(process, server, [true, false]);
                    self.plan_in(held_for, Happening::Mend(mend));
                    true
                }
                _ => false,
            },
            Fault::ServerCut => self.cut_server(server, mends_at),
            Fault::Isolation => self.isolate(process, server, mends_at),
            Fault::ServerCrash => self.crash(server, mends_at),
            Fault::ServerFreeze => {
                self.freeze(server, mends_at);
                true
            }
            Fault::LeaderFreeze => self.freeze_leader(process, path),
            Fault::SlowFollower => {
                self.servers[server].lag = self.rng.magnitude(self.plan.latency, self.plan.timeout);
                self.plan_at(mends_at, Happening::Mend(Mend::Lag(server)));
                true
            }
            Fault::ProcessPause => self.pause(process, mends_at),
            Fault::ProcessKill if self.processes[process].alive => {
                self.kill_process(process);
                let life = self.processes[process].life;
                self.plan_in(duration / 2, Happening::Restart(process, life));
                true
            }
            Fault::SessionExpiry => match (self.leader(), self.processes[process].client.session) {
                (Some(leader), session) if session != 0 && !self.servers[leader].frozen => {
                    self.end_session(leader, session);
                    true
                }
                _ => false,
            },
            Fault::Resign if self.processes[process].candidates[path].is_some() => {
                let paused = self.processes[process].paused;
                if !paused {
                    self.drive(process, Input::Resign(path));
                    let wait = if self.rng.chance(400) { 0 } else { duration / 2 };
                    let life = self.processes[process].life;
                    self.plan_in(wait, Happening::StandAgain(process, life, path));
                }
                !paused
            }
            Fault::Watch if self.processes[process].alive && !self.processes[process].paused => {
                match self.processes[process].observers[path] {
                    Some(_) => self.drive(process, Input::Unobserve(path)),
                    None => self.drive(process, Input::Observe(path)),
                }
                true
            }
            Fault::Members if self.processes[process].alive && !self.processes[process].paused => {
                match self.processes[process].watchers[path] {
                    Some(_) => self.drive(process, Input::UnwatchMembers(path)),
                    None => self.drive(process, Input::WatchMembers(path)),
                }
                true
            }
            Fault::SetValue if self.processes[process].candidates[path].is_some() => {
                let paused = self.processes[process].paused;
                if !paused {
                    self.drive(process, Input::SetValue(path));
                }
                !paused
            }
            Fault::Denial => {
                let denial = self.rng.pick(&Denial::ALL);
                let is_new = self.denied[path].is_none();
                if is_new {
                    self.denied[path] = Some(denial);
                    self.plan_at(mends_at, Happening::Mend(Mend::Denial(path)));
                }
                is_new
            }
            Fault::LateRequests => self.be_late(process, path),
            Fault::Stranger => self.visit(path, mends_at),
            Fault::Block => self.block(path, mends_at),
            Fault::Change | Fault::Delete => self.meddle(path, fault),
            Fault::ProcessKill | Fault::Resign | Fault::Watch | Fault::Members | Fault::SetValue => false,
        };
        if done {
            say!(self, "fault: {fault:?}, process {process}, server {server}, for {} ms", duration / 1_000_000);
            *self.stats.faults.entry(fault).or_default() += 1;
        }
    }

    fn cut_server(&mut self, server: usize, mends_at: Ns) -> bool {
        let others: Vec<_> = (0..self.plan.servers).filter(|other| *other != server).collect();
        if others.is_empty() {
            return false;
        }
        let leader = self.leader().filter(|leader| *leader != server);
        let other = leader.unwrap_or_else(|| self.rng.pick(&others));
        let links = match self.rng.below(4) {
            0 => vec![(server, other), (other, server)],
            1 => vec![(server, other)],
            2 => vec![(other, server)],
            _ => others.iter().flat_map(|other| [(server, *other), (*other, server)]).collect(),
        };
        say!(self, "what is sent between servers is held: {links:?}");
        for (from, to) in links {
            self.cut_servers(from, to);
            self.plan_at(mends_at, Happening::Mend(Mend::ServerLink(from, to)));
        }
        true
    }

    /// A process and a server, and perhaps other processes, are on one side. All others are on the other side.
    fn isolate(&mut self, process: usize, server: usize, mends_at: Ns) -> bool {
        let inside: Vec<_> = (0..self.plan.processes).map(|it| it == process || self.rng.chance(200)).collect();
        for other in (0..self.plan.servers).filter(|other| *other != server) {
            for (from, to) in [(server, other), (other, server)] {
                self.cut_servers(from, to);
                self.plan_at(mends_at, Happening::Mend(Mend::ServerLink(from, to)));
            }
        }
        for (client, inside) in inside.into_iter().enumerate() {
            for to in (0..self.plan.servers).filter(|to| inside != (*to == server)) {
                self.cut_client(client, to, [true, true]);
                self.plan_at(mends_at, Happening::Mend(Mend::ClientLink(client, to, [true, true])));
            }
        }
        self.plan.servers > 1
    }

    fn crash(&mut self, server: usize, mends_at: Ns) -> bool {
        if matches!(self.servers[server].role, Role::Down) {
            return false;
        }
        let silent = self.rng.chance(300);
        if silent {
            self.servers[server].conns.clone().into_iter().for_each(|conn| self.drop_conn(conn));
        }
        self.leave(server);
        let outage = self.next_serial();
        let it = &mut self.servers[server];
        it.role = Role::Down;
        it.frozen = false;
        it.parked.clear();
        it.outage = outage;
        self.plan_at(mends_at, Happening::Mend(Mend::ServerUp(server, outage)));
        true
    }

    pub fn freeze(&mut self, server: usize, mends_at: Ns) {
        let outage = self.next_serial();
        let it = &mut self.servers[server];
        it.outage = outage;
        it.frozen = !matches!(it.role, Role::Down);
        self.plan_at(mends_at, Happening::Mend(Mend::Thaw(server, outage)));
    }

    /// The leader is stopped, and a process begins to stand meanwhile at a path with no other candidate. That process
    /// is the first that the leader hears, before it hears that the session was alive all the time.
    fn freeze_leader(&mut self, process: usize, path: usize) -> bool {
        let (Some(leader), crate::client::Link::Up(conn)) = (self.leader(), self.processes[process].client.link)
        else {
            return false;
        };
        if self.servers[leader].frozen || self.conns[conn].server == leader || self.processes[process].paused {
            return false;
        }
        let timeout = self.plan.timeout;
        let from = self.now + self.rng.below(10 * self.plan.latency + timeout / 8);
        let until = from + timeout / 8 * 7 + self.rng.below(timeout);
        self.plan_at(from, Happening::Freeze(leader, until));
        for other in 0..self.plan.processes {
            if !self.processes[other].paused && self.processes[other].candidates[path].is_some() {
                self.drive(other, Input::Resign(path));
            }
            let early = self.rng.below(timeout / 4);
            let stands_at = if other == process { until - early } else { until + early };
            self.plan_at(stands_at, Happening::StandAgain(other, self.processes[other].life, path));
        }
        true
    }

    /// What a master asks for last is held between its server and the leader, while its session moves to another server
    /// and the process resigns. The leader comes to it when the session has come back.
    fn be_late(&mut self, process: usize, path: usize) -> bool {
        let (Some(leader), crate::client::Link::Up(conn)) = (self.leader(), self.processes[process].client.link)
        else {
            return false;
        };
        let server = self.conns[conn].server;
        let stops = self.servers[leader].frozen || self.servers[server].frozen || self.processes[process].paused;
        if stops || server == leader || self.late.is_some() || self.token_of(process, path).is_none() {
            return false;
        }
        let (number, session) = (self.next_serial(), self.conns[conn].session);
        self.late = Some(Late { number, process, path, server, leader, session, step: 0 });
        self.cut_servers(server, leader);
        if self.plan.writes {
            self.drive(process, Input::Write(path));
        }
        match self.rng.below(3) {
            0 => self.drive(process, Input::SetValue(path)),
            1 => self.drive(process, Input::Resign(path)),
            _ => {}
        }
        let soon = self.rng.below(8 * self.plan.latency);
        self.plan_in(soon, Happening::Late(number));
        let life = self.processes[process].life;
        self.plan_in(self.plan.timeout, Happening::StandAgain(process, life, path));
        self.plan_in(self.plan.timeout, Happening::Mend(Mend::LateRequests(number)));
        true
    }

    /// The next step of a session whose requests are late.
    pub fn late(&mut self, number: u32) {
        let Some(late) = self.late.as_mut().filter(|late| late.number == number) else { return };
        late.step += 1;
        let Late { process, path, step, .. } = *late;
        let conn = match self.processes[process].client.link {
            crate::client::Link::Up(conn) => Some(conn),
            _ => None,
        };
        match step {
            1 | 3 => conn.into_iter().for_each(|conn| self.hang_up(conn)),
            _ if !self.processes[process].paused => self.drive(process, Input::Resign(path)),
            _ => {}
        }
        if step < 3 {
            // So long that nobody takes the server for dead.
            let soon = self.rng.below(self.plan.timeout.min(self.plan.tick * self.plan.sync_limit) / 4);
            self.plan_in(soon, Happening::Late(number));
        }
    }

    /// A server refuses the connections of this process, so that its session moves where the fault wants it.
    pub fn is_turned_away(&self, conn: ConnId) -> bool {
        let conn = &self.conns[conn];
        if self.barred[conn.process] && !conn.buries {
            return true;
        }
        let late = self.late_answer.as_ref().filter(|late| late.process == conn.process && !conn.buries);
        if late.is_some_and(|late| match late.step {
            LateAnswerStep::Turned => conn.server != late.server,
            LateAnswerStep::Answered(until) => conn.server != late.server || self.now < until,
            LateAnswerStep::Asked => false,
        }) {
            return true;
        }
        let late = self.late.as_ref().filter(|late| late.process == conn.process && !conn.buries);
        late.is_some_and(|late| (late.server == conn.server) == (late.step < 3))
    }

    /// This session asks the leader for itself by this server. What the server has asked the leader for before goes on.
    pub fn has_come_back(&mut self, server: usize, session: i64) {
        let is_here = |late: &mut Late| late.server == server && late.session == session;
        if let Some(late) = self.late.take_if(is_here) {
            let (now, busy_for) = (self.now, 10 * self.plan.latency);
            if let Some(reign) = self.servers[late.leader].reign() {
                reign.busy_until = reign.busy_until.max(now + busy_for);
            }
            self.mend_servers(late.server, late.leader);
        }
    }

    fn pause(&mut self, process: usize, mends_at: Ns) -> bool {
        if self.processes[process].paused || !self.processes[process].alive {
            return false;
        }
        let pause = self.next_serial();
        self.processes[process].paused = true;
        self.processes[process].pause = pause;
        self.plan_at(mends_at, Happening::Wake(process, pause));
        true
    }

    /// Lets an operator write something at the leader, independently of all connections.
    pub fn operate(&mut self, changes: Vec<Change>) -> bool {
        match self.leader().filter(|leader| !self.servers[*leader].frozen) {
            Some(leader) => {
                self.propose(leader, None, Verdict::Closed, changes);
                true
            }
            None => false,
        }
    }

    /// Somebody closes a session that is not theirs. No lease can foresee that.
    pub fn end_session(&mut self, leader: usize, session: i64) {
        let Some(reign) = self.servers[leader].reign() else { return };
        let own = reign.ahead.ephemerals().filter(|(_, node)| node.stat.ephemeral_owner == session);
        let tokens: Vec<_> = own.map(|(_, node)| node.stat.czxid).collect();
        self.checker.deleted.extend(tokens);
        self.checker.ended.insert(session);
        self.close_session(leader, session);
    }

    /// The znode at the path, or one of the queue's znodes.
    fn contender(&mut self, path: usize) -> Option<(Arc<str>, i64)> {
        let path = self.plan.paths[path].clone();
        let leader = self.leader()?;
        let any = self.rng.next() as usize;
        let ahead = &self.servers[leader].reign()?.ahead;
        let children: Vec<_> = ahead.children(&path).cloned().collect();
        let found = match self.plan.config.recipe {
            election::testing::logic::Recipe::Node => path,
            _ if children.is_empty() => return None,
            _ => children[if any & 3 > 0 { 0 } else { any % children.len() }].clone(),
        };
        let czxid = ahead.nodes.get(&found)?.stat.czxid;
        Some((found, czxid))
    }

    pub fn meddle(&mut self, at: usize, fault: Fault) -> bool {
        let Some((path, czxid)) = self.contender(at) else {
            return fault == Fault::Delete && self.delete_parent(at);
        };
        if fault == Fault::Delete {
            self.checker.deleted.insert(czxid);
            self.waiting_break(at);
            return self.operate(vec![Change::Delete { path }]);
        }
        self.operate(vec![Change::Set { path, value: [7].into() }])
    }

    /// While somebody changes a queue, the connections of some who wait in it may break: what they missed, the next
    /// server tells them in an order of its own.
    fn waiting_break(&mut self, path: usize) {
        if !self.faults_on || !self.plan.faults.contains(&Fault::BrokenConnection) {
            return;
        }
        let believers = self.believers(path);
        for process in 0..self.plan.processes {
            let waits = self.processes[process].candidates[path].is_some()
                && believers.iter().all(|(believer, _)| *believer != process);
            match self.processes[process].client.link {
                crate::client::Link::Up(conn) if waits && self.rng.chance(300) => self.hang_up(conn),
                _ => {}
            }
        }
    }

    /// An operator deletes the parent znode of a queue, or the znode above it, if it is empty.
    fn delete_parent(&mut self, path: usize) -> bool {
        let place = self.plan.paths[path].clone();
        let Some(reign) = self.leader().and_then(|leader| self.servers[leader].reign()) else { return false };
        let is_empty = |path: &str| reign.ahead.nodes.get(path).is_some_and(|node| node.children == 0);
        let empty = [&*place, crate::tree::parent(&place)].into_iter().find(|path| *path != "/" && is_empty(path));
        empty.map(Arc::from).is_some_and(|path| self.operate(vec![Change::Delete { path }]))
    }

    /// An operator deletes the znode with this token.
    pub fn delete_znode(&mut self, token: i64) -> bool {
        let Some(leader) = self.leader() else { return false };
        let found = self.servers[leader].tree.ephemerals().find(|(_, node)| node.stat.czxid == token);
        let Some(path) = found.map(|(path, _)| path.clone()) else { return false };
        self.checker.deleted.insert(token);
        self.operate(vec![Change::Delete { path }])
    }

    /// Creates for a while a child that no dialect of ours counts, with a number or without.
    fn visit(&mut self, path: usize, mends_at: Ns) -> bool {
        let Some(leader) = self.leader().filter(|leader| !self.servers[*leader].frozen) else { return false };
        let place = self.plan.paths[path].clone();
        let name: Arc<str> = match self.rng.chance(700) {
            true => format!("{place}/stranger-{:010}", self.rng.below(100)).into(),
            false => format!("{place}/config").into(),
        };
        let Some(reign) = self.servers[leader].reign() else { return false };
        if !reign.ahead.nodes.contains_key(&place) || reign.ahead.nodes.contains_key(&name) {
            return false;
        }
        self.plan_at(mends_at, Happening::Mend(Mend::Leaves(name.clone())));
        let container = self.rng.chance(300);
        self.waiting_break(path);
        self.operate(vec![Change::Create { path: name, value: [].into(), owner: 0, container }])
    }

    /// Creates a persistent znode at the path when the former master's session has just ended.
    fn block(&mut self, path: usize, mends_at: Ns) -> bool {
        let Some(leader) = self.leader().filter(|leader| !self.servers[*leader].frozen) else { return false };
        let name = self.plan.paths[path].clone();
        let Some(reign) = self.servers[leader].reign() else { return false };
        if !reign.ahead.nodes.contains_key(crate::tree::parent(&name)) || self.blocked[path] {
            return false;
        }
        match reign.ahead.nodes.get(&name).map(|node| node.stat.ephemeral_owner) {
            Some(0) => return false,
            Some(owner) => self.end_session(leader, owner),
            None => {}
        }
        self.blocked[path] = true;
        self.plan_at(mends_at, Happening::Mend(Mend::Unblock(path)));
        self.operate(vec![Change::Create { path: name, value: [].into(), owner: 0, container: false }])
    }
}
