//! The **queue** recipe: who stands in which order, under which names, and what happens to the order.

use crate::candidates::{Candidate, Observer, TestHandle};
use crate::child::{is_candidate, Child};
use crate::ground::{one_server, three_servers, AT_ONCE, A_MOMENT, LONG_MS, SHORT_MS, SOON};
use crate::relays::{catches_up_before, expire_and_keep_out, is, joins, leaves_watch, wait_held, Relays};
use crate::witness::Witness;
use election::{Dialect, Error, Event, Reason, Role};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use testkit::{eventually, opcode, Ensemble, Relay, Request, Verdict};
use zookeeper::CreateMode;

const DIALECTS: [Dialect; 6] = [
    Dialect::CuratorLatch,
    Dialect::CuratorLock,
    Dialect::Kazoo,
    Dialect::LeaderElectionSupport,
    Dialect::Seed,
    Dialect::WriteLock,
];

/// Stands in a queue of Curator's LeaderLatch with a handle of its own.
#[track_caller]
fn join(hosts: &str, path: &str, value: &str) -> Candidate {
    join_for(hosts, LONG_MS, path, value)
}

#[track_caller]
fn join_for(hosts: &str, session_timeout_ms: u64, path: &str, value: &str) -> Candidate {
    TestHandle::open_in_queue(hosts, session_timeout_ms, Dialect::default()).stand(path, value)
}

/// A queue of so many, the first of which leads; their values are 0, 1, 2...
#[track_caller]
fn queue_of(how_many: usize, hosts: &str, path: &str) -> Vec<Candidate> {
    (0..how_many)
        .map(|i| {
            let candidate = join(hosts, path, &i.to_string());
            match i {
                0 => drop(candidate.check_master(&candidate.ear.next().news)),
                _ => candidate.queues(),
            }
            candidate
        })
        .collect()
}

#[track_caller]
fn check_queues(event: &Event) {
    assert_eq!((event.role, event.reason, event.rc), (Role::Slave, Reason::Following, -110), "{event:?}");
    // The one next to the master knows it.
    assert_eq!(event.value.is_empty(), event.token == 0, "{event:?}");
}

/// The values of those who stand in the queue, in order.
fn values(witness: &Witness, path: &str) -> Vec<String> {
    let names = witness.children(path);
    let znodes = names.iter().filter_map(|name| witness.read(&format!("{path}/{name}")));
    znodes.map(|znode| String::from_utf8(znode.value).unwrap()).collect()
}

/// Which sessions watch what, at and below a path.
fn watches(ensemble: &Ensemble, path: &str) -> BTreeMap<String, BTreeSet<i64>> {
    let mut watches: BTreeMap<String, BTreeSet<i64>> = BTreeMap::new();
    let mut watched = String::new();
    for line in ensemble.four_letter(0, "wchp").lines() {
        match line.trim().strip_prefix("0x") {
            Some(session) => {
                let session = u64::from_str_radix(session, 16).expect("a session") as i64;
                watches.entry(watched.clone()).or_default().insert(session);
            }
            None => watched = line.to_owned(),
        }
    }
    watches.retain(|watched, _| watched == path || watched.starts_with(&format!("{path}/")));
    watches
}

/// Whether each in the queue is watched by itself and by the one behind it, and nobody watches anything else.
fn each_watches_the_one_before(ensemble: &Ensemble, witness: &Witness, path: &str) -> bool {
    let paths: Vec<String> = witness.children(path).iter().map(|name| format!("{path}/{name}")).collect();
    let owners: Vec<i64> = paths.iter().filter_map(|path| witness.read(path)).map(|znode| znode.owner).collect();
    let expected: BTreeMap<String, BTreeSet<i64>> = paths
        .into_iter()
        .enumerate()
        .map(|(i, path)| (path, owners[i..].iter().take(2).copied().collect()))
        .collect();
    watches(ensemble, path) == expected
}

/// What is asked for an election, not for keeping the session or the lease.
fn is_for_the_election(request: &Request) -> bool {
    match request.opcode {
        opcode::PING | opcode::SYNC | opcode::MULTI | opcode::CREATE_SESSION | opcode::CLOSE_SESSION => false,
        opcode::EXISTS => leaves_watch(request),
        _ => true,
    }
}

fn is_uuid(text: &str) -> bool {
    let lens: Vec<usize> = text.split('-').map(str::len).collect();
    lens == [8, 4, 4, 4, 12] && text.chars().all(|c| c == '-' || matches!(c, '0'..='9' | 'a'..='f'))
}

fn is_hex(text: &str) -> bool {
    text.len() == 32 && text.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'))
}

fn is_of_dialect(dialect: Dialect, name: &str) -> bool {
    let Some((before, number)) = name.len().checked_sub(10).map(|at| name.split_at(at)) else { return false };
    let between = |start, end| before.strip_prefix(start).and_then(|rest| rest.strip_suffix(end));
    let is_named = match dialect {
        Dialect::CuratorLatch => between("_c_", "-latch-").is_some_and(is_uuid),
        Dialect::CuratorLock => between("_c_", "-lock-").is_some_and(is_uuid),
        Dialect::Kazoo => between("", "__lock__").is_some_and(is_hex),
        Dialect::LeaderElectionSupport => before == "n_",
        Dialect::Seed => before == "w-",
        Dialect::WriteLock => between("x-", "-").is_some_and(is_hex),
    };
    is_named && number.chars().all(|c| c.is_ascii_digit())
}

#[test]
fn they_lead_in_the_order_in_which_they_joined_in_every_dialect() {
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    for dialect in DIALECTS {
        let path = format!("/queue/in-order/{dialect:?}");
        let candidates: Vec<Candidate> = ["one", "two", "three"]
            .into_iter()
            .map(|value| TestHandle::open_in_queue(&ensemble.hosts(), LONG_MS, dialect).stand(&path, value))
            .inspect(|candidate| {
                let event = candidate.ear.next().news;
                match candidate.value == b"one" {
                    true => drop(candidate.check_master(&event)),
                    false => check_queues(&event),
                }
            })
            .collect();
        let names = witness.children(&path);
        assert!(names.iter().all(|name| is_of_dialect(dialect, name)), "{dialect:?}: {names:?}");
        assert_eq!(values(&witness, &path), ["one", "two", "three"], "{dialect:?}");
        let mut former_token = 0;
        for (i, candidate) in candidates.iter().enumerate() {
            let znode = witness.read(&format!("{path}/{}", names[i])).unwrap();
            let token = match i {
                0 => candidate.lease().expect("it leads").token,
                _ => candidate.becomes_master(),
            };
            assert_eq!(token, znode.czxid, "the token is that of its own znode");
            assert!(token > former_token);
            former_token = token;
            assert!(candidates.iter().filter(|other| other.is_master()).count() == 1);
            match i {
                0 => candidate.resign(),
                1 => candidate.handle.close().unwrap(),
                _ => {}
            }
        }
        candidates[0].has_resigned();
        candidates[1].is_closed();
    }
}

#[test]
fn each_watches_the_one_before_it_and_itself() {
    const PATH: &str = "/queue/watches";
    const HOW_MANY: usize = 6;
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    let relay = Relay::start(ensemble.addr(0));
    let candidates = queue_of(HOW_MANY, &relay.host(), PATH);
    let is_so = || each_watches_the_one_before(&ensemble, &witness, PATH);
    eventually(SOON, "each watches the one before", is_so);
    let sum = || watches(&ensemble, PATH).values().map(BTreeSet::len).sum::<usize>();
    assert_eq!(sum(), 2 * HOW_MANY - 1);

    // One in the middle goes: whoever stood behind it watches the next one before, and nobody hears of anything.
    candidates[3].resign();
    candidates[3].has_resigned();
    eventually(SOON, "the gap is closed", || sum() == 2 * (HOW_MANY - 1) - 1 && is_so());
    for candidate in candidates.iter().filter(|candidate| candidate.value != b"3") {
        candidate.ear.hears_nothing_for(Duration::ZERO);
    }
    // The first goes.
    candidates[0].resign();
    candidates[1].becomes_master();
    eventually(SOON, "each watches the one before", || sum() == 2 * (HOW_MANY - 2) - 1 && is_so());
    candidates[4].ear.hears_nothing_for(A_MOMENT);
    // What `wchp` does not tell of: nobody but the master and the next watches the list, or all would be woken each time.
    let is_list = |request: &Request| {
        matches!(request.opcode, opcode::GET_CHILDREN | opcode::GET_CHILDREN2)
            && request.path.as_deref() == Some(PATH)
    };
    let lists: Vec<Request> = relay.requests().into_iter().filter(is_list).collect();
    let watchers: BTreeSet<usize> =
        lists.iter().filter(|list| leaves_watch(list)).map(|list| list.connection_number).collect();
    assert_eq!(watchers.len(), 3, "there were two masters, one after the other, and behind each of them the next");
}

#[test]
fn a_resignation_wakes_the_next_two() {
    const PATH: &str = "/queue/resigns";
    let ensemble = one_server();
    let relays = [(); 4].map(|()| Relay::start(ensemble.addr(0)));
    let [first, second, third, fourth] = [0, 1, 2, 3].map(|i| {
        let candidate = join(&relays[i].host(), PATH, &i.to_string());
        let event = candidate.ear.next().news;
        assert_eq!(event.role, if i == 0 { Role::Master } else { Role::Slave });
        candidate
    });
    let witness = Witness::new(&ensemble.host(0));
    eventually(SOON, "all is watched", || each_watches_the_one_before(&ensemble, &witness, PATH));
    // The master and the next list the queue once more because the others have joined.
    let asked_by = |i: usize| relays[i].requests().iter().filter(|request| is_for_the_election(request)).count();
    let asked_by_both = || [asked_by(0), asked_by(1)];
    let mut asked = asked_by_both();
    eventually(SOON, "both have listed all four", || {
        std::thread::sleep(A_MOMENT);
        std::mem::replace(&mut asked, asked_by_both()) == asked_by_both()
    });
    relays.iter().for_each(Relay::clear_requests);
    let resigned = Instant::now();
    first.resign();
    let heard = second.ear.next();
    second.check_master(&heard.news);
    assert!(heard.at - resigned < AT_ONCE, "{:?}", heard.at - resigned);
    assert!(second.is_master() && !first.is_master() && !third.is_master());
    let event = third.ear.next().news;
    assert_eq!((event.role, &*event.value, event.token), (Role::Slave, &b"1"[..], heard.news.token));
    fourth.ear.hears_nothing_for(A_MOMENT);
    let asked = |i: usize| -> Vec<i32> {
        let requests = relays[i].requests();
        requests.iter().filter(|request| is_for_the_election(request)).map(|request| request.opcode).collect()
    };
    assert_eq!(asked(0), [opcode::DELETE]);
    let lists = asked(1);
    let is_list = |asked: &i32| matches!(*asked, opcode::GET_CHILDREN | opcode::GET_CHILDREN2);
    assert!(
        lists.iter().all(is_list) && (1..=2).contains(&lists.len()),
        "it lists, and watches the list: {lists:?}"
    );
    let asks = [opcode::GET_CHILDREN, opcode::GET_DATA];
    assert_eq!(asked(2), asks, "it is the next: it lists and watches the list, and reads who leads");
    assert_eq!(asked(3), [0; 0], "it sleeps on");
}

/// Nothing that the next one sends reaches a server any more, and it is master all the same when the first one has gone.
#[test]
fn the_next_one_is_master_without_a_question() {
    const PATH: &str = "/queue/no-question";
    let ensemble = one_server();
    let first = join(&ensemble.hosts(), PATH, "first");
    first.becomes_master();
    let relay = Relay::start(ensemble.addr(0));
    let second = join(&relay.host(), PATH, "second");
    second.queues();
    let is_list = |request: &Request| {
        matches!(request.opcode, opcode::GET_CHILDREN | opcode::GET_CHILDREN2) && leaves_watch(request)
    };
    eventually(SOON, "it watches the queue", || relay.requests().iter().any(is_list));
    std::thread::sleep(A_MOMENT);
    relay.set_rule(|_| Verdict::Hold);
    let resigned = Instant::now();
    first.resign();
    let heard = second.ear.next();
    second.check_master(&heard.news);
    assert!(heard.at - resigned < AT_ONCE, "{:?}", heard.at - resigned);
    assert!(second.is_master() && !first.is_master());
    relay.clear_rule();
    relay.release();
    std::thread::sleep(A_MOMENT);
    assert!(second.is_master());
}

/// The slave next to the master hears its value and token, and each change of them; the others hear neither.
#[test]
fn the_one_behind_the_master_knows_it() {
    const PATH: &str = "/queue/knows-the-master";
    let ensemble = one_server();
    let first = join(&ensemble.hosts(), PATH, "first");
    let token = first.becomes_master();
    let second = join(&ensemble.hosts(), PATH, "second");
    let hears = |value: &[u8], token: i64| {
        let event = second.ear.next().news;
        assert_eq!((event.role, event.reason), (Role::Slave, Reason::Following), "{event:?}");
        assert_eq!((&*event.value, event.token), (value, token));
    };
    hears(b"first", token);
    let third = join(&ensemble.hosts(), PATH, "third");
    let event = third.ear.next().news;
    assert_eq!((event.role, event.value.len(), event.token), (Role::Slave, 0, 0), "{event:?}");
    first.handle.set_value(PATH, b"first, busy").unwrap();
    hears(b"first, busy", token);
    third.ear.hears_nothing_for(A_MOMENT);
}

/// The one before it goes between the list and the watch: a watch on what is gone would be heard of by nobody.
#[test]
fn the_one_before_goes_before_it_is_watched() {
    const PATH: &str = "/queue/before-it-is-watched";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    let first = join(&ensemble.hosts(), PATH, "first");
    first.becomes_master();
    let second = join(&ensemble.hosts(), PATH, "second");
    second.queues();
    let relay = Relay::start(ensemble.addr(0));
    let handle = TestHandle::open_in_queue(&relay.host(), LONG_MS, Dialect::default());
    for goes in [second, first] {
        let watched = format!("{PATH}/{}", witness.children(PATH)[usize::from(goes.value == b"second")]);
        // The one behind the master reads it, and is told nothing before that.
        let is_first = goes.value == b"first";
        let is_watch = is(if is_first { opcode::GET_DATA } else { opcode::EXISTS }, &watched);
        relay.strike_once(Verdict::Hold, move |request| is_watch(request) && leaves_watch(request));
        let third = handle.stand(PATH, "third");
        if !is_first {
            third.queues();
        }
        wait_held(&relay);
        goes.resign();
        witness.wait_gone(&watched);
        let released = Instant::now();
        relay.release();
        if is_first {
            let heard = third.ear.next();
            third.check_master(&heard.news);
            assert!(heard.at - released < AT_ONCE, "{:?}", heard.at - released);
        } else {
            eventually(SOON, "it watches the next one", || each_watches_the_one_before(&ensemble, &witness, PATH));
            third.queues();
            third.ear.hears_nothing_for(A_MOMENT);
            third.resign();
            third.has_resigned();
            eventually(SOON, "it has left", || witness.children(PATH).len() == 1);
        }
    }
}

#[test]
fn whoever_dies_or_expires_is_followed() {
    if is_candidate() {
        return;
    }
    const PATH: &str = "/queue/dies";
    let ensemble = one_server();
    let relay = Relay::start(ensemble.addr(0));
    let child =
        Child::spawn_in_queue("queue::whoever_dies_or_expires_is_followed", &ensemble.hosts(), PATH, SHORT_MS);
    let token = child.becomes_master();
    let second = join_for(&relay.host(), SHORT_MS, PATH, "second");
    second.queues();
    let third = join(&ensemble.hosts(), PATH, "third");
    third.queues();
    child.process().kill9();
    // A busy machine may have broken its connection meanwhile.
    let event = loop {
        let event = second.next_but_for(&[Reason::Suspended]);
        match event.role {
            Role::Slave => check_queues(&event),
            _ => break event,
        }
    };
    let second_token = second.check_master(&event);
    assert!(second_token > token);
    // It is next to that master now.
    third.queues();

    let interrogation = second.interrogate();
    relay.refuse(true);
    relay.cut_all();
    let heard = third.ear.next();
    let third_token = third.check_master(&heard.news);
    assert!(third_token > second_token);
    interrogation.end().are_no_after(heard.at, second_token);
    assert!(second.lapses() < heard.at);
    relay.refuse(false);
    // It stands again by itself, at the end.
    check_queues(&second.expires());
    third.resign();
    let event = second.next_but_for(&[Reason::Suspended]);
    assert!(second.check_master(&event) > third_token);
}

#[test]
fn a_slave_whose_session_expires_joins_at_the_end() {
    const PATH: &str = "/queue/slave-expires";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    let relay = Relay::start(ensemble.addr(0));
    let first = join(&ensemble.hosts(), PATH, "first");
    first.becomes_master();
    let second = join(&relay.host(), PATH, "second");
    second.queues();
    let third = join(&ensemble.hosts(), PATH, "third");
    third.queues();
    expire_and_keep_out(&ensemble, &relay);
    eventually(SOON, "it is out", || values(&witness, PATH) == ["first", "third"]);
    // It is next to the master now.
    third.queues();
    relay.refuse(false);
    check_queues(&second.expires());
    assert_eq!(values(&witness, PATH), ["first", "third", "second"]);
    eventually(SOON, "all is watched", || each_watches_the_one_before(&ensemble, &witness, PATH));
    third.ear.hears_nothing_for(Duration::ZERO);
    first.resign();
    third.becomes_master();
    // It is next to that master now.
    second.queues();
    second.ear.hears_nothing_for(A_MOMENT);
}

#[test]
fn an_operator_deletes_the_masters_znode() {
    const PATH: &str = "/queue/operator-master";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    let first = join(&ensemble.hosts(), PATH, "first");
    let own = |i: usize| format!("{PATH}/{}", witness.children(PATH)[i]);
    let guid =
        |path: &str| path.strip_suffix(|c: char| c.is_ascii_digit()).map(|path| path[..path.len() - 9].to_owned());
    let watched = || each_watches_the_one_before(&ensemble, &witness, PATH);
    // Alone: it leads again, with another token.
    let mut token = first.becomes_master();
    let former_name = own(0);
    eventually(SOON, "it is watched", watched);
    witness.delete(&former_name);
    first.becomes_unknown(Reason::Deleted, -101);
    let next_token = first.becomes_master();
    assert!(next_token > token);
    assert_ne!(guid(&own(0)), guid(&former_name), "under another GUID");
    token = next_token;

    // With another behind it: at the end.
    let second = join(&ensemble.hosts(), PATH, "second");
    second.queues();
    eventually(SOON, "all is watched", watched);
    witness.delete(&own(0));
    first.becomes_unknown(Reason::Deleted, -101);
    assert!(second.becomes_master() > token);
    first.queues();
    assert_eq!(values(&witness, PATH), ["second", "first"]);
}

#[test]
fn an_operator_deletes_a_slaves_znode() {
    const PATH: &str = "/queue/operator-slave";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    let candidates = queue_of(3, &ensemble.hosts(), PATH);
    let watched = || each_watches_the_one_before(&ensemble, &witness, PATH);
    eventually(SOON, "all is watched", watched);
    witness.delete(&format!("{PATH}/{}", witness.children(PATH)[1]));
    eventually(SOON, "it has joined at the end", || values(&witness, PATH) == ["0", "2", "1"]);
    eventually(SOON, "all is watched", watched);
    // One knows the master no more, another one does now.
    candidates[1].queues();
    candidates[2].queues();
    for candidate in &candidates {
        candidate.ear.hears_nothing_for(A_MOMENT / 3);
    }
    candidates[0].resign();
    candidates[2].becomes_master();
    candidates[1].queues();
    candidates[1].ear.hears_nothing_for(A_MOMENT);
    candidates[2].resign();
    candidates[1].becomes_master();
}

#[test]
fn an_operator_changes_what_is_in_a_znode() {
    const PATH: &str = "/queue/operator-changes";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    let candidates = queue_of(2, &ensemble.hosts(), PATH);
    let watched = || each_watches_the_one_before(&ensemble, &witness, PATH);
    eventually(SOON, "all is watched", watched);
    for name in witness.children(PATH) {
        witness.set(&format!("{PATH}/{name}"), b"changed");
    }
    eventually(SOON, "all is watched again", watched);
    candidates[1].queues();
    candidates.iter().for_each(|candidate| candidate.ear.hears_nothing_for(A_MOMENT));
    candidates[0].resign();
    candidates[1].becomes_master();
    candidates[0].has_resigned();
}

/// The path itself goes: containers do, when nobody stands in them.
#[test]
fn the_path_vanishes_while_it_joins() {
    const PARENT: &str = "/queue-vanishes";
    const PATH: &str = "/queue-vanishes/here";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    let relay = Relay::start(ensemble.addr(0));
    let master = join(&relay.host(), PATH, "mine");
    let token = master.becomes_master();
    eventually(SOON, "it is watched", || each_watches_the_one_before(&ensemble, &witness, PATH));
    relay.strike_once(Verdict::Hold, joins(PATH));
    witness.delete(&format!("{PATH}/{}", witness.children(PATH)[0]));
    wait_held(&relay);
    witness.wait_gone(PARENT);
    let made = relay.count(opcode::CREATE_CONTAINER);
    relay.release();
    master.becomes_unknown(Reason::Deleted, -101);
    assert!(master.becomes_master() > token);
    assert!(relay.count(opcode::CREATE_CONTAINER) > made, "it is made again");
    assert_eq!(values(&witness, PATH), ["mine"]);
}

/// In the dialect whose names tell nothing, it is found by the session that owns it.
#[test]
fn the_reply_to_the_create_is_lost() {
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    for dialect in [Dialect::CuratorLatch, Dialect::Kazoo, Dialect::LeaderElectionSupport, Dialect::Seed] {
        for verdict in [Verdict::DropReplyAndCut, Verdict::Cut] {
            let path = format!("/queue/reply-lost/{dialect:?}-{verdict:?}");
            let relay = Relay::start(ensemble.addr(0));
            let handle = TestHandle::open_in_queue(&relay.host(), LONG_MS, dialect);
            let others: Vec<Candidate> = ["first", "second"]
                .into_iter()
                .map(|value| TestHandle::open_in_queue(&ensemble.hosts(), LONG_MS, dialect).stand(&path, value))
                .inspect(|other| drop(other.ear.next()))
                .collect();
            relay.strike_once(verdict, joins(&path));
            let candidate = handle.stand(&path, "mine");
            candidate.is_suspended();
            candidate.queues();
            let joins = joins(&path);
            let creates = relay.requests().iter().filter(|request| joins(request)).count();
            let expected = if verdict == Verdict::Cut { 2 } else { 1 };
            assert_eq!(creates, expected, "{path}: no more than are needed");
            assert_eq!(values(&witness, &path), ["first", "second", "mine"], "{path}: exactly one");
            assert!(
                catches_up_before(&relay, opcode::GET_CHILDREN, &path),
                "{path}: another server may lag behind"
            );
            let names = witness.children(&path);
            let own = witness.read(&format!("{path}/{}", names[2])).unwrap();
            assert_eq!(own.owner, relay.session().unwrap().id);
            others.iter().for_each(Candidate::resign);
            assert_eq!(candidate.becomes_master(), own.czxid, "{path}");
            candidate.ear.hears_nothing_for(A_MOMENT / 3);
        }
    }
}

#[test]
fn a_reconnect_to_another_server_keeps_the_place() {
    const PATH: &str = "/queue/moved";
    let ensemble = three_servers();
    let relays = [(); 3].map(|()| Relays::before(&ensemble));
    let [first, second, third] = [0, 1, 2].map(|i| {
        let candidate = join(&relays[i].hosts(), PATH, &i.to_string());
        let event = candidate.ear.next().news;
        assert_eq!(event.role, if i == 0 { Role::Master } else { Role::Slave });
        candidate
    });
    let token = first.lease().expect("it leads").token;
    let witness = Witness::new(&ensemble.host(0));
    eventually(SOON, "all have joined", || witness.children(PATH).len() == 3);
    let names = witness.children(PATH);
    let interrogation = first.interrogate();
    for _ in 0..2 {
        for (i, relays) in relays.iter().enumerate() {
            let left = relays.drive_off();
            match i {
                0 => eventually(SOON, "the master moves", || relays.current() != left),
                1 => (second.is_suspended(), second.queues()).1,
                _ => (third.is_suspended(), third.queues()).1,
            }
            assert_ne!(relays.current(), left);
            relays.let_back();
        }
    }
    first.ear.hears_nothing_for(A_MOMENT);
    interrogation.end().are_always_yes(token);
    assert_eq!(witness.children(PATH), names);

    // The watches moved along.
    first.resign();
    assert!(second.becomes_master() > token);
    third.becomes_slave_of("1");
    // And what goes while it is cut off is missed by nobody.
    relays[2].drive_off_all();
    third.is_suspended();
    second.resign();
    second.has_resigned();
    eventually(SOON, "one is left", || witness.children(PATH) == names[2..]);
    relays[2].let_back();
    third.becomes_master();
}

#[test]
fn it_resigns_while_it_joins() {
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    for verdict in [Verdict::Hold, Verdict::DropReplyAndCut] {
        let path = format!("/queue/resigns-in-create-{verdict:?}");
        let relay = Relay::start(ensemble.addr(0));
        let handle = TestHandle::open_in_queue(&relay.host(), LONG_MS, Dialect::default());
        let other = join(&ensemble.hosts(), &path, "other");
        other.becomes_master();
        if verdict == Verdict::DropReplyAndCut {
            relay.refuse(true);
        }
        relay.strike_once(verdict, joins(&path));
        let candidate = handle.stand(&path, "mine");
        match verdict {
            Verdict::Hold => wait_held(&relay),
            _ => {
                candidate.is_suspended();
                assert_eq!(values(&witness, &path), ["other", "mine"]);
            }
        }
        candidate.resign();
        candidate.has_resigned();
        let again = handle.stand(&path, "again");
        relay.release();
        relay.refuse(false);
        check_queues(&again.next_but_for(&[Reason::Suspended]));
        assert_eq!(values(&witness, &path), ["other", "again"], "what the create made is deleted");
        assert_eq!(relay.count(opcode::DELETE), 1);
        other.resign();
        again.becomes_master();
    }
}

/// Both would have a master of their own. So there is none, and everybody knows why.
#[test]
fn a_stranger_in_the_queue() {
    const PATH: &str = "/queue-stranger";
    const FOREIGN_CONTENDER: (Reason, i32) = (Reason::ForeignContender, -1019);
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    witness.create(PATH, b"", CreateMode::Persistent);
    witness.create(&format!("{PATH}/config"), b"no contender", CreateMode::Persistent);
    let ours = join(&ensemble.hosts(), PATH, "ours");
    ours.becomes_master();
    ours.resign();
    ours.has_resigned();

    witness.create(&format!("{PATH}/n_"), b"another recipe's", CreateMode::EphemeralSequential);
    let first = join(&ensemble.hosts(), PATH, "first");
    first.becomes_unknown(FOREIGN_CONTENDER.0, FOREIGN_CONTENDER.1);
    let second = join(&ensemble.hosts(), PATH, "second");
    second.becomes_unknown(FOREIGN_CONTENDER.0, FOREIGN_CONTENDER.1);
    first.ear.hears_nothing_for(A_MOMENT);
    assert!(!first.is_master() && !second.is_master());
    let stranger = witness.children(PATH).into_iter().find(|name| name.starts_with("n_")).unwrap();
    witness.delete(&format!("{PATH}/{stranger}"));
    first.becomes_master();
    second.queues();
}

#[test]
fn an_observer_of_a_queue_watches_one_znode() {
    const PATH: &str = "/queue/observed";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    let relay = Relay::start(ensemble.addr(0));
    let observer_handle = TestHandle::open_in_queue(&relay.host(), LONG_MS, Dialect::default());
    let observer: Observer = observer_handle.observe(PATH);
    observer.sees_nobody(-101);
    let first = join(&ensemble.hosts(), PATH, "first");
    let token = first.becomes_master();
    let stat = observer.sees("first");
    let name = witness.children(PATH).remove(0);
    let znode = witness.read(&format!("{PATH}/{name}")).unwrap();
    assert_eq!((stat.czxid, stat.ephemeral_owner), (token, znode.owner));

    // However many come, and go, behind the master: nothing is heard and nothing is asked.
    let own = relay.session().unwrap().id;
    relay.clear_requests();
    let others: Vec<Candidate> = (0..5).map(|i| join(&ensemble.hosts(), PATH, &i.to_string())).collect();
    others.iter().for_each(Candidate::queues);
    others[1].resign();
    others[1].has_resigned();
    observer.ear.hears_nothing_for(A_MOMENT);
    assert!(!relay.requests().iter().any(is_for_the_election), "{:?}", relay.requests());
    let watched: Vec<String> = watches(&ensemble, PATH)
        .into_iter()
        .filter_map(|(path, sessions)| sessions.contains(&own).then_some(path))
        .collect();
    assert_eq!(watched, [format!("{PATH}/{name}")]);

    witness.set(&format!("{PATH}/{name}"), b"changed");
    assert_eq!(observer.sees("changed").czxid, token);
    others[0].queues();
    first.resign();
    assert_eq!(observer.sees("0").czxid, others[0].becomes_master());
    others.iter().for_each(|other| other.handle.close().unwrap());
    // Those who lead for a moment may be seen, or not.
    loop {
        let master = observer.ear.next().news;
        if master.rc != 0 {
            assert_eq!(master.rc, -101);
            break;
        }
    }
    let last = join(&ensemble.hosts(), PATH, "at last");
    last.becomes_master();
    observer.sees("at last");
}

#[test]
fn members_are_listed_in_order() {
    const PATH: &str = "/queue-members";
    let timeout = Duration::from_secs(5);
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    witness.create(PATH, b"", CreateMode::Persistent);
    witness.create(&format!("{PATH}/config"), b"no contender", CreateMode::Persistent);
    let relay = Relay::start(ensemble.addr(0));
    let handle = TestHandle::open_in_queue(&relay.host(), LONG_MS, Dialect::default());
    assert_eq!(handle.members(PATH, timeout), Ok(vec![]));
    assert_eq!(handle.members("/queue-members-nowhere", timeout), Ok(vec![]));
    let candidates = queue_of(12, &ensemble.hosts(), PATH);
    let check = |values: &[&str]| {
        let members = handle.members(PATH, timeout).unwrap();
        let names: Vec<String> = members.iter().map(|member| member.name.to_string()).collect();
        let listed: Vec<&[u8]> = members.iter().map(|member| &*member.znode.value).collect();
        assert_eq!(listed, values.iter().map(|value| value.as_bytes()).collect::<Vec<_>>());
        let mut expected = witness.children(PATH);
        expected.retain(|name| name != "config");
        assert_eq!(names, expected);
        for member in &members {
            let znode = witness.read(&format!("{PATH}/{}", member.name)).unwrap();
            assert_eq!((member.znode.stat.czxid, member.znode.stat.ephemeral_owner), (znode.czxid, znode.owner));
        }
        members
    };
    let members = check(&["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11"]);
    assert_eq!(members[0].znode.stat.czxid, candidates[0].lease().unwrap().token, "the master first");
    for i in [0, 5, 11] {
        candidates[i].handle.close().unwrap();
    }
    check(&["1", "2", "3", "4", "6", "7", "8", "9", "10"]);

    // In the node recipe there is one, or none.
    let node = TestHandle::open(&ensemble.hosts());
    assert_eq!(node.members("/node-members/x", timeout), Ok(vec![]));
    let token = node.stand("/node-members/x", "mine").becomes_master();
    let members = node.members("/node-members/x", timeout).unwrap();
    assert_eq!((members.len(), &*members[0].name, members[0].znode.stat.czxid), (1, "x", token));

    let observer = handle.observe(PATH);
    observer.sees("1");
    relay.refuse(true);
    relay.cut_all();
    observer.sees_nobody(-4);
    assert_eq!(handle.members(PATH, timeout).map_err(Error::code), Err(-4));
    assert_eq!(handle.members("members", timeout), Err(Error::BadPath));
}

/// Of fifty, five resign one after the other; nobody but the next two is woken, and the servers are asked for little.
#[test]
fn fifty_in_one_process_and_five_resignations_in_a_row() {
    const PATH: &str = "/queue/fifty";
    const HOW_MANY: usize = 50;
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    let relay = Relay::start(ensemble.addr(0));
    let handles: Vec<TestHandle> =
        (0..HOW_MANY).map(|_| TestHandle::open_in_queue(&relay.host(), LONG_MS, Dialect::default())).collect();
    // All at once, so that the order is not ours to choose.
    let mut candidates: BTreeMap<String, Candidate> =
        handles.iter().enumerate().map(|(i, handle)| (i.to_string(), handle.stand(PATH, i.to_string()))).collect();
    let watched = || each_watches_the_one_before(&ensemble, &witness, PATH);
    eventually(SOON, "all have joined", || witness.children(PATH).len() == HOW_MANY && watched());
    let members = handles[0].members(PATH, SOON).unwrap();
    let order: Vec<String> =
        members.iter().map(|member| String::from_utf8(member.znode.value.to_vec()).unwrap()).collect();
    assert_eq!(order.len(), HOW_MANY);
    let mut token = candidates[&order[0]].becomes_master();
    order[1..].iter().for_each(|value| candidates[value].queues());

    for i in 0..5 {
        relay.clear_requests();
        let master = candidates.remove(&order[i]).unwrap();
        let resigned = Instant::now();
        master.resign();
        let next = &candidates[&order[i + 1]];
        let heard = next.ear.next();
        let next_token = next.check_master(&heard.news);
        assert!(heard.at - resigned < AT_ONCE, "{:?}", heard.at - resigned);
        assert_eq!(next_token, members[i + 1].znode.stat.czxid);
        assert!(next_token > token);
        token = next_token;
        // It is next to that master now.
        candidates[&order[i + 2]].queues();
        master.has_resigned();
        let requests = relay.requests();
        let asked: Vec<i32> =
            requests.iter().filter(|request| is_for_the_election(request)).map(|request| request.opcode).collect();
        // The master deletes, the next lists and watches the list, the one behind it lists and reads. One that has become the
        // next only a moment ago may list once before it leads.
        assert!(asked.len() <= 5, "a handover costs {asked:?}");
        assert_eq!(candidates.values().filter(|candidate| candidate.is_master()).count(), 1);
    }
    for candidate in candidates.values() {
        candidate.ear.hears_nothing_for(Duration::ZERO);
    }
    eventually(SOON, "each watches the one before", watched);
    assert_eq!(witness.children(PATH).len(), HOW_MANY - 5);
}
