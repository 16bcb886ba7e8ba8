//! The settings of an ensemble before it starts.

use super::{Ensemble, Release};
use crate::authority::Authority;
use std::sync::Arc;

const ADDRESS_ATTEMPTS: usize = 5;

/// The settings of an ensemble. Times that are not set are ZooKeeper's own defaults, except the tick.
#[derive(Clone, Debug)]
pub struct EnsembleBuilder {
    pub(super) len: usize,
    pub(super) tick_ms: u32,
    pub(super) init_limit: u32,
    pub(super) sync_limit: u32,
    pub(super) min_session_timeout_ms: Option<u32>,
    pub(super) max_session_timeout_ms: Option<u32>,
    pub(super) config_lines: Vec<String>,
    pub(super) java_args: Vec<String>,
    pub(super) environment: Vec<(String, String)>,
    pub(super) disk_mb: Option<u32>,
    pub(super) ipv6: bool,
    pub(super) force_sync: bool,
    pub(super) has_network: bool,
    pub(super) tls: Option<Arc<Authority>>,
    pub(super) jaas: Option<String>,
    pub(super) release: Release,
}

impl EnsembleBuilder {
    pub(super) fn new(len: usize) -> Self {
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
            tls: None,
            jaas: None,
            release: Release::in_use(),
        }
    }

    /// The release of the servers. Default: the one in use.
    pub fn release(mut self, release: Release) -> Self {
        self.release = release;
        self
    }

    /// The length of a tick. Default: 500 ms. Session timeouts lie between 2 and 20 ticks by default.
    pub fn tick_ms(mut self, tick_ms: u32) -> Self {
        self.tick_ms = tick_ms;
        self
    }

    /// How many ticks a follower may take to connect to a leader and catch up. Default: 20.
    pub fn init_limit(mut self, ticks: u32) -> Self {
        self.init_limit = ticks;
        self
    }

    /// How many ticks a follower may be out of touch with its leader. Default: 5.
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

    /// Gives each server a disk of its own for its data: a file system in memory of this size, which a test can fill.
    /// It is mounted in the mount namespace of the calling thread, which should be a private one.
    pub fn disk_mb(mut self, disk_mb: u32) -> Self {
        self.disk_mb = Some(disk_mb);
        self
    }

    /// Listens for clients on `::1`; the servers still talk to each other over IPv4.
    pub fn ipv6(mut self, ipv6: bool) -> Self {
        self.ipv6 = ipv6;
        self
    }

    /// Runs each server in a network namespace of its own, see `Network`. Then only programs in the namespace of its
    /// clients reach the servers.
    pub fn network(mut self, has_network: bool) -> Self {
        self.has_network = has_network;
        self
    }

    /// Also serves clients by TLS, at `Ensemble::tls_host`, with a certificate of this authority for the address, and
    /// demands one of them. The servers are Netty's then.
    pub fn tls(mut self, authority: &Arc<Authority>) -> Self {
        self.tls = Some(authority.clone());
        self
    }

    /// Gives each server a JAAS file with this text, and lets it do SASL. Releases before 3.6 accept no client that fails at
    /// it, and the others demand it of nobody, unless a configuration line says so.
    pub fn jaas(mut self, text: &str) -> Self {
        self.jaas = Some(text.to_owned());
        self
    }

    /// Flushes every transaction to the disk before it counts, as production servers do. Default: off. The data that a
    /// server has written survives its `kill -9` in both cases, because the kernel has it. Only a power failure would
    /// show the difference.
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
