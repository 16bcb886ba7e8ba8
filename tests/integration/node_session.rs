//! The session behind a candidate: moved to another server, expired, or lost to the client alone.

use crate::amnesia::Amnesia;
use crate::candidates::{Candidate, TestHandle};
use crate::child::{is_candidate, Child};
use crate::ground::{one_server, three_servers, AT_ONCE, A_MOMENT, LONG_MS, SHORT_MS, SOON};
use crate::relays::{count, expire, expire_and_keep_out, leaves_watch, Relays};
use crate::witness::Witness;
use election::{Reason, Role};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use testkit::{eventually, expire_session, opcode, RawClient, Relay};
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
    let interrogation = master.interrogate();

    for round in 0..2 {
        let left = master_relays.drive_off();
        eventually(SOON, "the master moves", || master_relays.current() != left);
        assert!(master.is_master(), "round {round}");
        master_relays.let_back();

        let left = slave_relays.drive_off();
        slave.is_suspended();
        assert_eq!(slave.becomes_slave_of("master"), token);
        assert_ne!(slave_relays.current(), left);
        slave_relays.let_back();
    }
    // A break that is over before the lease is none to the master.
    master.ear.hears_nothing_for(A_MOMENT);
    interrogation.end().are_always_yes(token);
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

fn session_of(relays: &Relays, id: &i64) -> testkit::Session {
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

/// Its session is taken away from it, by somebody who knows its password; no word of that reaches it. It believes until its
/// lease is over, and not a moment longer: with a session that expires by itself, that is in time.
#[test]
fn a_master_whose_session_is_taken_away_believes_no_longer_than_its_lease() {
    const PATH: &str = "/expires-out-of-reach";
    let timeout = Duration::from_millis(SHORT_MS);
    let ensemble = one_server();
    let relay = Relay::start(ensemble.addr(0));
    let master = Candidate::stand_for(&relay.host(), SHORT_MS, PATH, "mine");
    let token = master.becomes_master();
    let interrogation = master.interrogate();
    let before = Instant::now();
    expire_and_keep_out(&ensemble, &relay);
    let lapsed = master.lapses();
    assert!(lapsed - before < timeout + AT_ONCE, "{:?}", lapsed - before);
    relay.refuse(false);
    // The server's word comes with the next connection.
    assert!(master.check_master(&master.expires()) > token);
    let answers = interrogation.end();
    assert_eq!(answers.tokens[0], token);
    let first_no = answers.first_no.expect("it was no master in between");
    assert!(first_no - before < timeout, "it believed for {:?}", first_no - before);
}

/// When the server's word does reach it, nothing is left to believe, however much of the lease is.
#[test]
fn a_master_that_is_told_that_its_session_is_over_is_none_at_once() {
    const PATH: &str = "/expires-at-once";
    let ensemble = one_server();
    let relay = Relay::start(ensemble.addr(0));
    let master = Candidate::stand(&relay.host(), PATH, "mine");
    let token = master.becomes_master();
    let next = Candidate::stand(&ensemble.hosts(), PATH, "next");
    next.becomes_slave_of("mine");
    let expired = Instant::now();
    expire(&ensemble, &relay);
    let next_token = next.becomes_master();
    let event = master.expires();
    assert!(!master.is_master());
    assert!(next_token > token);
    assert_eq!(master.check_slave(&event, "next"), next_token);
    let took = expired.elapsed();
    assert!(took < Duration::from_millis(LONG_MS) * 2 / 5, "not by the lease, after {took:?}");
}

#[test]
fn another_takes_over_from_a_master_whose_session_expires() {
    const PATH: &str = "/expires-and-another";
    let ensemble = three_servers();
    let relay = Relay::start(ensemble.addr(1));
    let former = Candidate::stand_for(&relay.host(), SHORT_MS, PATH, "former");
    let token = former.becomes_master();
    let next = Candidate::stand(&ensemble.hosts(), PATH, "next");
    next.becomes_slave_of("former");
    expire_and_keep_out(&ensemble, &relay);
    let next_token = next.becomes_master();
    assert!(next_token > token);
    // Taken away, not expired: this is the one case in which the lease does not know. It ends as ever.
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
/// own value in it. It is not ours. That the library closes such a session as soon as it can is of no use here: it cannot.
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

/// It can, in the ordinary case: nobody waits until the servers expire a session that was given up.
#[test]
fn our_own_earlier_session_is_closed_as_soon_as_a_server_can_be_reached() {
    const PATH: &str = "/earlier-session-closed";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    let relay = Relay::start(ensemble.addr(0));
    let amnesia = Amnesia::start(relay.addr());
    let candidate = Candidate::stand(&amnesia.host(), PATH, "mine");
    let token = candidate.becomes_master();
    let earlier = relay.session().unwrap();
    amnesia.spoil_once();
    let given_up = Instant::now();
    relay.cut_all();
    // Its znode may be gone before it is seen.
    let mut event = candidate.expires();
    if event.role == Role::Slave {
        assert_eq!(candidate.check_slave(&event, "mine"), token);
        event = candidate.ear.next().news;
    }
    assert!(candidate.check_master(&event) > token);
    let took = given_up.elapsed();
    assert!(took < Duration::from_millis(LONG_MS / 2), "not by its session timeout, but after {took:?}");
    assert_ne!(witness.read(PATH).unwrap().owner, earlier.id);
    assert!(RawClient::resume(&ensemble.host(0), &earlier).is_err(), "it is over");
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

/// The cable is cut and nothing says so. Seed 003 stays master then, beside the next one. With a lease there is not one moment
/// at which both are.
#[test]
fn a_master_that_is_cut_off_is_no_master_before_another_is() {
    const PATH: &str = "/cut-off";
    let ensemble = one_server();
    let relay = Relay::start(ensemble.addr(0));
    let cut_off = Candidate::stand_for(&relay.host(), SHORT_MS, PATH, "cut off");
    let token = cut_off.becomes_master();
    let next = Candidate::stand(&ensemble.hosts(), PATH, "next");
    next.becomes_slave_of("cut off");
    let interrogation = cut_off.interrogate();
    let began = Instant::now();
    relay.blackhole(true);
    let heard = next.ear.next();
    let next_token = next.check_master(&heard.news);
    assert!(next_token > token);
    assert!(!cut_off.is_master(), "two masters");
    assert!(cut_off.lapses() < heard.at, "it stepped down before the next one came");
    let answers = interrogation.end();
    answers.are_no_after(heard.at, token);
    answers.are_no_after(began + Duration::from_millis(SHORT_MS), token);
    let first_no = answers.first_no.expect("it was no master any more");
    assert!(first_no - began > Duration::from_millis(SHORT_MS) / 5, "as soon as {:?}", first_no - began);
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

    // Its next proof comes to know it, and nothing is lost.
    let interrogation = master.interrogate();
    let connections = relay.connection_count();
    steal();
    eventually(SOON, "it comes back", || relay.connection_count() > connections && relay.open_count() == 1);
    master.ear.hears_nothing_for(A_MOMENT);
    interrogation.end().are_always_yes(token);

    steal();
    Witness::new(&ensemble.host(2)).delete(PATH);
    master.becomes_unknown(Reason::Deleted, -101);
    // Suspended, if it was not a proof that came to know it.
    let next_token = master.check_master(&master.next_but_for(&[Reason::Suspended]));
    assert!(next_token > token);
    assert_eq!(relay.session().unwrap().id, session.id);

    steal();
    master.resign();
    Witness::new(&ensemble.host(2)).wait_gone(PATH);
    master.has_resigned();
    // Nobody knows what became of the deletion, and who deletes by path must not be late.
    eventually(SOON, "the session is over", || RawClient::resume(&ensemble.host(1), &session).is_err());
}

/// Breaks so short that nothing is heard of them: the master has its lease.
#[test]
fn the_connection_is_cut_again_and_again() {
    const PATH: &str = "/again-and-again";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    let relay = Relay::start(ensemble.addr(0));
    let master = Candidate::stand(&relay.host(), PATH, "mine");
    let token = master.becomes_master();
    let interrogation = master.interrogate();
    for _ in 0..10 {
        let connections = relay.connection_count();
        relay.cut_all();
        eventually(SOON, "it is back", || relay.connection_count() > connections && relay.open_count() == 1);
    }
    master.ear.hears_nothing_for(A_MOMENT);
    interrogation.end().are_always_yes(token);
    assert_eq!(witness.read(PATH).unwrap().version, 0);
    witness.delete(PATH);
    master.becomes_unknown(Reason::Deleted, -101);
    assert!(master.becomes_master() > token);
}

/// An idle handle's connection stays as it is: nothing is sent but what the lease asks for, nothing is reported.
#[test]
fn an_idle_session_is_kept_alive() {
    const PATH: &str = "/idle";
    // A fifth of it without an answer breaks the connection, which a busy machine must not bring about.
    const TIMEOUT_MS: u64 = 5_000;
    let ensemble = one_server();
    let relay = Relay::start(ensemble.addr(0));
    let slave_relay = Relay::start(ensemble.addr(0));
    let master = Candidate::stand_for(&relay.host(), TIMEOUT_MS, PATH, "mine");
    master.becomes_master();
    let slave = Candidate::stand_for(&slave_relay.host(), TIMEOUT_MS, PATH, "slave");
    slave.becomes_slave_of("mine");
    eventually(SOON, "it is watched", || count(&relay, opcode::GET_DATA, PATH) == 1);
    relay.clear_requests();
    slave_relay.clear_requests();
    master.ear.hears_nothing_for(Duration::from_millis(TIMEOUT_MS * 3 / 2));
    slave.ear.hears_nothing_for(Duration::ZERO);
    assert!(master.is_master());
    let kinds = |relay: &Relay| relay.requests().iter().map(|request| request.opcode).collect::<BTreeSet<i32>>();
    let without_pings =
        |relay: &Relay| kinds(relay).into_iter().filter(|&kind| kind != opcode::PING).collect::<Vec<_>>();
    assert_eq!(without_pings(&relay), [opcode::SYNC, opcode::MULTI], "a master sends touches and proofs");
    assert_eq!(without_pings(&slave_relay), [opcode::SYNC], "a slave sends touches");
    assert!(slave_relay.requests().iter().all(|request| !leaves_watch(request)));
    assert_eq!((relay.connection_count(), slave_relay.connection_count()), (1, 1));
}

/// One SetWatches carries 128 KiB of paths. More go in several.
#[test]
fn more_is_watched_than_one_request_can_carry() {
    const HOW_MANY: usize = 50;
    let ensemble = one_server();
    let relay = Relay::start(ensemble.addr(0));
    let handle = TestHandle::open_for(&relay.host(), SHORT_MS);
    let path = |i: usize| format!("/long-{i}-{}", "x".repeat(3_000));
    let masters: Vec<Candidate> = (0..HOW_MANY).map(|i| handle.stand(&path(i), "mine")).collect();
    let how_many_lead = || masters.iter().filter(|master| master.is_master()).count();
    let how_many_watched =
        || ensemble.four_letter(0, "wchp").lines().filter(|line| line.starts_with("/long-")).count();
    eventually(SOON, "all lead and are watched", || how_many_lead() == HOW_MANY && how_many_watched() == HOW_MANY);
    masters.iter().for_each(|master| master.ear.forget_what_came());
    let before = relay.session().unwrap().id;
    relay.cut_all();
    eventually(SOON, "all is watched again", || relay.connection_count() > 1 && how_many_watched() == HOW_MANY);
    assert_eq!(how_many_lead(), HOW_MANY);
    masters.iter().for_each(|master| master.ear.hears_nothing_for(Duration::ZERO));
    assert_eq!(relay.session().unwrap().id, before);
}
