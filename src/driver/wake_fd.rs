//! A descriptor that is readable while notifications are pending. It works with poll, epoll and every event loop.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

#[derive(Debug)]
pub struct WakeFd(OwnedFd);

impl WakeFd {
    pub fn new() -> io::Result<WakeFd> {
        // SAFETY: creates a descriptor and touches nothing else.
        match unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) } {
            -1 => Err(io::Error::last_os_error()),
            // SAFETY: the descriptor is new, and ours.
            fd => Ok(WakeFd(unsafe { OwnedFd::from_raw_fd(fd) })),
        }
    }

    pub fn fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    pub fn signal(&self) {
        // SAFETY: eight bytes of ours. If the counter is full, the write fails, but the descriptor is readable.
        unsafe { libc::write(self.fd(), (&1u64 as *const u64).cast(), 8) };
    }

    pub fn clear(&self) {
        let mut count = 0u64;
        // SAFETY: eight bytes of ours.
        unsafe { libc::read(self.fd(), (&mut count as *mut u64).cast(), 8) };
    }
}
