//! The library's threads and the calls into the library: which signals they receive, and how a panic is handled.
//!
//! Our threads block all signals except those that an instruction of the thread itself raises, so the program's other
//! signal handlers never run on them. While our threads run code of the program, they use the signal mask that the
//! program chose. A panic on our threads, or in a call into the library, is caught and prints nothing.
//!
//! Our threads are made by `pthread_create`, and use no thread-local value that has a destructor. Such a value takes the
//! lock of the dynamic loader (`__cxa_thread_atexit_impl`), and so does each thread of Rust's standard library when it
//! begins. While `dlopen` runs the constructor of a plugin, its thread holds this lock. If the constructor waits for our
//! threads, they must not wait for the lock. Values of this kind are in `mpsc`, for a thread that waits, and in `arc_swap`.
//! So a callback that calls the library may wait for the lock. Nothing but callbacks waits for it.

use std::cell::Cell;
use std::ffi::{c_void, CStr};
use std::io;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::ptr::{null, null_mut};
use std::sync::atomic::{compiler_fence, AtomicBool, Ordering};

thread_local! {
    /// What this thread is doing. A signal handler that interrupts the thread reads it here.
    static STATE: Cell<u8> = const { Cell::new(0) };
}

/// A panic prints nothing.
const QUIET: u8 = 1;

/// The thread is in a call from C.
const INSIDE: u8 = 2;

/// An instruction raises these signals on the thread that executes it. If that thread blocks them, the kernel ends the
/// process and runs no handler.
const FAULTS: [libc::c_int; 6] =
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGTRAP, libc::SIGSYS];

/// Rust's default stack size, and the most that a thread is given if the system refuses that.
const STACK_SIZE: usize = 2 << 20;
const LARGEST_STACK: usize = 1 << 30;

/// A panic that was caught.
#[derive(Clone, Copy, Debug)]
pub struct Panicked;

/// Runs `f`. A panic in `f` is caught and prints nothing.
pub fn quietly<T>(f: impl FnOnce() -> T) -> Result<T, Panicked> {
    silence_our_panics();
    let _state = Entered::new(STATE.get() | QUIET);
    catch_unwind(AssertUnwindSafe(f)).map_err(|_| Panicked)
}

/// Runs a call from C. Fails if this thread is already in such a call: then a signal handler has interrupted it and
/// makes this call, which would wait for locks that its own thread holds.
#[inline]
pub fn enter<T>(f: impl FnOnce() -> T) -> Result<Result<T, Panicked>, IsInside> {
    if STATE.get() & INSIDE != 0 {
        return Err(IsInside);
    }
    silence_our_panics();
    let _state = Entered::new(STATE.get() | INSIDE | QUIET);
    Ok(catch_unwind(AssertUnwindSafe(f)).map_err(|_| Panicked))
}

/// Runs code of the program. That code may call the library.
pub fn outside<T>(f: impl FnOnce() -> T) -> T {
    let _state = Entered::new(STATE.get() & !INSIDE);
    f()
}

/// This thread is already in a call of the library.
#[derive(Clone, Copy, Debug)]
pub struct IsInside;

/// Sets the state of this thread until it is dropped.
struct Entered {
    former: u8,
}

impl Entered {
    fn new(state: u8) -> Entered {
        let former = STATE.replace(state);
        // A signal handler on this thread must see the state before the effects of the code that follows.
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

/// The process has one panic hook (in a `.so`, the library has its own). Panics of other code still reach the former
/// hook.
fn silence_our_panics() {
    static SILENCED: AtomicBool = AtomicBool::new(false);
    // This code does not wait for a thread that sets the hook right now: in a child, that thread may not exist.
    if SILENCED.load(Ordering::Relaxed) || SILENCED.swap(true, Ordering::Relaxed) {
        return;
    }
    let others = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if STATE.get() & QUIET == 0 {
            others(panic);
        }
    }));
}

/// The signals that a thread blocks.
#[derive(Clone, Copy)]
pub struct SignalMask(libc::sigset_t);

impl SignalMask {
    /// The signals that this thread blocks, without the faults. Used for code of the program that another thread runs
    /// for this one.
    pub fn of_this_thread() -> SignalMask {
        let mut mask = MaybeUninit::uninit();
        // SAFETY: pthread_sigmask writes the set.
        unsafe {
            libc::pthread_sigmask(libc::SIG_SETMASK, null(), mask.as_mut_ptr());
            SignalMask(mask.assume_init()).without_faults()
        }
    }

    /// The mask for threads that run no code of the program.
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

    /// Sets the mask of this thread. Returns the former mask.
    fn set(&self) -> SignalMask {
        let mut former = MaybeUninit::uninit();
        // SAFETY: the set is ours; pthread_sigmask writes the former one.
        unsafe {
            libc::pthread_sigmask(libc::SIG_SETMASK, &self.0, former.as_mut_ptr());
            SignalMask(former.assume_init())
        }
    }
}

/// Restores the mask.
struct Masked {
    former: SignalMask,
}

impl Drop for Masked {
    fn drop(&mut self) {
        self.former.set();
    }
}

/// A thread of ours. Dropping this lets it run on.
#[derive(Debug)]
pub struct Thread(libc::pthread_t);

impl Thread {
    pub fn is_current(&self) -> bool {
        // SAFETY: the thread was neither joined nor detached.
        unsafe { libc::pthread_equal(self.0, libc::pthread_self()) != 0 }
    }

    /// Waits until the thread has ended.
    pub fn join(self) {
        let thread = ManuallyDrop::new(self);
        // SAFETY: the thread was neither joined nor detached, and never will be again.
        unsafe { libc::pthread_join(thread.0, null_mut()) };
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        // SAFETY: the thread was neither joined nor detached.
        unsafe { libc::pthread_detach(self.0) };
    }
}

struct Body {
    name: &'static CStr,
    run: Box<dyn FnOnce() + Send>,
}

/// Starts a thread that has our mask from its first instruction on, because a new thread inherits the mask of its
/// creator.
pub fn spawn(name: &'static CStr, run: impl FnOnce() + Send + 'static) -> io::Result<Thread> {
    let body = Box::into_raw(Box::new(Body { name, run: Box::new(run) }));
    SignalMask::of_ours().during(|| {
        let mut stack_size = STACK_SIZE;
        loop {
            // SAFETY: `begin` takes the body, if the thread is started.
            match unsafe { create(stack_size, body) } {
                Ok(thread) => return Ok(thread),
                // The thread-local variables of the program are on the stack, too.
                Err(libc::EINVAL) if stack_size < LARGEST_STACK => stack_size *= 2,
                Err(error) => {
                    // SAFETY: no thread has it.
                    drop(unsafe { Box::from_raw(body) });
                    return Err(io::Error::from_raw_os_error(error));
                }
            }
        }
    })
}

/// Starts the thread that takes the body.
unsafe fn create(stack_size: usize, body: *mut Body) -> Result<Thread, libc::c_int> {
    let (mut attributes, mut thread) = (MaybeUninit::uninit(), MaybeUninit::uninit());
    // SAFETY: the attributes are initialised before they are used, and the thread is read only if it was started.
    unsafe {
        libc::pthread_attr_init(attributes.as_mut_ptr());
        libc::pthread_attr_setstacksize(attributes.as_mut_ptr(), stack_size);
        let error = libc::pthread_create(thread.as_mut_ptr(), attributes.as_ptr(), begin, body.cast());
        libc::pthread_attr_destroy(attributes.as_mut_ptr());
        match error {
            0 => Ok(Thread(thread.assume_init())),
            error => Err(error),
        }
    }
}

extern "C" fn begin(body: *mut c_void) -> *mut c_void {
    // SAFETY: `spawn` has made it for this thread.
    let body = unsafe { Box::from_raw(body.cast::<Body>()) };
    // SAFETY: the name is a C string of less than 16 bytes.
    unsafe { libc::pthread_setname_np(libc::pthread_self(), body.name.as_ptr()) };
    let _ = quietly(body.run);
    null_mut()
}
