//! A descriptor that is used only while it is ours.
//!
//! A program may close descriptors that it did not open: a daemon calls closefrom(3), and a program with a defect closes
//! one descriptor twice. The number may then belong to a file of the program. A write of ours would go into that file.
//! So each use first compares the file behind the number with the file that we opened. That costs one fstat(2).
//!
//! The kernel gives each socket an inode of its own, so a socket is recognised with certainty. All epoll instances share
//! one inode: see `poller`.

use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use rustix::fs::fstat;

/// Closes the descriptor when it is dropped, if it is still ours.
#[derive(Debug)]
pub struct Descriptor {
    fd: ManuallyDrop<OwnedFd>,
    file: FileId,
}

/// The file behind a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    fn of(fd: BorrowedFd) -> io::Result<FileId> {
        let stat = fstat(fd)?;
        Ok(FileId { device: stat.st_dev, inode: stat.st_ino })
    }
}

impl Descriptor {
    pub fn new(fd: OwnedFd) -> io::Result<Descriptor> {
        let file = FileId::of(fd.as_fd())?;
        Ok(Descriptor { fd: ManuallyDrop::new(fd), file })
    }

    /// Returns the descriptor for one system call. Fails with EBADF if it is not ours any more.
    pub fn get(&self) -> io::Result<BorrowedFd<'_>> {
        match FileId::of(self.fd.as_fd()) {
            Ok(file) if file == self.file => Ok(self.fd.as_fd()),
            _ => Err(io::Error::from_raw_os_error(libc::EBADF)),
        }
    }

    pub fn is_ours(&self) -> bool {
        self.get().is_ok()
    }

    /// The number of the descriptor and the inode of its file, for code that may not use this.
    pub fn number_and_inode(&self) -> (RawFd, u64) {
        (self.fd.as_raw_fd(), self.file.inode)
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        if self.is_ours() {
            // SAFETY: the descriptor is not used after this.
            unsafe { ManuallyDrop::drop(&mut self.fd) };
        }
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    /// Closes the number of a descriptor behind its back, and puts another file there. Returns that file.
    ///
    /// The number is never free meanwhile, so a test on another thread cannot get it.
    pub fn take_away(descriptor: &Descriptor) -> UnixStream {
        let (theirs, _) = UnixStream::pair().unwrap();
        let number = descriptor.fd.as_raw_fd();
        // SAFETY: the number is the descriptor's, and the descriptor stops using it.
        let copied = unsafe { libc::dup3(theirs.as_raw_fd(), number, libc::O_CLOEXEC) };
        assert_eq!(copied, number);
        // SAFETY: the number is now this stream's.
        unsafe { std::os::fd::FromRawFd::from_raw_fd(number) }
    }

    #[test]
    fn a_number_that_belongs_to_another_file_is_left_alone() {
        let (one, _other) = UnixStream::pair().unwrap();
        let descriptor = Descriptor::new(one.into()).unwrap();
        assert!(descriptor.is_ours());
        let theirs = take_away(&descriptor);
        assert_eq!(descriptor.get().unwrap_err().raw_os_error(), Some(libc::EBADF));
        drop(descriptor);
        assert!(theirs.peer_addr().is_ok() || theirs.local_addr().is_ok(), "the other file is still open");
    }

    #[test]
    fn a_descriptor_of_ours_is_closed() {
        use std::io::Read;
        let (one, mut other) = UnixStream::pair().unwrap();
        other.set_read_timeout(Some(std::time::Duration::from_secs(10))).unwrap();
        drop(Descriptor::new(one.into()).unwrap());
        assert_eq!(other.read(&mut [0]).unwrap(), 0);
    }
}
