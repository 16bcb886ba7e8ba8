//! After a fork the child has a copy of our memory and none of our threads, and it shares our sockets with its
//! parent: nothing of what was opened before may be touched there.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use once_cell::sync::OnceCell;

/// Counts the forks between the process that loaded the library and this one.
static FORKS: AtomicU64 = AtomicU64::new(0);

/// The process that something belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process(u64);

impl Process {
    /// This process. From the first call on, its children are told from it.
    pub fn current() -> io::Result<Process> {
        static WATCHED: OnceCell<()> = OnceCell::new();
        WATCHED.get_or_try_init(|| {
            // SAFETY: the handler does nothing but count, which is safe in a child of a process with threads.
            match unsafe { libc::pthread_atfork(None, None, Some(count_fork)) } {
                0 => Ok(()),
                error => Err(io::Error::from_raw_os_error(error)),
            }
        })?;
        Ok(Process(FORKS.load(Ordering::Relaxed)))
    }

    pub fn is_this(self) -> bool {
        self.0 == FORKS.load(Ordering::Relaxed)
    }
}

extern "C" fn count_fork() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}
