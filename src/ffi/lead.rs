//! Leading: a function runs while the handle is master. Interrupts: they end the calls that wait.

use std::ffi::{c_char, c_int, c_void};
use std::sync::Arc;

use super::border::{self, answer, bytes, guard, text};
use super::types::*;
use crate::handle::{interrupt, outside, Error, Interrupted, Leadership};

/// Lead: stand at `path` with `value`, as go_to_election does, wait for mastership, call `function` on the calling thread
/// while master, and resign when `function` has returned. This is the simplest way to write a daemon: a handler of SIGTERM calls
/// election_interrupt, and the program calls election_lead again while it returns ELECTION_LEADERSHIP_LOST.
///
/// `function` must ask election_should_stop often, or wait by election_wait_stop, and return when it should stop. Reasons
/// to stop are: the lease is about to end, or has ended; election_interrupt; election_resign at `path`; election_close.
/// While `function` runs nobody else is master, unless the lease has ended: only then the place is not kept until
/// `function` returns. A mastership that ends is not taken up again by itself: call this again.
///
/// `timeout_ms` (1 to 3,600,000, or ELECTION_FOREVER) limits the wait for mastership, not `function`. `ctx` is handed to
/// `function`. What `function` returns is written to `*result`, which may be NULL. `function` must return normally (no
/// longjmp, no C++ exception). It may call every function of this header but election_close.
///
/// Returns ELECTION_OK when `function` has returned and the mastership had lasted until then, and
/// ELECTION_LEADERSHIP_LOST when `function` has returned and the mastership had ended before. Else `function` was not
/// called and this handle does not stand at `path`: ELECTION_OPERATIONTIMEOUT; ELECTION_INTERRUPTED; ELECTION_RESIGNED by
/// an election_resign, ELECTION_CLOSING by an election_close, in another thread; ELECTION_NOAUTH and other numbers of
/// ZooKeeper's when it refused the candidate for good. ELECTION_BAD_HANDLE, ELECTION_BAD_PATH, ELECTION_BAD_VALUE,
/// ELECTION_BAD_CALLBACK, ELECTION_BAD_TIMEOUT; ELECTION_ALREADY when this handle stands at `path`;
/// ELECTION_IN_CALLBACK in a callback of this handle; ELECTION_INTERNAL.
#[no_mangle]
pub unsafe extern "C" fn election_lead(
    handle: *mut election_t,
    path: *const c_char,
    value: *const c_void,
    value_len: usize,
    function: election_lead_fn,
    ctx: *mut c_void,
    timeout_ms: c_int,
    result: *mut c_int,
) -> c_int {
    answer(|| {
        let election = border::find(handle)?;
        let path = unsafe { text(path) }.ok_or(Error::BadPath)?;
        let value = unsafe { bytes(value, value_len) }.ok_or(Error::BadValue)?;
        let function = function.ok_or(Error::BadCallback)?;
        let timeout = border::timeout_or_forever(timeout_ms)?;
        let lead = |leadership: &Arc<Leadership>| {
            let shown = border::Shown::new(leadership);
            outside(|| unsafe { function(shown.number(), ctx) })
        };
        let (returned, is_lost) = election.lead_until_lost(path, value, timeout, lead)?;
        if !result.is_null() {
            unsafe { result.write(returned) };
        }
        (!is_lost).then_some(()).ok_or(Error::LeadershipLost)
    })
}

/// Ask whether the function of election_lead should stop its work and return. Never waits, and may be called from any thread.
/// Once it should stop, that stays so. With ELECTION_DISPATCH_LOOP this does the work of the session that is due: a function
/// that neither asks nor waits by election_wait_stop for a quarter of the session timeout may lose the lease.
///
/// The function hears it when the lease has less than an eighth of the session timeout left, which never happens
/// while ZooKeeper answers. The lease margin of the options comes on top: who needs longer to stop sets it.
///
/// Returns 0 to go on, and 1 to stop, also when the leadership is over, NULL, or never was one.
#[no_mangle]
pub unsafe extern "C" fn election_should_stop(leadership: *const election_leadership_t) -> c_int {
    guard(1, || border::leadership(leadership).map_or(1, |leadership| leadership.should_stop().into()))
}

/// Wait until the function of election_lead should stop, but no longer than `timeout_ms` (1 to 3,600,000, or
/// ELECTION_FOREVER): a pause between two pieces of work that ends early when it must. From any thread.
///
/// Returns ELECTION_OK when the function should stop; ELECTION_OPERATIONTIMEOUT when it may go on; ELECTION_INTERRUPTED
/// when a signal handler ran on this thread and there is no other reason to stop. ELECTION_BAD_LEADERSHIP when the
/// leadership is over, NULL, or never was one; ELECTION_BAD_TIMEOUT.
#[no_mangle]
pub unsafe extern "C" fn election_wait_stop(leadership: *const election_leadership_t, timeout_ms: c_int) -> c_int {
    answer(|| border::leadership(leadership)?.wait_stop(border::timeout_or_forever(timeout_ms)?))
}

/// Get the token of the mastership, as election_lease has it: to be sent along with each write.
///
/// Returns the token; 0 when the leadership is over, NULL, or never was one.
#[no_mangle]
pub unsafe extern "C" fn election_leadership_token(leadership: *const election_leadership_t) -> i64 {
    guard(0, || border::leadership(leadership).map_or(0, |leadership| leadership.token()))
}

/// Interrupt a handle: every call that waits on it, in whatever thread, returns ELECTION_INTERRUPTED at once, and a
/// function of election_lead hears that it should stop. May be called in a signal handler, and from any thread. A program
/// stops by this: its handler of SIGTERM calls it, its work ends, and then it closes the handle.
///
/// The interrupt stays until election_clear_interrupt, so that one that comes just before a call is not lost: meanwhile
/// election_wait and election_lead return ELECTION_INTERRUPTED at once, and election_dispatch does not wait. A question or a
/// fenced write that begins later (election_members, election_get_master, election_fenced_create and so on) is carried out,
/// so that a program can save its state before it closes the handle. election_close is not ended by this, nor is
/// election_dump, which waits a second at most. election_fd does not become readable: a program with a loop of
/// its own wakes that itself.
///
/// A signal handler ends the calls that wait on the thread that it runs on, and only while they wait, even if it does not
/// call this: also when it was installed with SA_RESTART. A handler that runs just before the call waits does not.
///
/// Returns ELECTION_OK. Else nothing happened: ELECTION_BAD_HANDLE, ELECTION_FORKED.
#[no_mangle]
pub unsafe extern "C" fn election_interrupt(handle: *mut election_t) -> c_int {
    // This does not use the guard, because thread-local storage is not async-signal-safe. Nothing here can panic.
    match interrupt(border::id_of(handle)) {
        Interrupted::Done => 0,
        Interrupted::NoHandle => Error::BadHandle.code(),
        Interrupted::Forked => Error::Forked.code(),
    }
}

/// Clear an interrupt: from here on calls wait again. A function of election_lead that should stop should stop still.
///
/// Returns ELECTION_OK, also when there was no interrupt. Else nothing happened: ELECTION_BAD_HANDLE, ELECTION_FORKED.
#[no_mangle]
pub unsafe extern "C" fn election_clear_interrupt(handle: *mut election_t) -> c_int {
    answer(|| border::find(handle)?.clear_interrupt())
}
