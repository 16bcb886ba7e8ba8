//! A wake-up: a descriptor that is readable from the signal until it is cleared. It wakes the I/O thread, or a program that
//! dispatches its callbacks. Any thread may call `signal`; many signals before the thread wakes cost one system call.
//!
//! The wake-up is a pair of sockets, and not an eventfd(2), for two reasons. All eventfds share one inode, so we could not
//! tell ours from one of the program's (see `descriptor`). And a socket that is not ours any more refuses a send(2) in
//! most cases, where write(2) would write into the program's file.
//!
//! The pair also tells whether the program has closed our descriptors: whoever closes all descriptors closes these two.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::net::{recv, send, socketpair, AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

use super::descriptor::Descriptor;

#[derive(Debug, Default)]
pub struct Wake {
    pair: Mutex<Option<Arc<Pair>>>,
    /// A byte is on its way to the thread, or the thread has not yet read it.
    is_signalled: AtomicBool,
}

#[derive(Debug)]
pub struct Pair {
    pub sender: Descriptor,
    pub receiver: Descriptor,
}

impl Wake {
    /// Opens new descriptors: at the start, and when the former ones are lost.
    pub fn open(&self) -> io::Result<Arc<Pair>> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (sender, receiver) = socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        let pair = Arc::new(Pair { sender: Descriptor::new(sender)?, receiver: Descriptor::new(receiver)? });
        *self.lock() = Some(pair.clone());
        // What was signalled through the former descriptors is not lost: the thread looks at everything after this.
        self.is_signalled.store(false, Ordering::SeqCst);
        Ok(pair)
    }

    /// Wakes the thread. Publish first what the thread is to see. If the descriptors are lost, the thread sees it when
    /// its present wait ends.
    pub fn signal(&self) {
        if self.is_signalled.swap(true, Ordering::SeqCst) {
            return;
        }
        if let Some(pair) = self.pair() {
            if let Ok(sender) = pair.sender.get() {
                // The pair holds few bytes, so it is never full.
                let _ = send(sender, &[1], SendFlags::NOSIGNAL | SendFlags::DONTWAIT);
            }
        }
    }

    /// The thread calls this before it looks at what was published. A signal after this wakes it again.
    pub fn clear(&self) {
        if let Some(pair) = self.pair() {
            if let Ok(receiver) = pair.receiver.get() {
                let _ = recv(receiver, &mut [0u8; 64], RecvFlags::DONTWAIT);
            }
        }
        self.is_signalled.store(false, Ordering::SeqCst);
    }

    /// The descriptors, if they have been opened.
    pub fn pair(&self) -> Option<Arc<Pair>> {
        self.lock().clone()
    }

    /// Returns the descriptors. Opens others if the program has closed them.
    pub fn pair_or_new(&self) -> io::Result<Arc<Pair>> {
        match self.pair() {
            Some(pair) if self.is_intact() => Ok(pair),
            Some(_) => {
                let pair = self.open()?;
                // A signal may have got lost.
                self.signal();
                Ok(pair)
            }
            None => self.open(),
        }
    }

    /// Returns the number of the descriptor that is readable. Opens another one if the program has closed it.
    pub fn fd(&self) -> io::Result<RawFd> {
        Ok(self.pair_or_new()?.receiver.get()?.as_raw_fd())
    }

    /// Closes the descriptors. A signal after this has no effect.
    pub fn close(&self) {
        let _closed = self.lock().take();
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<Pair>>> {
        self.pair.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the descriptors are still ours.
    pub fn is_intact(&self) -> bool {
        self.pair().is_some_and(|pair| pair.sender.is_ours() && pair.receiver.is_ours())
    }
}

#[cfg(test)]
impl Wake {
    /// Puts another file in the place of a descriptor, as if the program had closed all descriptors.
    pub fn take_away(&self) -> std::os::unix::net::UnixStream {
        super::descriptor::tests::take_away(&self.pair().unwrap().receiver)
    }
}

#[cfg(test)]
mod tests {
    use super::super::descriptor::tests::take_away;
    use super::*;

    fn is_readable(pair: &Pair) -> bool {
        recv(pair.receiver.get().unwrap(), &mut [0u8; 8], RecvFlags::DONTWAIT | RecvFlags::PEEK).is_ok()
    }

    #[test]
    fn a_signal_stays_until_it_is_cleared() {
        let wake = Wake::default();
        wake.signal(); // Nothing is open yet: this is not an error.
        let pair = wake.open().unwrap();
        assert!(!is_readable(&pair));
        for _ in 0..3 {
            wake.signal();
        }
        assert!(is_readable(&pair));
        wake.clear();
        assert!(!is_readable(&pair));
        wake.signal();
        assert!(is_readable(&pair));
    }

    #[test]
    fn nothing_is_written_into_a_file_of_the_program() {
        let wake = Wake::default();
        let pair = wake.open().unwrap();
        assert!(wake.is_intact());
        let theirs = take_away(&pair.sender);
        assert!(!wake.is_intact());
        wake.signal();
        wake.clear();
        let again = wake.open().unwrap();
        wake.signal();
        assert!(is_readable(&again));
        drop(theirs);
    }
}
