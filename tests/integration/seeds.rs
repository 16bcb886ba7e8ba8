//! The seeds' way beside ours, in the same fault: theirs is stuck or wrong, ours is not. And in the same election: a group
//! may be moved to the library one process at a time.

use crate::candidates::{Candidate, Observer, TestHandle};
use crate::ground::{one_server, AT_ONCE, LONG_MS, SHORT_MS, SOON};
use crate::hand_rolled::run;
use crate::relays::{expire, is, wait_held};
use crate::witness::Witness;
use election::Role;
use std::time::Duration;
use testkit::{eventually, opcode, Program, Relay, Verdict};
use zookeeper::CreateMode;

/// Longer than seed 000's second of sleep, and two of seed 003's rounds.
const STUCK: Duration = Duration::from_millis(2_500);

/// Nothing of the kind is said for so long that it never will be.
#[track_caller]
fn never_says(program: &Program, text: &str) {
    if let Some(line) = program.wait_for_text(STUCK, text) {
        panic!("it said \"{}\"\n{}", line.text, program.transcript());
    }
}

#[test]
fn seed_000_is_stuck_when_the_znode_vanishes_before_it_is_watched() {
    const THEIRS: &str = "/seed-000-vanishes";
    const OURS: &str = "/ours-vanishes";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    let (their_relay, our_relay) = (Relay::start(ensemble.addr(0)), Relay::start(ensemble.addr(0)));
    for (relay, path) in [(&their_relay, THEIRS), (&our_relay, OURS)] {
        witness.create(path, b"somebody", CreateMode::Ephemeral);
        relay.strike_once(Verdict::Hold, is(opcode::GET_DATA, path));
    }
    let theirs = run("000", &their_relay.host(), THEIRS, "10.0.0.1", LONG_MS);
    let ours = Candidate::stand(&our_relay.host(), OURS, "10.0.0.1");
    for (relay, path) in [(&their_relay, THEIRS), (&our_relay, OURS)] {
        wait_held(relay);
        witness.delete(path);
        relay.release();
    }
    ours.becomes_master();
    theirs.expect_text(SOON, "Become slave, keep watch");
    theirs.expect_text(SOON, "get master ip :(null)");
    never_says(&theirs, "Become master");
    assert_eq!(witness.read(THEIRS), None, "nobody is master there, for ever");
}

#[test]
fn seeds_000_and_003_do_not_know_that_they_are_master_when_the_reply_is_lost() {
    const PATH_000: &str = "/seed-000-reply-lost";
    const PATH_003: &str = "/seed-003-reply-lost";
    const OURS: &str = "/ours-reply-lost";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    let relays = [PATH_000, PATH_003, OURS].map(|path| {
        let relay = Relay::start(ensemble.addr(0));
        relay.strike_once(Verdict::DropReplyAndCut, is(opcode::CREATE, path));
        relay
    });
    let seed_000 = run("000", &relays[0].host(), PATH_000, "10.0.0.1", LONG_MS);
    let seed_003 = run("003", &relays[1].host(), PATH_003, "10.0.0.1", LONG_MS);
    let ours = Candidate::stand(&relays[2].host(), OURS, "10.0.0.1");
    ours.is_suspended();
    ours.becomes_master();

    // Seed 003 takes its own znode for somebody else's.
    seed_003.expect_text(SOON, "failed: (-4)");
    seed_003.expect_text(SOON, "failed: (-110)");
    let own = witness.read(PATH_003).unwrap();
    assert_eq!(own.owner, relays[1].session().unwrap().id);
    never_says(&seed_003, "becase master");
    assert_eq!(witness.read(PATH_003), Some(own), "and so it goes on");

    // Seed 000 heard of neither in all that time.
    assert_eq!(witness.read(PATH_000).unwrap().owner, relays[0].session().unwrap().id);
    assert!(seed_000.wait_for_text(Duration::ZERO, "Become").is_none(), "{}", seed_000.transcript());
}

#[test]
fn seed_000_writes_15_bytes_whatever_it_is_given() {
    const THEIRS: &str = "/seed-000-value";
    const OURS: &str = "/ours-value";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    let theirs = run("000", &ensemble.hosts(), THEIRS, "x", LONG_MS);
    theirs.expect_text(SOON, "Become master");
    assert_eq!(witness.read(THEIRS).unwrap().value.len(), 15);
    Candidate::stand(&ensemble.hosts(), OURS, "x").becomes_master();
    assert!(witness.read(OURS).is_none_or(|znode| znode.value == b"x"));
}

#[test]
fn seed_000_sleeps_before_it_knows_that_it_is_master() {
    const THEIRS: &str = "/seed-000-sleeps";
    const OURS: &str = "/ours-sleeps-not";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    witness.create(THEIRS, b"somebody", CreateMode::Ephemeral);
    witness.create(OURS, b"somebody", CreateMode::Ephemeral);
    let theirs = run("000", &ensemble.hosts(), THEIRS, "10.0.0.1", LONG_MS);
    let ours = Candidate::stand(&ensemble.hosts(), OURS, "10.0.0.1");
    theirs.expect_text(SOON, "get master ip :");
    ours.becomes_slave_of("somebody");
    let deleted = std::time::Instant::now();
    witness.delete(OURS);
    witness.delete(THEIRS);
    let heard = ours.ear.next();
    ours.check_master(&heard.news);
    assert!(heard.at - deleted < AT_ONCE, "{:?}", heard.at - deleted);
    let line = theirs.expect_text(SOON, "Become master");
    assert!(line.at - deleted >= Duration::from_secs(1), "{:?}", line.at - deleted);
}

/// Seed 000 does not notice, seed 003 asks to be started again.
#[test]
fn seeds_000_and_003_are_out_of_the_election_when_their_session_expires() {
    const PATH_000: &str = "/seed-000-expires";
    const PATH_003: &str = "/seed-003-expires";
    const OURS: &str = "/ours-expires";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    let relays = [PATH_000, PATH_003, OURS].map(|_| Relay::start(ensemble.addr(0)));
    witness.create(PATH_003, b"somebody", CreateMode::Ephemeral);
    let seed_000 = run("000", &relays[0].host(), PATH_000, "10.0.0.1", LONG_MS);
    let seed_003 = run("003", &relays[1].host(), PATH_003, "10.0.0.1", LONG_MS);
    let ours = Candidate::stand(&relays[2].host(), OURS, "10.0.0.1");
    seed_000.expect_text(SOON, "Become master");
    seed_003.expect_text(SOON, "failed: (-110)");
    ours.becomes_master();
    for relay in &relays {
        expire(&ensemble, relay);
    }
    ours.check_master(&ours.expires());
    seed_003.expect_text(SOON, "zookeeper session expired!");
    witness.delete(PATH_003);
    never_says(&seed_003, "becase master");
    assert!(seed_000.wait_for_text(Duration::ZERO, "Become").is_none(), "{}", seed_000.transcript());
    assert_eq!((witness.read(PATH_000), witness.read(PATH_003)), (None, None), "nobody is master there, for ever");
}

#[test]
fn seed_003_goes_on_working_while_it_is_cut_off() {
    const THEIRS: &str = "/seed-003-cut-off";
    const OURS: &str = "/ours-cut-off";
    let ensemble = one_server();
    let (their_relay, our_relay) = (Relay::start(ensemble.addr(0)), Relay::start(ensemble.addr(0)));
    let theirs = run("003", &their_relay.host(), THEIRS, "10.0.0.1", SHORT_MS);
    let ours = Candidate::stand_for(&our_relay.host(), SHORT_MS, OURS, "10.0.0.1");
    theirs.expect_text(SOON, "becase master");
    ours.becomes_master();
    let next = TestHandle::open(&ensemble.hosts());
    let next = [next.stand(THEIRS, "next"), next.stand(OURS, "next")];
    next[0].becomes_slave_of("10.0.0.1\0");
    next[1].becomes_slave_of("10.0.0.1");
    their_relay.blackhole(true);
    our_relay.blackhole(true);
    for candidate in &next {
        candidate.becomes_master();
    }
    assert!(!ours.is_master());
    // Two of them at work.
    let already_said = theirs.lines().len();
    eventually(SOON, "it works on", || theirs.lines()[already_said..].iter().any(|line| line.text == "do_work"));
    assert!(next[0].is_master());
}

#[test]
fn seed_004_misses_the_second_failover() {
    const THEIRS: &str = "/seed-004-second";
    const OURS: &str = "/ours-second";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    let (their_relay, our_relay) = (Relay::start(ensemble.addr(0)), Relay::start(ensemble.addr(0)));
    let both = [(&their_relay, THEIRS), (&our_relay, OURS)];
    both.iter().for_each(|(_, path)| witness.create(path, b"first", CreateMode::Ephemeral));
    let theirs = run("004", &their_relay.host(), THEIRS, "10.0.0.1", LONG_MS);
    let ours = Candidate::stand(&our_relay.host(), OURS, "10.0.0.1");
    theirs.expect_text(SOON, "watch result, 0");
    ours.becomes_slave_of("first");
    for (relay, path) in both {
        relay.strike_once(Verdict::Hold, is(opcode::CREATE, path));
        witness.delete(path);
        wait_held(relay);
        witness.create(path, b"second", CreateMode::Ephemeral);
        relay.release();
    }
    theirs.expect_text(SOON, "elect master failure");
    ours.becomes_slave_of("second");
    both.iter().for_each(|(_, path)| witness.delete(path));
    ours.becomes_master();
    never_says(&theirs, "elect master success!");
    assert_eq!(witness.read(THEIRS), None);
}

#[test]
fn seed_004_does_its_job_twice_when_its_session_expires() {
    const THEIRS: &str = "/seed-004-expires";
    const OURS: &str = "/ours-job-expires";
    let ensemble = one_server();
    let relays = [THEIRS, OURS].map(|_| Relay::start(ensemble.addr(0)));
    let theirs = run("004", &relays[0].host(), THEIRS, "10.0.0.1", LONG_MS);
    let ours = Candidate::stand(&relays[1].host(), OURS, "10.0.0.1");
    theirs.expect_text(SOON, "elect master success!");
    ours.becomes_master();
    let next = TestHandle::open(&ensemble.hosts());
    let next = [next.stand(THEIRS, "next"), next.stand(OURS, "next")];
    for candidate in &next {
        candidate.becomes_slave_of("10.0.0.1");
    }
    for relay in &relays {
        expire(&ensemble, relay);
    }
    for candidate in &next {
        candidate.becomes_master();
    }
    theirs.expect_text(SOON, "zookeeper session expired!");
    theirs.expect_text(SOON, "do some job on master");
    ours.check_slave(&ours.expires(), "next");
    assert!(!ours.is_master() && next[1].is_master());
}

/// A watch is armed by a read that finds something, and dies with the session.
#[test]
fn seed_001_observes_nothing_that_comes_later_or_after_the_session() {
    const LATER: &str = "/seed-001-later";
    const THERE: &str = "/seed-001-there";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    let relays = [(); 2].map(|()| Relay::start(ensemble.addr(0)));
    witness.create(THERE, b"one", CreateMode::Ephemeral);
    let later = run("001", &ensemble.hosts(), LATER, "-", LONG_MS);
    let there = run("001", &relays[0].host(), THERE, "-", LONG_MS);
    let ours = TestHandle::open(&relays[1].host());
    let (our_later, our_there) = (ours.observe(LATER), ours.observe(THERE));
    later.expect_text(SOON, "rc=-101");
    there.expect_text(SOON, "data[one]");
    our_later.sees_nobody(-101);
    our_there.sees("one");

    // It takes a session's event for the znode's, and reads a path that is none.
    relays[0].cut_all();
    there.expect_text(SOON, "call watch cb path[]");
    there.expect_text(SOON, "zookeeper wget error");

    for relay in &relays {
        eventually(SOON, "it is connected", || relay.open_count() == 1);
        expire(&ensemble, relay);
    }
    there.expect_text(SOON, "zookeeper session expired!");
    our_there.expires().unwrap();
    our_later.expires().unwrap_err();
    witness.create(LATER, b"at last", CreateMode::Ephemeral);
    witness.set(THERE, b"two");
    our_later.sees("at last");
    our_there.sees("two");
    never_says(&there, "data[two]");
    assert!(later.wait_for_text(Duration::ZERO, "at last").is_none(), "{}", later.transcript());
}

#[test]
fn seeds_and_ours_are_one_group() {
    const PATH: &str = "/mixed";
    let ensemble = one_server();
    let seed = |name: &str, value: &str| run(name, &ensemble.hosts(), PATH, value, SHORT_MS);
    let padded = |value: &'static str| move |znode: &[u8]| znode.len() == 15 && znode.starts_with(value.as_bytes());
    let handle = TestHandle::open(&ensemble.hosts());
    let observer = Observer::watch(&ensemble.hosts(), PATH);
    observer.sees_nobody(-101);

    // They lead, we follow.
    let first = seed("000", "10.0.0.1");
    first.expect_text(SOON, "Become master");
    let ours = handle.stand(PATH, "10.0.0.2");
    let event = ours.ear.next().news;
    assert_eq!((event.role, event.rc), (Role::Slave, -110));
    assert!(padded("10.0.0.1\0")(&event.value));
    observer.sees(&event.value);

    // They go, we take over.
    first.write_line("").unwrap();
    let token = ours.becomes_master();
    assert!(token > event.token);
    observer.sees_next("10.0.0.2");

    // We lead, they follow, one of each kind.
    let second = seed("000", "10.0.0.3");
    second.expect_text(SOON, "Become slave, keep watch");
    second.expect_text(SOON, "get master ip :10.0.0.2");

    // We go, they take over.
    ours.resign();
    second.expect_text(SOON, "Become master");
    ours.has_resigned();
    let again = handle.stand(PATH, "10.0.0.4");
    let event = again.ear.next().news;
    assert_eq!(event.role, Role::Slave);
    assert!(padded("10.0.0.3\0")(&event.value) && event.token > token);
    observer.sees_next(&event.value);

    // They die, we take over when their session expires.
    second.kill9();
    let token = again.becomes_master();
    assert!(token > event.token);
    observer.sees_next("10.0.0.4");

    // The same with seeds 004 and 003.
    let third = seed("004", "10.0.0.5");
    third.expect_text(SOON, "elect master failure");
    third.expect_text(SOON, "watch result, 0");
    again.resign();
    third.expect_text(SOON, "elect master success!");
    again.has_resigned();
    let fourth = seed("003", "10.0.0.6");
    fourth.expect_text(SOON, "failed: (-110)");
    third.write_line("").unwrap();
    fourth.expect_text(SOON, "becase master");
    let last = handle.stand(PATH, "10.0.0.7");
    assert!(last.becomes_slave_of("10.0.0.6\0") > token);
    fourth.write_line("").unwrap();
    last.becomes_master();
}
