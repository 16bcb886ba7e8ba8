//! Threads of the library, and calls into it: which signals they take, and what becomes of a panic.
//!
//! Our threads block all signals but those that an instruction of their own raises, so that the program's other handlers
//! never run on them. Where they run code of the program's, they have the mask that the program gave. A panic on them, or
//! in a call into the library, is caught and silent.

use std::cell::Cell;
use std::io;
use std::mem::MaybeUninit;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::ptr::null;
use std::sync::atomic::{compiler_fence, AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle};

thread_local! {
    /// What this thread is at. A signal handler that interrupts it finds that here.
    static STATE: Cell<u8> = const { Cell::new(0) };
}

/// A panic prints nothing.
const QUIET: u8 = 1;

/// In a call from C.
const INSIDE: u8 = 2;

/// An instruction raises them on the thread that carries it out. If that thread blocks them, the kernel ends the process
/// and no handler runs.
const FAULTS: [libc::c_int; 6] =
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGTRAP, libc::SIGSYS];

/// What Rust gives a thread unless it is told otherwise, by an environment variable too: said, it is not asked for.
const STACK_SIZE: usize = 2 << 20;

/// A panic that was caught.
#[derive(Clone, Copy, Debug)]
pub struct Panicked;

/// Runs `f`; a panic in it is caught and prints nothing.
pub fn quietly<T>(f: impl FnOnce() -> T) -> Result<T, Panicked> {
    silence_our_panics();
    let _state = Entered::new(STATE.get() | QUIET);
    catch_unwind(AssertUnwindSafe(f)).map_err(|_| Panicked)
}

/// Carries out a call from C. Not when this thread is in one: then a signal handler that has interrupted it makes this
/// call, and would wait for what its own thread holds.
#[inline]
pub fn enter<T>(f: impl FnOnce() -> T) -> Result<Result<T, Panicked>, IsInside> {
    if STATE.get() & INSIDE != 0 {
        return Err(IsInside);
    }
    silence_our_panics();
    let _state = Entered::new(STATE.get() | INSIDE | QUIET);
    Ok(catch_unwind(AssertUnwindSafe(f)).map_err(|_| Panicked))
}

/// Runs code of the program's, which may call the library.
pub fn outside<T>(f: impl FnOnce() -> T) -> T {
    let _state = Entered::new(STATE.get() & !INSIDE);
    f()
}

/// This thread is in a call of the library's already.
#[derive(Clone, Copy, Debug)]
pub struct IsInside;

/// Sets the state of this thread until it is dropped.
struct Entered {
    former: u8,
}

impl Entered {
    fn new(state: u8) -> Entered {
        let former = STATE.replace(state);
        // A handler on this thread sees it before what comes.
        compiler_fence(Ordering::SeqCst);
        Entered { former }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        compiler_fence(Ordering::SeqCst);
        STATE.set(self.former);
    }
}

/// The panic hook is one for the process (in a `.so`, one for the library): panics of others still reach it.
fn silence_our_panics() {
    static SILENCED: AtomicBool = AtomicBool::new(false);
    // Nobody waits for whoever is at it: in a child, that thread might not be there.
    if SILENCED.load(Ordering::Relaxed) || SILENCED.swap(true, Ordering::Relaxed) {
        return;
    }
    let others = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if STATE.get() & QUIET == 0 && !is_of_the_reactor() {
            others(panic);
        }
    }));
}

/// The threads that the reactor and the lookup of host names start for themselves.
fn is_of_the_reactor() -> bool {
    let thread = std::thread::current();
    thread.name().is_some_and(|name| name == "async-io" || name.starts_with("blocking-"))
}

/// The signals that a thread blocks.
#[derive(Clone, Copy)]
pub struct SignalMask(libc::sigset_t);

impl SignalMask {
    /// What this thread blocks, without the faults: for code of the program's that another thread runs on its behalf.
    pub fn of_this_thread() -> SignalMask {
        let mut mask = MaybeUninit::uninit();
        // SAFETY: pthread_sigmask writes the set.
        unsafe {
            libc::pthread_sigmask(libc::SIG_SETMASK, null(), mask.as_mut_ptr());
            SignalMask(mask.assume_init()).without_faults()
        }
    }

    /// For threads that run nothing of the program's.
    fn of_ours() -> SignalMask {
        let mut all = MaybeUninit::uninit();
        // SAFETY: sigfillset writes the set.
        unsafe {
            libc::sigfillset(all.as_mut_ptr());
            SignalMask(all.assume_init()).without_faults()
        }
    }

    fn without_faults(mut self) -> SignalMask {
        for fault in FAULTS {
            // SAFETY: the set is ours.
            unsafe { libc::sigdelset(&mut self.0, fault) };
        }
        self
    }

    /// Runs `f` while this thread blocks these signals.
    pub fn during<T>(&self, f: impl FnOnce() -> T) -> T {
        let _masked = Masked { former: self.set() };
        f()
    }

    /// The mask before.
    fn set(&self) -> SignalMask {
        let mut former = MaybeUninit::uninit();
        // SAFETY: the set is ours; pthread_sigmask writes the former one.
        unsafe {
            libc::pthread_sigmask(libc::SIG_SETMASK, &self.0, former.as_mut_ptr());
            SignalMask(former.assume_init())
        }
    }
}

/// Puts the mask back.
struct Masked {
    former: SignalMask,
}

impl Drop for Masked {
    fn drop(&mut self) {
        self.former.set();
    }
}

/// Starts a thread with our mask from its first instruction: it inherits the mask of its maker.
pub fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    SignalMask::of_ours().during(|| {
        Builder::new().name(name.to_string()).stack_size(STACK_SIZE).spawn(move || {
            let _ = quietly(run);
        })
    })
}
