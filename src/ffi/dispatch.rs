//! Callbacks on the caller's own thread.

use std::ffi::c_int;
use std::time::Duration;

use super::border::{self, answer_with};
use super::types::*;

/// Get a descriptor that is readable while callbacks wait to be dispatched, for poll, epoll or an event loop.
/// It may be readable without a callback; then election_dispatch returns 0. The descriptor belongs to the
/// handle: do not read, write or close it, and forget it before election_close.
///
/// Returns the descriptor, 0 or larger; ELECTION_BAD_HANDLE; ELECTION_NOT_MANUAL unless the handle was opened
/// with ELECTION_DISPATCH_MANUAL.
#[no_mangle]
pub unsafe extern "C" fn election_fd(handle: *mut election_t) -> c_int {
    answer_with(|| border::find(handle)?.fd())
}

/// Run the callbacks that wait, on the calling thread. If none waits, wait for one, up to `timeout_ms`: 0, not
/// to wait, to 3,600,000, or ELECTION_FOREVER. election_close runs the last callbacks by itself.
///
/// Returns how many events and ends of events were passed on, 0 or more; 0 at once while another thread
/// dispatches. ELECTION_INTERRUPTED if no callback was waiting; ELECTION_BAD_HANDLE, ELECTION_BAD_TIMEOUT,
/// ELECTION_IN_CALLBACK; ELECTION_NOT_MANUAL unless the handle was opened with ELECTION_DISPATCH_MANUAL.
#[no_mangle]
pub unsafe extern "C" fn election_dispatch(handle: *mut election_t, timeout_ms: c_int) -> c_int {
    answer_with(|| {
        let timeout = if timeout_ms == 0 { Ok(Duration::ZERO) } else { border::timeout_or_forever(timeout_ms) };
        let told = border::find(handle)?.dispatch(timeout?)?;
        Ok(c_int::try_from(told).unwrap_or(c_int::MAX))
    })
}
