//! Standing as a candidate for master, and asking whether the handle is master.

use std::ffi::{c_char, c_int, c_void};

use super::border::{self, answer, bytes, guard, text, CEvent, Callback};
use super::types::*;
use crate::handle::Error;

/// Stand as a candidate for master at `path`. The first candidate becomes master. When it resigns, closes, dies
/// or loses its session, another candidate becomes master. This goes on for ever, so call it once. On ZooKeeper
/// a candidate is one ephemeral znode with `value`: at `path` itself, as hand-rolled programs create it, so
/// that both can take part in one election; in a queue, below `path`. Missing parents are created.
///
/// `value` is what the others learn of the master, for example its address: `value_len` bytes, which are
/// copied. If it is empty, `value` may be NULL. `on_role` receives each change of the role. It may be NULL;
/// election_is_master answers all the same. `ctx` is passed to `on_role`; `free_ctx` may be NULL.
///
/// Returns ELECTION_OK, at once and without waiting for ZooKeeper. Otherwise nothing has happened and `ctx` is
/// still yours: ELECTION_BAD_HANDLE, ELECTION_BAD_PATH, ELECTION_BAD_VALUE; ELECTION_ALREADY if this handle
/// stands at `path`; ELECTION_AUTHFAILED if the servers have refused the credentials of the handle.
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

/// Stand as a candidate for master at `path`. This is go_to_election, for programs that have a function of
/// their own with that name.
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

/// Change the value with which this handle stands at `path`: `value_len` bytes, which are copied. The present
/// znode gets it, and each later one, for example after an expired session. If the value is set again before
/// ZooKeeper has it, the last one counts. Observers and watchers of members get an event; with
/// ELECTION_RECIPE_NODE slaves do, too. The candidate itself gets none; its next ELECTION_MASTER event has the
/// new value. The mastership and its token do not change.
///
/// If it cannot be done now, because the connection is broken or ZooKeeper refuses, the library does it later.
/// With ELECTION_RECIPE_NODE the library may change another contender's znode: one that was created at `path`
/// after somebody deleted ours, if its data version is the same and the library has not heard of it yet.
///
/// Returns ELECTION_OK, at once and without waiting for ZooKeeper. Otherwise nothing has happened:
/// ELECTION_BAD_HANDLE, ELECTION_BAD_PATH, ELECTION_BAD_VALUE, ELECTION_NOT_THERE.
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

/// Resign: stop standing at `path`. From now on election_is_master says no. The candidate gets its last event,
/// and the library deletes its znode, so that the next master comes at once. If no server can be reached, the
/// znode is deleted when one can, or when the session expires. If election_lead stands at `path`, its function
/// hears that it should stop, and election_lead resigns when the function has returned. go_to_election may be
/// called for the same path again at any time. The last event may come after this call has returned;
/// election_wait_finished waits for it.
///
/// With ELECTION_RECIPE_NODE, if the connection breaks before ZooKeeper has answered the deletion, the session of
/// the handle ends, and its other masterships end too: they have the reason ELECTION_REASON_EXPIRED. The deletion
/// may otherwise be carried out late, and delete the next master's znode.
///
/// Returns ELECTION_OK, at once and without waiting for ZooKeeper. Otherwise nothing has happened:
/// ELECTION_BAD_HANDLE, ELECTION_BAD_PATH, ELECTION_NOT_THERE.
#[no_mangle]
pub unsafe extern "C" fn election_resign(handle: *mut election_t, path: *const c_char) -> c_int {
    answer(|| {
        let path = unsafe { text(path) }.ok_or(Error::BadPath);
        border::find(handle)?.resign(path?)
    })
}

/// Ask whether this handle is master at `path` now. The call compares the clock (CLOCK_BOOTTIME) with the end
/// of the lease, so a process that was stopped for longer gets no at its first call. It never waits, takes no
/// lock, and may be called from any thread as often as you like.
///
/// Returns 1 for yes, and 0 for everything else: slave, unknown, not a candidate there, a bad handle or path.
#[no_mangle]
pub unsafe extern "C" fn election_is_master(handle: *const election_t, path: *const c_char) -> c_int {
    unsafe { election_lease(handle, path, std::ptr::null_mut(), std::ptr::null_mut()) }
}

/// Ask whether this handle is master at `path` now, and for how long. On yes, `*token` is the token, to be sent
/// along with each write, and `*left_ns` is how many nanoseconds from now the lease lasts if nothing more is
/// heard. Either may be NULL. Both are written only on yes.
///
/// The process may be stopped for any time between the answer and what it does next. If that could do harm, let
/// the other side check the token, or use a fenced write.
///
/// Returns 1 for yes, and 0 for everything else, as election_is_master.
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

/// Wait until the candidate at `path` has this role, a number of election_role_t, but no longer than
/// `timeout_ms` (1 to 3,600,000, or ELECTION_FOREVER). For programs without callbacks. May be called inside a
/// callback.
///
/// Returns ELECTION_OK; ELECTION_OPERATIONTIMEOUT if the role did not come in time; ELECTION_NOT_THERE, also if
/// the candidate resigns or the handle is closed in the meantime; the `rc` of the candidate's last event if
/// that was ELECTION_REASON_DENIED, for example ELECTION_NOAUTH; ELECTION_INTERRUPTED. ELECTION_BAD_HANDLE,
/// ELECTION_BAD_PATH, ELECTION_BAD_ROLE, ELECTION_BAD_TIMEOUT.
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
