//! Resigning one path: at any moment, also the least convenient; and standing there again.

use crate::candidates::{Candidate, TestHandle};
use crate::ground::{one_server, A_MOMENT, SOON};
use crate::relays::{count, expire_and_keep_out, is, wait_held};
use crate::witness::{acl, Witness};
use election::{Error, Reason};
use std::time::Duration;
use testkit::{eventually, opcode, RawClient, Relay, Verdict};
use zookeeper::{CreateMode, Permission};

#[test]
fn a_master_that_resigns_is_no_master_and_its_znode_goes() {
    const PATH: &str = "/resigns";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    let handle = TestHandle::open(&ensemble.hosts());
    let other = handle.stand("/resigns-not", "mine");
    other.becomes_master();
    let master = handle.stand(PATH, "mine");
    master.becomes_master();
    assert!(master.is_master());
    master.resign();
    assert!(!master.is_master());
    assert_eq!(handle.resign(PATH), Err(Error::NotThere));
    witness.wait_gone(PATH);
    master.has_resigned();
    // The session and its other elections are as before.
    assert!(other.is_master() && witness.read("/resigns-not").is_some());
    other.ear.hears_nothing_for(A_MOMENT);
}

#[test]
fn a_slave_that_resigns_does_not_follow() {
    const PATH: &str = "/slave-resigns";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    witness.create(PATH, b"somebody", CreateMode::Ephemeral);
    let slave = Candidate::stand(&ensemble.hosts(), PATH, "mine");
    slave.becomes_slave_of("somebody");
    slave.resign();
    slave.has_resigned();
    witness.delete(PATH);
    // A later candidacy of the same session is served, so an earlier request would have been, too.
    slave.handle.stand("/slave-resigns-elsewhere", "x").becomes_master();
    assert_eq!(witness.read(PATH), None);
    slave.handle.stand(PATH, "again").becomes_master();
}

/// Before the delete is answered: the second candidacy waits for the end of the first, and is not mistaken for it.
#[test]
fn it_stands_again_before_its_znode_is_deleted() {
    const PATH: &str = "/stands-again";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    let relay = Relay::start(ensemble.addr(0));
    let handle = TestHandle::open(&relay.host());
    let first = handle.stand(PATH, "first");
    let token = first.becomes_master();
    relay.strike_once(Verdict::Hold, is(opcode::DELETE, PATH));
    first.resign();
    let second = handle.stand(PATH, "second");
    assert_eq!(handle.go_to_election(PATH, b"third", |_| {}), Err(Error::Already));
    first.has_resigned();
    wait_held(&relay);
    assert!(!handle.is_master(PATH));
    second.ear.hears_nothing_for(A_MOMENT);
    assert_eq!(witness.read(PATH).unwrap().value, b"first");
    relay.release();
    let second_token = second.becomes_master();
    assert!(second_token > token);
    let znode = witness.read(PATH).unwrap();
    assert_eq!((znode.value.as_slice(), znode.czxid), (b"second".as_slice(), second_token));
}

#[test]
fn it_resigns_and_stands_again_many_times() {
    const PATH: &str = "/many-times";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    let handle = TestHandle::open(&ensemble.hosts());
    let mut candidates: Vec<Candidate> = Vec::new();
    for i in 0..20 {
        candidates.push(handle.stand(PATH, i.to_string()));
        if i < 19 {
            candidates[i].resign();
        }
    }
    let last = candidates.pop().unwrap();
    let token = last.becomes_master();
    assert_eq!(witness.read(PATH).unwrap().czxid, token);
    assert_eq!(witness.read(PATH).unwrap().value, b"19");
    for candidate in candidates {
        let event = candidate.ear.next().news;
        if event.reason == Reason::Elected {
            candidate.check_master(&event);
            candidate.has_resigned();
        } else {
            assert_eq!(event.reason, Reason::Resigned);
            candidate.ear.hears_no_more();
        }
    }
    last.ear.hears_nothing_for(A_MOMENT);
}

#[test]
fn it_resigns_while_the_create_is_under_way() {
    const PATH: &str = "/resigns-in-create";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    let relay = Relay::start(ensemble.addr(0));
    let handle = TestHandle::open(&relay.host());
    relay.strike_once(Verdict::Hold, is(opcode::CREATE, PATH));
    let candidate = handle.stand(PATH, "mine");
    wait_held(&relay);
    candidate.resign();
    candidate.has_resigned();
    relay.release();
    eventually(SOON, "what the create made is deleted", || count(&relay, opcode::DELETE, PATH) == 1);
    witness.wait_gone(PATH);
    assert!(!candidate.is_master());
}

/// The reply to that create is lost as well, so that the library has to look whether there is something to delete.
#[test]
fn it_resigns_while_the_create_is_under_way_and_the_reply_is_lost() {
    const PATH: &str = "/resigns-in-lost-create";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    let relay = Relay::start(ensemble.addr(0));
    let handle = TestHandle::open(&relay.host());
    relay.refuse(true);
    relay.strike_once(Verdict::DropReplyAndCut, is(opcode::CREATE, PATH));
    let candidate = handle.stand(PATH, "mine");
    witness.wait_for(PATH, |_| true);
    candidate.is_suspended();
    candidate.resign();
    candidate.has_resigned();
    relay.refuse(false);
    witness.wait_gone(PATH);
}

#[test]
fn it_resigns_while_it_is_disconnected() {
    const PATH: &str = "/resigns-disconnected";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    let relay = Relay::start(ensemble.addr(0));
    let handle = TestHandle::open(&relay.host());
    let other = handle.stand("/resigns-disconnected-not", "mine");
    let token = other.becomes_master();
    let master = handle.stand(PATH, "mine");
    master.becomes_master();
    let observer = handle.observe(PATH);
    observer.sees("mine");
    relay.refuse(true);
    relay.cut_all();
    observer.sees_nobody(-4);
    assert!(master.is_master());
    master.resign();
    assert!(!master.is_master());
    master.has_resigned();
    assert!(witness.read(PATH).is_some(), "nobody could delete it so far");
    relay.refuse(false);
    witness.wait_gone(PATH);
    other.ear.hears_nothing_for(A_MOMENT);
    assert_eq!(other.lease().map(|mastership| mastership.token), Some(token), "the same session");
}

/// Whoever stands again cannot do so before the former candidacy's znode is deleted, for which there is no connection.
#[test]
fn it_resigns_and_stands_again_while_it_is_disconnected() {
    const PATH: &str = "/resigns-and-stands-disconnected";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    let relay = Relay::start(ensemble.addr(0));
    let handle = TestHandle::open(&relay.host());
    let master = handle.stand(PATH, "first");
    let token = master.becomes_master();
    let observer = handle.observe(PATH);
    observer.sees("first");
    relay.refuse(true);
    relay.cut_all();
    observer.sees_nobody(-4);
    master.resign();
    let again = handle.stand(PATH, "second");
    master.has_resigned();
    again.is_suspended();
    assert!(!again.is_master());
    assert_eq!(witness.read(PATH).unwrap().value, b"first");
    relay.refuse(false);
    let second_token = again.becomes_master();
    assert!(second_token > token);
    let znode = witness.read(PATH).unwrap();
    assert_eq!((znode.value.as_slice(), znode.czxid), (b"second".as_slice(), second_token));
}

#[test]
fn it_resigns_while_it_is_disconnected_and_the_session_expires() {
    const PATH: &str = "/resigns-and-expires";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    let relay = Relay::start(ensemble.addr(0));
    let handle = TestHandle::open(&relay.host());
    let master = handle.stand(PATH, "mine");
    master.becomes_master();
    let observer = handle.observe(PATH);
    observer.sees("mine");
    relay.refuse(true);
    relay.cut_all();
    observer.sees_nobody(-4);
    master.resign();
    master.has_resigned();
    expire_and_keep_out(&ensemble, &relay);
    witness.wait_gone(PATH);
    witness.create(PATH, b"somebody", CreateMode::Ephemeral);
    relay.refuse(false);
    // The handle goes on in a new session, and leaves what is not its own alone.
    let again = handle.stand(PATH, "again");
    let event = again.next_but_for(&[Reason::Suspended, Reason::Expired]);
    again.check_slave(&event, "somebody");
    assert_eq!(count(&relay, opcode::DELETE, PATH), 0);
    witness.delete(PATH);
    again.becomes_master();
}

/// The delete was applied and its reply lost; by the time that one can look, the znode there is another's.
#[test]
fn the_reply_to_the_delete_is_lost_and_another_is_master_by_then() {
    const PATH: &str = "/delete-reply-lost";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    let relay = Relay::start(ensemble.addr(0));
    let handle = TestHandle::open(&relay.host());
    let master = handle.stand(PATH, "mine");
    master.becomes_master();
    relay.strike_once(Verdict::DropReplyAndCut, is(opcode::DELETE, PATH));
    relay.refuse(true);
    master.resign();
    witness.wait_gone(PATH);
    witness.create(PATH, b"somebody", CreateMode::Ephemeral);
    relay.refuse(false);
    master.has_resigned();
    let again = handle.stand(PATH, "again");
    let event = again.next_but_for(&[Reason::Suspended]);
    again.check_slave(&event, "somebody");
    assert_eq!(witness.read(PATH).unwrap().value, b"somebody");
    assert_eq!(count(&relay, opcode::DELETE, PATH), 1);
}

/// The delete never reached the server, or it is still under way there and may meet another's znode: the session is ended.
#[test]
fn the_delete_is_lost() {
    const PATH: &str = "/delete-lost";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    let relay = Relay::start(ensemble.addr(0));
    let handle = TestHandle::open(&relay.host());
    let master = handle.stand(PATH, "mine");
    master.becomes_master();
    let session = relay.session().expect("a session");
    relay.strike_once(Verdict::Cut, is(opcode::DELETE, PATH));
    master.resign();
    witness.wait_gone(PATH);
    assert_eq!(count(&relay, opcode::DELETE, PATH), 1);
    master.has_resigned();
    assert!(RawClient::resume(&ensemble.host(0), &session).is_err(), "the session is over");
    let again = handle.stand(PATH, "again");
    again.becomes_master();
    assert_ne!(witness.read(PATH).expect("its znode").owner, session.id);
}

/// Who may delete is written at the parent. It is tried again, not hammered; and the end of the session needs no permission.
#[test]
fn a_master_that_may_not_delete_its_znode() {
    const PARENT: &str = "/may-not-delete";
    const PATH: &str = "/may-not-delete/master";
    const OTHER: &str = "/may-not-delete/other";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    let relay = Relay::start(ensemble.addr(0));
    let no_delete = acl(Permission::READ | Permission::CREATE | Permission::ADMIN);
    witness.create_with(PARENT, b"", CreateMode::Persistent, &no_delete);
    let handle = TestHandle::open(&relay.host());
    let (master, other) = (handle.stand(PATH, "mine"), handle.stand(OTHER, "mine"));
    master.becomes_master();
    other.becomes_master();
    master.resign();
    master.has_resigned();
    // The number that counts is the one after three seconds; there is nothing to wait for but the time.
    std::thread::sleep(Duration::from_secs(3));
    let deletes = count(&relay, opcode::DELETE, PATH);
    assert!((2..=8).contains(&deletes), "{deletes} deletes in three seconds");
    witness.set_acl(PARENT, &acl(Permission::ALL));
    witness.wait_gone(PATH);

    witness.set_acl(PARENT, &no_delete);
    other.resign();
    handle.close().unwrap();
    assert_eq!(witness.read(OTHER), None);
}

/// A server, or something in front of it, that closes the connection on every delete: it is not hammered.
#[test]
fn a_delete_that_always_breaks_the_connection_is_no_hot_loop() {
    const PATH: &str = "/delete-always-breaks";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    let relay = Relay::start(ensemble.addr(0));
    let handle = TestHandle::open(&relay.host());
    let master = handle.stand(PATH, "mine");
    master.becomes_master();
    let before = relay.connection_count();
    relay.set_rule({
        let is_delete = is(opcode::DELETE, PATH);
        move |request| match is_delete(request) {
            true => Verdict::Cut,
            false => Verdict::Forward,
        }
    });
    master.resign();
    master.has_resigned();
    std::thread::sleep(Duration::from_secs(3));
    let connections = relay.connection_count() - before;
    assert!((2..=12).contains(&connections), "{connections} connections in three seconds");
    relay.clear_rule();
    witness.wait_gone(PATH);
}

/// Each time its watch goes and comes; the last one must be there.
#[test]
fn a_slave_resigns_and_stands_again_many_times() {
    const PATH: &str = "/many-times-slave";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    witness.create(PATH, b"somebody", CreateMode::Ephemeral);
    let handle = TestHandle::open(&ensemble.hosts());
    for i in 0..40 {
        let slave = handle.stand(PATH, "slave");
        if i % 2 == 0 {
            slave.becomes_slave_of("somebody");
        }
        slave.resign();
    }
    let slave = handle.stand(PATH, "slave");
    slave.becomes_slave_of("somebody");
    witness.set(PATH, b"changed");
    slave.becomes_slave_of("changed");
    witness.delete(PATH);
    slave.becomes_master();
}

#[test]
fn it_resigns_before_there_ever_was_a_connection() {
    const PATH: &str = "/resigns-unconnected";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    let relay = Relay::start(ensemble.addr(0));
    relay.refuse(true);
    let handle = TestHandle::try_open(&relay.host(), crate::ground::LONG_MS, Duration::ZERO).unwrap();
    let candidate = handle.stand(PATH, "mine");
    candidate.is_suspended();
    candidate.resign();
    candidate.has_resigned();
    relay.refuse(false);
    let elsewhere = handle.stand("/resigns-unconnected-not", "mine");
    eventually(SOON, "it is connected", || elsewhere.is_master());
    assert_eq!((witness.read(PATH), count(&relay, opcode::CREATE, PATH)), (None, 0));
}
