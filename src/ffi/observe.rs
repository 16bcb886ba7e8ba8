//! Who is master and who stands, for programs that do not stand.

use std::ffi::{c_char, c_int, c_void};

use super::border::{self, answer, text, CMaster, CMembers, Callback};
use super::types::*;
use crate::handle::{outside, Error};

/// Watch who is master at `path`, without standing. `on_master` receives an event at once, and then one for
/// each change: another master, another value, no master, nobody can tell. A master that comes and goes within
/// a round trip may go unseen. In a new session, a server that lags behind may report an older master first;
/// the larger token is the newer one. Standing and watching at the same path are independent. `ctx` is passed
/// to `on_master`; `free_ctx` may be NULL.
///
/// Returns ELECTION_OK, at once and without waiting for ZooKeeper. Otherwise nothing has happened and `ctx` is
/// still yours: ELECTION_BAD_HANDLE, ELECTION_BAD_PATH; ELECTION_BAD_CALLBACK if `on_master` is NULL;
/// ELECTION_ALREADY if this handle watches `path`.
///
/// A program that has a watch_master of its own calls election_watch_master, which is the same.
#[no_mangle]
pub unsafe extern "C" fn watch_master(
    handle: *mut election_t,
    path: *const c_char,
    on_master: election_master_fn,
    ctx: *mut c_void,
    free_ctx: election_free_fn,
) -> c_int {
    unsafe { election_watch_master(handle, path, on_master, ctx, free_ctx) }
}

/// Watch who is master at `path`. This is watch_master, for programs that have a function of their own with
/// that name.
///
/// Returns as watch_master.
#[no_mangle]
pub unsafe extern "C" fn election_watch_master(
    handle: *mut election_t,
    path: *const c_char,
    on_master: election_master_fn,
    ctx: *mut c_void,
    free_ctx: election_free_fn,
) -> c_int {
    answer(|| {
        let election = border::find(handle)?;
        let path = unsafe { text(path) }.ok_or(Error::BadPath)?;
        if on_master.is_none() {
            return Err(Error::BadCallback);
        }
        election.observe(path, || {
            let callback = Callback::new(on_master, ctx, free_ctx);
            let mut c_master = CMaster::new(path);
            Box::new(move |master| {
                callback.call(|master_fn, ctx| c_master.with(master, |c| unsafe { master_fn(c, ctx) }))
            })
        })
    })
}

/// Stop watching at `path`. A callback that runs or waits may still come, and then free_ctx;
/// election_wait_finished waits for both.
///
/// Returns ELECTION_OK, at once. Otherwise nothing has happened: ELECTION_BAD_HANDLE, ELECTION_BAD_PATH,
/// ELECTION_NOT_THERE.
#[no_mangle]
pub unsafe extern "C" fn election_unwatch_master(handle: *mut election_t, path: *const c_char) -> c_int {
    answer(|| {
        let path = unsafe { text(path) }.ok_or(Error::BadPath);
        border::find(handle)?.unwatch_master(path?)
    })
}

/// Watch who stands at `path`, in order and with values, without standing. With ELECTION_RECIPE_NODE that is
/// the master alone; in a queue it is every candidate. `on_members` receives an event at once, and then one for
/// each change: a member comes, goes, or changes its value. Changes that come together may be reported
/// together. If fewer than `enough` stand, and when enough stand again, the event has an alarm; `enough` 0
/// means no alarm. A znode that belongs to no session (`session_id` 0) is listed, but does not count. `ctx` is
/// passed to `on_members`; `free_ctx` may be NULL.
///
/// It costs ZooKeeper one watch for each member, and one more. Each change costs a read; a member that comes or
/// goes costs a list as well. A program that needs only the master calls watch_master.
///
/// Returns ELECTION_OK, at once and without waiting for ZooKeeper. Otherwise nothing has happened and `ctx` is
/// still yours: ELECTION_BAD_HANDLE, ELECTION_BAD_PATH; ELECTION_BAD_COUNT if `enough` is negative;
/// ELECTION_BAD_CALLBACK if `on_members` is NULL; ELECTION_ALREADY if this handle watches the members at
/// `path`.
#[no_mangle]
pub unsafe extern "C" fn election_watch_members(
    handle: *mut election_t,
    path: *const c_char,
    enough: c_int,
    on_members: election_members_fn,
    ctx: *mut c_void,
    free_ctx: election_free_fn,
) -> c_int {
    answer(|| {
        let election = border::find(handle)?;
        let path = unsafe { text(path) }.ok_or(Error::BadPath)?;
        let enough = usize::try_from(enough).map_err(|_| Error::BadCount)?;
        if on_members.is_none() {
            return Err(Error::BadCallback);
        }
        election.observe_members(path, enough, || {
            let callback = Callback::new(on_members, ctx, free_ctx);
            let c_members = CMembers::new(path);
            Box::new(move |members| {
                callback.call(|members_fn, ctx| c_members.with(members, |c| unsafe { members_fn(c, ctx) }))
            })
        })
    })
}

/// Stop watching the members at `path`. A callback that runs or waits may still come, and then free_ctx;
/// election_wait_finished waits for both.
///
/// Returns ELECTION_OK, at once. Otherwise nothing has happened: ELECTION_BAD_HANDLE, ELECTION_BAD_PATH,
/// ELECTION_NOT_THERE.
#[no_mangle]
pub unsafe extern "C" fn election_unwatch_members(handle: *mut election_t, path: *const c_char) -> c_int {
    answer(|| {
        let path = unsafe { text(path) }.ok_or(Error::BadPath);
        border::find(handle)?.unwatch_members(path?)
    })
}

/// Ask once who is master at `path`. On success `on_master` has been called once, on the calling thread, with
/// the event that watch_master would report; its `rc` is ELECTION_NONODE if there is no master. The call waits
/// for the answer, up to `timeout_ms` (1 to 3,600,000). May be called inside a callback. A program that asks
/// often uses watch_master instead.
///
/// Returns ELECTION_OK. Otherwise `on_master` was not called: ELECTION_BAD_HANDLE, ELECTION_BAD_PATH,
/// ELECTION_BAD_CALLBACK, ELECTION_BAD_TIMEOUT; ELECTION_CONNECTIONLOSS if there is no connection or it broke;
/// ELECTION_OPERATIONTIMEOUT; ELECTION_INTERRUPTED; ELECTION_NOAUTH and other numbers of ZooKeeper's if it
/// refused.
#[no_mangle]
pub unsafe extern "C" fn election_get_master(
    handle: *mut election_t,
    path: *const c_char,
    on_master: election_master_fn,
    ctx: *mut c_void,
    timeout_ms: c_int,
) -> c_int {
    answer(|| {
        let election = border::find(handle)?;
        let path = unsafe { text(path) }.ok_or(Error::BadPath)?;
        let on_master = on_master.ok_or(Error::BadCallback)?;
        let master = election.master(path, border::timeout(timeout_ms)?)?;
        CMaster::new(path).with(&master, |master| outside(|| unsafe { on_master(master, ctx) }));
        Ok(())
    })
}

/// Ask once who stands at `path`. `on_member` is called for each member, the master first, on the calling
/// thread, before this returns. With ELECTION_RECIPE_NODE there is one member at most. The call waits for the
/// answer, up to `timeout_ms` (1 to 3,600,000). May be called inside a callback.
///
/// Returns ELECTION_OK. Otherwise `on_member` was not called: ELECTION_BAD_HANDLE, ELECTION_BAD_PATH,
/// ELECTION_BAD_CALLBACK, ELECTION_BAD_TIMEOUT; ELECTION_CONNECTIONLOSS if there is no connection or it broke;
/// ELECTION_OPERATIONTIMEOUT; ELECTION_INTERRUPTED; ELECTION_NOAUTH and other numbers of ZooKeeper's if it
/// refused.
#[no_mangle]
pub unsafe extern "C" fn election_members(
    handle: *mut election_t,
    path: *const c_char,
    on_member: election_member_fn,
    ctx: *mut c_void,
    timeout_ms: c_int,
) -> c_int {
    answer(|| {
        let election = border::find(handle)?;
        let path = unsafe { text(path) }.ok_or(Error::BadPath)?;
        let on_member = on_member.ok_or(Error::BadCallback)?;
        let members = election.members(path, border::timeout(timeout_ms)?)?;
        for member in &members {
            border::show_member(member, |member| outside(|| unsafe { on_member(member, ctx) }));
        }
        Ok(())
    })
}
