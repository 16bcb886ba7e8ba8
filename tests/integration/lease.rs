//! Until when a master believes, on servers that die, freeze and come back, and what it costs them.

use crate::candidates::{options, Answers, Candidate, TestHandle};
use crate::ground::{one_server, AT_ONCE, A_MOMENT, LONG_MS, SOON};
use crate::pace::Pace;
use crate::relays::{count, expire, leaves_watch, proofs};
use crate::witness::Witness;
use election::{Dialect, Event, LeaseMode, Mastership, Options, Reason, Recipe, Role};
use std::collections::BTreeSet;
use std::sync::mpsc::{channel, Receiver};
use std::time::{Duration, Instant};
use testkit::{eventually, opcode, Ensemble, Relay, Verdict};

/// Long enough that a busy machine neither breaks a connection nor eats up a lease, short enough to be waited for.
const TIMEOUT_MS: u64 = 4_000;
const TIMEOUT: Duration = Duration::from_millis(TIMEOUT_MS);

/// Of the ensembles that tests start.
const TICK: Duration = Duration::from_millis(500);

/// When the lease of a master ends, as it is now.
#[track_caller]
pub fn lease_end(master: &Candidate) -> Instant {
    let asked_at = Instant::now();
    asked_at + master.lease().expect("it is master").left
}

/// Waits until the lease of one who has just become master no longer counts from the opening of the session, but from a
/// request that was sent well before a proof. Then it is never longer than three quarters of the session timeout.
#[track_caller]
pub fn wait_for_proofs(master: &Candidate, timeout: Duration) {
    let first = lease_end(master);
    eventually(SOON, "the lease counts from a proof", || lease_end(master) > first + timeout / 16);
}

/// For a break that is longer than a lease and shorter than a session, and leaves time to come back in between: the client's
/// attempts come at ever longer distances.
fn short_leases() -> Options {
    let mut options = options(LONG_MS);
    options.set_lease_margin(Duration::from_millis(LONG_MS / 4)).unwrap();
    options
}

/// Whether a lease lasts until another server has proved the next one is a race with the clock, which a machine that stands
/// still for long enough loses. Then it has shown nothing, and it is run again.
#[test]
fn a_killed_or_frozen_server_of_three_costs_no_mastership() {
    let slowest: Vec<Duration> =
        (0..4).map_while(|_| a_server_of_three_is_killed_and_one_is_frozen().err()).collect();
    assert!(slowest.len() < 4, "a raw write took {slowest:?}");
}

/// Fails with what a raw write took, when that was so long that a mastership may be lost by it.
fn a_server_of_three_is_killed_and_one_is_frozen() -> Result<(), Duration> {
    const PATH: &str = "/lease-server-lost";
    let timeout = Duration::from_millis(LONG_MS);
    let ensemble = Ensemble::start(3);
    // Without its leader the ensemble serves nobody for a while; what that costs depends on its configuration.
    let leader = ensemble.wait_leader();
    let followers: Vec<usize> = (0..3).filter(|&i| i != leader).collect();
    let hosts = format!("{},{}", ensemble.host(followers[0]), ensemble.host(followers[1]));
    let witness = Witness::new(&ensemble.host(leader));
    // With the tick told. Else an eighth of the timeout is left when the frozen server is noticed (docs/guarantees.md).
    let mut options = options(LONG_MS);
    options.set_tick(TICK).unwrap();
    let master = TestHandle::open_with(&hosts, &options).stand(PATH, "mine");
    let token = master.becomes_master();
    let session = witness.wait_for(PATH, |_| true).owner;
    let server = || ensemble.server_of_session(session);
    let pace = Pace::watch(&ensemble.host(leader));
    let interrogation = master.interrogate();

    let goes_on = |lost: usize, former_end: Instant| {
        eventually(SOON, "the master is connected to another server", || server().is_some_and(|now| now != lost));
        // As long as only the former lease holds, nothing is shown.
        eventually(SOON, "it has a new lease", || {
            let asked_at = Instant::now();
            master.lease().is_none_or(|now| asked_at + now.left > former_end + timeout / 4)
        });
    };
    let connected = server().expect("it is connected");
    let end = lease_end(&master);
    ensemble.kill9(connected);
    goes_on(connected, end);
    ensemble.start_server(connected);
    ensemble.wait_all_serving();

    let connected = server().expect("it is connected");
    let end = lease_end(&master);
    ensemble.freeze(connected);
    goes_on(connected, end);
    ensemble.thaw(connected);

    std::thread::sleep(A_MOMENT);
    let (answers, slowest) = (interrogation.end(), pace.slowest());
    // A silent server is left after a third of the timeout. In the third that is left of the lease come a connection, a
    // session that is resumed, and a proof.
    if slowest * 5 > timeout / 10 {
        return Err(slowest);
    }
    master.ear.hears_nothing_for(Duration::ZERO);
    answers.are_always_yes(token);
    assert!(answers.longest_left < timeout, "{answers:?}");
    assert_eq!(witness.read(PATH).map(|znode| (znode.czxid, znode.owner)), Some((token, session)));
    Ok(())
}

#[test]
fn without_any_server_a_master_believes_until_its_lease_is_over() {
    const PATH: &str = "/lease-servers-lost";
    let ensemble = Ensemble::start(3);
    let master = Candidate::stand_for(&ensemble.hosts(), TIMEOUT_MS, PATH, "mine");
    let mut token = master.becomes_master();
    let freeze: fn(&Ensemble) = |ensemble| (0..3).for_each(|i| ensemble.freeze(i));
    let thaw: fn(&Ensemble) = |ensemble| (0..3).for_each(|i| ensemble.thaw(i));
    let kill: fn(&Ensemble) = |ensemble| (0..3).for_each(|i| ensemble.kill9(i));
    let start: fn(&Ensemble) = |ensemble| ensemble.start_all();
    for (leave, come_back) in [(freeze, thaw), (kill, start)] {
        wait_for_proofs(&master, TIMEOUT);
        let interrogation = master.interrogate();
        let leaving = Instant::now();
        leave(&ensemble);
        // No proof that was sent later can have been committed.
        let gone = Instant::now();
        let lapsed = master.lapses();
        assert!(lapsed < gone + TIMEOUT, "{:?}", lapsed - gone);
        // Nobody answers, so nothing can make it master again.
        std::thread::sleep((gone + TIMEOUT).saturating_duration_since(Instant::now()));
        let answers = interrogation.end();
        answers.are_no_after(gone + TIMEOUT * 3 / 4, token);
        let first_no = answers.first_no.expect("it is no master");
        assert!(first_no > leaving + TIMEOUT / 4, "as soon as {:?}", first_no - leaving);
        assert!(first_no < lapsed + AT_ONCE);

        come_back(&ensemble);
        let event = master.next_but_for(&[Reason::Suspended, Reason::Expired]);
        // Its former session may have come back with the servers.
        let event = match event.role {
            Role::Slave => master.next_but_for(&[Reason::Suspended, Reason::Expired]),
            _ => event,
        };
        let next_token = master.check_master(&event);
        assert!(next_token > token, "another mastership");
        token = next_token;
        ensemble.wait_all_serving();
    }
}

/// The session lives on and the znode stands, and yet that mastership is over: somebody has been told so.
#[test]
fn a_lapse_is_final_although_the_session_lives_on() {
    const PATH: &str = "/lease-lapse-is-final";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    let relay = Relay::start(ensemble.addr(0));
    let master = TestHandle::open_with(&relay.host(), &short_leases()).stand(PATH, "mine");
    let token = master.becomes_master();
    wait_for_proofs(&master, Duration::from_millis(LONG_MS));
    let former = witness.read(PATH).unwrap();
    relay.refuse(true);
    relay.cut_all();
    master.lapses();
    assert!(!master.is_master());
    assert_eq!(witness.read(PATH), Some(former.clone()), "nobody could delete it so far");
    relay.refuse(false);
    let next_token = master.check_master(&master.next_but_for(&[Reason::Suspended]));
    assert!(next_token > token);
    let znode = witness.read(PATH).unwrap();
    assert_eq!((znode.czxid, znode.owner), (next_token, former.owner), "the same session");
    assert_eq!(count(&relay, opcode::DELETE, PATH), 1);
}

/// The same in a queue, where the next one has waited.
#[test]
fn whoever_lapses_in_a_queue_goes_to_its_end() {
    const PATH: &str = "/lease-lapse-in-queue";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    let relay = Relay::start(ensemble.addr(0));
    let mut options = short_leases();
    options.set_recipe(Recipe::Queue(Dialect::default()));
    let former = TestHandle::open_with(&relay.host(), &options).stand(PATH, "former");
    let token = former.becomes_master();
    let next = TestHandle::open_in_queue(&ensemble.hosts(), LONG_MS, Dialect::default()).stand(PATH, "next");
    next.queues();
    let before = witness.children(PATH);
    let session = relay.session().unwrap().id;
    wait_for_proofs(&former, Duration::from_millis(LONG_MS));
    let interrogation = former.interrogate();
    relay.refuse(true);
    relay.cut_all();
    former.lapses();
    next.ear.hears_nothing_for(A_MOMENT);
    relay.refuse(false);
    let heard = next.ear.next();
    let next_token = next.check_master(&heard.news);
    assert!(next_token > token);
    let event = former.next_but_for(&[Reason::Suspended]);
    assert_eq!((event.role, event.reason), (Role::Slave, Reason::Following), "{event:?}");
    interrogation.end().are_no_after(heard.at, token);
    let after = witness.children(PATH);
    assert_eq!((after.len(), &after[0]), (2, &before[1]));
    assert_ne!(after[1], before[0]);
    assert_eq!(witness.read(&format!("{PATH}/{}", after[1])).unwrap().owner, session, "the same session");
}

/// What a role callback hears, and what `mastership` says inside it.
struct Inside {
    heard: Receiver<(Instant, Event, Option<Mastership>)>,
}

impl Inside {
    fn stand(handle: &TestHandle, path: &str) -> Inside {
        let (tell, heard) = channel();
        let (election, asked) = (handle.weak(), path.to_owned());
        let callback = move |event: &Event| {
            let mastership = election.upgrade().and_then(|election| election.lease(&asked));
            let _ = tell.send((Instant::now(), event.clone(), mastership));
        };
        handle.go_to_election(path, b"mine", callback).unwrap();
        Inside { heard }
    }

    #[track_caller]
    fn next(&self) -> (Instant, Event, Option<Mastership>) {
        self.heard.recv_timeout(SOON).expect("some news")
    }

    /// It hears that it is master, next but for that it cannot know, and has a lease then; when.
    #[track_caller]
    fn leads_with_a_lease(&self, timeout: Duration) -> Instant {
        let (at, event, mastership) = loop {
            let news = self.next();
            if news.1.role != Role::Unknown {
                break news;
            }
            assert_eq!(news.2, None);
        };
        assert_eq!(event.role, Role::Master, "{event:?}");
        let mastership = mastership.expect("there is no master without a lease");
        assert_eq!(mastership.token, event.token);
        assert!(!mastership.left.is_zero() && mastership.left < timeout, "{mastership:?}");
        at
    }
}

#[test]
fn a_new_master_has_its_lease_at_once() {
    let ensemble = one_server();
    let of_recipe = |recipe: Recipe| {
        let mut options = options(TIMEOUT_MS);
        options.set_recipe(recipe);
        options
    };
    let both = [("/lease-at-once-node", Recipe::Node), ("/lease-at-once-queue", Recipe::Queue(Dialect::default()))];
    let mut pairs = Vec::new();
    for (path, recipe) in both {
        // A session that was just opened.
        let began = Instant::now();
        let first = TestHandle::open_with(&ensemble.hosts(), &of_recipe(recipe));
        let at = Inside::stand(&first, path).leads_with_a_lease(TIMEOUT);
        assert!(at - began < AT_ONCE * 2, "{:?}", at - began);
        let second = TestHandle::open_with(&ensemble.hosts(), &of_recipe(recipe));
        let waits = Inside::stand(&second, path);
        let (_, event, mastership) = waits.next();
        assert_eq!((event.role, mastership), (Role::Slave, None));
        pairs.push((path, first, second, waits));
    }
    // One that is older than any lease that could count from its opening.
    std::thread::sleep(TIMEOUT * 5 / 4);
    for (path, first, _second, waits) in &pairs {
        let resigned = Instant::now();
        first.resign(path).unwrap();
        let took = waits.leads_with_a_lease(TIMEOUT) - resigned;
        assert!(took < AT_ONCE, "{path}: {took:?}");
    }
}

/// In the session that follows one that has expired, too.
#[test]
fn a_master_in_its_next_session_has_its_lease_at_once() {
    const PATH: &str = "/lease-next-session";
    let ensemble = one_server();
    let relay = Relay::start(ensemble.addr(0));
    let handle = TestHandle::open_for(&relay.host(), TIMEOUT_MS);
    let master = Inside::stand(&handle, PATH);
    master.leads_with_a_lease(TIMEOUT);
    let expired = Instant::now();
    expire(&ensemble, &relay);
    let took = master.leads_with_a_lease(TIMEOUT) - expired;
    assert!(took < TIMEOUT, "{took:?}");
}

#[test]
fn a_lease_is_shorter_than_the_session_timeout() {
    const MARGIN_MS: u64 = 500;
    let ensemble = one_server();
    let stand = |name: &str, set: fn(&mut Options)| {
        let mut options = options(TIMEOUT_MS);
        set(&mut options);
        let master =
            TestHandle::open_with(&ensemble.hosts(), &options).stand(&format!("/lease-left-{name}"), "mine");
        let from_the_beginning = master.interrogate();
        let token = master.becomes_master();
        (master, from_the_beginning, token)
    };
    let plain = stand("plain", |_| {});
    let margin = stand("margin", |options| options.set_lease_margin(Duration::from_millis(MARGIN_MS)).unwrap());
    let tick = stand("tick", |options| options.set_tick(Duration::from_millis(500)).unwrap());
    // Until no lease counts from the opening of the session, and then for one timeout.
    std::thread::sleep(TIMEOUT);
    let steady = [&plain, &margin, &tick].map(|(master, ..)| master.interrogate());
    std::thread::sleep(TIMEOUT);
    let [plain_answers, margin_answers, tick_answers] = steady.map(|interrogation| interrogation.end());
    for answers in [&plain_answers, &margin_answers, &tick_answers] {
        assert_eq!(answers.no, 0, "{answers:?}");
    }
    for ((_, from_the_beginning, token), off) in [(plain, 0), (margin, MARGIN_MS), (tick, 0)] {
        let answers: Answers = from_the_beginning.end();
        assert_eq!(answers.tokens, [token]);
        let limit = TIMEOUT * 99 / 100 - Duration::from_millis(off);
        assert!(answers.longest_left <= limit, "{answers:?}");
    }
    let margin = Duration::from_millis(MARGIN_MS);
    assert!(plain_answers.longest_left <= TIMEOUT * 3 / 4, "{plain_answers:?}");
    assert!(plain_answers.shortest_left.unwrap() > TIMEOUT / 4, "{plain_answers:?}");
    assert!(margin_answers.longest_left <= TIMEOUT * 3 / 4 - margin, "{margin_answers:?}");
    // By an eighth of the timeout, if the machine is not busy.
    let more = tick_answers.longest_left.saturating_sub(plain_answers.longest_left);
    assert!(more > TIMEOUT / 16, "{tick_answers:?} {plain_answers:?}");
}

#[test]
fn one_proof_serves_all_elections_of_a_session() {
    const HOW_MANY: usize = 200;
    const MOST_IN_ONE: usize = 64;
    let ensemble = one_server();
    let (relay, slave_relay) = (Relay::start(ensemble.addr(0)), Relay::start(ensemble.addr(0)));
    let (leads, follows) =
        (TestHandle::open_for(&relay.host(), TIMEOUT_MS), TestHandle::open_for(&slave_relay.host(), TIMEOUT_MS));
    let path = |i: usize| format!("/lease-of-many-{i}");
    let masters: Vec<Candidate> = (0..HOW_MANY).map(|i| leads.stand(&path(i), "mine")).collect();
    let tokens: Vec<i64> = masters.iter().map(Candidate::becomes_master).collect();
    let slaves: Vec<Candidate> = (0..HOW_MANY).map(|i| follows.stand(&path(i), "slave")).collect();
    for slave in &slaves {
        slave.becomes_slave_of("mine");
    }
    eventually(SOON, "all is watched", || {
        relay.count(opcode::GET_DATA) == HOW_MANY && slave_relay.count(opcode::GET_DATA) == HOW_MANY
    });

    relay.clear_requests();
    slave_relay.clear_requests();
    std::thread::sleep(TIMEOUT);
    let (proofs, touches) = (proofs(&relay), slave_relay.count(opcode::SYNC));
    let slave_requests = slave_relay.requests();
    assert!((5..=9).contains(&proofs.len()), "{} proofs in a session timeout", proofs.len());
    assert!(proofs.iter().all(|paths| paths.len() <= MOST_IN_ONE));
    let checked: BTreeSet<&String> = proofs.iter().flatten().collect();
    assert_eq!(checked.len(), HOW_MANY, "they take turns");
    assert!((5..=8).contains(&touches), "{touches} touches in a session timeout");
    assert!(!slave_requests.iter().any(|request| request.opcode == opcode::MULTI || leaves_watch(request)));
    for (master, token) in masters.iter().zip(tokens) {
        assert_eq!(master.lease().map(|mastership| mastership.token), Some(token));
    }
}

/// Who cannot afford the writes pays with the claim: any answer of a server will do.
#[test]
fn the_weaker_grade_sends_no_proofs() {
    const PATH: &str = "/lease-weaker";
    let ensemble = one_server();
    let relay = Relay::start(ensemble.addr(0));
    let mut options = options(TIMEOUT_MS);
    options.set_lease_mode(LeaseMode::Answered);
    let master = TestHandle::open_with(&relay.host(), &options).stand(PATH, "mine");
    let token = master.becomes_master();
    let interrogation = master.interrogate();
    std::thread::sleep(TIMEOUT * 3 / 2);
    let answers = interrogation.end();
    answers.are_always_yes(token);
    assert!(answers.longest_left < TIMEOUT, "{answers:?}");
    assert_eq!(relay.count(opcode::MULTI), 0);
    let touches = relay.count(opcode::SYNC);
    assert!((16..=25).contains(&touches), "{touches} touches in one and a half session timeouts");
    // It is a lease all the same.
    relay.blackhole(true);
    let silent = Instant::now();
    let lapsed = master.lapses();
    assert!(lapsed - silent < TIMEOUT, "{:?}", lapsed - silent);
}

#[test]
fn the_reply_to_a_proof_is_lost() {
    const PATH: &str = "/lease-proof-lost";
    let ensemble = one_server();
    let relay = Relay::start(ensemble.addr(0));
    let master = Candidate::stand(&relay.host(), PATH, "mine");
    let token = master.becomes_master();
    let interrogation = master.interrogate();
    for verdict in [Verdict::DropReplyAndCut, Verdict::Cut] {
        let (connections, proofs) = (relay.connection_count(), relay.count(opcode::MULTI));
        relay.strike_once(verdict, |request| request.opcode == opcode::MULTI);
        eventually(SOON, "it is connected anew, and goes on", || {
            relay.connection_count() > connections && relay.count(opcode::MULTI) > proofs + 1
        });
    }
    master.ear.hears_nothing_for(A_MOMENT);
    interrogation.end().are_always_yes(token);
}
