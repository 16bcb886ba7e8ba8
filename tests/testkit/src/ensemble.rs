//! A ZooKeeper ensemble for one test: real servers on a loopback address that no other test uses, with their data in a
//! scratch folder. The test can kill, freeze, stop and start the servers one by one.
//!
//! The servers are those of Debian's `zookeeper` package, or of the release that `ZOOKEEPER_HOME` names, or of another
//! one that `tests/versions/fetch.py` has fetched. Each is one JVM started without any script in between, so that its
//! process id is the server's.

mod builder;
mod release;
mod server;

pub use builder::EnsembleBuilder;
pub use release::Release;

use crate::folder::ScratchFolder;
use crate::loopback::Claim;
use crate::network::Network;
use crate::process::{lock, Process};
use crate::wait::wait_looking_every;
use server::{Server, CLIENT_PORT, ELECTION_PORT, QUORUM_PORT, TLS_PORT};
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

/// Long enough for a machine with few cores that runs other programs as well. A healthy start takes one to three
/// seconds.
const START_TIMEOUT: Duration = Duration::from_secs(60);
const BETWEEN_QUESTIONS: Duration = Duration::from_millis(20);
const FOUR_LETTER_TIMEOUT: Duration = Duration::from_secs(2);

/// Running servers. Dropping it kills them and removes their data. If that happens in a panic, it first prints the end
/// of each server's log.
#[derive(Debug)]
pub struct Ensemble {
    // Dropped in this order: no server may write into a folder that is being removed.
    servers: Vec<Server>,
    folder: ScratchFolder,
    builder: EnsembleBuilder,
    network: Option<Network>,
    _address: Option<Claim>,
}

#[derive(Debug)]
struct NotServing {
    is_taken_port: bool,
    text: String,
}

impl Ensemble {
    /// Starts `len` servers, usually 1, 3 or 5, with a tick of 500 ms.
    pub fn start(len: usize) -> Ensemble {
        Ensemble::builder(len).start()
    }

    pub fn builder(len: usize) -> EnsembleBuilder {
        EnsembleBuilder::new(len)
    }

    fn prepare(builder: EnsembleBuilder) -> Ensemble {
        let port = |base: u16, i: usize| base + i as u16;
        let all_ports: Vec<u16> = (0..builder.len)
            .flat_map(|i| [CLIENT_PORT, QUORUM_PORT, ELECTION_PORT, TLS_PORT].map(|base| port(base, i)))
            .collect();
        let network = builder.has_network.then(|| Network::new(builder.len));
        assert!(!(builder.has_network && builder.ipv6), "a network has IPv4 addresses");
        let address = network.is_none().then(|| Claim::address(&all_ports));
        let client_ip = |i: usize| match (&network, &address) {
            (Some(network), _) => network.client_ip(i),
            (None, Some(address)) => address.ip(),
            (None, None) => unreachable!("one of the two is there"),
        };
        let peer_ips: Vec<IpAddr> = (0..builder.len)
            .map(|i| network.as_ref().map_or_else(|| client_ip(i), |network| network.peer_ip(i)))
            .collect();
        let folder = ScratchFolder::new("zookeeper");
        let servers: Vec<Server> = (0..builder.len)
            .map(|i| {
                let ipv6_port = builder.ipv6.then(Claim::ipv6_port);
                let client_addr = match &ipv6_port {
                    Some(claim) => SocketAddr::new(claim.ip(), claim.port()),
                    None => SocketAddr::new(client_ip(i), port(CLIENT_PORT, i)),
                };
                Server {
                    client_addr,
                    tls_addr: SocketAddr::new(client_ip(i), port(TLS_PORT, i)),
                    folder: folder.path().join(format!("server-{}", i + 1)),
                    release: Mutex::new(builder.release.clone()),
                    process: Mutex::new(None),
                    _ipv6_port: ipv6_port,
                }
            })
            .collect();
        for (i, server) in servers.iter().enumerate() {
            server.write_folder(&builder, &peer_ips, i);
        }
        Ensemble { servers, folder, builder, network, _address: address }
    }

    /// The scratch folder, with `server-1`, `server-2`, ... in it.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The network that the servers run in. Panics unless the servers were started in one.
    pub fn network(&self) -> &Network {
        self.network.as_ref().expect("an ensemble that was started with `network(true)`")
    }

    /// The folder with one server's data. Its `version-2` has the snapshots and the log of transactions.
    pub fn data_folder(&self, i: usize) -> PathBuf {
        self.servers[i].data_folder()
    }

    /// The folder of one server.
    pub fn server_folder(&self, i: usize) -> &Path {
        &self.servers[i].folder
    }

    /// The host string of all servers, `ip:port,ip:port,...`.
    pub fn hosts(&self) -> String {
        let hosts: Vec<String> = (0..self.len()).map(|i| self.host(i)).collect();
        hosts.join(",")
    }

    /// `ip:port` of one server. Servers are counted from 0.
    pub fn host(&self, i: usize) -> String {
        self.servers[i].client_addr.to_string()
    }

    /// `ip:port` where one server serves clients by TLS, if the ensemble was started with `tls`.
    pub fn tls_host(&self, i: usize) -> String {
        self.tls_addr(i).to_string()
    }

    pub fn tls_addr(&self, i: usize) -> SocketAddr {
        self.servers[i].tls_addr
    }

    /// The client address of one server.
    pub fn addr(&self, i: usize) -> SocketAddr {
        self.servers[i].client_addr
    }

    #[allow(clippy::len_without_is_empty)] // There is no empty ensemble.
    pub fn len(&self) -> usize {
        self.servers.len()
    }

    /// The process id of one server, while it runs.
    pub fn pid(&self, i: usize) -> Option<u32> {
        lock(&self.servers[i].process).as_ref().filter(|process| process.is_running()).map(Process::pid)
    }

    /// Ends one server with SIGKILL.
    pub fn kill9(&self, i: usize) {
        // Dropping the guard kills and reaps the process.
        lock(&self.servers[i].process).take();
    }

    /// Ends one server with SIGTERM and waits until it has ended.
    pub fn stop(&self, i: usize) {
        let Some(process) = lock(&self.servers[i].process).take() else {
            return;
        };
        process.thaw();
        process.terminate();
        assert!(process.wait(START_TIMEOUT).is_some(), "server {i} does not end on SIGTERM\n{}", self.log(i));
    }

    /// Starts one server on its existing data if it does not run. Does not wait for it.
    pub fn start_server(&self, i: usize) {
        let server = &self.servers[i];
        let mut process = lock(&server.process);
        if process.as_ref().is_some_and(Process::is_running) {
            return;
        }
        let mut command = server.command(&self.builder);
        if let Some(network) = &self.network {
            network.server(i).enter(&mut command);
        }
        match Process::try_spawn(command) {
            Ok(started) => *process = Some(started),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                panic!("Java is not installed: run `make setup`")
            }
            Err(error) => panic!("cannot start Java: {error}"),
        }
    }

    /// Stops one server, starts it again and waits until it serves. A majority must run.
    pub fn restart(&self, i: usize) {
        self.stop(i);
        self.start_server(i);
        self.wait_serving(i);
    }

    /// Stops one server and starts a server of another release on its data. Waits until it serves.
    pub fn restart_as(&self, i: usize, release: Release) {
        self.stop(i);
        *lock(&self.servers[i].release) = release;
        self.start_server(i);
        self.wait_serving(i);
    }

    /// The release with which the servers were first started.
    pub fn release(&self) -> &Release {
        &self.builder.release
    }

    /// The text of the server's JAAS file from its next start on.
    pub fn set_jaas(&self, i: usize, text: &str) {
        let file = self.servers[i].jaas_file();
        fs::write(&file, text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }

    /// Stops every thread of one server (SIGSTOP). Its connections stay open, and the server answers nothing.
    pub fn freeze(&self, i: usize) {
        self.with_process(i, Process::freeze);
    }

    /// Lets a frozen server continue.
    pub fn thaw(&self, i: usize) {
        self.with_process(i, Process::thaw);
    }

    fn with_process(&self, i: usize, act: impl FnOnce(&Process)) {
        match lock(&self.servers[i].process).as_ref() {
            Some(process) => act(process),
            None => panic!("server {i} was not started"),
        }
    }

    /// Stops all servers, as `stop`.
    pub fn stop_all(&self) {
        for server in &self.servers {
            if let Some(process) = lock(&server.process).as_ref() {
                process.thaw();
                process.terminate();
            }
        }
        for i in 0..self.len() {
            self.stop(i);
        }
    }

    /// Starts all servers that do not run. Does not wait for them.
    pub fn start_all(&self) {
        for i in 0..self.len() {
            self.start_server(i);
        }
    }

    /// Whether one server answers clients now, as a leader, a follower or alone.
    pub fn is_serving(&self, i: usize) -> bool {
        self.mode(i).is_some()
    }

    /// Waits until one server serves. Panics with the end of its log if the server does not serve in time, or has
    /// ended.
    #[track_caller]
    pub fn wait_serving(&self, i: usize) {
        if let Err(why) = self.try_wait_serving(i) {
            panic!("{}", why.text);
        }
    }

    /// Waits until all servers serve as one ensemble: one of them leads, and all others are in step with it. A leader
    /// that was frozen or cut off acts for a moment as if it still led; until it has found the others, the ensemble has
    /// one server fewer.
    #[track_caller]
    pub fn wait_all_serving(&self) {
        if let Err(why) = self.try_wait_all_serving() {
            panic!("{}", why.text);
        }
    }

    fn try_wait_all_serving(&self) -> Result<(), NotServing> {
        (0..self.len()).try_for_each(|i| self.try_wait_serving(i))?;
        if wait_looking_every(BETWEEN_QUESTIONS, START_TIMEOUT, || self.is_whole()) {
            return Ok(());
        }
        let logs: String = (0..self.len()).map(|i| format!("\n--- server {i}:\n{}", self.log(i))).collect();
        Err(NotServing { is_taken_port: false, text: format!("the servers do not become one ensemble{logs}") })
    }

    fn is_whole(&self) -> bool {
        let modes: Vec<String> = (0..self.len()).filter_map(|i| Some(self.mode(i)?.0)).collect();
        let mut leaders = (0..modes.len()).filter(|&i| modes[i] == "leader");
        match (modes.len() == self.len(), leaders.next(), leaders.next()) {
            (true, Some(leader), None) => {
                let figures = self.four_letter(leader, "mntr");
                let in_step = figures.lines().find_map(|line| line.strip_prefix("zk_synced_followers\t"));
                in_step.and_then(|count| count.trim().parse::<f64>().ok()) == Some((self.len() - 1) as f64)
            }
            (true, None, None) => modes == ["standalone"],
            _ => false,
        }
    }

    fn try_wait_serving(&self, i: usize) -> Result<(), NotServing> {
        let mut has_ended = false;
        let is_over = wait_looking_every(BETWEEN_QUESTIONS, START_TIMEOUT, || {
            has_ended = self.pid(i).is_none();
            has_ended || self.is_serving(i)
        });
        if is_over && !has_ended {
            return Ok(());
        }
        let what = match has_ended {
            true => "has ended or was not started",
            false => "does not serve",
        };
        let log = self.log(i);
        Err(NotServing {
            is_taken_port: self.servers[i].log().contains("Address already in use"),
            text: format!("server {i} {what}; the end of its log:\n{log}"),
        })
    }

    /// The server that leads, or serves alone. If two servers say so, as after a thaw, the one of the later epoch.
    pub fn leader(&self) -> Option<usize> {
        (0..self.len())
            .filter_map(|i| {
                let (mode, zxid) = self.mode(i)?;
                matches!(mode.as_str(), "leader" | "standalone").then_some((zxid, i))
            })
            .max()
            .map(|(_, i)| i)
    }

    /// Waits until some server leads, and returns it. Panics if none does.
    #[track_caller]
    pub fn wait_leader(&self) -> usize {
        let mut leader = None;
        wait_looking_every(BETWEEN_QUESTIONS, START_TIMEOUT, || {
            leader = self.leader();
            leader.is_some()
        });
        leader.unwrap_or_else(|| panic!("no server leads within {START_TIMEOUT:?}"))
    }

    /// The mode in which a server says that it serves, and the last zxid that it has seen.
    fn mode(&self, i: usize) -> Option<(String, u64)> {
        let answer = self.four_letter(i, "srvr");
        let value = |key: &str| answer.lines().find_map(|line| Some(line.strip_prefix(key)?.trim().to_owned()));
        let zxid = value("Zxid: 0x").and_then(|hex| u64::from_str_radix(&hex, 16).ok());
        Some((value("Mode: ")?, zxid.unwrap_or(0)))
    }

    /// One server's answer to a four-letter command. Empty if the server is down, frozen or silent for two seconds.
    pub fn four_letter(&self, i: usize, command: &str) -> String {
        let server = &self.servers[i];
        if !server.may_answer() {
            return String::new();
        }
        let ask = || {
            let mut stream = TcpStream::connect_timeout(&server.client_addr, FOUR_LETTER_TIMEOUT)?;
            stream.set_read_timeout(Some(FOUR_LETTER_TIMEOUT))?;
            stream.write_all(command.as_bytes())?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer)?;
            std::io::Result::Ok(String::from_utf8_lossy(&answer).into_owned())
        };
        match &self.network {
            Some(network) => network.clients().run(ask).unwrap_or_default(),
            None => ask().unwrap_or_default(),
        }
    }

    /// The server that a session is connected to.
    pub fn server_of_session(&self, session_id: i64) -> Option<usize> {
        let of_line = |line: &str| {
            let (_, rest) = line.split_once("sid=0x")?;
            let digits = rest.split(|c: char| !c.is_ascii_hexdigit()).next()?;
            u64::from_str_radix(digits, 16).ok()
        };
        (0..self.len())
            .find(|&i| self.four_letter(i, "cons").lines().any(|line| of_line(line) == Some(session_id as u64)))
    }

    /// The last lines of one server's log.
    pub fn log(&self, i: usize) -> String {
        self.servers[i].log_tail()
    }
}

impl Drop for Ensemble {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for i in 0..self.len() {
                eprintln!("--- server {i}, {}:\n{}", self.host(i), self.log(i));
            }
        }
        for server in &self.servers {
            lock(&server.process).take();
            if self.builder.disk_mb.is_some() {
                server.unmount_disk();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// The bounded attempts of `start` rely on this.
    #[test]
    fn a_port_that_is_taken_after_it_was_found_free_is_told_from_other_failures() {
        for port in [CLIENT_PORT, ELECTION_PORT] {
            let ensemble = Ensemble::prepare(Ensemble::builder(3));
            let taken = TcpListener::bind((ensemble.addr(0).ip(), port)).unwrap();
            ensemble.start_server(0);
            assert!(ensemble.try_wait_serving(0).unwrap_err().is_taken_port);
            drop(taken);
        }
        let ensemble = Ensemble::prepare(Ensemble::builder(1).config_line("tickTime=nonsense"));
        ensemble.start_all();
        let why = ensemble.try_wait_all_serving().unwrap_err();
        assert!(!why.is_taken_port && why.text.contains("nonsense"));
    }
}
