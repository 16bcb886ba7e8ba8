//! Servers that do not know a request that the library would like to make. They answer -6 and close the connection, as ZooKeeper does,
//! or close it without a word, as ClickHouse Keeper does. A relay makes a request unknown to the server of today.

use crate::candidates::{options, Candidate, TestHandle};
use crate::ground::{one_server, A_MOMENT, LONG_MS, SOON};
use crate::witness::Witness;
use election::{Dialect, Reason, Recipe};
use testkit::{eventually, opcode, Relay, Request, Verdict};
use zookeeper::CreateMode;

fn without(relay: &Relay, unknown: i32, verdict: Verdict) {
    relay.set_rule(move |request: &Request| match request.opcode == unknown {
        true => verdict,
        false => Verdict::Forward,
    });
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

/// ZooKeeper 3.4 does not know create2, and ClickHouse Keeper closes the connection without an answer. Both are served by
/// the old create, after a connection or two.
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
