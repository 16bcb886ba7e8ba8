//! Identifies the current process. A child process has a copy of its parent's memory and none of its threads, and it
//! shares the parent's sockets. So the child must not use anything that the parent opened, and leaves it as it is. It may
//! open handles of its own: then it is the process whose handles count, and its parent's stay what they are.
//!
//! A page of memory identifies a child: the kernel gives it to every child as zeros (MADV_WIPEONFORK, Linux 4.14),
//! after `fork()`, `_Fork()` and `clone()` alike. The check costs two loads. If the kernel does not support this, a
//! handler of `fork()` writes the zeros, and we also compare the process id, for children that run no such handler.
//!
//! `vfork()` and `clone(CLONE_VM)` copy no memory, so the page cannot identify such a child. Its process id does, but
//! reading that costs a system call, so `is_master` does not check it. The parent's threads keep the shared memory
//! correct there.

use std::io;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};

/// What the page records about its process. All fields are zero in a new child.
struct Page {
    /// The number of this process among the process that loaded the library and its descendants; 0 until the number is
    /// needed.
    mark: AtomicU64,
    /// The process id.
    pid: AtomicU32,
    /// 1 if `fork()` made this process: then its handlers have run, and the C library's locks are free.
    is_of_fork: AtomicU32,
}

static PAGE: AtomicPtr<Page> = AtomicPtr::new(null_mut());

/// The last mark that was assigned; in a child, the last one that was assigned before the fork.
static LAST_MARK: AtomicU64 = AtomicU64::new(0);

/// The last process that opened a handle in this memory; 0 if there is none yet.
static OWNER: AtomicU64 = AtomicU64::new(0);

/// A bit of a mark: the kernel does not wipe the page, so the process id must be compared too.
const BY_PID: u64 = 1 << 63;

/// The process that owns something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process(u64);

/// How this process relates to the process that last opened handles in its memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kin {
    /// This is that process, or no handles exist.
    Itself,
    /// A child that `fork()` made.
    Forked,
    /// A child made in another way: even a lock of malloc may be held there forever.
    Copied,
    /// A child that shares the other process's memory.
    Sharer,
}

impl Process {
    /// Returns this process. After the first call, children of this process can be distinguished from it.
    pub fn current() -> io::Result<Process> {
        let page = match page() {
            Some(page) => page,
            None => make_page()?,
        };
        // This code never waits for another thread: in a child, that thread may not exist.
        let unmarked = page.mark.load(Ordering::Acquire) & BY_PID;
        if page.mark.load(Ordering::Acquire) == unmarked {
            page.pid.store(std::process::id(), Ordering::Relaxed);
            let mark = (LAST_MARK.fetch_add(1, Ordering::Relaxed) + 1) | unmarked;
            let _ = page.mark.compare_exchange(unmarked, mark, Ordering::AcqRel, Ordering::Acquire);
        }
        let mark = page.mark.load(Ordering::Acquire);
        if mark & BY_PID != 0 && !page.has_our_pid() {
            // Either an undetected copy of the process, or a child that shares this memory. The page must not be
            // changed.
            return Err(io::ErrorKind::Unsupported.into());
        }
        Ok(Process(mark))
    }

    /// Whether the current process is `self`, or shares its memory.
    #[inline]
    pub fn is_this(self) -> bool {
        is_marked(self.0)
    }

    /// Whether the current process is `self`; a child that shares its memory is not.
    pub fn is_here(self) -> bool {
        self.is_this() && page().is_some_and(Page::has_our_pid)
    }

    /// Returns the process as a number, for places that can store only a number.
    pub fn number(self) -> u64 {
        self.0
    }

    /// Whether the number is that of the current process itself. Async-signal-safe.
    pub fn has_number(number: u64) -> bool {
        Process(number).is_here()
    }

    /// Makes this process the one whose handles count. Fails in a child that shares its parent's memory. Also fails in a
    /// child that was not made by `fork()`, if the parent has handles: the C library's locks may be held there.
    pub fn claims(self) -> bool {
        if !self.is_here() {
            return false;
        }
        let owner = OWNER.load(Ordering::Acquire);
        if owner == self.0 {
            return true;
        }
        if owner != 0 {
            if page().is_none_or(|page| page.is_of_fork.load(Ordering::Relaxed) == 0) {
                return false;
            }
            // The parent's other children have the same numbers.
            fastrand::seed(self.0 ^ u64::from(std::process::id()) << 32 ^ super::clock::now().0);
        }
        OWNER.store(self.0, Ordering::Release);
        true
    }
}

/// State that a process has once. A child of the process starts with a state of its own: a lock in the parent's may be held
/// for ever.
pub struct PerProcess<T> {
    /// Of this process, or of one that it was forked from. What this points to is never freed.
    state: AtomicPtr<(Process, T)>,
}

impl<T: Default> PerProcess<T> {
    pub const fn new() -> PerProcess<T> {
        PerProcess { state: AtomicPtr::new(null_mut()) }
    }

    /// The state of this process, if it has one yet.
    pub fn peek(&'static self) -> Option<&'static T> {
        // SAFETY: it is never freed.
        let (process, state) = unsafe { self.state.load(Ordering::Acquire).as_ref() }?;
        process.is_this().then_some(state)
    }

    pub fn get(&'static self) -> io::Result<&'static T> {
        let process = Process::current()?;
        let former = self.state.load(Ordering::Acquire);
        // SAFETY: it is never freed.
        if let Some((_, state)) = unsafe { former.as_ref() }.filter(|(of, _)| *of == process) {
            return Ok(state);
        }
        let new = Box::into_raw(Box::new((process, T::default())));
        let now = match self.state.compare_exchange(former, new, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => new,
            Err(others) => {
                // SAFETY: it was made above, and no other thread has seen it.
                drop(unsafe { Box::from_raw(new) });
                others
            }
        };
        // SAFETY: it is never freed, and belongs to this process by now.
        Ok(unsafe { &(*now).1 })
    }
}

/// Whether this process has a copy of the memory of another process that has handles.
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
    // SAFETY: the page that PAGE points to is never unmapped.
    unsafe { PAGE.load(Ordering::Acquire).as_ref() }
}

impl Page {
    fn has_our_pid(&self) -> bool {
        self.pid.load(Ordering::Relaxed) == std::process::id()
    }
}

/// Two threads may run this at the same time: one page stays. Registering the handler twice is harmless.
fn make_page() -> io::Result<&'static Page> {
    // SAFETY: the handler only stores into the page, which is safe in a child of a process with threads.
    match unsafe { libc::pthread_atfork(None, None, Some(after_fork)) } {
        0 => {}
        error => return Err(io::Error::from_raw_os_error(error)),
    }
    // SAFETY: asks for the page size, and maps a new page that no other code knows.
    let (size, new) = unsafe {
        let size = libc::sysconf(libc::_SC_PAGESIZE) as usize;
        let (rights, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        (size, libc::mmap(null_mut(), size, rights, kind, -1, 0))
    };
    if new == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the page is ours. Some emulators accept every advice, even -1; their answers are not trusted.
    let is_wiped =
        unsafe { libc::madvise(new, size, -1) != 0 && libc::madvise(new, size, libc::MADV_WIPEONFORK) == 0 };
    let new = new.cast::<Page>();
    // SAFETY: a page is aligned and large enough, and zeros are a valid `Page`.
    unsafe { &*new }.mark.store(if is_wiped { 0 } else { BY_PID }, Ordering::Relaxed);
    match PAGE.compare_exchange(null_mut(), new, Ordering::AcqRel, Ordering::Acquire) {
        // SAFETY: the page is never unmapped.
        Ok(_) => Ok(unsafe { &*new }),
        Err(others) => {
            // SAFETY: no other thread has seen our page; the other page is never unmapped.
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
            // This does what the kernel does not.
            page.mark.store(BY_PID, Ordering::Relaxed);
        }
        page.is_of_fork.store(1, Ordering::Relaxed);
    }
}
