//! Threads of the library: all signals blocked, so that the program's handlers never run on them, and a panic
//! on them, or in a call into the library, caught and silent.

use std::cell::Cell;
use std::io;
use std::mem::MaybeUninit;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle};

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// What Rust gives a thread unless it is told otherwise, by an environment variable too: said, it is not asked for.
const STACK_SIZE: usize = 2 << 20;

/// A panic that was caught.
#[derive(Clone, Copy, Debug)]
pub struct Panicked;

/// Runs `f`; a panic in it is caught and prints nothing.
pub fn quietly<T>(f: impl FnOnce() -> T) -> Result<T, Panicked> {
    silence_our_panics();
    let former = QUIET.replace(true);
    let result = catch_unwind(AssertUnwindSafe(f));
    QUIET.set(former);
    result.map_err(|_| Panicked)
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
        if !QUIET.get() && !is_of_the_reactor() {
            others(panic);
        }
    }));
}

/// The threads that the reactor and the lookup of host names start for themselves.
fn is_of_the_reactor() -> bool {
    let thread = std::thread::current();
    thread.name().is_some_and(|name| name == "async-io" || name.starts_with("blocking-"))
}

/// Starts a thread with all signals blocked from its first instruction: it inherits the mask of its maker.
pub fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    let mut all = MaybeUninit::uninit();
    let mut former = MaybeUninit::uninit();
    // SAFETY: both sets are ours; sigfillset writes the first before it is read, pthread_sigmask the second.
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), former.as_mut_ptr());
    }
    let thread = Builder::new().name(name.to_string()).stack_size(STACK_SIZE).spawn(move || {
        let _ = quietly(run);
    });
    // SAFETY: `former` was written above.
    unsafe {
        libc::pthread_sigmask(libc::SIG_SETMASK, former.as_ptr(), std::ptr::null_mut());
    }
    thread
}
