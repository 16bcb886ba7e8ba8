//! Finds out why there is no connection. Keeps how the attempts of an outage ended, asks the servers that said nothing, and
//! says when there is something to report.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::addresses::Addresses;
use super::earliest;
use super::probe::{Probe, Question};
use crate::driver::connect_cause::{of_server, CauseKind, ConnectCause, ConnectFailure};
use crate::driver::io::poller::Token;
use crate::driver::io::reactor::Io;
use crate::logic::Time;

/// Failures are reported when a round is over, and after this time at the latest.
const REPORT_MS: u64 = 1_000;

/// A connection without a session for this long is probed.
const PROBED_FIRST_MS: u64 = 300;

/// The maximum number of probes at the same time, and how long an answer counts.
const PROBES: usize = 8;
const PROBED_AGAIN_MS: u64 = 2_000;

#[derive(Default)]
pub struct Diagnosis {
    /// Connections are encrypted.
    is_encrypted: bool,
    told_lookup: bool,
    /// Why the attempts of this outage failed, by server.
    outcomes: Outcomes,
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

type Outcomes = BTreeMap<usize, Vec<(SocketAddr, CauseKind)>>;

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

impl Diagnosis {
    pub fn new(is_encrypted: bool) -> Diagnosis {
        Diagnosis { is_encrypted, ..Diagnosis::default() }
    }

    /// There is no connection.
    pub fn no_connection(&mut self, now: Time) {
        self.waiting = None;
        self.outage_since.get_or_insert(now);
    }

    /// A connection to this address was found. No session stands on it yet.
    pub fn waits(&mut self, now: Time, address: SocketAddr) {
        self.waiting = Some(Waiting { address, since: now, is_probed: false });
    }

    /// A session stands.
    pub fn connected(&mut self) {
        *self = Diagnosis::new(self.is_encrypted);
    }

    /// A round begins with addresses that were looked up.
    pub fn round_begins(&mut self, now: Time, addresses: &Addresses) {
        self.told_lookup = false;
        if addresses.has_fault() {
            self.failed_since.get_or_insert(now);
        }
    }

    /// An attempt has failed: no session stood. If the server has said nothing, it is asked why with `question`.
    pub fn failed(
        &mut self,
        now: Time,
        addresses: &Addresses,
        address: SocketAddr,
        kind: CauseKind,
        question: Question,
    ) {
        self.failed_since.get_or_insert(now);
        match self.probed.get(&address) {
            _ if !matches!(kind, CauseKind::ThrownOut | CauseKind::Silent) => self.note(addresses, address, kind),
            Some((then, said)) if now < then.plus_ms(PROBED_AGAIN_MS) => {
                let kind = said.clone().unwrap_or(kind);
                self.note(addresses, address, kind);
            }
            _ => {
                self.note(addresses, address, kind);
                if !self.probes.iter().any(|probe| probe.address == address) && self.probes.len() < PROBES {
                    self.to_probe.entry(address).or_insert(question);
                }
            }
        }
    }

    fn note(&mut self, addresses: &Addresses, address: SocketAddr, kind: CauseKind) {
        let Some(owner) = addresses.owner(address) else { return };
        let outcomes = self.outcomes.entry(owner).or_default();
        outcomes.retain(|(other, _)| *other != address);
        outcomes.push((address, kind));
        outcomes.sort_by_key(|(address, _)| *address);
    }

    /// The connection that has no session yet, if it is time to ask its server why.
    pub fn is_silent(&mut self, now: Time) -> Option<SocketAddr> {
        let waiting = self.waiting.as_mut()?;
        let is_due = !waiting.is_probed && waiting.since.plus_ms(PROBED_FIRST_MS) <= now;
        waiting.is_probed |= is_due;
        is_due.then_some(waiting.address)
    }

    /// Asks this server why it says nothing.
    pub fn ask(&mut self, address: SocketAddr, question: Question) {
        self.to_probe.insert(address, question);
    }

    /// Begins and ends probes that are due.
    pub fn turn(&mut self, io: &mut Io, now: Time, addresses: &Addresses) {
        while let Some(at) = self.probes.iter_mut().position(|probe| probe.handle_timeout(now)) {
            self.probe_ended(now, addresses, at);
        }
        for (address, question) in std::mem::take(&mut self.to_probe) {
            let started = io.poller().and_then(|poller| Probe::start(poller, io.task, now, address, question));
            self.probes.extend(started);
        }
    }

    /// When `turn`, `is_silent` or `take_failure` has something to do.
    pub fn poll_timeout(&self, now: Time) -> Option<Time> {
        let silent = self.waiting.as_ref().filter(|waiting| !waiting.is_probed);
        let silent = silent.map(|waiting| waiting.since.plus_ms(PROBED_FIRST_MS));
        let probes = self.probes.iter().map(Probe::poll_timeout).min();
        let first = self.outage_since.filter(|_| !self.has_reported);
        let reports = [self.failed_since, first].map(|since| since.map(|since| since.plus_ms(REPORT_MS)));
        earliest([silent, probes, earliest(reports.map(|then| then.filter(|then| *then > now)))])
    }

    /// A socket is ready that may be a probe's.
    pub fn ready(&mut self, now: Time, addresses: &Addresses, token: Token) {
        let ready = |(at, probe): (usize, &mut Probe)| probe.ready(token).map(|is_over| (at, is_over));
        if let Some((at, true)) = self.probes.iter_mut().enumerate().find_map(ready) {
            self.probe_ended(now, addresses, at);
        }
    }

    fn probe_ended(&mut self, now: Time, addresses: &Addresses, at: usize) {
        let probe = self.probes.swap_remove(at);
        let kind = match (&probe.question, probe.kind(), self.is_encrypted) {
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
            self.note(addresses, probe.address, kind);
        }
        self.probed.insert(probe.address, (now, kind));
    }

    /// Why no server was reached: once for each round that has failed, at least once a second while attempts fail, and
    /// once if the look-ups take long. Before that, once if the first attempts take a second. `under_way` has the attempts
    /// that have not ended, with what to say of each if it takes long.
    pub fn take_failure(
        &mut self,
        now: Time,
        addresses: &Addresses,
        under_way: &[(SocketAddr, CauseKind)],
    ) -> Option<Failure> {
        let lookup_is_long = addresses.is_long(now) && !self.told_lookup;
        let is_busy = !under_way.is_empty() || !self.probes.is_empty() || !self.to_probe.is_empty();
        let has_failed = self.failed_since.is_some_and(|since| !is_busy || now >= since.plus_ms(REPORT_MS));
        let is_slow = self.outage_since.is_some_and(|since| now >= since.plus_ms(REPORT_MS)) && !self.has_reported;
        if !lookup_is_long && !has_failed {
            return is_slow.then(|| self.what_is_slow(addresses, under_way)).flatten();
        }
        self.told_lookup |= lookup_is_long;
        self.failed_since = None;
        self.has_reported = true;
        let mut causes = Vec::new();
        for (at, server) in addresses.servers().iter().enumerate() {
            if let Some(kind) = addresses.fault(server) {
                causes.push(ConnectCause { server: server.clone(), addresses: Vec::new(), kind });
            }
            if let Some(outcomes) = self.outcomes.get(&at) {
                causes.extend(of_server(server, outcomes.clone()));
            }
        }
        (!causes.is_empty()).then_some(Failure::Failed(ConnectFailure { causes }))
    }

    /// The attempts that are under way, if they take long.
    fn what_is_slow(&mut self, addresses: &Addresses, under_way: &[(SocketAddr, CauseKind)]) -> Option<Failure> {
        self.has_reported = true;
        let waiting = self.waiting.as_ref().and_then(|Waiting { address, .. }| match self.probed.get(address) {
            // It serves, so the session will stand in a moment.
            Some((_, Some(CauseKind::Serves))) => None,
            Some((_, Some(said))) => Some((*address, said.clone())),
            _ => Some((*address, CauseKind::Silent)),
        });
        let mut outcomes = Outcomes::new();
        for (address, kind) in under_way.iter().cloned().chain(waiting) {
            if let Some(owner) = addresses.owner(address) {
                outcomes.entry(owner).or_default().push((address, kind));
            }
        }
        let servers = addresses.servers();
        let causes = outcomes.into_iter().flat_map(|(owner, outcomes)| of_server(&servers[owner], outcomes));
        let causes: Vec<ConnectCause> = causes.collect();
        (!causes.is_empty()).then_some(Failure::Slow(ConnectFailure { causes }))
    }

    /// Gives up all probes.
    pub fn stop(&mut self) {
        self.waiting = None;
        self.to_probe.clear();
        self.probes.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::time::Duration;

    use super::super::dialer::tests::{dial, Said, LONG};

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
