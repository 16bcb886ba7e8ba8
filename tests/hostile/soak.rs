//! Many reconnects, expiries and handles: memory, descriptors and threads return to where they were.

use crate::alone::{alone, LONGEST};
use crate::lies::To;
use crate::subject::{Load, Subject};
use election::testing::ffi::*;
use std::ffi::{c_int, c_void, CString};
use std::hint::black_box;
use std::ptr::{null, null_mut};
use std::time::{Duration, Instant};
use testkit::{eventually, expire_session, Ensemble, Progress, Relay};

const SOON: Duration = Duration::from_secs(20);

/// A connection that stands for less counts as thrown out.
const STANDS: Duration = Duration::from_millis(250);

/// After as many rounds again of the same, malloc's own unevenness is under this; a leak of 1 KiB a round is not, in
/// the long run.
const UNEVEN_KIB: i64 = 512;

/// In bytes. So much is returned to the system by nothing that ends a little later.
const PLANTED: usize = 1 << 20;

/// Each of them is one: the session is the same, and has stood for long enough to be no quick close.
fn reconnect(relay: &Relay, subject: &Subject) {
    let session = relay.session().expect("a session").id;
    let before = subject.counters().connections;
    relay.cut_all();
    eventually(SOON, "a new connection", || subject.counters().connections > before);
    std::thread::sleep(STANDS);
    assert_eq!(relay.session().expect("a session").id, session, "a reconnect, not a new session");
    subject.is_settled();
    relay.clear_requests();
}

/// Each of them is one: a new mastership, of a new session.
fn expire(ensemble: &Ensemble, relay: &Relay, subject: &Subject) {
    let (session, token) = (relay.session().expect("a session"), subject.token());
    // The owner may take its session back before it is closed.
    eventually(SOON, "a new session", || {
        expire_session(&ensemble.host(0), session.id, &session.password);
        relay.session().is_some_and(|now| now.id != session.id)
    });
    eventually(SOON, "a new mastership", || subject.token() > token && token.is_some());
    std::thread::sleep(STANDS);
    relay.clear_requests();
}

unsafe extern "C" fn ignore(_: *const election_event_t, _: *mut c_void) {}

/// Each of them has a session and is elected, and is opened and closed as C does it.
fn open_and_close(ensemble: &Ensemble) {
    let (hosts, path) = (CString::new(ensemble.host(0)).unwrap(), c"/soak-handles".as_ptr());
    let master = election_role_t::ELECTION_MASTER as c_int;
    let mut handle = null_mut();
    // SAFETY: the strings outlive the calls, and `ignore` looks at nothing.
    unsafe {
        assert_eq!(election_open(hosts.as_ptr(), null(), &mut handle), 0);
        assert_eq!(go_to_election(handle, path, b"v".as_ptr().cast(), 1, Some(ignore), null_mut(), None), 0);
        assert_eq!(election_wait(handle, path, master, SOON.as_millis() as c_int), 0);
        assert_eq!(election_close(handle), 0);
    }
}

/// A tenth to warm up, then all: the difference is what stays.
fn stays_flat(what: &str, times: usize, mut round: impl FnMut()) -> Result<(), String> {
    let progress = Progress::new(what, (times + times / 10) as u64, "rounds");
    let mut rounds = |times: usize| {
        for _ in 0..times {
            round();
            progress.advance(1);
        }
    };
    rounds(times / 10);
    let (before, since) = (Load::now(), Instant::now());
    rounds(times);
    // What is being closed ends a little later.
    let is_flat = |load: &Load| load.descriptors <= 0 && load.threads <= 0 && load.resident_kib <= UNEVEN_KIB;
    let mut load = Load::now().since(&before);
    let took = since.elapsed();
    while !is_flat(&load) && since.elapsed() < took + Duration::from_secs(3) {
        std::thread::sleep(Duration::from_millis(50));
        load = Load::now().since(&before);
    }
    println!("{times} {what}: {load}, in {took:?}");
    if is_flat(&load) {
        Ok(())
    } else {
        Err(format!("{times} {what}: {load}"))
    }
}

fn soak(reconnects: usize, expiries: usize, handles: usize) {
    let ensemble = Ensemble::builder(1).config_line("maxClientCnxns=0").start();
    let relay = Relay::start(ensemble.addr(0));
    let subject = Subject::start(To::Candidate, &relay.host(), &ensemble.host(0), "/soak");
    subject.is_settled();
    let rounds = [
        stays_flat("reconnects", reconnects, || reconnect(&relay, &subject)),
        stays_flat("expiries", expiries, || expire(&ensemble, &relay, &subject)),
        stays_flat("handles", handles, || open_and_close(&ensemble)),
    ];
    subject.close();
    for round in rounds {
        round.unwrap();
    }
    let leak = || std::mem::forget(black_box(vec![1u8; PLANTED]));
    assert!(stays_flat("planted leaks", 4, leak).is_err(), "a leak is seen");
}

#[test]
fn a_short_soak() {
    alone("soak::a_short_soak", LONGEST, || soak(30, 30, 300));
}

#[test]
#[ignore = "minutes: `make test-long` runs it"]
fn a_thousand_reconnects_and_expiries_and_ten_thousand_handles() {
    alone("soak::a_thousand_reconnects_and_expiries_and_ten_thousand_handles", Duration::from_secs(3600), || {
        soak(1000, 1000, 10_000)
    });
}
