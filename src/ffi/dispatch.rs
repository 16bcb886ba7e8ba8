//! Callbacks on the caller's own thread, and the work of the session in the caller's own loop.

use std::ffi::c_int;
use std::time::Duration;

use super::border::{self, answer_with};
use super::types::*;

/// Get a descriptor that is readable while election_dispatch has something to do, for poll, epoll or an event
/// loop. It may be readable without a callback; then election_dispatch returns 0. The descriptor belongs to the
/// handle: do not read, write or close it, and forget it before election_close. It stays the same over
/// reconnects. If the program has closed it all the same, call election_dispatch, and then this for another one.
///
/// Returns the descriptor, 0 or larger; ELECTION_BAD_HANDLE; ELECTION_NOT_MANUAL unless the handle was opened
/// with ELECTION_DISPATCH_MANUAL or ELECTION_DISPATCH_LOOP; ELECTION_NO_RESOURCES if the descriptors were closed
/// and the process can open no others.
#[no_mangle]
pub unsafe extern "C" fn election_fd(handle: *mut election_t) -> c_int {
    answer_with(|| border::find(handle)?.fd())
}

/// Run the callbacks that wait, on the calling thread. If none waits, wait for one, up to `timeout_ms`: 0, not
/// to wait, to 3,600,000, or ELECTION_FOREVER. election_close runs the last callbacks by itself.
///
/// With ELECTION_DISPATCH_LOOP this first does what is due for the session: it reads and writes the socket, and
/// takes decisions. No thread of the library does that. So:
///
/// - Call this whenever election_fd is readable. While the program makes no call, the library sends and hears
///   nothing. A master that stays away loses its lease; election_is_master then returns 0, because it decides by
///   the clock. A master that comes back within an eighth of the session timeout loses nothing.
/// - A callback that blocks delays the session as well.
/// - A call that waits (election_wait, election_lead, election_members, a fenced write, election_close and so on)
///   does the work itself meanwhile. It runs no callback, but for election_wait_finished and election_close. It
///   may be made in a callback and from any thread, as with the other ways. election_should_stop does what is
///   due, too.
/// - Any thread may call any function. If several wait, one of them does the work for all.
/// - When election_close has returned, nothing of the handle is left. If no server confirmed the end of the
///   session, nobody tries again later: the session expires.
///
/// Returns how many events and ends of events were passed on, 0 or more; 0 at once while another thread
/// dispatches. ELECTION_INTERRUPTED if no callback was waiting; ELECTION_BAD_HANDLE, ELECTION_BAD_TIMEOUT,
/// ELECTION_IN_CALLBACK; ELECTION_NOT_MANUAL unless the handle was opened with ELECTION_DISPATCH_MANUAL or
/// ELECTION_DISPATCH_LOOP.
#[no_mangle]
pub unsafe extern "C" fn election_dispatch(handle: *mut election_t, timeout_ms: c_int) -> c_int {
    answer_with(|| {
        let timeout = if timeout_ms == 0 { Ok(Duration::ZERO) } else { border::timeout_or_forever(timeout_ms) };
        let told = border::find(handle)?.dispatch(timeout?)?;
        Ok(c_int::try_from(told).unwrap_or(c_int::MAX))
    })
}
