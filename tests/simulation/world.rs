//! The world: true time, the planned events, and all servers and processes. Events are handled one by one in the order
//! of time. Events of one moment are handled in the order in which they were planned.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use crate::checker::Checker;
use crate::clock::Ns;
use crate::faults::{Late, LateAnswer};
use crate::messages::{Denial, Happening};
use crate::network::{Conn, Network};
use crate::plan::{Broken, Fault, Plan};
use crate::process::Process;
use crate::rng::Rng;
use crate::server::Server;

struct Entry {
    at: Ns,
    number: u64,
    what: Happening,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    /// The earliest event is the greatest.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

#[derive(Default)]
pub struct Stats {
    pub steps: u64,
    pub requests: u64,
    pub transactions: u64,
    pub elections: u64,
    pub expiries: u64,
    pub foreign_deletes: u64,
    pub fenced: u64,
    /// How many connections have broken.
    pub breaks: u64,
    pub faults: BTreeMap<Fault, u64>,
}

pub struct World {
    pub now: Ns,
    queue: BinaryHeap<Entry>,
    planned: u64,
    pub rng: Rng,
    pub plan: Plan,
    pub net: Network,
    pub conns: Vec<Conn>,
    pub servers: Vec<Server>,
    pub processes: Vec<Process>,
    pub checker: Checker,
    pub stats: Stats,
    /// Numbers reigns of leaders, connections between servers, and timers. No number is used twice.
    pub serial: u32,
    pub election_planned: bool,
    pub faults_on: bool,
    pub ambush_after: Ns,
    pub blocked: Vec<bool>,
    pub denied: Vec<Option<Denial>>,
    pub late: Option<Late>,
    pub late_answer: Option<LateAnswer>,
    /// The processes to which no server is reachable, if a test wants it so.
    pub barred: Vec<bool>,
    /// The session numbers that were handed out twice.
    pub repeated: BTreeSet<i64>,
    /// The events so far, for the reader of a failure.
    pub trace: Option<Vec<String>>,
}

/// Records an event if a trace is wanted.
#[macro_export]
macro_rules! say {
    ($world:expr, $($words:tt)*) => {
        if $world.trace.is_some() {
            let line = format!($($words)*);
            $world.note(line);
        }
    };
}

impl World {
    pub fn new(seed: u64, broken: Option<Broken>, traced: bool) -> World {
        let mut rng = Rng::new(seed);
        let plan = Plan::draw(&mut rng, broken);
        let servers = (0..plan.servers).map(|_| Server::new(plan.draw_clock(&mut rng), &plan)).collect();
        let mut world = World {
            now: 0,
            queue: BinaryHeap::new(),
            planned: 0,
            net: Network::new(&plan),
            conns: Vec::new(),
            servers,
            processes: Vec::new(),
            checker: Checker::new(&plan),
            stats: Stats::default(),
            serial: 0,
            election_planned: false,
            faults_on: true,
            ambush_after: 0,
            repeated: BTreeSet::new(),
            blocked: vec![false; plan.paths.len()],
            denied: vec![None; plan.paths.len()],
            late: None,
            late_answer: None,
            barred: vec![false; plan.processes],
            trace: traced.then(Vec::new),
            rng,
            plan,
        };
        say!(world, "{:?}", world.plan);
        world.plan_election(0);
        for process in 0..world.plan.processes {
            let clock = world.plan.draw_clock(&mut world.rng);
            let servers_seed = world.rng.next();
            world.processes.push(Process::new(clock, &world.plan, servers_seed));
            let delay = world.rng.below(world.plan.timeout / 2);
            world.plan_at(delay, Happening::Restart(process, 0));
        }
        let gap = world.rng.below(2 * world.plan.fault_gap);
        world.plan_at(gap, Happening::Fault);
        world
    }

    pub fn note(&mut self, line: String) {
        let at = self.now as f64 / 1e6;
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{at:12.3} ms  {line}"));
        }
    }

    pub fn next_serial(&mut self) -> u32 {
        self.serial += 1;
        self.serial
    }

    pub fn plan_at(&mut self, at: Ns, what: Happening) {
        self.planned += 1;
        self.queue.push(Entry { at, number: self.planned, what });
    }

    pub fn plan_in(&mut self, delay: Ns, what: Happening) {
        self.plan_at(self.now + delay, what);
    }

    /// Handles all events until this time.
    pub fn run_until(&mut self, until: Ns) {
        while !self.checker.failed() {
            match self.queue.peek() {
                Some(next) if next.at <= until => {}
                _ => break,
            }
            let Entry { at, what, .. } = self.queue.pop().expect("peeked");
            self.now = at;
            self.stats.steps += 1;
            self.happen(what);
        }
        self.now = self.now.max(until);
    }

    /// A frozen server or a paused process handles its events after the freeze or the pause.
    fn happen(&mut self, what: Happening) {
        let server = match &what {
            Happening::ToServer(conn, _) => Some(self.conns[*conn].server),
            Happening::ToPeer(_, to, ..) => Some(*to),
            Happening::Applies(server, ..)
            | Happening::Forwards(server, ..)
            | Happening::Prepares(server, ..)
            | Happening::LeaderBeat(server, _)
            | Happening::ExpiryBeat(server, _)
            | Happening::Closes(server, ..)
            | Happening::FollowerBeat(server, _) => Some(*server),
            _ => None,
        };
        if let Some(server) = server {
            if self.servers[server].frozen {
                return self.servers[server].parked.push(what);
            }
        }
        let process = match &what {
            Happening::ToClient(conn, _) => Some(self.conns[*conn].process),
            Happening::ClientTimer(process, _) | Happening::CoreTimer(process, _) => Some(*process),
            Happening::StandAgain(process, ..) => Some(*process),
            Happening::Reads(process, _) | Happening::Writable(process, _) => Some(*process),
            _ => None,
        };
        if let Some(process) = process {
            if self.processes[process].paused {
                return self.processes[process].parked.push(what);
            }
        }
        match what {
            Happening::ToServer(conn, packet) => self.server_receives(conn, packet),
            Happening::ToClient(conn, packet) => self.client_receives(conn, packet),
            Happening::ToPeer(from, to, link, message) => self.peer_hears(from, to, link, message),
            Happening::Applies(server, link, apply) => self.follower_applies(server, link, apply),
            Happening::Forwards(server, life, ask) => self.forward_now(server, life, ask),
            Happening::Prepares(server, reign, from, ask) => self.leader_prepares(server, reign, from, ask),
            Happening::LeaderBeat(server, reign) => self.leader_beat(server, reign),
            Happening::ExpiryBeat(server, reign) => self.expiry_beat(server, reign),
            Happening::Closes(server, reign, session) => self.closes(server, reign, session),
            Happening::FollowerBeat(server, link) => self.follower_beat(server, link),
            Happening::Election => self.election(),
            Happening::ClientTimer(process, timer) => self.client_timer(process, timer),
            Happening::CoreTimer(process, timer) => self.core_timer(process, timer),
            Happening::Reads(process, conn) => self.client_reads(process, conn),
            Happening::Writable(process, conn) => self.writable(process, conn),
            Happening::Write(process, life) => self.write(process, life),
            Happening::Wake(process, pause) => self.wake(process, pause),
            Happening::Restart(process, life) => self.start_process(process, life),
            Happening::StandAgain(process, life, path) => self.stand_again(process, life, path),
            Happening::Fault => self.next_fault(),
            Happening::Late(number) => self.late(number),
            Happening::Ambush(process) => self.ambush(process),
            Happening::Freeze(server, until) => self.freeze(server, until),
            Happening::Mend(mend) => self.mend(mend),
        }
    }

    /// Events that were held back during a freeze happen now. A leader's PINGs and the closing of sessions that were
    /// due are late. Messages keep their order, and the other timers come before or after them.
    pub fn unpark(&mut self, parked: Vec<Happening>) {
        let is_ping = |what: &Happening| matches!(what, Happening::LeaderBeat(..) | Happening::Closes(..));
        let (pings, parked): (Vec<_>, Vec<_>) = parked.into_iter().partition(is_ping);
        let is_timer = |what: &Happening| {
            use Happening::*;
            matches!(what, ExpiryBeat(..) | FollowerBeat(..) | ClientTimer(..) | CoreTimer(..))
        };
        let (timers, messages): (Vec<_>, Vec<_>) = parked.into_iter().partition(is_timer);
        // The messages that it has begun to work on arrived before the message that it hears now.
        let is_begun = |what: &Happening| {
            matches!(what, Happening::Applies(..) | Happening::Forwards(..) | Happening::Prepares(..))
        };
        let (begun, heard): (Vec<_>, Vec<_>) = messages.into_iter().partition(is_begun);
        let messages = begun.into_iter().chain(heard).collect();
        let timers_first = self.rng.chance(500);
        let (first, then) = if timers_first { (timers, messages) } else { (messages, timers) };
        for what in pings.into_iter().chain(first).chain(then) {
            self.plan_at(self.now, what);
        }
    }
}
