//! What may happen to a create and to the read that follows it, when the network chooses the worst moment.

use crate::candidates::{Candidate, TestHandle};
use crate::ground::{one_server, three_servers, AT_ONCE, A_MOMENT, SHORT_MS, SOON};
use crate::relays::{catches_up_before, count, expire_and_keep_out, is, wait_held, Relays};
use crate::witness::Witness;
use election::Reason;
use std::time::Instant;
use testkit::{eventually, opcode, Relay, Verdict};
use zookeeper::CreateMode;

/// Seed 000 hears of neither a master nor a slave then, seed 003 takes itself for a slave of its own znode.
#[test]
fn the_reply_to_the_create_is_lost() {
    const PATH: &str = "/reply-lost";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    let relay = Relay::start(ensemble.addr(0));
    let handle = TestHandle::open(&relay.host());
    let session = relay.session().expect("a session").id;
    relay.strike_once(Verdict::DropReplyAndCut, is(opcode::CREATE, PATH));

    let candidate = handle.stand(PATH, "mine");
    candidate.is_suspended();
    let token = candidate.becomes_master();
    assert!(candidate.is_master());
    assert_eq!(count(&relay, opcode::CREATE, PATH), 1, "it was applied, so there is no second one");
    let znode = witness.read(PATH).unwrap();
    assert_eq!((znode.czxid, znode.owner), (token, session));
    candidate.ear.hears_nothing_for(A_MOMENT);

    // The watch is there, too.
    witness.delete(PATH);
    candidate.becomes_unknown(Reason::Deleted, -101);
    assert!(candidate.becomes_master() > token);
}

#[test]
fn the_reply_to_the_create_is_lost_and_the_client_comes_back_on_another_server() {
    const PATH: &str = "/reply-lost-and-moved";
    let ensemble = three_servers();
    let relays = Relays::before(&ensemble);
    let handle = TestHandle::open(&relays.hosts());
    let former = relays.current();
    let session = relays.0[former].session().expect("a session").id;
    for relay in &relays.0 {
        relay.strike_once(Verdict::DropReplyAndCut, is(opcode::CREATE, PATH));
    }
    // The connection stands; no other is let in.
    relays.0[former].refuse(true);

    let candidate = handle.stand(PATH, "mine");
    candidate.is_suspended();
    let token = candidate.becomes_master();
    assert_ne!(relays.current(), former);
    assert_eq!(relays.count(opcode::CREATE, PATH), 1);
    assert!(
        catches_up_before(&relays.0[relays.current()], opcode::GET_DATA, PATH),
        "another server may lag behind, and its leader be none any more: a transaction goes first"
    );
    let znode = Witness::new(&ensemble.host(former)).wait_for(PATH, |_| true);
    assert_eq!((znode.czxid, znode.owner), (token, session), "the same session");
    candidate.ear.hears_nothing_for(A_MOMENT);
}

#[test]
fn the_create_itself_is_lost() {
    const PATH: &str = "/create-lost";
    let ensemble = one_server();
    let relay = Relay::start(ensemble.addr(0));
    let handle = TestHandle::open(&relay.host());
    relay.strike_once(Verdict::Cut, is(opcode::CREATE, PATH));
    let candidate = handle.stand(PATH, "mine");
    candidate.is_suspended();
    let token = candidate.becomes_master();
    assert_eq!(count(&relay, opcode::CREATE, PATH), 2);
    assert_eq!(Witness::new(&ensemble.host(0)).read(PATH).unwrap().czxid, token);
}

/// The znode of the lost reply may also be somebody else's by the time that one can look.
#[test]
fn the_create_is_lost_and_another_is_faster() {
    const PATH: &str = "/another-is-faster";
    let ensemble = one_server();
    let relay = Relay::start(ensemble.addr(0));
    let handle = TestHandle::open(&relay.host());
    relay.strike_once(Verdict::Hold, is(opcode::CREATE, PATH));
    let slower = handle.stand(PATH, "slower");
    wait_held(&relay);
    let faster = Candidate::stand(&ensemble.hosts(), PATH, "faster");
    let token = faster.becomes_master();
    relay.cut_all();
    slower.is_suspended();
    assert_eq!(slower.becomes_slave_of("faster"), token);
    faster.resign();
    slower.becomes_master();
}

#[test]
fn the_reply_to_the_create_is_lost_and_then_the_session() {
    const PATH: &str = "/reply-and-session-lost";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    let relay = Relay::start(ensemble.addr(0));
    let handle = TestHandle::open(&relay.host());
    let session = relay.session().expect("a session");
    relay.refuse(true);
    relay.strike_once(Verdict::DropReplyAndCut, is(opcode::CREATE, PATH));
    let candidate = handle.stand(PATH, "mine");
    let lost = witness.wait_for(PATH, |znode| znode.owner == session.id);
    expire_and_keep_out(&ensemble, &relay);
    witness.wait_gone(PATH);
    relay.refuse(false);
    let token = candidate.check_master(&candidate.expires());
    assert!(token > lost.czxid);
    assert_eq!(witness.read(PATH).unwrap().owner, relay.session().unwrap().id, "the new session's own");
}

/// Seed 000 has no watch then, and waits for ever.
#[test]
fn the_znode_vanishes_between_the_create_and_the_read() {
    const PATH: &str = "/vanishes";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    let relay = Relay::start(ensemble.addr(0));
    let handle = TestHandle::open(&relay.host());
    witness.create(PATH, b"somebody", CreateMode::Ephemeral);
    relay.strike_once(Verdict::Hold, is(opcode::GET_DATA, PATH));
    let candidate = handle.stand(PATH, "mine");
    wait_held(&relay);
    witness.delete(PATH);
    let released = Instant::now();
    relay.release();
    let heard = candidate.ear.next();
    candidate.check_master(&heard.news);
    let took = heard.at - released;
    assert!(took < AT_ONCE, "at once, not after some refresh: {took:?}");
}

#[test]
fn the_znode_changes_hands_between_the_create_and_the_read() {
    const PATH: &str = "/changes-hands";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    let relay = Relay::start(ensemble.addr(0));
    let handle = TestHandle::open(&relay.host());
    witness.create(PATH, b"first", CreateMode::Ephemeral);
    relay.strike_once(Verdict::Hold, is(opcode::GET_DATA, PATH));
    let candidate = handle.stand(PATH, "mine");
    wait_held(&relay);
    witness.delete(PATH);
    witness.create(PATH, b"second", CreateMode::Ephemeral);
    relay.release();
    assert_eq!(candidate.becomes_slave_of("second"), witness.read(PATH).unwrap().czxid);
    witness.delete(PATH);
    candidate.becomes_master();
}

/// A master's own znode goes before its watch is there.
#[test]
fn the_masters_znode_is_deleted_before_it_is_watched() {
    const PATH: &str = "/before-it-is-watched";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    let relay = Relay::start(ensemble.addr(0));
    let handle = TestHandle::open(&relay.host());
    relay.strike_once(Verdict::Hold, is(opcode::GET_DATA, PATH));
    let candidate = handle.stand(PATH, "mine");
    wait_held(&relay);
    let token = witness.wait_for(PATH, |_| true).czxid;
    assert_eq!(candidate.becomes_master(), token, "there is no need to read before one is master");
    witness.delete(PATH);
    relay.release();
    candidate.becomes_unknown(Reason::Deleted, -101);
    assert!(candidate.becomes_master() > token);
}

/// The connection breaks with the read under way: it is asked again, and there is no second create.
#[test]
fn the_reply_to_the_read_is_lost() {
    const PATH: &str = "/read-lost";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    let relay = Relay::start(ensemble.addr(0));
    let handle = TestHandle::open(&relay.host());
    witness.create(PATH, b"somebody", CreateMode::Ephemeral);
    relay.strike_once(Verdict::DropReplyAndCut, is(opcode::GET_DATA, PATH));
    let candidate = handle.stand(PATH, "mine");
    candidate.is_suspended();
    candidate.becomes_slave_of("somebody");
    witness.delete(PATH);
    candidate.becomes_master();
}

/// A server, or something in front of it, that closes the connection on every create: it is not hammered.
#[test]
fn a_create_that_always_breaks_the_connection_is_no_hot_loop() {
    const PATH: &str = "/always-breaks";
    let ensemble = one_server();
    let relay = Relay::start(ensemble.addr(0));
    let handle = TestHandle::open_for(&relay.host(), SHORT_MS);
    let before = relay.connection_count();
    relay.set_rule({
        let is_create = is(opcode::CREATE, PATH);
        move |request| match is_create(request) {
            true => Verdict::Cut,
            false => Verdict::Forward,
        }
    });
    let began = Instant::now();
    let candidate = handle.stand(PATH, "mine");
    candidate.is_suspended();
    // The number that counts is the one after three seconds; there is nothing to wait for but the time.
    std::thread::sleep(std::time::Duration::from_secs(3).saturating_sub(began.elapsed()));
    let (connections, creates) = (relay.connection_count() - before, count(&relay, opcode::CREATE, PATH));
    assert!((2..=12).contains(&creates), "{creates} creates in three seconds");
    assert!(connections <= 12, "{connections} connections in three seconds");
    assert!(!candidate.is_master());
    relay.clear_rule();
    eventually(SOON, "it is master as soon as it is let", || candidate.is_master());
}
