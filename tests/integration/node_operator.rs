//! An operator at work: deletes the master's znode, or changes what is in it.

use crate::candidates::{Candidate, Observer, TestHandle};
use crate::ground::{one_server, AT_ONCE, A_MOMENT};
use crate::witness::Witness;
use election::{Reason, Role};
use std::time::Instant;
use zookeeper::CreateMode;

#[test]
fn the_masters_znode_is_deleted_and_nobody_else_stands() {
    const PATH: &str = "/operator-deletes";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    let master = Candidate::stand(&ensemble.hosts(), PATH, "mine");
    let mut token = master.becomes_master();
    for _ in 0..3 {
        let deleted = Instant::now();
        witness.delete(PATH);
        let heard = master.becomes_unknown(Reason::Deleted, -101);
        assert!(heard - deleted < AT_ONCE);
        let next_token = master.becomes_master();
        assert!(next_token > token);
        token = next_token;
        assert_eq!(witness.read(PATH).unwrap().czxid, token);
    }
}

#[test]
fn the_masters_znode_is_deleted_and_one_of_two_follows() {
    const PATH: &str = "/operator-deletes-of-two";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    let one = Candidate::stand(&ensemble.hosts(), PATH, "one");
    let first_token = one.becomes_master();
    let two = Candidate::stand(&ensemble.hosts(), PATH, "two");
    two.becomes_slave_of("one");
    let (mut master, mut slave, mut token) = (&one, &two, first_token);
    for _ in 0..5 {
        witness.delete(PATH);
        master.becomes_unknown(Reason::Deleted, -101);
        let next = master.ear.next().news;
        let next_token = match next.role {
            Role::Master => {
                let next_token = master.check_master(&next);
                assert_eq!(slave.becomes_slave_of(&master.value), next_token);
                next_token
            }
            _ => {
                let next_token = slave.becomes_master();
                assert_eq!(master.check_slave(&next, &slave.value), next_token);
                std::mem::swap(&mut master, &mut slave);
                next_token
            }
        };
        assert!(next_token > token);
        token = next_token;
        assert!(master.is_master() && !slave.is_master());
    }
}

/// Deleted, and at once there is another's, while the master cannot hear of it: it is the other's slave as soon as it can.
/// No lease keeps an operator from that.
#[test]
fn the_masters_znode_is_replaced_by_anothers() {
    const PATH: &str = "/operator-replaces";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    let relay = testkit::Relay::start(ensemble.addr(0));
    let master = Candidate::stand(&relay.host(), PATH, "mine");
    let token = master.becomes_master();
    let observer = master.handle.observe(PATH);
    observer.sees("mine");
    relay.refuse(true);
    relay.cut_all();
    observer.sees_nobody(-4);
    witness.delete(PATH);
    witness.create(PATH, b"another", CreateMode::Ephemeral);
    relay.refuse(false);
    assert!(master.becomes_slave_of("another") > token);
    witness.delete(PATH);
    master.becomes_master();
}

#[test]
fn the_masters_data_is_changed() {
    const PATH: &str = "/operator-changes";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    let master = Candidate::stand(&ensemble.hosts(), PATH, "mine");
    let token = master.becomes_master();
    let slave = Candidate::stand(&ensemble.hosts(), PATH, "slave");
    slave.becomes_slave_of("mine");
    let observer = Observer::watch(&ensemble.hosts(), PATH);
    observer.sees("mine");
    for value in ["changed", "changed again", ""] {
        witness.set(PATH, value.as_bytes());
        assert_eq!(slave.becomes_slave_of(value), token);
        assert_eq!(observer.sees(value).czxid, token);
        assert!(master.is_master());
    }
    // No second MASTER, and nothing else.
    master.ear.hears_nothing_for(A_MOMENT);

    // Its watch has been renewed each time, and so has the version by which it deletes its znode.
    master.resign();
    slave.becomes_master();
    master.has_resigned();
    observer.sees_next("slave");
    witness.set(PATH, b"changed once more");
    observer.sees("changed once more");
    witness.delete(PATH);
    slave.becomes_unknown(Reason::Deleted, -101);
    assert!(slave.becomes_master() > token);
}

/// The same, between the resignation and the delete.
#[test]
fn the_masters_data_is_changed_as_it_resigns() {
    const PATH: &str = "/operator-changes-late";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    let relay = testkit::Relay::start(ensemble.addr(0));
    let handle = TestHandle::open(&relay.host());
    let master = handle.stand(PATH, "mine");
    master.becomes_master();
    relay.strike_once(testkit::Verdict::Hold, crate::relays::is(testkit::opcode::DELETE, PATH));
    master.resign();
    crate::relays::wait_held(&relay);
    witness.set(PATH, b"changed");
    relay.release();
    witness.wait_gone(PATH);
    master.has_resigned();
}
