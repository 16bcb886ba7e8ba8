//! Which process this is. A child has a copy of its parent's memory and none of its threads, and it shares the parent's
//! sockets: nothing of what the parent opened may be used there.
//!
//! A child is told by a page of memory that the kernel hands to every child as zeros (MADV_WIPEONFORK, Linux 4.14):
//! `fork()`, `_Fork()` and `clone()` alike. To ask costs two loads. Where the kernel does not know that, a handler of
//! `fork()` writes the zeros, and the process's id is compared for children that run no such handler.
//!
//! `vfork()` and `clone(CLONE_VM)` copy no memory, so no page can tell: the child is told by its process id, which costs a
//! system call, and is therefore not asked by `is_master`. There the parent's threads keep the memory true.

use std::io;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};

/// What a page says of the process that it belongs to. All zero in a new child.
struct Page {
    /// Which process of those that descend from the one that loaded the library; 0 until it matters.
    mark: AtomicU64,
    /// The id of that process.
    pid: AtomicU32,
    /// 1 when `fork()` made this process: its handlers have run, and the C library's locks are free.
    is_of_fork: AtomicU32,
}

static PAGE: AtomicPtr<Page> = AtomicPtr::new(null_mut());

/// The last mark that was given; in a child, the last one before it was made.
static LAST_MARK: AtomicU64 = AtomicU64::new(0);

/// The process that the library's thread belongs to, and with it every handle; 0 for none so far.
static OWNER: AtomicU64 = AtomicU64::new(0);

/// In a mark: the kernel did not wipe the page, so that the process's id has to be compared, too.
const BY_PID: u64 = 1 << 63;

/// The process that something belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process(u64);

/// What this process is to the one whose handles are in its memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kin {
    /// It is that process, or there are no handles.
    Itself,
    /// A child that `fork()` made.
    Forked,
    /// A child that was made in another way: even a lock of malloc may be held there for ever.
    Copied,
    /// A child that lives in the other's own memory.
    Sharer,
}

impl Process {
    /// This process. From the first call on, its children are told from it.
    pub fn current() -> io::Result<Process> {
        let page = match page() {
            Some(page) => page,
            None => make_page()?,
        };
        // Nobody waits here: in a child, it might be for a thread that is not there.
        let unmarked = page.mark.load(Ordering::Acquire) & BY_PID;
        if page.mark.load(Ordering::Acquire) == unmarked {
            page.pid.store(std::process::id(), Ordering::Relaxed);
            let mark = (LAST_MARK.fetch_add(1, Ordering::Relaxed) + 1) | unmarked;
            let _ = page.mark.compare_exchange(unmarked, mark, Ordering::AcqRel, Ordering::Acquire);
        }
        let mark = page.mark.load(Ordering::Acquire);
        if mark & BY_PID != 0 && !page.has_our_pid() {
            // A copy that nobody has told so, or one that shares this memory: the page is not to be changed.
            return Err(io::ErrorKind::Unsupported.into());
        }
        Ok(Process(mark))
    }

    /// Whether this is that process, or shares its memory.
    #[inline]
    pub fn is_this(self) -> bool {
        is_marked(self.0)
    }

    /// Whether this is that process itself.
    pub fn is_here(self) -> bool {
        self.is_this() && page().is_some_and(Page::has_our_pid)
    }

    /// To be kept where only a number can be.
    pub fn number(self) -> u64 {
        self.0
    }

    /// Whether the number is that of this process itself. Async-signal-safe.
    pub fn has_number(number: u64) -> bool {
        Process(number).is_here()
    }

    /// Makes this process the owner of the library's thread, if there is none. Whether it is the owner.
    pub fn claims(self) -> bool {
        match OWNER.compare_exchange(0, self.0, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => true,
            Err(owner) => owner == self.0 && self.is_here(),
        }
    }
}

/// Whether this process has the memory of another one that has handles.
#[inline]
pub fn is_child() -> bool {
    match OWNER.load(Ordering::Acquire) {
        0 => false,
        owner => !is_marked(owner),
    }
}

pub fn kin() -> Kin {
    let Some(page) = page().filter(|_| OWNER.load(Ordering::Acquire) != 0) else { return Kin::Itself };
    match (is_child(), page.is_of_fork.load(Ordering::Relaxed) != 0) {
        (true, true) => Kin::Forked,
        (true, false) => Kin::Copied,
        (false, _) if page.has_our_pid() => Kin::Itself,
        (false, _) => Kin::Sharer,
    }
}

#[inline]
fn is_marked(mark: u64) -> bool {
    let Some(page) = page() else { return false };
    page.mark.load(Ordering::Relaxed) == mark && (mark & BY_PID == 0 || page.has_our_pid())
}

#[inline]
fn page() -> Option<&'static Page> {
    // SAFETY: what PAGE points to is never unmapped.
    unsafe { PAGE.load(Ordering::Acquire).as_ref() }
}

impl Page {
    fn has_our_pid(&self) -> bool {
        self.pid.load(Ordering::Relaxed) == std::process::id()
    }
}

/// Two threads may be at this at the same time: one page stays. To register the handler twice does no harm.
fn make_page() -> io::Result<&'static Page> {
    // SAFETY: the handler only stores into the page, which is safe in a child of a process with threads.
    match unsafe { libc::pthread_atfork(None, None, Some(after_fork)) } {
        0 => {}
        error => return Err(io::Error::from_raw_os_error(error)),
    }
    // SAFETY: asks for the size of a page, and for a new page that nobody else knows.
    let (size, new) = unsafe {
        let size = libc::sysconf(libc::_SC_PAGESIZE) as usize;
        let (rights, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        (size, libc::mmap(null_mut(), size, rights, kind, -1, 0))
    };
    if new == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the page is ours. An emulator that takes every advice, -1 too, is believed in none.
    let is_wiped =
        unsafe { libc::madvise(new, size, -1) != 0 && libc::madvise(new, size, libc::MADV_WIPEONFORK) == 0 };
    let new = new.cast::<Page>();
    // SAFETY: a page is aligned, large enough, and zeros are a valid `Page`.
    unsafe { &*new }.mark.store(if is_wiped { 0 } else { BY_PID }, Ordering::Relaxed);
    match PAGE.compare_exchange(null_mut(), new, Ordering::AcqRel, Ordering::Acquire) {
        // SAFETY: it stays where it is.
        Ok(_) => Ok(unsafe { &*new }),
        Err(others) => {
            // SAFETY: nobody else has seen our page; the other one stays where it is.
            unsafe {
                libc::munmap(new.cast(), size);
                Ok(&*others)
            }
        }
    }
}

extern "C" fn after_fork() {
    if let Some(page) = page() {
        if page.mark.load(Ordering::Relaxed) & BY_PID != 0 {
            // What the kernel would have done.
            page.mark.store(BY_PID, Ordering::Relaxed);
        }
        page.is_of_fork.store(1, Ordering::Relaxed);
    }
}
