//! Something that is no contender stands at the path: a znode that no session's end will take away. It is reported, and
//! watched until it goes.

use crate::candidates::{Candidate, Observer, TestHandle};
use crate::ground::{one_server, A_MOMENT};
use crate::relays::{is, wait_held};
use crate::witness::Witness;
use election::Reason;
use testkit::{opcode, RawClient, Relay, Verdict};
use zookeeper::CreateMode;

const NOT_EPHEMERAL: i32 = -1013;

#[test]
fn a_persistent_znode_stands_at_the_path() {
    blocks("/blocked-by-persistent", |witness, path| witness.create(path, b"in the way", CreateMode::Persistent));
}

#[test]
fn a_container_stands_at_the_path() {
    blocks("/blocked-by-container", |witness, path| witness.create(path, b"in the way", CreateMode::Container));
}

#[test]
fn a_znode_with_a_time_to_live_stands_at_the_path() {
    const HOUR_MS: i64 = 3_600_000;
    blocks("/blocked-by-ttl", |_, path| create_with_ttl(path, b"in the way", HOUR_MS));
}

fn blocks(path: &str, block: impl FnOnce(&Witness, &str)) {
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    block(&witness, path);
    let candidate = Candidate::stand(&ensemble.hosts(), path, "mine");
    candidate.becomes_unknown(Reason::Blocked, NOT_EPHEMERAL);
    assert!(!candidate.is_master());
    witness.set(path, b"still in the way");
    candidate.ear.hears_nothing_for(A_MOMENT);
    let blocked = witness.read(path).unwrap();
    witness.delete(path);
    assert!(candidate.becomes_master() > blocked.czxid);
}

/// A znode that goes by itself after this time without a change. The witness knows no such request, so it is spoken by hand.
fn create_with_ttl(path: &str, value: &[u8], ttl_ms: i64) {
    const ALL_PERMISSIONS: i32 = 31;
    const PERSISTENT_WITH_TTL: i32 = 5;
    let mut body = Vec::new();
    let put_buffer = |body: &mut Vec<u8>, bytes: &[u8]| {
        body.extend_from_slice(&(bytes.len() as i32).to_be_bytes());
        body.extend_from_slice(bytes);
    };
    put_buffer(&mut body, path.as_bytes());
    put_buffer(&mut body, value);
    body.extend_from_slice(&1i32.to_be_bytes());
    body.extend_from_slice(&ALL_PERMISSIONS.to_be_bytes());
    put_buffer(&mut body, b"world");
    put_buffer(&mut body, b"anyone");
    body.extend_from_slice(&PERSISTENT_WITH_TTL.to_be_bytes());
    body.extend_from_slice(&ttl_ms.to_be_bytes());
    let mut client = RawClient::connect(&one_server().host(0), 10_000).expect("a session");
    let reply = client.request(opcode::CREATE_TTL, &body).expect("an answer");
    assert_eq!(reply.err, 0, "the server allows znodes with a time to live");
    client.close_session().expect("the end of that session");
}

#[test]
fn a_persistent_znode_takes_the_masters_place() {
    const PATH: &str = "/blocked-later";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    let relay = Relay::start(ensemble.addr(0));
    witness.create(PATH, b"somebody", CreateMode::Ephemeral);
    let slave = Candidate::stand(&relay.host(), PATH, "slave");
    slave.becomes_slave_of("somebody");
    relay.strike_once(Verdict::Hold, is(opcode::CREATE, PATH));
    witness.delete(PATH);
    wait_held(&relay);
    witness.create(PATH, b"in the way", CreateMode::Persistent);
    relay.release();
    slave.becomes_unknown(Reason::Blocked, NOT_EPHEMERAL);
    let observer = Observer::watch(&ensemble.hosts(), PATH);
    assert_eq!(observer.sees_in_the_way("in the way").ephemeral_owner, 0, "an observer tells what stands there");
    witness.delete(PATH);
    slave.becomes_master();
}

#[test]
fn it_resigns_while_it_is_blocked() {
    const PATH: &str = "/blocked-and-resigns";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    witness.create(PATH, b"in the way", CreateMode::Persistent);
    let handle = TestHandle::open(&ensemble.hosts());
    let candidate = handle.stand(PATH, "mine");
    candidate.becomes_unknown(Reason::Blocked, NOT_EPHEMERAL);
    candidate.resign();
    candidate.has_resigned();
    handle.stand("/blocked-and-elsewhere", "mine").becomes_master();
    assert_eq!(witness.read(PATH).unwrap().value, b"in the way", "it is not ours to delete");
}
