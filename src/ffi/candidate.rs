//! Standing for master, and asking whether one is.

use std::ffi::{c_char, c_int, c_void};

use super::border::{self, answer, bytes, guard, text, CEvent, Callback};
use super::types::*;
use crate::handle::Error;

/// Stand as a candidate for master at `path`. The first to stand becomes master; when it resigns, closes, dies
/// or loses its session, another candidate does, by itself and for ever: call this once. On ZooKeeper it is
/// one ephemeral znode with `value`: at `path` itself, made as hand-rolled programs make it, so both can take part
/// in one election; in a queue below `path`. Parents are made when they are missing.
///
/// `value`, `value_len` bytes that are copied, is what the others get to know of the master: its address, say.
/// It may be empty, and then `value` NULL. `on_role` hears each change of the role and may be NULL;
/// election_is_master answers all the same. `ctx` is handed to `on_role`; `free_ctx` may be NULL.
///
/// Returns ELECTION_OK, at once and without waiting for ZooKeeper. Else nothing happened, and `ctx` is still
/// yours: ELECTION_BAD_HANDLE, ELECTION_BAD_PATH, ELECTION_BAD_VALUE, ELECTION_ALREADY when this handle stands
/// for `path`, ELECTION_AUTHFAILED when the servers have refused the handle's credentials.
///
/// A program that has a go_to_election of its own calls election_go_to_election, which is the same.
#[no_mangle]
pub unsafe extern "C" fn go_to_election(
    handle: *mut election_t,
    path: *const c_char,
    value: *const c_void,
    value_len: usize,
    on_role: election_role_fn,
    ctx: *mut c_void,
    free_ctx: election_free_fn,
) -> c_int {
    unsafe { election_go_to_election(handle, path, value, value_len, on_role, ctx, free_ctx) }
}

/// Stand as a candidate for master at `path`: the same function as go_to_election, for programs that have a
/// go_to_election of their own.
///
/// Returns as go_to_election.
#[no_mangle]
pub unsafe extern "C" fn election_go_to_election(
    handle: *mut election_t,
    path: *const c_char,
    value: *const c_void,
    value_len: usize,
    on_role: election_role_fn,
    ctx: *mut c_void,
    free_ctx: election_free_fn,
) -> c_int {
    answer(|| {
        let election = border::find(handle)?;
        let path = unsafe { text(path) }.ok_or(Error::BadPath)?;
        let value = unsafe { bytes(value, value_len) }.ok_or(Error::BadValue)?;
        election.stand(path, value, || {
            let callback = Callback::new(on_role, ctx, free_ctx);
            let mut c_event = CEvent::new(path);
            Box::new(move |event| callback.call(|role_fn, ctx| c_event.with(event, |c| unsafe { role_fn(c, ctx) })))
        })
    })
}

/// Change the value with which this handle stands at `path`: `value_len` bytes that are copied. The znode that stands
/// gets it, and so does each that is made later, after an expired session, say; should the value be set again before
/// ZooKeeper has it, the last one counts. Observers and watchers of the members are told of it, and slaves too with
/// ELECTION_RECIPE_NODE. The candidate itself is not: its next ELECTION_MASTER carries it. The mastership and its token
/// stay as they are.
///
/// What cannot be done now (a broken connection; ZooKeeper refuses) is done later, by itself. As with election_resign
/// and ELECTION_RECIPE_NODE, a znode that another contender has created at `path` after somebody deleted ours may be
/// taken for ours until we have heard of it: its value is then changed if its data version is the same.
///
/// Returns ELECTION_OK, at once and without waiting for ZooKeeper. Else nothing happened: ELECTION_BAD_HANDLE,
/// ELECTION_BAD_PATH, ELECTION_BAD_VALUE, ELECTION_NOT_THERE.
#[no_mangle]
pub unsafe extern "C" fn election_set_value(
    handle: *mut election_t,
    path: *const c_char,
    value: *const c_void,
    value_len: usize,
) -> c_int {
    answer(|| {
        let election = border::find(handle)?;
        let path = unsafe { text(path) }.ok_or(Error::BadPath)?;
        let value = unsafe { bytes(value, value_len) }.ok_or(Error::BadValue)?;
        election.set_value(path, value)
    })
}

/// Resign: stop standing at `path`. (Where election_lead stands, its function hears that it should stop, and election_lead
/// resigns when the function has returned.) From here on election_is_master says no; the candidate hears that it
/// resigned, as its last event, and its znode is deleted, so that the next master comes at once. With servers
/// out of reach that happens when they are back, or when the session expires. go_to_election may be called for
/// the same path again at any time.
///
/// Returns ELECTION_OK, at once and without waiting for ZooKeeper. Else nothing happened: ELECTION_BAD_HANDLE,
/// ELECTION_BAD_PATH, ELECTION_NOT_THERE.
#[no_mangle]
pub unsafe extern "C" fn election_resign(handle: *mut election_t, path: *const c_char) -> c_int {
    answer(|| {
        let path = unsafe { text(path) }.ok_or(Error::BadPath);
        border::find(handle)?.resign(path?)
    })
}

/// Ask whether this handle is master at `path` now. The clock (CLOCK_BOOTTIME) is compared with the lease at the
/// time of the call: a process that was stopped for longer hears no at its first call. Never waits, takes no
/// lock, and may be called from any thread as often as one likes.
///
/// Returns 1 for yes, and 0 for everything else: slave, unknown, not standing there, a bad handle or path.
#[no_mangle]
pub unsafe extern "C" fn election_is_master(handle: *const election_t, path: *const c_char) -> c_int {
    unsafe { election_lease(handle, path, std::ptr::null_mut(), std::ptr::null_mut()) }
}

/// As election_is_master, with what to know of the mastership: `*token`, to be sent along with each write; and
/// `*left_ns`, for how many nanoseconds from now the lease holds if nothing else is heard. Either may be NULL;
/// both are written only when the answer is 1.
///
/// Between the answer and what is done with it the process may be stopped for any time: where that must not do
/// harm, let the other side check the token, or use a fenced write.
#[no_mangle]
pub unsafe extern "C" fn election_lease(
    handle: *const election_t,
    path: *const c_char,
    token: *mut i64,
    left_ns: *mut i64,
) -> c_int {
    guard(0, || {
        let Some(path) = (unsafe { text(path) }) else { return 0 };
        let Ok(Some(mastership)) = border::with(handle, |election| election.lease(path)) else { return 0 };
        if !token.is_null() {
            unsafe { token.write(mastership.token) };
        }
        if !left_ns.is_null() {
            unsafe { left_ns.write(mastership.left.as_nanos() as i64) };
        }
        1
    })
}

/// Wait until the candidate at `path` has this role, a number of election_role_t, but no longer than `timeout_ms`
/// (1 to 3,600,000, or ELECTION_FOREVER). For programs that want no callbacks; in a callback, too.
///
/// Returns ELECTION_OK; ELECTION_OPERATIONTIMEOUT when the role did not come in time; ELECTION_NOT_THERE, also when
/// the candidate resigns, or the handle is closed, meanwhile; the `rc` of its last event when that was
/// ELECTION_REASON_DENIED, such as ELECTION_NOAUTH; ELECTION_INTERRUPTED. ELECTION_BAD_HANDLE, ELECTION_BAD_PATH,
/// ELECTION_BAD_ROLE, ELECTION_BAD_TIMEOUT.
#[no_mangle]
pub unsafe extern "C" fn election_wait(
    handle: *mut election_t,
    path: *const c_char,
    role: c_int,
    timeout_ms: c_int,
) -> c_int {
    answer(|| {
        let election = border::find(handle)?;
        let path = unsafe { text(path) }.ok_or(Error::BadPath)?;
        let role = border::role(role).ok_or(Error::BadRole)?;
        election.wait(path, role, border::timeout_or_forever(timeout_ms)?)
    })
}
