//! Looks up host names. getaddrinfo(3) waits as long as the system's resolver does, half a minute and more, and cannot be
//! cancelled. So each look-up runs on a thread of its own, and nobody waits for it: the answer arrives when it arrives,
//! and wakes the reactor.
//!
//! A name is looked up by one thread of the process at a time, however many sessions ask for it, and however many were closed
//! meanwhile. So there are never more such threads than names.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::mpsc::{channel, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::wake::Wake;
use crate::driver::connect_cause::CauseKind;
use crate::driver::fork::PerProcess;
use crate::driver::thread;

/// The maximum number of addresses of one name that are used.
const ADDRESSES: usize = 32;

/// The addresses of a host, with port 0; or why there are none.
pub type Found = Result<Vec<SocketAddr>, CauseKind>;

/// The names that are being looked up, and the reactors that wait for each. A process has one reactor, and one more for each
/// handle in loop mode.
static UNDER_WAY: PerProcess<UnderWay> = PerProcess::new();

type UnderWay = Mutex<BTreeMap<Arc<str>, Vec<Waiting>>>;

#[derive(Debug)]
struct Waiting {
    answered: Sender<(Arc<str>, Found)>,
    /// The reactor may end meanwhile.
    wake: Weak<Wake>,
}

#[derive(Debug)]
pub struct Lookups {
    wake: Arc<Wake>,
    answered: Sender<(Arc<str>, Found)>,
    answers: Receiver<(Arc<str>, Found)>,
    /// Who waits for each name that is being looked up.
    askers: BTreeMap<Arc<str>, BTreeSet<u32>>,
}

/// The answer to a look-up, and who asked for it.
#[derive(Debug)]
pub struct LookedUp {
    pub host: Arc<str>,
    pub found: Found,
    pub askers: BTreeSet<u32>,
}

impl Lookups {
    pub fn new(wake: Arc<Wake>) -> Lookups {
        let (answered, answers) = channel();
        Lookups { wake, answered, answers, askers: BTreeMap::new() }
    }

    /// Starts a look-up of `host`, or joins the one that is under way.
    pub fn ask(&mut self, asker: u32, host: &Arc<str>) {
        if let Some(askers) = self.askers.get_mut(host) {
            askers.insert(asker);
            return;
        }
        self.askers.insert(host.clone(), BTreeSet::from([asker]));
        let waiting = Waiting { answered: self.answered.clone(), wake: Arc::downgrade(&self.wake) };
        let Ok(under_way) = UNDER_WAY.get() else {
            return waiting.answer(host, Err(CauseKind::LookupFailed("no memory for it".to_owned())));
        };
        let is_new = {
            let mut under_way = lock(under_way);
            let all = under_way.entry(host.clone()).or_default();
            all.push(waiting);
            all.len() == 1
        };
        if is_new {
            let name = host.clone();
            let look = move || {
                let panicked = |_| Err(CauseKind::LookupFailed("a panic".to_owned()));
                answer(under_way, &name, thread::quietly(|| look_up(&name)).unwrap_or_else(panicked));
            };
            if let Err(error) = thread::spawn(c"election-dns", look) {
                answer(under_way, host, Err(CauseKind::LookupFailed(format!("no thread for it: {error}"))));
            }
        }
    }

    /// This asker is gone.
    pub fn forget(&mut self, asker: u32) {
        for askers in self.askers.values_mut() {
            askers.remove(&asker);
        }
    }

    /// Returns the next answer that has arrived.
    pub fn next(&mut self) -> Option<LookedUp> {
        let (host, found) = self.answers.try_recv().ok()?;
        let askers = self.askers.remove(&host).unwrap_or_default();
        Some(LookedUp { host, found, askers })
    }
}

impl Waiting {
    fn answer(self, host: &Arc<str>, found: Found) {
        let _ = self.answered.send((host.clone(), found));
        if let Some(wake) = self.wake.upgrade() {
            wake.signal();
        }
    }
}

fn answer(under_way: &UnderWay, host: &Arc<str>, found: Found) {
    let all = lock(under_way).remove(host).unwrap_or_default();
    for waiting in all {
        waiting.answer(host, found.clone());
    }
}

fn lock(under_way: &UnderWay) -> MutexGuard<'_, BTreeMap<Arc<str>, Vec<Waiting>>> {
    under_way.lock().unwrap_or_else(PoisonError::into_inner)
}

fn look_up(host: &str) -> Found {
    let found: io::Result<Vec<SocketAddr>> = (host, 0).to_socket_addrs().map(Iterator::collect);
    let mut addresses = found.map_err(|error| CauseKind::of_lookup(&error))?;
    let mut seen = BTreeSet::new();
    addresses.retain(|address| seen.insert(*address));
    addresses.truncate(ADDRESSES);
    match addresses.is_empty() {
        true => Err(CauseKind::NoSuchHost),
        false => Ok(addresses),
    }
}

#[cfg(test)]
mod tests {
    use super::super::poller::Poller;
    use super::*;
    use std::ffi::CString;
    use std::net::{IpAddr, UdpSocket};
    use std::time::{Duration, Instant};

    use testkit::{Namespace, ScratchFolder};

    const LONG: Duration = Duration::from_secs(10);

    fn next(lookups: &mut Lookups, poller: &Poller) -> LookedUp {
        let until = Instant::now() + LONG;
        loop {
            if let Some(answer) = lookups.next() {
                return answer;
            }
            assert!(Instant::now() < until, "no answer in {LONG:?}");
            lookups.wake.clear();
            if let Some(answer) = lookups.next() {
                return answer;
            }
            poller.wait(LONG, &mut Vec::new()).unwrap();
        }
    }

    #[test]
    fn a_name_is_looked_up_once_for_all_who_ask() {
        let wake = Arc::new(Wake::default());
        let poller = Poller::new(wake.clone()).unwrap();
        let mut lookups = Lookups::new(wake);
        let host: Arc<str> = "localhost".into();
        for asker in [1, 2, 3] {
            lookups.ask(asker, &host);
        }
        lookups.forget(2);
        let answer = next(&mut lookups, &poller);
        assert_eq!(answer.askers, BTreeSet::from([1, 3]));
        assert_eq!(answer.host, host);
        let found = answer.found.unwrap();
        assert!(!found.is_empty() && found.iter().all(|address| address.ip().is_loopback()), "{found:?}");
        assert!(lookups.next().is_none() && lookups.askers.is_empty());
    }

    /// Runs `act` in a mount namespace in which the resolver asks `servers`, in this order, and a network namespace in
    /// which only loopback addresses exist.
    fn with_resolvers<T: Send>(servers: &[IpAddr], act: impl FnOnce() -> T + Send) -> T {
        let folder = ScratchFolder::new("resolver");
        let path = folder.path().join("resolv.conf");
        let lines: String = servers.iter().map(|server| format!("nameserver {server}\n")).collect();
        std::fs::write(&path, format!("{lines}options timeout:1 attempts:2\n")).unwrap();
        let source = CString::new(path.to_str().unwrap()).unwrap();
        Namespace::new().run(|| {
            // SAFETY: moves this thread alone, which ends with the closure, to a copy of the mounts.
            unsafe {
                assert_eq!(libc::unshare(libc::CLONE_NEWNS), 0, "needs CAP_SYS_ADMIN");
                let none = std::ptr::null();
                assert_eq!(libc::mount(none, c"/".as_ptr(), none, libc::MS_REC | libc::MS_PRIVATE, none.cast()), 0);
                let target = c"/etc/resolv.conf".as_ptr();
                let mounted = libc::mount(source.as_ptr(), target, none, libc::MS_BIND, none.cast());
                assert_eq!(mounted, 0, "{}", io::Error::last_os_error());
            }
            act()
        })
    }

    /// Answers each question for an IPv4 address with 127.0.0.9, until the socket is asked for the name `end`.
    fn serve_names(socket: UdpSocket) {
        let mut question = [0; 512];
        while let Ok((length, asker)) = socket.recv_from(&mut question) {
            let question = &question[..length];
            if question[12..].starts_with(b"\x03end") {
                return;
            }
            let name_end = 12 + question[12..].iter().position(|byte| *byte == 0).unwrap();
            let is_ipv4 = question[name_end + 1..name_end + 3] == [0, 1];
            let mut answer = question[..name_end + 5].to_vec();
            answer[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, u8::from(is_ipv4), 0, 0, 0, 0]);
            if is_ipv4 {
                answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 127, 0, 0, 9]);
            }
            socket.send_to(&answer, asker).unwrap();
        }
    }

    /// The first resolver is silent. The answer of the second one arrives all the same, and nobody has waited for it.
    #[test]
    fn a_slow_resolver_blocks_nobody() {
        let (silent, good): (IpAddr, IpAddr) = ([127, 0, 0, 2].into(), [127, 0, 0, 3].into());
        with_resolvers(&[silent, good], || {
            let _silent = UdpSocket::bind((silent, 53)).unwrap();
            let server = UdpSocket::bind((good, 53)).unwrap();
            let ender = server.try_clone().unwrap();
            std::thread::scope(|scope| {
                scope.spawn(|| serve_names(server));
                let wake = Arc::new(Wake::default());
                let poller = Poller::new(wake.clone()).unwrap();
                let mut lookups = Lookups::new(wake);
                let began = Instant::now();
                lookups.ask(1, &"zk.example".into());
                lookups.ask(2, &"localhost".into());
                let first = next(&mut lookups, &poller);
                assert_eq!(&*first.host, "localhost");
                assert!(began.elapsed() < Duration::from_millis(900), "{:?}", began.elapsed());
                let second = next(&mut lookups, &poller);
                assert!(began.elapsed() >= Duration::from_millis(900), "the silent one was asked first");
                assert_eq!(second.found, Ok(vec![SocketAddr::from(([127, 0, 0, 9], 0))]));
                let end = b"\0\0\0\0\0\0\0\0\0\0\0\0\x03end\0";
                ender.send_to(end, (good, 53)).unwrap();
            });
        });
    }

    #[test]
    fn a_name_that_does_not_exist_has_its_cause() {
        with_resolvers(&[[127, 0, 0, 4].into()], || {
            let wake = Arc::new(Wake::default());
            let poller = Poller::new(wake.clone()).unwrap();
            let mut lookups = Lookups::new(wake);
            lookups.ask(1, &"nowhere.example".into());
            // Nobody listens on that port: the resolver fails at once.
            let answer = next(&mut lookups, &poller);
            assert!(matches!(answer.found, Err(CauseKind::LookupFailed(_))), "{answer:?}");
        });
    }
}
