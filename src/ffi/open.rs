//! The version and the sentences of the library, and the life of a handle.

use std::ffi::{c_char, c_int};

use super::border::{self, answer, guard, text};
use super::types::*;
use crate::handle::{Error, Handle};

/// Get the version of the library that the program runs with. ELECTION_VERSION is the version of the header.
/// Static storage.
#[no_mangle]
pub extern "C" fn election_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// Get a sentence for a number of election_rc_t, or for any other number of ZooKeeper's. Never NULL. Static
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

/// Open a session with ZooKeeper. `hosts` is "host:port,host:port,.../chroot". The port may be left out (2181).
/// An IPv6 address with a port stands in brackets; it may have a scope id, %eth0. Blanks around commas, and a
/// comma or a newline at the end, are allowed. The chroot is optional, and created if it is missing. The
/// library refuses a string that ZooKeeper's C client would read in another way; election_explain says which
/// part. It tries the servers in random order, and looks host names up again for each attempt. `options` may be
/// NULL for the defaults; they are copied.
///
/// Without a connect timeout in the options this returns at once. If no server can be reached, the candidates
/// and observers get ELECTION_CONNECTIONLOSS, election_connect_failure says why, and the library tries for
/// ever.
///
/// Returns ELECTION_OK; close `*handle` with election_close. Otherwise nothing is open and `*handle` is not
/// written: ELECTION_BAD_HOSTS, ELECTION_BAD_RESULT; ELECTION_BAD_TLS if a file for TLS is missing or malformed,
/// or its password is wrong; ELECTION_BAD_SASL if parameters of SASL are missing or the password file cannot be
/// used; ELECTION_OPERATIONTIMEOUT if there was no connection
/// within the connect timeout; ELECTION_INTERRUPTED if a signal handler ran on this thread before there was
/// one; ELECTION_AUTHFAILED, at once, if the servers refused the credentials; ELECTION_NO_RESOURCES;
/// ELECTION_INTERNAL, also if the library fails while this waits. A child that fork made may open handles of its
/// own, whatever its parent had opened. ELECTION_FORKED in any other child of a process with handles: one that
/// shares its parent's memory (vfork), or that was made by _Fork or clone.
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
        border::check_memory()?;
        let options = unsafe { options.as_ref() }.map(|options| options.options.clone()).unwrap_or_default();
        let opened = border::register(Handle::open(hosts, &options)?);
        unsafe { handle.write(opened) };
        Ok(())
    })
}

/// Close a handle: resign everywhere, end the session, and forget the handle. Every candidate and observer gets
/// its last event before this returns; no callback runs afterwards. The function of an election_lead hears that
/// it should stop, and this waits until it has returned. It also waits for a running callback, and up to 2 s
/// for the server to confirm the end of the session. If another thread closes the handle at the same time,
/// this waits for that call and returns its answer.
///
/// Returns ELECTION_OK; ELECTION_CONNECTIONLOSS if no server confirmed the end of the session: the handle is
/// closed all the same, and a znode of ours may stand until the session expires. Otherwise nothing has
/// happened: ELECTION_BAD_HANDLE; ELECTION_IN_CALLBACK in a callback of this handle, in a function of
/// election_lead on it, and in the function of the log; ELECTION_DEADLOCK if this is called in a callback, or a
/// function of election_lead, of another handle, which closes that handle and for which one of this handle
/// waits; ELECTION_FORKED in a child of the process that opened the handle; ELECTION_IN_HANDLER.
#[no_mangle]
pub unsafe extern "C" fn election_close(handle: *mut election_t) -> c_int {
    answer(|| border::unregister(handle))
}

/// Wait until everything that has ended on this handle has finished, but no longer than `timeout_ms` (1 to
/// 3,600,000). For each candidate that has resigned, and for each ended watch, the last callback has then
/// returned and free_ctx has run. Use it after election_resign or an election_unwatch_ function, before `ctx`
/// goes away. With ELECTION_DISPATCH_MANUAL and ELECTION_DISPATCH_LOOP this runs the callbacks that wait. It asks ZooKeeper nothing.
///
/// Returns ELECTION_OK; ELECTION_OPERATIONTIMEOUT if a callback takes longer. Otherwise it has not waited:
/// ELECTION_BAD_HANDLE, ELECTION_BAD_TIMEOUT; ELECTION_IN_CALLBACK in a callback of this handle, whose end it
/// would wait for, and in the function of the log: give the work to free_ctx instead; ELECTION_DEADLOCK as
/// election_close.
#[no_mangle]
pub unsafe extern "C" fn election_wait_finished(handle: *mut election_t, timeout_ms: c_int) -> c_int {
    answer(|| border::find(handle)?.wait_finished(border::timeout(timeout_ms)?))
}
