//! Finds a server: looks the names up, dials the addresses in the order of `zk::Servers`, and remembers why the attempts
//! failed.
//!
//! A look-up is no part of an attempt. The attempts of a round begin with the addresses that are known 250 ms after its
//! start. A name whose look-up takes longer joins with the addresses that it had before; if nothing is known of any name,
//! the round begins with the first answer.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::earliest;
use super::handshake::Handshakes;
use super::probe::{Probe, Question};
use crate::driver::connect_cause::{of_server, CauseKind, ConnectCause, ConnectFailure};
use crate::driver::hosts::{Hosts, Server};
use crate::driver::io::dial::{Ended, Race};
use crate::driver::io::lookup::LookedUp;
use crate::driver::io::poller::Token;
use crate::driver::io::reactor::{Io, TaskWaker};
use crate::driver::io::stream::Stream;
use crate::driver::tls::TlsSettings;
use crate::logic::Time;
use crate::zk::{Next, Servers};

/// How long a round waits for look-ups if it knows some address.
const LOOKUP_HEAD_START_MS: u64 = 250;

/// A look-up that takes longer is told as the cause.
const LOOKUP_IS_LONG_MS: u64 = 1_000;

/// Failures are reported when a round is over, and after this time at the latest.
const REPORT_MS: u64 = 1_000;

/// A connection without a session for this long is probed.
const PROBED_FIRST_MS: u64 = 300;

/// The maximum number of probes at the same time, and how long an answer counts.
const PROBES: usize = 8;
const PROBED_AGAIN_MS: u64 = 2_000;

/// An attempt has this long to connect, or a fifth of the session timeout if that is longer. The first retry of TCP comes
/// after a second.
const SHORTEST_PATIENCE: Duration = Duration::from_millis(1_500);
const LONGEST_PATIENCE: Duration = Duration::from_secs(60);

pub struct Dialer {
    hosts: Arc<Hosts>,
    servers: Servers,
    race: Race,
    /// `None` if connections are not encrypted.
    tls: Option<Handshakes>,
    patience: Duration,
    names: BTreeMap<Arc<str>, Name>,
    /// The round waits for its addresses since this moment.
    looks_up_since: Option<Time>,
    told_lookup: bool,
    /// Which server of the connect string an address belongs to.
    owners: BTreeMap<SocketAddr, usize>,
    /// Why the attempts of this outage failed, by server.
    outcomes: BTreeMap<usize, Vec<(SocketAddr, CauseKind)>>,
    /// The first failure since the last report.
    failed_since: Option<Time>,
    /// The beginning of this outage.
    outage_since: Option<Time>,
    /// Something was reported in this outage.
    has_reported: bool,
    /// The connection on which no session stands yet.
    waiting: Option<Waiting>,
    /// The servers that said nothing, or ended a connection without a word; and what they said when they were asked why.
    to_probe: BTreeMap<SocketAddr, Question>,
    probes: Vec<Probe>,
    probed: BTreeMap<SocketAddr, (Time, Option<CauseKind>)>,
}

/// Why there is no connection yet.
#[derive(Debug)]
pub enum Failure {
    Failed(ConnectFailure),
    /// Nothing has failed so far.
    Slow(ConnectFailure),
}

struct Waiting {
    address: SocketAddr,
    since: Time,
    is_probed: bool,
}

#[derive(Default)]
struct Name {
    is_asked: bool,
    addresses: Vec<SocketAddr>,
    fault: Option<CauseKind>,
}

impl Dialer {
    /// With `tls`, the files are read on another thread, which then gives the task of `waker` a turn.
    pub fn new(
        hosts: &Hosts,
        session_timeout: Duration,
        tls: Option<Arc<TlsSettings>>,
        waker: TaskWaker,
    ) -> Dialer {
        let names = hosts.servers.iter().filter(|server| server.address().is_none());
        Dialer {
            names: names.map(|server| (server.host.as_str().into(), Name::default())).collect(),
            hosts: Arc::new(hosts.clone()),
            servers: Servers::new(fastrand::u64(..)),
            race: Race::default(),
            tls: tls.map(|settings| Handshakes::new(settings, waker)),
            patience: (session_timeout / 5).clamp(SHORTEST_PATIENCE, LONGEST_PATIENCE),
            looks_up_since: None,
            told_lookup: false,
            owners: BTreeMap::new(),
            outcomes: BTreeMap::new(),
            failed_since: None,
            outage_since: None,
            has_reported: false,
            waiting: None,
            to_probe: BTreeMap::new(),
            probes: Vec::new(),
            probed: BTreeMap::new(),
        }
    }

    /// Dials what is due. Returns when the next turn is due.
    pub fn turn(&mut self, io: &mut Io, now: Time) -> Option<Time> {
        self.waiting = None;
        self.outage_since.get_or_insert(now);
        while let Some(Ended { address, outcome }) = self.race.give_up(now) {
            if let Err(error) = outcome {
                self.attempt_failed(now, address, CauseKind::of(&error));
            }
        }
        if let Some(Ended { address, outcome: Err(error) }) = self.tls.as_mut().and_then(|tls| tls.turn(now)) {
            self.handshake_failed(now, address, &error);
        }
        self.use_addresses(now);
        self.probe(io, now);
        // Only the connection that won the race goes on to the handshake.
        let handshake = self.tls.as_ref().and_then(Handshakes::poll_timeout);
        let next = if handshake.is_some() { handshake } else { self.dial(io, now) };
        earliest([next, self.race.poll_timeout(), self.poll_report(now)])
    }

    /// The connection that was found has no session yet. Returns when the next turn is due.
    pub fn turn_while_waiting(&mut self, io: &mut Io, now: Time) -> Option<Time> {
        let mut probe_at = None;
        if let Some(Waiting { address, since, is_probed: is_probed @ false }) = &mut self.waiting {
            let (address, then) = (*address, since.plus_ms(PROBED_FIRST_MS));
            if now < then {
                probe_at = Some(then);
            } else {
                *is_probed = true;
                let question = self.question(address);
                self.to_probe.insert(address, question);
            }
        }
        self.probe(io, now);
        earliest([probe_at, self.poll_report(now)])
    }

    /// When probes or reports are due.
    fn poll_report(&self, now: Time) -> Option<Time> {
        let probes = self.probes.iter().map(Probe::poll_timeout).min();
        let first = self.outage_since.filter(|_| !self.has_reported);
        let reports = [self.failed_since, first].map(|since| since.map(|since| since.plus_ms(REPORT_MS)));
        earliest([probes, earliest(reports.map(|then| then.filter(|then| *then > now)))])
    }

    /// Asks servers why they said nothing.
    fn probe(&mut self, io: &mut Io, now: Time) {
        while let Some(at) = self.probes.iter_mut().position(|probe| probe.handle_timeout(now)) {
            self.probe_ended(now, at);
        }
        for (address, question) in std::mem::take(&mut self.to_probe) {
            let started = io.poller().and_then(|poller| Probe::start(poller, io.task, now, address, question));
            self.probes.extend(started);
        }
    }

    /// A socket is ready that may be a probe's.
    pub fn probe_ready(&mut self, now: Time, token: Token) {
        let ended = |probe: &mut Probe| probe.ready(token);
        let Some((at, is_over)) =
            self.probes.iter_mut().enumerate().find_map(|(at, probe)| ended(probe).map(|is_over| (at, is_over)))
        else {
            return;
        };
        if is_over {
            self.probe_ended(now, at);
        }
    }

    fn probe_ended(&mut self, now: Time, at: usize) {
        let probe = self.probes.swap_remove(at);
        let kind = match (&probe.question, probe.kind(), self.tls.is_some()) {
            (Question::Word, None, false) => {
                self.to_probe.insert(probe.address, Question::Hello);
                return;
            }
            // It does speak TLS, which does not say why there was no handshake.
            (Question::Word, Some(CauseKind::SpeaksTls), true) => None,
            (Question::Word, Some(_), true) => Some(CauseKind::SpeaksPlainText),
            (_, kind, _) => kind,
        };
        if let Some(kind) = kind.clone() {
            self.note(probe.address, kind);
        }
        self.probed.insert(probe.address, (now, kind));
    }

    fn dial(&mut self, io: &mut Io, now: Time) -> Option<Time> {
        loop {
            let start = self.race.next_start()?;
            if start > now {
                return Some(start);
            }
            match self.servers.next(now) {
                Next::Dial(address) if self.race.dials(address) => {}
                Next::Dial(address) => {
                    if let Some(tls) = self.tls.as_mut().filter(|_| !self.race.is_under_way()) {
                        tls.prepare();
                    }
                    let started = io
                        .poller()
                        .map(Arc::clone)
                        .and_then(|poller| self.race.start(&poller, io.task, now, address, self.patience));
                    if let Err(error) = started {
                        self.attempt_failed(now, address, CauseKind::of(&error));
                    }
                }
                Next::LookUp => {
                    self.looks_up_since = Some(now);
                    for (host, name) in &mut self.names {
                        name.is_asked = true;
                        io.look_up(host);
                    }
                    self.use_addresses(now);
                }
                Next::WaitUntil(then) => return Some(then),
                Next::WaitForLookUp => {
                    let since = self.looks_up_since?;
                    let waits = [LOOKUP_HEAD_START_MS, LOOKUP_IS_LONG_MS].map(|ms| since.plus_ms(ms));
                    return waits.into_iter().find(|then| *then > now);
                }
            }
        }
    }

    pub fn looked_up(&mut self, now: Time, answer: &LookedUp) {
        if let Some(name) = self.names.get_mut(&answer.host) {
            name.is_asked = false;
            match &answer.found {
                Ok(addresses) => (name.addresses, name.fault) = (addresses.clone(), None),
                Err(kind) => (name.addresses, name.fault) = (Vec::new(), Some(kind.clone())),
            }
        }
        self.use_addresses(now);
    }

    /// Begins the round if it waits for addresses and has waited long enough.
    fn use_addresses(&mut self, now: Time) {
        let Some(since) = self.looks_up_since else { return };
        let is_pending = self.names.values().any(|name| name.is_asked);
        if is_pending && now < since.plus_ms(LOOKUP_HEAD_START_MS) {
            return;
        }
        self.owners.clear();
        for (at, server) in self.hosts.servers.iter().enumerate() {
            let addresses = match server.address() {
                Some(address) => &[SocketAddr::new(address, server.port)][..],
                None => self.names.get(server.host.as_str()).map_or(&[][..], |name| &name.addresses),
            };
            for address in addresses {
                let mut address = *address;
                address.set_port(server.port);
                self.owners.insert(address, at);
            }
        }
        if self.owners.is_empty() && is_pending {
            return;
        }
        self.looks_up_since = None;
        self.told_lookup = false;
        if self.names.values().any(|name| name.fault.is_some()) {
            self.failed_since.get_or_insert(now);
        }
        self.servers.set_addresses(now, self.owners.keys().copied().collect());
    }

    /// A socket is ready. Returns the connection, if that ends the race and, with TLS, the handshake.
    pub fn ready(&mut self, now: Time, token: Token) -> Option<(SocketAddr, Stream)> {
        let found = match self.tls.as_mut().and_then(|tls| tls.ready(token)) {
            Some(ended) => self.handshake_ended(now, ended),
            None => self.race_ready(now, token),
        };
        self.waiting =
            found.as_ref().map(|(address, _)| Waiting { address: *address, since: now, is_probed: false });
        found
    }

    fn race_ready(&mut self, now: Time, token: Token) -> Option<(SocketAddr, Stream)> {
        let Ended { address, outcome } = self.race.ready(token)?;
        let stream = match outcome {
            Ok(stream) => stream,
            Err(error) => {
                self.attempt_failed(now, address, CauseKind::of(&error));
                return None;
            }
        };
        let host = self.host_of(address);
        let Some(tls) = &mut self.tls else { return Some((address, stream)) };
        tls.take(address, host, stream, now.plus_ms(self.patience.as_millis() as u64));
        let ended = tls.turn(now)?;
        self.handshake_ended(now, ended)
    }

    fn handshake_ended(&mut self, now: Time, ended: Ended) -> Option<(SocketAddr, Stream)> {
        match ended.outcome {
            Ok(stream) => Some((ended.address, stream)),
            Err(error) => {
                self.handshake_failed(now, ended.address, &error);
                None
            }
        }
    }

    fn handshake_failed(&mut self, now: Time, address: SocketAddr, error: &io::Error) {
        // If it has not said a word, it may speak plain text.
        self.failed(now, address, cause_of(error), Question::Word);
    }

    /// The host that the certificate of this address must be for.
    fn host_of(&self, address: SocketAddr) -> String {
        let server = self.owners.get(&address).and_then(|owner| self.hosts.servers.get(*owner));
        server.map_or_else(|| address.ip().to_string(), |server| server.host.clone())
    }

    /// What a server is asked that lets a connection stand.
    fn question(&self, address: SocketAddr) -> Question {
        match self.tls.as_ref().and_then(Handshakes::config) {
            Some(config) => Question::Encrypted(config.clone(), self.host_of(address)),
            None => Question::Word,
        }
    }

    /// The session stands on a connection to this address.
    pub fn connected(&mut self, now: Time, address: SocketAddr) {
        self.servers.connected(now, address);
        self.outcomes.clear();
        (self.failed_since, self.told_lookup) = (None, false);
        (self.outage_since, self.has_reported, self.waiting) = (None, false, None);
        self.to_probe.clear();
        self.probes.clear();
        self.probed.clear();
    }

    /// Whether requests may follow the ConnectRequest on a connection to this address at once.
    pub fn may_pipeline(&self, address: SocketAddr) -> bool {
        self.servers.may_pipeline(address)
    }

    /// The connection to this address has ended before the ConnectRequest was answered.
    pub fn unanswered(&mut self, address: SocketAddr, has_pipelined: bool) {
        self.servers.unanswered(address, has_pipelined);
    }

    /// The connection to this address, on which a session stood, has ended.
    pub fn broken(&mut self, now: Time, address: SocketAddr) {
        self.servers.failed(now, address);
    }

    /// An attempt has failed: no session stood.
    pub fn attempt_failed(&mut self, now: Time, address: SocketAddr, kind: CauseKind) {
        let question = self.question(address);
        self.failed(now, address, kind, question);
    }

    /// If the server has said nothing, it is asked why with `question`.
    fn failed(&mut self, now: Time, address: SocketAddr, kind: CauseKind, question: Question) {
        self.servers.failed(now, address);
        self.failed_since.get_or_insert(now);
        match self.probed.get(&address) {
            _ if !matches!(kind, CauseKind::ThrownOut | CauseKind::Silent) => self.note(address, kind),
            Some((then, said)) if now < then.plus_ms(PROBED_AGAIN_MS) => {
                self.note(address, said.clone().unwrap_or(kind));
            }
            _ => {
                self.note(address, kind);
                if !self.probes.iter().any(|probe| probe.address == address) && self.probes.len() < PROBES {
                    self.to_probe.entry(address).or_insert(question);
                }
            }
        }
    }

    /// A sentence about the server at this address.
    pub fn explain(&self, address: SocketAddr, kind: CauseKind) -> Option<Arc<str>> {
        let server = self.hosts.servers.get(*self.owners.get(&address)?)?;
        let causes = of_server(server, vec![(address, kind)]);
        Some(ConnectFailure { causes }.to_string().into())
    }

    fn note(&mut self, address: SocketAddr, kind: CauseKind) {
        // An address that was good before may be no address of any name now.
        let Some(owner) = self.owners.get(&address) else { return };
        let outcomes = self.outcomes.entry(*owner).or_default();
        outcomes.retain(|(other, _)| *other != address);
        outcomes.push((address, kind));
        outcomes.sort_by_key(|(address, _)| *address);
    }

    /// Why no server was reached: once for each round that has failed, at least once a second while attempts fail, and
    /// once if the look-ups take long. Before that, once if the first attempts take a second.
    pub fn take_failure(&mut self, now: Time) -> Option<Failure> {
        let lookup_is_long =
            self.looks_up_since.is_some_and(|since| now >= since.plus_ms(LOOKUP_IS_LONG_MS)) && !self.told_lookup;
        let is_handshaking = self.tls.as_ref().is_some_and(|tls| tls.under_way().is_some());
        let is_dialling = is_handshaking || self.race.is_under_way();
        let is_busy = is_dialling || !self.probes.is_empty() || !self.to_probe.is_empty();
        let has_failed = self.failed_since.is_some_and(|since| !is_busy || now >= since.plus_ms(REPORT_MS));
        let is_slow = self.outage_since.is_some_and(|since| now >= since.plus_ms(REPORT_MS)) && !self.has_reported;
        if !lookup_is_long && !has_failed {
            return is_slow.then(|| self.what_is_slow()).flatten();
        }
        self.told_lookup |= lookup_is_long;
        self.failed_since = None;
        self.has_reported = true;
        let mut causes = Vec::new();
        for (at, server) in self.hosts.servers.iter().enumerate() {
            if let Some(kind) = self.fault_of_name(server) {
                causes.push(ConnectCause { server: server.clone(), addresses: Vec::new(), kind });
            }
            if let Some(outcomes) = self.outcomes.get(&at) {
                causes.extend(of_server(server, outcomes.clone()));
            }
        }
        (!causes.is_empty()).then_some(Failure::Failed(ConnectFailure { causes }))
    }

    /// The attempts that are under way, if they take long.
    fn what_is_slow(&mut self) -> Option<Failure> {
        self.has_reported = true;
        let mut outcomes: BTreeMap<usize, Vec<(SocketAddr, CauseKind)>> = BTreeMap::new();
        let mut note = |address, kind| {
            if let Some(owner) = self.owners.get(&address) {
                outcomes.entry(*owner).or_default().push((address, kind));
            }
        };
        for address in self.race.addresses() {
            note(address, CauseKind::NoAnswer);
        }
        if let Some(address) = self.tls.as_ref().and_then(Handshakes::under_way) {
            note(address, CauseKind::Silent);
        }
        if let Some(Waiting { address, .. }) = self.waiting {
            match self.probed.get(&address) {
                // It serves, so the session will stand in a moment.
                Some((_, Some(CauseKind::Serves))) => {}
                Some((_, Some(said))) => note(address, said.clone()),
                _ => note(address, CauseKind::Silent),
            }
        }
        let servers = &self.hosts.servers;
        let causes = outcomes.into_iter().flat_map(|(owner, outcomes)| of_server(&servers[owner], outcomes));
        let causes: Vec<ConnectCause> = causes.collect();
        (!causes.is_empty()).then_some(Failure::Slow(ConnectFailure { causes }))
    }

    fn fault_of_name(&self, server: &Server) -> Option<CauseKind> {
        let name = self.names.get(server.host.as_str())?;
        let is_long = name.is_asked && name.addresses.is_empty() && self.looks_up_since.is_some();
        name.fault.clone().or(is_long.then_some(CauseKind::LookupTakesLong))
    }

    /// Gives up all attempts.
    pub fn stop(&mut self) {
        self.race.stop();
        if let Some(tls) = &mut self.tls {
            tls.stop();
        }
        self.waiting = None;
        self.to_probe.clear();
        self.probes.clear();
    }
}

/// The cause for the error of a connection that stood.
pub fn cause_of(error: &io::Error) -> CauseKind {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => CauseKind::ThrownOut,
        _ => CauseKind::of(error),
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::driver::clock;
    use crate::driver::hosts;
    use crate::driver::io::reactor::{self, Happening, Reactor, Task};
    use crate::driver::thread;
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::sync::mpsc::{channel, Receiver, Sender};

    const LONG: Duration = Duration::from_secs(10);

    #[derive(Debug, PartialEq)]
    pub enum Said {
        Connected(SocketAddr),
        Failed(String),
    }

    /// Dials until a server keeps the connection, and says how each round ended.
    struct Dials {
        dialer: Dialer,
        stream: Option<(SocketAddr, Stream)>,
        says: Sender<Said>,
    }

    impl Task for Dials {
        fn handle(&mut self, _: &mut Io, happening: Happening) {
            let now = clock::now();
            match (happening, &mut self.stream) {
                (Happening::Ready(ready), Some((address, stream))) if stream.token() == ready.token => {
                    if stream.read(&mut [0]).is_err() {
                        self.dialer.attempt_failed(now, *address, CauseKind::ThrownOut);
                        self.stream = None;
                    }
                }
                (Happening::Ready(ready), None) => match self.dialer.ready(now, ready.token) {
                    Some((address, mut stream)) => {
                        // The start of a ConnectRequest.
                        let _ = stream.write(b"\0\0\0\x2d\0\0\0\0");
                        self.stream = Some((address, stream));
                        let _ = self.says.send(Said::Connected(address));
                    }
                    None => self.dialer.probe_ready(now, ready.token),
                },
                (Happening::Ready(ready), Some(_)) => self.dialer.probe_ready(now, ready.token),
                (Happening::LookedUp(answer), _) => self.dialer.looked_up(now, answer),
                (Happening::DescriptorsLost, _) => self.dialer.stop(),
            }
        }

        fn turn(&mut self, io: &mut Io) -> reactor::Next {
            if self.stream.is_some() {
                return reactor::Next::Wait(None);
            }
            let now = clock::now();
            let at = self.dialer.turn(io, now);
            if let Some(Failure::Failed(failure)) = self.dialer.take_failure(now) {
                let _ = self.says.send(Said::Failed(failure.to_string()));
            }
            reactor::Next::Wait(at)
        }
    }

    fn dial(hosts: &str) -> Receiver<Said> {
        dial_by(hosts, LONG, None)
    }

    pub fn dial_by(hosts: &str, session_timeout: Duration, tls: Option<TlsSettings>) -> Receiver<Said> {
        let reactor = Reactor::new().unwrap();
        let shared = reactor.shared();
        thread::spawn("election-io", move || reactor.serve()).unwrap();
        let (says, said) = channel();
        let hosts = hosts::parse(hosts).unwrap();
        shared.start_task(|waker| {
            let dialer = Dialer::new(&hosts, session_timeout, tls.map(Arc::new), waker);
            Box::new(Dials { dialer, stream: None, says })
        });
        said
    }

    /// The port of nobody.
    fn refused() -> SocketAddr {
        TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
    }

    #[test]
    fn the_server_that_listens_is_found_among_those_that_refuse() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        let said = dial(&format!("{},localhost:{},{}", refused(), address.port(), refused()));
        let found =
            std::iter::from_fn(|| said.recv_timeout(LONG).ok()).find(|said| matches!(said, Said::Connected(_)));
        assert_eq!(found, Some(Said::Connected(address)));
        server.accept().unwrap();
    }

    #[test]
    fn attempts_that_fail_at_once_are_told_with_their_cause_and_paused() {
        let address = refused();
        let said = dial(&address.to_string());
        let until = clock::now().plus_ms(1_500);
        let mut rounds = 0;
        while let Ok(heard) = said.recv_timeout(clock::until(until)) {
            assert_eq!(heard, Said::Failed(format!("connection refused by {address}")));
            rounds += 1;
        }
        assert!((3..=20).contains(&rounds), "{rounds} rounds in 1.5 s");
    }

    /// It answers `srvr` alone, as a server without a quorum does.
    #[test]
    fn a_server_that_ends_the_connection_without_a_word_is_asked_why() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        std::thread::spawn(move || {
            for mut client in server.incoming().flatten() {
                let mut word = [0; 4];
                client.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
                if client.read_exact(&mut word).is_ok() && &word == b"srvr" {
                    let _ = client.write_all(b"This ZooKeeper instance is not currently serving requests\n");
                }
            }
        });
        let said = dial(&address.to_string());
        let failure = std::iter::from_fn(|| said.recv_timeout(LONG).ok()).find_map(|said| match said {
            Said::Failed(failure) => Some(failure),
            Said::Connected(_) => None,
        });
        let expected = format!("{address} serves nobody: it has no quorum, or is starting");
        assert_eq!(failure.as_deref(), Some(&*expected));
    }
}
