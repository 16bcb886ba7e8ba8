//! The end of a handle.

use crate::candidates::{Candidate, TestHandle};
use crate::ground::{one_server, AT_ONCE, A_MOMENT, LONG_MS, SHORT_MS, SOON};
use crate::relays::{is, wait_held};
use crate::witness::Witness;
use election::{Dispatch, Error, Handle, Options, Reason};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use testkit::{eventually, opcode, wait_until, Ensemble, Relay, Verdict};

#[test]
fn a_closed_handle_leaves_neither_znode_nor_session() {
    const PATH: &str = "/closed";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    let relay = Relay::start(ensemble.addr(0));
    let handle = TestHandle::open(&relay.host());
    let master = handle.stand(PATH, "mine");
    master.becomes_master();
    let observer = handle.observe(PATH);
    observer.sees("mine");
    let session = relay.session().unwrap().id;
    let began = Instant::now();
    handle.close().unwrap();
    assert_eq!(witness.read(PATH), None, "when close returns, it is gone");
    assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
    assert!(!master.is_master());
    assert_eq!(ensemble.server_of_session(session), None);
    master.is_closed();
    observer.sees_nobody(-116);
    observer.ear.hears_no_more();
    assert_eq!(handle.close(), Err(Error::BadHandle), "the second time");
    assert_eq!(handle.go_to_election(PATH, b"x", |_| {}), Err(Error::BadHandle));
    assert_eq!(handle.resign(PATH), Err(Error::BadHandle));
    eventually(SOON, "the connection is gone", || relay.open_count() == 0);
}

#[test]
fn a_dropped_handle_is_closed() {
    const PATH: &str = "/dropped";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    let options = Options::default();
    let (tell, told) = channel();
    let election = Handle::open(&ensemble.hosts(), &options).unwrap();
    election.go_to_election(PATH, b"mine", move |event| drop(tell.send(event.clone()))).unwrap();
    assert_eq!(told.recv_timeout(SOON).unwrap().rc, 0);
    drop(election);
    assert_eq!(witness.read(PATH), None);
    assert_eq!(told.recv().unwrap().rc, -116);
    assert!(told.recv().is_err(), "the callback is dropped as well");
}

/// A child of a fork has copies of the parent's locks, some of which nobody will ever release, and of its listeners, which belong
/// to the parent.
#[test]
fn a_handle_dropped_in_a_child_touches_nothing() {
    struct TellsOfItsEnd(&'static AtomicBool);
    impl Drop for TellsOfItsEnd {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    static HAS_ENDED: AtomicBool = AtomicBool::new(false);
    let mut options = Options::default();
    options.set_dispatch(Dispatch::Manual);
    let handle = Handle::open("127.0.0.1:1", &options).unwrap();
    let listener = TellsOfItsEnd(&HAS_ENDED);
    handle
        .go_to_election("/child", b"mine", move |_| {
            let _owned = &listener;
        })
        .unwrap();
    // SAFETY: the child calls the library, which is made for that, and ends without running anything of this process.
    let child = unsafe { libc::fork() };
    if child == 0 {
        drop(handle);
        unsafe { libc::_exit(i32::from(HAS_ENDED.load(Ordering::Relaxed))) };
    }
    let mut status = -1;
    // SAFETY: the child is ours.
    let has_ended = wait_until(SOON, || unsafe { libc::waitpid(child, &mut status, libc::WNOHANG) } == child);
    if !has_ended {
        // SAFETY: it has not been waited for.
        unsafe { libc::kill(child, libc::SIGKILL) };
    }
    assert!(has_ended, "it ends by itself");
    assert_eq!(status, 0, "and drops no listener");
    drop(handle);
    assert!(HAS_ENDED.load(Ordering::Relaxed), "its own process does drop it");
}

/// From inside a callback nobody can wait for the callbacks' end.
#[test]
fn a_handle_cannot_be_closed_in_its_own_callback_but_be_dropped_there() {
    const PATH: &str = "/dropped-in-callback";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    let election = Handle::open(&ensemble.hosts(), &Options::default()).unwrap();
    let slot = Arc::new(Mutex::new(None::<Handle>));
    let (tell, told) = channel();
    let inside = Arc::clone(&slot);
    let mut held = slot.lock().unwrap();
    let callback = move |_: &election::Event| {
        if let Some(election) = inside.lock().unwrap().take() {
            let _ = tell.send(election.close());
            drop(election);
        }
    };
    election.go_to_election(PATH, b"mine", callback).unwrap();
    *held = Some(election);
    drop(held);
    assert_eq!(told.recv_timeout(SOON), Ok(Err(Error::InCallback)));
    witness.wait_gone(PATH);
}

/// A request that the server has not answered does not keep a handle open, and what it did goes with the session.
#[test]
fn it_is_closed_while_the_create_is_under_way() {
    const PATH: &str = "/closed-in-create";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    let relay = Relay::start(ensemble.addr(0));
    let handle = TestHandle::open(&relay.host());
    let session = format!("0x{:x}\n", relay.session().unwrap().id);
    assert!(ensemble.four_letter(0, "dump").contains(&session));
    relay.strike_once(Verdict::Hold, is(opcode::CREATE, PATH));
    let candidate = handle.stand(PATH, "mine");
    wait_held(&relay);
    relay.refuse(true);
    let began = Instant::now();
    assert_eq!(handle.close(), Err(Error::ConnectionLoss), "no server has confirmed it");
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    candidate.is_closed();
    // The end of the session stands behind the create in the same connection, or comes in the next.
    relay.release();
    relay.refuse(false);
    eventually(SOON, "the server is told to end the session", || relay.count(opcode::CLOSE_SESSION) > 0);
    eventually(SOON, "the session is over", || !ensemble.four_letter(0, "dump").contains(&session));
    assert_eq!(witness.read(PATH), None);
}

#[test]
fn it_is_closed_while_the_servers_are_frozen() {
    const PATH: &str = "/closed-frozen";
    let ensemble = Ensemble::start(1);
    let unaware = Candidate::stand_for(&ensemble.hosts(), LONG_MS, PATH, "unaware");
    unaware.becomes_master();
    let aware = Candidate::stand_for(&ensemble.hosts(), SHORT_MS, "/closed-frozen-aware", "aware");
    aware.becomes_master();
    ensemble.freeze(0);
    // By the end of its lease it has noticed that nobody answers. Which of the two it notices first is a matter of luck.
    let watched = aware.handle.observe("/closed-frozen-watched");
    watched.sees_nobody(-4);
    aware.lapses();
    for candidate in [&aware, &unaware] {
        let began = Instant::now();
        assert_eq!(candidate.handle.close(), Err(Error::ConnectionLoss));
        assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
        assert!(!candidate.is_master());
    }
    aware.check_closed(&aware.next_but_for(&[Reason::Suspended]));
    let began = Instant::now();
    ensemble.thaw(0);
    // Sooner than by its session timeout.
    Witness::new(&ensemble.host(0)).wait_gone(PATH);
    assert!(began.elapsed() < Duration::from_millis(LONG_MS / 2), "{:?}", began.elapsed());
}

/// Nobody is there to confirm anything, and there is nothing to confirm.
#[test]
fn it_is_closed_before_there_ever_was_a_connection() {
    let relay = Relay::start("127.0.0.1:1");
    relay.blackhole(true);
    let handle = TestHandle::try_open(&relay.host(), LONG_MS, Duration::ZERO).unwrap();
    eventually(SOON, "it tries to connect", || relay.connection_count() > 0);
    let began = Instant::now();
    handle.close().unwrap();
    assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
}

/// The create of a candidate goes with the request for the session. The server that has got both may open the session, and
/// make the znode.
#[test]
fn it_is_closed_when_a_server_may_have_opened_its_session() {
    let relay = Relay::start("127.0.0.1:1");
    relay.blackhole(true);
    let handle = TestHandle::try_open(&relay.host(), LONG_MS, Duration::ZERO).unwrap();
    let candidate = handle.stand("/closed-unconnected", "mine");
    eventually(SOON, "it tries to connect", || relay.connection_count() > 0);
    std::thread::sleep(A_MOMENT);
    assert_eq!(handle.close(), Err(Error::ConnectionLoss));
    candidate.is_closed();
}

/// Closing while disconnected cannot end the session; as soon as a server can be reached, it is ended. It ends a mastership
/// that the break alone would not have ended.
#[test]
fn it_is_closed_while_it_is_disconnected() {
    const PATH: &str = "/closed-disconnected";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    let relay = Relay::start(ensemble.addr(0));
    let master = Candidate::stand(&relay.host(), PATH, "mine");
    master.becomes_master();
    let other = master.handle.stand("/closed-disconnected-other", "mine");
    other.becomes_master();
    let observer = master.handle.observe(PATH);
    observer.sees("mine");
    relay.refuse(true);
    relay.cut_all();
    observer.sees_nobody(-4);
    assert!(master.is_master() && other.is_master());
    // One that has resigned, and one that stands again when its znode is deleted.
    other.resign();
    let again = master.handle.stand(&other.path, "again");
    again.is_suspended();
    let began = Instant::now();
    assert_eq!(master.handle.close(), Err(Error::ConnectionLoss));
    assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
    assert!(!master.is_master());
    master.is_closed();
    other.has_resigned();
    again.is_closed();
    assert!(witness.read(PATH).is_some());
    relay.refuse(false);
    witness.wait_gone(PATH);
    assert!(began.elapsed() < Duration::from_millis(LONG_MS / 2), "not by its session timeout");
}

/// The session before lives on as far as anybody knows, although the handle has given it up and has no other one yet.
#[test]
fn it_is_closed_after_it_has_left_a_session() {
    const PATH: &str = "/closed-after-leaving";
    let ensemble = one_server();
    let relay = Relay::start(ensemble.addr(0));
    let master = Candidate::stand(&ensemble.hosts(), PATH, "master");
    master.becomes_master();
    let slave = Candidate::stand(&relay.host(), PATH, "slave");
    slave.becomes_slave_of("master");
    relay.refuse(true);
    relay.cut_all();
    let renewed = || slave.handle.counters().expect("open").sessions_renewed;
    eventually(SOON, "a slave holds no znode, and tries a fresh session", || renewed() == 1);
    assert_eq!(slave.handle.close(), Err(Error::ConnectionLoss));
}
