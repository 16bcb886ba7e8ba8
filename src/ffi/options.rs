//! The options of election_open, beyond the hosts.

use std::ffi::c_int;

use super::border::{self, answer, guard};
use super::types::*;
use crate::handle::{Error, Options};

/// Create options with the defaults: a session timeout of 10,000 ms; no connect timeout; ELECTION_RECIPE_NODE;
/// no grace delay; ELECTION_LEASE_COMMITTED; no lease margin; tick unknown; ELECTION_DISPATCH_THREAD; no
/// credentials; ELECTION_ACL_OPEN; no TLS; a frame limit of 4,194,304 bytes; no SASL. Free them with
/// election_options_free.
#[no_mangle]
pub extern "C" fn election_options_new() -> *mut election_options_t {
    guard(std::ptr::null_mut(), || Box::into_raw(Box::new(election_options_t { options: Options::default() })))
}

/// Free options. NULL is allowed. A handle that was opened with them keeps its own copy.
#[no_mangle]
pub unsafe extern "C" fn election_options_free(options: *mut election_options_t) {
    guard((), || {
        if !options.is_null() {
            drop(unsafe { Box::from_raw(options) });
        }
    })
}

pub(super) unsafe fn set<'a>(options: *mut election_options_t) -> Result<&'a mut Options, Error> {
    unsafe { options.as_mut() }.map(|options| &mut options.options).ok_or(Error::BadOptions)
}

/// Set the session timeout: how long ZooKeeper keeps the znode of a master that it does not hear from, and so
/// how soon after the death of a master the next one comes. The range is 100 to 3,600,000 ms. The library asks
/// for at least 1,000 ms. The server moves the timeout into its own limits (2 to 20 ticks unless set; a tick is
/// 2 s by default). All servers of the ensemble must have the same limits.
///
/// Returns ELECTION_OK, ELECTION_BAD_OPTIONS, ELECTION_BAD_TIMEOUT.
#[no_mangle]
pub unsafe extern "C" fn election_options_set_session_timeout_ms(
    options: *mut election_options_t,
    session_timeout_ms: c_int,
) -> c_int {
    answer(|| unsafe { set(options) }?.set_session_timeout(border::milliseconds(session_timeout_ms)?))
}

/// Set how long election_open waits for the first connection, up to 3,600,000 ms. With 0, the default, it does
/// not wait: the library connects in the background.
///
/// Returns ELECTION_OK, ELECTION_BAD_OPTIONS, ELECTION_BAD_TIMEOUT.
#[no_mangle]
pub unsafe extern "C" fn election_options_set_connect_timeout_ms(
    options: *mut election_options_t,
    connect_timeout_ms: c_int,
) -> c_int {
    answer(|| unsafe { set(options) }?.set_connect_timeout(border::milliseconds(connect_timeout_ms)?))
}

/// Set the recipe of the elections on a handle: a number of election_recipe_t.
///
/// Returns ELECTION_OK, ELECTION_BAD_OPTIONS, ELECTION_BAD_RECIPE.
#[no_mangle]
pub unsafe extern "C" fn election_options_set_recipe(options: *mut election_options_t, recipe: c_int) -> c_int {
    answer(|| {
        unsafe { set(options) }?.set_recipe(border::recipe(recipe).ok_or(Error::BadRecipe)?);
        Ok(())
    })
}

/// Set who runs the callbacks: a number of election_dispatch_t.
///
/// Returns ELECTION_OK, ELECTION_BAD_OPTIONS, ELECTION_BAD_DISPATCH.
#[no_mangle]
pub unsafe extern "C" fn election_options_set_dispatch(options: *mut election_options_t, dispatch: c_int) -> c_int {
    answer(|| {
        unsafe { set(options) }?.set_dispatch(border::dispatch(dispatch).ok_or(Error::BadDispatch)?);
        Ok(())
    })
}

/// Set how long an elected candidate waits before it becomes MASTER, so that work which the old master had
/// begun can end. During the delay its reason is ELECTION_REASON_GRACE. The range is 0, the default, to
/// 3,600,000 ms.
///
/// Returns ELECTION_OK, ELECTION_BAD_OPTIONS, ELECTION_BAD_TIMEOUT.
#[no_mangle]
pub unsafe extern "C" fn election_options_set_grace_ms(options: *mut election_options_t, grace_ms: c_int) -> c_int {
    answer(|| unsafe { set(options) }?.set_grace(border::milliseconds(grace_ms)?))
}

/// Set what proves the lease: a number of election_lease_mode_t.
///
/// Returns ELECTION_OK, ELECTION_BAD_OPTIONS, ELECTION_BAD_LEASE_MODE.
#[no_mangle]
pub unsafe extern "C" fn election_options_set_lease_mode(
    options: *mut election_options_t,
    lease_mode: c_int,
) -> c_int {
    answer(|| {
        unsafe { set(options) }?.set_lease_mode(border::lease_mode(lease_mode).ok_or(Error::BadLeaseMode)?);
        Ok(())
    })
}

/// Set by how much a lease ends sooner than safety asks for. The range is 0, the default, to 3,600,000 ms. With
/// more than about half of the session timeout no candidate becomes master.
///
/// Returns ELECTION_OK, ELECTION_BAD_OPTIONS, ELECTION_BAD_TIMEOUT.
#[no_mangle]
pub unsafe extern "C" fn election_options_set_lease_margin_ms(
    options: *mut election_options_t,
    lease_margin_ms: c_int,
) -> c_int {
    answer(|| unsafe { set(options) }?.set_lease_margin(border::milliseconds(lease_margin_ms)?))
}

/// Set the `tickTime` of the servers. It makes leases longer if it is much smaller than half of the session
/// timeout. A number that is too small makes leases unsafe. The range is 0, the default, for unknown, to
/// 3,600,000 ms.
///
/// Returns ELECTION_OK, ELECTION_BAD_OPTIONS, ELECTION_BAD_TIMEOUT.
#[no_mangle]
pub unsafe extern "C" fn election_options_set_tick_ms(options: *mut election_options_t, tick_ms: c_int) -> c_int {
    answer(|| unsafe { set(options) }?.set_tick(border::milliseconds(tick_ms)?))
}

/// Set how long a message of a server may be, in bytes. The range is 1,048,576 to 1,073,741,824; the default is
/// 4,194,304. A list of children is one message: the default holds the names of about 70,000 candidates of a queue.
/// If a server sends a longer message, the handle leaves the server, tells election_connect_failure and the log, and
/// tries the next one. While the handle reads a message, it needs a few times as much memory.
///
/// Returns ELECTION_OK, ELECTION_BAD_OPTIONS, ELECTION_BAD_FRAME_LIMIT.
#[no_mangle]
pub unsafe extern "C" fn election_options_set_frame_limit_bytes(
    options: *mut election_options_t,
    frame_limit_bytes: c_int,
) -> c_int {
    answer(|| {
        let options = unsafe { set(options) }?;
        options.set_frame_limit(usize::try_from(frame_limit_bytes).map_err(|_| Error::BadFrameLimit)?)
    })
}
