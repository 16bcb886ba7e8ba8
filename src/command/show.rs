//! `election status`, `members`, `watch` and `wait`: they show the master and the members, for people and for programs.

use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use election::{Error, Handle, Master, Member};
use nix::sys::signal::{signal, SigHandler, Signal};
use serde::Serialize;

use crate::failure::{Failure, Result};
use crate::options;
use crate::servers;

const YES: u8 = 0;
const NO: u8 = 1;
const OK: i32 = 0;
const NO_NODE: i32 = -101;
const NOT_EPHEMERAL: i32 = -1013;

/// A znode of a candidate, as the output shows it.
#[derive(Debug, Serialize)]
struct Znode {
    /// Absent if the value is not text.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_hex: Option<String>,
    token: i64,
    session_id: String,
    since_unix_ms: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

impl Znode {
    fn new(value: &[u8], stat: &election::Stat, name: Option<&str>) -> Znode {
        let text = std::str::from_utf8(value).ok().map(str::to_owned);
        let hex = || value.iter().map(|byte| format!("{byte:02x}")).collect();
        Znode {
            value_hex: text.is_none().then(hex),
            value: text,
            token: stat.czxid,
            session_id: format!("0x{:x}", stat.ephemeral_owner),
            since_unix_ms: stat.ctime_ms,
            name: name.map(str::to_owned),
        }
    }

    /// The text for people. Control characters are escaped, so that they do not reach the terminal.
    fn text(&self) -> String {
        let value = match (&self.value, &self.value_hex) {
            (Some(value), _) if value.is_empty() => "(no value)".to_owned(),
            (Some(value), _) => value
                .chars()
                .flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] })
                .collect(),
            (None, hex) => format!("0x{}", hex.as_deref().unwrap_or_default()),
        };
        format!("{value}  token {}  session {}", self.token, self.session_id)
    }
}

#[derive(Debug, Serialize)]
struct State<'a> {
    path: &'a str,
    /// `master`, `none`, `blocked` or `unknown`.
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    master: Option<Znode>,
    #[serde(skip_serializing_if = "Option::is_none")]
    members: Option<Vec<Znode>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

impl<'a> State<'a> {
    fn of_master(path: &'a str, master: &Master) -> State<'a> {
        let (state, why) = match master.rc {
            OK => ("master", None),
            NO_NODE => ("none", None),
            NOT_EPHEMERAL => ("blocked", None),
            rc => ("unknown", Some(Error::ZooKeeper(rc).to_string())),
        };
        let znode = (master.rc == OK).then(|| Znode::new(&master.value, &master.stat, None));
        State { path, state, master: znode, members: None, why }
    }

    fn of_members(path: &'a str, rc: i32, members: &[Member]) -> State<'a> {
        let znode = |member: &Member| Znode::new(&member.znode.value, &member.znode.stat, Some(&member.name));
        let (state, why) = match (rc, members.is_empty()) {
            (OK, false) => ("master", None),
            (OK, true) => ("none", None),
            (rc, _) => ("unknown", Some(Error::ZooKeeper(rc).to_string())),
        };
        State { path, state, master: None, members: Some(members.iter().map(znode).collect()), why }
    }

    fn text(&self) -> String {
        match (self.state, &self.master, &self.members, &self.why) {
            (.., Some(why)) => format!("nobody can tell who is master: {why}"),
            ("blocked", ..) => "no master: a znode that is not ephemeral is in the way".to_owned(),
            (_, Some(master), ..) => format!("master  {}", master.text()),
            (_, _, Some(members), _) if !members.is_empty() => {
                let lines = members
                    .iter()
                    .enumerate()
                    .map(|(i, member)| format!("{}  {}", if i == 0 { "master" } else { "member" }, member.text()));
                lines.collect::<Vec<_>>().join("\n")
            }
            (_, _, Some(_), _) => "no members".to_owned(),
            _ => "no master".to_owned(),
        }
    }

    fn print(&self, json: bool) -> Result<()> {
        let text = if json { serde_json::to_string(self).map_err(Failure::failed)? } else { self.text() };
        let mut out = io::stdout().lock();
        writeln!(out, "{text}").and_then(|()| out.flush()).map_err(Failure::failed)
    }
}

/// Lets SIGPIPE end this process if the reader of its output ends first, as in `election watch | head`.
fn end_by_sigpipe() {
    // SAFETY: the call installs no function.
    let _ = unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) };
}

/// Opens a handle, and waits at most `timeout` for the connection.
fn open(servers: &options::Servers, at: &options::At, timeout: Option<Duration>) -> Result<Handle> {
    end_by_sigpipe();
    servers::check_path(&at.path)?;
    let mut library = servers::options(servers, at.recipe.recipe())?;
    if let Some(timeout) = timeout {
        servers::set_time("--timeout", timeout.max(Duration::from_millis(1)), |time| {
            library.set_connect_timeout(time)
        })?;
    }
    servers::open(&servers.hosts, &library)
}

fn cannot_tell(path: &str, error: Error) -> Failure {
    Failure::unknown(format!("{path}: {error}"))
}

pub fn status(options: &options::Status) -> Result<u8> {
    let handle = open(&options.servers, &options.at, Some(options.look.timeout))?;
    let path = &options.at.path;
    let master = handle.master(path, options.look.timeout).map_err(|error| cannot_tell(path, error))?;
    State::of_master(path, &master).print(options.look.json)?;
    Ok(if master.rc == OK { YES } else { NO })
}

pub fn members(options: &options::Members) -> Result<u8> {
    let handle = open(&options.servers, &options.at, Some(options.look.timeout))?;
    let path = &options.at.path;
    let members = handle.members(path, options.look.timeout).map_err(|error| cannot_tell(path, error))?;
    State::of_members(path, OK, &members).print(options.look.json)?;
    Ok(if members.len() >= options.enough { YES } else { NO })
}

pub fn watch(options: &options::Watch) -> Result<u8> {
    let handle = open(&options.servers, &options.at, None)?;
    let path = &options.at.path;
    let (tell, told) = mpsc::channel();
    let owned = path.clone();
    let json = options.json;
    let watched = if options.members {
        handle.watch_members(path, 0, move |members| {
            drop(tell.send(State::of_members(&owned, members.rc, &members.members).print(json)));
        })
    } else {
        handle.watch_master(path, move |master| drop(tell.send(State::of_master(&owned, master).print(json))))
    };
    watched.map_err(|error| cannot_tell(path, error))?;
    for (count, printed) in (1..).zip(&told) {
        printed?;
        if options.count.is_some_and(|enough| count >= enough) {
            return Ok(YES);
        }
    }
    Err(Failure::unknown(format!("{path}: there is nothing more to hear")))
}

pub fn wait(options: &options::Wait) -> Result<u8> {
    let handle = open(&options.servers, &options.at, None)?;
    let path = &options.at.path;
    let (tell, told) = mpsc::channel();
    handle
        .watch_master(path, move |master| drop(tell.send(master.clone())))
        .map_err(|error| cannot_tell(path, error))?;
    let until = options.timeout.map(|timeout| Instant::now() + timeout);
    loop {
        let heard = match until {
            Some(until) => told.recv_timeout(until.saturating_duration_since(Instant::now())),
            None => told.recv().map_err(|_| mpsc::RecvTimeoutError::Disconnected),
        };
        let master = match heard {
            Ok(master) => master,
            Err(mpsc::RecvTimeoutError::Timeout) => return Ok(NO),
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                return Err(Failure::unknown(format!("{path}: there is nothing more to hear")))
            }
        };
        let is_it = match (&options.value, options.none) {
            (_, true) => master.rc == NO_NODE,
            (Some(value), _) => master.rc == OK && *master.value == *value.as_bytes(),
            (None, _) => master.rc == OK,
        };
        if is_it {
            State::of_master(path, &master).print(options.json)?;
            return Ok(YES);
        }
    }
}
