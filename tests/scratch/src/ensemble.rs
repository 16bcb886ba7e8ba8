//! A ZooKeeper ensemble of one's own: real servers on a loopback address that nobody else uses, with their data in a scratch
//! folder; killed, frozen, stopped and started again one by one.
//!
//! The servers are those of Debian's `zookeeper` package, or of the release that `ZOOKEEPER_HOME` names. Each is one JVM
//! started without any script in between, so that its process id is the server's.

use crate::folder::ScratchFolder;
use crate::loopback::Claim;
use crate::network::Network;
use crate::process::{lock, Process};
use crate::wait::wait_looking_every;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

/// Long, for a machine with few cores that runs other things as well; a healthy start takes one to three seconds.
const START_TIMEOUT: Duration = Duration::from_secs(60);
const BETWEEN_QUESTIONS: Duration = Duration::from_millis(20);
const FOUR_LETTER_TIMEOUT: Duration = Duration::from_secs(2);
const ADDRESS_ATTEMPTS: usize = 5;
const LOG_TAIL_LINES: usize = 20;

const CLIENT_PORT: u16 = 21_810;
const QUORUM_PORT: u16 = 22_880;
const ELECTION_PORT: u16 = 23_880;

const DISTRIBUTION_JARS: &str = "/usr/share/java";
const JARS: [&str; 16] = [
    "zookeeper",
    "zookeeper-jute",
    "slf4j-api",
    "slf4j-simple",
    "netty-buffer",
    "netty-common",
    "netty-handler",
    "netty-transport",
    "netty-transport-native-epoll",
    "snappy-java",
    "metrics-core",
    "commons-io",
    "commons-cli",
    "jackson-annotations",
    "jackson-core",
    "jackson-databind",
];

/// For the servers of `ZOOKEEPER_HOME`, which log through logback; Debian's log through slf4j-simple.
const LOGBACK_XML: &str = r#"<configuration>
  <appender name="ERR" class="ch.qos.logback.core.ConsoleAppender">
    <target>System.err</target>
    <encoder><pattern>%d{HH:mm:ss.SSS} [%thread] %level %logger{0} - %msg%n</pattern></encoder>
  </appender>
  <logger name="org.apache.zookeeper.server.NIOServerCnxn" level="WARN"/>
  <root level="INFO"><appender-ref ref="ERR"/></root>
</configuration>
"#;

/// What an ensemble is started with. Times that are not told are ZooKeeper's own defaults, but for the tick.
#[derive(Clone, Debug)]
pub struct EnsembleBuilder {
    len: usize,
    tick_ms: u32,
    init_limit: u32,
    sync_limit: u32,
    min_session_timeout_ms: Option<u32>,
    max_session_timeout_ms: Option<u32>,
    config_lines: Vec<String>,
    java_args: Vec<String>,
    environment: Vec<(String, String)>,
    disk_mb: Option<u32>,
    ipv6: bool,
    force_sync: bool,
    has_network: bool,
}

impl EnsembleBuilder {
    /// The length of a tick, 500 ms if not told. Session timeouts lie between 2 and 20 ticks if not told.
    pub fn tick_ms(mut self, tick_ms: u32) -> Self {
        self.tick_ms = tick_ms;
        self
    }

    /// How many ticks a follower may take to connect to a leader and catch up; 20 if not told.
    pub fn init_limit(mut self, ticks: u32) -> Self {
        self.init_limit = ticks;
        self
    }

    /// How many ticks a follower may be out of touch with its leader; 5 if not told.
    pub fn sync_limit(mut self, ticks: u32) -> Self {
        self.sync_limit = ticks;
        self
    }

    pub fn min_session_timeout_ms(mut self, timeout_ms: u32) -> Self {
        self.min_session_timeout_ms = Some(timeout_ms);
        self
    }

    pub fn max_session_timeout_ms(mut self, timeout_ms: u32) -> Self {
        self.max_session_timeout_ms = Some(timeout_ms);
        self
    }

    /// One more line for each server's `zoo.cfg`.
    pub fn config_line(mut self, line: &str) -> Self {
        self.config_lines.push(line.to_owned());
        self
    }

    /// One more argument for each server's JVM.
    pub fn java_arg(mut self, arg: &str) -> Self {
        self.java_args.push(arg.to_owned());
        self
    }

    /// One more variable of each server's environment; `{server}` in the value is the server's folder.
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Gives each server a disk of its own for its data, a file system in memory of this size, that a test can fill. It is
    /// mounted in the mount namespace of the calling thread, which should be a private one.
    pub fn disk_mb(mut self, disk_mb: u32) -> Self {
        self.disk_mb = Some(disk_mb);
        self
    }

    /// Listens for clients on `::1`; the servers still talk to each other over IPv4.
    pub fn ipv6(mut self, ipv6: bool) -> Self {
        self.ipv6 = ipv6;
        self
    }

    /// Runs each server in a network namespace of its own, see `Network`. Only programs in the namespace of its clients reach
    /// them then.
    pub fn network(mut self, has_network: bool) -> Self {
        self.has_network = has_network;
        self
    }

    /// Flushes every transaction to the disk before it counts, as production servers do. Off if not told: what a server
    /// has written outlives its `kill -9` either way, for the kernel has it; only a power cut would tell.
    pub fn force_sync(mut self, force_sync: bool) -> Self {
        self.force_sync = force_sync;
        self
    }

    /// Starts all servers at once and returns when all of them serve.
    pub fn start(self) -> Ensemble {
        for _ in 0..ADDRESS_ATTEMPTS {
            let ensemble = Ensemble::prepare(self.clone());
            ensemble.start_all();
            match ensemble.try_wait_all_serving() {
                Ok(()) => return ensemble,
                Err(why) if why.is_taken_port => continue,
                Err(why) => panic!("{}", why.text),
            }
        }
        panic!("{ADDRESS_ATTEMPTS} addresses in a row had a port taken by somebody else");
    }
}

#[derive(Debug)]
struct Server {
    client_addr: SocketAddr,
    folder: PathBuf,
    process: Mutex<Option<Process>>,
    _ipv6_port: Option<Claim>,
}

impl Server {
    fn log_file(&self) -> PathBuf {
        self.folder.join("server.log")
    }

    /// A frozen server answers nothing; there is no need to wait for that.
    fn may_answer(&self) -> bool {
        lock(&self.process).as_ref().is_some_and(|process| process.is_running() && !process.is_frozen())
    }
}

/// Running servers. Dropping it kills them and removes their data; when that happens in a panic, it first prints the end of
/// each server's log.
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
        assert!((1..=9).contains(&len), "an ensemble of {len} servers is not for a scratch folder");
        EnsembleBuilder {
            len,
            tick_ms: 500,
            init_limit: 20,
            sync_limit: 5,
            min_session_timeout_ms: None,
            max_session_timeout_ms: None,
            config_lines: Vec::new(),
            java_args: Vec::new(),
            environment: Vec::new(),
            disk_mb: None,
            ipv6: false,
            force_sync: false,
            has_network: false,
        }
    }

    fn prepare(builder: EnsembleBuilder) -> Ensemble {
        let port = |base: u16, i: usize| base + i as u16;
        let all_ports: Vec<u16> = (0..builder.len)
            .flat_map(|i| [CLIENT_PORT, QUORUM_PORT, ELECTION_PORT].map(|base| port(base, i)))
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
                    folder: folder.path().join(format!("server-{}", i + 1)),
                    process: Mutex::new(None),
                    _ipv6_port: ipv6_port,
                }
            })
            .collect();
        for (i, server) in servers.iter().enumerate() {
            write_server_folder(&builder, &peer_ips, i, server);
        }
        Ensemble { servers, folder, builder, network, _address: address }
    }

    /// The scratch folder, with `server-1`, `server-2`, ... in it.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The network that the servers run in; panics unless they were started in one.
    pub fn network(&self) -> &Network {
        self.network.as_ref().expect("an ensemble that was started with `network(true)`")
    }

    /// The folder with one server's data; `version-2` in it has the snapshots and the log of transactions.
    pub fn data_folder(&self, i: usize) -> PathBuf {
        self.servers[i].folder.join("data")
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
        // Dropping the guard kills and reaps.
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

    /// Starts one server on the data that it has, if it does not run; does not wait for it.
    pub fn start_server(&self, i: usize) {
        let server = &self.servers[i];
        let mut process = lock(&server.process);
        if process.as_ref().is_some_and(Process::is_running) {
            return;
        }
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(server.log_file())
            .and_then(|file| Ok((file.try_clone()?, file)));
        let (out, err) = log.unwrap_or_else(|error| panic!("no log for server {i}: {error}"));
        let mut command = java_command();
        command
            .arg("-cp")
            .arg(class_path(&server.folder))
            .args([
                "-XX:+UseSerialGC",
                "-XX:TieredStopAtLevel=1",
                "-Xmx256m",
                "-XX:-UsePerfData",
                "-Dzookeeper.admin.enableServer=false",
                "-Dzookeeper.4lw.commands.whitelist=*",
                "-Dzookeeper.jmx.log4j.disable=true",
                "-Dorg.slf4j.simpleLogger.showDateTime=true",
                "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
                "-Dorg.slf4j.simpleLogger.showShortLogName=true",
                // Else each question whether it serves leaves a line.
                "-Dorg.slf4j.simpleLogger.log.org.apache.zookeeper.server.NIOServerCnxn=warn",
            ])
            .args(&self.builder.java_args)
            .arg("org.apache.zookeeper.server.quorum.QuorumPeerMain")
            .arg(server.folder.join("zoo.cfg"))
            .current_dir(&server.folder)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err);
        for (name, value) in &self.builder.environment {
            command.env(name, value.replace("{server}", &server.folder.display().to_string()));
        }
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

    /// Stops one server, starts it again and waits until it serves, for which a majority must run.
    pub fn restart(&self, i: usize) {
        self.stop(i);
        self.start_server(i);
        self.wait_serving(i);
    }

    /// Stops every thread of one server (SIGSTOP): its connections stay open and nothing answers.
    pub fn freeze(&self, i: usize) {
        self.with_process(i, Process::freeze);
    }

    /// Lets a frozen server go on.
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

    /// Starts all servers that do not run; does not wait for them.
    pub fn start_all(&self) {
        for i in 0..self.len() {
            self.start_server(i);
        }
    }

    /// Whether one server answers clients now, as a leader, a follower or alone.
    pub fn is_serving(&self, i: usize) -> bool {
        self.mode(i).is_some()
    }

    /// Waits until one server serves; panics with the end of its log when it does not, or has ended.
    #[track_caller]
    pub fn wait_serving(&self, i: usize) {
        if let Err(why) = self.try_wait_serving(i) {
            panic!("{}", why.text);
        }
    }

    /// Waits until every server serves.
    #[track_caller]
    pub fn wait_all_serving(&self) {
        if let Err(why) = self.try_wait_all_serving() {
            panic!("{}", why.text);
        }
    }

    fn try_wait_all_serving(&self) -> Result<(), NotServing> {
        (0..self.len()).try_for_each(|i| self.try_wait_serving(i))
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
            is_taken_port: self.whole_log(i).contains("Address already in use"),
            text: format!("server {i} {what}; the end of its log:\n{log}"),
        })
    }

    /// The server that leads, or serves alone. Of two that say so, as after a thaw, the one of the later epoch.
    pub fn leader(&self) -> Option<usize> {
        (0..self.len())
            .filter_map(|i| {
                let (mode, zxid) = self.mode(i)?;
                matches!(mode.as_str(), "leader" | "standalone").then_some((zxid, i))
            })
            .max()
            .map(|(_, i)| i)
    }

    /// Waits until some server leads and says which; panics when none does.
    #[track_caller]
    pub fn wait_leader(&self) -> usize {
        let mut leader = None;
        wait_looking_every(BETWEEN_QUESTIONS, START_TIMEOUT, || {
            leader = self.leader();
            leader.is_some()
        });
        leader.unwrap_or_else(|| panic!("no server leads within {START_TIMEOUT:?}"))
    }

    /// The mode that a server says it serves in, and the last zxid that it has seen.
    fn mode(&self, i: usize) -> Option<(String, u64)> {
        let answer = self.four_letter(i, "srvr");
        let value = |key: &str| answer.lines().find_map(|line| Some(line.strip_prefix(key)?.trim().to_owned()));
        let zxid = value("Zxid: 0x").and_then(|hex| u64::from_str_radix(&hex, 16).ok());
        Some((value("Mode: ")?, zxid.unwrap_or(0)))
    }

    /// What one server answers to a four-letter command; empty when it is down, frozen or silent for two seconds.
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
        let text = self.whole_log(i);
        let lines: Vec<&str> = text.lines().collect();
        let tail = &lines[lines.len().saturating_sub(LOG_TAIL_LINES)..];
        tail.join("\n")
    }

    fn whole_log(&self, i: usize) -> String {
        let bytes = fs::read(self.servers[i].log_file()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
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
                unmount(&server.folder.join("data"));
            }
        }
    }
}

fn mount_memory(folder: &Path, mb: u32) -> std::io::Result<()> {
    let target = std::ffi::CString::new(folder.as_os_str().as_encoded_bytes())?;
    let size = std::ffi::CString::new(format!("size={mb}m"))?;
    // SAFETY: all strings end with a 0 byte and outlive the call.
    let rc = unsafe {
        libc::mount(c"tmpfs".as_ptr(), target.as_ptr(), c"tmpfs".as_ptr(), 0, size.as_ptr().cast::<libc::c_void>())
    };
    match rc {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

fn unmount(folder: &Path) {
    if let Ok(target) = std::ffi::CString::new(folder.as_os_str().as_encoded_bytes()) {
        // SAFETY: the string ends with a 0 byte and outlives the call.
        unsafe { libc::umount2(target.as_ptr(), libc::MNT_DETACH) };
    }
}

fn write_server_folder(builder: &EnsembleBuilder, peer_ips: &[IpAddr], i: usize, server: &Server) {
    let data = server.folder.join("data");
    let client_ip = match server.client_addr.ip() {
        IpAddr::V6(Ipv6Addr::LOCALHOST) => "::1".to_owned(),
        ip => ip.to_string(),
    };
    let mut config = format!(
        "tickTime={}\ninitLimit={}\nsyncLimit={}\ndataDir={}\nclientPortAddress={client_ip}\nclientPort={}\n\
         maxClientCnxns=0\npreAllocSize=1024\nforceSync={}\n",
        builder.tick_ms,
        builder.init_limit,
        builder.sync_limit,
        data.display(),
        server.client_addr.port(),
        match builder.force_sync {
            true => "yes",
            false => "no",
        },
    );
    if let Some(timeout_ms) = builder.min_session_timeout_ms {
        config.push_str(&format!("minSessionTimeout={timeout_ms}\n"));
    }
    if let Some(timeout_ms) = builder.max_session_timeout_ms {
        config.push_str(&format!("maxSessionTimeout={timeout_ms}\n"));
    }
    if builder.len > 1 {
        for (k, ip) in peer_ips.iter().enumerate() {
            let (quorum, election) = (QUORUM_PORT + k as u16, ELECTION_PORT + k as u16);
            config.push_str(&format!("server.{}={ip}:{quorum}:{election}\n", k + 1));
        }
    }
    for line in &builder.config_lines {
        config.push_str(&format!("{line}\n"));
    }
    let write = || {
        fs::create_dir_all(&data)?;
        if let Some(mb) = builder.disk_mb {
            mount_memory(&data, mb)?;
        }
        fs::write(data.join("myid"), format!("{}\n", i + 1))?;
        fs::write(server.folder.join("zoo.cfg"), &config)?;
        fs::write(server.folder.join("logback.xml"), LOGBACK_XML)?;
        File::create(server.log_file()).map(drop)
    };
    if let Err(error) = write() {
        panic!("cannot write {}: {error}", server.folder.display());
    }
}

fn java_command() -> Command {
    match std::env::var_os("JAVA_HOME") {
        Some(home) => Command::new(Path::new(&home).join("bin/java")),
        None => Command::new("java"),
    }
}

fn class_path(server_folder: &Path) -> String {
    let mut jars: Vec<PathBuf> = match std::env::var_os("ZOOKEEPER_HOME") {
        Some(home) => jars_of_release(Path::new(&home)),
        None => {
            let jar = |name: &&str| Path::new(DISTRIBUTION_JARS).join(format!("{name}.jar"));
            JARS.iter().map(jar).collect()
        }
    };
    for jar in &jars {
        assert!(jar.exists(), "ZooKeeper is not installed: run `make setup` (no {})", jar.display());
    }
    // For logback.xml.
    jars.push(server_folder.to_owned());
    let jars: Vec<String> = jars.iter().map(|jar| jar.display().to_string()).collect();
    jars.join(":")
}

fn jars_of_release(home: &Path) -> Vec<PathBuf> {
    let lib = home.join("lib");
    let entries = fs::read_dir(&lib).unwrap_or_else(|error| {
        panic!("ZOOKEEPER_HOME is {}, and its lib cannot be read: {error}", home.display())
    });
    let mut jars: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "jar"))
        .collect();
    jars.sort();
    assert!(!jars.is_empty(), "no jar in {}", lib.display());
    jars
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// What the bounded attempts of `start` rest on.
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
