//! Waits until a socket is ready or the thread is woken: epoll(7).
//!
//! Three things happen to descriptors that epoll does not tell:
//!
//! - The program closes all of them (see `descriptor`). All epoll instances share one inode, so the number of ours may
//!   belong to the program's own instance by now. The two sockets of the wake-up say so: they are lost together with
//!   everything else. Each use of the instance looks at them first. Then `wait` fails, and the thread starts anew.
//! - The program forks. A socket that we close stays open in the child, and epoll reports it for as long as it is open. So
//!   a socket is removed from the instance before it is closed, and shut down, so that the server learns of the end.
//! - Events arrive for a socket that was closed a moment ago. Each registration has a token that is never used again.

use std::io;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::Arc;
use std::time::Duration;

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::net::{shutdown, Shutdown};

use super::descriptor::Descriptor;
use super::wake::{Pair, Wake};

/// The number of events that one wait returns at most. The others come with the next wait: the kernel keeps them in a
/// queue, and moves what it has reported to the end.
const EVENTS: usize = 64;

/// One registration of a socket: who owns it, and a number of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Token {
    pub owner: u32,
    serial: u32,
}

/// The serial number of the wake-up. Sockets have others.
const WAKE: Token = Token { owner: 0, serial: 0 };

impl Token {
    fn data(self) -> EventData {
        EventData::new_u64(u64::from(self.owner) << 32 | u64::from(self.serial))
    }

    fn of(data: u64) -> Token {
        Token { owner: (data >> 32) as u32, serial: data as u32 }
    }
}

/// A socket that can be read or written, has failed, or was ended by its peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    pub token: Token,
    pub read: bool,
    pub write: bool,
}

/// What a socket is watched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    Read,
    Write,
    Both,
}

impl Interest {
    fn flags(self) -> EventFlags {
        match self {
            Interest::Read => EventFlags::IN,
            Interest::Write => EventFlags::OUT,
            Interest::Both => EventFlags::IN | EventFlags::OUT,
        }
    }
}

#[derive(Debug)]
pub struct Poller {
    epoll: Descriptor,
    wake: Arc<Wake>,
    /// Keeps the descriptors that are registered.
    _pair: Arc<Pair>,
    last_serial: AtomicU32,
}

impl Poller {
    /// Opens the descriptors, also those of the wake-up.
    pub fn new(wake: Arc<Wake>) -> io::Result<Arc<Poller>> {
        let pair = wake.open()?;
        let epoll = Descriptor::new(epoll::create(CreateFlags::CLOEXEC)?)?;
        epoll::add(epoll.get()?, pair.receiver.get()?, WAKE.data(), EventFlags::IN)?;
        Ok(Arc::new(Poller { epoll, wake, _pair: pair, last_serial: AtomicU32::new(WAKE.serial) }))
    }

    /// Watches a socket. `owner` receives its events.
    pub fn watch(self: &Arc<Poller>, socket: Descriptor, owner: u32, interest: Interest) -> io::Result<Watched> {
        let token = Token { owner, serial: self.serial() };
        epoll::add(self.epoll()?, socket.get()?, token.data(), interest.flags())?;
        Ok(Watched { socket, token, interest, poller: self.clone() })
    }

    /// Waits for at most `timeout` until `wait` has something to return. Returns whether a signal handler has ended that.
    /// Unlike epoll_wait(2), ppoll(2) goes on if the process was only stopped and continued. A system call made in this way
    /// is no cancellation point.
    pub fn sleep(&self, timeout: Duration) -> io::Result<bool> {
        let mut waiting = libc::pollfd { fd: self.epoll()?.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        let mut timeout = libc::timespec {
            tv_sec: timeout.as_secs() as libc::time_t,
            tv_nsec: timeout.subsec_nanos() as libc::c_long,
        };
        let no_mask = std::ptr::null::<libc::sigset_t>();
        // SAFETY: both structs are ours.
        let slept =
            unsafe { libc::syscall(libc::SYS_ppoll, &raw mut waiting, 1usize, &raw mut timeout, no_mask, 8usize) };
        Ok(slept < 0 && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted)
    }

    /// Waits for at most `timeout`. Adds the sockets that are ready, and returns whether the wake-up was signalled. Fails if
    /// our descriptors are lost, and if a signal handler has ended the wait.
    pub fn wait(&self, timeout: Duration, ready: &mut Vec<Ready>) -> io::Result<bool> {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; EVENTS];
        // Rounded up: a wait that ends before its deadline would be repeated at once.
        let ms = timeout.as_nanos().div_ceil(1_000_000).min(i32::MAX as u128) as i32;
        let epoll = self.epoll()?.as_raw_fd();
        let no_mask = std::ptr::null::<libc::sigset_t>();
        // SAFETY: the events are ours. rustix leaves an argument of this call uninitialised, which valgrind reports; and
        // epoll_wait of the C library is a cancellation point.
        let count = unsafe {
            libc::syscall(libc::SYS_epoll_pwait, epoll, events.as_mut_ptr(), events.len(), ms, no_mask, 8usize)
        };
        let Ok(count) = usize::try_from(count) else {
            return Err(io::Error::last_os_error());
        };
        let mut is_woken = false;
        for event in &events[..count] {
            let (token, flags) = (Token::of(event.u64), EventFlags::from_bits_retain(event.events));
            if token == WAKE {
                is_woken = true;
                continue;
            }
            let failed = flags.intersects(EventFlags::ERR | EventFlags::HUP);
            let (read, write) = (flags.contains(EventFlags::IN), flags.contains(EventFlags::OUT));
            ready.push(Ready { token, read: read || failed, write: write || failed });
        }
        Ok(is_woken)
    }

    /// The descriptor, which is readable while there is something for `wait` to return.
    pub fn epoll(&self) -> io::Result<std::os::fd::BorrowedFd<'_>> {
        match self.wake.is_intact() {
            true => self.epoll.get(),
            false => Err(io::Error::from_raw_os_error(libc::EBADF)),
        }
    }

    /// A number is used again only after four billion registrations.
    fn serial(&self) -> u32 {
        loop {
            let serial = self.last_serial.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
            if serial != WAKE.serial {
                return serial;
            }
        }
    }
}

/// A socket that is watched. Dropping it ends the connection and closes the socket.
#[derive(Debug)]
pub struct Watched {
    pub socket: Descriptor,
    pub token: Token,
    interest: Interest,
    poller: Arc<Poller>,
}

impl Watched {
    pub fn set_interest(&mut self, interest: Interest) -> io::Result<()> {
        if self.interest != interest {
            let flags = interest.flags();
            epoll::modify(self.poller.epoll()?, self.socket.get()?, self.token.data(), flags)?;
            self.interest = interest;
        }
        Ok(())
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let Ok(socket) = self.socket.get() else { return };
        if let Ok(epoll) = self.poller.epoll() {
            let _ = epoll::delete(epoll, socket);
        }
        // It may fail: a socket that never connected has nothing to shut down.
        let _ = shutdown(socket, Shutdown::Both);
    }
}

#[cfg(test)]
mod tests {
    use super::super::descriptor::tests::take_away;
    use super::*;
    use std::io::{Read, Write};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;
    use std::time::Instant;

    const LONG: Duration = Duration::from_secs(10);
    const SHORT: Duration = Duration::from_millis(20);

    fn poller() -> (Arc<Poller>, Arc<Wake>) {
        let wake = Arc::new(Wake::default());
        (Poller::new(wake.clone()).unwrap(), wake)
    }

    fn wait(poller: &Poller, timeout: Duration) -> (Vec<Ready>, bool) {
        let mut ready = Vec::new();
        let is_woken = poller.wait(timeout, &mut ready).unwrap();
        (ready, is_woken)
    }

    fn watched(poller: &Arc<Poller>, interest: Interest) -> (Watched, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        theirs.set_read_timeout(Some(LONG)).unwrap();
        (poller.watch(Descriptor::new(ours.into()).unwrap(), 7, interest).unwrap(), theirs)
    }

    #[test]
    fn a_socket_that_can_be_read_ends_the_wait() {
        let (poller, _wake) = poller();
        let (mut socket, mut peer) = watched(&poller, Interest::Read);
        assert_eq!(wait(&poller, Duration::ZERO), (vec![], false));
        peer.write_all(b"x").unwrap();
        let is_read = Ready { token: socket.token, read: true, write: false };
        assert_eq!(wait(&poller, LONG), (vec![is_read], false));
        socket.set_interest(Interest::Both).unwrap();
        assert_eq!(wait(&poller, LONG), (vec![Ready { write: true, ..is_read }], false));
        assert_eq!(socket.token.owner, 7);
    }

    #[test]
    fn a_signal_ends_the_wait() {
        let (poller, wake) = poller();
        let signaller = std::thread::spawn({
            let wake = wake.clone();
            move || wake.signal()
        });
        assert_eq!(wait(&poller, LONG), (vec![], true));
        signaller.join().unwrap();
        wake.clear();
        assert_eq!(wait(&poller, Duration::ZERO), (vec![], false));
    }

    #[test]
    fn a_wait_is_not_shorter_than_its_timeout() {
        let (poller, _wake) = poller();
        let began = Instant::now();
        wait(&poller, SHORT + Duration::from_nanos(1));
        assert!(began.elapsed() > SHORT);
    }

    #[test]
    fn a_socket_that_is_dropped_is_forgotten_though_a_child_has_a_copy() {
        let (poller, _wake) = poller();
        let (socket, mut peer) = watched(&poller, Interest::Both);
        // A copy of the descriptor, as a child has one.
        let copy = socket.socket.get().unwrap().try_clone_to_owned().unwrap();
        drop(socket);
        assert_eq!(wait(&poller, SHORT), (vec![], false));
        assert_eq!(peer.read(&mut [0]).unwrap(), 0, "the peer learns of the end");
        drop(copy);
    }

    #[test]
    fn the_loss_of_the_descriptors_is_an_error() {
        let (poller, wake) = poller();
        let (socket, _peer) = watched(&poller, Interest::Read);
        let theirs = take_away(&poller._pair.receiver);
        let error = poller.wait(LONG, &mut Vec::new()).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EBADF));
        assert!(theirs.as_fd().try_clone_to_owned().is_ok());
        drop(socket);
        let poller = Poller::new(wake.clone()).unwrap();
        wake.signal();
        assert_eq!(wait(&poller, LONG), (vec![], true));
    }
}
