//! The stage: the ZooKeeper that the demo plays on. Its own scratch ensemble, or somebody's, of which it uses one path and
//! leaves nothing behind.

use std::time::Duration;
use testkit::{opcode, Ensemble, RawClient};

/// The timeline speaks of three.
const SERVERS: usize = 3;
const TICK_MS: u32 = 500;
/// A server grants 2 to 20 of its ticks; somebody's may have longer ones and grant more.
const SESSION_TIMEOUT_MS: i32 = 4000;
const DEFAULT_PORT: u16 = 2181;

const NO_NODE: i32 = -101;
const NOT_EMPTY: i32 = -111;
const ANY_VERSION: i32 = -1;

pub enum Stage {
    Own(Box<Ensemble>),
    Guest(Guest),
}

impl Stage {
    pub fn own() -> Stage {
        // A JVM takes Ctrl-C for itself even where it is blocked, unless told -Xrs; the demo ends the servers itself.
        Stage::Own(Box::new(Ensemble::builder(SERVERS).tick_ms(TICK_MS).java_arg("-Xrs").start()))
    }

    /// Asks the servers whether they are there, and for how long they keep a session.
    pub fn guest(hosts: &str) -> Result<Stage, String> {
        Guest::of(hosts).map(Stage::Guest)
    }

    pub fn hosts(&self) -> String {
        match self {
            Stage::Own(ensemble) => ensemble.hosts(),
            Stage::Guest(guest) => guest.hosts.clone(),
        }
    }

    pub fn path(&self) -> &str {
        match self {
            Stage::Own(_) => "/master",
            Stage::Guest(guest) => &guest.path,
        }
    }

    /// For how long ZooKeeper keeps the session of a program that it does not hear from.
    pub fn session_timeout(&self) -> Duration {
        let ms = match self {
            Stage::Own(_) => SESSION_TIMEOUT_MS,
            Stage::Guest(guest) => guest.session_timeout_ms,
        };
        Duration::from_millis(ms.unsigned_abs().into())
    }

    pub fn description(&self) -> String {
        match self {
            Stage::Own(ensemble) => {
                format!("three ZooKeeper servers at {}", ensemble.addr(0).ip())
            }
            Stage::Guest(guest) => format!("your ZooKeeper at {}, under {}", guest.hosts, guest.path),
        }
    }

    /// Ends the servers and removes their files; of somebody's ZooKeeper, removes what the demo has made there.
    pub fn strike(self) -> Result<(), String> {
        match self {
            Stage::Guest(guest) => guest.clean_up(),
            Stage::Own(ensemble) => {
                let pids: Vec<u32> = (0..ensemble.len()).filter_map(|i| ensemble.pid(i)).collect();
                let folder = ensemble.folder().to_owned();
                drop(ensemble);
                if folder.exists() {
                    return Err(format!("{} stays behind", folder.display()));
                }
                match pids.iter().find(|pid| std::path::Path::new(&format!("/proc/{pid}")).exists()) {
                    Some(pid) => Err(format!("a ZooKeeper server stays behind, pid {pid}")),
                    None => Ok(()),
                }
            }
        }
    }
}

/// Somebody's ZooKeeper.
pub struct Guest {
    hosts: String,
    path: String,
    session_timeout_ms: i32,
    /// The znodes that were not there before, the parent before the child.
    made: Vec<String>,
}

impl Guest {
    fn of(hosts: &str) -> Result<Guest, String> {
        let path = format!("/libelection-demo-{}/master", std::process::id());
        let mut client = connect(hosts)?;
        let session_timeout_ms = client.session().timeout_ms;
        let whole = format!("{}{path}", chroot(hosts));
        let mut made = Vec::new();
        let ends = whole.match_indices('/').map(|(at, _)| at).skip(1).chain([whole.len()]);
        for end in ends {
            let prefix = &whole[..end];
            match client.exists(prefix) {
                Ok(true) => {}
                Ok(false) => made.push(prefix.to_owned()),
                Err(error) => return Err(format!("{hosts} does not let us look at {prefix}: {error}")),
            }
        }
        let _ = client.close_session();
        Ok(Guest { hosts: hosts.to_owned(), path, session_timeout_ms, made })
    }

    fn clean_up(&self) -> Result<(), String> {
        let mut client = connect(&self.hosts)?;
        for znode in self.made.iter().rev() {
            let mut body = Vec::new();
            body.extend((znode.len() as i32).to_be_bytes());
            body.extend(znode.bytes());
            body.extend(ANY_VERSION.to_be_bytes());
            match client.request(opcode::DELETE, &body).map(|reply| reply.err) {
                // Somebody else may use the chroot that was not there before.
                Ok(0 | NO_NODE | NOT_EMPTY) => {}
                Ok(err) => return Err(format!("the znode {znode} stays behind: ZooKeeper's error {err}")),
                Err(error) => return Err(format!("the znode {znode} stays behind: {error}")),
            }
        }
        client.close_session().map_err(|error| format!("a session stays behind for a while: {error}"))
    }
}

fn chroot(hosts: &str) -> &str {
    hosts.find('/').map_or("", |at| hosts[at..].trim_end_matches('/'))
}

/// Connects to the first of the servers that answers.
fn connect(hosts: &str) -> Result<RawClient, String> {
    let servers = hosts.split('/').next().unwrap_or_default();
    let mut why = String::from("there is no server in it");
    for server in servers.split(',').map(str::trim).filter(|server| !server.is_empty()) {
        let has_port = server.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let server = if has_port { server.to_owned() } else { format!("{server}:{DEFAULT_PORT}") };
        match RawClient::connect(&server, SESSION_TIMEOUT_MS) {
            Ok(client) => return Ok(client),
            Err(error) => why = format!("{server}: {error}"),
        }
    }
    Err(format!("no ZooKeeper answers at {hosts} ({why})"))
}
