//! Finds a server: dials the addresses in the order of `zk::Servers`, and encrypts the connection that wins. Why others
//! failed is for [`Diagnosis`] to say.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::addresses::Addresses;
use super::diagnosis::{Diagnosis, Failure};
use super::earliest;
use super::handshake::Handshakes;
use super::probe::Question;
use crate::driver::connect_cause::{of_server, CauseKind, ConnectFailure};
use crate::driver::hosts::Hosts;
use crate::driver::io::dial::{Ended, Race};
use crate::driver::io::lookup::LookedUp;
use crate::driver::io::poller::Token;
use crate::driver::io::reactor::{Io, TaskWaker};
use crate::driver::io::stream::Stream;
use crate::driver::tls::TlsSettings;
use crate::logic::Time;
use crate::zk::{Next, Servers};

/// An attempt has this long to connect, or a fifth of the session timeout if that is longer. The first retry of TCP comes
/// after a second.
const SHORTEST_PATIENCE: Duration = Duration::from_millis(1_500);
const LONGEST_PATIENCE: Duration = Duration::from_secs(60);

pub struct Dialer {
    addresses: Addresses,
    servers: Servers,
    race: Race,
    /// `None` if connections are not encrypted.
    tls: Option<Handshakes>,
    patience: Duration,
    diagnosis: Diagnosis,
}

impl Dialer {
    /// With `tls`, the files are read on another thread, which then gives the task of `waker` a turn.
    pub fn new(
        hosts: &Hosts,
        session_timeout: Duration,
        tls: Option<Arc<TlsSettings>>,
        waker: TaskWaker,
    ) -> Dialer {
        Dialer {
            addresses: Addresses::new(hosts),
            servers: Servers::new(fastrand::u64(..)),
            race: Race::default(),
            diagnosis: Diagnosis::new(tls.is_some()),
            tls: tls.map(|settings| Handshakes::new(settings, waker)),
            patience: (session_timeout / 5).clamp(SHORTEST_PATIENCE, LONGEST_PATIENCE),
        }
    }

    /// Dials what is due. Returns when the next turn is due.
    pub fn turn(&mut self, io: &mut Io, now: Time) -> Option<Time> {
        self.diagnosis.no_connection(now);
        while let Some(Ended { address, outcome }) = self.race.give_up(now) {
            if let Err(error) = outcome {
                self.attempt_failed(now, address, CauseKind::of(&error));
            }
        }
        if let Some(Ended { address, outcome: Err(error) }) = self.tls.as_mut().and_then(|tls| tls.turn(now)) {
            self.handshake_failed(now, address, &error);
        }
        self.use_addresses(now);
        self.diagnosis.turn(io, now, &self.addresses);
        // Only the connection that won the race goes on to the handshake.
        let handshake = self.tls.as_ref().and_then(Handshakes::poll_timeout);
        let next = if handshake.is_some() { handshake } else { self.dial(io, now) };
        earliest([next, self.race.poll_timeout(), self.diagnosis.poll_timeout(now)])
    }

    /// The connection that was found has no session yet. Returns when the next turn is due.
    pub fn turn_while_waiting(&mut self, io: &mut Io, now: Time) -> Option<Time> {
        if let Some(address) = self.diagnosis.is_silent(now) {
            self.diagnosis.ask(address, self.question(address));
        }
        self.diagnosis.turn(io, now, &self.addresses);
        self.diagnosis.poll_timeout(now)
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
                    self.addresses.look_up(io, now);
                    self.use_addresses(now);
                }
                Next::WaitUntil(then) => return Some(then),
                Next::WaitForLookUp => return self.addresses.poll_timeout(now),
            }
        }
    }

    pub fn looked_up(&mut self, now: Time, answer: &LookedUp) {
        self.addresses.looked_up(answer);
        self.use_addresses(now);
    }

    /// Begins the round if it waits for addresses and has waited long enough.
    fn use_addresses(&mut self, now: Time) {
        if let Some(addresses) = self.addresses.take(now) {
            self.diagnosis.round_begins(now, &self.addresses);
            self.servers.set_addresses(now, addresses);
        }
    }

    /// A socket is ready. Returns the connection, if that ends the race and, with TLS, the handshake.
    pub fn ready(&mut self, now: Time, token: Token) -> Option<(SocketAddr, Stream)> {
        let found = match self.tls.as_mut().and_then(|tls| tls.ready(token)) {
            Some(ended) => self.handshake_ended(now, ended),
            None => self.race_ready(now, token),
        };
        if let Some((address, _)) = &found {
            self.diagnosis.waits(now, *address);
        }
        found
    }

    /// A socket is ready that is not the session's: it may be a probe's.
    pub fn probe_ready(&mut self, now: Time, token: Token) {
        self.diagnosis.ready(now, &self.addresses, token);
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
        let host = self.addresses.host(address);
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

    /// The host of an address in the connect string, which SASL goes to.
    pub fn host_of(&self, address: SocketAddr) -> String {
        self.addresses.host(address)
    }

    /// What a server is asked that lets a connection stand.
    fn question(&self, address: SocketAddr) -> Question {
        match self.tls.as_ref().and_then(Handshakes::config) {
            Some(config) => Question::Encrypted(config.clone(), self.addresses.host(address)),
            None => Question::Word,
        }
    }

    /// The session stands on a connection to this address.
    pub fn connected(&mut self, now: Time, address: SocketAddr) {
        self.servers.connected(now, address);
        self.diagnosis.connected();
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

    /// A server has opened a new session, which did not come to stand. The server keeps it until it expires.
    pub fn opened_in_vain(&mut self, now: Time) {
        self.servers.has_refused(now);
    }

    /// An attempt has failed: no session stood.
    pub fn attempt_failed(&mut self, now: Time, address: SocketAddr, kind: CauseKind) {
        let question = self.question(address);
        self.failed(now, address, kind, question);
    }

    /// If the server has said nothing, it is asked why with `question`.
    fn failed(&mut self, now: Time, address: SocketAddr, kind: CauseKind, question: Question) {
        self.servers.failed(now, address);
        self.diagnosis.failed(now, &self.addresses, address, kind, question);
    }

    /// A sentence about the server at this address.
    pub fn explain(&self, address: SocketAddr, kind: CauseKind) -> Option<Arc<str>> {
        let causes = of_server(self.addresses.server(address)?, vec![(address, kind)]);
        Some(ConnectFailure { causes }.to_string().into())
    }

    /// Why no server was reached, if there is something to report.
    pub fn take_failure(&mut self, now: Time) -> Option<Failure> {
        let dials = self.race.addresses().map(|address| (address, CauseKind::NoAnswer));
        let handshake = self.tls.as_ref().and_then(Handshakes::under_way);
        let under_way: Vec<_> = dials.chain(handshake.map(|address| (address, CauseKind::Silent))).collect();
        self.diagnosis.take_failure(now, &self.addresses, &under_way)
    }

    /// Gives up all attempts.
    pub fn stop(&mut self) {
        self.race.stop();
        if let Some(tls) = &mut self.tls {
            tls.stop();
        }
        self.diagnosis.stop();
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
    use std::net::TcpListener;
    use std::sync::mpsc::{channel, Receiver, Sender};

    pub const LONG: Duration = Duration::from_secs(10);

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

    pub fn dial(hosts: &str) -> Receiver<Said> {
        dial_by(hosts, LONG, None)
    }

    pub fn dial_by(hosts: &str, session_timeout: Duration, tls: Option<TlsSettings>) -> Receiver<Said> {
        let reactor = Reactor::new().unwrap();
        let shared = reactor.shared();
        thread::spawn(c"election-io", move || reactor.serve()).unwrap();
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
}
