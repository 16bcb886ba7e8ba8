//! The properties that must hold. At every moment at most one master believes at a path. No lease lasts longer than the
//! leader lets the session live. Tokens only rise. A mastership whose lease has expired does not come back. Callbacks
//! pair up.

use std::collections::{BTreeMap, BTreeSet};

use election::testing::logic::{
    rc, Alarm, Event, LeaseMode, Master, Members, Name, Outcome, Reason, Recipe, Role, SubscriptionId, Time,
};

use crate::clock::Ns;
use crate::plan::Plan;
use crate::process::ENOUGH;
use crate::say;
use crate::world::World;

#[derive(Clone, Debug)]
pub struct Violation {
    pub property: &'static str,
    pub detail: String,
}

#[derive(Clone, Copy, Default)]
struct Belief {
    token: Option<i64>,
    /// The token whose belief the clock has ended. The process must never believe in it again.
    lapsed: Option<i64>,
}

/// The reports that one subscription of a process has heard.
struct Heard {
    path: usize,
    process: usize,
    master: Option<i64>,
    last_token: i64,
    last_end: Option<Reason>,
    dismissed: bool,
    /// It has heard its last role, if it has one.
    has_ended: bool,
    seen: Option<Master>,
    /// The czxid of the last master that an observer was told of in this session.
    shown: i64,
    members: Option<Members>,
    /// The last alarm of a watcher of members.
    too_few: bool,
}

pub struct Checker {
    violation: Option<Violation>,
    beliefs: Vec<Vec<Belief>>,
    /// The end of each process's lease.
    leases: Vec<Option<Time>>,
    /// The sessions that another process or an operator has ended.
    pub ended: BTreeSet<i64>,
    /// The sessions that a process has heard of, and the sessions that each process has asked for.
    pub known: BTreeSet<i64>,
    pub asked_for: BTreeSet<(usize, i64)>,
    parties: BTreeMap<SubscriptionId, Heard>,
    highest: Vec<i64>,
    /// The znodes that were the first in the queue of each path, and whether a foreign contender stood beside one when
    /// it became the first.
    firsts: Vec<BTreeMap<i64, bool>>,
    committed: i64,
    /// The programs' writes that were committed, and those that their programs believe not to be.
    written: BTreeSet<u64>,
    not_written: BTreeSet<u64>,
    /// The tokens of znodes that an operator has deleted: until their masters hear of it, another process may be
    /// master.
    pub deleted: BTreeSet<i64>,
    pub masterships: u64,
    /// The masterships that began with the event of a watch.
    pub takeovers: u64,
    pub lapses: u64,
    /// The time since which no process believes at a path, and the longest such time.
    vacant_since: Vec<Option<Ns>>,
    pub longest_vacancy: Ns,
}

impl Checker {
    pub fn new(plan: &Plan) -> Checker {
        Checker {
            violation: None,
            beliefs: vec![vec![Belief::default(); plan.paths.len()]; plan.processes],
            leases: vec![None; plan.processes],
            ended: BTreeSet::new(),
            known: BTreeSet::new(),
            asked_for: BTreeSet::new(),
            parties: BTreeMap::new(),
            highest: vec![0; plan.paths.len()],
            firsts: vec![BTreeMap::new(); plan.paths.len()],
            committed: 0,
            written: BTreeSet::new(),
            not_written: BTreeSet::new(),
            deleted: BTreeSet::new(),
            masterships: 0,
            takeovers: 0,
            lapses: 0,
            vacant_since: vec![Some(0); plan.paths.len()],
            longest_vacancy: 0,
        }
    }

    pub fn failed(&self) -> bool {
        self.violation.is_some()
    }

    pub fn take_violation(&mut self) -> Option<Violation> {
        self.violation.take()
    }

    pub fn violated(&mut self, property: &'static str, detail: String) {
        self.violation.get_or_insert(Violation { property, detail });
    }

    /// Whether this is the first server to commit a transaction.
    pub fn committed(&mut self, zxid: i64) -> bool {
        let first = zxid > self.committed;
        self.committed = self.committed.max(zxid);
        first
    }

    pub fn forget_process(&mut self, process: usize) {
        self.beliefs[process].fill(Belief::default());
        self.parties.retain(|_, heard| heard.process != process);
    }

    pub fn stands(&mut self, id: SubscriptionId, process: usize, path: usize) {
        self.observes(id, process, path);
        self.parties.entry(id).and_modify(|heard| heard.has_ended = false);
    }

    pub fn observes(&mut self, id: SubscriptionId, process: usize, path: usize) {
        let (master, last_end, seen) = (None, None, None);
        let (members, too_few) = (None, false);
        let heard = Heard {
            path,
            process,
            master,
            last_token: 0,
            last_end,
            dismissed: false,
            has_ended: true,
            seen,
            shown: 0,
            members,
            too_few,
        };
        self.parties.insert(id, heard);
    }

    pub fn watches_members(&mut self, id: SubscriptionId, process: usize, path: usize) {
        self.observes(id, process, path);
    }

    pub fn told_members(&mut self, id: SubscriptionId, members: Members) {
        let Some(heard) = self.parties.get_mut(&id) else { return };
        let is_known = members.rc == rc::OK;
        let too_few = match members.alarm {
            Alarm::None => heard.too_few,
            Alarm::TooFew => true,
            Alarm::Enough => false,
        };
        let is_news = members.alarm == Alarm::None || too_few != heard.too_few;
        let is_right = !is_known || too_few == (members.members.len() < ENOUGH);
        heard.too_few = too_few;
        let wrong = heard.dismissed || !is_news || !is_right || !is_known && members.alarm != Alarm::None;
        let detail = format!("{id:?} heard {members:?}");
        heard.members = Some(members);
        if wrong {
            self.violated("members are told right", detail);
        }
    }

    pub fn members(&self, id: SubscriptionId) -> Option<&Members> {
        self.parties.get(&id)?.members.as_ref()
    }

    /// This write of a program was committed.
    pub fn written(&mut self, write: u64) {
        self.written.insert(write);
        if self.not_written.contains(&write) {
            self.violated("a write ends as it is told", format!("{write} was told not to be written"));
        }
    }

    /// A program was told how its write ended.
    pub fn told_written(&mut self, write: u64, outcome: &Outcome) {
        let is_written = self.written.contains(&write);
        let is_right = match outcome {
            Outcome::Written => is_written,
            Outcome::NotMaster | Outcome::Refused(_) => {
                self.not_written.insert(write);
                !is_written
            }
            _ => true,
        };
        if !is_right {
            self.violated("a write ends as it is told", format!("{write} ended {outcome:?}"));
        }
    }

    /// Another session may begin on a server that is behind the former session's server.
    pub fn begins_session(&mut self, process: usize) {
        for heard in self.parties.values_mut().filter(|heard| heard.process == process) {
            heard.shown = 0;
        }
    }

    pub fn observed(&self, id: SubscriptionId) -> Option<&Master> {
        self.parties.get(&id)?.seen.as_ref()
    }

    /// The path at which a candidate has heard this event.
    pub fn told_role(&mut self, id: SubscriptionId, event: &Event) -> Option<usize> {
        let heard = self.parties.get_mut(&id)?;
        let path = heard.path;
        let mut wrong = None;
        // One that was denied hears so once, and never leads.
        if heard.dismissed || heard.has_ended {
            wrong = Some(("nothing after the end", format!("{id:?} heard {event:?}")));
        }
        heard.has_ended |= event.reason.is_last();
        match event.role {
            Role::Master => {
                let again = heard.last_token == event.token && heard.last_end != Some(Reason::LeaseExpired);
                if let Some(former) = heard.master.replace(event.token) {
                    wrong = Some(("callbacks pair up", format!("{id:?} master twice: {former:x}, {event:?}")));
                } else if event.token <= self.highest[heard.path] && !again && !self.deleted.contains(&event.token)
                {
                    let highest = self.highest[heard.path];
                    wrong = Some(("tokens rise", format!("{id:?} has {:x} after {highest:x}", event.token)));
                }
                heard.last_token = event.token;
                self.highest[heard.path] = self.highest[heard.path].max(event.token);
            }
            _ => {
                if heard.master.take().is_some() {
                    heard.last_end = Some(event.reason);
                }
            }
        }
        if let Some((property, detail)) = wrong {
            self.violated(property, detail);
        }
        Some(path)
    }

    pub fn told_master(&mut self, id: SubscriptionId, master: &Master) {
        let Some(heard) = self.parties.get_mut(&id) else { return };
        heard.seen = Some(master.clone());
        let (czxid, shown) = (master.stat.czxid, heard.shown);
        heard.shown = shown.max(czxid);
        let back = czxid != 0 && czxid < shown;
        if heard.dismissed {
            self.violated("nothing after the end", format!("{id:?} heard {master:?}"));
        } else if back {
            self.violated("masters are seen in order", format!("{id:?} sees {master:?} after {shown:x}"));
        }
    }

    pub fn dismissed(&mut self, id: SubscriptionId) {
        let Some(heard) = self.parties.get_mut(&id) else { return };
        let wrong = heard.dismissed || heard.master.is_some() || !heard.has_ended;
        heard.dismissed = true;
        if wrong {
            self.violated(
                "callbacks pair up",
                format!("{id:?} dismissed as master, twice, or without a last role"),
            );
        }
    }
}

impl World {
    pub fn token_of(&self, process: usize, path: usize) -> Option<i64> {
        let it = &self.processes[process];
        let now = Time(self.local(process));
        it.tokens[path].filter(|_| it.alive && it.lease_end.is_some_and(|end| now < end))
    }

    /// The processes that believe at a path that they are master, with their tokens.
    pub fn believers(&self, path: usize) -> Vec<(usize, i64)> {
        let believer = |process| Some((process, self.token_of(process, path)?));
        (0..self.processes.len()).filter_map(believer).collect()
    }

    /// Called before a process hears anything: has the clock ended its belief?
    pub fn check_before(&mut self, process: usize) {
        for path in 0..self.plan.paths.len() {
            let believed = self.checker.beliefs[process][path].token;
            if believed.is_some() && self.token_of(process, path) != believed {
                say!(self, "process {process} believes no longer at {}: its time is over", self.plan.paths[path]);
                self.checker.beliefs[process][path] = Belief { token: None, lapsed: believed };
                self.checker.lapses += 1;
                self.note_vacancy(path);
            }
        }
    }

    /// Called while the process acts on an event: a question at that moment must not be answered with a mastership that
    /// was over.
    pub fn check_between(&mut self, process: usize) {
        for path in 0..self.plan.paths.len() {
            let lapsed = self.checker.beliefs[process][path].lapsed;
            if lapsed.is_some() && self.token_of(process, path) == lapsed {
                let detail = format!("process {process} believes in {lapsed:x?} again");
                self.checker.violated("a lapse is final", detail);
            }
        }
    }

    /// Called after a process has heard something: its lease must end before the leader ends the session if the leader
    /// hears nothing more of it.
    fn check_lease(&mut self, process: usize) {
        let it = &self.processes[process];
        let end = it.lease_end;
        let former = std::mem::replace(&mut self.checker.leases[process], end);
        let (session, epoch) = (it.client.session, it.client.epoch());
        let Some(leader) = self.leader().filter(|leader| self.servers[*leader].current_epoch >= epoch) else {
            return;
        };
        let Some(end) = end.filter(|_| end != former).map(|end| it.clock.when(end.0)) else { return };
        let said_nothing =
            self.plan.config.lease_mode == LeaseMode::Answered || self.checker.ended.contains(&session);
        let clock = self.servers[leader].clock;
        let expires = self.reign(leader).tracker.expires(session).map_or(self.now, |at| clock.when(at));
        if !said_nothing && end > expires.max(self.now) {
            let detail =
                format!("process {process} until {end}, server {leader} lets {session:x} live until {expires}");
            self.checker.violated("the session outlives the lease", detail);
        }
    }

    /// Called after a process has heard something: a process that begins to believe must be the only one. (A process
    /// begins to believe only by an event of its own, so this check is enough for all moments.)
    pub fn check_after(&mut self, process: usize) {
        self.check_lease(process);
        for path in 0..self.plan.paths.len() {
            let token = self.token_of(process, path);
            let it = &self.processes[process];
            let known = it.core.master_token(Time(self.local(process)), &self.plan.name(path));
            assert_eq!(token, known, "what is told is what is known");
            let belief = &mut self.checker.beliefs[process][path];
            let former = std::mem::replace(&mut belief.token, token);
            let lapsed = belief.lapsed;
            let Some(token) = token.filter(|_| token != former) else {
                if former.is_some() && token.is_none() {
                    say!(self, "process {process} believes no longer at {}", self.plan.paths[path]);
                    self.note_vacancy(path);
                }
                continue;
            };
            say!(self, "process {process} believes at {} with token {token:x}", self.plan.paths[path]);
            if lapsed == Some(token) {
                let detail = format!("process {process} believes in {token:x} again");
                self.checker.violated("a lapse is final", detail);
            }
            self.checker.masterships += 1;
            self.check_first(process, path, token);
            if let Some(since) = self.checker.vacant_since[path].take() {
                self.checker.longest_vacancy = self.checker.longest_vacancy.max(self.now - since);
            }
            let exempt = |token: &i64| self.checker.deleted.contains(token);
            let others =
                self.believers(path).into_iter().filter(|(other, token)| *other != process && !exempt(token));
            if let (Some((other, theirs)), false) = (others.into_iter().next(), exempt(&token)) {
                let detail = format!(
                    "processes {other} (token {theirs:x}) and {process} (token {token:x}) at {}",
                    self.plan.paths[path]
                );
                self.checker.violated("never two masters", detail);
            }
            if self.plan.ambush && self.faults_on {
                let delay = match self.rng.below(3) {
                    0 => 0,
                    1 => self.rng.below(self.plan.tick / 2),
                    _ => self.rng.below(self.plan.timeout),
                };
                self.plan_in(delay, crate::messages::Happening::Ambush(process));
            }
        }
    }

    /// Whether a process that has asked for the session `by` (two sessions may have one number) has asked for that other session,
    /// and has not heard of it. If names have a GUID, the process knows by them what it has made in it. It may have left the
    /// session `by` when its request is carried out.
    pub fn is_lost(&self, by: i64, session: i64) -> bool {
        let has_guid = matches!(self.plan.config.recipe, Recipe::Queue(dialect) if dialect.has_guid());
        let asked_for = |process, session| self.checker.asked_for.contains(&(process, session));
        let is_known = self.checker.known.contains(&session) && !self.repeated.contains(&session);
        has_guid
            && !is_known
            && (0..self.processes.len()).any(|process| asked_for(process, by) && asked_for(process, session))
    }

    /// A transaction has been committed: which znode is now the first in each queue?
    pub fn note_firsts(&mut self, server: usize) {
        let Recipe::Queue(dialect) = self.plan.config.recipe else { return };
        let tree = &self.servers[server].tree;
        for (place, firsts) in self.plan.paths.iter().zip(&mut self.checker.firsts) {
            let (mut first, mut is_foreign) = (None, false);
            for child in tree.children(place) {
                match dialect.read(&child[place.len() + 1..]) {
                    Name::Contender(_) => {
                        let czxid = tree.nodes[child].stat.czxid;
                        first = Some(first.map_or(czxid, |first: i64| first.min(czxid)));
                    }
                    Name::ForeignContender(_) => is_foreign = true,
                    Name::Other => {}
                }
            }
            if let Some(first) = first {
                firsts.entry(first).or_insert(is_foreign);
            }
        }
    }

    /// A process begins to believe: it has been elected. If an event has made it master, no foreign contender was there.
    fn check_first(&mut self, process: usize, path: usize, token: i64) {
        if self.plan.config.recipe == Recipe::Node {
            return;
        }
        let is_foreign = self.checker.firsts[path].get(&token).copied();
        let detail = format!("process {process} with token {token:x} at {}", self.plan.paths[path]);
        if self.processes[process].takes_over {
            self.checker.takeovers += 1;
            if is_foreign == Some(true) {
                self.checker.violated("no master is made beside a foreign contender", detail.clone());
            }
        }
        if is_foreign.is_none() {
            self.checker.violated("a master was the first in its queue", detail);
        }
    }

    /// A delete has hit a znode of another session. ZooKeeper cannot check the owner of a znode. As long as no other
    /// client deletes our znode, it is ours. If an operator deletes znodes, this delete is a part of the operator's
    /// act.
    pub fn foreign_delete(&mut self, token: i64) {
        if self.faults_on && !self.plan.faults.contains(&crate::plan::Fault::Delete) {
            self.checker.violated("only our own is deleted", format!("{token:x} is another's"));
        }
        self.checker.deleted.insert(token);
        self.stats.foreign_deletes += 1;
    }

    /// A fenced write is being committed. Its token must be that of the master in the tree at this moment.
    pub fn fenced(&mut self, server: usize, path: usize, token: i64) {
        self.stats.fenced += 1;
        let tree = &self.servers[server].tree;
        let place = &self.plan.paths[path];
        let master = match self.plan.config.recipe {
            Recipe::Node => tree.nodes.get(place).map(|node| node.stat.czxid),
            Recipe::Queue(_) => {
                let stats = tree.children(place).map(|child| tree.nodes[child].stat);
                stats.filter(|stat| stat.is_ephemeral()).map(|stat| stat.czxid).min()
            }
        };
        // If a znode of another candidate may have the same name, because the name has no GUID, the check cannot tell
        // them apart.
        let one_name = match self.plan.config.recipe {
            Recipe::Node => true,
            Recipe::Queue(dialect) => !dialect.has_guid(),
        };
        let exempt = one_name && self.checker.deleted.contains(&token);
        if master != Some(token) && !exempt {
            self.checker
                .violated("a fence holds", format!("{token:x} is written at {place}, master is {master:x?}"));
        }
    }

    pub fn believes(&self, process: usize) -> bool {
        self.checker.beliefs[process].iter().any(|belief| belief.token.is_some())
    }

    fn note_vacancy(&mut self, path: usize) {
        if self.believers(path).is_empty() {
            self.checker.vacant_since[path].get_or_insert(self.now);
        }
    }
}
