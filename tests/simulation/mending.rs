//! The end of each fault, and of all faults.

use std::sync::Arc;

use crate::clock::Ns;
use crate::messages::{Happening, Mend};
use crate::plan::Fault;
use crate::say;
use crate::server::Role;
use crate::tree::{Change, Tree};
use crate::world::World;

impl World {
    /// Deletes the znode that blocks the path, and checks again until it is gone for good.
    fn unblock(&mut self, path: usize) {
        let name = self.plan.paths[path].clone();
        let Some(leader) = self.leader() else { return };
        let it = &mut self.servers[leader];
        let stands = |tree: &crate::tree::Tree| tree.nodes.get(&name).is_some_and(|node| !node.stat.is_ephemeral());
        let committed = stands(&it.tree);
        let Some(ahead) = it.reign().map(|reign| stands(&reign.ahead)) else { return };
        self.blocked[path] = committed || ahead;
        if ahead {
            self.operate(vec![Change::Delete { path: name }]);
        }
    }

    /// From this time on one leader leads, which knows everything that will ever be known of earlier times.
    fn settles_at(&self) -> Ns {
        self.plan.length + 2 * self.plan.timeout + 2 * self.plan.sync_limit * self.plan.tick
    }

    /// Deletes the visitor, and checks again: another leader may not know of that delete, or not yet of the visitor.
    fn leaves(&mut self, visitor: Arc<str>) {
        let stands = |tree: &Tree| tree.nodes.contains_key(&visitor);
        let Some(leader) = self.leader() else { return self.leaves_later(visitor) };
        let it = &mut self.servers[leader];
        let committed = stands(&it.tree);
        let ahead = it.reign().is_some_and(|reign| stands(&reign.ahead));
        if ahead {
            self.operate(vec![Change::Delete { path: visitor.clone() }]);
        }
        if ahead || committed || self.now < self.settles_at() {
            self.leaves_later(visitor);
        }
    }

    fn leaves_later(&mut self, visitor: Arc<str>) {
        self.plan_in(self.plan.tick, Happening::Mend(Mend::Leaves(visitor)));
    }

    pub fn mend(&mut self, mend: Mend) {
        match mend {
            Mend::ClientLink(process, server, directions) => {
                self.mend_client(process, server, directions);
                let it = &mut self.processes[process];
                match directions {
                    [true, false] => it.released_at = self.now,
                    _ => it.mended_at = self.now,
                }
            }
            Mend::ServerLink(from, to) => self.mend_servers(from, to),
            Mend::Thaw(server, outage) if self.servers[server].outage == outage => {
                self.servers[server].frozen = false;
                let parked = std::mem::take(&mut self.servers[server].parked);
                self.unpark(parked);
            }
            Mend::ServerUp(server, outage)
                if self.servers[server].outage == outage && matches!(self.servers[server].role, Role::Down) =>
            {
                self.servers[server].role = Role::Looking;
                let delay = self.rng.below(self.plan.tick);
                self.plan_election(delay);
            }
            Mend::Thaw(..) | Mend::ServerUp(..) => {}
            Mend::Network => self.net.slowness = 0,
            Mend::Lag(server) => self.servers[server].lag = if self.faults_on { self.plan.lag } else { 0 },
            Mend::Unblock(path) if self.blocked[path] || !self.faults_on => {
                self.unblock(path);
                if self.blocked[path] || self.now < self.settles_at() {
                    self.plan_in(self.plan.tick, Happening::Mend(Mend::Unblock(path)));
                }
            }
            Mend::Unblock(_) => {}
            Mend::Denial(path) => self.denied[path] = None,
            Mend::LateRequests(number) => {
                if let Some(late) = self.late.take_if(|late| late.number == number) {
                    self.mend_servers(late.server, late.leader);
                }
            }
            Mend::LateAnswer(number) => {
                if let Some(late) = self.late_answer.take_if(|late| late.number == number) {
                    self.mend_late_answer(late);
                }
            }
            Mend::Leaves(visitor) => self.leaves(visitor),
            Mend::Repeated => self.end_repeated(),
        }
    }

    /// Ends the sessions that have the same number, and checks again until they are gone for good.
    fn end_repeated(&mut self) {
        let repeated: Vec<_> = self.repeated.iter().copied().collect();
        if let Some(leader) = self.leader() {
            for session in repeated {
                if self.reign(leader).tracker.alive().contains(&session) {
                    self.end_session(leader, session);
                }
            }
        }
        if self.now < self.settles_at() {
            self.plan_in(self.plan.tick, Happening::Mend(Mend::Repeated));
        }
    }

    /// Ends all faults, for good.
    pub fn heal(&mut self) {
        say!(self, "all faults are mended");
        self.faults_on = false;
        (self.late, self.late_answer) = (None, None);
        self.mend_all_links();
        for server in 0..self.plan.servers {
            self.servers[server].lag = 0;
            let outage = self.servers[server].outage;
            match self.servers[server].role {
                Role::Down => self.mend(Mend::ServerUp(server, outage)),
                _ => self.mend(Mend::Thaw(server, outage)),
            }
        }
        self.mend(Mend::Repeated);
        self.denied.fill(None);
        if self.plan.faults.contains(&Fault::Block) {
            (0..self.plan.paths.len()).for_each(|path| self.mend(Mend::Unblock(path)));
        }
        for process in 0..self.plan.processes {
            let it = &self.processes[process];
            let (pause, life) = (it.pause, it.life);
            self.wake(process, pause);
            if !self.processes[process].alive && (process == 0 || self.rng.chance(700)) {
                self.start_process(process, life);
            }
        }
    }
}
