//! `watch_master`: who is master, and every change, without standing.

use crate::candidates::{Candidate, Observer, TestHandle};
use crate::ground::{one_server, three_servers, A_MOMENT, SOON};
use crate::relays::{expire, is, wait_held, Relays};
use crate::witness::Witness;
use election::{Error, Reason};
use testkit::{eventually, opcode, Ensemble, Relay, Verdict};
use zookeeper::CreateMode;

#[test]
fn from_none_to_a_master_to_a_new_value_to_another_master_to_none() {
    const PATH: &str = "/observed";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    let observer = Observer::watch(&ensemble.hosts(), PATH);
    observer.sees_nobody(-101);
    let one = Candidate::stand(&ensemble.hosts(), PATH, "one");
    let token = one.becomes_master();
    let stat = observer.sees("one");
    let znode = witness.read(PATH).unwrap();
    assert_eq!((stat.czxid, stat.mzxid, stat.version), (token, token, 0));
    assert_eq!((stat.czxid, stat.ephemeral_owner), (znode.czxid, znode.owner));
    let two = Candidate::stand(&ensemble.hosts(), PATH, "two");
    two.becomes_slave_of("one");
    observer.ear.hears_nothing_for(A_MOMENT);
    witness.set(PATH, b"changed");
    let stat = observer.sees("changed");
    assert_eq!((stat.czxid, stat.version), (token, 1));
    assert!(stat.mzxid > token);
    one.resign();
    two.becomes_slave_of("changed");
    assert_eq!(observer.sees_next("two").czxid, two.becomes_master());
    two.handle.close().unwrap();
    observer.sees_nobody(-101);
    witness.create(PATH, b"three", CreateMode::Ephemeral);
    observer.sees("three");
}

#[test]
fn a_path_whose_parent_does_not_exist() {
    const PATH: &str = "/observed-later/and/deeper";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    let observer = Observer::watch(&ensemble.hosts(), PATH);
    observer.sees_nobody(-101);
    assert_eq!(witness.read("/observed-later"), None, "an observer makes nothing");
    let master = Candidate::stand(&ensemble.hosts(), PATH, "mine");
    let token = master.becomes_master();
    assert_eq!(observer.sees("mine").czxid, token);
    master.resign();
    observer.sees_nobody(-101);
    // The parents go, and come again.
    witness.wait_gone("/observed-later");
    master.handle.stand(PATH, "again").becomes_master();
    observer.sees("again");
}

#[test]
fn an_observer_of_a_handle_that_stands_as_well() {
    const PATH: &str = "/observed-by-itself";
    let ensemble = one_server();
    let handle = TestHandle::open(&ensemble.hosts());
    let observer = handle.observe(PATH);
    observer.sees_nobody(-101);
    let candidate = handle.stand(PATH, "mine");
    let token = candidate.becomes_master();
    assert_eq!(observer.sees("mine").czxid, token);
    handle.resign(PATH).unwrap();
    observer.sees_nobody(-101);
    candidate.has_resigned();
}

#[test]
fn an_observer_goes_on_on_another_server() {
    const PATH: &str = "/observed-moved";
    let ensemble = three_servers();
    let relays = Relays::before(&ensemble);
    let master = Candidate::stand(&ensemble.hosts(), PATH, "one");
    let token = master.becomes_master();
    let observer = Observer::watch(&relays.hosts(), PATH);
    observer.sees_next("one");
    for _ in 0..2 {
        let left = relays.drive_off();
        observer.sees_nobody(-4);
        assert_eq!(observer.sees("one").czxid, token);
        assert_ne!(relays.current(), left);
        relays.let_back();
    }
    // With a change that came while it was cut off, and one that comes after.
    relays.drive_off_all();
    observer.sees_nobody(-4);
    master.resign();
    let again = master.handle.stand(PATH, "two");
    again.becomes_master();
    relays.let_back();
    observer.sees_next("two");
    again.resign();
    observer.sees_nobody(-101);
}

#[test]
fn an_observer_goes_on_in_another_session() {
    const PATH: &str = "/observed-expired";
    const EMPTY: &str = "/observed-expired-empty";
    let ensemble = one_server();
    let relay = Relay::start(ensemble.addr(0));
    let master = Candidate::stand(&ensemble.hosts(), PATH, "one");
    let token = master.becomes_master();
    let handle = TestHandle::open(&relay.host());
    let (observer, empty) = (handle.observe(PATH), handle.observe(EMPTY));
    observer.sees("one");
    empty.sees_nobody(-101);
    for _ in 0..2 {
        expire(&ensemble, &relay);
        assert_eq!(observer.expires().map(|stat| stat.czxid), Ok(token));
        assert_eq!(empty.expires().unwrap_err(), -101);
    }
    let late = Candidate::stand(&ensemble.hosts(), EMPTY, "late");
    late.becomes_master();
    empty.sees("late");
    master.resign();
    observer.sees_nobody(-101);
}

/// The znode comes between the read that finds nothing and the watch, and goes between the watch and the read.
#[test]
fn what_changes_between_its_requests_is_not_missed() {
    const PATH: &str = "/observed-between";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    let relay = Relay::start(ensemble.addr(0));
    let handle = TestHandle::open(&relay.host());
    relay.strike_once(Verdict::Hold, is(opcode::EXISTS, PATH));
    let observer = handle.observe(PATH);
    wait_held(&relay);
    witness.create(PATH, b"one", CreateMode::Ephemeral);
    relay.release();
    observer.sees("one");

    relay.strike_once(Verdict::Hold, is(opcode::GET_DATA, PATH));
    witness.set(PATH, b"two");
    wait_held(&relay);
    witness.delete(PATH);
    relay.release();
    observer.sees_nobody(-101);

    // And it goes again before it can be read after it came.
    relay.strike_once(Verdict::Hold, is(opcode::GET_DATA, PATH));
    witness.create(PATH, b"three", CreateMode::Ephemeral);
    wait_held(&relay);
    witness.delete(PATH);
    relay.release();
    observer.ear.hears_nothing_for(A_MOMENT);
    witness.create(PATH, b"four", CreateMode::Ephemeral);
    observer.sees("four");
}

#[test]
fn an_observer_that_stops_hears_no_more_and_leaves_no_watch_behind() {
    const PATH: &str = "/observed-no-more";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    let handle = TestHandle::open(&ensemble.hosts());
    let observer = handle.observe(PATH);
    observer.sees_nobody(-101);
    assert_eq!(handle.watch_master(PATH, |_| {}), Err(Error::Already));
    assert!(is_watched(&ensemble, PATH));
    handle.unwatch_master(PATH).unwrap();
    assert_eq!(handle.unwatch_master(PATH), Err(Error::NotThere));
    observer.ear.hears_no_more();
    eventually(SOON, "no watch is left on the server", || !is_watched(&ensemble, PATH));
    witness.create(PATH, b"one", CreateMode::Ephemeral);

    let again = handle.observe(PATH);
    again.sees("one");
    handle.unwatch_master(PATH).unwrap();
    again.ear.hears_no_more();
    eventually(SOON, "no watch is left on the server", || !is_watched(&ensemble, PATH));

    // So with a slave that resigns.
    let slave = handle.stand(PATH, "slave");
    slave.becomes_slave_of("one");
    assert!(is_watched(&ensemble, PATH));
    slave.resign();
    slave.has_resigned();
    eventually(SOON, "no watch is left on the server", || !is_watched(&ensemble, PATH));
}

/// Both watch the same znode on the same session; whoever stops must not take the other's watch along.
#[test]
fn an_observer_and_a_candidate_of_one_handle_leave_each_others_watch_alone() {
    const PATH: &str = "/observed-beside";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    let handle = TestHandle::open(&ensemble.hosts());
    witness.create(PATH, b"one", CreateMode::Ephemeral);
    let slave = handle.stand(PATH, "slave");
    slave.becomes_slave_of("one");
    for _ in 0..3 {
        handle.observe(PATH).sees("one");
        handle.unwatch_master(PATH).unwrap();
    }
    witness.set(PATH, b"two");
    slave.becomes_slave_of("two");

    let observer = handle.observe(PATH);
    observer.sees("two");
    slave.resign();
    witness.set(PATH, b"three");
    observer.sees("three");
    for _ in 0..3 {
        let slave = handle.stand(PATH, "slave");
        slave.becomes_slave_of("three");
        slave.resign();
    }
    witness.delete(PATH);
    observer.sees_nobody(-101);
    witness.create(PATH, b"four", CreateMode::Ephemeral);
    observer.sees("four");

    // Beside a watch for a znode that is not there yet.
    witness.delete(PATH);
    observer.sees_nobody(-101);
    let candidate = handle.stand(PATH, "mine");
    candidate.becomes_master();
    observer.sees("mine");
    handle.unwatch_master(PATH).unwrap();
    witness.delete(PATH);
    candidate.becomes_unknown(Reason::Deleted, -101);
    candidate.becomes_master();
}

#[test]
fn an_observer_stops_and_starts_many_times() {
    const PATH: &str = "/observed-many-times";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    let handle = TestHandle::open(&ensemble.hosts());
    for i in 0..40 {
        let observer = handle.observe(PATH);
        if i % 2 == 0 {
            observer.sees_nobody(-101);
        }
        handle.unwatch_master(PATH).unwrap();
    }
    let observer = handle.observe(PATH);
    observer.sees_nobody(-101);
    witness.create(PATH, b"one", CreateMode::Ephemeral);
    observer.sees("one");
}

fn is_watched(ensemble: &Ensemble, path: &str) -> bool {
    ensemble.four_letter(0, "wchp").lines().any(|line| line == path)
}
