//! Ctrl-C and its relatives end the demo in good order: what it has started is ended, what it has made is removed. A second
//! one ends it at once; then the kernel ends the programs and the servers, and the next run sweeps the files.

use std::sync::atomic::{AtomicI32, Ordering};

static CAUGHT: AtomicI32 = AtomicI32::new(0);

extern "C" fn remember(signal: libc::c_int) {
    CAUGHT.store(signal, Ordering::SeqCst);
}

/// To be called before anything is started. A terminal sends its signals to the programs and the servers as well, which are
/// to end in the demo's order, not in the middle of it: so they inherit a mask that blocks those signals, and one thread of
/// the demo alone hears them.
pub fn catch() {
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        // SAFETY: all-zero bytes are a valid sigaction, and the handler only stores to an atomic.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            libc::sigaction(signal, std::ptr::null(), &mut action);
            // As `nohup` and the shell's `&` want it.
            if action.sa_sigaction == libc::SIG_IGN {
                continue;
            }
            action.sa_sigaction = remember as extern "C" fn(libc::c_int) as libc::sighandler_t;
            action.sa_flags = libc::SA_RESTART | libc::SA_RESETHAND;
            libc::sigaction(signal, &action, std::ptr::null_mut());
        }
    }
    std::thread::spawn(|| loop {
        std::thread::park();
    });
    // SAFETY: sigemptyset initialises the set that the calls after it read.
    unsafe {
        let mut of_a_terminal = std::mem::MaybeUninit::uninit();
        libc::sigemptyset(of_a_terminal.as_mut_ptr());
        libc::sigaddset(of_a_terminal.as_mut_ptr(), libc::SIGINT);
        libc::sigaddset(of_a_terminal.as_mut_ptr(), libc::SIGHUP);
        libc::pthread_sigmask(libc::SIG_BLOCK, of_a_terminal.as_ptr(), std::ptr::null_mut());
    }
}

/// The signal that asked the demo to end.
pub fn caught() -> Option<i32> {
    Some(CAUGHT.load(Ordering::SeqCst)).filter(|&signal| signal != 0)
}
