//! A network for one test, made of Linux network namespaces. It can cut one server off from the others while its
//! clients still reach it. It takes a link down instead of adding firewall rules.
//!
//! Each server has two interfaces, one to its clients and one to the other servers. Each of the two networks is a
//! bridge in a namespace of its own. No namespace has a name or a process that keeps it: it lives for as long as a
//! process holds its descriptor or runs in it, and its interfaces end with it. So no cleanup is needed, however this
//! process ends. The addresses are known only inside, so every network uses the same ones.
//!
//! It needs the right to make namespaces (CAP_SYS_ADMIN) and `ip` of iproute2. Without them it panics with a message
//! that says so.

use std::fs::File;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// A network namespace. Dropping it releases it.
#[derive(Debug)]
pub struct Namespace {
    file: File,
}

impl Namespace {
    /// Makes a namespace that has only a loopback interface.
    pub fn new() -> Namespace {
        let made = std::thread::spawn(|| {
            // SAFETY: unshare takes a number. It moves only this thread, which ends with the closure.
            if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
                return Err(io::Error::last_os_error());
            }
            File::open("/proc/thread-self/ns/net")
        });
        let made = made.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let file = made.unwrap_or_else(|error| {
            panic!("cannot make a network namespace ({error}): these tests run as root, or with CAP_SYS_ADMIN")
        });
        let namespace = Namespace { file };
        namespace.ip(&["link", "set", "lo", "up"]);
        namespace
    }

    /// Makes `command` run inside.
    pub fn enter(&self, command: &mut Command) {
        let file = self.file.try_clone().expect("a descriptor for a namespace");
        // SAFETY: between fork and exec the closure makes one system call, and allocates nothing.
        unsafe {
            command.pre_exec(move || set_namespace(file.as_raw_fd()));
        }
    }

    /// Runs `act` inside, on a thread of its own. The sockets that it makes and the threads that it starts stay inside.
    pub fn run<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let ran = scope.spawn(|| {
                set_namespace(self.file.as_raw_fd()).expect("a namespace that is held can be entered");
                act()
            });
            ran.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Runs `ip` inside.
    #[track_caller]
    fn ip(&self, args: &[&str]) {
        self.tool("ip", args);
    }

    /// Runs a tool of iproute2 inside.
    #[track_caller]
    fn tool(&self, name: &str, args: &[&str]) {
        let mut command = Command::new(name);
        command.args(args);
        self.enter(&mut command);
        match command.output() {
            Ok(output) if output.status.success() => {}
            Ok(output) => panic!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)),
            Err(error) => panic!("cannot run {name} ({error}): `apt-get install iproute2`"),
        }
    }

    /// A name for `ip`, valid as long as this process lives.
    fn name(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd())
    }
}

impl Default for Namespace {
    fn default() -> Self {
        Namespace::new()
    }
}

fn set_namespace(descriptor: RawFd) -> io::Result<()> {
    // SAFETY: setns takes two numbers and moves only this thread.
    match unsafe { libc::setns(descriptor, libc::CLONE_NEWNET) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The servers' namespaces, the namespace of their clients, and the two networks between them.
#[derive(Debug)]
pub struct Network {
    switch: Namespace,
    servers: Vec<Namespace>,
    clients: Namespace,
}

const TO_CLIENTS: u8 = 0;
const TO_PEERS: u8 = 1;
const CLIENTS_HOST: u8 = 100;
/// A hardware address that no machine has.
const NOBODY: &str = "02:00:00:00:00:01";

impl Network {
    pub fn new(servers: usize) -> Network {
        let network = Network {
            switch: Namespace::new(),
            servers: (0..servers).map(|_| Namespace::new()).collect(),
            clients: Namespace::new(),
        };
        for bridge in ["clients", "peers"] {
            network.switch.ip(&["link", "add", bridge, "type", "bridge"]);
            network.switch.ip(&["link", "set", bridge, "up"]);
        }
        for (i, server) in network.servers.iter().enumerate() {
            network.connect(server, "clients", &format!("c{i}"), network.addr(TO_CLIENTS, i));
            network.connect(server, "peers", &format!("p{i}"), network.addr(TO_PEERS, i));
        }
        let addr = IpAddr::V4(Ipv4Addr::new(10, 77, TO_CLIENTS, CLIENTS_HOST));
        network.connect(&network.clients, "clients", "visitors", addr);
        network
    }

    /// Puts a cable from the bridge into a namespace, where the cable has the bridge's name.
    fn connect(&self, end: &Namespace, bridge: &str, cable: &str, addr: IpAddr) {
        let switch = &self.switch;
        switch.ip(&["link", "add", cable, "type", "veth", "peer", "name", "far", "netns", &end.name()]);
        switch.ip(&["link", "set", cable, "master", bridge, "up"]);
        end.ip(&["link", "set", "far", "name", bridge]);
        end.ip(&["addr", "add", &format!("{addr}/24"), "dev", bridge]);
        end.ip(&["link", "set", bridge, "up"]);
    }

    fn addr(&self, network: u8, i: usize) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(10, 77, network, i as u8 + 1))
    }

    /// The address of one server for its clients.
    pub fn client_ip(&self, i: usize) -> IpAddr {
        self.addr(TO_CLIENTS, i)
    }

    /// The address of one server for the other servers.
    pub fn peer_ip(&self, i: usize) -> IpAddr {
        self.addr(TO_PEERS, i)
    }

    pub fn server(&self, i: usize) -> &Namespace {
        &self.servers[i]
    }

    /// The namespace in which clients of the servers run. No program outside of it reaches the servers.
    pub fn clients(&self) -> &Namespace {
        &self.clients
    }

    /// Disconnects the cable between one server and the other servers. Its clients still reach it.
    pub fn cut_off(&self, i: usize) {
        self.switch.ip(&["link", "set", &format!("p{i}"), "nomaster"]);
    }

    /// Connects that cable again. Data that was sent meanwhile arrives when TCP sends it again.
    pub fn join(&self, i: usize) {
        self.switch.ip(&["link", "set", &format!("p{i}"), "master", "peers"]);
    }

    /// Loses all packets that one server sends to another, and none in the other direction: the server resolves the
    /// other server to a machine that does not exist.
    pub fn block(&self, from: usize, to: usize) {
        let ip = self.peer_ip(to).to_string();
        self.servers[from].ip(&["neigh", "replace", &ip, "lladdr", NOBODY, "nud", "permanent", "dev", "peers"]);
    }

    /// Ends the effect of `block`.
    pub fn unblock(&self, from: usize, to: usize) {
        let ip = self.peer_ip(to).to_string();
        self.servers[from].ip(&["neigh", "del", &ip, "dev", "peers"]);
    }

    /// Limits the rate at which one server sends to the others to this many kilobits per second. The data comes late,
    /// and data that does not fit into a queue of a third of a second is lost.
    pub fn narrow(&self, i: usize, kbit: u32) {
        let rate = format!("{kbit}kbit");
        self.servers[i].tool(
            "tc",
            &[
                "qdisc", "replace", "dev", "peers", "root", "tbf", "rate", &rate, "burst", "3000", "latency",
                "300ms",
            ],
        );
    }

    /// Ends the effect of `narrow`.
    pub fn widen(&self, i: usize) {
        self.servers[i].tool("tc", &["qdisc", "del", "dev", "peers", "root"]);
    }
}
