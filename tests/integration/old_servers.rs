//! Servers that do not know a request that the library would like to make. They answer -6 and close the connection, as ZooKeeper does,
//! or close it without a word, as ClickHouse Keeper does. A relay makes a request unknown to the server of today.

#![cfg_attr(feature = "own-session", allow(dead_code, unused_imports))]

use crate::candidates::{options, Candidate, TestHandle};
use crate::ground::{one_server, A_MOMENT, LONG_MS, SOON};
use crate::witness::Witness;
use election::{Dialect, Reason, Recipe, Role};
use std::time::Duration;
use testkit::{eventually, opcode, Relay, Request, Verdict};
use zookeeper::CreateMode;

const SERVER_TOO_OLD: i32 = -1063;
const CREATE_NOT_ANSWERED: i32 = -1064;

fn without(relay: &Relay, unknown: i32, verdict: Verdict) {
    relay.set_rule(move |request: &Request| match request.opcode == unknown {
        true => verdict,
        false => Verdict::Forward,
    });
}

/// Before 3.6 no server says whose ephemerals these are: asked once, and never again in that session.
#[cfg(not(feature = "own-session"))]
#[test]
fn a_reconnect_to_a_server_that_does_not_list_ephemerals_keeps_the_mastership() {
    let ensemble = one_server();
    for recipe in [Recipe::Node, Recipe::Queue(Dialect::default())] {
        let path = format!("/old-{}", recipe == Recipe::Node);
        let relay = Relay::start(ensemble.addr(0));
        without(&relay, opcode::GET_EPHEMERALS, Verdict::AsUnknown);
        let mut options = options(LONG_MS);
        options.set_recipe(recipe);
        let master = TestHandle::open_with(&relay.host(), &options).stand(&path, "mine");
        let token = master.becomes_master();
        let session = relay.session().expect("a session").id;
        let interrogation = master.interrogate();
        for round in 1..=3 {
            let proofs = relay.count(opcode::MULTI);
            relay.cut_all();
            eventually(SOON, "a proof on a new connection", || relay.count(opcode::MULTI) > proofs + 1);
            // The answer may be lost: the server resets a connection on which something is left to be read.
            let asked = relay.count(opcode::GET_EPHEMERALS);
            assert!((1..=2).contains(&asked), "round {round}: asked {asked} times");
        }
        let asked = relay.count(opcode::GET_EPHEMERALS);
        let requests = || relay.requests().iter().map(|it| (it.connection_number, it.opcode)).collect::<Vec<_>>();
        // One for each cut and each question; a question that is lost with its connection may cost one more.
        let connections = relay.connection_count();
        assert!((4 + asked..=4 + 2 * asked).contains(&connections), "{connections} connections: {:?}", requests());
        assert_eq!(relay.session().expect("a session").id, session);
        master.ear.hears_nothing_for(A_MOMENT);
        interrogation.end().are_always_yes(token);
    }
}

/// Containers are newer than all else that is needed.
#[test]
fn parents_are_persistent_where_there_are_no_containers() {
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    let relay = Relay::start(ensemble.addr(0));
    without(&relay, opcode::CREATE_CONTAINER, Verdict::AsUnknown);
    let master = Candidate::stand(&relay.host(), "/old-parents/a/b", "mine");
    // The connection breaks once, and with it the candidate's view.
    let event = master.next_but_for(&[Reason::Suspended]);
    master.check_master(&event);
    let asked = relay.count(opcode::CREATE_CONTAINER);
    assert!((1..=3).contains(&asked), "asked {asked} times: an answer may be lost with its connection");
    // A container would be deleted soon.
    master.resign();
    master.has_resigned();
    eventually(SOON, "it has left", || witness.read("/old-parents/a/b").is_none());
    std::thread::sleep(A_MOMENT * 2);
    assert!(witness.read("/old-parents/a").is_some());
}

/// ZooKeeper 3.4 does not know create2.
#[cfg(not(feature = "own-session"))]
#[test]
fn a_server_that_does_not_know_create2_is_named_as_too_old() {
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    for recipe in [Recipe::Node, Recipe::Queue(Dialect::default())] {
        let relay = Relay::start(ensemble.addr(0));
        without(&relay, opcode::CREATE2, Verdict::AsUnknown);
        let mut options = options(LONG_MS);
        options.set_recipe(recipe);
        let path = format!("/too-old-{}", relay.addr().ip());
        witness.create(&path, b"", CreateMode::Persistent);
        let candidate = TestHandle::open_with(&relay.host(), &options).stand(&format!("{path}/one"), "mine");
        let event = candidate.next_but_for(&[Reason::Suspended]);
        assert_eq!((event.reason, event.rc), (Reason::Denied, SERVER_TOO_OLD));
        candidate.ear.hears_no_more();
        let asked = relay.count(opcode::CREATE2);
        assert!((1..=3).contains(&asked), "asked {asked} times: an answer may be lost with its connection");
        assert!(
            election::Error::ZooKeeper(SERVER_TOO_OLD).to_string().contains("3.5"),
            "the error names the version"
        );
    }
}

/// ZooKeeper 3.4 does not know create2, and ClickHouse Keeper closes the connection without an answer. Both are served by
/// the old create, after a connection or two.
#[cfg(feature = "own-session")]
#[test]
fn a_server_without_create2_is_served() {
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    for verdict in [Verdict::AsUnknown, Verdict::Cut] {
        for recipe in [Recipe::Node, Recipe::Queue(Dialect::default())] {
            let relay = Relay::start(ensemble.addr(0));
            without(&relay, opcode::CREATE2, verdict);
            let mut options = options(LONG_MS);
            options.set_recipe(recipe);
            let path = format!("/without-create2-{}", relay.addr().ip());
            witness.create(&path, b"", CreateMode::Persistent);
            let candidate = TestHandle::open_with(&relay.host(), &options).stand(&format!("{path}/one"), "mine");
            let event = candidate.next_but_for(&[Reason::Suspended]);
            candidate.check_master(&event);
            let (asked, connections) = (relay.count(opcode::CREATE2), relay.connection_count());
            assert!((1..=3).contains(&asked) && connections <= 5, "asked {asked} times, {connections} connections");
        }
    }
}

/// ClickHouse Keeper closes the connection without an answer. That is no proof, so it is tried on, less and less often; the
/// number says what it may be.
#[cfg(not(feature = "own-session"))]
#[test]
fn a_server_that_never_answers_a_create_is_told_of_and_tried_slowly() {
    let ensemble = one_server();
    for recipe in [Recipe::Node, Recipe::Queue(Dialect::default())] {
        let path = format!("/unanswered-{}", recipe == Recipe::Node);
        let relay = Relay::start(ensemble.addr(0));
        Witness::new(&ensemble.host(0)).create(&path, b"", CreateMode::Persistent);
        without(&relay, opcode::CREATE2, Verdict::Cut);
        let mut options = options(LONG_MS);
        options.set_recipe(recipe);
        let candidate = TestHandle::open_with(&relay.host(), &options).stand(&format!("{path}/one"), "mine");
        loop {
            let event = candidate.ear.next().news;
            assert_eq!((event.role, event.reason), (Role::Unknown, Reason::Suspended), "{event:?}");
            if event.rc == CREATE_NOT_ANSWERED {
                break;
            }
        }
        let before = relay.connection_count();
        std::thread::sleep(Duration::from_secs(3));
        let attempts = relay.connection_count() - before;
        assert!(
            before < 20 && attempts <= 3,
            "{before} connections until it was told, {attempts} in 3 s after that"
        );
        // Once creates are answered, all is well.
        relay.clear_rule();
        let event = candidate.next_but_for(&[Reason::Suspended]);
        candidate.check_master(&event);
    }
}
