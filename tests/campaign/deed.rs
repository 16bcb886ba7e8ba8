//! One fault, drawn with all its details: its target, how it begins and how it ends.

use std::fs::{self, DirEntry, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use testkit::{expire_session, session_password};

use crate::arena::{Arena, SERVERS, SESSION_TIMEOUT_MS};
use crate::cast::{self, Language, BALLAST, NODE};
use crate::clock;
use crate::fault::Fault;
use crate::link::{Link, Trouble};
use crate::rng::Rng;
use crate::transactions;

const T: u64 = SESSION_TIMEOUT_MS;
/// How often of a thousand times a fault is aimed at a master.
const OFTEN: u64 = 600;
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A resource that a fault uses: no second fault strikes it meanwhile.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Thing {
    Process(usize),
    Links(usize),
    Server(usize),
    /// The way of all processes to a server.
    Way(usize),
    Peers,
}

/// The target of a fault. Parts and servers are counted from 0.
#[derive(Clone, Debug)]
enum Target {
    Part(usize),
    Election {
        part: usize,
        path: String,
    },
    Servers(Vec<usize>),
    /// The links of a part to some servers.
    Links {
        part: usize,
        servers: Vec<usize>,
        trouble: Trouble,
    },
    /// All links to one server.
    Unreachable {
        server: usize,
        trouble: Trouble,
    },
    Peers {
        from: usize,
        to: usize,
    },
    Narrow {
        server: usize,
        kbit: u64,
    },
    Disk {
        server: usize,
        ms: u64,
        /// How many bytes the server's log had before.
        said: u64,
    },
    /// The znode at a path; in a queue, the znode that is `nth` behind the first.
    Znode {
        recipe: i32,
        path: String,
        nth: usize,
    },
}

#[derive(Clone, Debug)]
pub struct Deed {
    pub fault: Fault,
    target: Target,
    /// How long it lasts.
    pub lasts: Duration,
    /// In a rolling restart, the server whose turn it is.
    turn: usize,
}

impl Deed {
    /// Returns `None` if the drawn target does not fit.
    pub fn draw(fault: Fault, rng: &mut Rng, arena: &Arena) -> Option<Deed> {
        let part = draw_part(rng, arena);
        let server = rng.below(SERVERS as u64) as usize;
        let other = (server + rng.between(1, SERVERS as u64 - 1) as usize) % SERVERS;
        let all: Vec<usize> = (0..SERVERS).collect();
        let links = |servers: Vec<usize>, trouble| Target::Links { part, servers, trouble };
        let well = Trouble::default();
        let target = match fault {
            Fault::Kill | Fault::ShortStop | Fault::LongStop | Fault::Exit | Fault::Expire => Target::Part(part),
            // The target of these faults exists while the command runs.
            Fault::CommandKill | Fault::CommandStop | Fault::BothKill | Fault::GuardKill => {
                Target::Part(arena.running_command()?.0)
            }
            Fault::Resign if arena.parts[part].language == Language::Command => return None,
            Fault::Resign => {
                let stands = &arena.parts[part].stands;
                let drawn = rng.below(stands.len() as u64) as usize;
                Target::Election { part, path: stands.get(drawn)?.1.clone() }
            }
            Fault::ServerKill | Fault::ServerStop | Fault::ServerRestart => Target::Servers(vec![server]),
            Fault::TwoServersKill | Fault::TwoServersStop => Target::Servers(vec![server, other]),
            Fault::AllServersKill | Fault::AllServersStop | Fault::Rolling => Target::Servers(all),
            Fault::LinkDrop | Fault::LinkDropOneWay => {
                let stops = match fault {
                    Fault::LinkDrop => [true, true],
                    _ => rng.pick(&[[true, false], [false, true]]),
                };
                let servers = if rng.chance(600) { all } else { vec![server] };
                links(servers, Trouble { stops, ..well })
            }
            Fault::LinkReset => links(all, well),
            Fault::LinkRefuse => links(all, Trouble { refuses: true, ..well }),
            Fault::LinkSlow => links(all, Trouble { delay_ms: rng.between(10, T / 10), ..well }),
            Fault::LinkLossy => links(all, Trouble { lost_of_thousand: rng.between(10, 150), ..well }),
            Fault::ServerUnreachable => {
                let stops = rng.pick(&[[true, true], [false, true]]);
                Target::Unreachable { server, trouble: Trouble { stops, ..well } }
            }
            Fault::PeersCut | Fault::PeersOneWay => Target::Peers { from: server, to: other },
            Fault::PeersSlow => Target::Narrow { server, kbit: rng.magnitude(8, 128) },
            Fault::DiskFull | Fault::DiskSlow => {
                Target::Disk { server, ms: rng.magnitude(20, T / 4), said: arena.said(server) }
            }
            Fault::OperatorDeletes | Fault::OperatorChanges => {
                let elections = cast::elections();
                let (recipe, path) = elections[rng.below(4) as usize].clone();
                // Usually the master's.
                Target::Znode { recipe, path, nth: rng.pick(&[0, 0, 1]) }
            }
        };
        let ms = match fault {
            Fault::Kill | Fault::BothKill | Fault::GuardKill => rng.between(50, T),
            Fault::CommandKill => 0,
            Fault::ShortStop => rng.magnitude(20, T / 3),
            Fault::LongStop => rng.between(T * 11 / 10, 2 * T),
            Fault::Exit | Fault::ServerKill | Fault::TwoServersKill | Fault::AllServersKill => rng.between(100, T),
            Fault::Resign => rng.between(1, 1_000),
            Fault::ServerRestart | Fault::LinkReset => 0,
            Fault::Rolling => T,
            Fault::DiskFull => rng.between(T / 2, 2 * T),
            _ => rng.between(200, 2 * T),
        };
        Some(Deed { fault, target, lasts: Duration::from_millis(ms), turn: 0 })
    }

    pub fn things(&self) -> Vec<Thing> {
        match &self.target {
            // An expired process may also be struck by other faults.
            Target::Part(_) if self.fault == Fault::Expire => vec![],
            Target::Part(part) | Target::Election { part, .. } => vec![Thing::Process(*part)],
            Target::Servers(servers) => servers.iter().map(|&i| Thing::Server(i)).collect(),
            Target::Links { part, .. } => vec![Thing::Links(*part)],
            Target::Unreachable { server, .. } => vec![Thing::Way(*server)],
            Target::Peers { .. } | Target::Narrow { .. } => vec![Thing::Peers],
            // A server that is killed while its disk is slow loses committed transactions (ZOOKEEPER-4646 and 4643, in
            // 3.8.0: a follower says that it has caught up before it has written the transactions down). No election
            // can work on such servers.
            Target::Disk { server, .. } => vec![Thing::Server(*server)],
            Target::Znode { .. } => vec![],
        }
    }

    /// In the form of the history: a lane, or servers counted from 1, comes first.
    pub fn target(&self, arena: &Arena) -> String {
        let lane = |part: usize| arena.parts[part].lane.as_str();
        match &self.target {
            Target::Part(part) => lane(*part).to_owned(),
            Target::Election { part, path } => format!("{} {path}", lane(*part)),
            Target::Servers(servers) => list(servers),
            Target::Links { part, servers, trouble } => {
                format!("{} {} {}", lane(*part), list(servers), trouble)
            }
            Target::Unreachable { server, trouble } => format!("{} {trouble}", server + 1),
            Target::Peers { from, to } if self.fault == Fault::PeersOneWay => format!("{} to {}", from + 1, to + 1),
            Target::Peers { from, .. } => list(&[*from]),
            Target::Narrow { server, kbit } => format!("{} {kbit} kbit/s", server + 1),
            Target::Disk { server, ms, .. } if self.fault == Fault::DiskSlow => format!("{} {ms} ms", server + 1),
            Target::Disk { server, .. } => list(&[*server]),
            Target::Znode { path, .. } => path.clone(),
        }
    }

    /// Whether the fault waits for the servers and is over when it is done. Such a fault runs on a thread of its own.
    pub fn is_errand(&self) -> bool {
        matches!(self.fault, Fault::OperatorDeletes | Fault::OperatorChanges | Fault::Expire)
    }

    /// Whether the fault counts as done only when the server has complained.
    pub fn has_to_be_noticed(&self) -> bool {
        self.fault.complaint().is_some()
    }

    /// Repeats an effect that may have been undone meanwhile: a server that follows another leader gives up logs of its
    /// own.
    pub fn renew(&self, arena: &Arena) {
        if let (Target::Disk { server, .. }, Fault::DiskFull) = (&self.target, self.fault) {
            fill(arena, *server);
        }
    }

    pub fn is_noticed(&self, arena: &Arena) -> bool {
        match (&self.target, self.fault.complaint()) {
            (Target::Disk { server, said, .. }, Some(complaint)) => arena.complains(*server, complaint, *said),
            _ => false,
        }
    }

    /// Begins the fault. Returns whether it was done: a fault that needs an answer of the servers may come to nothing.
    pub fn begin(&self, arena: &Arena) -> bool {
        match &self.target {
            Target::Part(part) => match self.fault {
                Fault::Kill => arena.kill(*part),
                Fault::CommandKill => return arena.strike_command(*part, libc::SIGKILL),
                Fault::CommandStop => return arena.strike_command(*part, libc::SIGSTOP),
                Fault::BothKill => {
                    let is_done = arena.strike_command(*part, libc::SIGKILL);
                    arena.kill(*part);
                    return is_done;
                }
                Fault::GuardKill => return arena.strike_guard(*part, libc::SIGKILL),
                Fault::Exit => arena.tell(*part, "close"),
                Fault::Expire => return expire(arena, *part),
                _ => arena.freeze(*part, true),
            },
            Target::Election { part, path } => arena.tell(*part, &format!("resign {path}")),
            Target::Servers(servers) => match self.fault {
                Fault::ServerStop | Fault::TwoServersStop | Fault::AllServersStop => {
                    servers.iter().for_each(|&i| arena.ensemble.freeze(i));
                }
                Fault::ServerRestart => arena.ensemble.stop(servers[0]),
                Fault::Rolling => restart(arena, servers[0]),
                _ => servers.iter().for_each(|&i| arena.ensemble.kill9(i)),
            },
            Target::Links { part, servers, trouble } => {
                servers.iter().for_each(|&i| arena.links[*part][i].set_trouble(*trouble));
                if matches!(self.fault, Fault::LinkReset | Fault::LinkRefuse) {
                    servers.iter().for_each(|&i| arena.links[*part][i].reset());
                }
            }
            Target::Unreachable { server, trouble } => {
                arena.links.iter().for_each(|links| links[*server].set_outage(*trouble));
            }
            Target::Peers { from, to } => match self.fault {
                Fault::PeersOneWay => arena.ensemble.network().block(*from, *to),
                _ => arena.ensemble.network().cut_off(*from),
            },
            Target::Narrow { server, kbit } => arena.ensemble.network().narrow(*server, *kbit as u32),
            Target::Disk { server, ms, .. } => match self.fault {
                Fault::DiskFull => fill(arena, *server),
                _ => fs::write(slow_disk(arena, *server), ms.to_string()).expect("a file in a scratch folder"),
            },
            Target::Znode { recipe, path, nth } => {
                return meddle(arena, self.fault, *recipe, path, *nth).unwrap_or(false);
            }
        }
        true
    }

    /// Undoes the fault. If more is to do, returns when.
    pub fn end(&mut self, arena: &Arena) -> Option<Duration> {
        match &self.target {
            Target::Part(part) => match self.fault {
                Fault::Exit if !arena.has_ended(*part) => return Some(LOOK_AGAIN),
                Fault::GuardKill if !arena.has_ended(*part) => {
                    arena.strike_guard(*part, libc::SIGKILL);
                    return Some(LOOK_AGAIN);
                }
                Fault::Kill | Fault::Exit | Fault::BothKill | Fault::GuardKill => arena.start(*part),
                Fault::CommandStop => drop(arena.strike_command(*part, libc::SIGCONT)),
                Fault::Expire | Fault::CommandKill => {}
                _ => arena.freeze(*part, false),
            },
            Target::Election { part, path } => arena.tell(*part, &format!("stand {path}")),
            Target::Servers(servers) => match self.fault {
                Fault::ServerStop | Fault::TwoServersStop | Fault::AllServersStop => {
                    servers.iter().for_each(|&i| arena.ensemble.thaw(i));
                }
                Fault::Rolling => {
                    self.turn += 1;
                    if let Some(next) = servers.get(self.turn) {
                        restart(arena, *next);
                        return Some(Duration::from_millis(T));
                    }
                }
                _ => servers.iter().for_each(|&i| arena.ensemble.start_server(i)),
            },
            Target::Links { part, servers, .. } => {
                servers.iter().for_each(|&i| arena.links[*part][i].set_trouble(Trouble::default()));
            }
            Target::Unreachable { server, .. } => {
                arena.links.iter().for_each(|links| links[*server].set_outage(Trouble::default()));
            }
            Target::Peers { from, to } => match self.fault {
                Fault::PeersOneWay => arena.ensemble.network().unblock(*from, *to),
                _ => arena.ensemble.network().join(*from),
            },
            Target::Narrow { server, .. } => arena.ensemble.network().widen(*server),
            Target::Disk { server, .. } => match self.fault {
                Fault::DiskFull => {
                    let _ = fs::remove_file(filler(arena, *server));
                    // A server that could not write has ended, or runs on. In both cases it is started on the data that
                    // it has.
                    arena.ensemble.kill9(*server);
                    remove_empty_logs(&arena.ensemble.data_folder(*server));
                    arena.ensemble.start_server(*server);
                }
                _ => drop(fs::remove_file(slow_disk(arena, *server))),
            },
            Target::Znode { .. } => {}
        }
        None
    }
}

/// Draws any part, or a master, because a master has more to lose.
fn draw_part(rng: &mut Rng, arena: &Arena) -> usize {
    let anybody = rng.below(arena.parts.len() as u64) as usize;
    if rng.chance(200) {
        return arena.running_command().map_or(anybody, |(part, _)| part);
    }
    let elections = cast::elections();
    // The elections of both recipes with the most candidates come first.
    let among = if rng.chance(500) { 2 } else { elections.len() };
    let (_, path) = &elections[rng.below(among as u64) as usize];
    match rng.chance(OFTEN) {
        true => arena.master(path).unwrap_or(anybody),
        false => anybody,
    }
}

fn restart(arena: &Arena, server: usize) {
    arena.ensemble.stop(server);
    arena.ensemble.start_server(server);
}

/// Counted from 1, as ZooKeeper counts.
fn list(servers: &[usize]) -> String {
    let numbers: Vec<String> = servers.iter().map(|i| (i + 1).to_string()).collect();
    numbers.join("+")
}

fn filler(arena: &Arena, server: usize) -> PathBuf {
    arena.ensemble.data_folder(server).join("filler")
}

fn slow_disk(arena: &Arena, server: usize) -> PathBuf {
    arena.ensemble.server_folder(server).join("slow-disk")
}

fn fill(arena: &Arena, server: usize) {
    let filler = OpenOptions::new().create(true).append(true).open(filler(arena, server));
    let Ok(mut filler) = filler else { return };
    let piece = vec![0; 65_536];
    while filler.write_all(&piece).is_ok() {}
}

/// A server does not start on a log that it has created and not begun because the disk was full (ZOOKEEPER-2332). Such
/// a log is empty, and an operator removes it.
fn remove_empty_logs(data: &Path) {
    let entries = fs::read_dir(data.join("version-2")).into_iter().flatten().flatten();
    let is_log = |entry: &DirEntry| entry.file_name().to_string_lossy().starts_with("log.");
    let is_empty = |entry: &DirEntry| entry.metadata().is_ok_and(|it| it.len() < transactions::HEADER as u64);
    entries.filter(|entry| is_log(entry) && is_empty(entry)).for_each(|entry| drop(fs::remove_file(entry.path())));
}

/// Writes more than fits into the rest of a log's last page.
pub fn write_much(arena: &Arena) -> io::Result<()> {
    let Some(mut operator) = arena.operator() else { return Ok(()) };
    operator.set(BALLAST, &[b'.'; 20_000])?;
    operator.close_session()
}

fn meddle(arena: &Arena, fault: Fault, recipe: i32, path: &str, nth: usize) -> io::Result<bool> {
    let Some(mut operator) = arena.operator() else { return Ok(false) };
    let znode = match recipe {
        NODE => path.to_owned(),
        _ => {
            let mut names = operator.children(path)?;
            names.sort_by_key(|name| name[name.len().saturating_sub(10)..].to_owned());
            match names.get(nth) {
                Some(name) => format!("{path}/{name}"),
                None => return operator.close_session().map(|()| false),
            }
        }
    };
    let reply = match fault {
        Fault::OperatorDeletes => operator.delete(&znode)?,
        _ => operator.set(&znode, b"changed")?,
    };
    // The write is done, whatever happens to the operator.
    let _ = operator.close_session();
    Ok(reply.err == 0)
}

/// Ends the session that the part got last. If that session is already over, ends the one before.
fn expire(arena: &Arena, part: usize) -> bool {
    let mut sessions: Vec<_> = arena.links[part].iter().filter_map(Link::session).collect();
    sessions.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    sessions.dedup_by_key(|(_, session)| session.id);
    let mut sessions: Vec<_> = sessions.into_iter().map(|(_, session)| (session.id, session.password)).collect();
    if arena.parts[part].has_tls {
        sessions.extend(arena.session_of_znode(part).map(|id| (id, session_password(id))));
    }
    let Some(server) = (0..SERVERS).find(|&i| arena.ensemble.is_serving(i)) else { return false };
    let (host, clients) = (arena.ensemble.host(server), arena.ensemble.network().clients());
    sessions.iter().any(|(id, password)| {
        let before = clock::now();
        let is_done = clients.run(|| expire_session(&host, *id, password));
        arena.note(&format!("expire {before} {} {id}", clock::now()));
        is_done
    })
}
