//! `election doctor`: takes the steps that a candidate takes, one by one. It says in plain words which step fails,
//! and what it finds before that.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use election::{Connection, ConnectionState, Error, Event, Handle, Options, Role};
use serde::Serialize;

use crate::failure::{Failure, Result};
use crate::servers::{self, plain};
use crate::{clock, options};

const WELL: u8 = 0;
const ILL: u8 = 1;
const DEFAULT_PORT: u16 = 2181;
const OK: i32 = 0;
const NO_NODE: i32 = -101;
const NO_AUTH: i32 = -102;
const NOT_EPHEMERAL: i32 = -1013;
const AUTH_FAILED: i32 = -115;
/// The longest part of a server's answer to a four-letter word that is read, in bytes.
const WORDS_MAX: u64 = 4096;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Grade {
    Ok,
    /// Worth knowing.
    Note,
    Wrong,
}

#[derive(Debug, Serialize)]
struct Finding {
    grade: Grade,
    about: String,
    text: String,
}

#[derive(Debug, Serialize)]
struct Findings {
    is_well: bool,
    findings: Vec<Finding>,
    #[serde(skip)]
    json: bool,
}

impl Findings {
    fn add(&mut self, grade: Grade, about: impl fmt::Display, text: impl fmt::Display) {
        let finding = Finding { grade, about: about.to_string(), text: text.to_string() };
        self.is_well &= grade != Grade::Wrong;
        if !self.json {
            let mark = match grade {
                Grade::Ok => "ok   ",
                Grade::Note => "note ",
                Grade::Wrong => "WRONG",
            };
            // The reader may have closed the pipe.
            let _ = writeln!(io::stdout(), "{mark}  {}: {}", finding.about, finding.text);
        }
        self.findings.push(finding);
    }
}

pub fn doctor(options: &options::Doctor) -> Result<u8> {
    if let Some(path) = &options.path {
        servers::check_path(path)?;
    }
    let hosts = &options.servers.hosts;
    let mut library = servers::options(&options.servers, options.recipe.recipe())?;
    let timeout = options.timeout.max(Duration::from_millis(1));
    servers::set_time("--timeout", timeout, |time| library.set_connect_timeout(time))?;
    let session_timeout = options.lease.session_timeout;
    servers::set_time("--session-timeout", session_timeout, |time| library.set_session_timeout(time))?;
    check_hosts(hosts)?;

    let mut findings = Findings { is_well: true, findings: Vec::new(), json: options.json };
    let (list, chroot) = hosts.split_at(hosts.find('/').unwrap_or(hosts.len()));
    let chroot = chroot.trim_end();
    let mut granted = Vec::new();
    for server in list.split(',').map(str::trim).filter(|server| !server.is_empty()) {
        for address in look_up(server, timeout, &mut findings) {
            granted.extend(look_at(server, address, &library, options, &mut findings));
        }
    }
    granted.sort();
    granted.dedup();
    match granted[..] {
        [] => findings.add(Grade::Wrong, hosts, "no server opens a session: there can be no election"),
        [_] => look_at_znodes(list, chroot, options, &library, &mut findings),
        [.., _] => {
            let all: Vec<String> =
                granted.iter().map(|time| humantime::format_duration(*time).to_string()).collect();
            let text = format!(
                "the servers grant different session timeouts, {}: give all of them the same minSessionTimeout and \
                 maxSessionTimeout, or a lease may be too long",
                all.join(" and ")
            );
            findings.add(Grade::Wrong, hosts, text);
            look_at_znodes(list, chroot, options, &library, &mut findings);
        }
    }
    if options.json {
        let text = serde_json::to_string(&findings).map_err(Failure::failed)?;
        println!("{text}");
    }
    Ok(if findings.is_well { WELL } else { ILL })
}

/// Lets the library parse the hosts. The library begins to connect, but nothing waits for the connection.
fn check_hosts(hosts: &str) -> Result<()> {
    servers::open(hosts, &Options::default()).map(std::mem::forget)
}

/// The addresses of a server.
fn look_up(server: &str, timeout: Duration, findings: &mut Findings) -> Vec<SocketAddr> {
    let (host, port) = host_and_port(server);
    if let Ok(address) = host.parse::<IpAddr>() {
        return vec![SocketAddr::new(address, port)];
    }
    let (answer, answered) = mpsc::channel();
    let name = host.clone();
    thread::spawn(move || answer.send((name.as_str(), port).to_socket_addrs().map(Iterator::collect::<Vec<_>>)));
    match answered.recv_timeout(timeout) {
        Ok(Ok(mut addresses)) => {
            addresses.sort();
            addresses.dedup();
            let all: Vec<String> = addresses.iter().map(|address| address.ip().to_string()).collect();
            findings.add(Grade::Ok, server, format!("{host} is {}", all.join(" and ")));
            addresses
        }
        Ok(Err(error)) => {
            let text = error.to_string();
            let text = if text.contains("Temporary failure") {
                format!("{host} cannot be looked up: the name service does not answer")
            } else {
                format!("there is no host {host}: look at the spelling, and at /etc/hosts or your DNS")
            };
            findings.add(Grade::Wrong, server, text);
            Vec::new()
        }
        Err(_) => {
            findings.add(
                Grade::Wrong,
                server,
                format!("{host} cannot be looked up: the name service does not answer"),
            );
            Vec::new()
        }
    }
}

fn host_and_port(server: &str) -> (String, u16) {
    let (host, port) =
        if server.parse::<Ipv6Addr>().is_ok() || server.matches(':').count() > 1 && !server.starts_with('[') {
            (server, "")
        } else if let Some((host, rest)) = server.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            (host, rest.trim_start_matches(':'))
        } else {
            server.split_once(':').unwrap_or((server, ""))
        };
    (host.to_owned(), port.parse().unwrap_or(DEFAULT_PORT))
}

/// Connects, asks for the version, and opens a session. Returns the session timeout that the server granted.
fn look_at(
    server: &str,
    address: SocketAddr,
    library: &Options,
    options: &options::Doctor,
    findings: &mut Findings,
) -> Option<Duration> {
    let timeout = options.timeout;
    let about = if server == address.to_string() { server.to_owned() } else { format!("{server} ({address})") };
    if let Err(error) = TcpStream::connect_timeout(&address, timeout) {
        let text = match error.kind() {
            io::ErrorKind::ConnectionRefused => {
                "the connection is refused: no server listens there, or a firewall rejects it".to_owned()
            }
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => {
                "nothing answers: the machine is down or unreachable, or a firewall drops what is sent".to_owned()
            }
            _ => plain(&error),
        };
        findings.add(Grade::Wrong, about, text);
        return None;
    }
    // By TLS, the library alone can speak to it.
    let is_encrypted = options.servers.tls.is_on();
    let words = if is_encrypted { String::new() } else { four_letters(address, timeout).unwrap_or_default() };
    let field = |name: &str| words.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    match (field("Zookeeper version:"), field("Mode:")) {
        (Some(version), mode) => {
            let version = version.split(['-', ',']).next().unwrap_or(version);
            findings.add(Grade::Ok, &about, format!("ZooKeeper {version}, {}", mode.unwrap_or("of unknown mode")));
        }
        _ if words.contains("not in the whitelist") => findings.add(
            Grade::Note,
            &about,
            "it does not tell its version: `srvr` is not in its 4lw.commands.whitelist",
        ),
        _ if words.contains("not currently serving requests") => {
            findings.add(
                Grade::Wrong,
                &about,
                "it is a ZooKeeper without a quorum: too few servers of its ensemble run",
            );
            return None;
        }
        _ => {}
    }
    let is_zookeeper = words.contains("Zookeeper version:") || words.contains("not in the whitelist");
    // A certificate, and a principal of Kerberos, are for the name.
    let proves = is_encrypted || options.servers.sasl.sasl_mechanism.is_some();
    let host = if proves { server.to_owned() } else { address.to_string() };
    match granted_by(&host, library) {
        Ok(granted) => {
            let (asked, grants) = (options.lease.session_timeout, humantime::format_duration(granted));
            if asked == granted {
                findings.add(Grade::Ok, &about, format!("it opens a session, with a timeout of {grants}"));
            } else {
                let asked = humantime::format_duration(asked);
                let text = format!(
                    "it opens a session, with a timeout of {grants} instead of the {asked} that are asked for"
                );
                findings.add(Grade::Note, &about, text);
            }
            Some(granted)
        }
        Err(error) => {
            let text = match error {
                Error::BadTls | Error::BadSasl => error.detail().unwrap_or_else(|| error.to_string()),
                Error::Timeout | Error::ZooKeeper(AUTH_FAILED) if proves => {
                    error.detail().unwrap_or_else(|| error.to_string())
                }
                Error::ZooKeeper(AUTH_FAILED) => "it refuses the credentials".to_owned(),
                Error::Timeout if is_zookeeper => {
                    format!("it opens no session within {}", humantime::format_duration(timeout))
                }
                Error::Timeout => {
                    "what answers there is no ZooKeeper, or one that hangs: it opens no session".to_owned()
                }
                error => error.to_string(),
            };
            findings.add(Grade::Wrong, &about, text);
            None
        }
    }
}

/// The answer of a server to the four-letter word `srvr`.
fn four_letters(address: SocketAddr, timeout: Duration) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.write_all(b"srvr")?;
    let mut words = Vec::new();
    // An answer without an end is cut off. If an answer stops in the middle, its first part is used.
    let _ = stream.take(WORDS_MAX).read_to_end(&mut words);
    Ok(String::from_utf8_lossy(&words).into_owned())
}

/// The session timeout that a server grants.
fn granted_by(host: &str, library: &Options) -> std::result::Result<Duration, Error> {
    let handle = Handle::open(host, library)?;
    let (tell, told) = mpsc::channel();
    handle.watch_connection(move |connection: &Connection| {
        if connection.state == ConnectionState::Connected {
            let _ = tell.send(connection.session_timeout);
        }
    })?;
    let granted = told.recv_timeout(Duration::from_secs(1)).map_err(|_| Error::ConnectionLoss);
    let _ = handle.close();
    granted
}

/// Checks the chroot, the path, and the parents of the path.
fn look_at_znodes(list: &str, chroot: &str, options: &options::Doctor, library: &Options, findings: &mut Findings) {
    let timeout = options.timeout;
    let mut node = library.clone();
    node.set_recipe(election::Recipe::Node);
    let handle = match Handle::open(list, &node) {
        Ok(handle) => handle,
        Err(error) => return findings.add(Grade::Wrong, list, error),
    };
    let root = if chroot == "/" { "" } else { chroot };
    if !root.is_empty() {
        match what_is_at(&handle, root, timeout) {
            Ok(true) => findings.add(Grade::Ok, format!("chroot {root}"), "it is there"),
            Ok(false) => {
                findings.add(Grade::Note, format!("chroot {root}"), "it is not there: a candidate makes it")
            }
            Err(text) => findings.add(Grade::Wrong, format!("chroot {root}"), text),
        }
    }
    let Some(path) = &options.path else { return };
    let full = format!("{root}{path}");
    for (end, _) in full.match_indices('/').skip(1).filter(|(end, _)| *end > root.len()) {
        let parent = &full[..end];
        match what_is_at(&handle, parent, timeout) {
            Ok(true) => {}
            Ok(false) => {
                findings.add(Grade::Note, parent, "it is not there: a candidate makes it");
                break;
            }
            Err(text) => findings.add(Grade::Note, parent, text),
        }
    }
    let _ = handle.close();
    let hosts = format!("{list}{root}");
    match Handle::open(&hosts, library) {
        Ok(handle) => look_at_election(&handle, path, options, findings),
        Err(error) => findings.add(Grade::Wrong, hosts, error),
    }
}

/// Whether the path has a znode. The error says why this is unknown.
fn what_is_at(handle: &Handle, path: &str, timeout: Duration) -> std::result::Result<bool, String> {
    match handle.master(path, timeout) {
        Ok(master) if master.rc == NO_NODE => Ok(false),
        Ok(_) => Ok(true),
        Err(Error::ZooKeeper(NO_AUTH)) => Err("these credentials may not read it".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn look_at_election(handle: &Handle, path: &str, options: &options::Doctor, findings: &mut Findings) {
    match handle.master(path, options.timeout) {
        Ok(master) => match master.rc {
            OK => {
                let value = String::from_utf8_lossy(&master.value).into_owned();
                findings.add(Grade::Ok, path, format!("master is {value:?}, token {}", master.stat.czxid));
            }
            NO_NODE => findings.add(Grade::Ok, path, "it can be read; there is no master"),
            NOT_EPHEMERAL => findings.add(
                Grade::Wrong,
                path,
                "a znode that is not ephemeral stands there: nobody can become master until somebody deletes it, or all use \
                 --recipe queue",
            ),
            rc => findings.add(Grade::Wrong, path, Error::ZooKeeper(rc)),
        },
        Err(Error::ZooKeeper(NO_AUTH)) => findings.add(Grade::Wrong, path, "these credentials may not read it"),
        Err(error) => findings.add(Grade::Wrong, path, error),
    }
    if options.write {
        stand_beside(handle, path, options.timeout, findings);
    }
}

/// Stands at another path, which is beside `path`.
fn stand_beside(handle: &Handle, path: &str, timeout: Duration, findings: &mut Findings) {
    let beside = format!("{path}-doctor-{}", clock::now());
    let (tell, told) = mpsc::channel();
    let stood =
        handle.go_to_election(&beside, b"election doctor", move |event: &Event| drop(tell.send(event.clone())));
    if let Err(error) = stood {
        return findings.add(Grade::Wrong, &beside, error);
    }
    let until = Instant::now() + timeout;
    loop {
        let Ok(event) = told.recv_timeout(until.saturating_duration_since(Instant::now())) else {
            findings.add(Grade::Wrong, &beside, "a candidate there does not become master in time");
            break;
        };
        if event.role == Role::Master {
            findings.add(Grade::Ok, path, "a candidate may stand: one beside it became master");
            break;
        }
        if event.reason.is_last() {
            let text = format!("a candidate may not stand: {}", Error::ZooKeeper(event.rc));
            findings.add(Grade::Wrong, path, text);
            break;
        }
    }
    // The close deletes the znode.
    let _ = handle.close();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports() {
        for (server, host, port) in [
            ("zk1", "zk1", 2181),
            ("zk1:2182", "zk1", 2182),
            ("[::1]", "::1", 2181),
            ("[::1]:2183", "::1", 2183),
            ("::1", "::1", 2181),
            ("fe80::1%eth0", "fe80::1%eth0", 2181),
        ] {
            assert_eq!(host_and_port(server), (host.to_owned(), port), "{server}");
        }
    }
}
