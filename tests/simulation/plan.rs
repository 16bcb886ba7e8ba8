//! The values that the seed draws before a run begins.

use std::sync::Arc;

use election::testing::logic::{Config, Dialect, LeaseMode, Recipe, Rule};
use election::testing::zk;

use crate::clock::{Clock, Ns, MS};
use crate::rng::Rng;

/// The kinds of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    LostReply,
    BrokenConnection,
    SlowNetwork,
    ClientCut,
    /// The requests of a process are held back for a while, and then arrive at its server all at once.
    HeldRequests,
    ServerCut,
    /// A master and its server are cut off from all others.
    Isolation,
    ServerCrash,
    ServerFreeze,
    /// The leader is stopped for about a session timeout, and a process begins to stand meanwhile.
    LeaderFreeze,
    SlowFollower,
    ProcessPause,
    ProcessKill,
    SessionExpiry,
    Resign,
    /// A process begins or ceases to watch a master.
    Watch,
    /// A process begins or ceases to watch the members.
    Members,
    /// A candidate changes its value.
    SetValue,
    /// For a while the servers refuse something to everybody.
    Denial,
    /// The last requests of a master arrive at a busy leader when its session comes back to their server.
    LateRequests,
    /// A contender joins the queue that its dialect does not count.
    Stranger,
    Block,
    Change,
    Delete,
}

impl Fault {
    pub const ALL: [Fault; 24] = [
        Fault::LostReply,
        Fault::BrokenConnection,
        Fault::SlowNetwork,
        Fault::ClientCut,
        Fault::HeldRequests,
        Fault::ServerCut,
        Fault::Isolation,
        Fault::ServerCrash,
        Fault::ServerFreeze,
        Fault::LeaderFreeze,
        Fault::SlowFollower,
        Fault::ProcessPause,
        Fault::ProcessKill,
        Fault::SessionExpiry,
        Fault::Resign,
        Fault::Watch,
        Fault::Members,
        Fault::SetValue,
        Fault::Denial,
        Fault::LateRequests,
        Fault::Stranger,
        Fault::Block,
        Fault::Change,
        Fault::Delete,
    ];
}

/// A rule that the processes of a run break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    Core(Rule),
    Session(zk::Rule),
    /// The driver: a frame is stamped before the write that takes its first byte.
    StampBeforeWrite,
}

impl Broken {
    pub fn all() -> impl Iterator<Item = Broken> {
        let of_core = Rule::ALL.into_iter().map(Broken::Core);
        let of_session = zk::Rule::ALL.into_iter().map(Broken::Session);
        of_core.chain(of_session).chain([Broken::StampBeforeWrite])
    }

    pub fn name(self) -> String {
        match self {
            Broken::Core(rule) => format!("{rule:?}"),
            Broken::Session(rule) => format!("{rule:?}"),
            Broken::StampBeforeWrite => format!("{self:?}"),
        }
    }
}

/// What servers do with a request that they do not know: `create2`, a container, the removal of a watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// They say so, and close the connection, as those of ZooKeeper 3.4 do.
    Refused,
    /// They close the connection without a word, as ClickHouse Keeper does.
    HangUp,
}

#[derive(Clone, Debug)]
pub struct Plan {
    pub servers: usize,
    pub processes: usize,
    /// The paths of the elections, as the servers know them.
    pub paths: Vec<Arc<str>>,
    /// What the clients put before each path of their programs: nothing, or a path.
    pub chroot: &'static str,
    /// The servers do not know the requests that came with ZooKeeper 3.5.
    pub unknown: Option<Unknown>,
    pub config: Config,
    /// The rule that the sessions break.
    pub broken_session: Option<zk::Rule>,
    /// The processes read their clocks after each write.
    pub stamps_late: bool,
    pub tick: Ns,
    pub sync_limit: u64,
    /// T, the session timeout.
    pub timeout: Ns,
    pub latency: Ns,
    /// How far followers are behind their leader's messages, at most.
    pub lag: Ns,
    /// How late a timer may fire in a process.
    pub jitter: Ns,
    /// The first number of each queue.
    pub first_number: i32,
    /// A counter that is used up stays at its last number. Otherwise it wraps.
    pub counters_end: bool,
    pub containers_go: bool,
    pub length: Ns,
    pub faults: Vec<Fault>,
    /// The mean time from one fault to the next.
    pub fault_gap: Ns,
    /// How many of a thousand answers to writes are lost together with their connection.
    pub lost_replies: u64,
    /// How many of a thousand touches a follower loses.
    pub lost_touches: u64,
    /// How many of a thousand requests make a leader busy for a while.
    pub busy_leaders: u64,
    /// How often, out of a thousand times, messages that arrive at the same time are heard in another order.
    pub reorders: u64,
    /// The clients present credentials.
    pub authenticates: bool,
    /// How many of a thousand writes to a socket, and deliveries of a network, are cut.
    pub cuts: u64,
    /// The programs write, with fencing.
    pub writes: bool,
    /// Faults wait for a new master.
    pub ambush: bool,
    pub clocks_at_limits: bool,
    /// How much a clock gains or loses, at most, in parts per million. If it is more than half a percent, the margin
    /// has to cover it.
    pub ppm: u64,
    /// How late a leader sends its PINGs, at most.
    pub late_pings: Ns,
    /// How long a leader takes, at most, to close the sessions of a bucket that is due.
    pub sweep: Ns,
    /// How many of a thousand sessions that move to another server are answered with another session, as if the server
    /// were of another ensemble.
    pub other_sessions: u64,
    /// How many of a thousand new sessions get the number of a session that lives.
    pub repeated_ids: u64,
    /// The server whose `maxSessionTimeout` is lower than that of the others.
    pub shortest_timeout: Option<(usize, Ns)>,
    /// This server hangs up if a request follows a ConnectRequest before its answer.
    pub one_at_a_time: Option<usize>,
}

impl Plan {
    pub fn draw(rng: &mut Rng, broken: Option<Broken>) -> Plan {
        let stamps_late = broken == Some(Broken::StampBeforeWrite);
        let (broken, broken_session) = match broken {
            Some(Broken::Core(rule)) => (Some(rule), None),
            Some(Broken::Session(rule)) => (None, Some(rule)),
            Some(Broken::StampBeforeWrite) | None => (None, None),
        };
        // Some runs are where the margins of the lease are smallest: a short tick within a long timeout.
        let tight = rng.chance(150);
        let servers = if tight { 3 } else { rng.pick(&[1, 3, 3, 3, 3, 5]) };
        let processes = rng.pick(&[1, 2, 2, 3, 3, 3, 4, 5, 6, 8]);
        let recipe = match rng.below(2) {
            0 => Recipe::Node,
            _ => Recipe::Queue(rng.pick(&[
                Dialect::CuratorLatch,
                Dialect::CuratorLock,
                Dialect::Kazoo,
                Dialect::LeaderElectionSupport,
                Dialect::WriteLock,
                Dialect::Seed,
                Dialect::Seed,
            ])),
        };
        let names = ["/first", "/job/second", "/job/third"];
        let chroot = rng.pick(&["", "", "", "/app"]);
        let names = &names[..rng.pick(&[1, 1, 1, 2, 3])];
        let paths = names.iter().map(|name| Arc::from(format!("{chroot}{name}"))).collect();
        let unknown = rng.pick(&[
            None,
            None,
            None,
            None,
            None,
            None,
            None,
            None,
            Some(Unknown::Refused),
            Some(Unknown::HangUp),
        ]);
        let tick = rng.pick(&[100, 200, 200, 500, 1_000, 2_000]) * MS;
        let ticks = rng.pick(&[2, 2, 2, 3, 4, 6, 10, 20, 20]);
        let ticks = if tight { 20 } else { ticks };
        let timeout = tick * ticks;
        let tick_ms = rng.chance(if tight { 800 } else { 500 }).then_some(tick / MS);
        let grace_ms = if rng.chance(150) { rng.below(timeout / MS) } else { 0 };
        let ppm = if rng.chance(150) { 50_000 } else { 5_000 };
        let margin_ms = match ppm {
            5_000 => timeout / MS / 20 * u64::from(rng.chance(50)),
            _ => timeout / MS / 10 + 1,
        };
        let shortened = (ticks > 2 && rng.chance(100)).then(|| (timeout / 2).max(2 * tick));
        let shortest = shortened.unwrap_or(timeout);
        let distance = tick_ms.map_or(shortest / 8 * 3, |tick_ms| tick_ms * MS / 4 * 3);
        let latency = rng.magnitude(MS / 10, 4 * MS);
        // The time that remains beside a margin for fast clocks is too short for a slow network, and for a grace delay.
        let (latency, grace_ms) = match ppm {
            5_000 => (latency, grace_ms),
            _ => (latency.min(timeout / 100), 0),
        };
        let mut faults: Vec<Fault> = Fault::ALL.to_vec();
        let kept = rng.pick(&[150, 300, 500, 800]);
        faults.retain(|_| rng.chance(kept));
        // A lease cannot foresee that another client changes our znodes and sessions, so this must not happen too
        // often.
        if rng.chance(700) {
            faults.retain(|fault| !matches!(fault, Fault::Delete | Fault::SessionExpiry | Fault::Block));
        }
        match recipe {
            Recipe::Node => faults.retain(|fault| *fault != Fault::Stranger),
            // This dialect counts every contender with a number, so it has no strangers.
            Recipe::Queue(Dialect::WriteLock) => {
                faults.retain(|fault| !matches!(fault, Fault::Block | Fault::Stranger))
            }
            Recipe::Queue(_) => faults.retain(|fault| *fault != Fault::Block),
        }
        let ambush = tight || rng.chance(500);
        if tight || ambush && rng.chance(600) {
            // The faults for which the lease has its rules.
            let there_for = [Fault::Isolation, Fault::ProcessPause, Fault::HeldRequests];
            faults.retain(|fault| !there_for.contains(fault));
            faults.extend(there_for);
        }
        // The weaker lease_mode promises nothing if servers do not hear each other.
        let lease_mode = if rng.chance(60) { LeaseMode::Answered } else { LeaseMode::Committed };
        if lease_mode == LeaseMode::Answered {
            let between = [Fault::ServerCut, Fault::Isolation, Fault::ServerFreeze, Fault::LeaderFreeze];
            faults.retain(|fault| !between.contains(fault));
        }
        let authenticates = rng.chance(300);
        Plan {
            servers,
            processes,
            paths,
            chroot,
            unknown,
            config: Config { recipe, grace_ms, margin_ms, tick_ms, lease_mode, broken },
            broken_session,
            stamps_late,
            tick,
            sync_limit: rng.pick(&[2, 3, 5, 10]),
            timeout,
            latency,
            lag: if rng.chance(300) { rng.magnitude(MS, tick / 2) } else { 0 },
            jitter: rng.pick(&[0, MS / 2, 2 * MS]),
            first_number: if rng.chance(400) { i32::MAX - rng.below(8) as i32 } else { 0 },
            counters_end: rng.chance(700),
            containers_go: rng.chance(300),
            length: timeout * rng.between(6, if ticks > 5 { 8 } else { 16 }),
            fault_gap: timeout * rng.pick(&[1, 2, 4, 8, 16]) / 8,
            lost_replies: match faults.contains(&Fault::LostReply) {
                true => rng.pick(&[5, 20, 100, 300]),
                false => 0,
            },
            lost_touches: rng.pick(&[0, 20, 300, 300]),
            busy_leaders: rng.pick(&[0, 0, 2, 10]),
            reorders: rng.pick(&[0, 0, 100, 400]),
            authenticates,
            cuts: rng.pick(&[0, 10, 200]),
            writes: rng.chance(400),
            ambush,
            clocks_at_limits: tight || rng.chance(500),
            ppm,
            // Together with a clock's error and a step, less than the part of D beyond half a tick.
            late_pings: rng.pick(&[0, 0, if ppm > 5_000 { tick / 16 } else { tick / 6 }]),
            // A little less than the time for which a proof waits.
            sweep: rng.pick(&[0, 1, 7, 7]) * distance.max(shortest / 8) / 8,
            other_sessions: rng.pick(&[0, 0, 0, 0, 0, 0, 0, 100]),
            // Another client of the same session shortens it without a report.
            repeated_ids: if shortened.is_none() { rng.pick(&[0, 0, 50, 200]) } else { 0 },
            shortest_timeout: shortened.map(|shortened| (rng.below(servers as u64) as usize, shortened)),
            one_at_a_time: (!authenticates && rng.chance(150)).then(|| rng.below(servers as u64) as usize),
            faults,
        }
    }

    /// When the counter is used up, and the names have no GUID, all znodes would have the same name: one znode stands,
    /// and the others cannot be made as long as it does.
    pub fn names_run_out(&self) -> bool {
        let has_no_guid = matches!(self.config.recipe, Recipe::Queue(dialect) if !dialect.has_guid());
        has_no_guid && self.counters_end && self.first_number != 0
    }

    /// A clock that gains or loses at most `ppm`, as a rule half a percent.
    pub fn draw_clock(&self, rng: &mut Rng) -> Clock {
        let most = self.ppm as i64;
        let ppm = match self.clocks_at_limits {
            true => rng.pick(&[-most, most]),
            false => rng.below(2 * self.ppm + 1) as i64 - most,
        };
        let slewed_every = if rng.chance(300) { self.timeout * rng.between(1, 8) / 2 } else { 0 };
        Clock { ppm, slewed_every, offset: 1_000_000 * MS + rng.below(10_000 * MS) }
    }

    /// The path of an election, as the programs know it.
    pub fn name(&self, path: usize) -> Arc<str> {
        self.paths[path][self.chroot.len()..].into()
    }

    /// Where the master at this path writes, fenced, as the programs know it.
    pub fn written(&self, path: usize) -> Arc<str> {
        format!("/written-{path}").into()
    }

    pub fn written_at(&self, place: &str) -> Option<usize> {
        place.strip_prefix(self.chroot)?.strip_prefix("/written-")?.parse().ok()
    }

    pub fn quorum(&self) -> usize {
        self.servers / 2 + 1
    }
}
