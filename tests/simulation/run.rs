//! One run: first with faults, then without faults, and then the end. A seed decides everything.

use std::sync::Arc;

use election::testing::logic::{rc, Dialect, Name, Recipe};

use crate::checker::Violation;
use crate::clock::{Ns, MS};
use crate::plan::{Broken, Fault, Unknown};
use crate::process::Input;
use crate::say;
use crate::tree::{Change, Node};
use crate::world::{Stats, World};

/// After this time everything that is watched was read again.
const REFRESH: Ns = 31_000 * MS;

pub struct Outcome {
    pub violation: Option<Violation>,
    pub stats: Stats,
    pub masterships: u64,
    pub takeovers: u64,
    pub lapses: u64,
    pub longest_vacancy: Ns,
    pub simulated: Ns,
    pub trace: Vec<String>,
}

/// Runs a seed. A panic of the core counts as a violation.
pub fn run(seed: u64, broken: Option<Broken>, traced: bool) -> Outcome {
    let mut world = World::new(seed, broken, traced);
    let played = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| world.play()));
    if let Err(panic) = played {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| text.to_string()));
        world.checker.violated("no panic", text.unwrap_or_default());
    }
    Outcome {
        violation: world.checker.take_violation(),
        masterships: world.checker.masterships,
        takeovers: world.checker.takeovers,
        lapses: world.checker.lapses,
        longest_vacancy: world.checker.longest_vacancy,
        simulated: world.now,
        trace: world.trace.take().unwrap_or_default(),
        stats: world.stats,
    }
}

impl World {
    fn play(&mut self) {
        self.run_until(self.plan.length);
        if self.checker.failed() {
            return;
        }
        self.heal();
        let bound = self.bound();
        self.await_or("one master", bound, |world| world.all_have_masters());
        for step in [
            World::stays_calm,
            World::hand_over_at_once,
            World::a_short_break,
            World::meet_a_foreign_contender,
            World::values_are_kept,
            World::hand_over,
            World::leave_nothing,
        ] {
            if !self.checker.failed() {
                step(self);
            }
        }
    }

    /// How long a healed ensemble may take to have a master again: servers and clients find each other, old sessions
    /// expire, and a candidate that has failed often waits for the longest backoff of the core.
    fn bound(&self) -> Ns {
        let plan = &self.plan;
        4 * plan.timeout + (2 * plan.sync_limit + 20) * plan.tick + 6_000 * MS + plan.config.grace_ms * MS
    }

    /// Runs until `done`. If that takes longer than `bound`, `property` is violated.
    fn await_or(&mut self, property: &'static str, bound: Ns, done: impl Fn(&World) -> bool) {
        // The clock that decides the time may be slow.
        let until = self.now + bound + bound / 8;
        let step = (bound / 500).max(MS);
        while !self.checker.failed() && !done(self) {
            if self.now >= until {
                self.checker.violated(property, format!("not within {} ms", bound / MS));
                return;
            }
            self.run_until(self.now + step);
        }
    }

    fn candidates(&self, path: usize) -> usize {
        self.processes.iter().filter(|process| process.candidates[path].is_some()).count()
    }

    fn all_have_masters(&self) -> bool {
        (0..self.plan.paths.len()).all(|path| {
            let masters = self.believers(path);
            let observed = self.processes.iter().filter_map(|process| process.observers[path]).all(|observer| {
                let seen = self.checker.observed(observer).map_or(0, |master| master.stat.czxid);
                seen == masters.first().map_or(0, |(_, token)| *token)
            });
            masters.len() == usize::from(self.candidates(path) > 0) && observed && self.members_are_known(path)
        })
    }

    /// Whether those who watch the members know them all, in their order, with their values.
    fn members_are_known(&self, path: usize) -> bool {
        let Some(leader) = self.leader() else { return false };
        let (tree, place) = (&self.servers[leader].tree, &self.plan.paths[path]);
        let mut members: Vec<(&str, &Node)> = match self.plan.config.recipe {
            Recipe::Node => tree
                .nodes
                .get(place)
                .map(|node| (place.rsplit('/').next().unwrap_or_default(), node))
                .into_iter()
                .collect(),
            Recipe::Queue(dialect) => {
                let names: Vec<Arc<str>> =
                    tree.children(place).map(|child| child[place.len() + 1..].into()).collect();
                let in_order = dialect.in_order(&names).into_iter();
                in_order
                    .map(|name| tree.nodes.get_key_value(&*format!("{place}/{name}")).expect("listed"))
                    .map(|(path, node)| (&path[place.len() + 1..], node))
                    .collect()
            }
        };
        if let Recipe::Queue(dialect) = self.plan.config.recipe {
            dialect.settle_ties(&mut members, |(name, _)| name, |(_, node)| node.stat.czxid);
        }
        self.processes.iter().filter_map(|process| process.watchers[path]).all(|watcher| {
            let told = self.checker.members(watcher).filter(|told| told.rc == rc::OK);
            let told = told.map(|told| told.members.iter().map(|member| (&*member.name, &member.znode.value)));
            told.is_some_and(|told| told.eq(members.iter().map(|(name, node)| (*name, &node.value))))
        })
    }

    /// Each candidate sets its value anew. The master's znode gets it, and everybody sees it.
    fn values_are_kept(&mut self) {
        for process in 0..self.plan.processes {
            for path in 0..self.plan.paths.len() {
                if self.rng.chance(500) {
                    self.drive(process, Input::SetValue(path));
                }
            }
        }
        // In a queue, a value that was refused is tried again when the candidate reads all it watches again.
        let was_refused = self.plan.faults.contains(&Fault::Denial);
        let bound = self.bound() + if was_refused { REFRESH } else { 0 };
        self.await_or("values are kept", bound, |world| {
            world.all_have_masters() && (0..world.plan.paths.len()).all(|path| world.value_is_kept(path))
        });
    }

    fn value_is_kept(&self, path: usize) -> bool {
        let (Some(leader), Some((master, token))) = (self.leader(), self.believers(path).first().copied()) else {
            return self.candidates(path) == 0;
        };
        let mut nodes = self.servers[leader].tree.ephemerals();
        let wanted = &self.processes[master].values[path];
        // An operator has changed it.
        let may_differ = self.plan.faults.contains(&Fault::Change);
        may_differ || nodes.any(|(_, node)| node.stat.czxid == token && node.value == *wanted)
    }

    /// From the client through a follower to the leader, to the quorum, and all the way back.
    fn write_takes(&self) -> Ns {
        6 * (self.plan.latency + self.plan.jitter) + self.plan.lag
    }

    /// Whether a write takes a small part of the session timeout.
    fn is_fast(&self) -> bool {
        let margin = self.plan.config.margin_ms * MS;
        let timeout = self.plan.shortest_timeout.map_or(self.plan.timeout, |(_, shortest)| shortest);
        // What is left of a lease without the tick, or with one of T/2, is too little for more, when a leader is busy as well.
        self.write_takes() + margin <= timeout / 16
    }

    /// Whether a record of a client may be lost, and a request be late at its server. Where a write takes a larger part of the
    /// session timeout, that ends with the faults: it may cost what is left of a lease.
    pub fn is_rough(&self) -> bool {
        self.faults_on || self.is_fast()
    }

    /// The masters of a queue resign one after the other. Each next one is master a few messages later: nobody waits until
    /// it has an anchor. A connection may break meanwhile: if an earlier attempt to connect has moved a session, its server
    /// notices that at the next write.
    /// Not where servers hang up at a request that they do not know: until a client has found that out, its candidate may
    /// be waiting for its next attempt.
    fn hand_over_at_once(&mut self) {
        let has_guid = matches!(self.plan.config.recipe, Recipe::Queue(dialect) if dialect.has_guid());
        if !has_guid || !self.is_fast() || self.plan.unknown == Some(Unknown::HangUp) {
            return;
        }
        let soon = 4 * self.write_takes() + 2 * self.plan.jitter + self.plan.config.grace_ms * MS;
        let breaks = self.stats.breaks;
        for path in 0..self.plan.paths.len() {
            for _ in 0..2 {
                let Some((master, _)) = self.believers(path).first().copied() else { continue };
                if self.candidates(path) > 2 && !self.checker.failed() {
                    say!(self, "the master of {} resigns", self.plan.paths[path]);
                    self.drive(master, Input::Resign(path));
                    self.await_or("a queue hands over at once", soon, |world| {
                        !world.believers(path).is_empty() || world.stats.breaks > breaks
                    });
                }
            }
        }
    }

    /// If nothing goes wrong, and a write takes a small part of the session timeout, no process loses a mastership.
    fn stays_calm(&mut self) {
        // A follower whose leader has been replaced may take syncLimit ticks to notice.
        let settled = 2 * self.plan.timeout + (2 * self.plan.sync_limit + 4) * self.plan.tick;
        self.run_until(self.now + settled);
        let bound = self.bound();
        self.await_or("one master", bound, |world| world.all_have_masters());
        let before: Vec<_> = (0..self.plan.paths.len()).map(|path| self.believers(path)).collect();
        self.run_until(self.now + 2 * self.plan.timeout);
        let after: Vec<_> = (0..self.plan.paths.len()).map(|path| self.believers(path)).collect();
        if self.is_fast() && !self.checker.failed() && before != after {
            self.checker.violated("calm", format!("masters were {before:?} and are {after:?}"));
        }
    }

    /// A master loses its connection, and no server takes another one. If one does again before the lease ends, and is
    /// found in time, the master stays master, and loses nothing of it later.
    fn a_short_break(&mut self) {
        let moment = self.rng.below(self.plan.timeout / 8);
        self.run_until(self.now + moment);
        let masters: Vec<_> = (0..self.plan.paths.len()).map(|path| self.believers(path)).collect();
        let Some((process, _)) = masters.iter().flatten().next().copied() else { return };
        let it = &self.processes[process];
        let crate::client::Link::Up(conn) = it.client.link else { return };
        let end = it.lease_end.map_or(0, |end| it.clock.when(end.0));
        // The pause until the next round through the servers; then the connection, the session, and a proof. A server that
        // takes no request behind a ConnectRequest may cost one more round, in which the client finds that out.
        let rounds = 1 + u64::from(self.plan.one_at_a_time.is_some());
        let found = rounds * (525 * MS + 6 * self.write_takes());
        let Some(back_at) = end.checked_sub(found).filter(|back_at| *back_at > self.now) else { return };
        say!(self, "process {process} loses its connection, and is refused until {} ms", back_at / MS);
        self.processes[process].is_refused = true;
        self.hang_up(conn);
        self.run_until(back_at);
        self.processes[process].is_refused = false;
        self.run_until(back_at + 2 * self.plan.timeout);
        let after: Vec<_> = (0..self.plan.paths.len()).map(|path| self.believers(path)).collect();
        let kept = masters.iter().zip(&after).all(|(masters, after)| masters.is_empty() || masters == after);
        if self.is_fast() && !self.checker.failed() && !kept {
            let detail = format!("masters were {masters:?} and are {after:?}");
            self.checker.violated("a short break costs no mastership", detail);
        }
    }

    /// A contender that the masters do not count joins behind them. A few messages later no process believes any more.
    /// No process stands before that contender, which may be waiting. After it has gone, one process is master again.
    fn meet_a_foreign_contender(&mut self) {
        let Recipe::Queue(dialect) = self.plan.config.recipe else { return };
        if dialect == Dialect::WriteLock || self.plan.names_run_out() || self.checker.failed() {
            return;
        }
        let Some(leader) = self.leader() else { return };
        let tree = &self.servers[leader].tree;
        let joins: Vec<_> = (0..self.plan.paths.len())
            .filter_map(|path| {
                let (_, token) = self.believers(path).first().copied()?;
                let place = &self.plan.paths[path];
                let own = tree.children(place).find(|child| tree.nodes[*child].stat.czxid == token)?;
                let Name::Contender(number) = dialect.read(own.rsplit('/').next()?) else { return None };
                // If the counter has been used up, the numbers do not tell the order.
                let name = format!("{place}/foreign-{:010}", number.checked_add(1000)?).into();
                (number >= 0).then_some((path, name))
            })
            .collect();
        for (_, name) in &joins {
            let path = Arc::clone(name);
            if !self.operate(vec![Change::Create { path, value: [].into(), owner: 0, container: false }]) {
                return;
            }
        }
        // The commit, the event, a list, and a pause before it. A master that may not list the queue tries again when
        // it reads all it watches again.
        let may_list = !self.plan.faults.contains(&Fault::Denial);
        let list_again = if may_list { 0 } else { REFRESH };
        let soon = 25 * self.plan.latency + 2 * self.plan.jitter + 12 * MS + list_again;
        self.await_or("a foreign contender is seen", soon, |world| {
            joins.iter().all(|(path, _)| world.believers(*path).is_empty())
        });
        let bound = self.bound();
        self.await_or("a foreign contender is not kept waiting", bound, |world| {
            let Some(leader) = world.leader() else { return false };
            let tree = &world.servers[leader].tree;
            joins.iter().all(|(path, name)| {
                let place = &world.plan.paths[*path];
                let foreign = tree.nodes.get(name).map_or(0, |node| node.stat.czxid);
                tree.children(place).all(|child| tree.nodes[child].stat.czxid >= foreign)
            })
        });
        for (_, name) in joins {
            self.operate(vec![Change::Delete { path: name }]);
        }
        self.await_or("one master", bound, |world| world.all_have_masters());
    }

    /// The masters go, in one of several ways, and others follow.
    fn hand_over(&mut self) {
        for path in 0..self.plan.paths.len() {
            let Some((master, token)) = self.believers(path).first().copied() else { continue };
            if self.checker.failed() {
                return;
            }
            match self.rng.below(4) {
                0 => {
                    say!(self, "the master of {} resigns", self.plan.paths[path]);
                    self.drive(master, Input::Resign(path));
                }
                1 => self.kill_process(master),
                2 if self.delete_znode(token) => {
                    say!(self, "the znode of {} is deleted", self.plan.paths[path]);
                    // Its watch reports the deletion a few messages later. The process waits for no proof and no
                    // timeout.
                    let soon = 25 * self.plan.latency + 2 * self.plan.jitter;
                    self.await_or("the deleted step down", soon, |world| {
                        world.token_of(master, path) != Some(token)
                    });
                }
                _ => {
                    self.meddle(path, Fault::Change);
                }
            }
        }
        let bound = self.bound();
        self.await_or("one master", bound, |world| world.all_have_masters());
    }

    /// A candidate that resigns or closes leaves nothing behind.
    fn leave_nothing(&mut self) {
        for process in 0..self.plan.processes {
            for path in 0..self.plan.paths.len() {
                if self.processes[process].candidates[path].is_some() && self.rng.chance(700) {
                    self.drive(process, Input::Resign(path));
                }
            }
        }
        let bound = self.bound();
        self.await_or("nothing is left behind", bound, World::nothing_is_left_over);
        for process in 0..self.plan.processes {
            if self.processes[process].alive {
                self.drive(process, Input::Close);
                self.client_closes(process);
                self.kill_process(process);
            }
        }
        self.await_or("nothing is left behind", bound, |world| world.leftovers() == 0);
    }

    fn nothing_is_left_over(&self) -> bool {
        let leftovers = self.leftovers();
        let places = (0..self.plan.paths.len()).filter(|path| self.candidates(*path) > 0).count();
        match self.plan.names_run_out() {
            true => leftovers >= places && leftovers <= self.standing(),
            false => leftovers == self.standing(),
        }
    }

    fn standing(&self) -> usize {
        (0..self.plan.paths.len()).map(|path| self.candidates(path)).sum()
    }

    /// How many of our znodes the tree has. A node election has one for each path at which a process stands.
    fn leftovers(&self) -> usize {
        let Some(leader) = self.leader() else { return usize::MAX };
        let ephemerals = self.servers[leader].tree.ephemerals().map(|(path, _)| path);
        match self.plan.config.recipe {
            election::testing::logic::Recipe::Node => {
                let paths = self.plan.paths.iter().enumerate();
                let taken: Vec<_> = ephemerals.collect();
                paths
                    .map(|(at, path)| match taken.contains(&path) {
                        true => self.candidates(at).max(1),
                        false => 0,
                    })
                    .sum()
            }
            _ => ephemerals.count(),
        }
    }
}
