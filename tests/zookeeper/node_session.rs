//! The session behind a candidate: moved to another server, expired, or lost to the client alone.

use crate::amnesia::Amnesia;
use crate::candidates::{Candidate, Handle};
use crate::child::{is_candidate, Child};
use crate::ground::{one_server, three_servers, AT_ONCE, A_MOMENT, SHORT_MS, SOON};
use crate::relays::{expire, expire_and_keep_out, Relays};
use crate::witness::Witness;
use election::{Reason, Role};
use scratch::{eventually, expire_session, opcode, RawClient, Relay};
use std::time::{Duration, Instant};
use zookeeper::CreateMode;

#[test]
fn the_connection_is_lost_and_comes_back_on_another_server() {
    const PATH: &str = "/moved";
    let ensemble = three_servers();
    let (master_relays, slave_relays) = (Relays::before(&ensemble), Relays::before(&ensemble));
    let master = Candidate::stand(&master_relays.hosts(), PATH, "master");
    let token = master.becomes_master();
    let slave = Candidate::stand(&slave_relays.hosts(), PATH, "slave");
    assert_eq!(slave.becomes_slave_of("master"), token);

    for round in 0..2 {
        let left = master_relays.drive_off();
        master.is_suspended();
        assert_eq!(master.becomes_master(), token, "the same znode, round {round}");
        assert_ne!(master_relays.current(), left);
        master_relays.let_back();

        let left = slave_relays.drive_off();
        slave.is_suspended();
        assert_eq!(slave.becomes_slave_of("master"), token);
        assert_ne!(slave_relays.current(), left);
        slave_relays.let_back();
    }
    master.ear.hears_nothing_for(A_MOMENT);
    slave.ear.hears_nothing_for(Duration::ZERO);

    // The watches moved along: the master's own, and the slave's.
    let witness = Witness::new(&ensemble.host(0));
    witness.wait_for(PATH, |_| true);
    witness.set(PATH, b"changed");
    assert_eq!(slave.becomes_slave_of("changed"), token);
    master_relays.drive_off_all();
    let session = session_of(&master_relays, &witness.read(PATH).unwrap().owner);
    assert!(expire_session(&ensemble.host(0), session.id, &session.password));
    assert!(slave.becomes_master() > token);
}

fn session_of(relays: &Relays, id: &i64) -> scratch::Session {
    let mut sessions = relays.0.iter().filter_map(Relay::session);
    sessions.find(|session| session.id == *id).expect("a session that went through the relays")
}

/// What happened while nobody could be heard is heard of afterwards.
#[test]
fn the_master_changes_while_the_slave_is_cut_off() {
    const PATH: &str = "/changes-meanwhile";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    let relay = Relay::start(ensemble.addr(0));
    witness.create(PATH, b"first", CreateMode::Ephemeral);
    let slave = Candidate::stand(&relay.host(), PATH, "mine");
    let token = slave.becomes_slave_of("first");
    // Refused, so that the client cannot be back before the change.
    relay.refuse(true);
    relay.cut_all();
    slave.is_suspended();
    witness.delete(PATH);
    witness.create(PATH, b"second", CreateMode::Ephemeral);
    relay.refuse(false);
    assert!(slave.becomes_slave_of("second") > token);

    relay.refuse(true);
    relay.cut_all();
    slave.is_suspended();
    witness.delete(PATH);
    relay.refuse(false);
    slave.becomes_master();
}

#[test]
fn a_master_whose_session_expires_stands_again_by_itself() {
    const PATH: &str = "/expires";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    let relay = Relay::start(ensemble.addr(0));
    let master = Candidate::stand(&relay.host(), PATH, "mine");
    let mut token = master.becomes_master();
    for _ in 0..3 {
        let session = expire(&ensemble, &relay);
        let next_token = master.check_master(&master.expires());
        assert!(next_token > token);
        token = next_token;
        let znode = witness.read(PATH).unwrap();
        assert_eq!((znode.czxid, znode.owner), (token, relay.session().unwrap().id));
        assert_ne!(znode.owner, session.id);
    }
}

/// The word of the server comes with the broken connection; nobody may believe anything from there on.
#[test]
fn a_master_whose_session_expires_is_no_master_at_once() {
    const PATH: &str = "/expires-at-once";
    let ensemble = one_server();
    let relay = Relay::start(ensemble.addr(0));
    let master = Candidate::stand(&relay.host(), PATH, "mine");
    master.becomes_master();
    expire_and_keep_out(&ensemble, &relay);
    let expired = Instant::now();
    eventually(SOON, "it is no master", || !master.is_master());
    assert!(expired.elapsed() < AT_ONCE, "{:?}", expired.elapsed());
    let heard = master.is_suspended();
    assert!(heard.saturating_duration_since(expired) < AT_ONCE);
    relay.refuse(false);
    master.check_master(&master.expires());
}

#[test]
fn another_takes_over_from_a_master_whose_session_expires() {
    const PATH: &str = "/expires-and-another";
    let ensemble = three_servers();
    let relay = Relay::start(ensemble.addr(1));
    let former = Candidate::stand(&relay.host(), PATH, "former");
    let token = former.becomes_master();
    let next = Candidate::stand(&ensemble.hosts(), PATH, "next");
    next.becomes_slave_of("former");
    expire_and_keep_out(&ensemble, &relay);
    let next_token = next.becomes_master();
    assert!(next_token > token);
    eventually(SOON, "the former one is no master", || !former.is_master());
    relay.refuse(false);
    assert_eq!(former.check_slave(&former.expires(), "next"), next_token);
    next.resign();
    assert!(former.becomes_master() > next_token);
}

#[test]
fn a_slave_whose_session_expires_goes_on_waiting() {
    const PATH: &str = "/slave-expires";
    let ensemble = one_server();
    let relay = Relay::start(ensemble.addr(0));
    let master = Candidate::stand(&ensemble.hosts(), PATH, "master");
    let token = master.becomes_master();
    let slave = Candidate::stand(&relay.host(), PATH, "slave");
    slave.becomes_slave_of("master");
    expire(&ensemble, &relay);
    assert_eq!(slave.check_slave(&slave.expires(), "master"), token);
    master.resign();
    slave.becomes_master();
    master.has_resigned();
}

/// The client believes that its session is over, and the server does not yet: the znode of before is still there, with our
/// own value in it. It is not ours.
#[test]
fn our_own_earlier_sessions_znode_is_still_there() {
    const PATH: &str = "/earlier-session";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    let relay = Relay::start(ensemble.addr(0));
    let amnesia = Amnesia::start(relay.addr());
    let candidate = Candidate::stand(&amnesia.host(), PATH, "mine");
    let token = candidate.becomes_master();
    let earlier = relay.session().unwrap();
    amnesia.set(true);
    relay.cut_all();
    assert_eq!(candidate.check_slave(&candidate.expires(), "mine"), token);
    amnesia.set(false);
    assert!(!candidate.is_master());
    let znode = witness.read(PATH).unwrap();
    assert_eq!((znode.czxid, znode.owner), (token, earlier.id), "it lives on");
    assert_ne!(relay.session().unwrap().id, earlier.id);
    candidate.ear.hears_nothing_for(A_MOMENT);
    // What would come with the session timeout.
    assert!(expire_session(&ensemble.host(0), earlier.id, &earlier.password));
    let next_token = candidate.becomes_master();
    assert!(next_token > token);
    assert_eq!(witness.read(PATH).unwrap().owner, relay.session().unwrap().id);
}

/// Resigning then is nothing but going: the earlier session's znode is not ours to delete.
#[test]
fn it_resigns_while_our_own_earlier_sessions_znode_is_still_there() {
    const PATH: &str = "/earlier-session-resigns";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    let relay = Relay::start(ensemble.addr(0));
    let amnesia = Amnesia::start(relay.addr());
    let candidate = Candidate::stand(&amnesia.host(), PATH, "mine");
    candidate.becomes_master();
    let earlier = relay.session().unwrap();
    amnesia.set(true);
    relay.cut_all();
    candidate.check_slave(&candidate.expires(), "mine");
    candidate.resign();
    candidate.has_resigned();
    candidate.handle.stand("/earlier-session-elsewhere", "x").becomes_master();
    assert_eq!(witness.read(PATH).unwrap().owner, earlier.id);
}

/// The cable is cut and nothing says so. Seed 003 stays master then, beside the next one.
#[test]
fn a_master_that_is_cut_off_is_no_master_before_another_is() {
    const PATH: &str = "/cut-off";
    let ensemble = one_server();
    let relay = Relay::start(ensemble.addr(0));
    let cut_off = Candidate::stand_for(&relay.host(), SHORT_MS, PATH, "cut off");
    let token = cut_off.becomes_master();
    let next = Candidate::stand(&ensemble.hosts(), PATH, "next");
    next.becomes_slave_of("cut off");
    relay.blackhole(true);
    let began = Instant::now();
    let heard = next.ear.next();
    let next_token = next.check_master(&heard.news);
    assert!(next_token > token);
    assert!(!cut_off.is_master(), "two masters");
    let suspended = cut_off.is_suspended();
    assert!(suspended < heard.at, "it stepped down before the next one came");
    let limit = Duration::from_millis(SHORT_MS as u64) * 2 / 5 + AT_ONCE;
    assert!(suspended - began < limit, "after {:?}", suspended - began);
    relay.blackhole(false);
    let event = cut_off.expires();
    assert_eq!(event.role, Role::Slave);
    assert_eq!(cut_off.check_slave(&event, "next"), next_token);
}

/// A process that is stopped for longer than its session lives, and continued: it has lost, and must come to know it.
#[test]
fn a_master_whose_process_was_stopped_finds_itself_a_slave() {
    if is_candidate() {
        return;
    }
    const PATH: &str = "/stopped";
    let ensemble = one_server();
    let name = "node_session::a_master_whose_process_was_stopped_finds_itself_a_slave";
    let child = Child::spawn(&[], name, &ensemble.hosts(), PATH, SHORT_MS);
    let token = child.becomes_master();
    let next = Candidate::stand(&ensemble.hosts(), PATH, "next");
    next.becomes_slave_of("child");
    child.process().freeze();
    let next_token = next.becomes_master();
    assert!(next_token > token);
    child.process().thaw();
    child.hears("HEARD Unknown");
    assert_eq!(child.hears("HEARD Slave Following"), next_token.to_string());
    next.resign();
    assert!(child.becomes_master() > next_token);
}

/// Somebody else has taken the session up on another server, and gone. The leader then takes no write from the server that the
/// client is still connected to, which closes the connection; so does ZooKeeper itself, when a server thaws that finds an
/// old attempt of the client in its backlog.
#[test]
fn the_session_has_moved_behind_its_back() {
    const PATH: &str = "/moved-behind-its-back";
    let ensemble = three_servers();
    let relay = Relay::start(ensemble.addr(0));
    let master = Candidate::stand(&relay.host(), PATH, "mine");
    let token = master.becomes_master();
    let session = relay.session().unwrap();
    let steal = || drop(RawClient::resume(&ensemble.host(1), &session).expect("the session, on another server"));

    steal();
    Witness::new(&ensemble.host(2)).delete(PATH);
    master.becomes_unknown(Reason::Deleted, -101);
    master.is_suspended();
    let next_token = master.becomes_master();
    assert!(next_token > token);
    assert_eq!(relay.session().unwrap().id, session.id);

    steal();
    master.resign();
    Witness::new(&ensemble.host(2)).wait_gone(PATH);
    master.has_resigned();
    assert_eq!(relay.session().unwrap().id, session.id);
}

/// A break so short that nothing is heard of it but the answers that are missing.
#[test]
fn the_connection_is_cut_again_and_again() {
    const PATH: &str = "/again-and-again";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    let relay = Relay::start(ensemble.addr(0));
    let master = Candidate::stand(&relay.host(), PATH, "mine");
    let token = master.becomes_master();
    for _ in 0..10 {
        relay.cut_all();
        master.is_suspended();
        assert_eq!(master.becomes_master(), token);
    }
    assert_eq!(witness.read(PATH).unwrap().version, 0);
    witness.delete(PATH);
    master.becomes_unknown(Reason::Deleted, -101);
    assert!(master.becomes_master() > token);
}

/// An idle master's connection stays as it is: nothing is sent but pings, nothing is reported.
#[test]
fn an_idle_session_is_kept_alive() {
    const PATH: &str = "/idle";
    let ensemble = one_server();
    let relay = Relay::start(ensemble.addr(0));
    let handle = Handle::open_for(&relay.host(), SHORT_MS);
    let master = handle.stand(PATH, "mine");
    master.becomes_master();
    let watched = || relay.requests().iter().any(|request| request.opcode == opcode::GET_DATA);
    eventually(SOON, "it is watched", watched);
    relay.clear_requests();
    master.ear.hears_nothing_for(Duration::from_millis(SHORT_MS as u64 * 3 / 2));
    assert!(master.is_master());
    let requests = relay.requests();
    assert!(!requests.is_empty() && requests.iter().all(|request| request.opcode == opcode::PING));
    assert_eq!(relay.connection_count(), 1);
}

/// The client crate cannot bring more than 128 KiB of watched paths back to a server (DEPENDENCIES.md): the session is lost
/// then. The handle must not be.
#[test]
fn more_is_watched_than_a_reconnect_can_carry() {
    const HOW_MANY: usize = 50;
    let ensemble = one_server();
    let relay = Relay::start(ensemble.addr(0));
    let handle = Handle::open_for(&relay.host(), SHORT_MS);
    let path = |i: usize| format!("/long-{i}-{}", "x".repeat(3_000));
    let masters: Vec<Candidate> = (0..HOW_MANY).map(|i| handle.stand(&path(i), "mine")).collect();
    let how_many_lead = || masters.iter().filter(|master| master.is_master()).count();
    eventually(SOON, "all lead and are watched", || {
        how_many_lead() == HOW_MANY && relay.count(opcode::GET_DATA) >= HOW_MANY
    });
    masters.iter().for_each(|master| master.ear.forget_what_came());
    relay.cut_all();
    for master in &masters {
        master.is_suspended();
    }
    eventually(SOON, "all lead again", || how_many_lead() == HOW_MANY);
}
