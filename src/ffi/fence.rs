//! Writes that an old master cannot make: in ZooKeeper by a transaction, elsewhere by the token.

use std::ffi::{c_char, c_int, c_void};

use super::border::{self, answer, bytes, guard, text};
use super::types::*;
use crate::handle::{Error, Verifier};

/// Create a persistent znode at `target` if our znode at `path` exists, both in one transaction: a write to
/// ZooKeeper that an old master cannot make. `path` is the path of the election. Parents of `target` are not
/// created. Before the grace delay is over nothing is written. The call waits for the answer, up to
/// `timeout_ms` (1 to 3,600,000). May be called inside a callback.
///
/// With ELECTION_RECIPE_NODE, another contender's znode counts as ours if it was created at `path` after
/// somebody deleted ours and the library has not heard of it yet. In a queue it does not.
///
/// A write with unknown outcome may still be applied later, but never after another contender has become
/// master. For this, with ELECTION_RECIPE_NODE, the handle opens a new session after such a mastership. It
/// keeps the session while it leads at other paths. If a late write may do harm, use one handle for each
/// election, or a queue.
///
/// Returns ELECTION_OK. Otherwise nothing was written: ELECTION_NOT_MASTER if this handle is not master at
/// `path`; ELECTION_NODEEXISTS, ELECTION_NONODE (no parent) and other numbers of ZooKeeper's if it refused the
/// write; ELECTION_BAD_HANDLE, ELECTION_BAD_PATH (for either), ELECTION_BAD_VALUE, ELECTION_BAD_TIMEOUT. The
/// outcome is unknown: ELECTION_CONNECTIONLOSS, ELECTION_OPERATIONTIMEOUT, ELECTION_INTERRUPTED.
#[no_mangle]
pub unsafe extern "C" fn election_fenced_create(
    handle: *mut election_t,
    path: *const c_char,
    target: *const c_char,
    value: *const c_void,
    value_len: usize,
    timeout_ms: c_int,
) -> c_int {
    answer(|| {
        let election = border::find(handle)?;
        let path = unsafe { text(path) }.ok_or(Error::BadPath)?;
        let target = unsafe { text(target) }.ok_or(Error::BadPath)?;
        let value = unsafe { bytes(value, value_len) }.ok_or(Error::BadValue)?;
        election.fenced_create(path, target, value, border::timeout(timeout_ms)?)
    })
}

/// Set the value of the znode at `target` if our znode at `path` exists, both in one transaction. `version` is
/// the data version that the znode at `target` must have, or -1 for any. The rest is as for
/// election_fenced_create.
///
/// Returns as election_fenced_create; ELECTION_NONODE if there is no znode at `target`, ELECTION_BADVERSION if
/// it has another version.
#[no_mangle]
pub unsafe extern "C" fn election_fenced_set(
    handle: *mut election_t,
    path: *const c_char,
    target: *const c_char,
    value: *const c_void,
    value_len: usize,
    version: c_int,
    timeout_ms: c_int,
) -> c_int {
    answer(|| {
        let election = border::find(handle)?;
        let path = unsafe { text(path) }.ok_or(Error::BadPath)?;
        let target = unsafe { text(target) }.ok_or(Error::BadPath)?;
        let value = unsafe { bytes(value, value_len) }.ok_or(Error::BadValue)?;
        election.fenced_set(path, target, value, border::version(version), border::timeout(timeout_ms)?)
    })
}

/// Delete the znode at `target` if our znode at `path` exists, both in one transaction. `version` is the data
/// version that the znode at `target` must have, or -1 for any. The rest is as for election_fenced_create.
///
/// Returns as election_fenced_create; ELECTION_NONODE if there is no znode at `target`, ELECTION_BADVERSION if
/// it has another version, ELECTION_NOTEMPTY if it has children.
#[no_mangle]
pub unsafe extern "C" fn election_fenced_delete(
    handle: *mut election_t,
    path: *const c_char,
    target: *const c_char,
    version: c_int,
    timeout_ms: c_int,
) -> c_int {
    answer(|| {
        let election = border::find(handle)?;
        let path = unsafe { text(path) }.ok_or(Error::BadPath)?;
        let target = unsafe { text(target) }.ok_or(Error::BadPath)?;
        election.fenced_delete(path, target, border::version(version), border::timeout(timeout_ms)?)
    })
}

/// Create a verifier of tokens, for the side that a master writes to: a storage node, a device, a payment gate.
/// Use one for each election. It starts from `highest`: the highest token that was seen before and stored, or
/// 0. Any number of threads may use it at the same time. Free it with election_verifier_free.
#[no_mangle]
pub extern "C" fn election_verifier_new(highest: i64) -> *mut election_verifier_t {
    guard(std::ptr::null_mut(), || {
        Box::into_raw(Box::new(election_verifier_t { verifier: Verifier::new(highest) }))
    })
}

/// Free a verifier. NULL is allowed. No other call on it may be running.
#[no_mangle]
pub unsafe extern "C" fn election_verifier_free(verifier: *mut election_verifier_t) {
    guard((), || {
        if !verifier.is_null() {
            drop(unsafe { Box::from_raw(verifier) });
        }
    })
}

/// Decide whether a write with `token` may be taken, and remember the token if so.
///
/// Returns ELECTION_OK; ELECTION_STALE_TOKEN if a larger token was seen or `token` is not positive: refuse the
/// write, because it comes from an old master. ELECTION_BAD_VERIFIER if `verifier` is NULL.
#[no_mangle]
pub unsafe extern "C" fn election_verifier_admit(verifier: *const election_verifier_t, token: i64) -> c_int {
    answer(|| {
        let verifier = unsafe { verifier.as_ref() }.ok_or(Error::BadVerifier)?;
        verifier.verifier.admit(token).then_some(()).ok_or(Error::StaleToken)
    })
}

/// Get the highest token that a verifier has seen, to be stored with what was written. 0 if `verifier` is NULL.
#[no_mangle]
pub unsafe extern "C" fn election_verifier_highest(verifier: *const election_verifier_t) -> i64 {
    guard(0, || unsafe { verifier.as_ref() }.map_or(0, |verifier| verifier.verifier.highest()))
}
