//! The library itself, and the life of a handle.

use std::ffi::{c_char, c_int};

use super::border::{self, answer, guard, text};
use super::types::*;
use crate::handle::{Error, Handle};

/// Get the version of the library at hand, as ELECTION_VERSION was when the header was made. Static storage.
#[no_mangle]
pub extern "C" fn election_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// Get a sentence for a number of election_rc_t, or for any other number of ZooKeeper's. Never NULL; static
/// storage.
#[no_mangle]
pub extern "C" fn election_strerror(rc: c_int) -> *const c_char {
    border::strerror(rc).as_ptr()
}

/// Get a sentence for the number that a function of this library has just returned on this thread. It says more than
/// election_strerror where there is more to say: which part of an argument is bad and what is wrong with it, or which
/// server cannot be reached and why. For any other number it is what election_strerror says. Never NULL; valid until this
/// thread calls the library again.
#[no_mangle]
pub extern "C" fn election_explain(rc: c_int) -> *const c_char {
    guard(border::strerror(rc).as_ptr(), || border::last_error::text(rc))
}

/// Open a session with ZooKeeper. `hosts` is "host:port,host:port,.../chroot". The port may be left out (2181). An
/// IPv6 address that has a port stands in brackets; it may have a scope id, %eth0. Blanks around commas, and a comma
/// or a newline at the end, do no harm. The chroot is optional, and made when it is missing. What ZooKeeper's client in C
/// would read in another way is refused, and election_explain says which part. The servers are tried in random order,
/// host names are looked up anew for each attempt. `options` may be NULL for the defaults; they are copied.
///
/// Without a connect timeout in the options this returns at once; a server that cannot be reached is then told
/// to the candidates and observers as ELECTION_CONNECTIONLOSS, and tried for ever. election_connect_failure says why.
///
/// Returns ELECTION_OK, and `*handle` is to be closed with election_close. Else nothing was opened, and
/// `*handle` is untouched: ELECTION_BAD_HOSTS, ELECTION_BAD_RESULT; ELECTION_OPERATIONTIMEOUT when the connect
/// timeout passed without a connection; ELECTION_INTERRUPTED when a signal handler ran on this thread before there was a
/// connection; ELECTION_AUTHFAILED, at once, when the servers refused the credentials;
/// ELECTION_NO_RESOURCES; ELECTION_INTERNAL, also when the library fails while this waits; ELECTION_FORKED in a child
/// of a process that had opened a handle before it made the child, or was at it in another thread. (A process that forks first
/// and opens later is fine.)
#[no_mangle]
pub unsafe extern "C" fn election_open(
    hosts: *const c_char,
    options: *const election_options_t,
    handle: *mut *mut election_t,
) -> c_int {
    answer(|| {
        if handle.is_null() {
            return Err(Error::BadResult);
        }
        let hosts = unsafe { text(hosts) }.ok_or(Error::BadHosts)?;
        border::check_process()?;
        let options = unsafe { options.as_ref() }.map(|options| options.options.clone()).unwrap_or_default();
        let opened = border::register(Handle::open(hosts, &options)?);
        unsafe { handle.write(opened) };
        Ok(())
    })
}

/// Close a handle: resign everywhere, end the session, and forget the handle. Every candidate and observer
/// hears of it, as its last event, before this returns; no callback runs afterwards. A function of election_lead hears
/// that it should stop, and this waits until it has returned. Waits for a callback that
/// is running, and up to 2 s for the server to confirm the end of the session; 4 s when a hostile server keeps the
/// library's thread so busy that it cannot even ask. If another thread closes the handle at the same time, this waits for
/// it and returns what it returns.
///
/// Returns ELECTION_OK; ELECTION_CONNECTIONLOSS when no server confirmed the end of the session: the handle is
/// closed all the same, a znode of ours may stand until the session expires. Else nothing happened: ELECTION_BAD_HANDLE;
/// ELECTION_IN_CALLBACK in a callback of this handle, in a function of election_lead on it, and in the function of the log;
/// ELECTION_DEADLOCK in a callback, or a function of election_lead, of another handle that one of this handle waits for,
/// because it closes that one; ELECTION_FORKED in a child of the
/// process that opened the handle, as often as it is called there; ELECTION_IN_HANDLER.
#[no_mangle]
pub unsafe extern "C" fn election_close(handle: *mut election_t) -> c_int {
    answer(|| border::unregister(handle))
}

/// Wait until everything that has ended on this handle has finished: of each candidate that has resigned, and of whatever is
/// no longer watched, the last callback has returned, and free_ctx has run. What was ended before this call is waited for.
/// No longer than `timeout_ms` (1 to 3,600,000). With ELECTION_DISPATCH_MANUAL, callbacks that wait to be dispatched are
/// run by this. Nothing is asked of ZooKeeper. Use it after election_resign or an election_unwatch_ function, before `ctx`
/// goes away.
///
/// Returns ELECTION_OK; ELECTION_OPERATIONTIMEOUT when a callback takes longer. Else nothing was waited for:
/// ELECTION_BAD_HANDLE, ELECTION_BAD_TIMEOUT; ELECTION_IN_CALLBACK in a callback of this handle, whose end it would wait
/// for, and in the function of the log: give the work to free_ctx instead; ELECTION_DEADLOCK as election_close.
#[no_mangle]
pub unsafe extern "C" fn election_wait_finished(handle: *mut election_t, timeout_ms: c_int) -> c_int {
    answer(|| border::find(handle)?.wait_finished(border::timeout(timeout_ms)?))
}
