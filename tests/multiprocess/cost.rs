//! What the servers are asked for: at a handover, for the lease, and by those who only wait.
//!
//! Every candidate reaches the server through a relay, which sees each request. Where a handover is counted, the session timeout is
//! an hour, so that no ping, no proof for a lease and no touch of those who wait falls into the time in question but those that the
//! handover itself causes; nothing has to be told apart, and the server's own count of packets (`srvr`) must agree.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use election::{Dialect, LeaseMode, Reason, Recipe};
use testkit::{eventually, opcode, wait_until, Ensemble, RawClient, Relay};

use crate::candidate::{options, Candidate};
use crate::{witness, SOON};

const HOUR_MS: u32 = 3_600_000;

/// After so long the library reads again what it watches.
const REFRESH: Duration = Duration::from_secs(30);
const QUEUE: Recipe = Recipe::Queue(Dialect::CuratorLatch);

fn number_after(text: &str, key: &str) -> i64 {
    let found = text.split_once(key).and_then(|(_, rest)| rest.split_whitespace().next());
    found.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("no \"{key}\" in\n{text}"))
}

fn name(opcode: i32) -> &'static str {
    match opcode {
        opcode::CREATE_SESSION => "connect",
        opcode::DELETE => "delete",
        opcode::EXISTS => "exists",
        opcode::GET_DATA => "getData",
        opcode::GET_CHILDREN | opcode::GET_CHILDREN2 => "getChildren",
        opcode::MULTI => "multi",
        opcode::PING => "ping",
        opcode::CREATE | opcode::CREATE2 => "create",
        opcode::CREATE_CONTAINER => "createContainer",
        _ => "other",
    }
}

#[test]
fn a_handover_costs_five_packets_with_3_candidates() {
    handover(3);
}

#[test]
fn a_handover_costs_five_packets_with_100_candidates() {
    handover(100);
}

/// Many threads and many connections: not in the ordinary run. `cargo test --release --test multiprocess -- --ignored`
#[test]
#[ignore = "a thousand sessions: make test-long"]
fn a_handover_costs_five_packets_with_1000_candidates() {
    handover(1000);
}

fn handover(candidates: usize) {
    let ensemble = Ensemble::builder(1).max_session_timeout_ms(HOUR_MS).start();
    let relay = Relay::start(ensemble.addr(0));
    let options = options(u64::from(HOUR_MS), QUEUE);
    let began = Instant::now();
    let mut queue = Vec::new();
    for i in 0..candidates {
        let candidate = Candidate::stand(&relay.host(), "/handover", &i.to_string(), &options);
        match i {
            0 => candidate.wait_reason(Reason::Elected),
            // One after the other, so that who is next is known.
            _ => candidate.wait_reason(Reason::Following),
        }
        queue.push(candidate);
    }
    let watches = || number_after(&ensemble.four_letter(0, "wchs"), "Total watches:");
    // Each has one on its own znode, and each but the first one on the one before it. The last ones are still being left.
    let without_observer = 2 * candidates as i64 - 1;
    eventually(SOON, "all watch", || watches() == without_observer);
    // An observer, counted for itself.
    let to_observer = Relay::start(ensemble.addr(0));
    let observer = election::Handle::open(&to_observer.host(), &options).expect("a handle");
    let (sender, masters) = std::sync::mpsc::channel();
    observer
        .watch_master("/handover", move |master| {
            let _ = sender.send(master.value.to_vec());
        })
        .expect("a place to watch from");
    let wait_seen = |master: usize| {
        let expected = master.to_string().into_bytes();
        while masters.recv_timeout(SOON).expect("the observer is told") != expected {}
    };
    wait_seen(0);
    assert_eq!(watches(), without_observer + 1, "an observer of the queue watches one znode");

    // Nobody has reason to ask for anything now. The four-letter word is a packet itself.
    let settle = || {
        let mut former = usize::MAX;
        eventually(SOON, "the requests come to an end", || {
            let count = relay.requests().len() + to_observer.requests().len();
            std::thread::sleep(Duration::from_millis(50));
            std::mem::replace(&mut former, count) == count
        });
    };
    let received = || number_after(&ensemble.four_letter(0, "srvr"), "Received:");
    settle();
    let mut packets = Vec::new();
    let mut took = Vec::new();
    for next in 1..candidates.min(4) {
        relay.clear_requests();
        to_observer.clear_requests();
        let before = received();
        let resigned = Instant::now();
        queue[next - 1].handle.resign("/handover").expect("it stood");
        queue[next].wait_master();
        took.push(resigned.elapsed());
        wait_seen(next);
        settle();
        let of_queue: Vec<&str> = relay.requests().iter().map(|request| name(request.opcode)).collect();
        let of_observer: Vec<&str> = to_observer.requests().iter().map(|request| name(request.opcode)).collect();
        let counted = received() - before - 1;
        assert_eq!(
            counted as usize,
            of_queue.len() + of_observer.len(),
            "by the server: {of_queue:?} {of_observer:?}"
        );
        // The deletion, the new master's list, the next one's list and value, and a watch of the one behind it.
        assert!(of_queue.len() <= 5, "{of_queue:?}");
        packets.push(format!("{} (observer: {})", of_queue.join(", "), of_observer.join(", ")));
        let left = 2 * (candidates - next) as i64 - 1;
        assert_eq!(watches(), left + 1, "{next} handovers later, with the observer's");
    }
    assert!(began.elapsed() < REFRESH, "no watch was read again in the time in question");
    println!(
        "{candidates} candidates: for each handover the server receives {packets:?}; they took {took:?}; {without_observer} \
         watches, and one more with an observer"
    );
}

/// How many znodes with such a path a transaction names.
fn checks_in(body: &[u8], prefix: &str) -> usize {
    body.windows(prefix.len()).filter(|bytes| *bytes == prefix.as_bytes()).count()
}

fn writes(relay: &Relay) -> Vec<i32> {
    let writes = [
        opcode::CREATE,
        opcode::CREATE2,
        opcode::CREATE_CONTAINER,
        opcode::DELETE,
        opcode::SET_DATA,
        opcode::MULTI,
    ];
    relay.requests().iter().map(|request| request.opcode).filter(|opcode| writes.contains(opcode)).collect()
}

const TIMEOUT_MS: u64 = 4_000;
const WINDOW: Duration = Duration::from_secs(8);
const ELECTIONS: usize = 200;

#[test]
fn one_proof_for_all_elections_of_a_session_and_no_write_in_the_node_recipe_of_those_who_wait() {
    let ensemble = Ensemble::start(1);
    for recipe in [Recipe::Node, QUEUE] {
        let (to_master, to_slave) = (Relay::start(ensemble.addr(0)), Relay::start(ensemble.addr(0)));
        let options = options(TIMEOUT_MS, recipe);
        let path = |i: usize| format!("/economy-{}/e{i:03}", recipe == Recipe::Node);
        let master = election::Handle::open(&to_master.host(), &options).expect("a handle");
        let slave = election::Handle::open(&to_slave.host(), &options).expect("a handle");
        for i in 0..ELECTIONS {
            master.go_to_election(&path(i), b"master", |_| {}).expect("a place");
        }
        eventually(SOON, "master of all", || (0..ELECTIONS).all(|i| master.is_master(&path(i))));
        let (sender, told) = std::sync::mpsc::channel();
        for i in 0..ELECTIONS {
            let sender = sender.clone();
            let on_role = move |event: &election::Event| {
                let _ = sender.send((i, event.reason));
            };
            slave.go_to_election(&path(i), b"slave", on_role).expect("a place");
        }
        let mut following = BTreeSet::new();
        while following.len() < ELECTIONS {
            let (i, reason) = told.recv_timeout(SOON).expect("all are told");
            assert_eq!(reason, Reason::Following);
            following.insert(i);
        }
        // What remains is keeping: measured over two session timeouts.
        std::thread::sleep(Duration::from_millis(200));
        to_master.clear_requests();
        to_slave.clear_requests();
        let began = Instant::now();
        let mut asked = 0;
        while began.elapsed() < WINDOW {
            assert!((0..ELECTIONS).all(|i| master.is_master(&path(i))), "master of all, all the while");
            asked += ELECTIONS;
            std::thread::sleep(Duration::from_millis(10));
        }
        let (of_master, of_slave) = (to_master.requests(), to_slave.requests());
        let proofs: Vec<_> = of_master.iter().filter(|request| request.opcode == opcode::MULTI).collect();
        let timeouts = WINDOW.as_millis() as i64 / TIMEOUT_MS as i64;
        let most = 8 * timeouts as usize + 1;
        assert!(proofs.len() <= most && proofs.len() >= most / 2, "{} proofs in {WINDOW:?}", proofs.len());
        assert_eq!(writes(&to_master).len(), proofs.len(), "and no other write");
        let of_the_next = writes(&to_slave);
        match recipe {
            Recipe::Node => assert_eq!(of_the_next, [0; 0], "no write of those who wait"),
            // It is next at all paths, and keeps a lease of its own.
            _ => {
                assert!(of_the_next.iter().all(|write| *write == opcode::MULTI), "{of_the_next:?}");
                assert!(of_the_next.len() <= most, "{} proofs of the next in {WINDOW:?}", of_the_next.len());
            }
        }
        let sizes: Vec<usize> = proofs.iter().map(|proof| checks_in(&proof.body, "/economy-")).collect();
        assert!(sizes.iter().all(|&checks| (1..=64).contains(&checks)), "{sizes:?}");
        println!(
            "{recipe:?}, {ELECTIONS} elections on one session of {TIMEOUT_MS} ms, {WINDOW:?}: {} proofs with {} checks at \
             most ({} bytes), {} requests in all; of the slave {} requests, {} of them proofs; {asked} times asked, \
             always yes",
            proofs.len(),
            sizes.iter().max().expect("proofs"),
            proofs.iter().map(|proof| proof.body.len()).max().expect("proofs"),
            of_master.len(),
            of_slave.len(),
            of_the_next.len(),
        );
    }
}

#[test]
fn the_weaker_grade_writes_nothing() {
    let ensemble = Ensemble::start(1);
    let relay = Relay::start(ensemble.addr(0));
    let mut options = options(2_000, QUEUE);
    options.set_lease_mode(LeaseMode::Answered);
    let master = Candidate::stand(&relay.host(), "/answered", "x", &options);
    master.wait_master();
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(4) {
        assert!(master.is_master(), "{:?}", master.heard());
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(relay.count(opcode::MULTI), 0);
    println!("grade ANSWERED: master for two session timeouts with {} requests, no multi", relay.requests().len());
}

/// Two hundred contenders of kazoo join the queue of three of ours, and leave it again. What the servers are asked for by ours does
/// not grow with those who join, nor with those who leave in the order of the queue. If they leave from its end, each of ours
/// looks twice for each that leaves: for the list, and for the one that is the last then.
#[test]
fn a_queue_full_of_foreign_contenders_costs_a_bounded_number_of_requests() {
    const PATH: &str = "/full-of-foreign";
    const FOREIGN: usize = 200;
    const OURS: usize = 3;
    let ensemble = Ensemble::builder(1).max_session_timeout_ms(HOUR_MS).start();
    let options = options(u64::from(HOUR_MS), QUEUE);
    let relays = [(); OURS].map(|()| Relay::start(ensemble.addr(0)));
    let mut ours = Vec::new();
    for (i, relay) in relays.iter().enumerate() {
        let candidate = Candidate::stand(&relay.host(), PATH, &i.to_string(), &options);
        candidate.wait_reason(if i == 0 { Reason::Elected } else { Reason::Following });
        ours.push(candidate);
    }
    // How many requests each of ours has sent since this was asked for the last time, once there are no more.
    let spent = || {
        let count = || relays.iter().map(|relay| relay.requests().len()).collect::<Vec<_>>();
        let mut former = count();
        eventually(SOON, "the requests come to an end", || {
            std::thread::sleep(Duration::from_millis(200));
            let now = count();
            std::mem::replace(&mut former, now.clone()) == now
        });
        relays.iter().for_each(Relay::clear_requests);
        former
    };
    let join = |client: &mut RawClient, i: usize| {
        let name = format!("{PATH}/{i:032x}__lock__");
        let reply = client.create(&name, b"kazoo", 3).expect("an answer");
        assert_eq!(reply.err, 0);
        String::from_utf8_lossy(&reply.body[4..]).into_owned()
    };
    let leave = |client: &mut RawClient, path: &str| assert_eq!(client.delete(path).expect("an answer").err, 0);
    let all_know = |ours: &[Candidate]| {
        let know = || ours.iter().all(|ours| ours.reason() == Some(Reason::ForeignContender));
        let heard = || ours.iter().map(Candidate::heard).collect::<Vec<_>>();
        assert!(wait_until(SOON, know), "{:?}", heard());
    };
    spent();

    let mut kazoo = witness(&ensemble, 0);
    let mut queue: Vec<String> = (0..FOREIGN).map(|i| join(&mut kazoo, i)).collect();
    all_know(&ours);
    let joined = spent();
    assert!(ours.iter().all(|ours| !ours.is_master()));
    let queue_of = |watcher: &mut RawClient| watcher.children(PATH).expect("an answer");
    assert_eq!(queue_of(&mut kazoo).len(), FOREIGN, "none of ours stands in their way");
    println!("{FOREIGN} foreign contenders join {OURS} of ours: {joined:?} requests");
    assert!(joined.iter().all(|requests| *requests <= 30), "{joined:?}");

    // In the order in which they lead. Ours wait for the first one that they met, and then for the last one.
    for path in queue.drain(..FOREIGN / 2) {
        leave(&mut kazoo, &path);
    }
    let led = spent();
    println!("{} of them lead and leave: {led:?} requests", FOREIGN / 2);
    assert!(led.iter().all(|requests| *requests <= 4), "{led:?}");

    // From the end: whoever waits for the last one looks for the next one.
    while queue.len() > 1 {
        let path = queue.pop().expect("there is one");
        leave(&mut kazoo, &path);
    }
    let from_the_end = spent();
    println!("{} of them leave from the end: {from_the_end:?} requests", FOREIGN / 2 - 1);
    assert!(from_the_end.iter().all(|requests| *requests <= FOREIGN), "{from_the_end:?}");

    // As long as one is left, and no longer.
    assert!(ours.iter().all(|ours| ours.reason() == Some(Reason::ForeignContender)));
    kazoo.close_session().expect("an answer");
    eventually(SOON, "one of ours leads", || ours.iter().filter(|ours| ours.is_master()).count() == 1);
    println!("the last one leaves: {:?} requests", spent());
}
