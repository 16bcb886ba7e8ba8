//! `watch_members` and `master`: who is in, in order, with values; the alarm; and who is master, asked once.

use crate::candidates::{Candidate, Roll, TestHandle};
use crate::ground::{one_server, three_servers, A_MOMENT, LONG_MS, SOON};
use crate::relays::{expire, is, leaves_watch, wait_held, Relays};
use crate::witness::Witness;
use election::{Alarm, Dialect, Error};
use std::collections::BTreeMap;
use std::time::Duration;
use testkit::{eventually, opcode, Ensemble, Relay, Request, Verdict};
use zookeeper::CreateMode;

fn looker(hosts: &str) -> TestHandle {
    TestHandle::open_in_queue(hosts, LONG_MS, Dialect::default())
}

/// Stands in a queue with a handle of its own, and has its place.
#[track_caller]
fn join(hosts: &str, path: &str, value: &str) -> Candidate {
    let candidate = looker(hosts).stand(path, value);
    candidate.ear.next();
    candidate
}

/// A znode of somebody else's in a queue of Curator's LeaderLatch.
fn enter(witness: &Witness, path: &str, value: &[u8]) {
    let name = format!("{path}/_c_00000000-0000-0000-0000-000000000000-latch-");
    witness.create(&name, value, CreateMode::EphemeralSequential);
}

/// What a watcher of the members has asked for, by kind.
fn asked(relay: &Relay) -> BTreeMap<i32, usize> {
    let mut asked = BTreeMap::new();
    for request in relay.requests() {
        if !matches!(request.opcode, opcode::PING | opcode::CREATE_SESSION) {
            *asked.entry(request.opcode).or_default() += 1;
        }
    }
    asked
}

#[test]
fn each_who_comes_goes_or_changes_its_value_is_told_in_order() {
    const PATH: &str = "/members/in-order";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    let hosts = ensemble.hosts();
    let roll = looker(&hosts).count(PATH, 0);
    roll.sees(&[]);
    let one = join(&hosts, PATH, "one");
    roll.sees(&["one"]);
    let two = join(&hosts, PATH, "two");
    roll.sees(&["one", "two"]);
    let _three = join(&hosts, PATH, "three");
    let members = roll.sees(&["one", "two", "three"]);
    let names = witness.children(PATH);
    for (member, name) in members.iter().zip(&names) {
        let znode = witness.read(&format!("{PATH}/{name}")).unwrap();
        let stat = &member.znode.stat;
        assert_eq!((&*member.name, stat.czxid, stat.ephemeral_owner), (name.as_str(), znode.czxid, znode.owner));
    }
    assert_eq!(members[0].znode.stat.czxid, one.lease().unwrap().token);

    witness.set(&format!("{PATH}/{}", names[1]), b"two, by an operator");
    let members = roll.sees(&["one", "two, by an operator", "three"]);
    assert_eq!(members[1].znode.stat.version, 1);
    // One that the recipe does not count is not in.
    witness.create(&format!("{PATH}/config"), b"", CreateMode::Ephemeral);
    two.resign();
    roll.sees(&["one", "three"]);
    one.handle.close().unwrap();
    roll.sees(&["three"]);
    assert_eq!(asked_once(&hosts, PATH), ["three"]);
    roll.ear.hears_nothing_for(A_MOMENT);
}

/// The same by `members`.
fn asked_once(hosts: &str, path: &str) -> Vec<String> {
    let members = looker(hosts).members(path, SOON).unwrap();
    members.iter().map(|member| String::from_utf8(member.znode.value.to_vec()).unwrap()).collect()
}

#[test]
fn no_more_is_asked_for_than_needed() {
    const PATH: &str = "/members/cost";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    let relay = Relay::start(ensemble.addr(0));
    let first = join(&ensemble.hosts(), PATH, "one");
    let roll = looker(&relay.host()).count(PATH, 0);
    roll.sees(&["one"]);
    let (list, read) = (opcode::GET_CHILDREN, opcode::GET_DATA);
    let kinds = asked(&relay);
    let lists = kinds.keys().copied().find(|kind| *kind != read).expect("a list");
    assert!([list, opcode::GET_CHILDREN2].contains(&lists));
    assert_eq!(kinds, BTreeMap::from([(lists, 1), (read, 1)]));
    assert!(relay.requests().iter().filter(|request| [lists, read].contains(&request.opcode)).all(leaves_watch));

    relay.clear_requests();
    let second = join(&ensemble.hosts(), PATH, "two");
    roll.sees(&["one", "two"]);
    assert_eq!(asked(&relay), BTreeMap::from([(lists, 1), (read, 1)]), "one comes");

    relay.clear_requests();
    second.handle.set_value(PATH, b"2").unwrap();
    roll.sees(&["one", "2"]);
    assert_eq!(asked(&relay), BTreeMap::from([(read, 1)]), "one changes its value");

    relay.clear_requests();
    first.resign();
    roll.sees(&["2"]);
    roll.ear.hears_nothing_for(A_MOMENT);
    assert_eq!(asked(&relay), BTreeMap::from([(lists, 1)]), "one goes");

    // Who watches no longer leaves no watch on anybody.
    enter(&witness, PATH, b"three");
    roll.sees(&["2", "three"]);
    let other = format!("{PATH}/{}", witness.children(PATH)[1]);
    second.handle.close().unwrap();
    roll.sees(&["three"]);
    eventually(SOON, "the member is watched", || is_watched(&ensemble, &other));
    drop(roll);
    eventually(SOON, "nobody is watched", || !is_watched(&ensemble, &other));
}

#[test]
fn a_watcher_that_stops_hears_no_more_and_leaves_no_watch_behind() {
    const PATH: &str = "/members/no-more";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    let handle = looker(&ensemble.hosts());
    let _member = join(&ensemble.hosts(), PATH, "one");
    let own = format!("{PATH}/{}", witness.children(PATH)[0]);
    let owner = witness.read(&own).unwrap().owner;
    // It is watched by itself, and by whoever watches the members.
    let watchers = || watchers(&ensemble, &own).into_iter().filter(|session| *session != owner).count();
    for _ in 0..3 {
        let roll = handle.count(PATH, 0);
        roll.sees(&["one"]);
        assert_eq!(handle.watch_members(PATH, 0, |_| {}), Err(Error::Already));
        eventually(SOON, "the member is watched", || watchers() == 1);
        handle.unwatch_members(PATH).unwrap();
        assert_eq!(handle.unwatch_members(PATH), Err(Error::NotThere));
        roll.ear.hears_no_more();
        eventually(SOON, "the member is not watched any more", || watchers() == 0);
    }
}

fn is_watched(ensemble: &Ensemble, path: &str) -> bool {
    !watchers(ensemble, path).is_empty()
}

/// The sessions that watch a znode's data.
fn watchers(ensemble: &Ensemble, path: &str) -> Vec<i64> {
    let told = ensemble.four_letter(0, "wchp");
    let lines = told.lines().skip_while(|line| *line != path).skip(1);
    let sessions = lines.map_while(|line| line.trim().strip_prefix("0x"));
    sessions.map(|session| u64::from_str_radix(session, 16).expect("a session") as i64).collect()
}

#[test]
fn unknown_is_not_few() {
    const PATH: &str = "/members/alarm";
    let ensemble = one_server();
    let hosts = ensemble.hosts();
    let relay = Relay::start(ensemble.addr(0));
    let handle = looker(&relay.host());
    let roll = handle.count(PATH, 2);
    roll.rings(Alarm::TooFew, &[]);
    let one = join(&hosts, PATH, "one");
    roll.sees(&["one"]);
    let two = join(&hosts, PATH, "two");
    roll.rings(Alarm::Enough, &["one", "two"]);

    // A break, and then the end of the session: no alarm, and none when they are found to be in.
    relay.refuse(true);
    relay.cut_all();
    roll.cannot_tell(-4);
    relay.refuse(false);
    roll.sees(&["one", "two"]);
    expire(&ensemble, &relay);
    roll.expires();
    roll.sees(&["one", "two"]);

    // One leaves while nobody can tell.
    relay.refuse(true);
    relay.cut_all();
    roll.cannot_tell(-4);
    two.handle.close().unwrap();
    relay.refuse(false);
    roll.rings(Alarm::TooFew, &["one"]);
    expire(&ensemble, &relay);
    roll.expires();
    roll.sees(&["one"]);

    // Another handle's master leaves and a new one comes: the alarm that rang does not ring twice.
    one.resign();
    roll.sees(&[]);
    let again = one.handle.stand(PATH, "again");
    again.becomes_master();
    roll.sees(&["again"]);
    let _three = join(&hosts, PATH, "three");
    roll.rings(Alarm::Enough, &["again", "three"]);
    handle.close().unwrap();
    roll.cannot_tell(-116);
    roll.ear.hears_no_more();
}

#[test]
fn it_goes_on_on_another_server() {
    const PATH: &str = "/members/moved";
    let ensemble = three_servers();
    let relays = Relays::before(&ensemble);
    let hosts = ensemble.hosts();
    let one = join(&hosts, PATH, "one");
    let roll = looker(&relays.hosts()).count(PATH, 1);
    roll.sees(&["one"]);
    for i in 0..2 {
        relays.drive_off();
        roll.cannot_tell(-4);
        roll.sees(&[if i == 0 { "one" } else { "1" }]);
        relays.let_back();
        if i == 0 {
            one.handle.set_value(PATH, b"1").unwrap();
            roll.sees(&["1"]);
        }
    }
    // With all kinds of changes while it was cut off, and those after.
    relays.drive_off_all();
    roll.cannot_tell(-4);
    let two = join(&hosts, PATH, "two");
    let three = join(&hosts, PATH, "three");
    one.resign();
    one.has_resigned();
    two.becomes_master();
    three.handle.set_value(PATH, b"3").unwrap();
    eventually(SOON, "it has the new value", || asked_once(&hosts, PATH) == ["two", "3"]);
    relays.let_back();
    // The server that it comes back to may be behind; then it hears of the rest in steps, and of the last state in any case.
    loop {
        let news = roll.ear.next().news;
        let values: Vec<_> = news.members.iter().map(|member| &*member.znode.value).collect();
        assert!(news.rc == 0 && news.alarm == Alarm::None, "{news:?}");
        if values == [b"two".as_slice(), b"3"] {
            break;
        }
    }
    two.resign();
    roll.sees(&["3"]);
}

/// As many as a watcher of members is said to be good for, with the long names of Curator's: the watches of all are taken
/// along to a new connection, and only what has changed is read again.
#[test]
fn a_thousand_members() {
    const PATH: &str = "/members/many";
    const HOW_MANY: usize = 1_000;
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    witness.create("/members-many", b"", CreateMode::Persistent);
    let path = PATH.replacen("/members/", "/members-many/", 1);
    witness.create(&path, b"", CreateMode::Persistent);
    for i in 0..HOW_MANY {
        enter(&witness, &path, i.to_string().as_bytes());
    }
    let names = witness.children(&path);
    let relay = Relay::start(ensemble.addr(0));
    let roll = looker(&relay.host()).count(&path, HOW_MANY);
    let check = |roll: &Roll, len: usize, alarm: Alarm| {
        let news = roll.ear.next().news;
        assert_eq!((news.rc, news.members.len(), news.alarm), (0, len, alarm));
        news.members
    };
    let members = check(&roll, HOW_MANY, Alarm::None);
    for (i, member) in members.iter().enumerate() {
        assert_eq!((&*member.name, &*member.znode.value), (names[i].as_str(), i.to_string().as_bytes()));
    }
    let reads = |relay: &Relay| asked(relay).get(&opcode::GET_DATA).copied().unwrap_or_default();
    assert_eq!(reads(&relay), HOW_MANY);

    relay.refuse(true);
    relay.cut_all();
    roll.cannot_tell(-4);
    witness.set(&format!("{path}/{}", names[500]), b"changed");
    (0..10).for_each(|i| witness.delete(&format!("{path}/{}", names[i])));
    relay.clear_requests();
    relay.refuse(false);
    let members = check(&roll, HOW_MANY - 10, Alarm::TooFew);
    assert_eq!(&*members[490].znode.value, b"changed");
    assert_eq!(reads(&relay), 1);

    // Those after the break are heard of as well.
    witness.set(&format!("{path}/{}", names[501]), b"changed, too");
    assert_eq!(&*check(&roll, HOW_MANY - 10, Alarm::None)[491].znode.value, b"changed, too");
    (0..10).for_each(|i| enter(&witness, &path, i.to_string().as_bytes()));
    loop {
        let news = roll.ear.next().news;
        assert!(news.rc == 0 && news.members.len() <= HOW_MANY, "{}", news.members.len());
        if news.members.len() == HOW_MANY {
            assert_eq!(news.alarm, Alarm::Enough);
            break;
        }
    }
}

#[test]
fn a_member_goes_before_it_is_read() {
    const PATH: &str = "/members/between";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    let relay = Relay::start(ensemble.addr(0));
    let _one = join(&ensemble.hosts(), PATH, "one");
    let two = join(&ensemble.hosts(), PATH, "two");
    let second = format!("{PATH}/{}", witness.children(PATH)[1]);
    relay.strike_once(Verdict::Hold, is(opcode::GET_DATA, &second));
    let roll = looker(&relay.host()).count(PATH, 0);
    wait_held(&relay);
    two.resign();
    two.has_resigned();
    witness.wait_gone(&second);
    relay.release();
    roll.sees(&["one"]);
    roll.ear.hears_nothing_for(A_MOMENT);
}

#[test]
fn in_the_node_recipe_the_master_is_the_only_member() {
    const PATH: &str = "/members-of-a-node";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    let handle = TestHandle::open(&ensemble.hosts());
    let roll = handle.count(PATH, 1);
    roll.rings(Alarm::TooFew, &[]);
    let one = Candidate::stand(&ensemble.hosts(), PATH, "one");
    let token = one.becomes_master();
    let members = roll.rings(Alarm::Enough, &["one"]);
    assert_eq!((&*members[0].name, members[0].znode.stat.czxid), (&PATH[1..], token));
    let two = Candidate::stand(&ensemble.hosts(), PATH, "two");
    two.becomes_slave_of("one");
    one.handle.set_value(PATH, b"1").unwrap();
    roll.sees(&["1"]);
    two.becomes_slave_of("1");
    two.resign();
    two.has_resigned();
    one.resign();
    roll.rings(Alarm::TooFew, &[]);
    // What belongs to no session is shown, and is nobody.
    witness.create(PATH, b"left over", CreateMode::Persistent);
    roll.sees(&["left over"]);
    witness.delete(PATH);
    roll.sees(&[]);
    handle.unwatch_members(PATH).unwrap();
    roll.ear.hears_no_more();
}

#[test]
fn a_queue_whose_path_comes_and_goes() {
    const PATH: &str = "/members-later/and/deeper";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    let roll = looker(&ensemble.hosts()).count(PATH, 0);
    roll.sees(&[]);
    assert_eq!(witness.read("/members-later"), None, "a watcher makes nothing");
    for value in ["one", "two"] {
        let member = join(&ensemble.hosts(), PATH, value);
        roll.sees(&[value]);
        member.resign();
        roll.sees(&[]);
        // An empty container goes.
        witness.wait_gone("/members-later");
    }
    roll.ear.hears_nothing_for(A_MOMENT);
}

#[test]
fn who_is_master_is_asked_once() {
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    let relay = Relay::start(ensemble.addr(0));
    for path in ["/asked-once/node", "/asked-once/queue"] {
        let handle = match path {
            "/asked-once/node" => TestHandle::open(&relay.host()),
            _ => TestHandle::open_in_queue(&relay.host(), LONG_MS, Dialect::Kazoo),
        };
        let master = |timeout| handle.master(path, timeout);
        let nobody = master(SOON).unwrap();
        assert_eq!((nobody.rc, nobody.value.len(), nobody.stat.czxid), (-101, 0, 0), "{path}");
        let candidate = handle.stand(path, "one");
        let token = candidate.becomes_master();
        let (mut seen, own) = (master(SOON).unwrap(), handle.members(path, SOON).unwrap());
        assert_eq!((seen.rc, &*seen.value, seen.stat.czxid), (0, b"one".as_slice(), token), "{path}");
        assert_eq!(seen.stat, own[0].znode.stat);

        // It is cheap: no more than a list and a read, and no watch.
        let other = TestHandle::open_in_queue(&ensemble.hosts(), LONG_MS, Dialect::Kazoo);
        let _second = path.ends_with("queue").then(|| other.stand(path, "two"));
        relay.clear_requests();
        seen = master(SOON).unwrap();
        assert_eq!((seen.rc, seen.stat.czxid), (0, token));
        let is_question = |request: &Request| {
            matches!(request.opcode, opcode::GET_CHILDREN | opcode::GET_CHILDREN2 | opcode::GET_DATA)
        };
        // The master of a queue watches the list, and who has just joined makes it list again.
        let is_guard = |request: &Request| path.ends_with("queue") && leaves_watch(request);
        let asked = relay.requests().into_iter().filter(|request| is_question(request) && !is_guard(request));
        let questions: Vec<_> = asked.collect();
        assert_eq!(questions.len(), if path.ends_with("queue") { 2 } else { 1 });
        assert!(!questions.iter().any(leaves_watch));
        assert_eq!(master(Duration::ZERO).unwrap_err(), Error::Timeout);
        relay.refuse(true);
        relay.cut_all();
        candidate.ear.forget_what_came();
        eventually(SOON, "there is no connection", || master(SOON) == Err(Error::ConnectionLoss));
        relay.refuse(false);
        eventually(SOON, "it is back", || master(SOON).is_ok());
        assert_eq!(handle.master("no path", SOON), Err(Error::BadPath));
        handle.close().unwrap();
        assert_eq!(handle.master(path, SOON), Err(Error::BadHandle));
    }

    // What stands in the way is told as watch_master tells it.
    witness.create("/asked-once-blocked", b"v", CreateMode::Persistent);
    let blocked = TestHandle::open(&ensemble.hosts()).master("/asked-once-blocked", SOON).unwrap();
    assert_eq!((blocked.rc, &*blocked.value), (-1013, b"v".as_slice()));
}

/// The first in the queue leaves between the list and its read.
#[test]
fn who_is_master_is_asked_while_the_master_leaves() {
    const PATH: &str = "/asked-between";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    let relay = Relay::start(ensemble.addr(0));
    let one = join(&ensemble.hosts(), PATH, "one");
    let two = join(&ensemble.hosts(), PATH, "two");
    let first = format!("{PATH}/{}", witness.children(PATH)[0]);
    let handle = looker(&relay.host());
    relay.strike_once(Verdict::Hold, is(opcode::GET_DATA, &first));
    let asked = std::thread::spawn(move || handle.master(PATH, SOON));
    wait_held(&relay);
    one.resign();
    let token = two.becomes_master();
    relay.release();
    let master = asked.join().unwrap().unwrap();
    assert_eq!((master.rc, &*master.value, master.stat.czxid), (0, b"two".as_slice(), token));
}
