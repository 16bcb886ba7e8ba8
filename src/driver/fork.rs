//! After a fork the child has a copy of our memory and none of our threads, and it shares our sockets with its
//! parent: nothing of what was opened before may be touched there.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Counts the forks between the process that loaded the library and this one.
static FORKS: AtomicU64 = AtomicU64::new(0);

/// The process that something belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process(u64);

impl Process {
    /// This process. From the first call on, its children are told from it.
    pub fn current() -> io::Result<Process> {
        static WATCHED: AtomicBool = AtomicBool::new(false);
        // Nobody waits here: in a child, it might be for a thread that is not there. To count a fork twice does no harm.
        if !WATCHED.load(Ordering::Acquire) {
            // SAFETY: the handler does nothing but count, which is safe in a child of a process with threads.
            match unsafe { libc::pthread_atfork(None, None, Some(count_fork)) } {
                0 => WATCHED.store(true, Ordering::Release),
                error => return Err(io::Error::from_raw_os_error(error)),
            }
        }
        Ok(Process(FORKS.load(Ordering::Relaxed)))
    }

    pub fn is_this(self) -> bool {
        Process::has_number(self.0)
    }

    /// To be kept where only a number can be.
    pub fn number(self) -> u64 {
        self.0
    }

    /// Whether the number is that of this process. Async-signal-safe.
    pub fn has_number(number: u64) -> bool {
        number == FORKS.load(Ordering::Relaxed)
    }
}

/// What one process only may do, and its children neither when it was only about to.
pub struct Claim(AtomicU64);

impl Claim {
    pub const fn new() -> Claim {
        Claim(AtomicU64::new(UNCLAIMED))
    }

    /// Whether it is this process, which is so from the first call on.
    pub fn is_ours(&self, process: Process) -> bool {
        match self.0.compare_exchange(UNCLAIMED, process.0, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => true,
            Err(claimant) => claimant == process.0,
        }
    }
}

const UNCLAIMED: u64 = u64::MAX;

extern "C" fn count_fork() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}
