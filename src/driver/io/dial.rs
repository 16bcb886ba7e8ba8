//! A race of connection attempts. Each address gets a head start of 250 ms before the next one is dialled, and the first
//! connection wins. The others are closed before a byte is sent on them, so that a session never has two connections.
//!
//! Nothing here waits. An attempt that fails at once costs one system call and is reported at once. The caller decides
//! when the address is dialled again.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::sockopt::{set_tcp_nodelay, socket_error};
use rustix::net::{connect, getpeername, getsockname, socket_with, AddressFamily, SocketFlags, SocketType};

use super::descriptor::Descriptor;
use super::poller::{Interest, Poller, Token, Watched};
use super::stream::Stream;
use crate::logic::Time;

/// The head start of an address (RFC 8305, "Connection Attempt Delay").
const HEAD_START_MS: u64 = 250;

/// The maximum number of attempts at the same time.
const DIALS: usize = 8;

#[derive(Debug)]
struct Dial {
    address: SocketAddr,
    socket: Watched,
    until: Time,
}

#[derive(Debug, Default)]
pub struct Race {
    dials: Vec<Dial>,
    last_start: Option<Time>,
}

/// The end of an attempt.
#[derive(Debug)]
pub struct Ended {
    pub address: SocketAddr,
    pub outcome: io::Result<Stream>,
}

impl Race {
    /// When the next address may be dialled: at once if no attempt is under way. `None` if too many are.
    pub fn next_start(&self) -> Option<Time> {
        match (self.dials.len(), self.last_start) {
            (0, _) | (_, None) => Some(Time(0)),
            (DIALS.., _) => None,
            (_, Some(last)) => Some(last.plus_ms(HEAD_START_MS)),
        }
    }

    /// Dials an address. The attempt fails if it has no answer within `patience`. An error means that it failed at once.
    pub fn start(
        &mut self,
        poller: &Arc<Poller>,
        owner: u32,
        now: Time,
        address: SocketAddr,
        patience: Duration,
    ) -> io::Result<()> {
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = Descriptor::new(socket_with(family, SocketType::STREAM, flags, None)?)?;
        // Requests are small and must not wait for the answers to others. Keepalive stays off: pings do its work.
        set_tcp_nodelay(socket.get()?, true)?;
        match connect(socket.get()?, &address) {
            // If it is connected already, epoll says so at once.
            Ok(()) | Err(rustix::io::Errno::INPROGRESS | rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let socket = poller.watch(socket, owner, Interest::Write)?;
        let until = now.plus_ms(patience.as_millis() as u64);
        self.dials.push(Dial { address, socket, until });
        self.last_start = Some(now);
        Ok(())
    }

    /// The socket with this token is ready. Returns how its attempt ended, if it is one of this race. A connection ends
    /// the race: the other attempts are given up.
    pub fn ready(&mut self, token: Token) -> Option<Ended> {
        let at = self.dials.iter().position(|dial| dial.socket.token == token)?;
        match is_connected(&self.dials[at].socket.socket) {
            Ok(false) => None,
            Ok(true) => {
                let Dial { address, socket, .. } = self.dials.swap_remove(at);
                self.stop();
                Some(Ended { address, outcome: Stream::new(socket) })
            }
            Err(error) => Some(Ended { address: self.dials.swap_remove(at).address, outcome: Err(error) }),
        }
    }

    /// Gives up an attempt whose time is over.
    pub fn give_up(&mut self, now: Time) -> Option<Ended> {
        let at = self.dials.iter().position(|dial| dial.until <= now)?;
        let outcome = Err(io::Error::from_raw_os_error(libc::ETIMEDOUT));
        Some(Ended { address: self.dials.swap_remove(at).address, outcome })
    }

    /// When `give_up` has something to do.
    pub fn poll_timeout(&self) -> Option<Time> {
        self.dials.iter().map(|dial| dial.until).min()
    }

    pub fn is_under_way(&self) -> bool {
        !self.dials.is_empty()
    }

    /// The addresses that are being dialled.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.dials.iter().map(|dial| dial.address)
    }

    /// Whether an attempt to connect to this address is under way.
    pub fn dials(&self, address: SocketAddr) -> bool {
        self.dials.iter().any(|dial| dial.address == address)
    }

    pub fn stop(&mut self) {
        self.dials.clear();
        self.last_start = None;
    }
}

/// Whether an attempt has succeeded, or is still under way.
fn is_connected(socket: &Descriptor) -> io::Result<bool> {
    let socket = socket.get()?;
    socket_error(socket)??;
    match getpeername(socket) {
        Err(rustix::io::Errno::NOTCONN) => Ok(false),
        // A socket that dials a free port of its own machine may be given just that port, and connect to itself.
        Ok(peer) if peer.as_ref() == Some(&getsockname(socket)?) => {
            Err(io::Error::from_raw_os_error(libc::ECONNREFUSED))
        }
        Ok(_) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::poller::Ready;
    use super::super::wake::Wake;
    use super::*;
    use crate::driver::clock;
    use std::net::TcpListener;

    use testkit::Namespace;

    const OWNER: u32 = 3;
    const LONG: Duration = Duration::from_secs(10);

    /// The port of nobody.
    fn refused() -> SocketAddr {
        TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
    }

    fn poller() -> Arc<Poller> {
        Poller::new(Arc::new(Wake::default())).unwrap()
    }

    /// Waits until an attempt ends, at `until` at the latest.
    fn next_end(race: &mut Race, poller: &Poller, until: Time) -> Option<Ended> {
        let mut ready: Vec<Ready> = Vec::new();
        while clock::now() < until {
            if let Some(ended) = race.give_up(clock::now()) {
                return Some(ended);
            }
            let deadline = race.poll_timeout().into_iter().chain([until]).min().unwrap();
            ready.clear();
            poller.wait(clock::until(deadline), &mut ready).unwrap();
            for Ready { token, .. } in &ready {
                assert_eq!(token.owner, OWNER);
                if let Some(ended) = race.ready(*token) {
                    return Some(ended);
                }
            }
        }
        None
    }

    fn start(race: &mut Race, poller: &Arc<Poller>, address: SocketAddr, patience: Duration) -> io::Result<()> {
        race.start(poller, OWNER, clock::now(), address, patience)
    }

    fn soon() -> Time {
        clock::now().plus_ms(10_000)
    }

    #[test]
    fn a_server_that_listens_wins() {
        let (poller, mut race) = (poller(), Race::default());
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        assert_eq!(race.next_start(), Some(Time(0)));
        start(&mut race, &poller, server.local_addr().unwrap(), LONG).unwrap();
        let socket = race.dials[0].socket.socket.get().unwrap();
        assert_eq!(rustix::net::sockopt::tcp_nodelay(socket), Ok(true));
        assert_eq!(rustix::net::sockopt::socket_keepalive(socket), Ok(false));
        let ended = next_end(&mut race, &poller, soon()).unwrap();
        assert_eq!(ended.address, server.local_addr().unwrap());
        let mut stream = ended.outcome.unwrap();
        assert!(!race.is_under_way());
        let (mut peer, _) = server.accept().unwrap();
        peer.set_read_timeout(Some(LONG)).unwrap();
        assert_eq!(stream.write(b"hello").unwrap(), 5);
        let mut heard = [0; 5];
        std::io::Read::read_exact(&mut peer, &mut heard).unwrap();
        assert_eq!(&heard, b"hello");
        assert!(stream.read(&mut [0; 8]).unwrap().is_none());
        drop(peer);
        let mut ready = Vec::new();
        poller.wait(LONG, &mut ready).unwrap();
        assert_eq!(ready[0].token, stream.token());
        assert!(stream.read(&mut [0; 8]).is_err());
    }

    #[test]
    fn a_refused_port_ends_at_once() {
        let (poller, mut race) = (poller(), Race::default());
        start(&mut race, &poller, refused(), LONG).unwrap();
        let ended = next_end(&mut race, &poller, soon()).unwrap();
        assert_eq!(ended.outcome.unwrap_err().raw_os_error(), Some(libc::ECONNREFUSED));
        assert_eq!(race.next_start(), Some(Time(0)), "the next address need not wait");
        assert_eq!(race.poll_timeout(), None);
    }

    /// An address of a network to which this thread has no route at all.
    #[test]
    fn an_address_without_a_route_ends_at_once() {
        Namespace::new().run(|| {
            let (poller, mut race) = (poller(), Race::default());
            let error = start(&mut race, &poller, "10.9.9.9:2181".parse().unwrap(), LONG).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::ENETUNREACH));
            assert!(!race.is_under_way());
        });
    }

    /// In a namespace, a listener whose backlog is full takes no more connections, and its kernel is silent about it.
    #[test]
    fn a_silent_server_delays_the_next_one_by_its_head_start() {
        Namespace::new().run(|| {
            let (silent, _held) = silent_server();
            let server = TcpListener::bind("127.0.0.1:0").unwrap();
            let (poller, mut race) = (poller(), Race::default());
            let began = clock::now();
            start(&mut race, &poller, silent, LONG).unwrap();
            let next = race.next_start().unwrap();
            assert!(next >= began.plus_ms(HEAD_START_MS), "{began:?} {next:?}");
            assert!(next_end(&mut race, &poller, next).is_none());
            start(&mut race, &poller, server.local_addr().unwrap(), LONG).unwrap();
            let ended = next_end(&mut race, &poller, soon()).unwrap();
            assert_eq!(ended.address, server.local_addr().unwrap());
            assert!(ended.outcome.is_ok() && !race.is_under_way());
        });
    }

    #[test]
    fn a_silent_server_is_given_up() {
        Namespace::new().run(|| {
            let (silent, _held) = silent_server();
            let (poller, mut race) = (poller(), Race::default());
            let began = clock::now();
            start(&mut race, &poller, silent, Duration::from_millis(30)).unwrap();
            let ended = next_end(&mut race, &poller, soon()).unwrap();
            assert_eq!(ended.outcome.unwrap_err().raw_os_error(), Some(libc::ETIMEDOUT));
            assert!(clock::now() >= began.plus_ms(30) && !race.is_under_way());
        });
    }

    /// The losers close their connections without a word.
    #[test]
    fn only_the_winner_keeps_its_connection() {
        let (poller, mut race) = (poller(), Race::default());
        let servers = [TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap()];
        for server in &servers {
            start(&mut race, &poller, server.local_addr().unwrap(), LONG).unwrap();
        }
        let winner = next_end(&mut race, &poller, soon()).unwrap();
        let stream = winner.outcome.unwrap();
        for server in &servers {
            let (mut peer, _) = server.accept().unwrap();
            peer.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
            let heard = std::io::Read::read(&mut peer, &mut [0]).map_err(|error| error.kind());
            match winner.address == server.local_addr().unwrap() {
                true => assert_eq!(heard, Err(io::ErrorKind::WouldBlock)),
                false => assert!(matches!(heard, Ok(0) | Err(io::ErrorKind::ConnectionReset)), "{heard:?}"),
            }
        }
        drop(stream);
    }

    #[test]
    fn attempts_are_limited() {
        Namespace::new().run(|| {
            let (silent, _held) = silent_server();
            let (poller, mut race) = (poller(), Race::default());
            for _ in 0..DIALS {
                assert!(race.next_start().is_some());
                start(&mut race, &poller, silent, LONG).unwrap();
            }
            assert_eq!(race.next_start(), None);
            race.stop();
            assert_eq!(race.next_start(), Some(Time(0)));
        });
    }

    /// A server that answers no attempt: nobody accepts its connections, and its queue of them is full.
    fn silent_server() -> (SocketAddr, Vec<std::net::TcpStream>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        // SAFETY: shortens the queue of a listener of ours.
        unsafe { libc::listen(std::os::fd::AsRawFd::as_raw_fd(&listener), 0) };
        let address = listener.local_addr().unwrap();
        let mut held = Vec::new();
        let timeout = Duration::from_millis(50);
        while let Ok(stream) = std::net::TcpStream::connect_timeout(&address, timeout) {
            held.push(stream);
        }
        std::mem::forget(listener); // It ends with the test's process.
        (address, held)
    }
}
