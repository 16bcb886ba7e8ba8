//! The nemesis: draws one fault after another from the seed, several at a time, never two on the same thing, and ends each
//! when its time has come. What it does it writes down as `begin` and `end`.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write as _;
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread::Scope;
use std::time::{Duration, Instant};

use scratch::expire_session;

use crate::arena::{Arena, SERVERS, SESSION_TIMEOUT_MS};
use crate::cast::{self, BALLAST, NODE};
use crate::clock;
use crate::link::{Link, Trouble};
use crate::rng::Rng;

const T: u64 = SESSION_TIMEOUT_MS;
/// How often of a thousand times a fault is aimed at a master.
const OFTEN: u64 = 600;
const BETWEEN_SAMPLES: Duration = Duration::from_secs(1);
const PHASE: Duration = Duration::from_secs(15);
const LOOK_EVERY: Duration = Duration::from_millis(20);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    Kill,
    ShortStop,
    LongStop,
    Exit,
    Resign,
    ServerKill,
    ServerStop,
    ServerRestart,
    TwoServersKill,
    TwoServersStop,
    AllServersKill,
    AllServersStop,
    Rolling,
    LinkDrop,
    LinkDropOneWay,
    LinkReset,
    LinkRefuse,
    LinkSlow,
    LinkLossy,
    ServerUnreachable,
    PeersCut,
    PeersOneWay,
    PeersSlow,
    DiskFull,
    DiskSlow,
    OperatorDeletes,
    OperatorChanges,
    Expire,
}

impl Fault {
    /// With its name in the history, and how often it is drawn beside the others.
    pub const ALL: [(Fault, &'static str, u64); 28] = [
        (Fault::Kill, "kill", 10),
        (Fault::ShortStop, "stop-short", 8),
        (Fault::LongStop, "stop-long", 10),
        (Fault::Exit, "exit", 6),
        (Fault::Resign, "resign", 8),
        (Fault::ServerKill, "server-kill", 5),
        (Fault::ServerStop, "server-stop", 6),
        (Fault::ServerRestart, "server-restart", 4),
        (Fault::TwoServersKill, "two-servers-kill", 1),
        (Fault::TwoServersStop, "two-servers-stop", 1),
        (Fault::AllServersKill, "all-servers-kill", 1),
        (Fault::AllServersStop, "all-servers-stop", 2),
        (Fault::Rolling, "rolling-restart", 1),
        (Fault::LinkDrop, "link-drop", 7),
        (Fault::LinkDropOneWay, "link-drop-one-way", 6),
        (Fault::LinkReset, "link-reset", 6),
        (Fault::LinkRefuse, "link-refuse", 3),
        (Fault::LinkSlow, "link-slow", 5),
        (Fault::LinkLossy, "link-lossy", 5),
        (Fault::ServerUnreachable, "server-unreachable", 3),
        (Fault::PeersCut, "peers-cut", 5),
        (Fault::PeersOneWay, "peers-one-way", 5),
        (Fault::PeersSlow, "peers-slow", 3),
        (Fault::DiskFull, "disk-full", 2),
        (Fault::DiskSlow, "disk-slow", 4),
        (Fault::OperatorDeletes, "operator-deletes", 5),
        (Fault::OperatorChanges, "operator-changes", 4),
        (Fault::Expire, "expire", 5),
    ];

    fn name(self) -> &'static str {
        Fault::ALL.iter().find(|(fault, ..)| *fault == self).expect("all are in the list").1
    }
}

/// At times only the servers and what is between them are struck, at times only the others: so there are times in which the
/// next master has to come soon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    All,
    Servers,
    Others,
}

impl Phase {
    fn strikes(self, fault: Fault) -> bool {
        let is_of_servers = matches!(
            fault,
            Fault::ServerKill
                | Fault::ServerStop
                | Fault::ServerRestart
                | Fault::TwoServersKill
                | Fault::TwoServersStop
                | Fault::AllServersKill
                | Fault::AllServersStop
                | Fault::Rolling
                | Fault::ServerUnreachable
                | Fault::PeersCut
                | Fault::PeersOneWay
                | Fault::PeersSlow
                | Fault::DiskFull
                | Fault::DiskSlow
        );
        match self {
            Phase::All => true,
            Phase::Servers => is_of_servers,
            Phase::Others => !is_of_servers,
        }
    }
}

/// What a fault keeps busy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Thing {
    Process(usize),
    Links(usize),
    Server(usize),
    Peers,
    Disk(usize),
}

/// What ends a fault.
#[derive(Clone, Debug)]
enum Mend {
    Start(usize),
    Thaw(usize),
    StartWhenEnded(usize),
    Stand(usize, String),
    StartServers(Vec<usize>),
    ThawServers(Vec<usize>),
    /// The next of a rolling restart, or its end.
    Roll(usize),
    HealLinks(usize),
    HealServerLinks(usize),
    Join(usize),
    Unblock(usize, usize),
    Widen(usize),
    EmptyDisk(usize),
    FastDisk(usize),
    Nothing,
}

struct Active {
    number: i64,
    due: Instant,
    things: Vec<Thing>,
    mend: Mend,
}

pub struct Nemesis<'a> {
    arena: &'a Arena,
    rng: Rng,
    active: Vec<Active>,
    busy: BTreeSet<Thing>,
    count: i64,
    /// Work in the background that still needs the servers.
    at_work: &'a AtomicI64,
}

impl<'a> Nemesis<'a> {
    pub fn new(arena: &'a Arena, seed: u64, at_work: &'a AtomicI64) -> Nemesis<'a> {
        Nemesis { arena, rng: Rng::new(seed), active: Vec::new(), busy: BTreeSet::new(), count: 0, at_work }
    }

    /// Does harm for this long, and then ends all faults: when it returns, all processes and servers run and nothing is in
    /// the way.
    pub fn rage<'scope>(&mut self, scope: &'scope Scope<'scope, '_>, length: Duration)
    where
        'a: 'scope,
    {
        let until = Instant::now() + length;
        let mut next = Instant::now();
        let mut next_sample = Instant::now();
        let (mut phase, mut next_phase) = (Phase::All, Instant::now() + PHASE);
        while Instant::now() < until {
            if Instant::now() >= next {
                self.strike(scope, phase);
                // At times many at once, at times nothing for a while.
                let pause =
                    if self.rng.chance(300) { self.rng.between(0, 150) } else { self.rng.between(400, 2_000) };
                next = Instant::now() + Duration::from_millis(pause);
            }
            if Instant::now() >= next_phase {
                phase = self.rng.pick(&[Phase::All, Phase::Servers, Phase::Others, Phase::Others]);
                next_phase = Instant::now() + PHASE;
            }
            self.mend_what_is_due(Instant::now());
            if Instant::now() >= next_sample {
                self.arena.sample();
                next_sample = Instant::now() + BETWEEN_SAMPLES;
            }
            std::thread::sleep(LOOK_EVERY);
        }
        while !self.active.is_empty() || self.at_work.load(Ordering::SeqCst) > 0 {
            let far = Instant::now() + Duration::from_secs(3_600);
            self.mend_what_is_due(far);
            std::thread::sleep(LOOK_EVERY);
        }
        for part in 0..self.arena.parts.len() {
            if self.arena.has_ended(part) {
                self.arena.start(part);
            }
        }
        self.arena.wait_servers();
    }

    fn strike<'scope>(&mut self, scope: &'scope Scope<'scope, '_>, phase: Phase)
    where
        'a: 'scope,
    {
        let drawn = Fault::ALL.iter().filter(|(fault, ..)| phase.strikes(*fault));
        let mut left = self.rng.below(drawn.clone().map(|(.., weight)| weight).sum());
        let mut fault = Fault::ShortStop;
        for (one, _, weight) in drawn {
            fault = *one;
            match left.checked_sub(*weight) {
                Some(less) => left = less,
                None => break,
            }
        }
        let part = self.rng.below(self.arena.parts.len() as u64) as usize;
        // A master has more to lose.
        let elections = cast::elections();
        let path = &elections[self.rng.below(elections.len() as u64) as usize].1;
        let part = match self.rng.chance(OFTEN) {
            true => self.arena.master(path).unwrap_or(part),
            false => part,
        };
        let server = self.rng.below(SERVERS as u64) as usize;
        let other = (server + self.rng.between(1, SERVERS as u64 - 1) as usize) % SERVERS;
        let all: Vec<usize> = (0..SERVERS).collect();
        let lane = self.arena.parts[part].lane.clone();
        let things = match fault {
            Fault::Kill | Fault::ShortStop | Fault::LongStop | Fault::Exit | Fault::Resign => {
                vec![Thing::Process(part)]
            }
            Fault::ServerKill | Fault::ServerStop | Fault::ServerRestart => vec![Thing::Server(server)],
            Fault::TwoServersKill | Fault::TwoServersStop => vec![Thing::Server(server), Thing::Server(other)],
            Fault::AllServersKill | Fault::AllServersStop | Fault::Rolling => {
                all.iter().map(|&i| Thing::Server(i)).collect()
            }
            Fault::LinkDrop
            | Fault::LinkDropOneWay
            | Fault::LinkReset
            | Fault::LinkRefuse
            | Fault::LinkSlow
            | Fault::LinkLossy => vec![Thing::Links(part)],
            Fault::ServerUnreachable => (0..self.arena.parts.len()).map(Thing::Links).collect(),
            Fault::PeersCut | Fault::PeersOneWay | Fault::PeersSlow => vec![Thing::Peers],
            Fault::DiskFull => vec![Thing::Disk(server), Thing::Server(server)],
            Fault::DiskSlow => vec![Thing::Disk(server)],
            Fault::OperatorDeletes | Fault::OperatorChanges | Fault::Expire => vec![],
        };
        if things.iter().any(|thing| self.busy.contains(thing)) {
            return;
        }
        let arena = self.arena;
        let number = self.count;
        self.count += 1;
        let begin = |target: &str| {
            arena.note(&format!("begin {} {number} {} {target}", clock::now(), fault.name()));
        };
        let mut ms = self.rng.between(200, 2 * T);
        let mend = match fault {
            Fault::Kill => {
                begin(&lane);
                arena.kill(part);
                ms = self.rng.between(50, T);
                Mend::Start(part)
            }
            Fault::ShortStop | Fault::LongStop => {
                ms = match fault {
                    Fault::ShortStop => self.rng.magnitude(20, T / 3),
                    _ => self.rng.between(T * 11 / 10, 2 * T),
                };
                begin(&lane);
                self.freeze(part, true);
                Mend::Thaw(part)
            }
            Fault::Exit => {
                begin(&lane);
                arena.tell(part, "close");
                ms = self.rng.between(100, T);
                Mend::StartWhenEnded(part)
            }
            Fault::Resign => {
                let stands = &arena.parts[part].stands;
                if stands.is_empty() {
                    return;
                }
                let path = stands[self.rng.below(stands.len() as u64) as usize].1.clone();
                begin(&format!("{lane} {path}"));
                arena.tell(part, &format!("resign {path}"));
                ms = self.rng.between(1, 1_000);
                Mend::Stand(part, path)
            }
            Fault::ServerKill | Fault::TwoServersKill | Fault::AllServersKill => {
                let servers: Vec<usize> = match fault {
                    Fault::ServerKill => vec![server],
                    Fault::TwoServersKill | Fault::TwoServersStop => vec![server, other],
                    _ => all,
                };
                begin(&list(&servers));
                servers.iter().for_each(|&i| arena.ensemble.kill9(i));
                ms = self.rng.between(100, T);
                Mend::StartServers(servers)
            }
            Fault::ServerStop | Fault::TwoServersStop | Fault::AllServersStop => {
                let servers = match fault {
                    Fault::ServerStop => vec![server],
                    Fault::TwoServersStop => vec![server, other],
                    _ => all,
                };
                begin(&list(&servers));
                servers.iter().for_each(|&i| arena.ensemble.freeze(i));
                Mend::ThawServers(servers)
            }
            Fault::ServerRestart => {
                begin(&list(&[server]));
                arena.ensemble.stop(server);
                ms = 0;
                Mend::StartServers(vec![server])
            }
            Fault::Rolling => {
                begin(&list(&all));
                arena.ensemble.stop(0);
                arena.ensemble.start_server(0);
                ms = T;
                Mend::Roll(1)
            }
            Fault::LinkDrop | Fault::LinkDropOneWay => {
                let stops = match fault {
                    Fault::LinkDrop => [true, true],
                    _ => self.rng.pick(&[[true, false], [false, true]]),
                };
                let servers = if self.rng.chance(600) { all } else { vec![server] };
                let way = match stops {
                    [true, true] => "both-ways",
                    [true, false] => "to-server",
                    _ => "to-client",
                };
                begin(&format!("{lane} {} {way}", list(&servers)));
                self.trouble(part, &servers, Trouble { stops, ..Trouble::default() });
                Mend::HealLinks(part)
            }
            Fault::LinkReset => {
                begin(&lane);
                arena.links[part].iter().for_each(|link| link.reset());
                ms = 0;
                Mend::Nothing
            }
            Fault::LinkRefuse => {
                begin(&lane);
                self.trouble(part, &all, Trouble { refuses: true, ..Trouble::default() });
                arena.links[part].iter().for_each(|link| link.reset());
                Mend::HealLinks(part)
            }
            Fault::LinkSlow => {
                let delay_ms = self.rng.between(10, T / 10);
                begin(&format!("{lane} {delay_ms} ms"));
                self.trouble(part, &all, Trouble { delay_ms, ..Trouble::default() });
                Mend::HealLinks(part)
            }
            Fault::LinkLossy => {
                let lost_of_thousand = self.rng.between(10, 150);
                begin(&format!("{lane} {lost_of_thousand} of 1000"));
                self.trouble(part, &all, Trouble { lost_of_thousand, ..Trouble::default() });
                Mend::HealLinks(part)
            }
            Fault::ServerUnreachable => {
                begin(&list(&[server]));
                let stops = self.rng.pick(&[[true, true], [false, true]]);
                for part in 0..arena.parts.len() {
                    self.trouble(part, &[server], Trouble { stops, ..Trouble::default() });
                }
                Mend::HealServerLinks(server)
            }
            Fault::PeersCut => {
                begin(&list(&[server]));
                arena.ensemble.network().cut_off(server);
                Mend::Join(server)
            }
            Fault::PeersOneWay => {
                begin(&format!("{} to {}", server + 1, other + 1));
                arena.ensemble.network().block(server, other);
                Mend::Unblock(server, other)
            }
            Fault::PeersSlow => {
                let kbit = self.rng.magnitude(8, 128);
                begin(&format!("{} {kbit} kbit/s", server + 1));
                arena.ensemble.network().narrow(server, kbit as u32);
                Mend::Widen(server)
            }
            Fault::DiskFull => {
                begin(&list(&[server]));
                fill(arena, server);
                // So that the server that writes nowhere soon finds out.
                self.background(scope, None, |arena| {
                    // An operator who gets no answer has done what he could.
                    let _ = write_much(arena);
                });
                ms = self.rng.between(T / 2, 2 * T);
                Mend::EmptyDisk(server)
            }
            Fault::DiskSlow => {
                let each_ms = self.rng.magnitude(20, T / 4);
                begin(&format!("{} {each_ms} ms", server + 1));
                let file = arena.ensemble.server_folder(server).join("slow-disk");
                fs::write(file, each_ms.to_string()).expect("a file in a scratch folder");
                Mend::FastDisk(server)
            }
            Fault::OperatorDeletes | Fault::OperatorChanges => {
                let (recipe, path) = elections[self.rng.below(elections.len().min(4) as u64) as usize].clone();
                // Of a queue mostly the first, which is the master.
                let nth = self.rng.pick(&[0, 0, 1]);
                begin(&path);
                self.background(scope, Some(number), move |arena| meddle(arena, fault, recipe, &path, nth));
                return;
            }
            Fault::Expire => {
                begin(&lane);
                self.background(scope, Some(number), move |arena| expire(arena, part));
                return;
            }
        };
        self.busy.extend(things.iter().cloned());
        let due = Instant::now() + Duration::from_millis(ms);
        self.active.push(Active { number, due, things, mend });
    }

    /// Acts on a thread of its own: it may have to wait for the servers. Ends the fault of this number.
    fn background<'scope>(
        &self,
        scope: &'scope Scope<'scope, '_>,
        number: Option<i64>,
        act: impl FnOnce(&Arena) + Send + 'scope,
    ) where
        'a: 'scope,
    {
        let (arena, at_work) = (self.arena, self.at_work);
        at_work.fetch_add(1, Ordering::SeqCst);
        scope.spawn(move || {
            act(arena);
            if let Some(number) = number {
                arena.note(&format!("end {} {number}", clock::now()));
            }
            at_work.fetch_sub(1, Ordering::SeqCst);
        });
    }

    fn mend_what_is_due(&mut self, now: Instant) {
        let mut i = 0;
        while i < self.active.len() {
            if self.active[i].due > now {
                i += 1;
                continue;
            }
            let next = self.mend(self.active[i].mend.clone());
            match next {
                Some((due, mend)) => {
                    self.active[i].due = due;
                    self.active[i].mend = mend;
                    i += 1;
                }
                None => {
                    let over = self.active.remove(i);
                    self.arena.note(&format!("end {} {}", clock::now(), over.number));
                    for thing in &over.things {
                        self.busy.remove(thing);
                    }
                }
            }
        }
    }

    /// Ends a fault; or says what is to be done next about it, and when.
    fn mend(&mut self, mend: Mend) -> Option<(Instant, Mend)> {
        let arena = self.arena;
        match mend {
            Mend::Start(part) => {
                if arena.has_ended(part) {
                    arena.start(part);
                }
            }
            Mend::Thaw(part) => self.freeze(part, false),
            Mend::StartWhenEnded(part) if arena.has_ended(part) => arena.start(part),
            Mend::StartWhenEnded(_) => return Some((Instant::now() + LOOK_EVERY, mend)),
            Mend::Stand(part, path) => arena.tell(part, &format!("stand {path}")),
            Mend::StartServers(servers) => servers.iter().for_each(|&i| arena.ensemble.start_server(i)),
            Mend::ThawServers(servers) => servers.iter().for_each(|&i| arena.ensemble.thaw(i)),
            Mend::Roll(server) if server < SERVERS => {
                arena.ensemble.stop(server);
                arena.ensemble.start_server(server);
                return Some((Instant::now() + Duration::from_millis(T), Mend::Roll(server + 1)));
            }
            Mend::HealLinks(part) => {
                arena.links[part].iter().for_each(|link| link.set_trouble(Trouble::default()));
            }
            Mend::HealServerLinks(server) => {
                arena.links.iter().for_each(|links| links[server].set_trouble(Trouble::default()));
            }
            Mend::Join(server) => arena.ensemble.network().join(server),
            Mend::Unblock(from, to) => arena.ensemble.network().unblock(from, to),
            Mend::Widen(server) => arena.ensemble.network().widen(server),
            Mend::EmptyDisk(server) => {
                let _ = fs::remove_file(arena.ensemble.data_folder(server).join("filler"));
                // One that could not write has ended, or goes on; either way it is started on what it has.
                arena.ensemble.kill9(server);
                arena.ensemble.start_server(server);
            }
            Mend::FastDisk(server) => {
                let _ = fs::remove_file(arena.ensemble.server_folder(server).join("slow-disk"));
            }
            Mend::Roll(_) | Mend::Nothing => {}
        }
        None
    }

    fn freeze(&self, part: usize, is_to_stop: bool) {
        if let Some(program) = &self.arena.seat(part).program {
            match is_to_stop {
                true => program.freeze(),
                false => program.thaw(),
            }
        }
    }

    fn trouble(&self, part: usize, servers: &[usize], trouble: Trouble) {
        for &server in servers {
            self.arena.links[part][server].set_trouble(trouble);
        }
    }
}

/// Counted from 1, as ZooKeeper does.
fn list(servers: &[usize]) -> String {
    let numbers: Vec<String> = servers.iter().map(|i| (i + 1).to_string()).collect();
    numbers.join("+")
}

fn fill(arena: &Arena, server: usize) {
    let Ok(mut filler) = File::create(arena.ensemble.data_folder(server).join("filler")) else { return };
    let piece = vec![0; 65_536];
    while filler.write_all(&piece).is_ok() {}
}

fn write_much(arena: &Arena) -> Option<()> {
    let mut operator = arena.operator()?;
    for _ in 0..3 {
        operator.set(BALLAST, &[b'.'; 50_000]).ok()?;
    }
    operator.close_session().ok()
}

/// Deletes or changes the znode of the master at a path, or of the nth after it in a queue.
fn meddle(arena: &Arena, fault: Fault, recipe: i32, path: &str, nth: usize) {
    let Some(mut operator) = arena.operator() else { return };
    let mut act = || {
        let znode = match recipe {
            NODE => path.to_owned(),
            _ => {
                let mut names = operator.children(path)?;
                names.sort_by_key(|name| name[name.len().saturating_sub(10)..].to_owned());
                match names.get(nth) {
                    Some(name) => format!("{path}/{name}"),
                    None => return Ok(()),
                }
            }
        };
        match fault {
            Fault::OperatorDeletes => operator.delete(&znode)?,
            _ => operator.set(&znode, b"changed")?,
        };
        std::io::Result::Ok(())
    };
    // Under fire, too, an operator may get no answer.
    let _ = act();
    let _ = operator.close_session();
}

fn expire(arena: &Arena, part: usize) {
    let Some((_, session)) = arena.links[part].iter().filter_map(Link::session).max_by_key(|(at, _)| *at) else {
        return;
    };
    let clients = arena.ensemble.network().clients();
    let Some(server) = (0..SERVERS).find(|&i| arena.ensemble.is_serving(i)) else { return };
    let before = clock::now();
    clients.run(|| expire_session(&arena.ensemble.host(server), session.id, &session.password));
    arena.note(&format!("expire {before} {} {}", clock::now(), session.id));
}
