//! A panic inside the library becomes a code, prints nothing, ends nothing, and leaves a handle that works and closes.
//!
//! The library of this build panics at named points when it is asked to (`src/driver/failpoint.rs`). What the release build
//! does when the system fails under it, `tests/c_api/failing_system.c` shows.

use std::collections::BTreeMap;
use std::ffi::{c_char, c_int, c_void, CStr};
use std::process::Command;
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use election::testing::failpoint;
use election::testing::ffi::*;

const INTERNAL: i64 = election_rc_t::ELECTION_INTERNAL as i64;

/// Nobody listens there, and nothing here waits for anybody.
const HOSTS: &CStr = c"127.0.0.1:1";
const STANDS: &CStr = c"/stands";
const WATCHED: &CStr = c"/watched";
const OTHER: &CStr = c"/other";

fn open(dispatch: election_dispatch_t) -> *mut election_t {
    let options = election_options_new();
    let mut handle = null_mut();
    unsafe {
        assert_eq!(election_options_set_dispatch(options, dispatch as c_int), 0);
        assert_eq!(election_open(HOSTS.as_ptr(), options, &mut handle), 0);
        election_options_free(options);
    }
    handle
}

/// What parties were told last, and how many ctx were freed.
#[derive(Default)]
struct Heard {
    reason: AtomicI32,
    rc: AtomicI32,
    connection: AtomicI32,
    freed: AtomicI32,
}

impl Heard {
    fn ctx(&self) -> *mut c_void {
        (self as *const Heard).cast_mut().cast()
    }
}

unsafe extern "C" fn on_role(event: *const election_event_t, ctx: *mut c_void) {
    let (event, heard) = unsafe { (&*event, &*ctx.cast::<Heard>()) };
    heard.reason.store(event.reason as i32, Ordering::SeqCst);
}

unsafe extern "C" fn on_master(master: *const election_master_t, ctx: *mut c_void) {
    let (master, heard) = unsafe { (&*master, &*ctx.cast::<Heard>()) };
    heard.rc.store(master.rc, Ordering::SeqCst);
}

unsafe extern "C" fn on_connection(connection: *const election_connection_t, ctx: *mut c_void) {
    let (connection, heard) = unsafe { (&*connection, &*ctx.cast::<Heard>()) };
    heard.connection.store(connection.rc, Ordering::SeqCst);
}

unsafe extern "C" fn lead(_: *const election_leadership_t, _: *mut c_void) -> c_int {
    unreachable!("nobody is master here")
}

unsafe extern "C" fn on_member(_: *const election_member_t, _: *mut c_void) {}

unsafe extern "C" fn on_members(_: *const election_members_t, _: *mut c_void) {}

unsafe extern "C" fn on_free(ctx: *mut c_void) {
    unsafe { &*ctx.cast::<Heard>() }.freed.fetch_add(1, Ordering::SeqCst);
}

/// A call of a function, and what it is to return when the library panics in it.
struct Call {
    call: Box<dyn Fn() -> i64>,
    after_panic: i64,
    /// Whether it takes the lock on the handle's changes, under which a panic is asked for, too.
    is_change: bool,
}

/// A struct that election_counters takes.
fn counters() -> *mut election_counters_t {
    let counters = Box::leak(Box::new(unsafe { std::mem::zeroed::<election_counters_t>() }));
    counters.size = size_of::<election_counters_t>();
    counters
}

/// A call of each function that can be called on an open handle, all arguments in order, so that without a panic none is
/// refused for its arguments.
fn calls(handle: *mut election_t, heard: &'static Heard) -> BTreeMap<&'static str, Call> {
    let (path, other, value) = (STANDS.as_ptr(), OTHER.as_ptr(), c"v".as_ptr().cast::<c_void>());
    let options = election_options_new();
    let verifier = election_verifier_new(1);
    let mut calls = BTreeMap::new();
    let mut add = |name: &'static str, after_panic: i64, is_change: bool, call: Box<dyn Fn() -> i64>| {
        assert!(calls.insert(name, Call { call, after_panic, is_change }).is_none(), "{name} is there twice");
    };
    macro_rules! number {
        ($name:ident($($argument:expr),*)) => {
            add(stringify!($name), INTERNAL, false, Box::new(move || unsafe { $name($($argument),*) }.into()))
        };
    }
    macro_rules! change {
        ($name:ident($($argument:expr),*)) => {
            add(stringify!($name), INTERNAL, true, Box::new(move || unsafe { $name($($argument),*) }.into()))
        };
    }
    macro_rules! question {
        ($name:ident($($argument:expr),*)) => {
            add(stringify!($name), 0, false, Box::new(move || unsafe { $name($($argument),*) }.into()))
        };
    }
    number!(election_options_set_session_timeout_ms(options, 1000));
    number!(election_options_set_connect_timeout_ms(options, 0));
    number!(election_options_set_recipe(options, 0));
    number!(election_options_set_dispatch(options, 0));
    number!(election_options_set_grace_ms(options, 0));
    number!(election_options_set_lease_mode(options, 0));
    number!(election_options_set_lease_margin_ms(options, 0));
    number!(election_options_set_tick_ms(options, 0));
    number!(election_options_set_frame_limit_bytes(options, 1 << 22));
    number!(election_options_set_tls(options, c"/etc/hostname".as_ptr()));
    number!(election_options_set_tls_verify_host(options, 1));
    number!(election_options_set_sasl(options, c"user".as_ptr(), c"app".as_ptr()));
    number!(election_options_add_auth(options, c"digest".as_ptr(), value, 1));
    number!(election_options_set_acl(options, 0));
    number!(election_options_add_acl(options, 1, c"world".as_ptr(), c"anyone".as_ptr()));
    number!(election_set_log(0, None, null_mut(), None));
    number!(election_verifier_admit(verifier, 2));
    number!(election_open(HOSTS.as_ptr(), null(), &mut null_mut()));
    change!(go_to_election(handle, other, value, 1, Some(on_role), heard.ctx(), Some(on_free)));
    change!(election_go_to_election(handle, other, value, 1, Some(on_role), heard.ctx(), Some(on_free)));
    change!(election_resign(handle, path));
    change!(election_wait(handle, path, 1, 1));
    change!(election_lead(handle, other, value, 1, Some(lead), null_mut(), 1, null_mut()));
    change!(election_clear_interrupt(handle));
    change!(election_fd(handle));
    change!(election_dispatch(handle, 0));
    change!(election_fenced_create(handle, path, other, value, 1, 1));
    change!(election_fenced_set(handle, path, other, value, 1, -1, 1));
    change!(election_fenced_delete(handle, path, other, -1, 1));
    change!(election_members(handle, path, Some(on_member), null_mut(), 1));
    change!(watch_master(handle, other, Some(on_master), heard.ctx(), Some(on_free)));
    change!(election_watch_master(handle, other, Some(on_master), heard.ctx(), Some(on_free)));
    change!(election_unwatch_master(handle, WATCHED.as_ptr()));
    change!(election_watch_members(handle, other, 1, Some(on_members), heard.ctx(), Some(on_free)));
    change!(election_unwatch_members(handle, path));
    change!(election_set_value(handle, path, value, 1));
    change!(election_get_master(handle, path, Some(on_master), heard.ctx(), 1));
    change!(election_watch_connection(handle, Some(on_connection), heard.ctx(), Some(on_free)));
    change!(election_unwatch_connection(handle));
    change!(election_wait_finished(handle, 1));
    change!(election_counters(handle, counters()));
    change!(election_dump(handle, 0, &mut null_mut()));
    change!(election_connect_failure(handle, Box::leak(Box::new([0u8; 64])).as_mut_ptr().cast(), 64));
    change!(election_close(handle));
    number!(election_wait_stop(null(), 1));
    question!(election_leadership_token(null()));
    question!(election_is_master(handle, path));
    question!(election_lease(handle, path, null_mut(), null_mut()));
    question!(election_verifier_highest(verifier));
    add("election_should_stop", 1, false, Box::new(|| unsafe { election_should_stop(null()) }.into()));
    let sentence = election_strerror(-1002) as i64;
    add("election_explain", sentence, false, Box::new(|| election_explain(-1002) as i64));
    add("election_options_new", 0, false, Box::new(|| election_options_new() as i64));
    add("election_verifier_new", 0, false, Box::new(|| election_verifier_new(0) as i64));
    // Made beforehand, or the panic would strike in the making.
    let (freed_options, freed_verifier) = (election_options_new(), election_verifier_new(0));
    add(
        "election_options_free",
        0,
        false,
        Box::new(move || (unsafe { election_options_free(freed_options) }, 0).1),
    );
    add(
        "election_verifier_free",
        0,
        false,
        Box::new(move || (unsafe { election_verifier_free(freed_verifier) }, 0).1),
    );
    let mut freed_dump = null_mut();
    assert_eq!(unsafe { election_dump(handle, 0, &mut freed_dump) }, 0);
    add("election_dump_free", 0, false, Box::new(move || (unsafe { election_dump_free(freed_dump) }, 0).1));
    calls
}

/// There is nothing in these that could panic: two return static strings, and one is called in signal handlers, where the
/// guard may not be.
const WITHOUT_GUARD: [&str; 3] = ["election_version", "election_strerror", "election_interrupt"];

/// The functions that the library exports.
fn functions() -> Vec<&'static str> {
    let abi = include_str!("c_api/abi.txt");
    abi.lines().filter_map(|line| line.strip_prefix("function ")?.split_once(':')).map(|(name, _)| name).collect()
}

fn stand_and_watch(handle: *mut election_t, heard: &'static Heard) {
    unsafe {
        let path: *const c_char = STANDS.as_ptr();
        let stood = go_to_election(handle, path, null(), 0, Some(on_role), heard.ctx(), Some(on_free));
        assert_eq!(stood, 0);
        let watches = watch_master(handle, WATCHED.as_ptr(), Some(on_master), heard.ctx(), Some(on_free));
        assert_eq!(watches, 0);
        assert_eq!(election_watch_connection(handle, Some(on_connection), heard.ctx(), Some(on_free)), 0);
    }
}

fn heard() -> &'static Heard {
    Box::leak(Box::default())
}

/// Panics once in each function, at the point; afterwards the handle is as it was, and closes.
fn panic_in_each_function(point: &'static str, is_asked: fn(&Call) -> bool) {
    let heard = heard();
    let handle = open(election_dispatch_t::ELECTION_DISPATCH_MANUAL);
    stand_and_watch(handle, heard);
    let calls = calls(handle, heard);
    let mut known: Vec<&str> = calls.keys().copied().chain(WITHOUT_GUARD).collect();
    known.sort_unstable();
    assert_eq!(known, functions(), "the functions of this table, and those of the library");
    for (name, call) in calls.iter().filter(|(_, call)| is_asked(call)) {
        failpoint::panic_at(point);
        assert_eq!((call.call)(), call.after_panic, "{name}");
        assert!(!failpoint::is_due(), "{name} passes {point}");
    }
    assert_eq!(heard.freed.load(Ordering::SeqCst), 0, "what was refused is the caller's, what stands goes on");
    unsafe {
        assert_eq!(election_resign(handle, OTHER.as_ptr()), election_rc_t::ELECTION_NOT_THERE as c_int);
        assert_eq!(election_resign(handle, STANDS.as_ptr()), 0);
        assert_eq!(election_close(handle), 0);
        assert_eq!(election_close(handle), election_rc_t::ELECTION_BAD_HANDLE as c_int);
    }
    assert_eq!(heard.reason.load(Ordering::SeqCst), election_reason_t::ELECTION_REASON_RESIGNED as i32);
    assert_eq!(heard.rc.load(Ordering::SeqCst), election_rc_t::ELECTION_CLOSING as i32);
    assert_eq!(heard.connection.load(Ordering::SeqCst), election_rc_t::ELECTION_CLOSING as i32);
    assert_eq!(heard.freed.load(Ordering::SeqCst), 3);
}

/// The session's task ends by a panic: everybody hears that the library failed, and the handle closes.
fn panic_in_the_session(point: &'static str, dispatch: election_dispatch_t) {
    let heard = heard();
    let handle = open(dispatch);
    stand_and_watch(handle, heard);
    failpoint::panic_at(point);
    unsafe {
        if point == "command" {
            assert_eq!(election_unwatch_master(handle, WATCHED.as_ptr()), 0);
            let left = election_wait(handle, STANDS.as_ptr(), election_role_t::ELECTION_MASTER as c_int, 60_000);
            assert_eq!(left, election_rc_t::ELECTION_NOT_THERE as c_int, "the last role has been told");
            assert_eq!(election_is_master(handle, STANDS.as_ptr()), 0);
            // As soon as the task is gone, nothing is accepted any more.
            let other = OTHER.as_ptr();
            while go_to_election(handle, other, null(), 0, None, null_mut(), None) == 0 {
                assert_eq!(election_resign(handle, other), 0);
            }
            let late = go_to_election(handle, other, null(), 0, None, null_mut(), None);
            assert_eq!(i64::from(late), INTERNAL);
            let late = watch_master(handle, other, Some(on_master), null_mut(), None);
            assert_eq!(i64::from(late), INTERNAL);
        }
        assert_eq!(election_close(handle), election_rc_t::ELECTION_CONNECTIONLOSS as c_int, "nobody confirms it");
    }
    assert!(!failpoint::is_due());
    assert_eq!(heard.reason.load(Ordering::SeqCst), election_reason_t::ELECTION_REASON_FAILED as i32);
    assert_eq!(heard.rc.load(Ordering::SeqCst), INTERNAL as i32);
    assert_eq!(heard.connection.load(Ordering::SeqCst), INTERNAL as i32);
    assert_eq!(heard.freed.load(Ordering::SeqCst), 3);
}

/// The session's task ends by a panic while an open waits for its connection: the open says so, and at once.
fn panic_while_open_waits() {
    let options = election_options_new();
    let mut handle = null_mut();
    failpoint::panic_at("session");
    unsafe {
        assert_eq!(election_options_set_connect_timeout_ms(options, 60_000), 0);
        assert_eq!(i64::from(election_open(HOSTS.as_ptr(), options, &mut handle)), INTERNAL);
        election_options_free(options);
    }
    assert!(!failpoint::is_due());
    assert!(handle.is_null());
}

/// Where callbacks run, a panic costs the note that it struck, and nothing else.
fn panic_between_callbacks(dispatch: election_dispatch_t) {
    let heard = heard();
    failpoint::panic_at("note");
    let handle = open(dispatch);
    stand_and_watch(handle, heard);
    unsafe {
        // Each hears at first that there is no connection.
        while failpoint::is_due() {
            std::thread::sleep(Duration::from_millis(1));
            election_dispatch(handle, 0);
        }
        assert_eq!(election_resign(handle, STANDS.as_ptr()), 0);
        assert_eq!(election_close(handle), 0);
    }
    assert_eq!(heard.reason.load(Ordering::SeqCst), election_reason_t::ELECTION_REASON_RESIGNED as i32);
    assert_eq!(heard.rc.load(Ordering::SeqCst), election_rc_t::ELECTION_CLOSING as i32);
    assert_eq!(heard.connection.load(Ordering::SeqCst), election_rc_t::ELECTION_CLOSING as i32);
    assert_eq!(heard.freed.load(Ordering::SeqCst), 3);
}

/// A thread that panics while it dispatches leaves the callbacks to the next one.
fn panic_in_dispatch(dispatch: election_dispatch_t) {
    let heard = heard();
    let handle = open(dispatch);
    stand_and_watch(handle, heard);
    failpoint::panic_at("dispatch");
    unsafe {
        assert_eq!(i64::from(election_dispatch(handle, 60_000)), INTERNAL);
        assert!(election_dispatch(handle, 60_000) > 0);
        assert_eq!(election_close(handle), 0);
    }
    assert_eq!(heard.freed.load(Ordering::SeqCst), 3);
}

/// What `no_panic_is_heard` runs in a process of its own, where everything that is printed is seen.
#[test]
#[ignore = "run by no_panic_is_heard"]
fn all_of_them() {
    panic_in_each_function("border", |_| true);
    panic_in_each_function("change", |call| call.is_change);
    for dispatch in [
        election_dispatch_t::ELECTION_DISPATCH_THREAD,
        election_dispatch_t::ELECTION_DISPATCH_MANUAL,
        election_dispatch_t::ELECTION_DISPATCH_LOOP,
    ] {
        panic_in_the_session("command", dispatch);
        panic_in_the_session("close", dispatch);
        panic_between_callbacks(dispatch);
    }
    panic_while_open_waits();
    panic_in_dispatch(election_dispatch_t::ELECTION_DISPATCH_MANUAL);
    panic_in_dispatch(election_dispatch_t::ELECTION_DISPATCH_LOOP);
}

#[test]
fn no_panic_is_heard() {
    let this = std::env::current_exe().expect("a test has a file");
    let output = Command::new(this).args(["--ignored", "--exact", "--nocapture", "all_of_them"]).output();
    let output = output.expect("a test can be run");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.contains("1 passed"), "{out}{err}");
    assert_eq!(err, "");
}
